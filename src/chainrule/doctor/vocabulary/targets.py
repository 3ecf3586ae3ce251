"""Compare predictions with targets: classes, losses by row, and the best prediction that ignores the inputs.

In: rows, a recipe, logits. Out: class indices, losses, constants.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows
from chainrule.nn.losses import LOSSES, BinaryCrossEntropy, Loss, MultiSoftmaxCrossEntropy, Poisson, SoftmaxCrossEntropy
from chainrule.nn.step import Recipe


def subsample_indices(X: Array, most: int) -> Array:
    """Return at most `most` row indices, evenly spread."""
    n = len(X)
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def row_losses(recipe: Recipe, Z: Array, Y: Array) -> Array:
    """Return the loss of each row (n), in batches of the recipe's size if the loss is not one of the library's.

    A custom loss may, by mistake, depend on how many rows it sees.
    """
    size = max(len(Z), 1) if type(recipe.loss) in LOSSES.values() else recipe.batch_size
    with np.errstate(all="ignore"):
        parts = [recipe.loss.rows(np, Z[i : i + size], Y[i : i + size]) for i in range(0, len(Z), size)]
    return np.concatenate([np.zeros(0), *(np.asarray(part, np.float64) for part in parts)])


def best_constant(loss: Loss, rows: Rows) -> Array:
    """Return the logits (k) of the best prediction that ignores the inputs, float64.

    Logarithms of the shares for classes; otherwise, per column, the best of the mean and 41 quantiles of the targets
    through the inverse of the link.
    """
    Y, c = np.asarray(rows.Y, np.float64), np.asarray(rows.c, np.float64)
    if rows.Y.ndim == 1:
        share = np.bincount(rows.Y, weights=c)
        return np.log(np.maximum(share / share.sum(), 1e-12))
    mean = (c[:, None] * Y).sum(axis=0) / c.sum()
    if isinstance(loss, MultiSoftmaxCrossEntropy):
        return np.log(np.maximum(mean, 1e-12))
    if loss.classes:
        mean = np.clip(mean, 1e-9, 1 - 1e-9)
        return np.log(mean / (1 - mean))
    candidates = np.vstack([mean, np.quantile(Y, np.linspace(0, 1, 41), axis=0)])
    Z = np.column_stack([_through_link(loss, candidates[:, j]) for j in range(Y.shape[1])])
    take = np.linspace(0, len(Y) - 1, min(len(Y), 2000)).astype(int)
    return _by_column(loss, Z, Y[take], c[take])


def _by_column(loss: Loss, candidates: Array, Y: Array, c: Array) -> Array:
    """Return for each column the candidate (m, k) of least loss; columns do not mix in any loss of continuous targets."""
    best = candidates[0].copy()
    for j in range(candidates.shape[1]):
        total = []
        for z in candidates[:, j]:
            trial = np.where(np.arange(len(best)) == j, z, best)
            with np.errstate(all="ignore"):
                total.append(float(loss.rows(np, np.tile(trial, (len(Y), 1)), Y) @ c))
        if np.isfinite(total).any():
            best[j] = candidates[int(np.nanargmin(total)), j]
    return best


def _through_link(loss: Loss, targets: Array) -> Array:
    """Return the logits whose predictions are nearest to the targets."""
    grid = np.linspace(-30.0, 30.0, 6001)
    with np.errstate(all="ignore"):
        A = np.asarray(loss.predict(np, grid[:, None]))[:, 0]
    return targets if np.array_equal(A, grid) else np.interp(targets, A, grid)


def floors(loss: Loss, rows: Rows) -> Array:
    """Return the loss of each row under a perfect prediction (n): above 0 with smoothed targets or counts."""
    Y = np.asarray(rows.Y, np.float64)
    if isinstance(loss, SoftmaxCrossEntropy) and loss.label_smoothing:
        k, e = int(rows.Y.max()) + 1, loss.label_smoothing
        shares = np.array([1 - e + e / k, *([e / k] * (k - 1))])
        return np.full(len(Y), -(shares * np.log(shares)).sum())
    if isinstance(loss, Poisson):
        return (Y - Y * np.log(np.maximum(Y, 1e-12))).mean(axis=1)
    if isinstance(loss, BinaryCrossEntropy):
        P = np.clip(Y, 1e-12, 1 - 1e-12)
        return -(P * np.log(P) + (1 - P) * np.log(1 - P)).mean(axis=1)
    return np.zeros(len(Y))


def constant_losses(recipe: Recipe, train: Rows, rows: Rows) -> Array:
    """Return the loss of each row under the best constant prediction of the training rows."""
    z = padded_logits(recipe, best_constant(recipe.loss, train))
    return row_losses(recipe, np.tile(z, (len(rows), 1)), rows.Y)


def padded_logits(recipe: Recipe, z: Array) -> Array:
    """Return logits with entries for classes that never occur."""
    return np.pad(z, (0, max(recipe.net.outputs - len(z), 0)), constant_values=-27.0)


def baseline_loss(recipe: Recipe, rows: Rows) -> float:
    """Return the mean loss of the best constant prediction on its own rows."""
    return float(np.average(constant_losses(recipe, rows, rows), weights=rows.c))


def class_indices(rows: Rows) -> Array | None:
    """Return the classes (n) if the targets are classes: whole numbers, 0/1 in one column, or one 1 in each row."""
    Y = rows.Y
    if Y.ndim == 1:
        return Y
    if not np.isin(Y, (0.0, 1.0)).all():
        return None
    if Y.shape[1] == 1:
        return Y[:, 0].astype(np.int64)
    return np.argmax(Y, axis=1) if (Y.sum(axis=1) == 1).all() else None
