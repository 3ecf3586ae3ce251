"""Why: scikit-learn's two perceptrons with all that their users rely on, trained by this package's engines.

In: X, y and sample weights as scikit-learn takes them. Out: `MLPClassifier` and `MLPRegressor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be
from chainrule.sklearn.fitting import fit, raw
from chainrule.sklearn.objective import LINKS, Data, Objective

_FLOATS = (np.float64, np.float32)


def _store(estimator: Any, arguments: Mapping[str, Any]) -> None:
    """Keep a constructor's arguments under their names, untouched."""
    for name in type(estimator)._get_param_names():
        setattr(estimator, name, arguments[name])


def _stochastic(estimator: Any) -> bool:
    """Whether there is a `partial_fit`; raises `AttributeError` where the solver takes all rows at once."""
    if estimator.solver == "lbfgs":
        raise AttributeError(must_be(type(estimator).__name__, "solver", "'sgd' or 'adam' for partial_fit", "lbfgs"))
    return True


class Perceptron(BaseEstimator):  # type: ignore[misc]
    """What the two have in common. `engine`, a class attribute, is the engine's name: "auto" takes the fastest."""

    engine = "auto"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on rows X (n, d), dense or sparse, and targets y (n) or (n, k); weights (n) >= 0.

        Sparse rows are made dense. float32 rows train in float32. Raises `InvalidValueError` naming every parameter outside
        what it may be.
        """
        return fit(self, X, y, sample_weight)

    def _predicted(self, X: Any) -> Array:
        """What the output layer says (n, k)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            P: Array = LINKS[self.out_activation_].loss.predict(np, raw(self, X))
        return P

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class MLPClassifier(ClassifierMixin, Perceptron):  # type: ignore[misc]
    """scikit-learn's `MLPClassifier`: parameters, defaults, attributes and meaning are those of version 1.9.

    Exclusive classes are learned with softmax, two classes and independent labels (y of 0 and 1, (n, k)) with the logistic
    function. One `random_state` draws the same first weights, splits and orders of rows here and there.

    Attributes: `classes_`, `coefs_`, `intercepts_`, `loss_`, `loss_curve_`, `best_loss_`, `validation_scores_`,
    `best_validation_score_`, `n_iter_`, `t_`, `n_layers_`, `n_outputs_`, `out_activation_`, `n_features_in_`,
    `feature_names_in_`; of our own `engine_`, the engine's name.

    Reference  [rumelhart1986], [glorot2010], [kingma2015]

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier(solver="lbfgs", random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
    ) -> None:
        _store(self, locals())

    @available_if(_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """One more epoch over these rows. The first call must name all `classes` that will ever come."""
        self._announce(y, classes)
        fit(self, X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """Labels (n), or 0 and 1 for each label (n, k)."""
        P = self._predicted(X)
        labels: Array = self._label_binarizer.inverse_transform(P[:, 0] if self.n_outputs_ == 1 else P)
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class (n, K), in the order of `classes_`."""
        P = self._predicted(X)
        return np.hstack([1.0 - P, P]) if self.n_outputs_ == 1 else P

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of `predict_proba`."""
        P = self.predict_proba(X)
        return np.log(P, out=P)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _announce(self, y: Any, classes: Any) -> None:
        """Take note of the classes at the first partial fit; later ones must be the same."""
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise InvalidValueError("MLPClassifier: classes must be passed on the first call to partial_fit, got None.")
        if known is None:
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            self.classes_ = unique_labels(classes)
        elif classes is not None and not np.array_equal(known, unique_labels(classes)):
            raise InvalidValueError(
                must_be("partial_fit", "classes", f"the same as on the last call, {known}", classes)
            )

    def _rows(self, X: Any, y: Any, fresh: bool, incremental: bool) -> tuple[Any, Array]:
        """X, and y as 0 and 1 in one column per output."""
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=_FLOATS, reset=fresh)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._compare(unique_labels(y))
        return X, self._label_binarizer.transform(y)

    def _compare(self, found: Array) -> None:
        """Hold the labels against those known from before."""
        if self.warm_start and set(found) != set(self.classes_):
            raise InvalidValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit."
                f" Previously got {self.classes_}, `y` has {found}"
            )
        new = np.setdiff1d(found, self.classes_)
        if len(new):
            raise InvalidValueError(must_be("partial_fit", "y", f"of the classes {self.classes_}", new))

    @property
    def _output(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _strata(self, data: Data) -> Array | None:
        """What a split for early stopping keeps in proportion: the two classes, where there are two."""
        return data.Y > 0.5 if self.n_outputs_ == 1 else None

    def _validation_score(self, objective: Objective, Z: Array, data: Data) -> float:
        """Accuracy."""
        return float(np.average(objective.loss.score(np, Z, objective.targets(data.Y)), weights=data.c))


class MLPRegressor(RegressorMixin, Perceptron):  # type: ignore[misc]
    """scikit-learn's `MLPRegressor`: parameters, defaults, attributes and meaning are those of version 1.9.

    `loss` is "squared_error" or "poisson" (counts >= 0, with an exponential output). Everything else is as in
    `MLPClassifier`, `classes_` apart.

    Reference  [rumelhart1986], [glorot2010], [kingma2015]

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> MLPRegressor(solver="lbfgs", random_state=0).fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.99
    True
    """

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
    ) -> None:
        _store(self, locals())

    @available_if(_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """One more epoch over these rows."""
        fit(self, X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: Any) -> Array:
        """Amounts (n), or (n, k)."""
        P = self._predicted(X)
        return P[:, 0] if P.shape[1] == 1 else P

    def _rows(self, X: Any, y: Any, fresh: bool, incremental: bool) -> tuple[Any, Array]:
        """X, and y in one column per output."""
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True, dtype=_FLOATS, reset=fresh
        )
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if self.loss == "poisson" and (y < 0).any():
            raise InvalidValueError(must_be("MLPRegressor", "y", "counts >= 0 for the Poisson loss", float(y.min())))
        return X, y.reshape(len(y), -1)

    @property
    def _output(self) -> str:
        return "exp" if self.loss == "poisson" else "identity"

    def _strata(self, data: Data) -> None:
        return None

    def _validation_score(self, objective: Objective, Z: Array, data: Data) -> float:
        """R², or NaN where a prediction is no number."""
        P = objective.loss.predict(np, Z)
        return _r2(data.Y, P, data.c) if np.isfinite(P).all() else np.nan


def _r2(Y: Array, P: Array, c: Array) -> float:
    """The mean over the outputs of R² = 1 - u / v; where Y does not vary, 1 if it is met and 0 if not.

    Equations  (1) u = Σᵢ cᵢ (Yᵢ - Pᵢ)²    (2) v = Σᵢ cᵢ (Yᵢ - Ȳ)²
    Shapes     Y, P (n, k)   c (n)
    """
    u = c @ (Y - P) ** 2  # (1)
    v = c @ (Y - np.average(Y, axis=0, weights=c)) ** 2  # (2)
    return float(np.where(v > 0, 1.0 - u / np.where(v > 0, v, 1.0), np.where(u > 0, 0.0, 1.0)).mean())
