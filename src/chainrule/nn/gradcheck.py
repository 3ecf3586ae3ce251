"""Gradient checking: compare hand-derived gradients with differences of the loss itself.

A wrong gradient still trains, only worse, so it has to be looked for.

In: a network, a loss, a few rows. Out: for every parameter and for the input, how far the hand-derived gradient is from
central differences in float64, and the entry where it is farthest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.nn.layers import Context
from chainrule.nn.losses import Loss, mean_loss
from chainrule.nn.net import Net
from chainrule.nn.penalties import Penalty
from chainrule.nn.step import loss_and_gradient
from chainrule.random import Purpose, Stream

_RETRIES = (1.0, 0.1, 0.01)
"""Shares of the step tried in turn: a kink inside the first interval lies outside a shorter one."""


@dataclass(frozen=True)
class ArrayCheck:
    """Comparison of one array: relative error, and the entry with the largest difference.

    Parameters
    ----------
    name : str
        The parameter, such as "0.W", or "X" for the input.
    error : float
        Relative error of the whole array.
    entry : tuple of int
        Position of the entry that differs most.
    analytic : float
        Its gradient by hand.
    numeric : float
        Its gradient by differences.
    """

    name: str
    error: float
    entry: tuple[int, ...]
    analytic: float
    numeric: float

    def __str__(self) -> str:
        place = ", ".join(map(str, self.entry))
        return f"{self.name}[{place}]: analytic {self.analytic:.6e}, numeric {self.numeric:.6e}"


@dataclass(frozen=True)
class GradientReport:
    """Comparisons of all arrays.

    Parameters
    ----------
    checks : tuple of ArrayCheck
        One for each parameter, in order, the input "X" last.
    """

    checks: tuple[ArrayCheck, ...]

    @property
    def worst(self) -> ArrayCheck:
        """The array with the largest relative error."""
        return max(self.checks, key=lambda check: check.error)

    def passed(self, tolerance: float = 1e-6) -> bool:
        """Check whether every array agrees to the tolerance.

        Parameters
        ----------
        tolerance : float, default=1e-6
            Largest relative error allowed. A correct gradient is usually far below it in float64.

        Returns
        -------
        bool
            True if no array has a larger error.
        """
        return self.worst.error <= tolerance

    def error(self, name: str) -> float:
        """Return the relative error of one array.

        Parameters
        ----------
        name : str
            A parameter, such as "0.W", or "X" for the input.

        Returns
        -------
        float
            ‖by hand - by differences‖ / (‖by hand‖ + ‖by differences‖), see `gradcheck`.

        Raises
        ------
        InvalidValueError
            If no array has this name.
        """
        errors = {check.name: check.error for check in self.checks}
        if name not in errors:
            hint = did_you_mean(name, errors)
            raise InvalidValueError(must_be("GradientReport", "name", "that of a parameter, or 'X'", name, hint))
        return errors[name]


def central_differences(
    J: Callable[[Array], float], x: Array, analytic: Array, entries: Array, step: float = 1e-5
) -> Array:
    """Return the derivatives of J at chosen entries of x, by central differences.

    Where the derivative by hand disagrees, shorter steps are tried and the nearest result counts: a kink inside the
    interval lies outside a shorter one, while a wrong gradient is wrong at every step. At a kink itself there is no
    derivative to find.

    Forward    (1) dJ/dxₑ ≈ (J(x + h e) - J(x - h e)) / 2h, with h = step · max(1, |xₑ|)

    Parameters
    ----------
    J : function
        Takes a vector like x and returns a number.
    x : array (P)
        Where to take the derivatives.
    analytic : array (P)
        The derivatives by hand.
    entries : array of int
        Positions of the entries.
    step : float, default=1e-5
        The relative step; near the best for float64.

    Returns
    -------
    array
        The derivative at each of the entries.
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
    entries compared. Arrays whose gradient is below a thousandth of the whole gradient's length are measured against that
    thousandth, since differences of J carry its rounding. In training, batch statistics and dropout masks (fixed by the
    seed) are part of what is checked.

    Reference  [ng2018] practical tips; [karpathy2016] gradient checks

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        The loss.
    X : array (n, d)
        A few rows.
    Y : array (n) or (n, k)
        Their targets.
    c : array (n) or None, default=None
        Weights of the rows; None weights them equally.
    w : array (P) or None, default=None
        Parameters. None draws first weights by the seed, with b, γ and β moved off their special first values by
        0.1 N(0, 1): at b = 0 a row whose units are all off puts the next Z exactly on a rectifier's kink.
    buffers : array (B) or None, default=None
        Running statistics; None takes the first ones.
    penalty : Penalty, default=Penalty()
        Penalty that belongs to the loss.
    training : bool, default=True
        Whether to check the training pass or inference.
    entries : int or None, default=None
        Entries compared in each array, drawn at random; None compares all.
    seed : int, default=0
        Fixes weights, masks and the choice of entries.

    Returns
    -------
    GradientReport
        The comparison of every parameter and of the input.

    Examples
    --------
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

    result = loss_and_gradient(net, loss, w, buffers, X, Y, c, ctx, penalty)
    g, dX = result.gradient, result.inputs
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
    """Return a number of entries drawn at random, in order, or all of them."""
    if entries is None or entries >= where.size:
        return where
    return where[np.sort(stream.permutation(np, where.size)[:entries])]


def _compare(
    names: list[tuple[str, tuple[int, ...]]], places: list[Array], by_hand: list[Array], slopes: list[Array]
) -> Iterator[ArrayCheck]:
    floor = 1e-3 * float(np.linalg.norm(np.concatenate(by_hand))) + 1e-12
    for (name, shape), place, a, b in zip(names, places, by_hand, slopes, strict=True):
        worst = int(np.argmax(np.abs(a - b)))
        error = float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(a) + np.linalg.norm(b)), floor)
        entry = tuple(int(i) for i in np.unravel_index(int(place[worst]), shape))
        yield ArrayCheck(name, error, entry, float(a[worst]), float(b[worst]))
