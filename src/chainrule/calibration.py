"""Why: a probability is honest when of the rows called 70 % sure, 70 % are right; networks are often surer than that.

In: logits or probabilities of rows that were not trained on, and what came true. Out: the temperature that mends the logits,
the bins of a reliability diagram, the error that sums them up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import COUNT
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import Loss

HOTTEST = 100.0
"""Temperatures are sought from 1 / HOTTEST to HOTTEST; beyond, logits of usual size are all alike or all sure."""

_CLOSE = 1e-9
"""Width of the bracket of log T at which the search ends."""


def temperature(loss: Loss, Z: Array, Y: Array, c: Array | None = None) -> float:
    """The number T > 0 that logits Z (n, k) are to be divided by for the smallest weighted mean loss of these rows.

    Y as the loss takes it, c (n) weights. The order of the classes, and with it the accuracy, stays as it is. Losses of
    classes are convex in u = 1 / T, so the slope's one change of sign is the minimum; it is bracketed and closed in on.
    Where the loss falls all the way to T = 0, since every row is right, these rows do not show how sure is too sure, and
    T stays 1. The rows must be new to the network: those it was trained on make it look more honest than it is.

    Equations  (1) J(t) = Σᵢ cᵢ L(Zᵢ exp(-t), Yᵢ) / Σᵢ cᵢ    (2) J'(t) = -Σᵢ cᵢ Σₖ dL/dZᵢₖ Zᵢₖ exp(-t) / Σᵢ cᵢ
               (3) T = exp(t) where J'(t) = 0
    Raises     `InvalidValueError` for logits that are not finite and weights that are not n numbers >= 0, some above 0
    Reference  [guo2017] 4.2; the search [ridders1979]

    >>> from chainrule.nn.losses import BinaryCrossEntropy
    >>> Z, Y = np.full((4, 1), 10.0), np.array([[1.0], [1.0], [1.0], [0.0]])
    >>> T = temperature(BinaryCrossEntropy(), Z, Y)
    >>> round(float(1 / (1 + np.exp(-10 / T))), 6)
    0.75
    """
    Z, share = np.asarray(Z, np.float64), _shares(Z, c)

    def mean(t: float) -> float:
        return float(share @ loss.rows(np, Z * math.exp(-t), Y))  # (1)

    def slope(t: float) -> float:
        cooled = Z * math.exp(-t)
        return -float(share @ (loss.gradient(np, cooled, Y) * cooled).sum(axis=1))  # (2)

    end = math.log(HOTTEST)
    if slope(-end) >= 0.0:
        return 1.0
    t = end if slope(end) < 0.0 else _root(slope, -end, end)
    return math.exp(t) if mean(t) < mean(0.0) else 1.0  # (3)


def _shares(Z: Array, c: Array | None) -> Array:
    """Weights as shares of 1."""
    if np.ndim(Z) != 2 or not len(Z) or not np.isfinite(Z).all():
        raise InvalidValueError(must_be("temperature", "Z", "finite logits (n, k) with n > 0", np.shape(Z)))
    weights = np.ones(len(Z)) if c is None else np.asarray(c, np.float64)
    if weights.shape != (len(Z),) or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise InvalidValueError(must_be("temperature", "c", f"{len(Z)} numbers >= 0, some above 0", c))
    return weights / weights.sum()


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where f, below 0 at `low` and not at `high`, changes its sign; each turn at least halves the bracket.

    An exponential factor straightens f over the bracket's two ends and middle; the straight line's zero is the next guess.

    Equations  (1) m = (a + b) / 2    (2) x = m - (m - a) f(m) / √(f(m)² - f(a) f(b))
    Reference  [ridders1979]
    """
    f_low, f_high = f(low), f(high)
    while high - low > _CLOSE and f_high > 0.0:
        middle = 0.5 * (low + high)  # (1)
        f_middle = f(middle)
        guess = middle - (middle - low) * f_middle / math.sqrt(f_middle**2 - f_low * f_high)  # (2)
        for t, value in sorted({middle: f_middle, guess: f(guess)}.items()):
            if low < t < high and value < 0.0:
                low, f_low = t, value
            elif low < t < high:
                high, f_high = t, value
    return 0.5 * (low + high) if f_high > 0.0 else high


def reliability(P: Array, y: Array, bins: int = 10, c: Array | None = None) -> tuple[Array, Array, Array]:
    """How sure the predictions were, how often they were right, and the share of rows, each (bins,).

    P (n, K) probabilities, y (n) class numbers, c (n) weights. A row's confidence is its largest probability; bins are of
    equal width on (0, 1], the upper end belonging to its bin. Confidence and accuracy are means over the bin's rows, NaN
    in a bin without any.

    Raises     `InvalidValueError` for shapes that do not fit, and fewer than one bin
    Reference  [murphy1977], [naeini2015]

    >>> P = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]])
    >>> [part.round(2).tolist() for part in reliability(P, np.array([0, 1, 1]), bins=2)]
    [[nan, 0.8], [nan, 0.67], [0.0, 1.0]]
    """
    _check_predictions(P, y, bins)
    weights = np.ones(len(P)) if c is None else np.asarray(c, np.float64)
    sure = P.max(axis=1).astype(np.float64)
    right = P.argmax(axis=1) == y
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    count, confidence, accuracy = (np.bincount(place, weights * x, bins) for x in (np.ones(len(P)), sure, right))
    with np.errstate(invalid="ignore"):
        return confidence / count, accuracy / count, count / count.sum()


def _check_predictions(P: Array, y: Array, bins: int) -> None:
    if not COUNT.allows(bins):
        raise InvalidValueError(must_be("reliability", "bins", str(COUNT), bins))
    if np.ndim(P) != 2 or not len(P):
        raise InvalidValueError(must_be("reliability", "P", "of shape (n, K) with n > 0", np.shape(P)))
    if np.shape(y) != (len(P),):
        raise InvalidValueError(must_be("reliability", "y", f"{len(P)} class numbers", np.shape(y)))


def expected_calibration_error(P: Array, y: Array, bins: int = 10, c: Array | None = None) -> float:
    """The distance between confidence and accuracy, averaged over the rows' bins: 0 is honest, 1 as wrong as can be.

    Equations  (1) ECE = Σ_b share_b |accuracy_b - confidence_b|
    Reference  [naeini2015], [guo2017]

    >>> expected_calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    confidence, accuracy, share = reliability(P, y, bins, c)
    seen = share > 0
    return float(share[seen] @ np.abs(accuracy - confidence)[seen])  # (1)
