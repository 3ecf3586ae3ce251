"""Why: rows, targets and weights as a user has them are checked and put together in one way, whatever is done with them.

In: an estimator with its arguments, rows, targets, weights. Out: a `Call`: the job that they make, and what goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import split
from chainrule.errors import InvalidValueError, must_be
from chainrule.estimators.arguments import checked, seeds, settled_dtype
from chainrule.estimators.rows import training_rows, weights_of
from chainrule.model import Model
from chainrule.pipeline import (
    Job,
    Settings,
    Target,
    found_rate,
    prepare,
    row_weights,
    same_question,
    seeded,
    target_of,
)

Own = tuple[Any, Any, Any]
"""The user's validation rows: X, y, weights, or None for each."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call with rows: a job for each network, the validation rows (X, y, weights) in the user's units.

    `known` says whether the networks go on from where they ended, `weighted` whether rows have weights of their own.
    """

    jobs: list[Job]
    validation: tuple[Array, ...] | None
    known: bool
    weighted: bool


@dataclass(frozen=True, eq=False)
class _Given:
    """Rows, targets and weights, checked; the settings for them; the model that training begins from."""

    settings: Settings
    X: Array
    y: Array
    weights: Array
    base: Model | None
    known: bool


def fit_call(estimator: Any, X: Any, y: Any, sample_weight: Any, own: Own, fraction: float | None = None) -> Call:
    """A call of `fit`; rows to choose by are the user's `own`, else a `fraction` held out, None for what settings say."""
    given = _given(estimator, X, y, sample_weight, bool(estimator.warm_start) and hasattr(estimator, "model_"))
    validation, rest = _own_rows(estimator, own), np.arange(len(given.X))
    if fraction is None and given.settings.early_stopping:
        fraction = given.settings.validation_fraction
    if validation is None and fraction is not None:
        rest, held_out = _held_out(estimator, given, fraction)
        validation = (given.X[held_out], given.y[held_out], given.weights[held_out])
    _need_validation(estimator, given.settings.early_stopping or own[0] is not None)
    job = _job(estimator, given, rest, validation)
    settled = _with_rate(estimator, job, False)
    weighted = own[2] is not None or sample_weight is not None
    return Call(_jobs(estimator, settled, given), validation, given.known, weighted)


def partial_fit_call(estimator: Any, X: Any, y: Any, sample_weight: Any, classes: Any) -> Call:
    """A call of `partial_fit`: one epoch over these rows, none held out."""
    given = _given(estimator, X, y, sample_weight, hasattr(estimator, "model_"))
    asked = given.settings.batch_size
    rows = asked if isinstance(asked, str | None) else min(asked, len(given.X))
    given = replace(given, settings=replace(given.settings, max_iter=1, schedule="constant", batch_size=rows))
    if estimator._class_weight == "balanced":
        hint = "The rows of one call do not show how rare a class is; pass a mapping."
        raise InvalidValueError(must_be("partial_fit", "class_weight", "a mapping or None", "balanced", hint))
    job = _job(estimator, given, np.arange(len(given.X)), None, classes)
    return Call(_jobs(estimator, _with_rate(estimator, job, given.known), given), None, given.known, False)


def _given(estimator: Any, X: Any, y: Any, sample_weight: Any, known: bool) -> _Given:
    settings = checked(estimator)
    X, y = training_rows(estimator, X, y, not known, **estimator._checks)
    y, weights = estimator._targets(y), weights_of(sample_weight, X)
    dtype = str(estimator.model_.w.dtype) if known else settled_dtype(estimator.dtype, X)
    return _Given(replace(settings, dtype=dtype), X, y, weights, _base(estimator, known), known)


def _base(estimator: Any, known: bool) -> Model | None:
    """The model that training begins from: its own, or that of `start`."""
    start = estimator.model_ if known else estimator.start
    return start if start is None or isinstance(start, Model) else start.model_


def _own_rows(estimator: Any, own: Own) -> tuple[Array, ...] | None:
    """The user's validation rows, checked as training rows are."""
    X, y, sample_weight = own
    if (X is None) != (y is None) or (X is None and sample_weight is not None):
        missing = "X_val" if X is None else "y_val"
        hint = "X_val and y_val come together; sample_weight_val goes with them."
        raise InvalidValueError(must_be("fit", missing, "given", None, hint))
    if X is None:
        return None
    X, y = training_rows(estimator, X, y, False, **estimator._checks)
    return X, estimator._targets(y), weights_of(sample_weight, X)


def _held_out(estimator: Any, given: _Given, fraction: float) -> tuple[Array, Array]:
    """Numbers of the rows to train on, and of those held out."""
    strata = estimator._strata(given.y)
    return split(len(given.y) if strata is None else strata, fraction, given.settings.seed, stratify=strata is not None)


def _need_validation(estimator: Any, there: bool) -> None:
    """Refuse what is chosen by validation rows unless there are some."""
    for name, nothing in (("scoring", None), ("calibrate", False)):
        value = getattr(estimator, name, nothing)
        if not there and value is not nothing and value != nothing:
            hint = "Set early_stopping=True, or pass X_val and y_val to fit."
            raise InvalidValueError(
                must_be(type(estimator).__name__, name, f"{nothing} without validation rows", value, hint)
            )


def _job(estimator: Any, given: _Given, rest: Array, validation: tuple[Array, ...] | None, classes: Any = None) -> Job:
    """The job of the first network, over the rows `rest`."""
    target = _target(estimator, given, rest, classes)
    weights, held = _weighted(estimator, target, given, validation)
    return prepare(
        given.X[rest],
        given.y[rest],
        target,
        given.settings,
        weights=weights[rest],
        validation=held,
        base=given.base,
        feature_names=[str(name) for name in getattr(estimator, "feature_names_in_", ())],
    )


def _target(estimator: Any, given: _Given, rest: Array, classes: Any) -> Target:
    """What the targets say; a network that goes on, or is taken over whole, keeps its scaling of them."""
    base = given.base
    if given.known and base is not None:
        return replace(target_of(base), smoothing=given.settings.label_smoothing)
    target: Target = estimator._target(given.y, rest, given.weights, given.settings, classes)
    return replace(target, scaling=base.targets) if base is not None and same_question(base, target) else target


def _weighted(
    estimator: Any, target: Target, given: _Given, validation: tuple[Array, ...] | None
) -> tuple[Array, tuple[Array, ...] | None]:
    """Weights times those of the classes, which all rows together decide; the same for the validation rows."""
    tables = estimator._tables(target, given.y)
    if tables is None:
        return given.weights, validation
    if validation is not None:
        validation = (*validation[:2], validation[2] * row_weights(tables, validation[1]))
    return given.weights * row_weights(tables, given.y), validation


def _with_rate(estimator: Any, job: Job, known: bool) -> Job:
    """The job with its learning rate settled; one that was found before stays."""
    if not isinstance(estimator.learning_rate_init, str):
        estimator.learning_rate_init_ = float(estimator.learning_rate_init)
    elif not known or not hasattr(estimator, "learning_rate_init_"):
        estimator.learning_rate_init_ = found_rate(job)
    return replace(job, settings=replace(job.settings, learning_rate_init=estimator.learning_rate_init_))


def _jobs(estimator: Any, job: Job, given: _Given) -> list[Job]:
    """One job for each network: seeds of their own, and states of their own where they go on."""
    members = (None,) if given.base is None else given.base.members
    drawn = seeds(job.settings.seed, estimator.n_networks)
    jobs = [seeded(job, seed, members[i % len(members)]) for i, seed in enumerate(drawn)]
    if not given.known:
        return jobs
    return [each.after(estimator.runs_[i % len(estimator.runs_)].state) for i, each in enumerate(jobs)]
