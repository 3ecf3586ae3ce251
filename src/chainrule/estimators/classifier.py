"""One estimator for classes, independent labels and several targets of classes.

In: X and y as scikit-learn's classifiers take them. Out: `NetClassifier`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from chainrule.arrays import Array
from chainrule.data import Task
from chainrule.estimators.base import NetEstimator, store
from chainrule.estimators.call import FitData
from chainrule.nn.losses import Loss
from chainrule.nn.optimizers import Optimizer
from chainrule.nn.schedules import Schedule
from chainrule.pipeline import classification, target_tables
from chainrule.prediction import warn_of_unknown
from chainrule.target import Target
from chainrule.train import Monitor


class NetClassifier(ClassifierMixin, NetEstimator):  # type: ignore[misc]
    """Dense neural-network classifier.

    Two classes are learned with one logit and the logistic loss, more classes with softmax cross-entropy; y (n, k) of 0
    and 1 as k independent labels; y (n, m) of classes as m targets with a softmax each. Inputs are standardized with
    the training rows' statistics, which stay with the model. X may be an array, a pandas or polars frame, or a sparse
    matrix. Every argument outside what it may be is named by one `InvalidValueError` in `fit`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; `()` gives a linear model. The default is scikit-learn's.
    activation : str or sequence of str, default="relu"
        Activation of the hidden layers by name, one for all or one for each: "relu", "leaky_relu", "elu", "selu",
        "gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "exp", "identity". ReLU is fast and does not
        saturate.
    loss : Loss or None, default=None
        None takes the loss that suits the targets: the logistic loss for two classes and for labels, softmax
        cross-entropy for more classes. Else a loss of `chainrule.losses` that fits them.
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
    class_weight : dict, list of dicts, "balanced" or None, default=None
        Weight of each class, a finite number >= 0; classes that the dict leaves out have weight 1. "balanced" weighs
        classes inversely to their number of rows; for several targets a list of dicts.
    label_smoothing : float, default=0.0
        Share of each target spread evenly over all classes, in [0, 1).
    calibrate : "temperature" or False, default=False
        "temperature" divides the logits by one number fitted on the validation rows, so that probabilities match
        how often they are right.
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
    classes_ : array of shape (K,), or list of such arrays
        The classes in order; a list for several targets.
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
        Validation score after each epoch of the last call, by `scoring` or else accuracy; None without validation
        rows.
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
    NetRegressor : the same network for continuous targets.
    chainrule.sklearn.MLPClassifier : scikit-learn's own parameters and defaults, for code that must not change.
    chainrule.examine : what is wrong with a training.

    References
    ----------
    Reference  [ng2018]; [howard2020] for fine-tuning; [smith2017] for the range test

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> NetClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True

    Fine-tuning with a frozen first layer:

    >>> base = NetClassifier((16,), max_iter=30, random_state=0).fit(X, y == 0)
    >>> tuned = NetClassifier(init_from=base, learning_rate_multipliers={"0.*": 0.0}, max_iter=30, random_state=0).fit(X, y)
    >>> bool((tuned.coefs_[0] == base.coefs_[0]).all())
    True
    """

    _task: ClassVar[Task] = "classification"
    _checks: ClassVar[dict[str, Any]] = {"multi_output": True}

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        loss: Loss | None = None,
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
        class_weight: Mapping[Any, float] | str | Sequence[Any] | None = None,
        label_smoothing: float = 0.0,
        calibrate: bool | str = False,
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

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train one epoch over these rows, at the base rate, from where the last call (or `fit`) ended.

        The first call also fixes the scaling of the inputs. Nothing is held out: `early_stopping`, `scoring`, `calibrate`,
        `schedule` and `callbacks` are for `fit`.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.
        y : array-like of shape (n,) or (n, k)
            Labels.
        classes : array-like of shape (K,), list of such or None, default=None
            All classes that will ever come, for several targets a list; the first call needs them unless y shows them.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights of the rows.

        Returns
        -------
        Self

        Raises
        ------
        InvalidValueError
            For labels of no known class and for `class_weight="balanced"`.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0]] * 20), np.array(["no", "yes"] * 20)
        >>> network = NetClassifier((4,), learning_rate_init=0.05, random_state=0)
        >>> for _ in range(30):
        ...     _ = network.partial_fit(X, y)
        >>> network.predict([[0.0], [1.0]]).tolist()
        ['no', 'yes']
        """
        self._partial_fit(X, y, sample_weight, classes)
        return self

    def predict_proba(self, X: Any) -> Array | list[Array]:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n, K) or list of such
            In the order of `classes_`; of independent labels the probability of each (n, k); for several targets a list.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0]] * 20), np.array(["no", "yes"] * 20)
        >>> NetClassifier((4,), max_iter=5, random_state=0).fit(X, y).predict_proba(X[:3]).shape
        (3, 2)
        """
        model = self._fitted_model()
        P = self._each(X, model.probabilities)
        return [P[:, block] for block in model.blocks] if isinstance(model.classes, tuple) else P

    def predict_log_proba(self, X: Any) -> Array | list[Array]:
        """Return the logarithm of `predict_proba`; minus infinity where a probability is 0.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n, K) or list of such

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0]] * 20), np.array(["no", "yes"] * 20)
        >>> bool((NetClassifier((4,), max_iter=5, random_state=0).fit(X, y).predict_log_proba(X) <= 0).all())
        True
        """
        P = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(part) for part in P] if isinstance(P, list) else np.log(P)

    def predict(self, X: Any) -> Array:
        """Return the most probable labels.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.

        Returns
        -------
        ndarray of shape (n,), (n, k) or (n, m)
            Labels; 0 or 1 for each of k independent labels; a label for each of m targets.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0]] * 20), np.array(["no", "yes"] * 20)
        >>> NetClassifier((4,), learning_rate_init=0.05, random_state=0).fit(X, y).predict([[1.0]]).tolist()
        ['yes']
        """
        return self._each(X, self._fitted_model().predict)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows predicted right, as scikit-learn's classifiers do.

        A row of a class that the training rows did not have counts as wrong; a warning names the class and the row.

        Parameters
        ----------
        X : array-like, frame or sparse matrix of shape (n, d)
            Rows.
        y : array-like of shape (n,) or (n, k)
            True labels. A row of several labels or targets is right if all of them are.
        sample_weight : array-like of shape (n,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0]] * 20), np.array(["no", "yes"] * 20)
        >>> NetClassifier((4,), learning_rate_init=0.05, random_state=0).fit(X, y).score(X, y)
        1.0
        """
        model = self._fitted_model()
        warn_of_unknown(model.classes, y, model.multilabel)
        return float(super().score(X, y, sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _checked_targets(self, y: Array) -> Array:
        """Return y as classes: (n), or (n, k) where there are several columns."""
        check_classification_targets(y)
        return column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y

    def _stratify_by(self, y: Array) -> Array | None:
        """Return the labels that are held out in proportion."""
        return y if y.ndim == 1 else None

    def _target(self, data: FitData, rest: Array | None, classes: Any) -> Target:
        y, settings = data.y, data.settings
        named = y.ndim == 2 and classes is not None and np.ndim(classes[0]) > 0
        if y.ndim == 2 and not named and type_of_target(y).startswith("multilabel"):
            return classification(y, settings, labels=True)
        return classification(y, settings, tuple(map(np.asarray, classes)) if named else classes)

    def _class_tables(self, target: Target, y: Array) -> list[tuple[Array, Array]] | None:
        return None if self.class_weight is None else target_tables(target, y, self.class_weight)

    def _note_classes(self, target: Target | None) -> None:
        """Keep the classes, which scorers read."""
        classes = None if target is None else target.classes
        self.classes_ = list(classes) if isinstance(classes, tuple) else classes
