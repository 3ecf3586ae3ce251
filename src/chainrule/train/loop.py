"""Why: training is an iterator of epoch records; whoever wants the bare loop iterates, whoever wants a result calls `train`.

In: a recipe, rows, a course (epochs and learning rate), monitors. Out: `Epoch` records, or a `Run`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import COUNT, POSITIVE, Checked, limited
from chainrule.engines import Rows, Session, choose, never
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import Flat, Plateau, Schedule, plateau_rule
from chainrule.nn.step import Recipe, State, Sums, measure
from chainrule.train.monitors import Decision, Monitor
from chainrule.train.records import Epoch, Run, metric_value, spent

__all__ = ["Course", "Epoch", "Run", "fit", "iterate", "train"]


@dataclass(frozen=True)
class Course(Checked):
    """How long and how fast: epochs at most, the base learning rate, and its schedule."""

    epochs: int = limited(COUNT, 100)
    learning_rate: float = limited(POSITIVE, 1e-3)
    schedule: Schedule = Flat()

    def rates(self, step: int, steps: int, per_epoch: int, plateau: Plateau) -> Array:
        """Learning rates (steps) of the steps from number `step` (from 0) on."""
        times = [(step + i) / per_epoch for i in range(steps)]
        if isinstance(self.schedule, Flat):
            return np.full(steps, self.learning_rate * plateau.factor)
        return np.array([self.learning_rate * plateau.factor * self.schedule.factor(e, self.epochs) for e in times])


def fit(
    net: Net,
    X: Array,
    y: Array,
    *,
    loss: Loss,
    optimizer: Optimizer = Adam(),  # noqa: B008  (frozen)
    learning_rate: float = 1e-3,
    schedule: Schedule = Flat(),  # noqa: B008  (frozen)
    epochs: int = 100,
    batch_size: int | None = 32,
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    clip: Clip | None = None,
    groups: Mapping[str, float] | None = None,
    sample_weight: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    start: State | None = None,
    cache_every: int = 1,
    dtype: str = "float32",
    engine: str = "auto",
    seed: int = 0,
) -> Iterator[Epoch]:
    """Train, yielding a record after every epoch; leave the loop whenever you like.

    X (n, d); y (n) classes as whole numbers for softmax cross-entropy, else (n) or (n, k) numbers. `batch_size` in rows:
    None is full batch, 1 stochastic. `validation` is (X, y) or (X, y, weights). `start` continues from a state, at the
    epoch that its step number falls in. Inputs are taken as they are: standardise them first.

    Raises `InvalidValueError`, at the first iteration, with all faults of the arguments.

    Reference  [ng2018] 7.5

    >>> import numpy as np
    >>> from chainrule import Dense, Net, fit
    >>> from chainrule.nn.losses import MeanSquared
    >>> X = np.linspace(-1, 1, 20)[:, None]
    >>> for epoch in fit(Net(1, [Dense(1)]), X, 3 * X, loss=MeanSquared(), learning_rate=0.1, epochs=60):
    ...     pass
    >>> epoch.train_loss < 1e-3
    True
    """
    recipe = Recipe(
        net, loss, optimizer, penalty, clip, dict(groups or {}), batch_size or max(len(X), 1), seed, dtype, cache_every
    )
    rows = Rows.of(recipe, X, y, sample_weight)
    held_out = None if validation is None else Rows.of(recipe, *validation)
    chosen, _ = choose(engine, recipe)
    session = chosen.compile(recipe, rows)
    if start is not None:
        session.load(start)
    yield from iterate(session, recipe, rows, Course(epochs, learning_rate, schedule), held_out)


def iterate(
    session: Session,
    recipe: Recipe,
    rows: Rows,
    course: Course,
    validation: Rows | None = None,
    stop: Callable[[], bool] = never,
) -> Iterator[Epoch]:
    """The loop itself: from the session's state to the end of the course, or until `stop` says True within an epoch."""
    per_epoch = len(recipe.batches(len(rows)))
    rule, plateau = plateau_rule(course.schedule), Plateau()
    step = int(session.state.step)
    for number in range(step // per_epoch, course.epochs):
        began, first = time.perf_counter(), step % per_epoch
        rates = course.rates(step, per_epoch - first, per_epoch, plateau)
        sums = session.run(number, first, rates, stop)
        step += int(sums.steps)
        complete = first + int(sums.steps) == per_epoch
        held_out = _measure(session, recipe, validation) if complete else Sums()
        seconds = time.perf_counter() - began
        epoch = _epoch(number + 1, recipe.loss, sums, held_out, rates, seconds, complete, _handle(session, step))
        yield epoch
        if not (complete and epoch.finite) or stop():
            return
        if rule is not None:
            watched = epoch.train_loss if validation is None else epoch.validation_loss
            plateau = rule.observe(plateau, watched)


def _measure(session: Session, recipe: Recipe, rows: Rows | None) -> Sums:
    return Sums() if rows is None else measure(recipe, np, session.logits(rows.X), rows.Y, rows.c)


def _handle(session: Session, step: int) -> Callable[[], State]:
    """Gives the session's state while it is still that of this step."""

    def state() -> State:
        now = session.state
        return now if int(now.step) == step else spent()

    return state


def _epoch(
    number: int,
    loss: Loss,
    sums: Sums,
    held_out: Sums,
    rates: Array,
    seconds: float,
    complete: bool,
    state: Callable[[], State],
) -> Epoch:
    return Epoch(
        number=number,
        metric=loss.metric,
        train_loss=sums.mean_loss,
        train_score=metric_value(loss, sums),
        validation_loss=held_out.mean_loss,
        validation_score=metric_value(loss, held_out),
        learning_rate=float(rates[max(int(sums.steps), 1) - 1]),
        gradient_norm=sums.mean_norm,
        seconds=seconds,
        steps=int(sums.steps),
        complete=complete,
        state=state,
    )


def train(
    recipe: Recipe,
    rows: Rows,
    course: Course,
    *,
    validation: Rows | None = None,
    monitors: Sequence[Monitor] = (),
    engine: str = "auto",
    start: State | None = None,
) -> Run:
    """Train under monitors to a `Run`.

    It ends with the weights of the best epoch where a monitor kept one, else with the last. Ctrl-C ends it between two
    batches and keeps what was learned; a second Ctrl-C interrupts at once. A loss that is not a finite number ends it,
    and the last epoch with finite losses is what remains.
    """
    chosen, notes = choose(engine, recipe)
    session = chosen.compile(recipe, rows)
    if start is not None:
        session.load(start)
    began = time.perf_counter()
    epochs: list[Epoch] = []
    best: tuple[int | None, State] = (None, session.state)
    last, stopped = session.state, ""
    with _watching(monitors, course.epochs) as observe, interruptible() as interrupted:
        for epoch in iterate(session, recipe, rows, course, validation, interrupted):
            epochs.append(replace(epoch, state=spent))
            decision = observe(epoch)
            if not epoch.finite:
                stopped = f"diverged: the loss in epoch {epoch.number} is not a finite number"
                break
            last = epoch.state()
            if decision.keep:
                best = (epoch.number, last)
            if decision.stop or interrupted():
                stopped = decision.stop or f"interrupted in epoch {epoch.number}"
                break
    number, kept = best
    state = kept if number is not None else last
    return Run(tuple(epochs), state, number, stopped, chosen.name, notes, time.perf_counter() - began)


@contextmanager
def _watching(monitors: Sequence[Monitor], epochs: int) -> Iterator[Callable[[Epoch], Decision]]:
    """Start the monitors, join their decisions, end them however the run ends."""
    memories: list[Any] = []

    def observe(epoch: Epoch) -> Decision:
        decisions = []
        for i, monitor in enumerate(monitors):
            memories[i], decision = monitor.observe(memories[i], epoch)
            decisions.append(decision)
        stops = [decision.stop for decision in decisions if decision.stop]
        return Decision(any(decision.keep for decision in decisions), stops[0] if stops else "")

    try:
        memories.extend(monitor.start(epochs) for monitor in monitors)
        yield observe
    finally:
        for monitor, memory in zip(monitors, memories, strict=False):
            monitor.end(memory)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into an answer to "stop now?"; the second one interrupts as usual.

    Outside the main thread, where Python delivers no signals, the answer is always no.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    usual = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, usual)
