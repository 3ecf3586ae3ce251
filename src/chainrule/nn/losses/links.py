"""Links of losses near the ends of their range, where A - Y and f'(Z) would lose all digits if computed from A alone.

σ(15) is 1 - 3e-7: in float32, A - 1 has two digits left and A - 1 at Z = 18 none. The distance of A from the end of its
range is computed from Z instead, and is exact however small it is.
In: logits Z, targets Y, predictions A. Out: A - Y, f'(Z).
"""

from __future__ import annotations

from chainrule.arrays import Array, Namespace
from chainrule.nn.activations import Sigmoid, activation


def residual(xp: Namespace, link: str, Z: Array, Y: Array) -> Array:
    """Return A - Y for A = f(Z)."""
    A = activation(link).value(xp, Z)
    if link == "sigmoid":
        return xp.where(Z > 0, (1.0 - Y) - Sigmoid().value(xp, -Z), A - Y)
    if link == "tanh":
        gap = _tanh_gap(xp, Z)
        far = xp.where(Z > 0, (1.0 - Y) - gap, (-1.0 - Y) + gap)
        return xp.where(xp.abs(Z) > 0.5, far, A - Y)
    return A - Y


def slope(xp: Namespace, link: str, Z: Array, A: Array) -> Array:
    """Return f'(Z), a plain number where it is the same everywhere."""
    if link == "sigmoid":
        gap = Sigmoid().value(xp, -xp.abs(Z))
        return gap * (1.0 - gap)
    if link == "tanh":
        gap = _tanh_gap(xp, Z)
        return xp.where(xp.abs(Z) > 0.5, gap * (2.0 - gap), 1.0 - A * A)
    return activation(link).derivative(xp, Z, A)


def _tanh_gap(xp: Namespace, Z: Array) -> Array:
    """Return 1 - |tanh Z|."""
    return 2.0 * Sigmoid().value(xp, -2.0 * xp.abs(Z))
