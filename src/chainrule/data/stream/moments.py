"""Means and scales of columns in one pass, equal to those of `Standardizer.fit` on the same rows in memory.

In: rows, block by block. Out: a `Standardizer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import check_finite
from chainrule.data.row_sketch import row_hashes
from chainrule.data.scaling import FARTHEST, HELD, MOSTLY, ROUNDING, TINY, Standardizer
from chainrule.data.stream.passes import FAULTY, add_moments


class Moments:
    """Counts, means, squares and extremes of columns, with what came before.

    Equations  (1) δ = μ_B - μ_A,  n = n_A + n_B
               (2) μ = μ_A + δ n_B / n
               (3) M = M_A + M_B + δ² n_A n_B / n    M is Σ wᵢ (xᵢ - μ)², so that the variance is M / n

    Numbers are taken as distances from the first row that counts, so that a large mean costs no digits and a constant
    column has exactly its own mean.

    Reference  [chan1983]

    Parameters
    ----------
    d : int
        Number of columns.
    """

    def __init__(self, d: int) -> None:
        self.weight = 0.0
        self.first: Array | None = None
        self._state = np.zeros((5, d))
        self._filled, self._lowest, self._highest, self._mean, self._squares = self._state
        self._lowest[:] = np.inf
        self._highest[:] = -np.inf

    def add(
        self,
        X: Array | list[Array],
        weights: Array | None = None,
        used: Array | None = None,
        hashes: Array | None = None,
    ) -> None:
        """Take in those rows of X, (k, d) or columns, that `used` marks, with weights >= 0; write the hash of every row."""
        counts = used if weights is None else (weights > 0 if used is None else used & (weights > 0))
        if self.first is None:
            k = len(X[0]) if isinstance(X, list) else len(X)
            row = int(np.argmax(counts)) if counts is not None and counts.any() else 0 if counts is None and k else None
            if row is None:
                if hashes is not None:
                    hashes[:] = row_hashes(_matrix(X))
                return
            first = [column[row] for column in X] if isinstance(X, list) else X[row]
            self.first = np.array(first, np.float64)
        before = (self.first, self.weight)
        weight = add_moments(X, counts, weights, before, self._state, hashes) if np.isfinite(self.first).all() else None
        if weight is not None and weight != FAULTY:
            self.weight = weight
            return
        X = _matrix(X)
        if hashes is not None:
            hashes[:] = row_hashes(X)
        if counts is not None:
            X, weights = X[counts], None if weights is None else weights[counts]
        check_finite("Standardizer", "X", X)
        self._add(X.astype(np.float64), weights)

    def _add(self, X: Array, weights: Array | None) -> None:
        """Take in rows that count, without the compiled extension."""
        if not len(X):
            return
        self._filled += (X != 0).sum(axis=0) if weights is None else weights @ (X != 0)
        X -= self.first
        np.minimum(self._lowest, X.min(axis=0), out=self._lowest)
        np.maximum(self._highest, X.max(axis=0), out=self._highest)
        weight = float(len(X)) if weights is None else float(weights.sum())
        mean = X.mean(axis=0) if weights is None else weights @ X / weight
        X -= mean
        squares = np.einsum("ij,ij->j", X, X) if weights is None else weights @ X**2
        whole = self.weight + weight
        delta = mean - self._mean  # (1)
        self._mean += delta * (weight / whole)  # (2)
        self._squares += squares + delta**2 * (self.weight * weight / whole)  # (3)
        self.weight = whole

    @property
    def mean(self) -> Array:
        """Mean of each column."""
        return self._mean if self.first is None else self.first + self._mean

    @property
    def variance(self) -> Array:
        """Variance of each column."""
        variance: Array = self._squares / self.weight
        return variance

    @property
    def farthest(self) -> Array:
        """Largest distance from the mean in each column."""
        return np.maximum(self._highest - self._mean, self._mean - self._lowest)

    @property
    def tiny(self) -> Array:
        """Columns whose squares were too small to be added up: they need a second pass in a unit of their own."""
        return np.flatnonzero((self.variance < TINY) & (self.farthest > 0))

    def standardizer(
        self, shared: bool, hold_constant: bool, deviations: dict[int, float] | None = None
    ) -> Standardizer:
        """Return the scaling, as `Standardizer.fit` makes it of the same rows; `deviations` are of the tiny columns."""
        mean, variance = self.mean, self.variance
        if shared:
            middle = mean.mean()
            variance = np.full_like(mean, (variance + (mean - middle) ** 2).mean())
            mean = np.full_like(mean, middle)
        deviation = np.sqrt(variance)
        if not shared:
            for column, value in (deviations or {}).items():
                deviation[column] = value
            rare = (1.0 - self._filled / self.weight >= MOSTLY) & (deviation > 0)
            deviation = np.where(rare, np.maximum(deviation, self.farthest / FARTHEST), deviation)
        constant = deviation <= ROUNDING * np.abs(mean)
        return Standardizer(mean, np.where(constant, HELD if hold_constant else 1.0, deviation))


def _matrix(X: Array | list[Array]) -> Array:
    return np.column_stack(X) if isinstance(X, list) else X


def deviations_of(moments: Moments, columns: Array, blocks: Any) -> dict[int, float]:
    """Return the standard deviations of columns of tiny numbers, from a second pass over the same rows and weights."""
    mean, unit = moments.mean[columns], moments.farthest[columns]
    total = np.zeros(len(columns))
    for X, weights in blocks:
        scaled = ((X[:, columns].astype(np.float64) - mean) / unit) ** 2
        total += scaled.sum(axis=0) if weights is None else weights @ scaled
    return dict(zip(columns.tolist(), (unit * np.sqrt(total / moments.weight)).tolist(), strict=True))
