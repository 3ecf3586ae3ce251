"""Why: detectors are compared on what they conclude, so all of them are shown the same training.

In: a subject. Out: a `Trace`: checks at single steps and at the ends of epochs, with weights, gradients and every layer's
outputs on the first training rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows, Session, choose
from chainrule.nn.layers import Context
from chainrule.nn.losses import mean_loss
from chainrule.nn.net import Net
from chainrule.nn.schedules import Plateau
from chainrule.nn.step import State, Sums
from chainrule.random import Purpose, Stream
from doctor.hosts import Subject

PROBED = 32
"""Rows of the probe: the first ones of the training rows."""

SINGLE, SPACED, LIMIT = 50, 10, 500
"""Every step is checked up to the first number, every tenth up to the last, and the end of every epoch."""


@dataclass(frozen=True, eq=False)
class Check:
    """What is seen at one step.

    `w_before` and `w` (P) stand before and after this step; `g` (P) is the gradient of the data's loss at `w` on the
    probed rows with dropout on, `penalty_norm` the length of the penalty's. `outputs` holds each layer's output on the
    probed rows in inference, `training_outputs` in training. Losses of the probe are means.
    """

    step: int
    epoch: float
    end: bool
    rate: float
    w_before: Array
    w: Array
    g: Array
    penalty_norm: float
    outputs: tuple[Array, ...]
    training_outputs: tuple[Array, ...]
    loss: float
    training_loss: float
    step_loss: float


@dataclass(frozen=True)
class Turn:
    """What is known at the end of one epoch: means over it, and accuracies (NaN for regression)."""

    number: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    rate: float
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class Trace:
    """One training, as a callback of any kind would have seen it."""

    subject: Subject
    checks: tuple[Check, ...]
    turns: tuple[Turn, ...]
    stopped: bool
    final: State
    seconds: float
    X: Array = field(repr=False)
    Y: Array = field(repr=False)

    @property
    def ends(self) -> tuple[Check, ...]:
        """The checks at the ends of epochs."""
        return tuple(check for check in self.checks if check.end)

    @property
    def net(self) -> Net:
        """The network."""
        return self.subject.recipe.net

    @property
    def epochs(self) -> int:
        """Epochs that were asked for."""
        return self.subject.config.epochs

    def parts(self, flat: Array, letter: str = "W") -> list[Array]:
        """Views of a vector (P) at the weight matrices (or another letter), first layer first."""
        views = self.net.parameters.views(flat)
        return [view for name, view in views.items() if name.endswith("." + letter)]


def accuracy(P: Array, rows: Rows) -> float:
    """Share of rows whose predicted class is the target's; NaN for numbers that are none."""
    if not np.isfinite(P).all():
        return 0.0
    if P.shape[1] == 1:
        return float(((P[:, 0] > 0.5) == (rows.Y[:, 0] > 0.5)).mean())
    truth = rows.Y if rows.Y.ndim == 1 else np.argmax(rows.Y, axis=1)
    return float((np.argmax(P, axis=1) == truth).mean())


def outputs(net: Net, w: Array, buffers: Array, X: Array, ctx: Context) -> tuple[Array, ...]:
    """Every layer's output, as the forward pass makes it."""
    p, b = net._by_layer(net.parameters, w), net._by_layer(net.buffers, buffers)
    A, kept = X, []
    for i, layer in enumerate(net.layers):
        stream = None if ctx.stream is None else ctx.stream.fold(i)
        A = layer.forward(p[i], b[i], A, Context(ctx.xp, ctx.training, stream))[0]
        kept.append(A)
    return tuple(kept)


def marks(per_epoch: int, epochs: int) -> list[int]:
    """Numbers (from 1) of the steps that are checked."""
    total = per_epoch * epochs
    single = range(1, min(SINGLE, total) + 1)
    spaced = range(SPACED, min(LIMIT, total) + 1, SPACED)
    return sorted({*single, *spaced, *range(per_epoch, total + 1, per_epoch)})


def _check(subject: Subject, before: State, state: State, epoch: float, end: bool, rate: float, loss: float) -> Check:
    recipe, net = subject.recipe, subject.recipe.net
    X, Y, c = subject.rows.X[:PROBED], subject.rows.Y[:PROBED], subject.rows.c[:PROBED]
    stream = Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, int(state.step))
    ctx = Context(np, training=True, stream=stream)
    with np.errstate(all="ignore"):
        quiet = outputs(net, state.w, state.buffers, X, Context(np))
        noisy = outputs(net, state.w, state.buffers, X, ctx)
        Z, tape, _ = net.forward(state.w, state.buffers, X, ctx)
        J, dZ = mean_loss(recipe.loss, np, Z, Y, c)
        g = net.backward(state.w, tape, dZ, ctx)[1]
        penalty = recipe.penalty.gradient(np, state.w, recipe.decay) if recipe.penalty.active else np.zeros(1)
        at_rest = float(mean_loss(recipe.loss, np, quiet[-1], Y, c)[0])
        norm = float(np.sqrt((penalty**2).sum()))
    return Check(int(state.step), epoch, end, rate, before.w, state.w, g, norm, quiet, noisy, at_rest, float(J), loss)


def _measured(subject: Subject, session: Session, rows: Rows | None) -> tuple[float, float]:
    if rows is None:
        return math.nan, math.nan
    with np.errstate(all="ignore"):
        Z = session.logits(rows.X)
        loss = float(mean_loss(subject.recipe.loss, np, Z, rows.Y, rows.c)[0])
        hits = math.nan if subject.labels is None else accuracy(subject.recipe.loss.predict(np, Z), rows)
    return loss, hits


def _turn(subject: Subject, session: Session, number: int, sums: Sums, rate: float) -> Turn:
    train = _measured(subject, session, subject.rows)[1]
    held_out = _measured(subject, session, subject.validation)
    return Turn(number, sums.mean_loss, train, *held_out, rate, sums.mean_norm)


def _pieces(first: int, last: int, wanted: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Stretches of steps (from, to, checked) between two numbers, so that each checked step stands alone."""
    at = first
    for mark in wanted:
        if mark - 1 > at:
            yield at, mark - 1, False
        yield mark - 1, mark, True
        at = mark
    if at < last:
        yield at, last, False


def record(subject: Subject) -> Trace:
    """Train a subject to the end of its course, or to the first number that is none, and look."""
    recipe, config = subject.recipe, subject.config
    session = choose(subject.engine, recipe)[0].compile(recipe, subject.rows)
    per_epoch = len(recipe.batches(len(subject.rows)))
    wanted = marks(per_epoch, config.epochs)
    checks: list[Check] = [_check(subject, session.state, session.state, 0.0, False, 0.0, math.nan)]
    turns: list[Turn] = []
    training, stopped, final = 0.0, False, session.state
    for number in range(config.epochs):
        first = number * per_epoch
        rates, sums = config.rates(first, per_epoch, per_epoch, Plateau()), Sums()
        inside = [m for m in wanted if first < m <= first + per_epoch]
        for start, stop, look in _pieces(first, first + per_epoch, inside):
            before = session.state if look else final
            began = time.perf_counter()
            part = session.run(number, start - first, rates[start - first : stop - first])
            training += time.perf_counter() - began
            sums = sums + part
            if look:
                end, rate = stop == first + per_epoch, float(rates[stop - first - 1])
                checks.append(_check(subject, before, session.state, stop / per_epoch, end, rate, part.mean_loss))
        turns.append(_turn(subject, session, number + 1, sums, float(rates[-1])))
        stopped = not (math.isfinite(sums.mean_loss) and math.isfinite(sums.norm))
        if stopped:
            break
        final = session.state
    X, Y = subject.rows.X, subject.rows.Y
    return Trace(subject, tuple(checks), tuple(turns), stopped, final, training, X, Y)
