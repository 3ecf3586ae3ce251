"""Means over a few seeds, with their intervals.

In: values by seed, paired where two arms share seeds. Out: means, 95 % intervals, words.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.intervals import ConfidenceInterval


def estimate(values: Array) -> ConfidenceInterval:
    """Return the mean and Student's 95 % interval of the finite ones of some values (n).

    Reference  [student1908]

    >>> estimate(np.array([1.0, 2.0, 3.0])).text()
    '2 ± 2.48'
    """
    return ConfidenceInterval.of(np.asarray(values, np.float64).tolist())


def difference(a: Array, b: Array) -> ConfidenceInterval:
    """Return a - b, seed by seed: what both arms share of a seed cancels."""
    n = min(len(a), len(b))
    return estimate(np.asarray(a, np.float64)[:n] - np.asarray(b, np.float64)[:n])
