"""Find rows whose target contradicts those of their nearest neighbors, so that they can be left out.

In: rows. Out: which of them disagree with their ten nearest neighbors.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows


def contradicts_neighbors(rows: Rows) -> Array:
    """Return which rows (n, booleans) contradict their neighbors.

    A class contradicts if fewer than 3 in 10 of the nearest rows have it, a continuous target if it is 2 deviations off.
    Distances are Euclidean over standardized columns. At most 5,000 rows are compared; the others count as sound.
    """
    n = len(rows)
    X = rows.X[: USUAL.neighbor_rows].astype(np.float64)
    X = (X - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    near = _nearest(X, min(USUAL.neighbors, len(X) - 1))
    doubtful = np.zeros(n, bool)
    y = class_indices(rows)
    if y is not None:
        agree = (y[near] == y[: len(X), None]).mean(axis=1)
        doubtful[: len(X)] = agree < USUAL.neighbor_agreement
    else:
        Y = rows.Y[: len(X)].astype(np.float64)
        off = np.abs(Y - Y[near].mean(axis=1)).mean(axis=1)
        doubtful[: len(X)] = off > USUAL.neighbor_deviations * max(float(np.sqrt((off**2).mean())), 1e-30)
    return doubtful


def _nearest(X: Array, k: int) -> Array:
    """Return the indices of the k nearest other rows (n, k)."""
    found = []
    square = (X * X).sum(axis=1)
    for start in range(0, len(X), 500):
        part = X[start : start + 500]
        D = square[None, :] - 2.0 * part @ X.T
        D[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        found.append(np.argpartition(D, k - 1, axis=1)[:, :k])
    return np.concatenate(found)
