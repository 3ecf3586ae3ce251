"""Why: a wrong gradient still trains, only worse; so every gradient is compared with differences of the loss itself.

In: a network, a loss, a few rows. Out: for every parameter and for the input, how far the hand-derived gradient is from
central differences in float64, and the entry where it is farthest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.layers import Context
from chainrule.nn.losses import Loss, mean_loss
from chainrule.nn.net import Net
from chainrule.nn.penalties import Penalty
from chainrule.random import Purpose, Stream

_RETRIES = (1.0, 0.1, 0.01)
"""Shares of the step tried in turn: a kink inside the first interval lies outside a shorter one."""


@dataclass(frozen=True)
class ArrayCheck:
    """One array's comparison: relative error, and the entry with the largest difference."""

    name: str
    error: float
    entry: tuple[int, ...]
    analytic: float
    numeric: float

    def __str__(self) -> str:
        place = ", ".join(map(str, self.entry))
        return f"{self.name}[{place}]: by hand {self.analytic:.6e}, by differences {self.numeric:.6e}"


@dataclass(frozen=True)
class GradientReport:
    """All arrays' comparisons, in the order of the parameters, the input "X" last."""

    checks: tuple[ArrayCheck, ...]

    @property
    def worst(self) -> ArrayCheck:
        """The array with the largest relative error."""
        return max(self.checks, key=lambda check: check.error)

    def passed(self, tolerance: float = 1e-6) -> bool:
        """Whether every array agrees to the tolerance."""
        return self.worst.error <= tolerance

    def error(self, name: str) -> float:
        """Relative error of one array."""
        return next(check.error for check in self.checks if check.name == name)


def central_differences(
    J: Callable[[Array], float], x: Array, analytic: Array, entries: Array, step: float = 1e-5
) -> Array:
    """Slopes of J at chosen entries of x.

    Where the slope by hand disagrees, shorter steps are tried, and the nearest counts: a kink inside the interval is left
    outside by a shorter one, while a wrong gradient is wrong at every step. At a kink itself there is no slope to find.

    Forward    (1) dJ/dxₑ ≈ (J(x + h e) - J(x - h e)) / 2h, with h = step · max(1, |xₑ|)
    """
    scale = max(1e-8, float(np.abs(analytic).max(initial=0.0)))
    slopes = np.empty(len(entries))
    for k, entry in enumerate(entries):
        best = np.inf
        for share in _RETRIES:
            h = share * step * max(1.0, abs(float(x[entry])))
            up, down = x.copy(), x.copy()
            up[entry] += h
            down[entry] -= h
            slope = (J(up) - J(down)) / (up[entry] - down[entry])  # (1)
            if abs(slope - analytic[entry]) < best:
                best, slopes[k] = abs(slope - analytic[entry]), slope
            if best <= 1e-8 * scale:
                break
    return slopes


def gradcheck(
    net: Net,
    loss: Loss,
    X: Array,
    Y: Array,
    *,
    c: Array | None = None,
    w: Array | None = None,
    buffers: Array | None = None,
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    training: bool = True,
    entries: int | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compare every gradient of the mean loss plus penalty with central differences, in float64.

    The relative error of an array is ‖by hand - by differences‖ / (‖by hand‖ + ‖by differences‖), the norms over the
    entries looked at; arrays whose gradient is below a thousandth of the whole gradient's length are measured
    against that thousandth, since differences of J carry its rounding. In training, batch statistics and dropout
    masks (fixed by the seed) are part of what is checked. `entries` limits the entries looked at per array, drawn at
    random; None looks at all. `w` defaults to first weights by the seed, with b, γ and β moved off their special first
    values by 0.1 N(0, 1): at b = 0 a row whose units are all off puts the next Z exactly on a rectifier's kink.

    Reference  [ng2018] practical tips; [karpathy2016] gradient checks

    >>> from chainrule import Dense, Net
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> report = gradcheck(Net(2, [Dense(1)]), MeanSquaredError(), np.eye(2), np.ones((2, 1)))
    >>> report.passed(1e-8)
    True
    """
    first, running = net.init(seed)
    moved = 0.1 * (1.0 - net.decay) * Stream.from_seed(seed).fold(Purpose.INIT, len(net.layers)).normal(net.size)
    w = first + moved if w is None else np.asarray(w, np.float64)
    buffers = running if buffers is None else np.asarray(buffers, np.float64)
    X = np.asarray(X, np.float64)
    Y = Y if Y.dtype.kind in "iu" else np.asarray(Y, np.float64)
    c = np.ones(len(X)) if c is None else np.asarray(c, np.float64)
    ctx = Context(np, training, Stream.from_seed(seed).fold(Purpose.DROPOUT))

    def J(w: Array, X: Array) -> float:  # noqa: N802  (the mathematics' letter)
        Z = net.forward(w, buffers, X, ctx)[0]
        return float(mean_loss(loss, np, Z, Y, c)[0] + penalty.value(np, w, net.decay))

    Z, tape, _ = net.forward(w, buffers, X, ctx)
    dX, g = net.backward(w, tape, mean_loss(loss, np, Z, Y, c)[1], ctx)
    g = g + penalty.gradient(np, w, net.decay)
    stream = Stream.from_seed(seed).fold(Purpose.SPLIT)
    pieces = [(s.name, s.shape, np.arange(s.offset, s.offset + s.size)) for s in net.parameters.slots]
    chosen = [_sample(stream.fold(i), where, entries) for i, (_, _, where) in enumerate(pieces)]
    slopes = [central_differences(lambda v: J(v, X), w, g, where) for where in chosen]
    inputs = _sample(stream.fold(len(pieces)), np.arange(X.size), entries)
    slopes.append(central_differences(lambda v: J(w, v.reshape(X.shape)), X.ravel(), dX.ravel(), inputs))
    by_hand = [g[where] for where in chosen] + [dX.ravel()[inputs]]
    names = [(name, shape) for name, shape, _ in pieces] + [("X", X.shape)]
    places = [where - piece[2][0] for where, piece in zip(chosen, pieces, strict=True)] + [inputs]
    return GradientReport(tuple(_compare(names, places, by_hand, slopes)))


def _sample(stream: Stream, where: Array, entries: int | None) -> Array:
    return (
        where
        if entries is None or entries >= where.size
        else where[np.sort(stream.permutation(np, where.size)[:entries])]
    )


def _compare(
    names: list[tuple[str, tuple[int, ...]]], places: list[Array], by_hand: list[Array], slopes: list[Array]
) -> Iterator[ArrayCheck]:
    floor = 1e-3 * float(np.linalg.norm(np.concatenate(by_hand))) + 1e-12
    for (name, shape), place, a, b in zip(names, places, by_hand, slopes, strict=True):
        worst = int(np.argmax(np.abs(a - b)))
        error = float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a) + np.linalg.norm(b)), floor)
        entry = tuple(int(i) for i in np.unravel_index(int(place[worst]), shape))
        yield ArrayCheck(name, error, entry, float(a[worst]), float(b[worst]))
