"""Why: the unit of work is one rung of one trial: whoever does it, and however often it is begun, it comes to the same.

In: a `Problem` (rows that stay the same for the whole search) and `Work` (settings, a folder, how far to train). Out: an
`Outcome`. What a rung needs of the one before is its checkpoint in the trial's folder; without it, it begins at epoch 0 and
reaches the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data import Dataset, Parts
from chainrule.errors import FormatError, InvalidValueError
from chainrule.model import Model
from chainrule.nn import spec
from chainrule.pipeline import Settings, build_problem, stopping_monitors
from chainrule.train import Epoch, Run, Stop, StopReason, TrainingProblem, train
from chainrule.train.checkpoint import FolderCheckpointer, checkpoint_folder
from chainrule.train.monitors import Decision
from chainrule.train.records import Snapshot

PAUSED = Stop(StopReason.PAUSED, "at the end of its rung")
_PATIENCE = 15.0
"""Seconds to wait for a folder that another process, which is about to end, still holds."""


@dataclass(frozen=True, eq=False)
class Problem:
    """The rows of a search: to learn from, and to choose by. The test rows are not here: no worker ever has them."""

    train: Dataset
    validation: Dataset
    digest: str = ""

    @classmethod
    def of(cls, train: Dataset, validation: Dataset) -> Problem:
        """With the sha256 of all rows."""
        return cls(train, validation, digest_of(train, validation))


def digest_of(*parts: Dataset) -> str:
    """The sha256 of rows, their task and their names."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.task} {part.feature_names} {part.target_name}".encode())
        for array in (part.X, part.y):
            plain = np.ascontiguousarray(array.astype(str) if array.dtype == object else array)
            digest.update(f"{plain.dtype.str}{plain.shape}".encode())
            digest.update(plain.view(np.uint8).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Work:
    """One rung: train the settings, in the run kept under `folder`, from where it stands (`begin` epochs) to `end` epochs.

    `last` says that no rung follows, so that nothing has to be kept at its end; `model` that the model is wanted.
    """

    name: str
    settings: Settings
    folder: str
    begin: int
    end: int
    last: bool = True
    model: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a rung came to.

    `score` (accuracy, or rmse in the target's own unit) and `loss` on the validation rows, at the best epoch so far, which
    is the one with the lowest validation loss. `curve` are pairs of epoch and score, from the first epoch on. `ended` says
    that the trial has nothing left to train; `fault` why it has no score; `interrupted` that it is to be done again.
    """

    name: str
    end: int
    score: float = math.nan
    loss: float = math.nan
    epochs: int = 0
    best_epoch: int | None = None
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    ended: bool = True
    fault: str = ""
    interrupted: bool = False
    engine: str = ""
    model: Model | None = field(default=None, compare=False, repr=False)


class JobCache:
    """The problem's rows as networks take them: scaled and encoded once for all trials that scale and encode alike."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._problems: dict[tuple[Any, ...], TrainingProblem] = {}

    def job(self, settings: Settings) -> TrainingProblem:
        """Return what training these settings needs."""
        key = (settings.scaling, settings.dtype, settings.loss, settings.quantiles, settings.label_smoothing)
        if key not in self._problems:
            self._problems = dict(list(self._problems.items())[-1:])
            self._problems[key] = build_problem(settings, Parts(self.problem.train, self.problem.validation, None))
        problem = self._problems[key]
        n, d = self.problem.train.X.shape
        assert problem.target is not None
        net = settings.network(d, problem.target.outputs)
        recipe = settings.recipe(net, problem.target.loss, n)
        return replace(problem, recipe=recipe, config=settings.config(), engine=settings.engine)


def perform(bench: JobCache, work: Work) -> Outcome:
    """Do one rung; whatever goes wrong with these settings is told in the outcome, never raised."""
    began = time.perf_counter()
    try:
        job = bench.job(work.settings)
        run = _train(bench.problem, job, work)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return Outcome(work.name, work.end, fault=text, seconds=time.perf_counter() - began)
    return _outcome(job, run, work, time.perf_counter() - began)


def _train(problem: Problem, job: TrainingProblem, work: Work) -> Run:
    plain = {"rows": problem.digest, "recipe": spec.encode(job.recipe), "config": spec.encode(job.config)}
    name = hashlib.sha256(json.dumps(plain, sort_keys=True, default=repr).encode()).hexdigest()
    monitors = stopping_monitors(replace(work.settings, early_stopping=True), validated=True)
    if work.end < job.config.epochs:
        monitors.append(Pause(work.end))
    with _held(work.folder, name) as inner:
        return train(job, monitors, checkpoint=RungKeeper(inner, work))


def _outcome(job: TrainingProblem, run: Run, work: Work, seconds: float) -> Outcome:
    unit = _unit(job, run.epochs)
    best = next((epoch for epoch in run.epochs if epoch.number == run.best_epoch), None)
    diverged = run.diverged and best is None
    return Outcome(
        work.name,
        work.end,
        math.nan if best is None else best.validation_score * unit,
        math.nan if best is None else best.validation_loss,
        len(run.epochs),
        run.best_epoch,
        tuple((epoch.number, epoch.validation_score * unit) for epoch in run.epochs),
        seconds,
        run.stop.reason is not StopReason.PAUSED or len(run.epochs) >= work.settings.max_iter,
        str(run.stop) if diverged else "",
        run.interrupted,
        run.engine,
        job.model(run.state) if work.model and not run.interrupted else None,
    )


def _unit(job: TrainingProblem, epochs: tuple[Epoch, ...]) -> float:
    """What a score of 1 means in the target's unit: an rmse is of scaled amounts."""
    scaling = None if job.target is None else job.target.scaling
    amounts = scaling is not None and len(epochs) > 0 and epochs[0].metric == "rmse"
    return float(np.sqrt(np.mean(scaling.scale**2))) if scaling is not None and amounts else 1.0


@dataclass(frozen=True)
class Pause:
    """Stops a run when epoch `at` is done, as a rung's end; the run can go on from there."""

    at: int

    def start(self, problem: TrainingProblem) -> None:
        """Nothing to remember."""

    def observe(self, memory: None, epoch: Epoch) -> tuple[None, Decision]:
        """Stop at the rung's end."""
        return None, Decision(stop=PAUSED if epoch.number >= self.at else None)

    def end(self, memory: None) -> None:
        """Nothing to close."""


class RungKeeper:
    """A folder's keeper that can go on after a pause, and writes nothing at an end that nothing follows."""

    signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    notes: tuple[str, ...] = ()

    def __init__(self, inner: FolderCheckpointer, work: Work) -> None:
        self._inner, self._work = inner, work

    def due(self) -> bool:
        """Whether the time between snapshots is over."""
        return self._inner.due()

    def save(self, snapshot: Snapshot) -> None:
        """Keep it, unless the run is over or its numbers are not needed any more."""
        if snapshot.stop is None or (snapshot.stop == PAUSED and not self._work.last):
            self._inner.save(snapshot)

    def load(self) -> Snapshot | None:
        """The last whole snapshot, its pause undone where there is more to train; None where none is whole."""
        try:
            snapshot = self._inner.load()
        except FormatError:
            return None
        if snapshot is None or snapshot.stop != PAUSED or len(snapshot.epochs) >= self._work.end:
            return snapshot
        return replace(snapshot, stop=None)


@contextmanager
def _held(folder: str, name: str) -> Iterator[FolderCheckpointer]:
    """The folder's keeper; waits for a process that holds it and is about to end, as after its driver was killed."""
    until = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        while (checkpointer := _entered(stack, folder, name, time.monotonic() < until)) is None:
            time.sleep(0.05)
        yield checkpointer


def _entered(stack: ExitStack, folder: str, name: str, again: bool) -> FolderCheckpointer | None:
    """The keeper, or None while it is held elsewhere and may be asked for `again`."""
    try:
        return stack.enter_context(checkpoint_folder(folder, name))
    except InvalidValueError:
        if again:
            return None
        raise


def forget(folder: str | Path) -> None:
    """Remove a trial's folder: its trial has ended."""
    shutil.rmtree(folder, ignore_errors=True)
