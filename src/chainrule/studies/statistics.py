"""Means over a few seeds, with their intervals.

In: values by seed, paired where two arms share seeds. Out: means, 95 % intervals, words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from chainrule.arrays import Array


@dataclass(frozen=True)
class Estimate:
    """A mean and the half-width of its 95 % interval (NaN for a single value)."""

    mean: float
    half: float

    @property
    def sure(self) -> bool:
        """Whether the interval excludes zero."""
        return abs(self.mean) > self.half

    def text(self, digits: int = 3, factor: float = 1.0, unit: str = "") -> str:
        """Return the mean and interval as "1.23 ± 0.04 %"."""
        mean, half = self.mean * factor, self.half * factor
        spread = "" if np.isnan(half) else f" ± {half:.{digits}g}"
        return f"{mean:.{digits}g}{spread}{unit and ' ' + unit}"

    def size(self, digits: int = 2, factor: float = 1.0) -> str:
        """Return the text of a change whose direction is given in words: without the sign of the mean."""
        return Estimate(abs(self.mean), self.half).text(digits, factor)


def estimate(values: Array) -> Estimate:
    """Return the mean and Student's 95 % interval of the finite ones of some values (n).

    Reference  [student1908]

    >>> estimate(np.array([1.0, 2.0, 3.0])).text()
    '2 ± 2.48'
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    if n == 0:
        return Estimate(float("nan"), float("nan"))
    half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return Estimate(float(values.mean()), half)


def difference(a: Array, b: Array) -> Estimate:
    """Return a - b, seed by seed: what both arms share of a seed cancels."""
    n = min(len(a), len(b))
    return estimate(np.asarray(a, np.float64)[:n] - np.asarray(b, np.float64)[:n])
