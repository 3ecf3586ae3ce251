"""Why: classes, labels and several targets of classes are told apart by one estimator.

In: X and y as scikit-learn's classifiers take them. Out: `NetClassifier`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from chainrule.arrays import Array
from chainrule.estimators.base import Network, fitted_model, store
from chainrule.estimators.fitting import partial_fit
from chainrule.nn.losses import Loss
from chainrule.nn.optimizers import Optimizer
from chainrule.nn.schedules import Schedule
from chainrule.pipeline import JobCallback, Settings, Target, classification, target_tables
from chainrule.train import Monitor


class NetClassifier(ClassifierMixin, Network):  # type: ignore[misc]
    """A dense network that tells classes apart.

    y (n) of two classes is learned with one logit and the logistic loss, of more with softmax cross-entropy; y (n, k) of
    0 and 1 as k independent labels; y (n, m) of classes as m targets, a softmax for each. Inputs are standardized with
    the training rows' statistics, which stay with the model.

    Network: `hidden_layer_sizes` units of each hidden layer, (100,) as scikit-learn's; `activation` by name and `dropout`
    (fraction dropped), each one value or one for each hidden layer; `loss` None (what the targets ask for) or a loss of
    `chainrule.nn.losses` that fits them; `batch_norm`, `layer_norm` in every hidden layer; `initializer` None (what suits
    the activation) or by name.

    Steps: `optimizer`, `schedule` by name or as objects; `learning_rate_init` the base rate, or "find" for what a
    range test suggests; `learning_rate_multipliers` multipliers of the rate by patterns of parameter names, as
    {"0.*": 0.1, "*.b": 2.0}, 0 freezes; `batch_size` in rows, "auto" (about fifty steps an epoch, 32 to 256 rows) or
    None (full batch); `accumulate_grad_batches` batches make one step; `max_iter` epochs at most; `alpha`, `l1_alpha`
    factors of the L2 and L1 penalties; `max_grad_norm` the largest length of the gradient; `max_weight_norm` the
    largest length of a unit's incoming weights; `ema_decay` None, or the share that a running mean of the weights
    keeps at each step (0.99 to 0.9999), which then is what predicts.

    Ends: with `early_stopping`, `validation_fraction` of the rows are held out unless `fit` gets some, and the run ends
    after `n_iter_no_change` epochs without a gain above `tol` on them; without it, the training loss decides.
    `scoring` None (the loss) or a scorer of scikit-learn, by which validation rows choose and stop.

    Rows and classes: `class_weight` None, "balanced" or a mapping, for several targets a list of mappings;
    `label_smoothing` in [0, 1); `calibrate` False or "temperature": one number, fitted on the validation rows, makes the
    probabilities honest; `scaling` "columns", "shared" (pixels) or "none".

    Whole: `n_networks` trained side by side from seeds of their own, their probabilities averaged; `start` a fitted
    estimator or a `Model` whose layers and input scaling are taken over, the last layer too if the classes are the same;
    the arguments of the network above are then not read; `warm_start` goes on at each `fit`, optimizer included, with a
    course and schedule of its own; `callbacks` monitors of the run, `chainrule.doctor.Watcher()` for one; `engine` "auto"
    or a name; `dtype` "float32", "float64" or "auto": float64 for a float64 X of at most 32,768 numbers, which it does not
    slow down, else float32; `random_state` a whole number makes it repeatable; `verbose` draws a bar.

    Attributes: `classes_` (a list of them for several targets), `model_` (saves with `chainrule.io.save_model`), `run_`
    (`runs_` of several networks), `epochs_`, `learning_rate_init_`, `validation_scores_` (by `scoring`, else accuracy; of
    the last call) and `best_validation_score_` (of the epoch kept), `n_features_in_`, `feature_names_in_`, `t_` (rows
    seen), and the properties below.

    Raises `InvalidValueError` in `fit`, naming every argument outside what it may be.

    Reference  [ng2018], [howard2020] for groups and transfer, [smith2017] for the range test

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> NetClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True
    >>> base = NetClassifier((16,), max_iter=30, random_state=0).fit(X, y == 0)
    >>> tuned = NetClassifier(start=base, learning_rate_multipliers={"0.*": 0.0}, max_iter=30, random_state=0).fit(X, y)
    >>> bool((tuned.coefs_[0] == base.coefs_[0]).all())
    True
    """

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
        batch_size: int | str | None = "auto",
        accumulate_grad_batches: int = 1,
        max_iter: int = 100,
        alpha: float = 0.0,
        l1_alpha: float = 0.0,
        max_grad_norm: float | None = None,
        max_weight_norm: float | None = None,
        ema_decay: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        scoring: Any = None,
        class_weight: Mapping[Any, float] | str | Sequence[Any] | None = None,
        label_smoothing: float = 0.0,
        calibrate: bool | str = False,
        scaling: str = "columns",
        n_networks: int = 1,
        start: Any = None,
        warm_start: bool = False,
        callbacks: Sequence[Monitor | JobCallback] = (),
        engine: str = "auto",
        dtype: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        store(self, locals())

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> NetClassifier:
        """One epoch over these rows, at the base rate, from where the last call (or `fit`) ended.

        The first call must name all `classes` that will ever come unless y shows them: (K), for several targets a list. It
        also fixes the scaling of the inputs. Nothing is held out: `early_stopping`, `scoring`, `calibrate`, `schedule`
        and `callbacks` are for `fit`.

        Raises `InvalidValueError` for labels of no known class and for `class_weight="balanced"`.

        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0]] * 20), np.array(["no", "yes"] * 20)
        >>> network = NetClassifier((4,), learning_rate_init=0.05, random_state=0)
        >>> for _ in range(30):
        ...     _ = network.partial_fit(X, y)
        >>> network.predict([[0.0], [1.0]]).tolist()
        ['no', 'yes']
        """
        partial_fit(self, X, y, sample_weight, classes)
        return self

    def predict_proba(self, X: Any) -> Array | list[Array]:
        """Probability of each class (n, K), in the order of `classes_`; of each label (n, k); for several targets a list."""
        model = fitted_model(self)
        P = self._each(X, model.probabilities)
        return [P[:, block] for block in model.blocks] if isinstance(model.classes, tuple) else P

    def predict_log_proba(self, X: Any) -> Array | list[Array]:
        """The logarithm of `predict_proba`; minus infinity where a probability is 0."""
        P = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return [np.log(part) for part in P] if isinstance(P, list) else np.log(P)

    def predict(self, X: Any) -> Array:
        """Labels (n), 0 or 1 for each label (n, k), or a label for each target (n, m)."""
        return self._each(X, fitted_model(self).predict)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @property
    def _class_weight(self) -> Any:
        return self.class_weight

    def _targets(self, y: Array) -> Array:
        """y as classes: (n), or (n, k) where there are several columns."""
        check_classification_targets(y)
        return column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y

    def _strata(self, y: Array) -> Array | None:
        """Labels that are held out in proportion."""
        return y if y.ndim == 1 else None

    def _target(self, y: Array, rest: Array, weights: Array, settings: Settings, classes: Any = None) -> Target:
        named = y.ndim == 2 and classes is not None and np.ndim(classes[0]) > 0
        if y.ndim == 2 and not named and type_of_target(y).startswith("multilabel"):
            return classification(y, settings, labels=True)
        return classification(y, settings, tuple(map(np.asarray, classes)) if named else classes)

    def _tables(self, target: Target, y: Array) -> list[tuple[Array, Array]] | None:
        return None if self.class_weight is None else target_tables(target, y, self.class_weight)

    def _announce(self, target: Target) -> None:
        """Take note of the classes, which scorers ask for."""
        self.classes_ = list(target.classes) if isinstance(target.classes, tuple) else target.classes
