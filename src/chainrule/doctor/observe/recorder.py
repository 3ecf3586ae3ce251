"""Why: the doctor sees a training that is the user's own, epoch by epoch, and keeps what rules will ask for.

In: a case. Out: its `Trace`: epochs, readings at a few moments, single steps at the start and the end, snapshots.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.blas import one_thread, per_row
from chainrule.doctor.observe.probe import Probe, walk
from chainrule.doctor.vocabulary.records import Reading, Trace
from chainrule.doctor.vocabulary.targets import baseline_loss
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Session, choose
from chainrule.nn.schedules import Plateau
from chainrule.nn.step import State
from chainrule.train.loop import iterate
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import Epoch, Stop, diverged, spent


@dataclass
class Recorder:
    """Readings and snapshots of one training, and the time they took; reads less often when reading costs too much.

    `dear` is what the last reading cost, in seconds.
    """

    probe: Probe
    share: float
    readings: list[Reading] = field(default_factory=list)
    snapshots: dict[int, State] = field(default_factory=dict)
    seconds: float = 0.0
    dear: float = 0.0
    interval: float = 1.0
    due: float = 1.0

    def read(self, state: State, epoch: int, rate: float) -> Reading:
        """A reading that is not written down."""
        with one_thread(len(self.probe.X) * per_row(self.probe.problem.recipe.net)):
            return self.probe.read(state, epoch, rate)

    def look(self, state: State, epoch: int, rate: float) -> None:
        """Take a reading now."""
        began = time.perf_counter()
        self.readings.append(self.read(state, epoch, rate))
        self.snapshots[int(state.step)] = state
        self.dear = time.perf_counter() - began
        self.seconds += self.dear

    def epoch_ends(self, state: State, epoch: int, rate: float, trained: float) -> None:
        """Read when an epoch is due: at 1, 2, 4, 8 ... at first, later at even intervals that double over the budget."""
        if epoch < self.due:
            return
        if self.seconds + 2.0 * self.dear > self.share * trained:
            self.interval *= 2.0
        else:
            self.look(state, epoch, rate)
        self.due = epoch + max(self.interval, min(epoch, 16) if len(self.readings) < 5 else self.interval)


def record_training(problem: TrainingProblem, thorough: bool = True) -> Trace:
    """Train a case to its end, as `train` would without monitors, and look on.

    `thorough` takes up to `Thresholds.thorough` of the training's time, and single steps at the start and the end; else
    it is `Thresholds.overhead`, fewer rows, and readings at the start and the end only where a training is that short.

    A loss that is not a finite number ends it; then the state is the last finite one, and the last reading names the
    tensor in which it broke.
    """
    began = time.perf_counter()
    recipe, config = problem.recipe, problem.config
    session = choose(problem.engine, recipe)[0].compile(recipe, problem.rows)
    if problem.start is not None:
        session.load(problem.start)
    first = session.state
    share = USUAL.thorough if thorough else USUAL.overhead
    notes = Recorder(Probe(problem, USUAL.probed_rows if thorough else USUAL.glanced_rows), share)
    notes.look(first, int(first.step) // _per_epoch(problem), config.learning_rate)
    epochs, state, stopped = _run(problem, session, notes)
    if notes.readings[-1].step != int(state.step):
        notes.look(state, len(epochs), epochs[-1].learning_rate)
    trained = time.perf_counter()
    windows = [single_steps(problem, session, at) for at in ((first, state) if thorough else ())]
    broken = (breaking_step(problem, session, state),) if stopped else ()
    notes.seconds += time.perf_counter() - trained
    return Trace(
        epochs,
        (*notes.readings, *broken),
        np.concatenate([np.zeros(0), *(losses for losses, _, _ in windows)]),
        np.concatenate([np.zeros(0), *(norms for _, norms, _ in windows)]),
        notes.snapshots,
        baseline_loss(recipe, problem.rows),
        state,
        stopped,
        time.perf_counter() - began,
        notes.seconds,
    )


def _run(problem: TrainingProblem, session: Session, notes: Recorder) -> tuple[tuple[Epoch, ...], State, Stop | None]:
    """The epochs, the last finite state, and why it ended early."""
    epochs: list[Epoch] = []
    began, state = time.perf_counter(), session.state
    for epoch in iterate(session, problem.recipe, problem.rows, problem.config, problem.validation):
        epochs.append(replace(epoch, state=spent))
        now = session.state
        if not epoch.finite or not np.isfinite(now.w).all():
            what = "the loss in" if not epoch.finite else "a weight after"
            return tuple(epochs), state, diverged(epoch.number, what)
        state = now
        notes.epoch_ends(state, epoch.number, epoch.learning_rate, time.perf_counter() - began - notes.seconds)
    return tuple(epochs), state, None


def single_steps(
    problem: TrainingProblem, session: Session, state: State, count: int = 0
) -> tuple[Array, Array, State]:
    """Losses and gradient norms of single steps from a state on, and the last finite state; the session stays there.

    Without a number, `Thresholds.window_steps`. It ends with the first step that is not finite.
    """
    session.load(state)
    losses, norms = [], []
    for _ in range(count or USUAL.window_steps):
        epoch, position = divmod(int(state.step), _per_epoch(problem))
        rates = problem.config.rates(int(state.step), 1, _per_epoch(problem), Plateau())
        sums = session.run(epoch, position, rates)
        losses.append(sums.mean_loss)
        norms.append(sums.mean_norm)
        after = session.state
        if not (math.isfinite(losses[-1]) and math.isfinite(norms[-1]) and np.isfinite(after.w).all()):
            break
        state = after
    return np.array(losses), np.array(norms), state


def breaking_step(problem: TrainingProblem, session: Session, state: State) -> Reading:
    """The step at which a training breaks, from the last finite state before: which tensor is first not finite."""
    recipe, count = problem.recipe, _per_epoch(problem) + 1
    losses, _, last = single_steps(problem, session, state, count)
    epoch, position = divmod(int(last.step), _per_epoch(problem))
    start, end = recipe.batches(len(problem.rows))[position]
    take = recipe.order(np, len(problem.rows), epoch)[start:end]
    seen = walk(recipe, last, problem.rows.X[take], problem.rows.Y[take], problem.rows.c[take])
    name = seen.broken or "the weights after this step"
    return Reading(epoch, int(last.step), float(losses[-1]), seen.loss, (), nonfinite=name)


def broken_reading(problem: TrainingProblem, state: State, epochs: Sequence[Epoch], most: float) -> Reading:
    """The step at which a run broke whose last epoch is not finite, from the last state known.

    The epochs from there on are trained again, where they took at most so many seconds; else only the last step of the
    last epoch can be named.
    """
    done, last = int(state.step) // _per_epoch(problem), epochs[-1].number
    if sum(epoch.seconds for epoch in epochs if epoch.number > done) > most:
        step = (last - 1) * _per_epoch(problem) + epochs[-1].steps - 1
        return Reading(last, step, math.nan, math.nan, (), nonfinite="the loss")
    session = choose(problem.engine, problem.recipe)[0].compile(problem.recipe, problem.rows)
    session.load(state)
    if done < last - 1:
        past = [epoch for epoch in epochs if epoch.number <= done]
        again = iterate(session, problem.recipe, problem.rows, problem.config, problem.validation, past=past)
        state = next((epoch.state() for epoch in again if epoch.number == last - 1), state)
    return breaking_step(problem, session, state)


def _per_epoch(problem: TrainingProblem) -> int:
    return len(problem.recipe.batches(len(problem.rows)))
