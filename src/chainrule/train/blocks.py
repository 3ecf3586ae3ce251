"""Trainings of small networks, several epochs in one call of the compiled engine, and many networks in the same call.

Of a small network an epoch takes less time than the loop around it. Where every monitor says how many epochs it can do
without, that many are run at once, and shown to it one by one afterwards: decisions, records and numbers are those of the
loop, bit for bit.
In: sessions, problems, monitors. Out: the snapshots at the ends of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeGuard

import numpy as np

from chainrule.engines import Session, never
from chainrule.engines.native import Block, NativeSession, room_for, run_blocks
from chainrule.nn.schedules import Plateau, plateau_rule
from chainrule.nn.step import Sums
from chainrule.train.monitors import Decision
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import (
    COMPLETED,
    Epoch,
    Snapshot,
    Stop,
    StopReason,
    diverged,
    filled,
    measure_rows,
    shown_score,
    spent,
)

_SECONDS = 0.02
"""Time after which a call ends, so that progress is shown and Ctrl-C answered as if epoch followed epoch."""


class Watched(Protocol):
    """What a training in blocks asks its monitors: a decision after each epoch, and how many it may run without one."""

    def observe(self, epoch: Epoch) -> Decision:
        """Return what the monitors decide after an epoch."""

    def ahead(self) -> int:
        """Return how many epochs may run before the next decision can matter."""


class InBlocks:
    """One training that runs in blocks, from a snapshot to its end."""

    def __init__(self, session: NativeSession, problem: TrainingProblem, begun: Snapshot, watchers: Watched) -> None:
        recipe, held_out = problem.recipe, problem.validation
        self.problem = problem
        self.watchers = watchers
        self.now = begun
        self.stop: Stop | None = None
        self._epochs = list(begun.epochs)
        self._per_epoch = len(recipe.batches(len(problem.rows)))
        self._number = int(begun.state.step) // self._per_epoch
        room = room_for(session, 0 if held_out is None else len(held_out.X), problem.config.epochs - self._number)
        self.block = Block(session, room, None if held_out is None else held_out.X)

    @property
    def begun(self) -> bool:
        """Whether an epoch was run, or there was none to run."""
        return bool(self._epochs) or self.stop is None

    @property
    def ended(self) -> bool:
        """Whether no epoch is left to run."""
        return self.stop is not None or self._number >= self.problem.config.epochs

    def plan(self) -> Block:
        """Return the block with its next epochs planned."""
        left = self.problem.config.epochs - self._number
        count = min(left, self.block.room, max(1, self.watchers.ahead()))
        n = self._per_epoch
        self._rates = self.problem.config.rates(self._number * n, count * n, n, Plateau())
        self.block.plan(self._number, self._rates, count, _SECONDS)
        return self.block

    def take(self, done: int, interrupted: bool) -> None:
        """Show the monitors the epochs that were run, and keep what they want kept; end where they or a signal say so."""
        if done == 0:
            self.stop = Stop(StopReason.INTERRUPTED, f"in epoch {self._number}")
        begun = self._number
        best = last = None
        for i, epoch in enumerate(self._records(done)):
            self._number += 1
            decision = self.watchers.observe(epoch)
            self._epochs.append(epoch)
            if not epoch.finite:
                self.stop = diverged(epoch.number)
                break
            last = i
            best = i if decision.keep else best
            if i == done - 1 and (not epoch.complete or interrupted):
                self.stop = Stop(StopReason.INTERRUPTED, f"in epoch {epoch.number}")
            elif decision.stop is not None:
                self.stop = decision.stop
            if self.stop is not None:
                break
        if last is not None:
            self.now = replace(self.now, state=self.block.state(last))
        if best is not None:
            self.now = replace(self.now, best=(begun + best + 1, self.block.state(best)))

    def _records(self, done: int) -> Iterator[Epoch]:
        """Yield the records of the epochs of the block, computed as `epoch_record` does, but of all of them at once."""
        loss = self.problem.recipe.loss
        n = self._per_epoch
        sums, score, weight, norm, steps, seconds = self.block.figures[:done].T
        with np.errstate(all="ignore"):
            means = np.where(weight != 0, (0.0 + sums, 0.0 + score) / weight, math.nan)
            norms = np.where(steps != 0, norm / steps, math.nan)
        last = np.arange(done) * n + np.maximum(steps.astype(np.int64), 1) - 1
        rates = np.asarray(self._rates, np.float64)[last]
        finite = np.isfinite(means[0]) & np.isfinite(norm)
        columns = (*means, norms, steps, seconds, rates, finite)
        held_out = None
        validation_loss = validation_score = math.nan
        for i, (train_loss, train_score, mean_norm, count, took, rate, sound) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            complete = count == n
            if self.problem.validation is not None:
                held_out = self._held_out(i) if complete else None
                validation_loss = math.nan if held_out is None else held_out.mean_loss
                validation_score = math.nan if held_out is None else shown_score(loss, held_out.mean_score)
            yield filled(
                Epoch,
                number=self._number + 1,
                metric=loss.metric,
                train_loss=train_loss,
                train_score=shown_score(loss, train_score),
                validation_loss=validation_loss,
                validation_score=validation_score,
                learning_rate=rate,
                gradient_norm=mean_norm,
                seconds=took,
                steps=int(count),
                complete=complete,
                finite=sound and (held_out is None or math.isfinite(validation_loss)),
                state=spent,
            )

    def _held_out(self, i: int) -> Sums | None:
        """Return the sums of the validation rows after epoch i of the block."""
        rows = self.problem.validation
        return None if rows is None else measure_rows(self.problem.recipe, self.block.logits(i), rows)

    def end(self) -> Snapshot:
        """Return the snapshot at the end of the run."""
        return replace(self.now, epochs=tuple(self._epochs), stop=self.stop or COMPLETED)


def suits(session: Session, problem: TrainingProblem, begun: Snapshot) -> TypeGuard[NativeSession]:
    """Check whether a training can run in blocks: native, at the start of an epoch, with a schedule known ahead."""
    if not isinstance(session, NativeSession) or plateau_rule(problem.config.schedule) is not None:
        return False
    per_epoch = len(problem.recipe.batches(len(problem.rows)))
    begins = int(begun.state.step) % per_epoch == 0 and not begun.sums.steps
    validated = 0 if problem.validation is None else len(problem.validation.X)
    return begins and room_for(session, validated, problem.config.epochs) > 1


def train_in_blocks(
    trainings: Sequence[InBlocks], interrupted: Callable[[], bool] = never, threads: int = 1
) -> list[Snapshot]:
    """Run trainings to their ends, all in the same calls; after an interruption return those that began."""
    active = [each for each in trainings if not each.ended]
    while active:
        done = run_blocks([each.plan() for each in active], interrupted, threads)
        stopping = interrupted()
        for each, count in zip(active, done, strict=True):
            each.take(count, stopping)
        active = [each for each in active if not each.ended]
    return [each.end() for each in trainings if each.begun]
