"""Change single values or the scale of one part, so that remedies for untidy data can be tested.

In: a training problem. Out: the problem with changed rows, or None if there is nothing to change.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data.outliers import far_targets, wild_cells
from chainrule.doctor.remedies.alignment import SCALES, Alignment, aligned_rows, alignment
from chainrule.doctor.remedies.settings import with_rows
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
