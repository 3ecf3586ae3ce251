"""Why: what is added to the loss to keep weights small, and what cuts a gradient that grew too large.

In: the flat vectors of parameters and gradient, a matrix W. Out: penalty and its gradient; the gradient, clipped; W with
bounded columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.arrays import Array, Namespace
from chainrule.constraints import NOT_NEGATIVE, POSITIVE, Checked, constrained


@dataclass(frozen=True)
class Penalty(Checked):
    """L1 and L2 penalties on the weight matrices W (mask d = 1), never on b, γ and β (d = 0).

    Forward    (1) R = l1 Σ d|w| + l2 / 2 Σ d w²
    Backward   (2) dR/dw = d (l1 sign(w) + l2 w)
    Shapes     w, d (P)   R ()
    Reference  [goodfellow2016] 7.1
    """

    l1: float = constrained(NOT_NEGATIVE, 0.0)
    l2: float = constrained(NOT_NEGATIVE, 0.0)

    @property
    def active(self) -> bool:
        """Whether it changes anything."""
        return self.l1 > 0 or self.l2 > 0

    def value(self, xp: Namespace, w: Array, d: Array) -> Array:
        """R."""
        return (d * (self.l1 * xp.abs(w) + 0.5 * self.l2 * w * w)).sum()  # (1)

    def gradient(self, xp: Namespace, w: Array, d: Array) -> Array:
        """dR/dw; the slope of |w| at 0 is taken as 0."""
        return d * (self.l1 * xp.sign(w) + self.l2 * w)  # (2)


def bounded(xp: Namespace, W: Array, limit: float) -> Array:
    """Max-norm: every unit's incoming weights, shrunk where they are longer than the limit.

    Forward    (1) ‖Wⱼ‖ = √Σᵢ Wᵢⱼ²    (2) Wⱼ ← Wⱼ limit / max(‖Wⱼ‖, limit)
    Shapes     W (d, k), column j the weights into unit j
    Reference  [srivastava2014] 5.1

    >>> import numpy as np
    >>> bounded(np, np.array([[3.0, 0.3], [4.0, 0.4]]), 1.0).round(12).tolist()
    [[0.6, 0.3], [0.8, 0.4]]
    """
    length = xp.sqrt((W * W).sum(axis=0))  # (1)
    return W * (limit / xp.maximum(length, limit))  # (2)


class Clip(Protocol):
    """A rule that bounds a gradient."""

    def apply(self, xp: Namespace, g: Array, norm: Array) -> Array:
        """The bounded gradient; `norm` is ‖g‖₂, which the caller has at hand."""


@dataclass(frozen=True)
class ClipNorm(Checked):
    """Shrinks the whole gradient to a length of at most `limit`, keeping its direction.

    A gradient of infinite length has no direction left: it becomes NaN, which ends the run as diverged.

    Forward    (1) g' = g min(1, limit / ‖g‖)
    Shapes     g (P)
    Reference  [pascanu2013]
    """

    limit: float = constrained(POSITIVE, 1.0)

    def apply(self, xp: Namespace, g: Array, norm: Array) -> Array:
        """Same direction, bounded length."""
        return g * (self.limit / xp.maximum(norm, self.limit))  # (1)


@dataclass(frozen=True)
class ClipValue(Checked):
    """Cuts every entry of the gradient at ±limit; the direction may change.

    Forward    (1) g' = min(max(g, -limit), limit)
    Shapes     g (P)
    Reference  [mikolov2012]
    """

    limit: float = constrained(POSITIVE, 1.0)

    def apply(self, xp: Namespace, g: Array, norm: Array) -> Array:
        """Bounded entries."""
        return xp.clip(g, -self.limit, self.limit)  # (1)


CLIPS: Mapping[str, type[Any]] = {"ClipNorm": ClipNorm, "ClipValue": ClipValue}
"""Every clipping rule by name."""
