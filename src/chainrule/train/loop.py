"""Why: training is an iterator of epoch records; whoever wants the bare loop iterates, whoever wants a result calls `train`.

In: a recipe, rows, a course (epochs and learning rate), monitors. Out: `Epoch` records, or a `Run`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows, Session, choose, never
from chainrule.nn import losses, optimizers, schedules
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import ConstantSchedule, Plateau, Schedule, plateau_rule
from chainrule.nn.step import Recipe, State, Sums, measure
from chainrule.train.checkpointing import Checkpointer, NoCheckpoint
from chainrule.train.interrupts import interruptible
from chainrule.train.monitors import Decision, Monitor
from chainrule.train.problem import TrainConfig
from chainrule.train.records import Epoch, Run, Snapshot, metric_value, spent

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
    batch_size: int | None = 32,
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
        The update rule, by name ("adam", "adamw", "sgd", "momentum", ...) or as an object.
    learning_rate : float > 0, default=0.001
        Base learning rate; the default suits Adam.
    schedule : str or Schedule, default=ConstantSchedule()
        How the learning rate changes, by name ("constant", "cosine", "one_cycle", "plateau", ...) or as an object.
    epochs : int >= 1, default=100
        Passes over the rows.
    batch_size : int >= 1 or None, default=32
        Rows in a batch: 1 is stochastic descent, None the full batch.
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
        Continue from this state, at the epoch to which its step number belongs.
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
    recipe = Recipe(
        net,
        losses.get(loss),
        optimizers.get(optimizer),
        penalty,
        clip,
        dict(learning_rate_multipliers or {}),
        max(len(X), 1) if batch_size is None else batch_size,
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
        session.load(start)
    yield from iterate(session, recipe, rows, config, held_out, past=past)


def iterate(
    session: Session,
    recipe: Recipe,
    rows: Rows,
    config: TrainConfig,
    validation: Rows | None = None,
    stop: Callable[[], bool] = never,
    *,
    past: Sequence[Epoch] = (),
    begun: Sums = Sums(),  # noqa: B008  (frozen)
    due: Callable[[], bool] = never,
    pause: Callable[[Sums], None] = lambda sums: None,
) -> Iterator[Epoch]:
    """The loop itself: from the session's state to the end of the course, or until `stop` says True within an epoch.

    A run that goes on gives the epochs `past` and the sums of the epoch `begun`. Between batches, when `due` says True and
    before the loop is left in the middle of an epoch, `pause` gets the sums of the epoch so far.
    """
    per_epoch = len(recipe.batches(len(rows)))
    follow = _follower(config.schedule, validation is not None)
    plateau = reduce(follow, past, Plateau())
    step = int(session.state.step)
    for number in range(step // per_epoch, config.epochs):
        began, first = time.perf_counter(), step % per_epoch
        rates = config.rates(step, per_epoch - first, per_epoch, plateau)
        sums = _run_epoch(session, number, first, rates, begun, stop, due, pause)
        done, begun = int(sums.steps) - int(begun.steps), Sums()
        step += done
        held_out = _measure(session, recipe, validation) if done == len(rates) else Sums()
        epoch = _epoch(
            number + 1,
            recipe.loss,
            sums,
            held_out,
            rate=float(rates[max(done, 1) - 1]),
            seconds=time.perf_counter() - began,
            complete=done == len(rates),
            finite=_finite(sums) and (validation is None or done < len(rates) or _finite(held_out)),
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
    """The rest of an epoch, with pauses; ends early when `stop` says True."""
    done = 0
    while done < len(rates):
        part = session.run(number, first + done, rates[done:], lambda: stop() or due())
        done, sums = done + int(part.steps), sums + part
        if done < len(rates):
            pause(sums)
        if stop():
            break
    return sums


def _follower(schedule: Schedule, validated: bool) -> Callable[[Plateau, Epoch], Plateau]:
    """How the part of a schedule that follows the losses takes in one more epoch."""
    rule = plateau_rule(schedule)

    def follow(plateau: Plateau, epoch: Epoch) -> Plateau:
        loss = epoch.validation_loss if validated else epoch.train_loss
        return plateau if rule is None else rule.observe(plateau, loss)

    return follow


def _measure(session: Session, recipe: Recipe, rows: Rows | None) -> Sums:
    """Validation sums; numbers that overflow show there, not as warnings."""
    if rows is None:
        return Sums()
    with np.errstate(all="ignore"):
        return measure(recipe, np, session.logits(rows.X), rows.Y, rows.c)


def _finite(sums: Sums) -> bool:
    return math.isfinite(sums.mean_loss) and math.isfinite(sums.norm)


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
    rate: float,
    seconds: float,
    complete: bool,
    finite: bool,
    state: Callable[[], State],
) -> Epoch:
    return Epoch(
        number=number,
        metric=loss.metric,
        train_loss=sums.mean_loss,
        train_score=metric_value(loss, sums),
        validation_loss=held_out.mean_loss,
        validation_score=metric_value(loss, held_out),
        learning_rate=rate,
        gradient_norm=sums.mean_norm,
        seconds=seconds,
        steps=int(sums.steps),
        complete=complete,
        finite=finite,
        state=state,
    )


def train(
    recipe: Recipe,
    rows: Rows,
    config: TrainConfig,
    *,
    validation: Rows | None = None,
    monitors: Sequence[Monitor] = (),
    engine: str = "auto",
    start: State | None = None,
    checkpointer: Checkpointer = NoCheckpoint(),  # noqa: B008  (keeps nothing)
) -> Run:
    """Train under monitors to a `Run`.

    It ends with the weights of the best epoch where a monitor kept one, else with the last; `recipe.weights(run.state)`
    are those for inference. Ctrl-C (or another of the keeper's signals: SIGTERM where a run is kept) ends it between two
    batches and keeps what was learned; a second one interrupts at once. A
    loss that is not a finite number ends it, and the last epoch with finite losses is what remains. With a keeper that
    has a snapshot, the run goes on from there, bit for bit as if it had never stopped.
    """
    chosen, notes = choose(engine, recipe)
    session = chosen.compile(recipe, rows)
    if start is not None:
        session.load(start)
    began = time.perf_counter()
    kept = checkpointer.load() or Snapshot(session.state, Sums(), (), None)
    session.load(kept.state)
    with _watching(monitors, config.epochs) as observe, interruptible(*checkpointer.signals) as interrupted:
        for epoch in kept.epochs:
            observe(epoch)
        if kept.stopped is None:
            kept = _follow(session, recipe, rows, config, validation, kept, observe, interrupted, checkpointer)
    number, state = kept.best or (None, kept.state)
    notes = (*notes, *checkpointer.notes)
    return Run(kept.epochs, state, number, kept.stopped or "", chosen.name, notes, time.perf_counter() - began)


def _follow(
    session: Session,
    recipe: Recipe,
    rows: Rows,
    config: TrainConfig,
    validation: Rows | None,
    kept: Snapshot,
    observe: Callable[[Epoch], Decision],
    interrupted: Callable[[], bool],
    checkpointer: Checkpointer,
) -> Snapshot:
    """From one snapshot to the one at the end of the run; its state is the last with finite losses."""
    now, epochs = replace(kept, sums=Sums()), list(kept.epochs)

    def pause(sums: Sums) -> None:
        checkpointer.save(replace(now, state=session.state, sums=sums, epochs=tuple(epochs)))

    for epoch in iterate(
        session,
        recipe,
        rows,
        config,
        validation,
        interrupted,
        past=kept.epochs,
        begun=kept.sums,
        due=checkpointer.due,
        pause=pause,
    ):
        decision = observe(epoch)
        epochs.append(replace(epoch, state=spent))
        if not epoch.finite:
            now = replace(now, stopped=f"diverged: the loss in epoch {epoch.number} is not a finite number")
            break
        now = replace(now, state=epoch.state())
        now = replace(now, best=(epoch.number, now.state)) if decision.keep else now
        if interrupted():
            return _interrupted(replace(now, epochs=tuple(epochs)), epoch, checkpointer)
        if decision.stop:
            now = replace(now, stopped=decision.stop)
            break
        if checkpointer.due():
            checkpointer.save(replace(now, epochs=tuple(epochs)))
    now = replace(now, epochs=tuple(epochs), stopped=now.stopped or "")
    checkpointer.save(now)
    return now


def _interrupted(now: Snapshot, epoch: Epoch, checkpointer: Checkpointer) -> Snapshot:
    """The end of a run by a signal; within an epoch the keeper already has what it needs to go on."""
    if epoch.complete:
        checkpointer.save(now)
    return replace(now, stopped=f"interrupted in epoch {epoch.number}")


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
