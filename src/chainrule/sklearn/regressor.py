"""scikit-learn's perceptron for continuous targets.

In: X, y and sample weights as scikit-learn takes them. Out: `MLPRegressor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d, validate_data

from chainrule.arrays import Array, ArrayLike, MatrixLike
from chainrule.errors import InvalidValueError, must_be
from chainrule.prediction import r2_score
from chainrule.sklearn.base import FLOATS, Perceptron, is_stochastic, store
from chainrule.sklearn.fitting import fit
from chainrule.sklearn.objective import Data, Objective


class MLPRegressor(RegressorMixin, Perceptron):  # type: ignore[misc]
    """scikit-learn's `MLPRegressor` on this package's engines.

    Parameters, defaults, attributes and results are those of scikit-learn 1.9. One `random_state` draws the same first
    weights, splits and orders of rows as in scikit-learn. The class attribute `engine` names the engine; "auto" takes the
    fastest.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default="squared_error"
        What is minimized: the squared error, or the Poisson deviance of counts >= 0, whose output is exponential.
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
    chainrule.NetRegressor : the same task with standardized inputs, batch norm, dropout, quantiles and the doctor.
    chainrule.sklearn.MLPClassifier : the same solvers for classes.

    Notes
    -----
    Reference  [rumelhart1986], [glorot2010], [kingma2015]

    Examples
    --------
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
        store(self, locals())

    @available_if(is_stochastic)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike = None) -> MLPRegressor:
        """Run one more epoch over these rows.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense.
        y : array-like of shape (n,) or (n, k)
            Targets.
        sample_weight : array-like of shape (n,), default=None
            Weights >= 0 of the rows; None weighs all alike.

        Returns
        -------
        self
        """
        fit(self, X, y, sample_weight, incremental=True)
        return self

    def predict(self, X: MatrixLike) -> Array:
        """Predict the value of each row.

        Parameters
        ----------
        X : array, frame or sparse matrix of shape (n, d)
            Rows; sparse rows are made dense.

        Returns
        -------
        array of shape (n,) or (n, k)
        """
        P = self._predicted(X)
        return P[:, 0] if P.shape[1] == 1 else P

    def _rows(self, X: MatrixLike, y: ArrayLike, fresh: bool, incremental: bool) -> tuple[Any, Array]:
        """Check X and y; return y with one column for each output."""
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, y_numeric=True, dtype=FLOATS, reset=fresh
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
        """Return R², or NaN where a prediction is not finite."""
        P = objective.loss.predict(np, Z)
        return r2_score(data.Y, P, data.c) if np.isfinite(P).all() else np.nan
