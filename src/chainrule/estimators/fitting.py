"""Why: whatever the estimator, a fit is the same: make the jobs, train under monitors, and say what came of it.

In: an estimator with its arguments, rows, targets, weights. Out: its fitted attributes, or the doctor's report.
"""

from __future__ import annotations

import copy
import signal
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from chainrule.arrays import Array
from chainrule.calibration import temperature
from chainrule.callbacks.scikit_learn import Fitted, fit_task
from chainrule.ensemble import train_together
from chainrule.estimators.preparing import Call, Own, fit_call, partial_fit_call
from chainrule.estimators.scoring import Score, Scoring, scorer
from chainrule.model import Model
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.schedules import ConstantSchedule
from chainrule.pipeline import Job, run, target_of
from chainrule.pipeline.option_names import ESTIMATOR
from chainrule.train import BestWeights, EarlyStopping, Monitor, Progress, Run

if TYPE_CHECKING:
    from chainrule.doctor import Report
    from chainrule.train.problem import TrainingProblem

_LOOKED_AT = 256
"""Training rows from which the importance of columns is measured when it is asked for."""

_JUDGING = 0.2
"""Share of rows that an examination holds out where `fit` would hold out none."""


def fit(
    estimator: Any, X: Any, y: Any, sample_weight: Any, own: Own = (None, None, None), folder: str | Path | None = None
) -> Any:
    """Train on rows and targets, with the user's `own` validation rows if there are any; the run is kept in the folder."""
    call = fit_call(estimator, X, y, sample_weight, own)
    estimator._announce(call.jobs[0].target)
    score, folders = _score(estimator, call), _folders(folder, len(call.jobs))
    metadata = None if sample_weight is None else {"sample_weight": sample_weight}
    models = [_predicting(job) for job in call.jobs]
    with fit_task(estimator, call.jobs[0].settings.max_iter, models, X=X, y=y, metadata=metadata) as told:
        monitors = [
            [*_rules(job, score, place), *_watching(estimator, job, i), *told[i]]
            for i, (job, place) in enumerate(zip(call.jobs, folders, strict=True))
        ]
        runs = _runs(call.jobs, monitors, folders)
        _finish(estimator, call, runs)
        scored = [monitor.scores for monitor in monitors[0] if isinstance(monitor, Scoring)]
        _figures(estimator, scored[0] if scored else None, call.validation is not None)
    estimator._looked_at = _some_rows(call.jobs[0])
    _warn(runs, 5)
    return estimator


def partial_fit(estimator: Any, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Any:
    """One epoch over these rows, from where the last call ended."""
    call = partial_fit_call(estimator, X, y, sample_weight, classes)
    runs = _runs(call.jobs, [[]] * len(call.jobs), [None] * len(call.jobs))
    _finish(estimator, call, runs)
    _figures(estimator, None, False)
    estimator._looked_at = None
    _warn(runs, 4)
    return estimator


def examine(estimator: Any, X: Any, y: Any, sample_weight: Any, own: Own, fix: bool) -> Report:
    """The doctor's report on what `fit` would train; the estimator stays as it is."""
    from chainrule.doctor import examine_and_repair

    twin = copy.copy(estimator)
    chooses = estimator.early_stopping or own[0] is not None
    call = fit_call(twin, X, y, sample_weight, own, None if chooses else _JUDGING)
    twin._announce(call.jobs[0].target)
    case = _case(twin, call, chooses)
    count = len(case.validation or ())
    notes = () if chooses else (f"{count} of {count + len(case.rows)} rows were held out to judge by.",)
    return replace(examine_and_repair(case, fix=fix, notes=notes), interface=ESTIMATOR)


def _case(estimator: Any, call: Call, chooses: bool) -> TrainingProblem:
    """The first network's training, as long as `fit` would train it where that does not change the schedule."""
    from chainrule.doctor import problem_of

    job, score = call.jobs[0], _score(estimator, call)
    case, alone = problem_of(job), job if chooses else replace(job, held_out=None)
    if not isinstance(case.config.schedule, ConstantSchedule):
        return case
    ended = run(alone, _rules(alone, score, None))
    if ended.diverged or not ended.epochs:
        return case
    return replace(case, config=replace(case.config, epochs=ended.best_epoch or ended.epochs[-1].number))


def _score(estimator: Any, call: Call) -> Score | None:
    """What chooses and stops by `scoring`; None where the loss does."""
    if estimator.scoring is None or call.validation is None:
        return None
    return scorer(estimator, call.validation, call.weighted)


def _predicting(job: Job) -> Fitted:
    """What makes a copy of the estimator predict with an epoch's weights."""
    return lambda epoch: {"model_": job.model(epoch.state())}


def _folders(checkpoint: str | Path | None, count: int) -> list[Path | None]:
    """Where each network's run is kept."""
    if checkpoint is None:
        return [None] * count
    return [Path(checkpoint)] if count == 1 else [Path(checkpoint) / f"network-{i}" for i in range(count)]


def _rules(job: Job, score: Score | None, folder: Path | None) -> list[Monitor]:
    """What keeps the best epoch, and what stops."""
    settings, rules = job.settings, list[Monitor]()
    patience, tolerance = settings.n_iter_no_change, settings.tol
    validated = job.held_out is not None
    if validated:
        chosen = EarlyStopping(patience, tolerance) if settings.early_stopping else BestWeights()
        file = None if folder is None else folder / "scores.json"
        rules.append(chosen if score is None else Scoring(job.model, score, chosen, file=file))
    if not (validated and settings.early_stopping):
        rules.append(EarlyStopping(patience, tolerance, "train_loss", keep=False))
    return rules


def _watching(estimator: Any, job: Job, number: int) -> list[Monitor]:
    """What the user brought, and the bar for the first network."""
    brought = [each.for_job(job) if hasattr(each, "for_job") else each for each in estimator.callbacks]
    return [*brought, *([Progress()] if estimator.verbose and number == 0 else [])]


def _runs(jobs: Sequence[Job], monitors: Sequence[Sequence[Monitor]], folders: Sequence[Path | None]) -> list[Run]:
    """The run of each network; after Ctrl-C only of those that began."""
    if len(jobs) == 1:
        return [run(jobs[0], monitors[0], folders[0])]
    calls = [
        lambda job=job, watching=watching, folder=folder: run(job, watching, folder)
        for job, watching, folder in zip(jobs, monitors, folders, strict=True)
    ]
    kept = folders[0] is not None
    return train_together(calls, signals=(signal.SIGINT, signal.SIGTERM) if kept else (signal.SIGINT,))


def _finish(estimator: Any, call: Call, runs: Sequence[Run]) -> None:
    """The fitted attributes that every way of training sets."""
    known, jobs = call.known, call.jobs[: len(runs)]
    first, *others = (job.model(ended.state) for job, ended in zip(jobs, runs, strict=True))
    model: Model = replace(first, others=tuple((other.w, other.buffers) for other in others))
    if known:
        model = replace(model, temperature=estimator.model_.temperature)
    if getattr(estimator, "calibrate", False) and call.validation is not None:
        model = replace(model, temperature=_temperature(model, *call.validation))
    estimator._announce(jobs[0].target)
    estimator.model_, estimator.run_, estimator.runs_ = model, runs[0], tuple(runs)
    estimator.epochs_ = [*(estimator.epochs_ if known else ()), *runs[0].epochs]
    estimator.t_ = (estimator.t_ if known else 0) + len(jobs[0].rows) * len(runs[0].epochs)


def _warn(runs: Sequence[Run], frames: int) -> None:
    """Warn of a loss that is no longer a number, at the line so many frames up that called `fit`."""
    told = next((ended.stopped for ended in runs if ended.diverged), None)
    if told is not None:
        advice = "Lower learning_rate_init, or set max_grad_norm."
        warnings.warn(f"{told}. {advice}", ConvergenceWarning, stacklevel=frames)


def _temperature(model: Model, X: Array, y: Array, weights: Array) -> float:
    """The temperature of unsmoothed targets."""
    loss = SoftmaxCrossEntropy() if isinstance(model.loss, SoftmaxCrossEntropy) else model.loss
    return float(temperature(loss, model.logits(X), target_of(model).encode(y), weights))


def _some_rows(job: Job) -> tuple[Array, Array]:
    """Training rows on the network's scale, evenly spaced, with their weights."""
    take = np.linspace(0, len(job.rows) - 1, min(len(job.rows), _LOOKED_AT)).astype(int)
    return job.rows.X[take], job.rows.c[take]


def _figures(estimator: Any, scores: dict[int, float] | None, validated: bool) -> None:
    """The validation scores of this call, by `scoring` or by the loss's metric."""
    epochs = estimator.run_.epochs
    by_epoch = scores or {epoch.number: epoch.validation_score for epoch in epochs}
    estimator.validation_scores_ = [by_epoch[epoch.number] for epoch in epochs] if validated else None
    best = estimator.run_.best_epoch
    estimator.best_validation_score_ = by_epoch[best] if validated and best is not None else None
