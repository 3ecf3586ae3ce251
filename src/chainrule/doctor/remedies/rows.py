"""Change single values or the scale of one part, so that remedies for untidy data can be tested.

In: a training problem. Out: the problem with changed rows, or None if there is nothing to change.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data.outliers import WildCells, wild_cells
from chainrule.doctor.remedies.alignment import SCALES, Alignment, aligned_rows, alignment
from chainrule.doctor.remedies.settings import with_rows
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.train.problem import TrainingProblem


def fill_strange_cells(problem: TrainingProblem) -> TrainingProblem | None:
    """Replace values far from all others of their column by the median, and scale the column anew, in every part."""
    found = {j: cells for j, x in enumerate(problem.rows.X.T) if (cells := wild_cells(x)) is not None}
    if not found:
        return None
    limits = {j: 0.5 * abs(problem.rows.X[cells.rows, j] - cells.middle).min() for j, cells in found.items()}
    spreads = {j: _spread(np.delete(problem.rows.X[:, j], cells.rows)) for j, cells in found.items()}

    def filled(rows: Rows) -> Rows:
        X = rows.X.copy()
        for j, cells in found.items():
            x = X[:, j]
            near = np.where(np.abs(x - cells.middle) > limits[j], cells.middle, x)
            X[:, j] = (near - spreads[j][0]) / spreads[j][1]
        return replace(rows, X=X)

    return with_rows(problem, filled)


def far_targets(y: Array) -> WildCells | None:
    """Return the values of a target column (n) that are far from all others; None if there are none.

    Those of `wild_cells`, and at most one in fifty that are 50 ranges of all others away, however few values these have.
    """
    found = wild_cells(y)
    if found is not None:
        return found
    y = np.asarray(y, np.float64)
    values = np.unique(y[np.isfinite(y)])
    if len(values) <= DATA_LIMITS.far_distinct:
        return None
    place = int(np.argmax(np.diff(values)))
    high = y > 0.5 * (values[place] + values[place + 1])
    rows = np.flatnonzero(high if high.sum() <= len(y) / 2 else ~high)
    rest = np.delete(y, rows)
    width = float(np.ptp(rest))
    middle = float(np.median(rest))
    away = np.abs(y[rows] - middle)
    near = float(np.abs(y[rows][:, None] - [rest.min(), rest.max()]).min())
    few = len(rows) <= max(1, int(DATA_LIMITS.far_share * len(y))) and len(np.unique(rest)) >= DATA_LIMITS.far_distinct
    if not (few and width > 0 and near >= DATA_LIMITS.far_gap * width):
        return None
    order = np.argsort(-away, kind="stable")
    return WildCells(rows[order], float(y[rows[order[0]]]), float(away.max() / max(rest.std(), 1e-300)), middle)


def drop_wild_targets(problem: TrainingProblem) -> TrainingProblem | None:
    """Train without rows whose target is far from all others, and scale the targets anew, in every part."""
    rows = problem.rows
    if class_indices(rows) is not None or rows.Y.ndim < 2:
        return None
    keep = np.ones(len(rows), bool)
    for y in rows.Y.T:
        cells = far_targets(y)
        if cells is not None:
            keep[cells.rows] = False
    if keep.all() or keep.sum() < USUAL.fewest_after_dropping:
        return None
    m, s = rows.Y[keep].mean(axis=0), rows.Y[keep].std(axis=0)
    s = np.where(s > 0, s, 1.0).astype(rows.Y.dtype)
    scaled = with_rows(problem, lambda part: replace(part, Y=(part.Y - m) / s))
    return replace(scaled, rows=scaled.rows[keep])


def align_validation(problem: TrainingProblem) -> TrainingProblem | None:
    """Make the validation columns follow the training columns; where nothing does, give them their means and deviations."""
    if problem.validation is None:
        return None
    change = alignment(problem) or Alignment(scale=SCALES[-1])
    return replace(problem, validation=aligned_rows(problem, change))


def _spread(x: Array) -> tuple[float, float]:
    spread = float(x.std())
    return float(x.mean()), spread if spread > 0 else 1.0
