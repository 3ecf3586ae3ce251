"""Trainings of small networks, several epochs in one call of the compiled engine, and many networks in the same call.

Of a small network an epoch takes less time than the loop around it. Where every monitor says how many epochs it can do
without, that many are run at once, and shown to it one by one afterwards: decisions, records and numbers are those of the
loop, bit for bit.
In: sessions, problems, monitors. Out: the snapshots at the ends of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeGuard

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Session, never
from chainrule.engines.native import FIGURES, Block, NativeSession, room_for, run_blocks
from chainrule.nn.schedules import Plateau, plateau_rule
from chainrule.nn.step import Sums
from chainrule.train.checkpointing import NO_CHECKPOINT, Checkpointer
from chainrule.train.columns import Columns, Epochs
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import (
    COMPLETED,
    Epoch,
    Snapshot,
    Stop,
    StopReason,
    diverged,
    measure_epochs,
)

_SECONDS = 0.02
"""Time after which a call ends, so that progress is shown and Ctrl-C answered as if epoch followed epoch."""


class Watched(Protocol):
    """What a training in blocks asks its monitors: a decision after each epoch, and how many it may run without one."""

    def observe_block(self, columns: Columns, broken: int | None) -> tuple[int, int | None, Stop | None]:
        """Return how many epochs were seen, the last one to keep, and why to stop; the last may be `broken`: not finite."""

    def ahead(self) -> int:
        """Return how many epochs may run before the next decision can matter."""


class InBlocks:
    """One training that runs in blocks, from a snapshot to its end."""

    def __init__(
        self,
        session: NativeSession,
        problem: TrainingProblem,
        begun: Snapshot,
        watchers: Watched,
        checkpointer: Checkpointer = NO_CHECKPOINT,
    ) -> None:
        recipe, held_out = problem.recipe, problem.validation
        self.checkpointer = checkpointer
        self.problem = problem
        self.watchers = watchers
        self.now = begun
        self.stop: Stop | None = None
        self._epochs: list[Columns | Sequence[Epoch]] = [begun.epochs] if begun.epochs else []
        self._whole, self._cut = list(self._epochs), begun.sums
        self._per_epoch = recipe.batch_count(len(problem.rows))
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
            return
        begun, columns = self._number, self._columns(done)
        broken = columns.broken
        columns = columns.until(done if broken is None else broken + 1)
        seen, best, stop = self.watchers.observe_block(columns, broken)
        self._number += seen
        last = seen - 1
        cut = last == done - 1 and bool(self.block.figures[last, FIGURES.index("steps")] < self._per_epoch)
        self._cut = columns.sums(last) if cut else Sums()
        self._whole = [*self._epochs, columns.until(seen - cut)]
        self._epochs.append(columns.until(seen))
        if broken is not None and last == broken:
            self.stop = diverged(self._number)
            last -= 1
        elif cut or (last == done - 1 and interrupted):
            self.stop = Stop(StopReason.INTERRUPTED, f"in epoch {self._number}")
        else:
            self.stop = stop
        state = self.now.state if last < 0 else self.block.state(last)
        kept = self.now.best if best is None else (begun + best + 1, self.block.state(best))
        self.now = Snapshot(state, self.now.sums, (), kept, self.now.stop)
        if not self.ended and self.checkpointer.due():
            self.checkpointer.save(self._resumable())

    def _columns(self, done: int) -> Columns:
        """Return the figures of the epochs of the block, as `epoch_record` computes them."""
        figures = self.block.figures[:done].copy()
        held_out = None if self.problem.validation is None else self._held_out(done, figures)
        return Columns(self._number + 1, self.problem.recipe.loss, self._per_epoch, figures, self._rates, held_out)

    def _held_out(self, done: int, figures: Array) -> tuple[Array, Array] | None:
        """Return mean loss and score of the validation rows after each epoch, NaN after one that is not complete."""
        rows = self.problem.validation
        if rows is None:
            return None
        losses, scores, weight = measure_epochs(self.problem.recipe, self.block.all_logits(done), rows)
        measured = (figures[:, FIGURES.index("steps")] == self._per_epoch) & (weight != 0)
        with np.errstate(all="ignore"):
            return np.where(measured, losses / weight, math.nan), np.where(measured, scores / weight, math.nan)

    def end(self) -> Snapshot:
        """Return the snapshot at the end of the run, and save it: after a signal one that a run continues from."""
        now, stop = self.now, self.stop or COMPLETED
        snapshot = Snapshot(now.state, now.sums, Epochs(self._epochs), now.best, stop)
        self.checkpointer.save(self._resumable() if stop.reason is StopReason.INTERRUPTED else snapshot)
        return snapshot

    def _resumable(self) -> Snapshot:
        """Return the snapshot from which a run continues as if it had never stopped, in the middle of an epoch too."""
        return Snapshot(self.now.state, self._cut, Epochs(self._whole), self.now.best, None)


def suits(session: Session, problem: TrainingProblem, begun: Snapshot) -> TypeGuard[NativeSession]:
    """Check whether a training can run in blocks: native, at the start of an epoch, with a schedule known ahead."""
    if not isinstance(session, NativeSession) or plateau_rule(problem.config.schedule) is not None:
        return False
    per_epoch = problem.recipe.batch_count(len(problem.rows))
    begins = int(begun.state.step) % per_epoch == 0 and not begun.sums.steps
    validated = 0 if problem.validation is None else len(problem.validation.X)
    return begins and room_for(session, validated, problem.config.epochs) > 1


def block_bytes(session: NativeSession, problem: TrainingProblem) -> int:
    """Return the bytes that the arrays of a training's block take at most."""
    net, names = session.recipe.net, session.recipe.state_names
    validated = 0 if problem.validation is None else len(problem.validation.X)
    numbers = (1 + len(names)) * net.size + net.buffers.size + validated * net.outputs
    return 8 * room_for(session, validated, problem.config.epochs) * numbers


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
