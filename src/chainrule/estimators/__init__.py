"""Estimators with scikit-learn's interface: `fit` and `predict`, and nothing else to learn.

In: X and y as numpy, pandas, polars or sparse. Out: fitted estimators whose attributes end in an underscore, as
scikit-learn's do.
"""

from chainrule.estimators.classifier import NetClassifier
from chainrule.estimators.regressor import NetRegressor
from chainrule.estimators.table import TableClassifier, TableRegressor

__all__ = ["NetClassifier", "NetRegressor", "TableClassifier", "TableRegressor"]
