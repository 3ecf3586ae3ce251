"""Predict held-out rows with fast models, to see in a tenth of a second whether the inputs predict the targets.

In: rows X (n, d) and targets as columns. Out: out-of-fold predictions of ridge regression on random ReLU features, and
nearest neighbors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.random import Purpose, Stream

FOLDS = 4
_FEATURES = 256
_RIDGE = (1e-3, 1e-2, 1e-1)
"""Ridge strengths to try, as shares of the mean squared feature times the number of rows."""


@dataclass(frozen=True)
class Folds:
    """Rows as features, and the fold of each row."""

    features: Array
    part: Array

    @classmethod
    def of(cls, X: Array, seed: int = 0) -> Folds:
        """Make features of rows: 1, the standardized columns, and random ReLU features of them.

        Forward    (1) φ = [1, Z, max(0, Z R + b)], with Z standardized, R ~ N(0, 1/d), b ~ N(0, 1)
        Shapes     X (n, d)   R (d, 256)   b (256)   φ (n, 1 + d + 256); Z left out where d > 256
        Reference  [rahimi2008]
        """
        stream = Stream.from_seed(seed).fold(Purpose.SPLIT, *b"doctor")
        Z = standardized(X)
        d = Z.shape[1]
        R = stream.fold(1).normal(d * _FEATURES).reshape(d, _FEATURES) / math.sqrt(d)
        hidden = np.maximum(0.0, 1.5 * Z @ R + stream.fold(2).normal(_FEATURES))
        features = np.hstack([np.ones((len(X), 1)), *([Z] if d <= _FEATURES else []), hidden])  # (1)
        return cls(features, stream.fold(3).permutation(np, len(X)) % FOLDS)

    def predict(self, Y: Array, share: float = 1.0) -> Array:
        """Predict each row (n, k) by ridge regression on the other folds, or on a share of their rows.

        The strength λ with the smallest error is used.

        Forward    (1) B = (φᵀφ + λ I)⁻¹ φᵀ Y, over the other folds
        """
        predictions = [np.empty_like(Y) for _ in _RIDGE]
        for part in range(FOLDS):
            out, rest = self.part == part, np.flatnonzero(self.part != part)
            F = self.features[rest[: max(2, round(share * len(rest)))]]
            A, B = F.T @ F, F.T @ Y[rest[: len(F)]]
            scale = np.trace(A) / len(A)
            for k, strength in enumerate(_RIDGE):
                predictions[k][out] = self.features[out] @ np.linalg.solve(
                    A + strength * scale * np.eye(len(A)), B
                )  # (1)
        errors = [float(((P - Y) ** 2).mean()) for P in predictions]
        return predictions[int(np.argmin(errors))]


def standardized(X: Array) -> Array:
    """Return columns with mean 0 and standard deviation 1, float64, clipped at ±5; constant columns become 0."""
    X = X.astype(np.float64)
    spread = X.std(axis=0)
    Z = (X - X.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    return np.clip(Z, -5.0, 5.0)


def one_hot(codes: Array, k: int) -> Array:
    """Return one-hot rows, float64."""
    return (codes[:, None] == np.arange(k)).astype(np.float64)


def shares(P: Array) -> Array:
    """Return predictions of one-hot targets as probabilities: clipped to [0, 1], rows summing to 1."""
    P = np.clip(P, 1e-6, 1.0)
    return P / P.sum(axis=1, keepdims=True)


def neighbor(X: Array) -> Array:
    """Return the number of the nearest other row of each row, by standardized columns."""
    Z = standardized(X)
    squares = (Z * Z).sum(axis=1)
    D = squares[:, None] + squares[None, :] - 2.0 * Z @ Z.T
    np.fill_diagonal(D, np.inf)
    return np.argmin(D, axis=1)


def nominal_evidence(X: Array, y: Array, values: Array) -> tuple[float, float] | None:
    """Return the held-out accuracy of a classifier and of a rounded regression, for 3 to 20 evenly spaced target values.

    None if the targets are anything else, have fewer than 8 rows per value, or follow their order: the classifier must reach
    60 % and beat the regression by 20 points.
    """
    K = len(values)
    if not LIMITS.nominal_values_low <= K <= LIMITS.nominal_values_high or len(y) < LIMITS.nominal_rows * K:
        return None
    if np.ptp(np.diff(values)) > 1e-3 * np.diff(values).mean():
        return None
    take = subsample_indices(y, LIMITS.fast_rows)
    codes = np.abs(y[take, None].astype(np.float64) - values).argmin(axis=1)
    folds = Folds.of(X[take])
    P = folds.predict(np.hstack([one_hot(codes, K), codes[:, None].astype(np.float64)]))
    by_class = float((P[:, :K].argmax(axis=1) == codes).mean())
    by_value = float((np.clip(np.rint(P[:, K]), 0, K - 1) == codes).mean())
    clear = by_class > LIMITS.nominal_accuracy and by_class > by_value + LIMITS.nominal_lead
    return (by_class, by_value) if clear else None
