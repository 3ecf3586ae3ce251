"""The training loop: `fit` and `iterate` yield a record after every epoch, `train` returns a `Run`.

In: arguments, or a `TrainingProblem` and monitors. Out: `Epoch` records, or a `Run`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Engine, Rows, Session, choose, never
from chainrule.engines.border import checked_state
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn import losses, optimizers, schedules
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import ConstantSchedule, Plateau, Schedule, plateau_rule
from chainrule.nn.step import Recipe, State, Sums
from chainrule.train.blocks import InBlocks, suits, train_in_blocks
from chainrule.train.checkpoint import opened
from chainrule.train.checkpointing import Checkpointer
from chainrule.train.columns import Columns
from chainrule.train.interrupts import interruptible
from chainrule.train.monitors import GO_ON, MANY_EPOCHS, Decision, Monitor
from chainrule.train.problem import TrainConfig, TrainingProblem, rows_per_batch
from chainrule.train.records import (
    COMPLETED,
    Epoch,
    Run,
    Snapshot,
    Stop,
    StopReason,
    diverged,
    epoch_record,
    measure_rows,
    spent,
)

__all__ = ["Epoch", "Run", "TrainConfig", "fit", "iterate", "train"]


def fit(
    net: Net,
    X: Array,
    y: Array,
    *,
    loss: str | Loss,
    optimizer: str | Optimizer = Adam(),  # noqa: B008  (frozen)
    learning_rate: float = 1e-3,
    schedule: str | Schedule = ConstantSchedule(),  # noqa: B008  (frozen)
    epochs: int = 100,
    batch_size: int | str = 32,
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    clip: Clip | None = None,
    learning_rate_multipliers: Mapping[str, float] | None = None,
    sample_weight: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    start: State | None = None,
    past: Sequence[Epoch] = (),
    cache_every: int = 1,
    max_weight_norm: float | None = None,
    ema_decay: float | None = None,
    dtype: str = "float32",
    engine: str = "auto",
    seed: int = 0,
) -> Iterator[Epoch]:
    """Train a network, yielding a record after every epoch; leave the loop whenever you like.

    Inputs are taken as they are: standardize them first.

    Reference  [ng2018] 7.5

    Parameters
    ----------
    net : Net
        The network.
    X : array (n, d)
        Rows.
    y : array (n) or (n, k)
        Targets: class numbers (n) for "softmax_cross_entropy", else numbers (n) or (n, k).
    loss : str or Loss
        The loss, by name ("softmax_cross_entropy", "binary_cross_entropy", "squared_error", "absolute_error", "huber",
        "poisson", "quantile") or as an object, which also takes options.
    optimizer : str or Optimizer, default=Adam()
        The update rule, by name ("adam", "adamw", "sgd", "sgd_momentum", ...) or as an object.
    learning_rate : float > 0, default=0.001
        Base learning rate; the default suits Adam.
    schedule : str or Schedule, default=ConstantSchedule()
        How the learning rate changes, by name ("constant", "cosine", "one_cycle", "plateau", ...) or as an object.
    epochs : int >= 1, default=100
        Passes over the rows.
    batch_size : int >= 1 or "full", default=32
        Rows in a batch: 1 is stochastic descent, "full" the full batch.
    penalty : Penalty, default=Penalty()
        L1 and L2 penalties; none by default.
    clip : ClipNorm, ClipValue or None, default=None
        How the gradient is bounded.
    learning_rate_multipliers : mapping of str to float or None, default=None
        Multipliers of the learning rate by patterns of parameter names ("0.*": all of layer 0); 0 freezes.
    sample_weight : array (n) or None, default=None
        Weights of the rows, >= 0.
    validation : tuple of arrays or None, default=None
        Held-out rows (X, y) or (X, y, weights), measured after every epoch.
    start : State or None, default=None
        Continue from this state, at the epoch to which its step number belongs. It must be of this network and optimizer;
        `Recipe.adopt` converts one of another optimizer.
    past : sequence of Epoch, default=()
        The epochs before `start`; only a schedule that follows the losses needs them.
    cache_every : int >= 1, default=1
        Keep only the input of every k-th layer and recompute the rest: less memory, more time.
    max_weight_norm : float > 0 or None, default=None
        Largest length of a unit's incoming weights (max-norm).
    ema_decay : float in [0, 1) or None, default=None
        Share that a running mean of the weights keeps at each step; validation and `net(state, X)` then use the mean.
    dtype : {"float32", "float64"}, default="float32"
        Precision of all numbers.
    engine : {"auto", "native", "reference", "jax"}, default="auto"
        What computes; "auto" takes the compiled engine where it knows all parts of the recipe.
    seed : int, default=0
        Fixes first weights, shuffles and dropout masks.

    Yields
    ------
    Epoch
        What the epoch measured; `epoch.state()` gives the numbers, until the next epoch starts.

    Raises
    ------
    InvalidValueError
        At the first iteration, with all faults of the arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import Dense, Net, fit
    >>> X, net = np.linspace(-1, 1, 20)[:, None], Net(1, [Dense(1)])
    >>> for epoch in fit(net, X, 3 * X, loss="squared_error", learning_rate=0.1, epochs=60):
    ...     pass
    >>> epoch.train_loss < 1e-3, net(epoch.state(), X).shape
    (True, (20, 1))
    """
    if past and start is None:
        hint = "They are the epochs before start."
        raise InvalidValueError(must_be("fit", "past", "left out without start", f"{len(past)} epochs", hint))
    recipe = Recipe(
        net,
        losses.get(loss),
        optimizers.get(optimizer),
        penalty,
        clip,
        dict(learning_rate_multipliers or {}),
        rows_per_batch(batch_size, len(X)),
        seed,
        dtype,
        cache_every,
        max_weight_norm,
        ema_decay,
    )
    config = TrainConfig(epochs, learning_rate, schedules.get(schedule))
    rows = Rows.of(recipe, X, y, sample_weight)
    held_out = None if validation is None else Rows.of(recipe, *validation)
    chosen, _ = choose(engine, recipe)
    session = chosen.compile(recipe, rows)
    if start is not None:
        session.load(checked_state(recipe, start, "fit", "start"))
    yield from iterate(session, recipe, rows, config, held_out, past=past)


def iterate(
    session: Session,
    recipe: Recipe,
    rows: Sized,
    config: TrainConfig,
    validation: Rows | None = None,
    stop: Callable[[], bool] = never,
    *,
    past: Sequence[Epoch] = (),
    begun: Sums = Sums(),  # noqa: B008  (frozen)
    due: Callable[[], bool] = never,
    pause: Callable[[Sums], None] = lambda sums: None,
) -> Iterator[Epoch]:
    """Train from the session's state to the last epoch, or until `stop` says True within an epoch: the loop itself.

    A run that goes on passes the epochs `past` and the sums of the epoch `begun`. Between batches, when `due` says True
    and before the loop is left in the middle of an epoch, `pause` gets the sums of the epoch so far.
    """
    per_epoch = len(recipe.batches(len(rows)))
    follow = _plateau_tracker(config.schedule, validation is not None)
    plateau = reduce(follow, past, Plateau())
    step = int(session.state.step)
    for number in range(step // per_epoch, config.epochs):
        began = time.perf_counter()
        first = step % per_epoch
        rates = config.rates(step, per_epoch - first, per_epoch, plateau)
        sums = _run_epoch(session, number, first, rates, begun, stop, due, pause)
        done = int(sums.steps) - int(begun.steps)
        begun = Sums()
        step += done
        complete = done == len(rates)
        epoch = epoch_record(
            number + 1,
            recipe.loss,
            sums,
            _measure(session, recipe, validation) if complete else None,
            rate=float(rates[max(done, 1) - 1]),
            seconds=time.perf_counter() - began,
            complete=complete,
            state=_handle(session, step),
        )
        yield epoch
        if not (epoch.complete and epoch.finite) or stop():
            return
        plateau = follow(plateau, epoch)


def _run_epoch(
    session: Session,
    number: int,
    first: int,
    rates: Array,
    sums: Sums,
    stop: Callable[[], bool],
    due: Callable[[], bool],
    pause: Callable[[Sums], None],
) -> Sums:
    """Run the rest of an epoch, with pauses; end early when `stop` says True."""
    done = 0
    while done < len(rates):
        part = session.run(number, first + done, rates[done:], lambda: stop() or due())
        done += int(part.steps)
        sums = sums + part
        if done < len(rates):
            pause(sums)
        if stop():
            break
    return sums


def _plateau_tracker(schedule: Schedule, validated: bool) -> Callable[[Plateau, Epoch], Plateau]:
    """Return how the part of a schedule that follows the losses takes in one more epoch."""
    rule = plateau_rule(schedule)

    def follow(plateau: Plateau, epoch: Epoch) -> Plateau:
        loss = epoch.validation_loss if validated else epoch.train_loss
        return plateau if rule is None else rule.observe(plateau, loss)

    return follow


def _measure(session: Session, recipe: Recipe, rows: Rows | None) -> Sums | None:
    """Return the validation sums, None without validation rows; numbers that overflow show there, not as warnings."""
    if rows is None:
        return None
    with np.errstate(all="ignore"):
        return measure_rows(recipe, session.logits(rows.X), rows)


def _handle(session: Session, step: int) -> Callable[[], State]:
    """Return a function that gives the session's state while it is still that of this step."""

    def state() -> State:
        now = session.state
        return now if int(now.step) == step else spent()

    return state


def train(
    problem: TrainingProblem,
    monitors: Sequence[Monitor] = (),
    *,
    checkpoint: str | Path | Checkpointer | None = None,
) -> Run:
    """Train a problem under monitors.

    Ctrl-C ends the run between two batches and keeps what was learned, as does SIGTERM where the run is checkpointed; a
    second signal interrupts at once. A loss that is not a finite number ends the run; the last finite state is kept.

    Parameters
    ----------
    problem : TrainingProblem
        What is trained, for how long, from where.
    monitors : sequence of Monitor, default=()
        They watch the run, keep the best epoch and stop it.
    checkpoint : str, Path, Checkpointer or None, default=None
        A folder to save checkpoints in; the same call continues from there, bit for bit as if it had never stopped.

    Returns
    -------
    Run
        With the numbers of the best epoch where a monitor kept one, else of the last. `problem.model(run.state)` predicts.

    Raises
    ------
    InvalidValueError
        When another process uses the folder, or it belongs to another run.

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> recipe, X = Recipe(mlp(1, [4], 1), MeanSquaredError()), np.linspace(-1, 1, 40)[:, None]
    >>> problem = TrainingProblem(recipe, Rows.of(recipe, X, X), TrainConfig(epochs=5, learning_rate=0.01))
    >>> print(train(problem).stop)
    all epochs completed
    """
    chosen, notes = choose(problem.engine, problem.recipe)
    began = time.perf_counter()
    with compiled(chosen, problem) as session, opened(checkpoint, problem) as checkpointer:
        if problem.start is not None:
            session.load(problem.start)
        kept = checkpointer.load()
        now = Snapshot(session.state, Sums(), (), None) if kept is None else kept
        if kept is not None:
            session.load(kept.state)
        with watched(problem, monitors) as watchers, interruptible(*checkpointer.signals) as interrupted:
            for epoch in now.epochs:
                watchers.observe(epoch)
            if now.stop is None:
                now = _train_to_end(session, problem, now, watchers, interrupted, checkpointer)
            notes = (*notes, *checkpointer.notes)
            watchers.run = run = run_of(now, chosen.name, notes, time.perf_counter() - began, watchers)
    return run


@contextmanager
def compiled(engine: Engine, problem: TrainingProblem) -> Iterator[Session]:
    """Yield a session of an engine for a problem; one that reads its rows stops reading at the end."""
    if problem.stream is None:
        yield engine.compile(problem.recipe, problem.rows)
        return
    from chainrule.train.streamed import StreamSession

    session = StreamSession(engine, problem.recipe, problem.stream)
    try:
        yield session
    finally:
        session.close()


def run_of(now: Snapshot, engine: str, notes: tuple[str, ...], seconds: float, watchers: Watchers) -> Run:
    """Return the result of a training from the snapshot at its end."""
    number, state = now.best or (None, now.state)
    return Run(now.epochs, state, number, now.stop or COMPLETED, engine, notes, seconds, tuple(watchers.memories))


def _train_to_end(
    session: Session,
    problem: TrainingProblem,
    begun: Snapshot,
    watchers: Watchers,
    interrupted: Callable[[], bool],
    checkpointer: Checkpointer,
) -> Snapshot:
    """Train from one snapshot to the one at the end of the run, in blocks of epochs where nothing needs each at once."""
    if getattr(checkpointer, "between_blocks", False) and watchers.ahead() > 1 and suits(session, problem, begun):
        return train_in_blocks([InBlocks(session, problem, begun, watchers, checkpointer)], interrupted)[0]
    return _train_on(session, problem, begun, watchers.observe, interrupted, checkpointer)


def _train_on(
    session: Session,
    problem: TrainingProblem,
    begun: Snapshot,
    observe: Callable[[Epoch], Decision],
    interrupted: Callable[[], bool],
    checkpointer: Checkpointer,
) -> Snapshot:
    """Train from one snapshot to the one at the end of the run; its state is the last with finite losses."""
    now = replace(begun, sums=Sums())
    epochs = list(begun.epochs)

    def at(now: Snapshot) -> Snapshot:
        return replace(now, epochs=tuple(epochs))

    def pause(sums: Sums) -> None:
        checkpointer.save(at(replace(now, state=session.state, sums=sums)))

    for epoch in iterate(
        session,
        problem.recipe,
        problem.rows if problem.stream is None else problem.stream,
        problem.config,
        problem.validation,
        interrupted,
        past=begun.epochs,
        begun=begun.sums,
        due=checkpointer.due,
        pause=pause,
    ):
        decision = observe(epoch)
        epochs.append(replace(epoch, state=spent))
        if not epoch.finite:
            now = replace(now, stop=diverged(epoch.number))
            break
        now = replace(now, state=epoch.state())
        now = replace(now, best=(epoch.number, now.state)) if decision.keep else now
        if interrupted():
            return _interrupted(at(now), epoch, checkpointer)
        if decision.stop is not None:
            now = replace(now, stop=decision.stop)
            break
        if checkpointer.due():
            checkpointer.save(at(now))
    now = at(replace(now, stop=now.stop or COMPLETED))
    checkpointer.save(now)
    return now


def _interrupted(now: Snapshot, epoch: Epoch, checkpointer: Checkpointer) -> Snapshot:
    """Return the end of a run by a signal; within an epoch the checkpointer already has what it needs to go on."""
    if epoch.complete:
        checkpointer.save(now)
    return replace(now, stop=Stop(StopReason.INTERRUPTED, f"in epoch {epoch.number}"))


class Watchers:
    """The monitors of one run with what they remember."""

    def __init__(self, monitors: Sequence[Monitor]) -> None:
        self.monitors = monitors
        self.memories: list[Any] = []
        self.run: Run | None = None

    def observe(self, epoch: Epoch) -> Decision:
        """Show an epoch to every monitor, and join their decisions."""
        joined = GO_ON
        for i, monitor in enumerate(self.monitors):
            self.memories[i], decision = monitor.observe(self.memories[i], epoch)
            if joined is GO_ON:
                joined = decision
            elif decision.keep or decision.stop is not None:
                joined = Decision(joined.keep or decision.keep, joined.stop or decision.stop)
        return joined

    def observe_block(self, columns: Columns, broken: int | None) -> tuple[int, int | None, Stop | None]:
        """Show a block of epochs to every monitor; return how many were seen, the last one to keep, and why to stop.

        Nothing is decided about a last epoch that is `broken`: of numbers that are not finite.
        """
        if not all(knows_blocks(monitor) for monitor in self.monitors):
            return self._observe_each(columns, broken)
        kept: list[int] = []
        stop: Stop | None = None
        sound = columns if broken is None else columns.until(broken)
        for i, monitor in enumerate(self.monitors):
            memory, best, ended = monitor.observe_block(self.memories[i], sound)  # type: ignore[attr-defined]
            if broken is not None:
                memory, _ = monitor.observe(memory, columns.record(broken))
            self.memories[i] = memory
            kept += [] if best is None else [best]
            stop = stop or ended
        return len(columns), max(kept, default=None), stop

    def _observe_each(self, columns: Columns, broken: int | None) -> tuple[int, int | None, Stop | None]:
        """Show the monitors one record after the other, until one of them stops."""
        best = None
        for i in range(len(columns)):
            decision = self.observe(columns.record(i))
            if i == broken:
                break
            best = i if decision.keep else best
            if decision.stop is not None:
                return i + 1, best, decision.stop
        return len(columns), best, None

    def ahead(self) -> int:
        """Return how many epochs may run before the next decision can matter; 1 unless every monitor knows better."""
        pairs = zip(self.monitors, self.memories, strict=True)
        return min(
            (int(vars(type(m))["ahead"](m, memory)) if knows_ahead(m) else 1 for m, memory in pairs),
            default=MANY_EPOCHS,
        )


def knows_blocks(monitor: Any) -> bool:
    """Check whether a monitor decides on many epochs at once; not so if it inherits that, but observes anew."""
    own = vars(type(monitor))
    return "observe_block" in own and "observe" in own


def knows_ahead(monitor: Any) -> bool:
    """Check whether a monitor says how many epochs it can do without; not so if it inherits that, but observes anew."""
    own = vars(type(monitor))
    return "ahead" in own and "observe" in own


@contextmanager
def watched(problem: TrainingProblem, monitors: Sequence[Monitor]) -> Iterator[Watchers]:
    """Start the monitors, and end them however the run ends."""
    watchers = Watchers(monitors)
    try:
        watchers.memories.extend(monitor.start(problem) for monitor in monitors)
        yield watchers
    finally:
        for monitor, memory in zip(monitors, watchers.memories, strict=False):
            monitor.end(memory, watchers.run)
