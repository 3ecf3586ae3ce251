"""Predict held-out rows with fast models, to see in a tenth of a second what the inputs tell about the targets.

In: rows X (n, d) and targets as columns. Out: predictions of ridge regression on random ReLU features, of the nearest
neighbors, and of boosted trees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.blas import one_thread
from chainrule.random import Purpose, Stream

FOLDS = 4
NEIGHBORS = 15
TREES = 60
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
        """Make features of rows, and cut them into folds at random."""
        stream = _stream(seed)
        return cls(random_features(standardized(X), seed), stream.fold(3).permutation(np, len(X)) % FOLDS)

    def predict(self, Y: Array, share: float = 1.0) -> Array:
        """Predict each row (n, k) by ridge regression on the other folds, or on a share of their rows.

        The strength λ with the smallest error is used.
        """
        predictions = [np.empty_like(Y) for _ in _RIDGE]
        for part in range(FOLDS):
            out, rest = self.part == part, np.flatnonzero(self.part != part)
            F = self.features[rest[: max(2, round(share * len(rest)))]]
            for predicted, B in zip(predictions, _ridge(F, Y[rest[: len(F)]]), strict=True):
                predicted[out] = self.features[out] @ B
        errors = [float(((P - Y) ** 2).mean()) for P in predictions]
        return predictions[int(np.argmin(errors))]


def _stream(seed: int) -> Stream:
    return Stream.from_seed(seed).fold(Purpose.SPLIT, *b"doctor")


def random_features(Z: Array, seed: int = 0) -> Array:
    """Return 1, the standardized columns, and random ReLU features of them.

    Forward    (1) φ = [1, Z, max(0, Z R + b)], with Z standardized, R ~ N(0, 1/d), b ~ N(0, 1)
    Shapes     Z (n, d)   R (d, 256)   b (256)   φ (n, 1 + d + 256); Z left out where d > 256
    Reference  [rahimi2008]
    """
    stream = _stream(seed)
    d = Z.shape[1]
    R = stream.fold(1).normal(d * _FEATURES).reshape(d, _FEATURES) / math.sqrt(d)
    hidden = np.maximum(0.0, 1.5 * Z @ R + stream.fold(2).normal(_FEATURES))
    return np.hstack([np.ones((len(Z), 1)), *([Z] if d <= _FEATURES else []), hidden])  # (1)


def ridge_predictions(X: Array, Y: Array, X_new: Array, seed: int = 0) -> Array:
    """Predict new rows by ridge regression on random features, at the strength that predicts a quarter of the rows best.

    Shapes     X (n, d)   Y (n, k)   X_new (m, d)   predictions (m, k)
    """
    features, new = (random_features(standardized(rows, X), seed) for rows in (X, X_new))
    part = _stream(seed).fold(3).permutation(np, len(X)) % FOLDS
    out, rest = part == 0, part != 0
    errors = [((features[out] @ B - Y[out]) ** 2).mean() for B in _ridge(features[rest], Y[rest])]
    return np.asarray(new @ _ridge(features, Y)[int(np.argmin(errors))])


def _ridge(F: Array, Y: Array) -> list[Array]:
    """Return the weights for each strength λ, a share of the mean squared feature times the number of rows.

    Forward    (1) B = (φᵀφ + λ I)⁻¹ φᵀ Y
    """
    with one_thread(F.size * F.shape[1]):
        A, C = F.T @ F, F.T @ Y
        scale = np.trace(A) / len(A)
        return [np.linalg.solve(A + strength * scale * np.eye(len(A)), C) for strength in _RIDGE]  # (1)


def neighbor_predictions(X: Array, Y: Array, X_new: Array) -> Array:
    """Predict new rows (m, k) by the mean target of the nearest rows, by standardized columns."""
    Z, Z_new = standardized(X), standardized(X_new, X)
    D = (Z * Z).sum(axis=1)[None, :] - 2.0 * Z_new @ Z.T
    k = min(NEIGHBORS, len(X))
    near = np.argpartition(D, k - 1, axis=1)[:, :k]
    return np.asarray(Y[near].mean(axis=1))


def boosted_predictions(X: Array, Y: Array, X_new: Array, classes: Array | None, seed: int = 0) -> Array:
    """Predict new rows (m, k) by boosted trees: class probabilities, or each column of continuous targets."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    settings = {"max_iter": TREES, "max_leaf_nodes": 15, "early_stopping": False, "random_state": seed}
    with threadpool_limits(1):
        if classes is None:
            columns = [HistGradientBoostingRegressor(**settings).fit(X, y).predict(X_new) for y in Y.T]
            return np.column_stack(columns)
        model = HistGradientBoostingClassifier(**settings).fit(X, classes)
        P = np.zeros((len(X_new), Y.shape[1]))
        P[:, model.classes_] = model.predict_proba(X_new)
        return P


def standardized(X: Array, like: Array | None = None) -> Array:
    """Return columns with mean 0 and standard deviation 1 (of the rows `like`), float64, clipped at ±5.

    Constant columns become 0.
    """
    X = X.astype(np.float64)
    known = X if like is None else like.astype(np.float64)
    spread = known.std(axis=0)
    Z = (X - known.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    return np.clip(np.where(spread > 1e-12, Z, 0.0), -5.0, 5.0)


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
