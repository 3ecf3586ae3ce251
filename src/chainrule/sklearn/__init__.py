"""scikit-learn's `MLPClassifier` and `MLPRegressor` on this package's engines: change one import.

In: `from chainrule.sklearn import MLPClassifier, MLPRegressor`. Out: the same parameters, defaults, attributes and
meaning, several times faster where the native engine is installed.
"""

from chainrule.sklearn.classifier import MLPClassifier
from chainrule.sklearn.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
