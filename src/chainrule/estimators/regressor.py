"""One estimator for continuous targets: means, medians, counts and quantiles.

In: X and y as scikit-learn's regressors take them. Out: `NetRegressor`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin

from chainrule.arrays import Array
from chainrule.data import Task
from chainrule.errors import InvalidValueError, must_be
from chainrule.estimators.base import NetEstimator, store
from chainrule.estimators.call import FitData
from chainrule.nn.losses import Loss
from chainrule.nn.optimizers import Optimizer
from chainrule.nn.schedules import Schedule
from chainrule.pipeline import regression
from chainrule.target import Target
from chainrule.train import Monitor


class NetRegressor(RegressorMixin, NetEstimator):  # type: ignore[misc]
    """Dense neural-network regressor.

    y (n) or (n, k) of continuous targets, counts or quantiles. Inputs are standardized with the training rows'
    statistics; targets are too where the output is not bound to a range, and predictions come back in the targets'
    unit, float32 where network and rows are, else float64. Losses and scores of epochs are those of the scaled targets:
    a root mean squared error of 1 is the targets' standard deviation. Every argument outside what it may be is named by
    one `InvalidValueError` in `fit`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; `()` gives a linear model. The default is scikit-learn's.
    activation : str or sequence of str, default="relu"
        Activation of the hidden layers by name, one for all or one for each: "relu", "leaky_relu", "elu", "selu",
        "gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "exp", "identity". ReLU is fast and does not
        saturate.
    loss : str or Loss, default="squared_error"
        "squared_error" predicts the mean, "absolute_error" the median, "huber" a mean that outliers move little,
        "poisson" a rate of counts, "quantile" the levels in `quantiles`; or a loss of `chainrule.losses`.
    quantiles : sequence of float, default=(0.05, 0.5, 0.95)
        Ascending levels in (0, 1) for loss="quantile". The default gives the median and an interval that holds 90 %
        of the targets.
    batch_norm : bool, default=False
        Whether to put batch norm before the activation of every hidden layer. It helps deep networks; use batches
        of 32 rows or more. A batch of one row is refused: it has no variance.
    layer_norm : bool, default=False
        Whether to put layer norm there instead. It does not depend on the batch.
    dropout : float or sequence of float, default=0.0
        Fraction of hidden units dropped in training, in [0, 1), one for all hidden layers or one for each.
    initializer : str or None, default=None
        Rule that draws the first weights: "he", "xavier", "lecun", "glorot" (also as "he_uniform" and so on),
        "orthogonal", "normal", "constant", "zeros". None takes the one that suits the activation: He for the ReLU
        family, Xavier for tanh and sigmoid, LeCun for SELU.
    optimizer : str or Optimizer, default="adam"
        "adam", "adamw", "sgd", "sgd_momentum", "ema_momentum", "nesterov", "rmsprop", "adagrad", or an optimizer
        of `chainrule.optimizers` with settings of its own. Adam needs the least tuning.
    learning_rate_init : float or "find", default=0.001
        Base learning rate, > 0. "find" runs a range test on the training rows and uses the rate it suggests, which
        `learning_rate_init_` then holds. 0.001 suits Adam; SGD usually needs about 0.1.
    schedule : str or Schedule, default="constant"
        How the rate changes during training: "constant", "step", "exponential", "inverse_time", "cosine",
        "cosine_log", "flat_cosine", "cosine_restarts", "warmup_cosine", "one_cycle", "plateau", or a schedule of
        `chainrule.schedules`.
    learning_rate_multipliers : dict of str to float, default=None
        Multipliers of the learning rate by patterns of parameter names, such as `{"0.*": 0.1, "*.b": 2.0}`; 0
        freezes.
    batch_size : int, "auto" or "full", default="auto"
        Rows of a batch. "auto" takes the power of two that gives about fifty steps an epoch, between 32 and 256;
        "full" takes all rows at once.
    accumulate_grad_batches : int, default=1
        Batches whose gradients are averaged for one step.
    max_iter : int or "auto", default="auto"
        Epochs at most. "auto" is 100, and more for few rows, whose epochs are few steps of the usual batch size: as many
        as make 2000 steps where validation rows choose the epoch, and 1000 steps otherwise.
    alpha : float, default=0.0
        Factor of the L2 penalty α/2 ‖W‖², >= 0. Unlike in scikit-learn it is not divided by the number of rows.
    l1_alpha : float, default=0.0
        Factor of the L1 penalty α ‖W‖₁, >= 0, which sets weights to zero.
    max_grad_norm : float or None, default=None
        Length to which a longer gradient is clipped; None clips nothing.
    max_weight_norm : float or None, default=None
        Largest length of a unit's incoming weights; None sets no limit.
    ema_decay : float or None, default=None
        Share that an exponential moving average of the weights keeps at each step, usually 0.99 to 0.9999; the
        average then predicts. None predicts with the last weights.
    early_stopping : bool, default=False
        Whether to hold out rows, stop when their loss no longer improves, and keep the best epoch's weights. Rows
        given to `fit` as `X_val` and `y_val` are used instead.
    validation_fraction : float, default=0.1
        Share of rows held out by `early_stopping`, in (0, 1).
    n_iter_no_change : int, "auto" or None, default="auto"
        Epochs without an improvement above `tol` after which training ends: of the validation loss with
        `early_stopping`, else of the training loss. "auto" takes a running mean of the loss over the epochs, which dropout
        and small sets of rows move little, and waits for 20 epochs and 500 steps at least: a few hundred rows are few
        steps an epoch. None never ends it early.
    tol : float, default=1e-4
        Smallest decrease of the loss that counts as an improvement, >= 0.
    scoring : str, callable or None, default=None
        Scorer of scikit-learn that chooses the epoch by the validation rows and decides when to stop; None uses the
        loss.
    scaling : {"columns", "shared", "none"}, default="columns"
        How inputs are standardized with the training rows' statistics: each column by its own mean and standard
        deviation; all by one mean and one scale (pixels); or not at all. By columns, one that is 0 in 99 % of the rows
        or more, such as a rare word's, is scaled so that no training value lies further than 10 from 0.
    n_networks : int, default=1
        Networks trained side by side from different seeds; their predictions are averaged.
    init_from : fitted estimator or Model, default=None
        Network whose layers and input scaling training starts from; its last layer too if the targets are the same.
        The arguments of the architecture above are then ignored.
    warm_start : bool, default=False
        Whether `fit` continues from where the last call ended, optimizer included.
    callbacks : sequence of Monitor, default=()
        Monitors of the run, such as those of `chainrule.callbacks`, or `chainrule.doctor.DoctorMonitor`.
    engine : {"auto", "native", "reference", "jax"}, default="auto"
        What computes: "auto" takes the compiled engine where it is installed. Results agree up to rounding.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Precision of training. "auto" is float64 for a float64 X of at most 32,768 numbers, which costs no time
        there, else float32.
    random_state : int, RandomState or None, default=None
        A whole number makes the fit repeatable; None draws a new seed.
    verbose : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    model_ : Model
        The network with its scaling, classes and column names; `chainrule.save_model` writes it.
    run_ : Run
        The record of the last training: epochs, why it stopped, seconds, engine. Of several networks, the first.
    runs_ : list of Run
        The record of each of `n_networks`.
    epochs_ : sequence of Epoch
        All epochs since the weights were new.
    learning_rate_init_ : float
        The base learning rate, given or found.
    validation_scores_ : list of float or None
        Validation score after each epoch of the last call, by `scoring` or else the root mean squared error of
        scaled targets; None without validation rows.
    best_validation_score_ : float or None
        Validation score of the epoch kept.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : array of str
        Names of the columns, if X was a frame with names.
    t_ : int
        Training rows seen.

    See Also
    --------
    NetClassifier : the same network for classes and labels.
    chainrule.sklearn.MLPRegressor : scikit-learn's own parameters and defaults, for code that must not change.
    chainrule.examine : what is wrong with a training.

    References
    ----------
    Reference  [ng2018], [huber1964], [mccullagh1989]

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> NetRegressor(max_iter=300, random_state=0).fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.98
    True
    """

    _task: ClassVar[Task] = "regression"
    _checks: ClassVar[dict[str, Any]] = {"multi_output": True, "y_numeric": True}

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        loss: str | Loss = "squared_error",
        quantiles: Sequence[float] = (0.05, 0.5, 0.95),
        batch_norm: bool = False,
        layer_norm: bool = False,
        dropout: float | Sequence[float] = 0.0,
        initializer: str | None = None,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float | str = 1e-3,
        schedule: str | Schedule = "constant",
        learning_rate_multipliers: Mapping[str, float] | None = None,
        batch_size: int | str = "auto",
        accumulate_grad_batches: int = 1,
        max_iter: int | str = "auto",
        alpha: float = 0.0,
        l1_alpha: float = 0.0,
        max_grad_norm: float | None = None,
        max_weight_norm: float | None = None,
        ema_decay: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | str | None = "auto",
        tol: float = 1e-4,
        scoring: Any = None,
        scaling: str = "columns",
        n_networks: int = 1,
        init_from: Any = None,
        warm_start: bool = False,
        callbacks: Sequence[Monitor] = (),
        engine: str = "auto",
        dtype: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        store(self, locals())

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one epoch over these rows, at the base rate, from where the last call (or `fit`) ended.

        The first call fixes the scaling of inputs and targets. Nothing is held out: `early_stopping`, `scoring`, `schedule`
        and `callbacks` are for `fit`.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.
        y : array-like of shape (n,) or (n, k)
            Targets.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights of the rows.

        Returns
        -------
        Self

        Examples
        --------
        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> network = NetRegressor((), learning_rate_init=0.05, random_state=0)
        >>> for _ in range(60):
        ...     _ = network.partial_fit(X, 3 * X[:, 0] + 1)
        >>> network.predict([[0.5]]).round(1).tolist()
        [2.5]
        """
        self._partial_fit(X, y, sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """Return predictions in the unit of the targets.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n,) or (n, k)
            Of quantiles the one whose level is nearest to a half.

        Examples
        --------
        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> NetRegressor((), learning_rate_init=0.05, random_state=0).fit(X, X[:, 0]).predict([[0.5]]).round(1).tolist()
        [0.5]
        """
        return self._each(X, self._fitted_model().predict)

    def predict_quantiles(self, X: Any) -> Array:
        """Return the values below which the shares `quantiles` of targets lie.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n, q), for several targets (n, k, q)
            Ascending along the last axis.

        Raises
        ------
        InvalidValueError
            Unless `loss="quantile"` was fitted.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.zeros((100, 1)), np.arange(100.0)
        >>> network = NetRegressor((), loss="quantile", quantiles=(0.1, 0.5, 0.9), max_iter=300, learning_rate_init=0.05)
        >>> network.set_params(random_state=0).fit(X, y).predict_quantiles([[0.0]]).round(-1).tolist()
        [[10.0, 50.0, 90.0]]
        """
        return self._each(X, self._fitted_model().predict_quantiles)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Return the limits between which the share `coverage` of targets lies.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.
        coverage : float, default=0.9
            The share; it needs the fitted quantiles (1 - coverage) / 2 and (1 + coverage) / 2.

        Returns
        -------
        ndarray of shape (n, 2), for several targets (n, k, 2)
            Lower and upper limit.

        Raises
        ------
        InvalidValueError
            Where these quantiles were not fitted, naming the coverages that were.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.zeros((100, 1)), np.arange(100.0)
        >>> network = NetRegressor((), loss="quantile", max_iter=300, learning_rate_init=0.05, random_state=0)
        >>> network.fit(X, y).predict_interval([[0.0]]).shape
        (1, 2)
        """
        Q, levels = self.predict_quantiles(X), np.array(self._fitted_model().loss.levels)  # type: ignore[attr-defined]
        ends = [
            np.flatnonzero(np.isclose(levels, (1.0 + side * coverage) / 2.0, rtol=0, atol=1e-9)) for side in (-1, 1)
        ]
        if not 0 < coverage < 1 or not all(len(end) for end in ends):
            had = [
                round(1.0 - 2.0 * float(a), 9) for a in levels if np.isclose(1.0 - a, levels, rtol=0).any() and a < 0.5
            ]
            hint = "Name both ends in quantiles."
            raise InvalidValueError(must_be(type(self).__name__, "coverage", f"one of {had}", coverage, hint))
        return Q[..., [int(end[0]) for end in ends]]

    def _checked_targets(self, y: Array) -> Array:
        return y

    def _stratify_by(self, y: Array) -> None:
        """Return None: rows are held out at random."""

    def _target(self, data: FitData, rest: Array | None, classes: Any) -> Target:
        y, weights = (part if rest is None or part is None else part[rest] for part in (data.y, data.weights))
        return regression(y, data.settings, weights)

    def _class_tables(self, target: Target, y: Array) -> None:
        return None

    def _note_classes(self, target: Target | None) -> None:
        """Do nothing: there are no classes."""
