"""Trained models for other places: one inference plan, and writers that walk it.

In: a fitted estimator or a model. Out: a NumPy file, an ONNX graph, a C header, an ES module, or a PyTorch module, checked
against the model before it is written.
"""

from chainrule.exporters.exporting import Exported, export
from chainrule.exporters.keras_networks import from_keras
from chainrule.exporters.torch_networks import from_torch

__all__ = ["Exported", "export", "from_keras", "from_torch"]
