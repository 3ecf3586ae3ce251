"""What both perceptrons have in common: parameters stored unchanged, `fit`, rows checked as scikit-learn checks them.

In: X, y and sample weights as scikit-learn takes them. Out: the base class `Perceptron`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule.arrays import Array, ArrayLike, MatrixLike
from chainrule.errors import must_be
from chainrule.sklearn.fitting import fit, logits
from chainrule.sklearn.objective import LINKS

FLOATS = (np.float64, np.float32)


def store(estimator: Any, arguments: Mapping[str, Any]) -> None:
    """Store a constructor's arguments under their names, unchanged."""
    for name in type(estimator)._get_param_names():
        setattr(estimator, name, arguments[name])


def is_stochastic(estimator: Any) -> bool:
    """Return True if there is a `partial_fit`; raise `AttributeError` where the solver takes all rows at once."""
    if estimator.solver == "lbfgs":
        raise AttributeError(must_be(type(estimator).__name__, "solver", "'sgd' or 'adam' for partial_fit", "lbfgs"))
    return True


class Perceptron(BaseEstimator):  # type: ignore[misc]
    """Base of both perceptrons. The class attribute `engine` names the engine: "auto" takes the fastest."""

    engine = "auto"

    def fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike = None) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense. float32 rows train in float32.
        y : array-like of shape (n,) or (n, k)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weights >= 0 of the rows; None weighs all alike.

        Returns
        -------
        self

        Raises
        ------
        InvalidValueError
            For every parameter outside what it may be, all named at once.
        """
        fit(self, X, y, sample_weight)
        return self

    def _predicted(self, X: MatrixLike) -> Array:
        """Return the output layer's predictions (n, k)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            P: Array = LINKS[self.out_activation_].loss.predict(np, logits(self, X))
        return P

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
