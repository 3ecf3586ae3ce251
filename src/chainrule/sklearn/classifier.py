"""scikit-learn's perceptron for classes and labels.

In: X, y and sample weights as scikit-learn takes them. Out: `MLPClassifier`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d, validate_data

from chainrule.arrays import Array, ArrayLike, MatrixLike
from chainrule.errors import InvalidValueError, must_be
from chainrule.sklearn.base import FLOATS, Perceptron, is_stochastic, store
from chainrule.sklearn.fitting import fit
from chainrule.sklearn.objective import Data, Objective


class MLPClassifier(ClassifierMixin, Perceptron):  # type: ignore[misc]
    """scikit-learn's `MLPClassifier` on this package's engines.

    Parameters, defaults, attributes and results are those of scikit-learn 1.9. Two classes and independent labels, y
    (n, k) of 0 and 1, are learned with the logistic loss, more classes with softmax cross-entropy. One `random_state`
    draws the same first weights, splits and orders of rows as in scikit-learn. The class attribute `engine` names the
    engine; "auto" takes the fastest.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; `()` is a linear model.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        "lbfgs" takes all rows at once and suits small data; "sgd" and "adam" take batches.
    alpha : float, default=0.0001
        Factor of the L2 penalty α / (2n) ‖W‖², >= 0; intercepts are not penalized.
    batch_size : int or "auto", default="auto"
        Rows of a batch; "auto" is 200, or all rows if there are fewer. Not used by "lbfgs".
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        How the rate of "sgd" changes: not at all; as `learning_rate_init / t ** power_t`; or divided by 5 whenever
        the loss has not improved for `n_iter_no_change` epochs.
    learning_rate_init : float, default=0.001
        Initial learning rate of "sgd" and "adam", > 0.
    power_t : float, default=0.5
        Exponent of "invscaling", >= 0.
    max_iter : int, default=200
        Epochs of "sgd" and "adam", or iterations of "lbfgs", at most. Reaching it warns with `ConvergenceWarning`.
    shuffle : bool, default=True
        Whether "sgd" and "adam" take the rows in a new order in every epoch.
    random_state : int, RandomState or None, default=None
        Draws the first weights, the split for early stopping and the order of rows. A whole number makes the fit
        repeatable and equal to scikit-learn's with the same number.
    tol : float, default=1e-4
        Improvement of the loss (or validation score) that counts as one, >= 0; for "lbfgs" the largest entry of the
        gradient at which it ends.
    verbose : bool or int, default=False
        Whether to print the loss of every epoch.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last call.
    momentum : float, default=0.9
        Momentum of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether "sgd" and "adam" hold out rows, stop when their score no longer improves, and keep the best weights.
    validation_fraction : float, default=0.1
        Share of rows held out by `early_stopping`, in [0, 1).
    beta_1 : float, default=0.9
        Decay of "adam"'s mean of gradients, in [0, 1).
    beta_2 : float, default=0.999
        Decay of "adam"'s mean of squared gradients, in [0, 1).
    epsilon : float, default=1e-8
        Number added to the denominator of "adam", > 0.
    n_iter_no_change : int or inf, default=10
        Epochs without an improvement above `tol` after which "sgd" and "adam" end (or lower an adaptive rate).
    max_fun : int, default=15000
        Evaluations of the loss by "lbfgs" at most.

    Attributes
    ----------
    classes_ : array of shape (K,)
        The classes in order.
    coefs_ : list of arrays
        Weight matrix (inputs, units) of each layer.
    intercepts_ : list of arrays
        Intercepts (units) of each layer.
    loss_ : float
        The loss of the last epoch or iteration, with the penalty.
    loss_curve_ : list of float
        The loss of each epoch ("sgd" and "adam").
    best_loss_ : float or None
        The smallest loss; None with `early_stopping`.
    validation_scores_ : list of float or None
        The score of the held-out rows after each epoch; None without `early_stopping`.
    best_validation_score_ : float or None
        The best of them.
    n_iter_ : int
        Epochs or iterations of the last call.
    t_ : int
        Training rows seen.
    n_layers_ : int
        Layers, input and output counted.
    n_outputs_ : int
        Units of the output layer.
    out_activation_ : str
        Name of the output activation.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : array of str
        Names of the columns, if X was a frame with names.
    engine_ : str
        Name of the engine that trained; scikit-learn has no such attribute.

    See Also
    --------
    chainrule.NetClassifier : the same task with standardized inputs, batch norm, dropout, schedules and the doctor.
    chainrule.sklearn.MLPRegressor : the same solvers for continuous targets.

    Notes
    -----
    Reference  [rumelhart1986], [glorot2010], [kingma2015]

    Examples
    --------
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
        store(self, locals())

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike = None, classes: ArrayLike = None
    ) -> MLPClassifier:
        """Run one more epoch over these rows.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense.
        y : array-like of shape (n,) or (n, k)
            Classes or labels.
        sample_weight : array-like of shape (n,), default=None
            Weights >= 0 of the rows; None weighs all alike.
        classes : array-like of shape (K,), default=None
            All classes that later calls may contain; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        InvalidValueError
            Where the first call names no classes, and for rows of other classes.
        """
        self._announce(y, classes)
        fit(self, X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: MatrixLike) -> Array:
        """Predict the class of each row.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense.

        Returns
        -------
        array of shape (n,) or (n, k)
            Classes, or 0 and 1 for each label.
        """
        P = self._predicted(X)
        labels: Array = self._label_binarizer.inverse_transform(P[:, 0] if self.n_outputs_ == 1 else P)
        return labels

    def predict_proba(self, X: MatrixLike) -> Array:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense.

        Returns
        -------
        array of shape (n, K)
            One column for each class in `classes_`.
        """
        P = self._predicted(X)
        return np.hstack([1.0 - P, P]) if self.n_outputs_ == 1 else P

    def predict_log_proba(self, X: MatrixLike) -> Array:
        """Predict the logarithm of each probability.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense.

        Returns
        -------
        array of shape (n, K)
        """
        P = self.predict_proba(X)
        return np.log(P, out=P)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _announce(self, y: ArrayLike, classes: Any) -> None:
        """Record the classes at the first partial fit; later ones must be the same."""
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

    def _rows(self, X: MatrixLike, y: ArrayLike, fresh: bool, incremental: bool) -> tuple[Any, Array]:
        """Check X and y; return y as 0 and 1 in one column for each output."""
        X, y = validate_data(self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=FLOATS, reset=fresh)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        else:
            self._compare(unique_labels(y))
        return X, self._label_binarizer.transform(y)

    def _compare(self, found: Array) -> None:
        """Compare the classes with those of earlier calls."""
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
        """Return the classes that a split for early stopping stratifies by, where there are two."""
        return data.Y > 0.5 if self.n_outputs_ == 1 else None

    def _validation_score(self, objective: Objective, Z: Array, data: Data) -> float:
        """Return the accuracy."""
        return float(np.average(objective.loss.score(np, Z, objective.targets(data.Y)), weights=data.c))
