"""The transform of one row, number by number in plain Python: for a few rows the fastest way, to the same bits.

In: the parts of a `FeatureTransform`, and a feature row. Out: the row that a network takes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import sqrt

import numpy as np

from chainrule.arrays import Array

CLIP = 3.0
"""Where the smooth clip levels off: it maps the whole line into (-3, 3)."""

FAR = 1e9
"""From here on the smooth clip is 3 to the last bit, so larger values are cut, and no square overflows."""


class RowTransform:
    """What a `FeatureTransform` does with one row.

    Parameters
    ----------
    method : {"quantile", "robust"}
        The scale of the numbers.
    numbers, gaps : tuple of int
        Columns that hold numbers, and those of them that had gaps.
    one_hot : tuple of (int, tuple of int)
        Columns with few levels, and their codes.
    codes : tuple of (int, int)
        Columns that stay codes, and their number of codes.
    nodes : array of shape (2, p, q)
        The nodes of the numbers.
    """

    def __init__(
        self,
        method: str,
        numbers: Sequence[int],
        gaps: Sequence[int],
        one_hot: Sequence[tuple[int, tuple[int, ...]]],
        codes: Sequence[tuple[int, int]],
        nodes: Array,
    ) -> None:
        scale = {"quantile": _quantile_cell, "robust": _robust_cell}[method]
        self.numbers = [(i, j, scale(*nodes[:, i])) for i, j in enumerate(numbers)]
        self.hot: list[tuple[int, dict[float, tuple[int, float]]]] = []
        at = len(numbers)
        for j, own in one_hot:
            places = {float(code): (at + i, 1.0) for i, code in enumerate(own[: one_hot_columns(own)])}
            if len(own) == 2:
                places[float(own[1])] = (at, -1.0)
            at += one_hot_columns(own)
            self.hot.append((j, places))
        self.gaps = [(at + i, j) for i, j in enumerate(gaps)]
        at += len(gaps)
        self.codes = [(at + i, j, size) for i, (j, size) in enumerate(codes)]
        self.width = at + len(codes)

    def row(self, row: Sequence[float]) -> list[float]:
        """Return the network row of one feature row."""
        X = [0.0] * self.width
        for i, j, scaled in self.numbers:
            x = row[j]
            if x == x:
                X[i] = scaled(x)
        for j, places in self.hot:
            if row[j] in places:
                i, sign = places[row[j]]
                X[i] = sign
        for i, j in self.gaps:
            if row[j] != row[j]:
                X[i] = 1.0
        for i, j, size in self.codes:
            if row[j] < size:
                X[i] = row[j]
        return X


def _quantile_cell(values: Array, images: Array) -> Callable[[float], float]:
    """Return the quantile map of one column for one number that is no gap, as `np.interp` computes it."""
    with np.errstate(all="ignore"):
        slopes = np.diff(images) / np.diff(values)
    x, z, slope = array("d", values), array("d", images), array("d", slopes)
    last = len(x) - 1

    def cell(value: float) -> float:
        k = bisect_right(x, value) - 1
        if k < 0:
            return z[0]
        return z[last] if k >= last else slope[k] * (value - x[k]) + z[k]

    return cell


def _robust_cell(median: Array, factor: Array) -> Callable[[float], float]:
    """Return the robust map of one column for one number that is no gap."""
    middle, by = float(median[0]), float(factor[0])

    def cell(value: float) -> float:
        v = (value - middle) * by
        if v != v:
            return 0.0
        v = min(max(v, -FAR), FAR)
        t = v / CLIP
        return v / sqrt(1.0 + t * t)

    return cell


def one_hot_columns(codes: tuple[int, ...]) -> int:
    """Count the one-hot columns of these codes: two share a column, one alone says nothing."""
    return {1: 0, 2: 1}.get(len(codes), len(codes))
