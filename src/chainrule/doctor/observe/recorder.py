"""Record a training epoch by epoch: everything that rules will need.

In: a training problem. Out: its `Trace`: epochs, readings at a few moments, single steps at start and end, snapshots.
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
from chainrule.doctor.vocabulary.own_code import fault_in_words
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
    """Takes readings and snapshots of one training, less often if they cost too much.

    `share` is the part of the training's time that readings may take, `last_cost` the seconds of the last one, `seconds`
    those of all. The next reading is due after epoch `due`. `refused` is why the user's own code
    allows none, if it does not.

    Costs are measured by the wall clock, so on a busy machine the same training may be read after other epochs. The trained
    weights do not depend on this, but suspicions may, so informational findings may differ between runs.
    """

    probe: Probe
    share: float
    readings: list[Reading] = field(default_factory=list)
    snapshots: dict[int, State] = field(default_factory=dict)
    seconds: float = 0.0
    last_cost: float = 0.0
    interval: float = 1.0
    due: float = 1.0
    refused: str = ""

    def read(self, state: State, epoch: int, rate: float) -> Reading | None:
        """Return a reading without recording it; None where the user's own code refuses the rows, and as many as a batch."""
        if self.refused:
            return None
        try:
            with one_thread(len(self.probe.X) * per_row(self.probe.problem.recipe.net)):
                return self.probe.read(state, epoch, rate)
        except Exception as fault:
            reason = fault_in_words(self.probe.problem, fault)
        if not self.readings and self.probe.use_a_batch():
            return self.read(state, epoch, rate)
        self.refused = reason
        return None

    def take(self, state: State, epoch: int, rate: float) -> None:
        """Take a reading now."""
        began = time.perf_counter()
        reading = self.read(state, epoch, rate)
        self.readings += [] if reading is None else [reading]
        self.snapshots[int(state.step)] = state
        self.last_cost = time.perf_counter() - began
        self.seconds += self.last_cost

    def epoch_ends(self, state: State, epoch: int, rate: float, trained: float) -> None:
        """Take a reading if it is due: after epochs 1, 2, 4, 8 ..., then at even intervals that grow with the cost."""
        if epoch < self.due:
            return
        if self.seconds + 2.0 * self.last_cost > self.share * trained:
            self.interval *= USUAL.interval_growth
        else:
            self.take(state, epoch, rate)
        self.due = epoch + max(
            self.interval,
            min(epoch, USUAL.longest_interval) if len(self.readings) < USUAL.even_probes else self.interval,
        )


def record_training(problem: TrainingProblem, thorough: bool = True, epochs: int = 0, planned: int = 0) -> Trace:
    """Train a problem to its end, as `train` would without monitors, and record it.

    Where early stopping kept the problem's last epoch of a run of more `epochs`, the others are recorded as well, but the
    final state is the one that was kept; `planned` is the number that was asked for.

    `thorough` takes up to `Thresholds.thorough` of the training's time, and single steps at the start and the end; otherwise
    it is `Thresholds.overhead`, fewer rows, and a very short training has readings at its start and end only.

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
    recorder = Recorder(Probe(problem, USUAL.probed_rows if thorough else USUAL.quick_probe_rows), share)
    recorder.take(first, int(first.step) // _per_epoch(problem), config.learning_rate)
    seen, state, stopped = _run(problem, session, recorder, epochs)
    kept = 0 if stopped or epochs <= config.epochs else config.epochs
    _read_final(recorder, state, kept or len(seen), seen[-1].learning_rate)
    trained = time.perf_counter()
    windows = [single_steps(problem, session, at) for at in ((first, state) if thorough else ())]
    broken = (breaking_step(problem, session, state),) if stopped else ()
    recorder.seconds += time.perf_counter() - trained
    return Trace(
        seen,
        (*recorder.readings, *broken),
        np.concatenate([np.zeros(0), *(losses for losses, _, _ in windows)]),
        np.concatenate([np.zeros(0), *(norms for _, norms, _ in windows)]),
        recorder.snapshots,
        baseline_loss(recipe, problem.rows),
        state,
        stopped,
        time.perf_counter() - began,
        recorder.seconds,
        planned,
        kept,
    )


def _read_final(recorder: Recorder, state: State, epoch: int, rate: float) -> None:
    """Make the reading of the final state the last one: what came after it was not kept."""
    recorder.readings = [reading for reading in recorder.readings if reading.step <= int(state.step)]
    if not recorder.readings or recorder.readings[-1].step != int(state.step):
        recorder.take(state, epoch, rate)


def _run(
    problem: TrainingProblem, session: Session, recorder: Recorder, further: int = 0
) -> tuple[tuple[Epoch, ...], State, Stop | None]:
    """Return the epochs, the final state (the last finite one, or that of the problem's last epoch), and why they ended."""
    epochs: list[Epoch] = []
    began = time.perf_counter()
    state = kept = session.state
    config = replace(problem.config, epochs=max(further, problem.config.epochs))
    for epoch in iterate(session, problem.recipe, problem.rows, config, problem.validation):
        epochs.append(replace(epoch, state=spent))
        now = session.state
        if not epoch.finite or not np.isfinite(now.w).all():
            what = "the loss in" if not epoch.finite else "a weight after"
            return tuple(epochs), state, diverged(epoch.number, what)
        state = now
        kept = state if epoch.number <= problem.config.epochs else kept
        recorder.epoch_ends(state, epoch.number, epoch.learning_rate, time.perf_counter() - began - recorder.seconds)
    return tuple(epochs), kept, None


def single_steps(
    problem: TrainingProblem, session: Session, state: State, count: int = 0
) -> tuple[Array, Array, State]:
    """Return losses and gradient norms of single steps from a state on, and the last finite state.

    The session stays there. Without a number, `Thresholds.window_steps`. The first step that is not finite ends it.
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
    """Return a reading of the step at which a training breaks: which tensor is first not finite."""
    recipe = problem.recipe
    count = _per_epoch(problem) + 1
    losses, _, last = single_steps(problem, session, state, count)
    epoch, position = divmod(int(last.step), _per_epoch(problem))
    start, end = recipe.batches(len(problem.rows))[position]
    take = recipe.order(np, len(problem.rows), epoch)[start:end]
    seen = walk(recipe, last, problem.rows.X[take], problem.rows.Y[take], problem.rows.c[take])
    name = seen.broken or "the weights after this step"
    return Reading(epoch, int(last.step), float(losses[-1]), seen.loss, (), nonfinite=name)


def broken_reading(problem: TrainingProblem, state: State, epochs: Sequence[Epoch], most: float) -> Reading:
    """Return a reading of the step at which a run diverged, from the last finite state.

    The epochs from there on are trained again if they took at most `most` seconds and their rows are in memory; otherwise
    only the last step of the last epoch can be named.
    """
    done = int(state.step) // problem.steps_per_epoch
    last = epochs[-1].number
    if problem.stream is not None or sum(epoch.seconds for epoch in epochs if epoch.number > done) > most:
        step = (last - 1) * problem.steps_per_epoch + epochs[-1].steps - 1
        return Reading(last, step, math.nan, math.nan, (), nonfinite="the loss")
    session = choose(problem.engine, problem.recipe)[0].compile(problem.recipe, problem.rows)
    session.load(state)
    if done < last - 1:
        past = [epoch for epoch in epochs if epoch.number <= done]
        repeated = iterate(session, problem.recipe, problem.rows, problem.config, problem.validation, past=past)
        state = next((epoch.state() for epoch in repeated if epoch.number == last - 1), state)
    return breaking_step(problem, session, state)


def _per_epoch(problem: TrainingProblem) -> int:
    return len(problem.recipe.batches(len(problem.rows)))
