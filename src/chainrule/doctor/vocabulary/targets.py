"""Compare predictions with targets: classes, losses by row, and the best prediction that ignores the inputs.

In: rows, a recipe, logits. Out: class indices, losses, constants.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.own_code import is_own_loss
from chainrule.engines import Rows
from chainrule.nn import losses
from chainrule.nn.losses import Loss
from chainrule.nn.step import Recipe


def subsample_indices(X: Array, most: int) -> Array:
    """Return at most `most` row indices, evenly spread."""
    n = len(X)
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def row_losses(recipe: Recipe, Z: Array, Y: Array) -> Array:
    """Return the loss of each row (n), in batches of the recipe's size if the loss is not one of the library's.

    A custom loss may, by mistake, depend on how many rows it sees; the last batch is filled up from the one before.
    """
    n = len(Z)
    size = max(n, 1) if not is_own_loss(recipe.loss) else recipe.batch_size
    parts = [np.zeros(0)]
    with np.errstate(all="ignore"):
        for i in range(0, n, size):
            first = max(0, min(i, n - size))
            part = np.asarray(recipe.loss.rows(np, Z[first : i + size], Y[first : i + size]), np.float64)
            parts.append(part[i - first :])
    return np.concatenate(parts)


def best_constant(loss: Loss, rows: Rows) -> Array:
    """Logits (k) of the best prediction that does not look at the inputs, float64; zeros where the user's loss has none."""
    try:
        return losses.best_constant(loss, rows.Y, rows.c)
    except Exception:
        if not is_own_loss(loss):
            raise
        return np.zeros(rows.Y.shape[1] if rows.Y.ndim > 1 else 1)


def floors(loss: Loss, rows: Rows) -> Array:
    """Loss of each row under a perfect prediction (n): above 0 with smoothed targets or counts.

    0 where the user's loss cannot tell.
    """
    try:
        return np.broadcast_to(np.asarray(loss.lowest(rows.Y), np.float64), len(rows)).copy()
    except Exception:
        if not is_own_loss(loss):
            raise
        return np.zeros(len(rows))


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


def are_continuous(rows: Rows) -> bool:
    """Check whether targets are numbers, even where the loss takes them for classes or labels.

    Columns of more than two values outside [0, 1] are, and so are whole numbers of so many values that few rows share one.
    """
    Y = rows.Y[: LIMITS.values_seen]
    if Y.ndim == 1:
        counts = np.unique(Y, return_counts=True)[1]
        return len(counts) >= LIMITS.most_classes and float(np.median(counts)) <= LIMITS.rows_per_class
    outside = not ((Y >= 0.0) & (Y <= 1.0)).all()
    return outside and len(np.unique(Y[np.isfinite(Y)])) > 2


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
