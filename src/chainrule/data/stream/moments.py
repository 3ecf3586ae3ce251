"""Means and scales of columns in one pass, equal to those of `Standardizer.fit` on the same rows in memory.

In: rows, block by block. Out: a `Standardizer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import check_finite
from chainrule.data.scaling import FARTHEST, HELD, MOSTLY, ROUNDING, TINY, Standardizer


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
        self._mean = np.zeros(d)
        self._squares = np.zeros(d)
        self._filled = np.zeros(d)
        self._lowest = np.full(d, np.inf)
        self._highest = np.full(d, -np.inf)

    def add(self, X: Array, weights: Array | None = None) -> None:
        """Take in rows (k, d), with weights >= 0."""
        if weights is not None and not weights.all():
            X = X[weights > 0]
            weights = weights[weights > 0]
        if not len(X):
            return
        check_finite("Standardizer", "X", X)
        X = X.astype(np.float64)
        if self.first is None:
            self.first = X[0].copy()
        self._filled += (X != 0).sum(axis=0) if weights is None else weights @ (X != 0)
        X -= self.first
        self._lowest = np.minimum(self._lowest, X.min(axis=0))
        self._highest = np.maximum(self._highest, X.max(axis=0))
        weight = float(len(X)) if weights is None else float(weights.sum())
        mean = X.mean(axis=0) if weights is None else weights @ X / weight
        X -= mean
        squares = np.einsum("ij,ij->j", X, X) if weights is None else weights @ X**2
        whole = self.weight + weight
        delta = mean - self._mean  # (1)
        self._mean = self._mean + delta * (weight / whole)  # (2)
        self._squares = self._squares + squares + delta**2 * (self.weight * weight / whole)  # (3)
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


def deviations_of(moments: Moments, columns: Array, blocks: Any) -> dict[int, float]:
    """Return the standard deviations of columns of tiny numbers, from a second pass over the same rows and weights."""
    mean, unit = moments.mean[columns], moments.farthest[columns]
    total = np.zeros(len(columns))
    for X, weights in blocks:
        scaled = ((X[:, columns].astype(np.float64) - mean) / unit) ** 2
        total += scaled.sum(axis=0) if weights is None else weights @ scaled
    return dict(zip(columns.tolist(), (unit * np.sqrt(total / moments.weight)).tolist(), strict=True))
