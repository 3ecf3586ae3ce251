"""Calibration of probabilities: of the rows predicted at 70 %, 70 % should be right. Networks are often surer than that.

In: logits or probabilities of rows that were not trained on, and their true classes. Out: the temperature that corrects
the logits, the bins of a reliability diagram, and the error that sums them up.
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
"""Temperatures are searched from 1 / HOTTEST to HOTTEST; beyond, probabilities are all alike or all certain."""

_CLOSE = 1e-9
"""Width of the bracket of log T at which the search ends."""


def temperature(loss: Loss, Z: Array, Y: Array, c: Array | None = None) -> float:
    """Fit the number T > 0 by which logits are divided for the smallest weighted mean loss of these rows.

    The order of the classes, and with it the accuracy, stays as it is. Losses of classes are convex in u = 1 / T, so
    the minimum is where the derivative changes its sign; it is bracketed and found there. Where the loss falls all the
    way to T = 0, since every row is right, these rows do not show how confident is too confident, and T stays 1.

    Equations  (1) J(t) = Σᵢ cᵢ L(Zᵢ exp(-t), Yᵢ) / Σᵢ cᵢ    (2) J'(t) = -Σᵢ cᵢ Σₖ dL/dZᵢₖ Zᵢₖ exp(-t) / Σᵢ cᵢ
               (3) T = exp(t) where J'(t) = 0

    Reference  [guo2017] 4.2; the search [ridders1979]

    Parameters
    ----------
    loss : Loss
        A loss of classes or labels.
    Z : array of shape (n, k)
        Logits of rows that the network was not trained on; on its training rows it looks better calibrated than it is.
    Y : array
        The targets as the loss takes them.
    c : array of shape (n,), default=None
        Weights >= 0 of the rows; None weighs all alike.

    Returns
    -------
    float
        T, between 1/100 and 100.

    Raises
    ------
    InvalidValueError
        For logits that are not finite, and for weights that are not n numbers >= 0, some above 0.

    Examples
    --------
    >>> from chainrule.nn.losses import BinaryCrossEntropy
    >>> Z, Y = np.full((4, 1), 10.0), np.array([[1.0], [1.0], [1.0], [0.0]])
    >>> T = temperature(BinaryCrossEntropy(), Z, Y)
    >>> round(float(1 / (1 + np.exp(-10 / T))), 6)
    0.75
    """
    Z, share = np.asarray(Z, np.float64), _shares(Z, c)

    def mean(t: float) -> float:
        return float(share @ loss.rows(np, Z * math.exp(-t), Y))  # (1)

    def derivative(t: float) -> float:
        cooled = Z * math.exp(-t)
        return -float(share @ (loss.gradient(np, cooled, Y) * cooled).sum(axis=1))  # (2)

    end = math.log(HOTTEST)
    if derivative(-end) >= 0.0:
        return 1.0
    t = end if derivative(end) < 0.0 else _root(derivative, -end, end)
    return math.exp(t) if mean(t) < mean(0.0) else 1.0  # (3)


def _shares(Z: Array, c: Array | None) -> Array:
    """Return the weights divided by their sum."""
    if np.ndim(Z) != 2 or not len(Z) or not np.isfinite(Z).all():
        raise InvalidValueError(must_be("temperature", "Z", "finite logits (n, k) with n > 0", np.shape(Z)))
    weights = np.ones(len(Z)) if c is None else np.asarray(c, np.float64)
    if weights.shape != (len(Z),) or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise InvalidValueError(must_be("temperature", "c", f"{len(Z)} numbers >= 0, some above 0", c))
    return weights / weights.sum()


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Find where f, below 0 at `low` and not at `high`, changes its sign; each turn at least halves the bracket.

    An exponential factor straightens f over the bracket's two ends and middle; the straight line's zero is the next
    guess.

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
    """Return confidence, accuracy and share of rows in each bin of a reliability diagram.

    A row's confidence is its largest probability. Bins are of equal width on (0, 1]; the upper end belongs to its bin.

    Reference  [murphy1977], [naeini2015]

    Parameters
    ----------
    P : array of shape (n, K)
        Predicted probabilities.
    y : array of shape (n,)
        True class numbers.
    bins : int, default=10
        Number of bins; ten keep enough rows in each for a few hundred rows.
    c : array of shape (n,), default=None
        Weights of the rows; None weighs all alike.

    Returns
    -------
    confidence : array of shape (bins,)
        Mean confidence of the bin's rows, NaN in an empty bin.
    accuracy : array of shape (bins,)
        Share of the bin's rows predicted right, NaN in an empty bin.
    share : array of shape (bins,)
        Share of all rows that lie in the bin.

    Raises
    ------
    InvalidValueError
        For shapes that do not fit, and for fewer than one bin.

    Examples
    --------
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
    """Return the distance between confidence and accuracy, averaged over the rows' bins.

    Equations  (1) ECE = Σ_b share_b |accuracy_b - confidence_b|

    Reference  [naeini2015], [guo2017]

    Parameters
    ----------
    P : array of shape (n, K)
        Predicted probabilities.
    y : array of shape (n,)
        True class numbers.
    bins : int, default=10
        Number of bins of equal width.
    c : array of shape (n,), default=None
        Weights of the rows; None weighs all alike.

    Returns
    -------
    float
        0 for calibrated probabilities, at most 1.

    Examples
    --------
    >>> expected_calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    """
    confidence, accuracy, share = reliability(P, y, bins, c)
    seen = share > 0
    return float(share[seen] @ np.abs(accuracy - confidence)[seen])  # (1)
