"""One rung of one trial, the unit of work: its result does not depend on where it runs or how often it is started.

In: `SearchData` (rows that stay the same for the whole search) and a `RungTask` (settings, a folder, how far to train).
Out: a `RungResult`. A rung continues from the previous one's checkpoint in the trial's folder; without it, it starts at
epoch 0 and reaches the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data import Dataset, Parts
from chainrule.errors import FormatError, InvalidValueError, WriteError
from chainrule.model import Model
from chainrule.nn import spec
from chainrule.pipeline import Settings, build_problem, stopping_monitors
from chainrule.train import Epoch, Run, Stop, StopReason, TrainingProblem, train
from chainrule.train.checkpoint import FolderCheckpointer, checkpoint_folder
from chainrule.train.columns import Columns
from chainrule.train.monitors import Decision
from chainrule.train.records import Snapshot

PAUSED = Stop(StopReason.PAUSED, "at the end of its rung")
_PATIENCE = 15.0
"""Seconds to wait for a folder that another process, which is about to end, still locks."""


@dataclass(frozen=True, eq=False)
class SearchData:
    """Training and validation rows of a search. Test rows are not here: no worker ever has them."""

    train: Dataset
    validation: Dataset
    digest: str = ""

    @classmethod
    def of(cls, train: Dataset, validation: Dataset) -> SearchData:
        """Return the rows with their sha256."""
        return cls(train, validation, digest_of(train, validation))


def digest_of(*parts: Dataset) -> str:
    """Return the sha256 of rows, their task and their names."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.task} {part.feature_names} {part.target_name}".encode())
        for array in (part.X, part.y):
            plain = np.ascontiguousarray(array.astype(str) if array.dtype == object else array)
            digest.update(f"{plain.dtype.str}{plain.shape}".encode())
            digest.update(plain.view(np.uint8).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class RungTask:
    """A rung to do: train the settings, in the run saved under `folder`, from `begin` epochs to `end` epochs.

    `last` says that no rung follows, so that nothing must be saved at its end; `model` that the model is wanted.
    """

    name: str
    settings: Settings
    folder: str
    begin: int
    end: int
    last: bool = True
    model: bool = False


@dataclass(frozen=True)
class RungResult:
    """Result of a rung.

    `score` (accuracy, or rmse in the target's own unit) and `loss` are those of the validation rows at the best epoch so
    far, the one with the lowest validation loss. `curve` holds pairs of epoch and score from the first epoch on. `ended`
    says that the trial has nothing left to train, `fault` why it has no score, `interrupted` that it must be done again,
    `unwritable` that the disk is at fault and the search must end.
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
    unwritable: bool = False
    engine: str = ""
    model: Model | None = field(default=None, compare=False, repr=False)


class ProblemCache:
    """Rows as networks take them, scaled and encoded once for all trials that do so in the same way."""

    def __init__(self, data: SearchData) -> None:
        self.data = data
        self._problems: dict[tuple[Any, ...], TrainingProblem] = {}

    def problem(self, settings: Settings) -> TrainingProblem:
        """Return what training with these settings needs."""
        key = (settings.scaling, settings.dtype, settings.loss, settings.quantiles, settings.label_smoothing)
        if key not in self._problems:
            self._problems = dict(list(self._problems.items())[-1:])
            self._problems[key] = build_problem(settings, Parts(self.data.train, self.data.validation, None))
        problem = self._problems[key]
        n, d = self.data.train.X.shape
        assert problem.target is not None
        net = settings.network(d, problem.target.outputs)
        recipe = settings.recipe(net, problem.target.loss, n)
        return replace(problem, recipe=recipe, config=settings.config(n, validated=True), engine=settings.engine)


def perform(cache: ProblemCache, task: RungTask) -> RungResult:
    """Do one rung; any error with these settings is reported in the result, never raised."""
    began = time.perf_counter()
    try:
        problem = cache.problem(task.settings)
        run = _train(cache.data, problem, task)
    except WriteError as error:
        return RungResult(task.name, task.end, fault=str(error), unwritable=True, seconds=time.perf_counter() - began)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return RungResult(task.name, task.end, fault=text, seconds=time.perf_counter() - began)
    return _rung_result(problem, run, task, time.perf_counter() - began)


def _train(data: SearchData, problem: TrainingProblem, task: RungTask) -> Run:
    plain = {"rows": data.digest, "recipe": spec.encode(problem.recipe), "config": spec.encode(problem.config)}
    name = hashlib.sha256(json.dumps(plain, sort_keys=True, default=repr).encode()).hexdigest()
    monitors = stopping_monitors(replace(task.settings, early_stopping=True), validated=True)
    if task.end < problem.config.epochs:
        monitors.append(Pause(task.end))
    with _wait_for_checkpointer(task.folder, name) as inner:
        return train(problem, monitors, checkpoint=RungCheckpointer(inner, task))


def _rung_result(problem: TrainingProblem, run: Run, task: RungTask, seconds: float) -> RungResult:
    unit = _unit(problem, run.epochs)
    best = next((epoch for epoch in run.epochs if epoch.number == run.best_epoch), None)
    diverged = run.diverged and best is None
    return RungResult(
        task.name,
        task.end,
        math.nan if best is None else best.validation_score * unit,
        math.nan if best is None else best.validation_loss,
        len(run.epochs),
        run.best_epoch,
        tuple((epoch.number, epoch.validation_score * unit) for epoch in run.epochs),
        seconds,
        run.stop.reason is not StopReason.PAUSED or len(run.epochs) >= int(task.settings.max_iter),
        str(run.stop) if diverged else "",
        run.interrupted,
        False,
        run.engine,
        problem.model(run.state) if task.model and not run.interrupted else None,
    )


def _unit(problem: TrainingProblem, epochs: Sequence[Epoch]) -> float:
    """Return the size of a score of 1 in the target's unit: an rmse is measured on scaled targets."""
    scaling = None if problem.target is None else problem.target.scaling
    continuous = scaling is not None and len(epochs) > 0 and epochs[0].metric == "rmse"
    return float(np.sqrt(np.mean(scaling.scale**2))) if scaling is not None and continuous else 1.0


@dataclass(frozen=True)
class Pause:
    """Stops a run after epoch `at`, the end of a rung; the run can be resumed from there."""

    at: int

    def start(self, problem: TrainingProblem) -> int:
        """Return the number of the last epoch that was seen."""
        return 0

    def observe(self, memory: int, epoch: Epoch) -> tuple[int, Decision]:
        """Stop at the rung's end."""
        return epoch.number, Decision(stop=PAUSED if epoch.number >= self.at else None)

    def observe_block(self, memory: int, columns: Columns) -> tuple[int, None, Stop | None]:
        """Stop at the rung's end, which is the end of a block."""
        last = columns.first + len(columns) - 1 if len(columns) else memory
        return last, None, PAUSED if last >= self.at else None

    def ahead(self, memory: int) -> int:
        """Return how many epochs are left of the rung."""
        return max(1, self.at - memory)

    def end(self, memory: int, run: Run | None) -> None:
        """End without anything to close."""


class RungCheckpointer:
    """A folder's checkpointer that can resume after a pause, and saves nothing at the end of the last rung."""

    signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    notes: tuple[str, ...] = ()
    between_blocks = True

    def __init__(self, inner: FolderCheckpointer, task: RungTask) -> None:
        self._inner = inner
        self._task = task

    def due(self) -> bool:
        """Return whether a snapshot is due."""
        return self._inner.due()

    def save(self, snapshot: Snapshot) -> None:
        """Save a snapshot, unless the run is over or its numbers are no longer needed."""
        if snapshot.stop is None or (snapshot.stop == PAUSED and not self._task.last):
            self._inner.save(snapshot)

    def load(self) -> Snapshot | None:
        """Return the last intact snapshot, ready to resume if there is more to train; None if there is none."""
        try:
            snapshot = self._inner.load()
        except FormatError:
            return None
        if snapshot is None or snapshot.stop != PAUSED or len(snapshot.epochs) >= self._task.end:
            return snapshot
        return replace(snapshot, stop=None)


@contextmanager
def _wait_for_checkpointer(folder: str, name: str) -> Iterator[FolderCheckpointer]:
    """Open the folder's checkpointer; wait for a process that locks it and is about to end, as after a killed driver."""
    until = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        while (checkpointer := _try_to_open(stack, folder, name, time.monotonic() < until)) is None:
            time.sleep(0.05)
        yield checkpointer


def _try_to_open(stack: ExitStack, folder: str, name: str, retry: bool) -> FolderCheckpointer | None:
    """Return the checkpointer, or None while another process locks it and `retry` allows another try."""
    try:
        return stack.enter_context(checkpoint_folder(folder, name))
    except InvalidValueError:
        if retry:
            return None
        raise


def forget(folder: str | Path) -> None:
    """Remove the folder of a trial that has ended."""
    shutil.rmtree(folder, ignore_errors=True)


def forget_all(folder: Path) -> None:
    """Remove the folders of all trials, those too that a process was removing when it was killed."""
    for kind in ("trial", "final"):
        for place in folder.glob(f"{kind}-*"):
            forget(place)
