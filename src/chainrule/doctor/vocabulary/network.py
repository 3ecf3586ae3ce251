"""Describe layers and networks from outside: what an activation does to numbers, which layer is which.

Several rules, remedies and probes ask the same questions, also about layers that the user wrote.

In: a layer or a network. Out: facts about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.own_code import is_own_function
from chainrule.nn.activations import activation
from chainrule.nn.layers import Activation, Context, Dense, Dropout
from chainrule.nn.net import Net

PROBE = np.concatenate([-np.geomspace(20.0, 1e-3, 40), [0.0], np.geomspace(1e-3, 20.0, 40)])
"""Where a scalar function is evaluated: both signs, small and large."""


_FAR = np.array([-1e3, -500.0, 500.0, 1e3])
"""Where a function that still changes is taken to be unbounded."""

_SLOPES = np.concatenate([-np.geomspace(1e-3, 4.0, 60)[::-1], np.geomspace(1e-3, 4.0, 60)])
"""Where the largest derivative of an activation is sought."""


def outputs_of(layer: Activation, Z: Array) -> Array:
    """Return the output of an activation layer for Z (n, d); overflow gives infinity, a failure of the user's own NaN."""
    own = type(layer) is not Activation or is_own_function(layer.function)
    with np.errstate(all="ignore"):
        try:
            A = np.asarray(layer.forward({}, {}, Z, Context(np))[0])
        except Exception:
            if not own:
                raise
            return np.full(Z.shape, np.nan)
    return A if A.shape == Z.shape else np.full(Z.shape, np.nan)


def is_affine(layer: Activation) -> bool:
    """Check whether the layer only scales and shifts."""
    Z = np.stack([PROBE, np.roll(PROBE, 7)])
    A = outputs_of(layer, Z)
    shift = outputs_of(layer, np.zeros_like(Z))
    slope = outputs_of(layer, np.ones_like(Z)) - shift
    return bool(np.allclose(A, slope * Z + shift, rtol=1e-9, atol=1e-9))


def is_softmax(layer: Activation) -> bool:
    """Check whether the outputs of the layer are not negative and sum to 1 in each row."""
    Z = np.array([[0.3, -1.2, 2.0], [-0.5, 0.1, 0.4]])
    A = outputs_of(layer, Z)
    return bool(A.shape == Z.shape and (A >= 0).all() and np.allclose(A.sum(axis=1), 1.0))


def span(layer: Activation) -> tuple[float, float]:
    """Return the lowest and highest output of the layer; ±inf if it is unbounded.

    >>> span(Activation("relu")), span(Activation("sigmoid"))
    ((0.0, inf), (0.0, 1.0))
    """
    if is_softmax(layer):
        return 0.0, 1.0
    A = outputs_of(layer, np.concatenate([PROBE, _FAR])[:, None])[:, 0]
    if np.isnan(A).all():
        return -np.inf, np.inf
    low, high = _clean(float(A.min())), _clean(float(A.max()))
    for end, before in ((A[-4], A[-3]), (A[-1], A[-2])):
        if not np.isfinite(end) or abs(end - before) > 1e-3 * max(1.0, abs(before)):
            low, high = (low, np.inf) if not end < before else (-np.inf, high)
    return low, high


def _clean(value: float) -> float:
    """Return a limit without the error of rounding or of an asymptote."""
    return round(value, 6) + 0.0


def last_working(net: Net) -> int:
    """Return the number of the last layer that does something in inference (dropout does not)."""
    return max(i for i, layer in enumerate(net.layers) if not isinstance(layer, Dropout) or i == 0)


def head(net: Net) -> tuple[int, Activation] | None:
    """Return the nonlinear activation after the last Dense layer, with its number; None without one."""
    i = last_working(net)
    layer = net.layers[i]
    return (i, layer) if isinstance(layer, Activation) and not is_affine(layer) else None


def layer_name(piece: Any) -> str:
    """Return how messages call a layer: an activation by its function, others by their class.

    >>> layer_name(Activation("relu")), layer_name(Dense(3))
    ('relu', 'Dense')
    """
    if type(piece) is Activation:
        return piece.function if isinstance(piece.function, str) else type(piece.function).__name__
    return type(piece).__name__


def dense_layers(net: Net) -> list[int]:
    """Return the numbers of the Dense layers."""
    return [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]


def largest_slope(layer: Any) -> float | None:
    """Return the largest derivative of an activation that is flat at both ends; None for any other layer."""
    slopes = _slopes(layer) if type(layer) is Activation else None
    if slopes is None or not np.abs(slopes[-2:]).max() < 1e-3:
        return None
    return float(np.abs(slopes).max())


def silences(layer: Any) -> bool:
    """Check whether a layer is an activation that is exactly zero for a whole range of inputs."""
    if not isinstance(layer, Activation):
        return False
    A = values_at(layer.function, np.array([-3.0, -1.0, -0.5]))
    return A is not None and bool((A == 0).all())


def values_at(function: Any, Z: Array) -> Array | None:
    """Return the values of an activation function at some numbers; None if the user's own does not take single numbers."""
    g = activation(function)
    return _entrywise(function, lambda column: g.value(np, column), Z)


def _slopes(layer: Activation) -> Array | None:
    """Return the derivative at many numbers, the last two of them far out; None as in `values_at`."""
    g = activation(layer.function)
    Z = np.append(_SLOPES, [-30.0, 30.0])
    return _entrywise(layer.function, lambda column: g.derivative(np, column, g.value(np, column)), Z)


def _entrywise(function: Any, compute: Callable[[Array], Any], Z: Array) -> Array | None:
    """Return what a function computes of each number of Z (n), as of a table of one column.

    The user's own may read whole rows: where it refuses a column, or a second one changes the first, there is no answer.
    """
    with np.errstate(all="ignore"):
        if not is_own_function(function):
            return np.asarray(np.broadcast_to(compute(Z), Z.shape))
        try:
            one, two = (np.asarray(compute(np.tile(Z[:, None], (1, k)))) for k in (1, 2))
            if two.shape not in ((), (len(Z), 2)) or not np.allclose(np.broadcast_to(two, (len(Z), 2))[:, :1], one):
                return None
            return np.asarray(np.broadcast_to(one, (len(Z), 1)))[:, 0]
        except Exception:  # whatever a function raises that was written for rows of another width
            return None
