"""Why: whatever the estimator, a fit is the same: check, hold out, begin or go on, train, and say what came of it.

In: an estimator with its arguments, rows, targets, weights. Out: its fitted attributes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.arrays import Array
from chainrule.calibration import temperature
from chainrule.data import split
from chainrule.ensemble import train_together
from chainrule.errors import InvalidValueError, must_be
from chainrule.estimators.arguments import checked, seeds, settled_dtype
from chainrule.estimators.rows import training_rows, weights_of
from chainrule.estimators.scoring import Score, Scoring, scorer
from chainrule.inspection import importances
from chainrule.model import Model
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.pipeline import (
    Job,
    Settings,
    Target,
    found_rate,
    prepare,
    row_weights,
    run,
    same_question,
    seeded,
    target_of,
)
from chainrule.train import BestWeights, EarlyStopping, Monitor, Progress, Run

_LOOKED_AT = 256
"""Training rows, evenly spaced, from which the importance of columns is measured."""


def fit(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    own: tuple[Any, Any, Any] = (None, None, None),
    checkpoint: str | Path | None = None,
) -> Any:
    """Train on rows and targets, with the user's `own` validation rows (X, y, weights) if there are any."""
    settings = checked(estimator)
    warm = estimator.warm_start and hasattr(estimator, "model_")
    X, y = training_rows(estimator, X, y, not warm, **estimator._checks)
    y = estimator._targets(y)
    weights = weights_of(sample_weight, X)
    settings = replace(settings, dtype=_dtype(estimator, X, warm))
    validation, rest = _own_rows(estimator, own), np.arange(len(X))
    if validation is None and settings.early_stopping:
        strata = estimator._strata(y)
        rows, fraction = len(y) if strata is None else strata, settings.validation_fraction
        rest, held_out = split(rows, fraction, settings.seed, stratify=strata is not None)
        validation = (X[held_out], y[held_out], weights[held_out])
    _need_validation(estimator, validation)
    base = _base(estimator, warm)
    target = _target(estimator, y, rest, weights, settings, base, warm)
    weights, held = _weighted(estimator, target, y, weights, validation)
    job = prepare(
        X[rest],
        y[rest],
        target,
        settings,
        weights=weights[rest],
        validation=held,
        base=base,
        feature_names=[str(name) for name in getattr(estimator, "feature_names_in_", ())],
    )
    return _train(estimator, job, base, validation, own[2] is not None or sample_weight is not None, checkpoint, warm)


def partial_fit(estimator: Any, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Any:
    """One epoch over these rows, from where the last call ended."""
    settings, known = checked(estimator), hasattr(estimator, "model_")
    X, y = training_rows(estimator, X, y, not known, **estimator._checks)
    y = estimator._targets(y)
    weights = weights_of(sample_weight, X)
    rows = settings.batch_size if isinstance(settings.batch_size, str | None) else min(settings.batch_size, len(X))
    settings = replace(settings, dtype=_dtype(estimator, X, known), max_iter=1, schedule="constant", batch_size=rows)
    base = _base(estimator, known)
    target = _target(estimator, y, np.arange(len(X)), weights, settings, base, known, classes)
    if estimator._class_weight == "balanced":
        hint = "The rows of one call do not show how rare a class is; pass a mapping."
        raise InvalidValueError(must_be("partial_fit", "class_weight", "a mapping or None", "balanced", hint))
    weights, _ = _weighted(estimator, target, y, weights, None)
    names = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    job = prepare(X, y, target, settings, weights=weights, base=base, feature_names=names)
    jobs = _jobs(estimator, _with_rate(estimator, job, known), base, known)
    _finish(estimator, jobs, [run(each) for each in jobs], None, known)
    estimator._importances = None
    _figures(estimator, None, False)
    return estimator


def _dtype(estimator: Any, X: Array, known: bool) -> str:
    """What "auto" means for these rows; a network that goes on keeps its own."""
    return str(estimator.model_.w.dtype) if known else settled_dtype(estimator.dtype, X)


def _own_rows(estimator: Any, own: tuple[Any, Any, Any]) -> tuple[Array, ...] | None:
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


def _need_validation(estimator: Any, validation: tuple[Array, ...] | None) -> None:
    """Refuse what is chosen by validation rows where there are none."""
    for name, nothing in (("scoring", None), ("calibrate", False)):
        value = getattr(estimator, name, nothing)
        if validation is None and value is not nothing and value != nothing:
            hint = "Set early_stopping=True, or pass X_val and y_val to fit."
            raise InvalidValueError(
                must_be(type(estimator).__name__, name, f"{nothing} without validation rows", value, hint)
            )


def _base(estimator: Any, known: bool) -> Model | None:
    """The model that training begins from: its own, or that of `start`."""
    if known:
        return estimator.model_  # type: ignore[no-any-return]
    start = estimator.start
    return start if start is None or isinstance(start, Model) else start.model_


def _target(
    estimator: Any,
    y: Array,
    rest: Array,
    weights: Array,
    settings: Settings,
    base: Model | None,
    known: bool,
    classes: Any = None,
) -> Target:
    """What the targets say; a network that goes on, or is taken over whole, keeps its scaling of them."""
    if known and base is not None:
        return replace(target_of(base), smoothing=settings.label_smoothing)
    target: Target = estimator._target(y, rest, weights, settings, classes)
    kept = base is not None and same_question(base, target)
    return replace(target, scaling=base.targets) if kept and base is not None else target


def _weighted(
    estimator: Any, target: Target, y: Array, weights: Array, validation: tuple[Array, ...] | None
) -> tuple[Array, tuple[Array, ...] | None]:
    """Weights times those of the classes, which all rows together decide; the same for the validation rows."""
    tables = estimator._tables(target, y)
    if tables is None:
        return weights, validation
    weights = weights * row_weights(tables, y)
    if validation is not None:
        validation = (*validation[:2], validation[2] * row_weights(tables, validation[1]))
    return weights, validation


def _with_rate(estimator: Any, job: Job, known: bool) -> Job:
    """The job with its learning rate settled; one that was found before stays."""
    if not isinstance(estimator.learning_rate_init, str):
        estimator.learning_rate_init_ = float(estimator.learning_rate_init)
    elif not known or not hasattr(estimator, "learning_rate_init_"):
        estimator.learning_rate_init_ = found_rate(job)
    return replace(job, settings=replace(job.settings, learning_rate_init=estimator.learning_rate_init_))


def _jobs(estimator: Any, job: Job, base: Model | None, known: bool) -> list[Job]:
    """One job for each network: seeds of their own, and states of their own where they go on."""
    members = (None,) if base is None else base.members
    drawn = seeds(job.settings.seed, estimator.n_networks)
    jobs = [seeded(job, drawn[i], members[i % len(members)]) for i in range(estimator.n_networks)]
    if not known:
        return jobs
    return [each.after(estimator.runs_[i % len(estimator.runs_)].state) for i, each in enumerate(jobs)]


def _train(
    estimator: Any,
    job: Job,
    base: Model | None,
    validation: tuple[Array, ...] | None,
    weighted: bool,
    checkpoint: str | Path | None,
    warm: bool,
) -> Any:
    """Train every network and set the fitted attributes."""
    estimator._announce(job.target)
    jobs = _jobs(estimator, _with_rate(estimator, job, False), base, warm)
    score = None
    if estimator.scoring is not None and validation is not None:
        score = scorer(estimator, validation, weighted)
    folders = _folders(checkpoint, len(jobs))
    monitors = [_monitors(estimator, each, i, score, folders[i]) for i, each in enumerate(jobs)]
    calls = [
        lambda each=each, watching=watching, folder=folder: run(each, watching, folder)
        for each, watching, folder in zip(jobs, monitors, folders, strict=True)
    ]
    runs = [calls[0]()] if len(calls) == 1 else train_together(calls)
    _finish(estimator, jobs, runs, validation, warm)
    estimator._importances = _importances(estimator.model_, jobs[0])
    scored = [monitor.scores for monitor in monitors[0] if isinstance(monitor, Scoring)]
    _figures(estimator, scored[0] if scored else None, validation is not None)
    return estimator


def _folders(checkpoint: str | Path | None, count: int) -> list[Path | None]:
    """Where each network's run is kept."""
    if checkpoint is None:
        return [None] * count
    return [Path(checkpoint)] if count == 1 else [Path(checkpoint) / f"network-{i}" for i in range(count)]


def _monitors(estimator: Any, job: Job, number: int, score: Score | None, folder: Path | None) -> list[Monitor]:
    """What keeps the best epoch, what stops, what the user brought, and the bar for the first network."""
    settings, rules = job.settings, list[Monitor]()
    patience, tolerance = settings.n_iter_no_change, settings.tol
    validated = job.held_out is not None
    if validated:
        chosen = EarlyStopping(patience, tolerance) if settings.early_stopping else BestWeights()
        file = None if folder is None else folder / "scores.json"
        rules.append(chosen if score is None else Scoring(job.model, score, chosen, file=file))
    if not (validated and settings.early_stopping):
        rules.append(EarlyStopping(patience, tolerance, "train_loss", keep=False))
    return [*rules, *estimator.callbacks, *([Progress()] if estimator.verbose and number == 0 else [])]


def _finish(
    estimator: Any, jobs: Sequence[Job], runs: Sequence[Run], validation: tuple[Array, ...] | None, known: bool
) -> None:
    """The fitted attributes that every way of training sets."""
    first, *others = (job.model(ended.state) for job, ended in zip(jobs, runs, strict=True))
    model: Model = replace(first, others=tuple((other.w, other.buffers) for other in others))
    if known:
        model = replace(model, temperature=estimator.model_.temperature)
    if getattr(estimator, "calibrate", False) and validation is not None:
        model = replace(model, temperature=_temperature(model, *validation))
    estimator._announce(jobs[0].target)
    estimator.model_, estimator.run_, estimator.runs_ = model, runs[0], tuple(runs)
    estimator.epochs_ = [*(estimator.epochs_ if known else ()), *runs[0].epochs]
    rows = jobs[0].rows
    estimator.t_ = (estimator.t_ if known else 0) + len(rows) * len(runs[0].epochs)
    if any(ended.diverged for ended in runs):
        told = next(ended.stopped for ended in runs if ended.diverged)
        advice = "Lower learning_rate_init, or set clip_norm."
        warnings.warn(f"{told}. {advice}", ConvergenceWarning, stacklevel=5)


def _temperature(model: Model, X: Array, y: Array, weights: Array) -> float:
    """The temperature of unsmoothed targets."""
    loss = SoftmaxCrossEntropy() if isinstance(model.loss, SoftmaxCrossEntropy) else model.loss
    return float(temperature(loss, model.logits(X), target_of(model).encode(y), weights))


def _importances(model: Model, job: Job) -> Array | None:
    """Importance of each column, from some of the training rows; None for a loss that does not name its link."""
    take = np.linspace(0, len(job.rows) - 1, min(len(job.rows), _LOOKED_AT)).astype(int)
    X, c = model.inputs.undo(job.rows.X[take].astype(np.float64)), job.rows.c[take]
    try:
        return importances(model, X, c if c.any() else None)
    except InvalidValueError:
        return None


def _figures(estimator: Any, scores: dict[int, float] | None, validated: bool) -> None:
    """The validation scores of this call, by `scoring` or by the loss's metric."""
    epochs = estimator.run_.epochs
    by_epoch = scores or {epoch.number: epoch.validation_score for epoch in epochs}
    estimator.validation_scores_ = [by_epoch[epoch.number] for epoch in epochs] if validated else None
    best = estimator.run_.best_epoch
    estimator.best_validation_score_ = by_epoch[best] if validated and best is not None else None
