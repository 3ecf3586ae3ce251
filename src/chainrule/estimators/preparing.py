"""From an estimator's arguments and rows to the problems that its networks train on.

In: rows, targets, weights as a user has them. Out: a `Call`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import Unkeyed, plain_key
from chainrule.data import Task, split
from chainrule.data.splits import split_by_group, split_by_time
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.estimators.arguments import checked_settings, seeds, settled_dtype
from chainrule.estimators.call import Call, FitData, SplitBy, UserValidation
from chainrule.estimators.fitted import FittedNetwork
from chainrule.estimators.rows import training_rows, weights_of
from chainrule.model import Model
from chainrule.pipeline import Situation, build_problem, row_weights, unused
from chainrule.pipeline.option_names import ESTIMATOR
from chainrule.pipeline.targets import usual_parts
from chainrule.target import Target
from chainrule.train import TrainingProblem, find_learning_rate

BUILDING = (
    "hidden_layer_sizes",
    "activation",
    "batch_norm",
    "layer_norm",
    "dropout",
    "initializer",
    "scaling",
    "dtype",
    "loss",
    "quantiles",
    "label_smoothing",
)
"""Arguments that only the fit reads that builds the network."""


_NOT_JUDGED = frozenset({"seed", "learning_rate_multipliers"})


@lru_cache(maxsize=64)
def _unused(owner: str, at: Situation, key: tuple[Any, ...], settings: Unkeyed) -> tuple[str, ...]:
    """Return what `unused` says of settings without multipliers; no seed changes it."""
    return tuple(unused(owner, settings.one, at))


def _all_rows(data: FitData) -> Array | None:
    """Return None, or the numbers of all rows where those in memory are not in this order: sums depend on the order."""
    parts = [part for part in (data.X, data.y, data.weights) if part is not None]
    return None if all(part.flags.c_contiguous for part in parts) else np.arange(len(data.X))


def _weights_at(rows: Array, weights: Array | None, given: Array | None) -> Array:
    """Return the weights of rows that are held out; where none would count, as the user gave them."""
    if weights is not None and not weights[rows].any():
        weights = given
    return np.ones(len(rows)) if weights is None else weights[rows]


def _equal(one: Any, other: Any) -> bool:
    """Check whether two arguments mean the same; a list is as good as a tuple."""
    one, other = (tuple(value) if isinstance(value, list) else value for value in (one, other))
    return bool(one == other)


class PreparingNetwork(FittedNetwork):
    """An estimator that turns its arguments and rows into training problems; not for use by itself."""

    _task: ClassVar[Task]
    """What the estimator learns."""

    _checks: ClassVar[dict[str, Any]] = {}
    """Arguments of scikit-learn's check of rows and targets."""

    def _checked_targets(self, y: Array) -> Array:
        """Return y as this kind of estimator takes it."""
        raise NotImplementedError

    def _stratify_by(self, y: Array) -> Array | None:
        """Return the labels that are held out in proportion; None to hold out rows at random."""
        raise NotImplementedError

    def _target(self, data: FitData, rest: Array | None, classes: Any) -> Target:
        """Return what the targets of the rows `rest` are, or of all of them."""
        raise NotImplementedError

    def _class_tables(self, target: Target, y: Array) -> list[tuple[Array, Array]] | None:
        """Return the classes and their weights for each column of y; None where all weigh the same."""
        raise NotImplementedError

    def _fit_call(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        user: UserValidation,
        split_by: SplitBy,
        fraction: float | None = None,
    ) -> Call:
        """Return a call of `fit`.

        Validation rows are the user's, otherwise a `fraction` is held out; None takes what the settings say.
        """
        data = self._fit_data(X, y, sample_weight, bool(self.warm_start) and hasattr(self, "model_"))
        self._refuse_unused(data, user[0] is not None)
        given = data.weights
        data, validation = self._without_wild_targets(data, self._validation_rows(user))
        rest, count = _all_rows(data), len(data.X)
        if fraction is None and data.settings.early_stopping:
            fraction = data.settings.validation_fraction
        keys = self._split_keys(split_by, len(data.X), validation is None and fraction is not None)
        if validation is None and fraction is not None:
            rest, held_out = self._split(data, fraction, **keys)
            weights = _weights_at(held_out, data.weights, given)
            count, validation = len(rest), (data.X[held_out], data.y[held_out], weights)
        self._require_validation(data.settings.early_stopping or user[0] is not None)
        epochs = data.settings.epochs(count, validation is not None)
        data = replace(data, settings=data.settings.settled(max_iter=epochs))
        problem = self._with_rate(self._problem(data, rest, validation), known=False)
        weighted = user[2] is not None or sample_weight is not None
        return Call(data.settings, self._problems(problem, data), validation, data.continues, weighted)

    def _partial_fit_call(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Call:
        """Return a call of `partial_fit`: one epoch over these rows, none held out."""
        data = self._fit_data(X, y, sample_weight, hasattr(self, "model_"))
        size = data.settings.batch_size
        size = size if isinstance(size, str) else min(size, len(data.X))
        settings = replace(data.settings, max_iter=1, schedule="constant", batch_size=size)
        data = replace(data, settings=settings)
        self._refuse_unused(data, False)
        class_weight = getattr(self, "class_weight", None)
        if isinstance(class_weight, str) and class_weight == "balanced":
            hint = "The rows of one call do not show how rare a class is; pass a mapping."
            raise InvalidValueError(must_be("partial_fit", "class_weight", "a mapping or None", "balanced", hint))
        problem = self._problem(data, _all_rows(data), None, classes)
        problems = self._problems(self._with_rate(problem, data.continues), data)
        return Call(settings, problems, None, data.continues, False)

    def _without_wild_targets(
        self, data: FitData, validation: tuple[Array, ...] | None
    ) -> tuple[FitData, tuple[Array, ...] | None]:
        """Return both parts with weights of 0 for targets far from all others, if squares are minimized; warn of them."""
        if self._task != "regression":
            return data, validation
        owner, loss = type(self).__name__, data.settings.regression_loss()
        weights, validation = usual_parts(owner, data.y, data.weights, validation, loss)
        return (data if weights is data.weights else replace(data, weights=weights)), validation

    def _refuse_unused(self, data: FitData, own_validation: bool) -> None:
        """Refuse arguments that this call of `fit` would not use."""
        owner = type(self).__name__
        inherits = None if data.base is None or data.continues else data.base.net
        at = Situation(self._task, own_validation, inherits)
        changed = [] if not data.continues else self._changed_since()
        hint = "A network that continues keeps what that fit built."
        values = {name: value for name, value in vars(data.settings).items() if name not in _NOT_JUDGED}
        key = plain_key(values) if inherits is None and not data.settings.learning_rate_multipliers else None
        raise_all(
            [
                *(unused(owner, data.settings, at) if key is None else _unused(owner, at, key, Unkeyed(data.settings))),
                *(must_be(owner, name, f"{old!r}, as in the first fit", new, hint) for name, old, new in changed),
            ]
        )

    def _changed_since(self) -> list[tuple[str, Any, Any]]:
        """Return each argument that only the first of several fits reads, and that was changed since."""
        before: dict[str, Any] = getattr(self, "built_with_", {})
        now = self._arguments()
        return [(name, old, now[name]) for name, old in before.items() if not _equal(old, now[name])]

    def _fit_data(self, X: Any, y: Any, sample_weight: Any, continues: bool) -> FitData:
        """Return rows, targets and weights, checked, with all arguments."""
        settings = checked_settings(type(self).__name__, self._arguments())
        X, y = training_rows(self, X, y, not continues, **self._checks)
        y = self._checked_targets(y)
        weights = None if sample_weight is None else weights_of(sample_weight, X)
        dtype = str(self.model_.w.dtype) if continues else settled_dtype(self.dtype, X)
        return FitData(settings.settled(dtype=dtype), X, y, weights, self._base(continues), continues)

    def _arguments(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def _base(self, continues: bool) -> Model | None:
        """Return the model that training begins from: its own, or that of `init_from`."""
        base = self.model_ if continues else self.init_from
        model: Model | None = base if base is None or isinstance(base, Model) else base.model_
        return model

    def _validation_rows(self, user: UserValidation) -> tuple[Array, ...] | None:
        """Return the user's validation rows, checked as training rows are."""
        X, y, sample_weight = user
        if (X is None) != (y is None) or (X is None and sample_weight is not None):
            missing = "X_val" if X is None else "y_val"
            hint = "X_val and y_val come together; sample_weight_val goes with them."
            raise InvalidValueError(must_be("fit", missing, "given", None, hint))
        if X is None:
            return None
        X, y = training_rows(self, X, y, False, **self._checks)
        return X, self._checked_targets(y), weights_of(sample_weight, X)

    def _split_keys(self, split_by: SplitBy, n: int, splits: bool) -> dict[str, Array]:
        """Return the groups or times of the rows, checked."""
        keys = {name: np.asarray(key) for name, key in vars(split_by).items() if key is not None}
        for name, key in keys.items():
            if not splits:
                hint = "Set early_stopping=True and leave X_val out."
                raise InvalidValueError(must_be("fit", name, "None where no rows are held out", "an array", hint))
            if key.shape != (n,):
                raise InvalidValueError(must_be("fit", name, f"of shape ({n},), one for each row", key.shape))
        if len(keys) > 1:
            raise InvalidValueError(
                must_be("fit", "groups", "None beside times", "both", "Rows are split by one of them.")
            )
        return keys

    def _split(
        self, data: FitData, fraction: float, groups: Array | None = None, times: Array | None = None
    ) -> tuple[Array, Array]:
        """Return the indices of the rows to train on, and of those held out."""
        labels = self._stratify_by(data.y)
        if groups is not None:
            return split_by_group(groups, fraction, data.settings.seed, labels)
        if times is not None:
            return split_by_time(times, fraction)
        rows = len(data.y) if labels is None else labels
        return split(rows, fraction, data.settings.seed, stratify=labels is not None)

    def _require_validation(self, there: bool) -> None:
        """Refuse arguments that need validation rows unless there are some."""
        for name, nothing in (("scoring", None), ("calibrate", False)):
            value = getattr(self, name, nothing)
            if not there and value is not nothing and value is not None and value is not False:
                hint = "Set early_stopping=True, or pass X_val and y_val to fit."
                allowed = f"{nothing} without validation rows"
                raise InvalidValueError(must_be(type(self).__name__, name, allowed, value, hint))

    def _problem(
        self, data: FitData, rest: Array | None, validation: tuple[Array, ...] | None, classes: Any = None
    ) -> TrainingProblem:
        """Return the problem of the first network, over the rows `rest`, or all of them."""
        target = self._whole_target(data, rest, classes)
        weights, held_out = self._weighted(target, data, validation)
        problem = build_problem(
            data.settings,
            (data.X, data.y),
            target=target,
            rows=rest,
            weights=weights,
            validation=held_out,
            init_from=data.base,
            feature_names=[str(name) for name in getattr(self, "feature_names_in_", ())],
        )
        return replace(problem, interface=ESTIMATOR)

    def _whole_target(self, data: FitData, rest: Array | None, classes: Any) -> Target:
        """Return what the targets are; a network that goes on, or is taken over whole, keeps its scaling of them."""
        base = data.base
        if data.continues and base is not None:
            return replace(Target.of(base), smoothing=data.settings.label_smoothing)
        target = self._target(data, rest, classes)
        return replace(target, scaling=base.targets) if base is not None and target.matches(base) else target

    def _weighted(
        self, target: Target, data: FitData, validation: tuple[Array, ...] | None
    ) -> tuple[Array | None, tuple[Array, ...] | None]:
        """Return weights times those of the classes, which all rows together decide; the same for the validation rows."""
        tables = self._class_tables(target, data.y)
        if tables is None:
            return data.weights, validation
        if validation is not None:
            validation = (*validation[:2], validation[2] * row_weights(tables, validation[1]))
        weights = row_weights(tables, data.y)
        return weights if data.weights is None else data.weights * weights, validation

    def _with_rate(self, problem: TrainingProblem, known: bool) -> TrainingProblem:
        """Return the problem with its learning rate settled; one that was found before stays."""
        if not isinstance(self.learning_rate_init, str):
            self.learning_rate_init_ = float(self.learning_rate_init)
        elif not known or not hasattr(self, "learning_rate_init_"):
            self.learning_rate_init_ = find_learning_rate(problem).suggestion
        return problem.with_learning_rate(self.learning_rate_init_)

    def _problems(self, problem: TrainingProblem, data: FitData) -> tuple[TrainingProblem, ...]:
        """Return a problem for each network: seeds of their own, and states of their own where they go on."""
        problems = [problem.with_seed(seed) for seed in seeds(problem.recipe.seed, self.n_networks)]
        if data.base is not None:
            members = data.base.members
            problems = [each.with_weights_of(members[i % len(members)]) for i, each in enumerate(problems)]
        if data.continues:
            problems = [each.after(self.runs_[i % len(self.runs_)].state) for i, each in enumerate(problems)]
        return tuple(problems)
