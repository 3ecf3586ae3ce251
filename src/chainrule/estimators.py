"""Why: whoever has a table and scikit-learn habits trains with `fit` and `predict`, and nothing else to learn.

In: X and y as numpy, pandas or polars. Out: fitted estimators whose attributes end in an underscore, as
scikit-learn's do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from chainrule.arrays import Array
from chainrule.data import split
from chainrule.model import Model
from chainrule.nn.optimizers import Optimizer
from chainrule.nn.schedules import Schedule
from chainrule.pipeline import Settings, Target, class_weights, classification, regression, stopping, train_model
from chainrule.train import Monitor, Progress, Run

_SETTINGS = (
    "hidden_layer_sizes",
    "activation",
    "batch_norm",
    "layer_norm",
    "dropout",
    "optimizer",
    "learning_rate_init",
    "schedule",
    "batch_size",
    "max_iter",
    "alpha",
    "clip_norm",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
    "tol",
    "scaling",
    "engine",
    "dtype",
)
"""Constructor arguments that both estimators hand to `Settings` unchanged."""


def _settings(estimator: Any, extra: Sequence[str]) -> Settings:
    """The estimator's arguments as checked settings; all faults in one error."""
    values = {name: getattr(estimator, name) for name in (*_SETTINGS, *extra)}
    if isinstance(values["hidden_layer_sizes"], int | np.integer):
        values["hidden_layer_sizes"] = (int(values["hidden_layer_sizes"]),)
    settings = Settings(**values, seed=_seed(estimator.random_state))
    settings.check(type(estimator).__name__, lambda name: "random_state" if name == "seed" else name)
    return settings


def _seed(random_state: Any) -> int:
    """A seed from what scikit-learn allows: a whole number, a `RandomState`, or None for a fresh one."""
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _fit(
    estimator: Any, X: Array, y: Array, settings: Settings, weights: Array, target: Callable[[Array], Target]
) -> None:
    """Hold out validation rows where asked, train, and set the fitted attributes; `target` is asked for training rows."""
    rest, held_out, validation = np.arange(len(X)), None, None
    if settings.early_stopping:
        classes = isinstance(estimator, ClassifierMixin)
        rest, held_out = split(y if classes else len(X), settings.validation_fraction, settings.seed, stratify=classes)
        validation = (X[held_out], y[held_out], weights[held_out])
    monitors: list[Monitor] = [stopping(settings, validation is not None), *estimator.callbacks]
    monitors += [Progress()] if estimator.verbose else []
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    estimator.model_, estimator.run_ = train_model(
        X[rest],
        y[rest],
        target(rest),
        settings,
        weights=weights[rest],
        validation=validation,
        monitors=monitors,
        feature_names=names,
    )
    run: Run = estimator.run_
    estimator.n_iter_ = len(run.epochs)
    estimator.loss_curve_ = [epoch.train_loss for epoch in run.epochs]
    estimator.validation_loss_curve_ = None if held_out is None else [epoch.validation_loss for epoch in run.epochs]
    estimator.engine_ = run.engine
    if run.diverged:
        advice = "Lower learning_rate_init, or set clip_norm."
        warnings.warn(f"{run.stopped}. {advice}", ConvergenceWarning, stacklevel=3)


class NetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A dense network that tells classes apart.

    Two classes are learned with one logit and the logistic loss, more with softmax cross-entropy. Inputs are
    standardised with the training rows' statistics, which stay with the model.

    Parameters: `hidden_layer_sizes` units of each hidden layer, (100,) as scikit-learn's; `activation` by name;
    `batch_norm`, `layer_norm`, `dropout` (fraction dropped) after every hidden layer; `optimizer`, `schedule` by name
    or as objects; `learning_rate_init` the base rate; `batch_size` in rows, "auto" (about fifty steps an epoch) or
    None (full batch); `max_iter` epochs at most; `alpha` the L2 penalty's factor; `clip_norm` the largest length of
    the gradient; `early_stopping` holds `validation_fraction` of the rows out and ends after `n_iter_no_change` epochs
    without a gain above `tol`; `class_weight` None, "balanced" or a mapping; `label_smoothing` in [0, 1); `scaling`
    "columns", "shared" or "none"; `callbacks` monitors of the run; `engine` "auto" or a name; `random_state` a whole
    number makes it repeatable.

    Attributes: `classes_`, `model_` (saves with `chainrule.io.save_model`), `run_`, `loss_curve_`,
    `validation_loss_curve_`, `n_iter_`, `engine_`, `n_features_in_`.

    Raises `InvalidValueError` in `fit`, naming every argument outside what it may be.

    Reference  [ng2018]

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> NetClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        batch_norm: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float = 1e-3,
        schedule: str | Schedule = "constant",
        batch_size: int | str | None = "auto",
        max_iter: int = 100,
        alpha: float = 0.0,
        clip_norm: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        class_weight: Mapping[Any, float] | str | None = None,
        label_smoothing: float = 0.0,
        scaling: str = "columns",
        callbacks: Sequence[Monitor] = (),
        engine: str = "auto",
        dtype: str = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.batch_norm = batch_norm
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate_init = learning_rate_init
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.scaling = scaling
        self.callbacks = callbacks
        self.engine = engine
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetClassifier:
        """Train on rows X (n, d) and labels y (n) of any kind; weights (n) >= 0."""
        settings = _settings(self, ("label_smoothing",))
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        target = classification(y, settings)
        self.classes_ = target.classes
        weights = weights * class_weights(self.classes_, y, self.class_weight)
        _fit(self, X, y, settings, weights, lambda rows: target)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class (n, K), in the order of `classes_`."""
        return _model(self).probabilities(_rows(self, X))

    def predict(self, X: Any) -> Array:
        """Labels (n)."""
        return _model(self).predict(_rows(self, X))


class NetRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A dense network that predicts amounts, one or several.

    Inputs are standardised as in `NetClassifier`, whose parameters it shares; targets are too, except for the Poisson
    loss, and predictions come back in the targets' unit. `loss` is "squared_error", "absolute_error", "huber" or
    "poisson".

    Attributes: `model_`, `run_`, `loss_curve_` (of the scaled targets), `validation_loss_curve_`, `n_iter_`, `engine_`,
    `n_features_in_`.

    Raises `InvalidValueError` in `fit`, naming every argument outside what it may be.

    Reference  [ng2018]

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 200)[:, None]
    >>> NetRegressor(max_iter=300, random_state=0).fit(X, np.sin(3 * X[:, 0])).score(X, np.sin(3 * X[:, 0])) > 0.98
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        loss: str = "squared_error",
        batch_norm: bool = False,
        layer_norm: bool = False,
        dropout: float = 0.0,
        optimizer: str | Optimizer = "adam",
        learning_rate_init: float = 1e-3,
        schedule: str | Schedule = "constant",
        batch_size: int | str | None = "auto",
        max_iter: int = 100,
        alpha: float = 0.0,
        clip_norm: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        scaling: str = "columns",
        callbacks: Sequence[Monitor] = (),
        engine: str = "auto",
        dtype: str = "float32",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.batch_norm = batch_norm
        self.layer_norm = layer_norm
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate_init = learning_rate_init
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scaling = scaling
        self.callbacks = callbacks
        self.engine = engine
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetRegressor:
        """Train on rows X (n, d) and amounts y (n) or (n, k); weights (n) >= 0."""
        settings = _settings(self, ("loss",))
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        _fit(self, X, y, settings, weights, lambda rows: regression(y[rows], settings, weights[rows]))
        return self

    def predict(self, X: Any) -> Array:
        """Amounts (n) or (n, k), in the unit of the targets."""
        return _model(self).predict(_rows(self, X))


def _model(estimator: Any) -> Model:
    if not hasattr(estimator, "model_"):
        check_is_fitted(estimator)
    model: Model = estimator.model_
    return model


_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def _rows(estimator: Any, X: Any) -> Array:
    """Rows as scikit-learn's own check gives them; an array that it would hand back as it is skips the check.

    The check takes some 80 µs, which for a single row is most of a prediction's time.
    """
    plain = type(X) is np.ndarray and X.dtype in _FLOATS and X.ndim == 2 and not hasattr(estimator, "feature_names_in_")
    if plain and X.shape[0] > 0 and X.shape[1] == estimator.n_features_in_ and np.isfinite(X).all():
        return X
    return validate_data(estimator, X, dtype=(np.float64, np.float32), reset=False)
