"""Standardized inputs: networks learn fast only from inputs of like size around zero, and new rows must come on that scale.

In: training rows, never test rows. Out: a `Standardizer` that maps any rows there and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import check_finite, check_numeric
from chainrule.engines import standardized
from chainrule.errors import InvalidValueError, must_be

ROUNDING = 16 * np.finfo(np.float64).eps
"""A standard deviation below this share of |mean| is rounding noise of a constant column."""

HELD = 1e300
"""What a constant column is divided by, where it is held at 0."""

MOSTLY = 0.99
"""Share of zeros from which a column counts as rare, such as that of a rare word or a rare category."""

FARTHEST = 10.0
"""Largest distance from 0 that a rare column reaches after scaling: what a column that is 1 in 1 % of the rows reaches."""

TINY = 1e-280
"""A variance below this has lost digits to underflow, or all of them."""

_BLOCK = 4096
"""Rows in float64 at one time, so that scaling a large float32 array needs no second copy of it."""


@dataclass(frozen=True, eq=False)
class Standardizer:
    """The affine map of each column to mean 0 and standard deviation 1.

    A column that is 0 in 99 % of the rows or more, such as that of a rare word, would become huge where it is not 0: 100 if
    it is 1 in one of 10,000 rows. Its scale is enlarged so that no training value lies further than 10 from 0.

    Reference  [ng2018] section 7.3

    Parameters
    ----------
    mean : array of shape (d,)
        Mean of each column, float64.
    scale : array of shape (d,)
        What each column is divided by, float64, above 0.

    Examples
    --------
    >>> X = np.array([[1.0, 10.0], [3.0, 10.0]])
    >>> standardizer = Standardizer.fit(X)
    >>> standardizer.apply(X)
    array([[-1.,  0.], [ 1.,  0.]])
    """

    mean: Array
    scale: Array

    @classmethod
    def identity(cls, d: int) -> Standardizer:
        """Return the map that leaves d columns as they are.

        Parameters
        ----------
        d : int
            Number of columns.

        Returns
        -------
        Standardizer
        """
        return cls(np.zeros(d), np.ones(d))

    @classmethod
    def fit(
        cls,
        X: Array,
        shared: bool = False,
        weights: Array | None = None,
        hold_constant: bool = False,
        rows: Array | None = None,
    ) -> Standardizer:
        """Compute mean and scale of the rows of X, in two passes, so that a large mean costs no digits of the scale.

        Equations  (1) μ = Σ wᵢ xᵢ / Σ wᵢ            wᵢ = 1 unless given: μ = Σ xᵢ / n
                   (2) σ² = Σ wᵢ (xᵢ - μ)² / Σ wᵢ    the scale is σ, and 1 for a constant column; for a column that
                   is rarely not 0, max(σ, maxᵢ |xᵢ - μ| / 10)

        Means are summed as distances from the first row that counts, so that a constant column has exactly its own
        mean.

        Reference  [ng2018] section 7.3

        Parameters
        ----------
        X : array of shape (n, d)
            Training rows.
        shared : bool, default=False
            Whether μ and σ² are averaged over all columns too: one scale for pixels, where columns that are nearly
            always 0 would otherwise become huge.
        weights : array of shape (n,), default=None
            Weights >= 0 of the rows, not all 0; None weighs all alike.
        hold_constant : bool, default=False
            Whether a constant column stays at 0 in later rows, whatever it holds there: nothing was learned of it, so it
            must not move a prediction.
        rows : array of int of shape (m,), default=None
            Numbers of the training rows in X, which are read where they lie; None takes all. `weights` are theirs.

        Returns
        -------
        Standardizer

        Raises
        ------
        InvalidValueError
            For NaN, infinity and numbers above 1e150 (with row and column), no rows, and wrong weights.
        """
        _check_rows(X)
        table = _Table.of(X, rows)
        w = None if weights is None else _checked_weights(weights, len(table))
        pool = _over_columns if shared else _per_column
        first = table[0 if w is None else np.argmax(w > 0)].astype(np.float64)
        mean = pool(first + _weighted_mean(table, w, lambda x: x - first))  # (1)
        variance = pool(_weighted_mean(table, w, lambda x: (x - mean) ** 2))  # (2)
        deviation = np.sqrt(variance)
        if not shared:
            deviation = _enlarged(table, w, mean, _with_underflow(table, w, mean, variance, deviation))
        constant = deviation <= ROUNDING * np.abs(mean)
        return cls(mean, np.where(constant, HELD if hold_constant else 1.0, deviation))

    def apply(self, X: Array, dtype: Any = np.float64, rows: Array | None = None) -> Array:
        """Standardize rows, computed in float64 and then stored in `dtype`.

        Forward  (3) Z = (X - μ) / σ

        Parameters
        ----------
        X : array of shape (n, d)
            Rows in the user's units.
        dtype : dtype, default=float64
            Type of the result.
        rows : array of int of shape (m,), default=None
            Numbers of the rows to standardize, which are read where they lie; None takes all.

        Returns
        -------
        array of shape (n, d) or (m, d)

        Raises
        ------
        InvalidValueError
            For another number of columns, NaN or infinity, and numbers so far from the training rows that `dtype` cannot
            hold them.
        """
        self._check_shape("X", X)
        compiled = standardized(X, self.mean, self.scale, dtype, rows)
        if compiled is not None:
            return compiled
        check_finite("Standardizer", "X", X)
        X = X if rows is None else X[rows]
        Z = np.empty(X.shape, dtype)
        try:
            with np.errstate(over="raise"):
                for start in range(0, len(X), _BLOCK):
                    block = slice(start, start + _BLOCK)
                    Z[block] = (X[block] - self.mean) / self.scale  # (3)
        except FloatingPointError:
            raise InvalidValueError(self._overflow(X, dtype)) from None
        return Z

    def _overflow(self, X: Array, dtype: Any) -> str:
        """Return which number is beyond the range of the type when it is scaled."""
        with np.errstate(over="ignore"):
            wide = np.abs((X.astype(np.float64) - self.mean) / self.scale)
        row, column = np.unravel_index(np.argmax(wide), wide.shape)
        largest = f"{np.finfo(dtype).max:.2g}"
        allowed = f"within {largest} standard deviations of the training rows"
        got = f"{X[row, column]} at row {row}, column {column} (counted from 0)"
        return f"Standardizer: X must be {allowed}, got {got}. It may stand for a missing value."

    def undo(self, Z: Array) -> Array:
        """Map standardized rows back to the scale they came from.

        Forward  (4) X = Z σ + μ

        Parameters
        ----------
        Z : array of shape (n, d)
            Standardized rows.

        Returns
        -------
        array of shape (n, d)
            Rows in the user's units, float64.
        """
        self._check_shape("Z", Z)
        check_finite("Standardizer", "Z", Z)
        return Z * self.scale + self.mean  # (4)

    def _check_shape(self, argument: str, values: Array) -> None:
        columns = len(self.mean)
        if values.ndim != 2 or values.shape[1] != columns:
            allowed = f"of shape (n, {columns}), the columns it was fitted to"
            raise InvalidValueError(must_be("Standardizer", argument, allowed, values.shape))
        check_numeric("Standardizer", argument, values)


def _check_rows(X: Array) -> None:
    if X.ndim != 2 or 0 in X.shape:
        allowed = "of shape (n, d) with n and d at least 1"
        raise InvalidValueError(must_be("Standardizer", "X", allowed, X.shape))
    check_numeric("Standardizer", "X", X)
    check_finite("Standardizer", "X", X)


def _checked_weights(weights: Array, n: int) -> Array | None:
    """Return weights as float64; None where all are 1, which changes no bit and takes half the time."""
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,):
        raise InvalidValueError(must_be("Standardizer", "weights", f"of shape ({n},)", w.shape))
    if w.min() == w.max() == 1.0:
        return None
    check_finite("Standardizer", "weights", w)
    if (w < 0).any() or not w.any():
        hint = "A row of weight 0 is left out."
        allowed = ">= 0 and not all 0"
        raise InvalidValueError(must_be("Standardizer", "weights", allowed, float(w.min()), hint))
    return w


@dataclass(frozen=True)
class _Table:
    """Rows of a matrix, or some of them, read block by block without a copy of all."""

    X: Array
    rows: Array | None

    @classmethod
    def of(cls, X: Array, rows: Array | None) -> _Table:
        """Return a table of rows; those of a single block are gathered and converted once, not each time they are read."""
        if len(X if rows is None else rows) > _BLOCK:
            return cls(X, rows)
        return cls((X if rows is None else X[rows]).astype(np.float64, copy=False), None)

    def __len__(self) -> int:
        return len(self.X) if self.rows is None else len(self.rows)

    def __getitem__(self, take: Any) -> Array:
        found: Array = self.X[take if self.rows is None else self.rows[take]]
        return found

    def blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield each block and its place."""
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield block, self[block]


def _weighted_mean(table: _Table, w: Array | None, of: Callable[[Array], Array]) -> Array:
    """Compute Σ wᵢ of(xᵢ) / Σ wᵢ for each column, in float64, block by block; without weights all of them are 1."""
    total: Array | float = 0.0
    for block, x in table.blocks():
        values = of(x.astype(np.float64, copy=False))
        total = total + np.add.reduce(values if w is None else w[block, None] * values, axis=0)
    mean: Array = total / (float(len(table)) if w is None else w.sum())
    return mean


def _with_underflow(table: _Table, w: Array | None, mean: Array, variance: Array, deviation: Array) -> Array:
    """Return the standard deviations, computed once more, in a unit of their own, where the squares were too small."""
    columns = np.flatnonzero(variance < TINY)
    if not columns.size:
        return deviation
    unit = _farthest(table, w, mean, columns)
    columns, unit = columns[unit > 0], unit[unit > 0]
    if not columns.size:
        return deviation
    own = _weighted_mean(table, w, lambda x: ((x[:, columns] - mean[columns]) / unit) ** 2)
    deviation = deviation.copy()
    deviation[columns] = unit * np.sqrt(own)
    return deviation


def _enlarged(table: _Table, w: Array | None, mean: Array, deviation: Array) -> Array:
    """Return the scales, enlarged where a column is rarely not 0."""
    more = int((1.0 - MOSTLY) * len(table)) + 1  # rows than a rare column can be not 0 in
    if w is None and table[:more].all():
        return deviation
    zeros = 1.0 - _weighted_mean(table, w, lambda x: x != 0)
    columns = np.flatnonzero((zeros >= MOSTLY) & (deviation > 0))
    if not columns.size:
        return deviation
    deviation = deviation.copy()
    deviation[columns] = np.maximum(deviation[columns], _farthest(table, w, mean, columns) / FARTHEST)
    return deviation


def _farthest(table: _Table, w: Array | None, mean: Array, columns: Array) -> Array:
    """Return the largest distance from the mean in each of some columns, over the rows that count."""
    most = np.zeros(len(columns))
    for block, x in table.blocks() if columns.size else ():
        distance = np.abs(x[:, columns].astype(np.float64) - mean[columns])
        counted = distance if w is None else distance * (w[block, None] > 0)
        most = np.maximum(most, counted.max(axis=0))
    return most


def _per_column(values: Array) -> Array:
    return values


def _over_columns(values: Array) -> Array:
    return np.full_like(values, values.mean())
