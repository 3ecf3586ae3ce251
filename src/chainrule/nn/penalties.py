"""Penalties, which keep weights small, and clipping rules, which bound a gradient that grew too large.

In: the flat vectors of parameters and gradient, a matrix W. Out: penalty and its gradient; the gradient, clipped; W with
bounded columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chainrule.arrays import Array, Namespace
from chainrule.constraints import NOT_NEGATIVE, POSITIVE, Checked, constrained


@dataclass(frozen=True, kw_only=True)
class Penalty(Checked):
    """L1 and L2 penalties, added to the mean loss, on the weight matrices W only (mask d = 1; b, γ and β have d = 0).

    Forward    (1) R = l1 Σ d|w| + l2 / 2 Σ d w²
    Backward   (2) dR/dw = d (l1 sign(w) + l2 w)
    Shapes     w, d (P)   R ()
    Reference  [goodfellow2016] 7.1

    Parameters
    ----------
    l1 : float >= 0, default=0.0
        Factor of Σ|w|; drives weights to exactly zero.
    l2 : float >= 0, default=0.0
        Factor of ½ Σ w²; shrinks weights. Usual values lie between 1e-5 and 1e-2.

    Examples
    --------
    >>> import numpy as np
    >>> float(Penalty(l2=0.5).value(np, np.array([2.0, 4.0]), np.array([1.0, 0.0])))
    1.0
    """

    l1: float = constrained(NOT_NEGATIVE, 0.0)
    l2: float = constrained(NOT_NEGATIVE, 0.0)

    @property
    def active(self) -> bool:
        """Whether the penalty changes anything."""
        return self.l1 > 0 or self.l2 > 0

    def value(self, xp: Namespace, w: Array, d: Array) -> Array:
        """Return the penalty R.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        w : array (P)
            Parameters.
        d : array (P)
            Mask: 1 for entries of W, 0 for b, γ and β (`Net.decay`).

        Returns
        -------
        array ()
            R, which is added to the mean loss.
        """
        return (d * (self.l1 * xp.abs(w) + 0.5 * self.l2 * w * w)).sum()  # (1)

    def gradient(self, xp: Namespace, w: Array, d: Array) -> Array:
        """Return dR/dw; the derivative of |w| at 0 is taken as 0.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        w : array (P)
            Parameters.
        d : array (P)
            Mask: 1 for entries of W, 0 for b, γ and β (`Net.decay`).

        Returns
        -------
        array (P)
            Gradient of the penalty, which is added to that of the mean loss.
        """
        return d * (self.l1 * xp.sign(w) + self.l2 * w)  # (2)


def bounded(xp: Namespace, W: Array, limit: float) -> Array:
    """Return W with every unit's incoming weights shrunk where they are longer than the limit (max-norm).

    Forward    (1) ‖Wⱼ‖ = √Σᵢ Wᵢⱼ²    (2) Wⱼ ← Wⱼ limit / max(‖Wⱼ‖, limit)
    Shapes     W (d, k), column j the weights into unit j
    Reference  [srivastava2014] 5.1

    Parameters
    ----------
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    W : array (d, k)
        Weights of a layer.
    limit : float > 0
        The largest length of a column.

    Returns
    -------
    array (d, k)
        W with no column longer than the limit.

    Examples
    --------
    >>> import numpy as np
    >>> bounded(np, np.array([[3.0, 0.3], [4.0, 0.4]]), 1.0).round(12).tolist()
    [[0.6, 0.3], [0.8, 0.4]]
    """
    length = xp.sqrt((W * W).sum(axis=0))  # (1)
    return W * (limit / xp.maximum(length, limit))  # (2)


class Clip(Protocol):
    """A rule that bounds a gradient."""

    def apply(self, xp: Namespace, g: Array, norm: Array) -> Array:
        """Return the bounded gradient.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        g : array (P)
            Gradient with respect to all parameters.
        norm : array ()
            Its length ‖g‖₂, which the training step has computed already.

        Returns
        -------
        array (P)
            The gradient to use, equal to g where g is within the bound.
        """


@dataclass(frozen=True)
class ClipNorm(Checked):
    """Shrinks the whole gradient to a length of at most `limit`, keeping its direction.

    A gradient of infinite length has no direction left: it becomes NaN, which ends the run as diverged.

    Forward    (1) g' = g min(1, limit / ‖g‖)
    Shapes     g (P)
    Reference  [pascanu2013]

    Parameters
    ----------
    limit : float > 0, default=1.0
        The largest length ‖g‖ over all parameters together.
    """

    limit: float = constrained(POSITIVE, 1.0)

    def apply(self, xp: Namespace, g: Array, norm: Array) -> Array:
        """Return a gradient of the same direction and bounded length."""
        return g * (self.limit / xp.maximum(norm, self.limit))  # (1)


@dataclass(frozen=True)
class ClipValue(Checked):
    """Cuts every entry of the gradient at ±limit; the direction may change.

    Forward    (1) g' = min(max(g, -limit), limit)
    Shapes     g (P)
    Reference  [mikolov2012]

    Parameters
    ----------
    limit : float > 0, default=1.0
        The largest absolute value of an entry.
    """

    limit: float = constrained(POSITIVE, 1.0)

    def apply(self, xp: Namespace, g: Array, norm: Array) -> Array:
        """Return a gradient with bounded entries."""
        return xp.clip(g, -self.limit, self.limit)  # (1)


CLIPS: Mapping[str, type[Any]] = {"ClipNorm": ClipNorm, "ClipValue": ClipValue}
"""Every clipping rule by name."""
