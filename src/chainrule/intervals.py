"""Confidence intervals of a mean, for figures that were measured with a few seeds.

In: figures by seed. Out: their mean with Student's 95 % interval. Needs no package besides Python's own.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class ConfidenceInterval:
    """A mean and the half-width of its 95 % interval.

    Parameters
    ----------
    mean : float
        Mean of the figures.
    half : float
        Half-width of the interval; NaN for a single figure.

    Examples
    --------
    >>> interval = ConfidenceInterval.of([1.0, 2.0, 3.0])
    >>> str(interval), interval.sure
    ('2.0000 ± 2.4841', False)
    """

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> ConfidenceInterval:
        """Return Student's 95 % interval of the mean of a few figures.

        Reference  [student1908]

        Parameters
        ----------
        values : sequence of float
            Figures, one per seed; those that are not finite are left out.

        Returns
        -------
        ConfidenceInterval
            Mean and half-width; NaN where there are too few figures.
        """
        finite = [float(value) for value in values if math.isfinite(value)]
        n = len(finite)
        if n < 2:
            return cls(finite[0] if finite else math.nan, math.nan)
        return cls(statistics.fmean(finite), student_quantile(n - 1) * statistics.stdev(finite) / math.sqrt(n))

    @property
    def sure(self) -> bool:
        """Whether the interval excludes zero."""
        return abs(self.mean) > self.half

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if math.isnan(self.half) else f" ± {self.half:.4f}")

    def text(self, digits: int = 3, factor: float = 1.0, unit: str = "") -> str:
        """Format the interval, for example as "1.23 ± 0.04 %".

        Parameters
        ----------
        digits : int, default=3
            Significant digits.
        factor : float, default=1.0
            Factor for mean and half-width, such as 100 for percent.
        unit : str, default=""
            Text after the numbers.

        Returns
        -------
        str
            Mean and half-width.
        """
        mean = self.mean * factor
        half = self.half * factor
        spread = "" if math.isnan(half) else f" ± {half:.{digits}g}"
        return f"{mean:.{digits}g}{spread}{unit and ' ' + unit}"

    def size(self, digits: int = 2, factor: float = 1.0) -> str:
        """Format without the mean's sign, for a change whose direction is given in words.

        Parameters
        ----------
        digits : int, default=2
            Significant digits.
        factor : float, default=1.0
            Factor for mean and half-width.

        Returns
        -------
        str
            Absolute mean and half-width.
        """
        return ConfidenceInterval(abs(self.mean), self.half).text(digits, factor)


@cache
def student_quantile(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's distribution with a whole number of degrees of freedom.

    Found by bisection of P(|T| <= t) = 0.95 to the last bit.

    >>> round(student_quantile(1), 3), round(student_quantile(4), 3), round(student_quantile(1000), 3)
    (12.706, 2.776, 1.962)
    """
    low, high = 1.0, 16.0
    while low < (middle := (low + high) / 2) < high:
        if _share_within(middle, degrees) < 0.95:
            low = middle
        else:
            high = middle
    return high


def _share_within(t: float, degrees: int) -> float:
    """Return P(|T| <= t) by the finite series in the angle θ = atan(t / √ν), which differs for odd and even ν."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(2 + odd, degrees - 1 + odd, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total
