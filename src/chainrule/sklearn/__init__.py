"""Why: code written for scikit-learn's multi-layer perceptron gets this package's engines by changing one import.

In: `from chainrule.sklearn import MLPClassifier, MLPRegressor`. Out: the same parameters, defaults, attributes and
meaning, several times faster where the native engine is installed.
"""

from chainrule.sklearn.estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
