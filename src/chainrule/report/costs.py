"""Floating-point operations of every layer, forward and backward, counted from its equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

COSTS: Mapping[str, Callable[[Any, int, int, int], tuple[int, int]]] = {
    "Dense": lambda layer, n, d, k: (2 * n * d * k + n * k * layer.bias, 4 * n * d * k + n * k * layer.bias),
    "Activation": lambda layer, n, d, k: (n * d, 2 * n * d),
    "BatchNorm": lambda layer, n, d, k: (8 * n * d, 11 * n * d),
    "LayerNorm": lambda layer, n, d, k: (8 * n * d, 11 * n * d),
    "Dropout": lambda layer, n, d, k: (2 * n * d, 2 * n * d),
    "Parallel": lambda layer, n, d, k: _parallel(layer, n),
    "CosineEmbedding": lambda layer, n, d, k: _cosine(layer.frequencies, n * d),
    "PBLDEmbedding": lambda layer, n, d, k: _pbld(layer.frequencies, layer.units, n * d),
    "PiecewiseLinearEmbedding": lambda layer, n, d, k: _piecewise(layer.bins, layer.units, n * d),
    "CategoryEmbedding": lambda layer, n, d, k: (n * d, n * k),
    "Scale": lambda layer, n, d, k: (n * d, 3 * n * d),
    "ParametricActivation": lambda layer, n, d, k: (4 * n * d, 9 * n * d),
}
"""Operations forward and backward of a layer for n rows from width d to k; a function such as exp counts as one."""


def operations(layer: Any, n: int, d: int, k: int) -> tuple[int, int]:
    """Return a layer's operations forward and backward.

    Parameters
    ----------
    layer : Layer
        The layer.
    n : int
        Rows of the batch.
    d, k : int
        Columns of the input and of the output.

    Returns
    -------
    forward, backward : int
        Floating-point operations of the two passes.

    Examples
    --------
    >>> from chainrule.nn.layers import Dense
    >>> operations(Dense(3), 4, 2, 3)
    (60, 108)
    """
    return COSTS[type(layer).__name__](layer, n, d, k)


def _parallel(layer: Any, n: int) -> tuple[int, int]:
    """Return the sums over the branches."""
    inner = [operations(part, n, width, part.shapes(width).outputs) for width, part in layer.branches]
    return sum(forward for forward, _ in inner), sum(backward for _, backward in inner)


def _cosine(m: int, entries: int) -> tuple[int, int]:
    """Return the operations of m cosines for each entry: 4 for a cosine and 2 for γ and β; 8 and 4 backward."""
    return entries * (4 * m + 2 * (m + 1)), entries * (8 * m + 4 * (m + 1) + 1)


def _pbld(m: int, u: int, entries: int) -> tuple[int, int]:
    """Return the operations of m cosines and their u sums for each entry."""
    return entries * (4 * m + 2 * m * u + u), entries * (7 * m + 4 * m * u + u + 2)


def _piecewise(bins: int, u: int, entries: int) -> tuple[int, int]:
    """Return the operations of the bins and their u sums for each entry, with all bins counted."""
    return entries * (4 * bins + 2 * bins * u + 3 * u), entries * (2 * bins + 4 * bins * u + 5 * u)
