"""Monitors for other tools: a function, TensorBoard, MLflow, scikit-learn's callbacks.

In: a folder, a tracking server, a function, scikit-learn's callbacks. Out: monitors for `train` and for `callbacks=` of the
estimators.
"""

from chainrule.callbacks.function import FunctionCallback, function
from chainrule.callbacks.mlflow import MLflowLogger
from chainrule.callbacks.tensorboard import TensorBoardLogger

__all__ = ["FunctionCallback", "MLflowLogger", "TensorBoardLogger", "function"]
