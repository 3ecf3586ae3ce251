"""From a table's features to the rows of a network: numbers on a common scale, categories as one-hot columns or codes.

In: a feature matrix, in which NaN is a gap and categories are codes. Out: finite rows, in the order numbers, one-hot
columns, indicators of gaps, codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.row_transform import CLIP, FAR, RowTransform, one_hot_columns
from chainrule.errors import InvalidValueError, must_be

METHODS = ("quantile", "robust")
"""How numbers are put on a common scale."""

MOST_ONE_HOT = 9
"""Categories with more levels than this stay codes, for an embedding [holzmuller2024]."""

_MOST_NODES = 1000
_FEWEST_NODES = 10
_ROWS_PER_NODE = 30
"""The number of quantiles: a node for thirty rows, between ten and a thousand [gorishniy2022]."""

_MOST_SHARE = 0.02
"""Share of the rows that one value counts for at most, so that a column that is nearly always 0 keeps room for the rest."""

_FEW_ROWS = 8
"""Up to this many rows are mapped cell by cell, which costs less than array operations on each column."""

_BLOCK = 1 << 15
"""Rows that are mapped at a time, which bounds what is held besides the rows themselves."""


@dataclass(frozen=True, eq=False)
class _Index:
    """Where each part of a row comes from, as arrays, so that one row costs microseconds."""

    numbers: Array
    hot: Array
    gaps: Array
    codes: Array
    code: Array
    opposite: Array
    sizes: Array


@dataclass(frozen=True, eq=False)
class FeatureTransform:
    """The map from a feature matrix to the rows that a network takes.

    "quantile" maps each number through its distribution function in training and the inverse of the normal distribution's,
    so that the column is normally distributed whatever it was before; values between two nodes are interpolated, and
    values outside the training range are clamped to its ends. "robust" centers by the median, divides by the interquartile
    range and clips smoothly. A gap becomes 0, the middle of both, and has an indicator column where training had gaps.

    Quantile: z = Φ⁻¹(F(x)), where F(x) is the share of training values below x plus half of those equal to it; a value
    that is more than a fiftieth of them counts as a fiftieth.
    Robust: u = (x - median) / (q₇₅ - q₂₅), z = u / √(1 + (u/3)²).

    Reference  [gorishniy2022], [holzmuller2024]

    Parameters
    ----------
    method : {"quantile", "robust"}
        The scale of the numbers.
    numbers : tuple of int
        Columns of the feature matrix that hold numbers.
    gaps : tuple of int
        Those of them that had gaps in training; each gets an indicator.
    one_hot : tuple of (int, tuple of int)
        Columns with few levels, and the codes that get a column of their own. Two codes share one column, +1 and -1.
    codes : tuple of (int, int)
        Columns that stay codes, and their number of codes.
    nodes : array of shape (2, p, q)
        For "quantile": values and their images, ascending, for each of the p numbers. For "robust" q is 1: medians and
        factors.

    Examples
    --------
    >>> E = np.array([[1.0, 2], [2.0, 3], [np.nan, 2], [4.0, 3]], np.float32)
    >>> transform = FeatureTransform.fit(E, (0, 4), "robust")
    >>> transform.apply(E, np.float64).round(2).tolist()
    [[-0.65, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 1.0, 1.0], [1.22, -1.0, 0.0]]
    >>> transform.widths
    (1, 2, 0)
    """

    method: str
    numbers: tuple[int, ...]
    gaps: tuple[int, ...]
    one_hot: tuple[tuple[int, tuple[int, ...]], ...]
    codes: tuple[tuple[int, int], ...]
    nodes: Array

    @classmethod
    def fit(
        cls, E: Array, sizes: Sequence[int], method: str = "quantile", most_one_hot: int = MOST_ONE_HOT
    ) -> FeatureTransform:
        """Learn the scales and levels of training rows.

        Parameters
        ----------
        E : array of shape (n, p)
            Feature matrix; NaN is a gap, categories are codes.
        sizes : sequence of int
            Number of codes of each column; 0 for a number.
        method : {"quantile", "robust"}, default="quantile"
            The scale of the numbers.
        most_one_hot : int, default=9
            Categories with more levels in training stay codes.

        Returns
        -------
        FeatureTransform

        Raises
        ------
        InvalidValueError
            For another method.
        """
        if method not in METHODS:
            raise InvalidValueError(must_be("FeatureTransform", "method", " or ".join(METHODS), method))
        numbers = tuple(j for j, size in enumerate(sizes) if not size)
        gaps = tuple(j for j in numbers if np.isnan(E[:, j]).any())
        seen = {j: tuple(int(code) for code in np.unique(E[:, j])) for j, size in enumerate(sizes) if size}
        one_hot = tuple((j, codes) for j, codes in seen.items() if len(codes) <= most_one_hot)
        codes = tuple((j, int(sizes[j])) for j in seen if len(seen[j]) > most_one_hot)
        fitted = [_NODES[method](E[:, j].astype(np.float64)) for j in numbers]
        return cls(method, numbers, gaps, one_hot, codes, _padded(fitted))

    @property
    def widths(self) -> tuple[int, int, int]:
        """Number of columns of the three parts of a row: numbers, one-hot columns with indicators, codes."""
        return len(self.numbers), len(self._index.hot) + len(self.gaps), len(self.codes)

    def apply(self, E: Array, dtype: Any = np.float32, rows: Array | None = None) -> Array:
        """Map feature rows to network rows.

        Parameters
        ----------
        E : array of shape (n, p)
            Feature matrix.
        dtype : dtype, default=float32
            Type of the result.
        rows : array of int, default=None
            Numbers of the rows to map, in the order of the result; None is all rows as they come.

        Returns
        -------
        array of shape (n, sum of widths)
            Finite numbers.
        """
        if len(E) <= _FEW_ROWS and rows is None:
            mapped = [self._cells.row(row) for row in E.tolist()]
            return np.array(mapped, dtype).reshape(len(E), sum(self.widths))
        n = len(E) if rows is None else len(rows)
        X = np.zeros((n, sum(self.widths)), dtype)
        for start in range(0, n, _BLOCK):
            block = slice(start, start + _BLOCK)
            self._write(E[block] if rows is None else E[rows[block]], X[block])
        return X

    def _write(self, E: Array, X: Array) -> None:
        """Write the network rows of E into X, which holds zeros."""
        index = self._index
        p, o = len(self.numbers), len(index.hot)
        self._scale(E, X)
        if o:
            X[:, p : p + o] = E[:, index.hot] == index.code
            X[:, p : p + o] -= E[:, index.hot] == index.opposite
        if self.gaps:
            X[:, p + o : p + o + len(self.gaps)] = np.isnan(E[:, index.gaps])
        if self.codes:
            V = E[:, index.codes]
            X[:, p + o + len(self.gaps) :] = np.where(index.sizes > V, V, 0.0)

    @cached_property
    def _cells(self) -> RowTransform:
        return RowTransform(self.method, self.numbers, self.gaps, self.one_hot, self.codes, self.nodes)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone; the rest is rebuilt when it is needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def _index(self) -> _Index:
        hot, code, opposite = [], [], []
        for j, codes in self.one_hot:
            for each in codes[: one_hot_columns(codes)]:
                hot.append(j)
                code.append(each)
                opposite.append(codes[1] if len(codes) == 2 else -1)
        return _Index(
            numbers=np.array(self.numbers, np.intp),
            hot=np.array(hot, np.intp),
            gaps=np.array(self.gaps, np.intp),
            codes=np.array([j for j, _ in self.codes], np.intp),
            code=np.array(code, np.float64),
            opposite=np.array(opposite, np.float64),
            sizes=np.array([size for _, size in self.codes], np.float64),
        )

    def _scale(self, E: Array, X: Array) -> None:
        """Write the scaled numbers into the first columns of X; gaps stay 0."""
        if not self.numbers:
            return
        if self.method == "robust":
            V = (E[:, self._index.numbers].astype(np.float64) - self.nodes[0, :, 0]) * self.nodes[1, :, 0]
            V = np.where(np.isnan(V), 0.0, np.clip(V, -FAR, FAR))
            T = V / CLIP
            X[:, : len(self.numbers)] = V / np.sqrt(1.0 + T * T)
            return
        for i, j in enumerate(self.numbers):
            z = np.interp(E[:, j], self.nodes[0, i], self.nodes[1, i])
            X[:, i] = np.where(np.isnan(z), 0.0, z)


def _quantile_nodes(x: Array) -> Array:
    """Return values and images (2, q) of a column's quantile map; runs of equal values become one node."""
    from scipy.special import ndtri

    x = x[~np.isnan(x)]
    if not len(x):
        return np.zeros((2, 1))
    values, counts = np.unique(x, return_counts=True)
    mass = np.minimum(counts, max(1.0, _MOST_SHARE * len(x)))
    above = np.cumsum(mass)
    middle = (above - mass / 2.0) / above[-1]
    q = int(np.clip(len(x) // _ROWS_PER_NODE, _FEWEST_NODES, _MOST_NODES))
    kept = np.unique(np.searchsorted(middle, np.linspace(middle[0], middle[-1], q)))
    return np.stack([values[kept], ndtri(middle[kept])])


def _robust_nodes(x: Array) -> Array:
    """Return median and factor (2, 1) of a column; where the middle half is one value, 2 / range; 0 if it is constant."""
    x = x[~np.isnan(x)]
    if not len(x):
        return np.zeros((2, 1))
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    spread = high - low or (x.max() - x.min()) / 2.0
    return np.array([[middle], [1.0 / spread if spread > 0 else 0.0]])


_NODES = {"quantile": _quantile_nodes, "robust": _robust_nodes}


def _padded(nodes: Sequence[Array]) -> Array:
    """Stack nodes of several lengths; the last one is repeated, which changes no interpolation."""
    longest = max((each.shape[1] for each in nodes), default=1)
    wide = [np.pad(each, ((0, 0), (0, longest - each.shape[1])), mode="edge") for each in nodes]
    return np.stack(wide, axis=1) if wide else np.zeros((2, 0, 1))
