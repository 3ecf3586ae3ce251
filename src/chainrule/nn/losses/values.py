"""Losses for numbers: continuous values behind any link, counts, quantiles.

In: logits Z (n, k) and targets as numbers. Out: loss and gradient per row, predictions, the squared error of each row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from chainrule.arrays import Array, Namespace
from chainrule.constraints import POSITIVE, Checked, Interval, OneOf, constrained, validate
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.activations import activation
from chainrule.nn.losses.base import Loss, LossDefaults, TargetKind
from chainrule.nn.losses.links import residual, slope

LINKS = ("identity", "sigmoid", "tanh", "relu", "exp")
"""Output functions that losses for continuous values offer."""

_LINK = OneOf(LINKS)
_LEVEL = Interval(0, 1, "()")


def _squared_error(loss: Loss, xp: Namespace, Z: Array, Y: Array) -> Array:
    """Return the mean squared error of each row, the score of every loss for numbers."""
    return ((loss.predict(xp, Z) - Y) ** 2).mean(axis=1)


@dataclass(frozen=True)
class MeanSquaredError(Checked, LossDefaults):
    """Squared error, the mean over k outputs (no factor ½), behind any elementwise link f.

    The usual loss for a regression: it fits the mean.

    Forward    (1) A = f(Z)    (2) L = Σⱼ (Aⱼ - Yⱼ)² / k
    Backward   (3) dL/dZ = 2 (A - Y) ⊙ f'(Z) / k
    Shapes     Z, A, Y (n, k)   L (n)
    Reference  [ng2018] 7.2 for the links

    Parameters
    ----------
    link : {"identity", "sigmoid", "tanh", "relu", "exp"}, default="identity"
        The output function. Choose one whose range holds the targets: "relu" or "exp" for positive values, "sigmoid" for
        (0, 1), "tanh" for (-1, 1).

    Examples
    --------
    >>> MeanSquaredError("exp").predict(np, np.array([[0.0]])).tolist()
    [[1.0]]
    """

    link: str = constrained(_LINK, "identity")
    targets: ClassVar[TargetKind] = TargetKind.CONTINUOUS
    links: ClassVar[tuple[str, ...]] = LINKS
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the mean of squares."""
        return (residual(xp, self.link, Z, Y) ** 2).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return twice the error, taken through the link."""
        A = self.predict(xp, Z)
        return 2.0 * residual(xp, self.link, Z, Y) * slope(xp, self.link, Z, A) / Z.shape[1]  # (3)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Apply the link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the squared error."""
        return _squared_error(self, xp, Z, Y)


@dataclass(frozen=True)
class MeanAbsoluteError(Checked, LossDefaults):
    """Absolute error, the mean over k outputs: it fits the median, so outliers pull less than with squared error.

    The derivative at zero error is taken as 0.

    Forward    (1) A = f(Z)    (2) L = Σⱼ |Aⱼ - Yⱼ| / k
    Backward   (3) dL/dZ = sign(A - Y) ⊙ f'(Z) / k
    Shapes     Z, A, Y (n, k)   L (n)
    Reference  [huber1964]

    Parameters
    ----------
    link : {"identity", "sigmoid", "tanh", "relu", "exp"}, default="identity"
        The output function, as in `MeanSquaredError`.

    Examples
    --------
    >>> MeanAbsoluteError().rows(np, np.array([[3.0]]), np.array([[1.0]])).tolist()
    [2.0]
    """

    link: str = constrained(_LINK, "identity")
    targets: ClassVar[TargetKind] = TargetKind.CONTINUOUS
    links: ClassVar[tuple[str, ...]] = LINKS
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the mean of absolute values."""
        return xp.abs(residual(xp, self.link, Z, Y)).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the error's sign, taken through the link."""
        A = self.predict(xp, Z)
        return xp.sign(residual(xp, self.link, Z, Y)) * slope(xp, self.link, Z, A) / Z.shape[1]  # (3)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Apply the link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the squared error."""
        return _squared_error(self, xp, Z, Y)


@dataclass(frozen=True, kw_only=True)
class Huber(Checked, LossDefaults):
    """Squared for errors up to δ, linear beyond: outliers pull with bounded force.

    Forward    (1) A = f(Z)    (2) r = A - Y    (3) q = min(|r|, δ)    (4) L = Σⱼ qⱼ (|rⱼ| - qⱼ / 2) / k
    Backward   (5) dL/dZ = clip(r, -δ, δ) ⊙ f'(Z) / k
    Shapes     Z, A, Y, r (n, k)   L (n)
    Reference  [huber1964]

    Parameters
    ----------
    delta : float > 0, default=1.0
        The error δ from which the loss grows linearly, in the unit of the targets.
    link : {"identity", "sigmoid", "tanh", "relu", "exp"}, default="identity"
        The output function, as in `MeanSquaredError`.

    Examples
    --------
    >>> Huber(delta=1.0).rows(np, np.array([[0.5], [3.0]]), np.zeros((2, 1))).tolist()
    [0.125, 2.5]
    """

    delta: float = constrained(POSITIVE, 1.0)
    link: str = constrained(_LINK, "identity")
    targets: ClassVar[TargetKind] = TargetKind.CONTINUOUS
    links: ClassVar[tuple[str, ...]] = LINKS
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the loss of each row: quadratic near zero, linear outside."""
        r = xp.abs(residual(xp, self.link, Z, Y))  # (2)
        q = xp.minimum(r, self.delta)  # (3)
        return (q * (r - 0.5 * q)).mean(axis=1)  # (4)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the error, cut at ±δ, taken through the link."""
        A = self.predict(xp, Z)
        r = residual(xp, self.link, Z, Y)
        return xp.clip(r, -self.delta, self.delta) * slope(xp, self.link, Z, A) / Z.shape[1]  # (5)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Apply the link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the squared error."""
        return _squared_error(self, xp, Z, Y)


@dataclass(frozen=True)
class Poisson(Checked, LossDefaults):
    """Negative log-likelihood of counts with the exponential link, without the constant log Y!.

    For targets that count events: whole numbers or rates >= 0.

    Forward    (1) A = exp(Z)    (2) L = Σⱼ (Aⱼ - Yⱼ Zⱼ) / k
    Backward   (3) dL/dZ = (A - Y) / k
    Shapes     Z, A (n, k)   Y (n, k) >= 0   L (n)
    Reference  [mccullagh1989] 6.2

    Examples
    --------
    >>> Poisson().predict(np, np.log([[3.0]])).round(12).tolist()
    [[3.0]]
    """

    targets: ClassVar[TargetKind] = TargetKind.COUNTS
    link: ClassVar[str] = "exp"
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the mean over the outputs."""
        return (self.predict(xp, Z) - Y * Z).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return prediction minus target."""
        return (self.predict(xp, Z) - Y) / Z.shape[1]  # (3)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Return the expected count."""
        return xp.exp(Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the squared error."""
        return _squared_error(self, xp, Z, Y)

    def lowest(self, Y: Array) -> Array:
        """Return Y - Y log Y, which is the loss at A = Y."""
        Y = np.asarray(Y, np.float64)
        return (Y - Y * np.log(np.maximum(Y, 1e-12))).mean(axis=1)


@dataclass(frozen=True)
class Quantile(Checked, LossDefaults):
    """Pinball loss, the mean over k outputs: each column fits the quantile of one level.

    Each target takes one column per level, target by target, with Y repeated likewise. The derivative at zero error is
    taken as 0. Columns may cross. The score is the squared error of the level nearest to ½ (of two, the first).

    Forward    (1) A = f(Z)    (2) r = Y - A    (3) L = Σⱼ max(qⱼ rⱼ, (qⱼ - 1) rⱼ) / k
    Backward   (4) dA = -q where r > 0, 1 - q where r < 0, 0 where r = 0    (5) dL/dZ = dA ⊙ f'(Z) / k
    Shapes     Z, A, Y, r (n, k)   q (k)   L (n)
    Reference  [koenker1978]

    Parameters
    ----------
    levels : sequence of float in (0, 1), default=(0.05, 0.5, 0.95)
        The levels q, rising. The default gives the median and limits that hold nine targets of ten.
    link : {"identity", "sigmoid", "tanh", "relu", "exp"}, default="identity"
        The output function, as in `MeanSquaredError`.

    Raises
    ------
    InvalidValueError
        For levels outside (0, 1) or not in rising order.

    Examples
    --------
    >>> Quantile((0.9,)).rows(np, np.zeros((2, 1)), np.array([[1.0], [-1.0]])).round(2).tolist()
    [0.9, 0.1]
    """

    levels: Sequence[float] = (0.05, 0.5, 0.95)
    link: str = constrained(_LINK, "identity", kw_only=True)
    targets: ClassVar[TargetKind] = TargetKind.CONTINUOUS
    links: ClassVar[tuple[str, ...]] = LINKS
    metric: ClassVar[str] = "rmse"

    def __post_init__(self) -> None:
        validate(self)
        levels = tuple(self.levels) if isinstance(self.levels, Iterable) else ()
        inside = levels and all(_LEVEL.allows(level) for level in levels)
        if not inside or any(high <= low for low, high in pairwise(levels)):
            raise InvalidValueError(must_be("Quantile", "levels", "rising numbers in (0, 1)", self.levels))
        object.__setattr__(self, "levels", tuple(float(level) for level in levels))

    @property
    def outputs_per_target(self) -> int:
        """Number of levels."""
        return len(self.levels)

    @property
    def central(self) -> int:
        """Position of the level nearest to ½."""
        return min(range(len(self.levels)), key=lambda place: abs(self.levels[place] - 0.5))

    def _q(self, xp: Namespace, Z: Array) -> Array:
        return xp.asarray(np.resize(self.levels, Z.shape[1]), dtype=Z.dtype)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the errors, weighted by the side on which they fall."""
        q, r = self._q(xp, Z), -residual(xp, self.link, Z, Y)  # (2)
        return xp.maximum(q * r, (q - 1.0) * r).mean(axis=1)  # (3)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the side of the error, taken through the link."""
        q, A = self._q(xp, Z), self.predict(xp, Z)
        r = -residual(xp, self.link, Z, Y)
        dA = xp.where(r > 0, -q, xp.where(r < 0, 1.0 - q, r))  # (4)
        return dA * slope(xp, self.link, Z, A) / Z.shape[1]  # (5)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Apply the link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the squared error of the central level."""
        place = slice(self.central, None, len(self.levels))
        return ((self.predict(xp, Z) - Y)[:, place] ** 2).mean(axis=1)

    def output_faults(self, k: int) -> Iterator[str]:
        """Yield that each target takes one output for each level."""
        if k % len(self.levels):
            yield f"of a multiple of {len(self.levels)} outputs, one for each level of each target"
