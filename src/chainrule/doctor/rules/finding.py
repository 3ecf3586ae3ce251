"""Why: rules state what they found in few words, and the looks that several rules take are written once.

In: a symptom, words, figures; layers to be tried out. Out: a `Finding`; what a layer does, seen from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.records import Finding, Fix
from chainrule.nn.layers import Activation, Context, Dense, Dropout
from chainrule.nn.net import Net

PROBE = np.concatenate([-np.geomspace(20.0, 1e-3, 40), [0.0], np.geomspace(1e-3, 20.0, 40)])
"""Where a scalar function is looked at: both signs, small and large."""


_FAR = np.array([-1e3, -500.0, 500.0, 1e3])
"""Where a function that still moves goes on for ever."""


def make_finding(
    symptom: str,
    severity: str,
    title: str,
    *,
    meaning: str,
    measured: str,
    usual: str,
    fix: Fix,
    layer: int | None = None,
    **figures: float,
) -> Finding:
    """A finding that nothing has been tried on yet."""
    return Finding(
        symptom=symptom,
        severity=severity,
        title=title,
        meaning=meaning,
        measured=measured,
        usual=usual,
        figures={name: float(value) for name, value in figures.items()},
        layer=layer,
        fix=fix,
        seen=(),
        confirmed=None,
        trials=(),
        ruled_out=(),
        explains=(),
    )


def outputs_of(layer: Activation, Z: Array) -> Array:
    """What an activation layer makes of Z (n, d), whoever wrote it; overflow shows as infinity."""
    with np.errstate(all="ignore"):
        return np.asarray(layer.forward({}, {}, Z, Context(np))[0])


def is_affine(layer: Activation) -> bool:
    """Whether the layer only scales and shifts, so that nothing non-linear happens in it."""
    Z = np.stack([PROBE, np.roll(PROBE, 7)])
    A = outputs_of(layer, Z)
    shift = outputs_of(layer, np.zeros_like(Z))
    slope = outputs_of(layer, np.ones_like(Z)) - shift
    return bool(np.allclose(A, slope * Z + shift, rtol=1e-9, atol=1e-9))


def is_softmax(layer: Activation) -> bool:
    """Whether the layer makes shares out of a row: not below 0, each row summing to 1."""
    Z = np.array([[0.3, -1.2, 2.0], [-0.5, 0.1, 0.4]])
    A = outputs_of(layer, Z)
    return bool(A.shape == Z.shape and (A >= 0).all() and np.allclose(A.sum(axis=1), 1.0))


def span(layer: Activation) -> tuple[float, float]:
    """Lowest and highest value that the layer hands on; ±inf where it goes on with its inputs.

    >>> span(Activation("relu")), span(Activation("sigmoid"))
    ((0.0, inf), (0.0, 1.0))
    """
    if is_softmax(layer):
        return 0.0, 1.0
    A = outputs_of(layer, np.concatenate([PROBE, _FAR])[:, None])[:, 0]
    low, high = _clean(float(A.min())), _clean(float(A.max()))
    for end, before in ((A[-4], A[-3]), (A[-1], A[-2])):
        if not np.isfinite(end) or abs(end - before) > 1e-3 * max(1.0, abs(before)):
            low, high = (low, np.inf) if not end < before else (-np.inf, high)
    return low, high


def _clean(value: float) -> float:
    """The end itself where rounding or an asymptote leaves it a hair away."""
    return round(value, 6) + 0.0


def last_working(net: Net) -> int:
    """Number of the last layer that does something in inference (dropout does not)."""
    return max(i for i, layer in enumerate(net.layers) if not isinstance(layer, Dropout) or i == 0)


def head(net: Net) -> tuple[int, Activation] | None:
    """The non-affine activation that stands between the last affine map and the loss, with its number."""
    i = last_working(net)
    layer = net.layers[i]
    return (i, layer) if isinstance(layer, Activation) and not is_affine(layer) else None


def name_of(piece: Any) -> str:
    """How a message calls a layer: an activation by its function, another by its kind.

    >>> name_of(Activation("relu")), name_of(Dense(3))
    ('relu', 'Dense')
    """
    if type(piece) is Activation:
        return piece.function if isinstance(piece.function, str) else type(piece.function).__name__
    return type(piece).__name__


def dense_layers(net: Net) -> list[int]:
    """Numbers of the affine maps."""
    return [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]


def places(numbers: Sequence[int], most: int = 5) -> str:
    """`layer 3` or `layers 3, 5`; a few of them at most.

    >>> places([3]), places([3, 5]), places(range(9))
    ('layer 3', 'layers 3, 5', 'layers 0, 1, 2, 3, 4, ...')
    """
    shown = [*map(str, numbers[:most]), *(["..."] if len(numbers) > most else [])]
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(shown)}"


def percent(share: float) -> str:
    """As "12 %"; two figures where it is small.

    >>> percent(0.1234), percent(0.01234)
    ('12 %', '1.2 %')
    """
    return f"{100.0 * share:.2g} %" if abs(share) < 0.1 else f"{100.0 * share:.0f} %"


def some(X: Array, most: int) -> Array:
    """At most so many row numbers, evenly spread."""
    n = len(X)
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)
