"""Tell whether columns can be left out without a loss, which any command can do to a column that it cannot correct.

In: a training problem, numbers of columns. Out: whether the others tell as much about the target; the setting.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import Folds, one_hot
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.targets import class_indices, subsample_indices
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem

_MADE_OF_ANOTHER = ("=", ",", " ", ":", "(")
"""Parts of a name that a table's column does not have by itself, or that an option cannot hold."""


def can_be_dropped(problem: TrainingProblem, columns: Sequence[int]) -> bool:
    """Check whether columns have names to leave them out by, and a fast model does as well on unseen rows without them."""
    names = problem.feature_names
    if not 0 < len(columns) <= min(DATA_LIMITS.most_dropped, problem.rows.X.shape[1] - 1) or len(names) <= max(columns):
        return False
    if any(part in names[j] for j in columns for part in _MADE_OF_ANOTHER) or not np.isfinite(problem.rows.X).all():
        return False
    Y = _targets(problem)
    if Y is None or len(Y) < DATA_LIMITS.chance_rows:
        return False
    X = problem.rows.X[subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)]
    with_them, without = _errors(X, Y), _errors(np.delete(X, list(columns), axis=1), Y)
    return bool((without - with_them).mean() <= DATA_LIMITS.dropped_loss * (Y**2).sum(axis=1).mean())


def drop_settings(problem: TrainingProblem, columns: Sequence[int]) -> tuple[Setting, ...]:
    """Return the setting that leaves columns of a table out."""
    return (Setting("drop", tuple(problem.feature_names[j] for j in columns)),)


def _targets(problem: TrainingProblem) -> Array | None:
    """Return the targets as columns with mean 0; None if they are not finite or do not vary."""
    classes = class_indices(problem.rows)
    Y = problem.rows.Y if classes is None else one_hot(classes, int(classes.max()) + 1)
    Y = Y.reshape(len(Y), -1)[subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)].astype(np.float64)
    return Y - Y.mean(axis=0) if np.isfinite(Y).all() and np.ptp(Y, axis=0).any() else None


def _errors(X: Array, Y: Array) -> Array:
    """Return the squared error of each row, predicted from the other folds."""
    return np.asarray(((Folds.of(X).predict(Y) - Y) ** 2).sum(axis=1))
