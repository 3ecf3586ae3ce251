"""Recognize class numbers that were mistaken for values.

In: rows and a column of targets with a few evenly spaced values. Out: how much better a classifier predicts them.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import Folds, one_hot
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.targets import subsample_indices


def nominal_evidence(X: Array, y: Array, values: Array) -> tuple[float, float] | None:
    """Return the held-out accuracy of a classifier and of a rounded regression, for 3 to 20 evenly spaced target values.

    None if the targets are anything else, have fewer than 8 rows per value, or follow their order: the classifier must reach
    60 % and beat the regression by 20 points.
    """
    K = len(values)
    if (
        not DATA_LIMITS.nominal_values_low <= K <= DATA_LIMITS.nominal_values_high
        or len(y) < DATA_LIMITS.nominal_rows * K
    ):
        return None
    if np.ptp(np.diff(values)) > 1e-3 * np.diff(values).mean():
        return None
    take = subsample_indices(y, DATA_LIMITS.fast_rows)
    codes = np.abs(y[take, None].astype(np.float64) - values).argmin(axis=1)
    folds = Folds.of(X[take])
    P = folds.predict(np.hstack([one_hot(codes, K), codes[:, None].astype(np.float64)]))
    by_class = float((P[:, :K].argmax(axis=1) == codes).mean())
    by_value = float((np.clip(np.rint(P[:, K]), 0, K - 1) == codes).mean())
    clear = by_class > DATA_LIMITS.nominal_accuracy and by_class > by_value + DATA_LIMITS.nominal_lead
    return (by_class, by_value) if clear else None
