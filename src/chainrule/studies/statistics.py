"""Means over a few seeds, their intervals, and verdicts that follow from them.

In: values by seed, paired where two arms share seeds. Out: means, 95 % intervals, criteria with what they ask for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    return estimate(paired(a, b))


def paired(a: Array, b: Array) -> Array:
    """Return a - b of the seeds that both have."""
    n = min(len(a), len(b))
    return np.asarray(a, np.float64)[:n] - np.asarray(b, np.float64)[:n]


def ratio(a: Array, b: Array) -> Array:
    """Return a / b of the seeds that both have."""
    n = min(len(a), len(b))
    with np.errstate(all="ignore"):
        return np.asarray(a, np.float64)[:n] / np.asarray(b, np.float64)[:n]


@dataclass(frozen=True)
class Criterion:
    """One condition of a verdict: a figure, and the side of a bound on which its whole 95 % interval must lie.

    Parameters
    ----------
    where : str
        Setting in which the figure was measured.
    figure : str
        What was measured.
    interval : ConfidenceInterval
        Mean and 95 % interval over the seeds; of logarithms if the unit is "times".
    bound : float
        The bound, on the interval's scale.
    below : bool
        Whether the interval must lie below the bound; otherwise above it.
    unit : str, default=""
        "" for plain numbers, "points" and "%" for shares, "times" for ratios.
    shown : bool, default=True
        Whether the claim is about this setting; False for a setting beside it, which does not count.
    worst : bool, default=False
        Whether the figure is the worst of all seeds, which must be at most (or at least) the bound.

    Examples
    --------
    >>> import numpy as np
    >>> below("12 layers", "test error, with minus without", np.array([-0.04, -0.05, -0.06]), unit="points").text()
    '12 layers: test error, with minus without: -5 ± 2.5 points; must be below 0 points: yes'
    """

    where: str
    figure: str
    interval: ConfidenceInterval
    bound: float
    below: bool
    unit: str = ""
    shown: bool = True
    worst: bool = False

    @property
    def met(self) -> bool:
        """Whether the whole interval lies on the right side of the bound."""
        mean, half = self.interval.mean, self.interval.half
        if self.worst:
            return mean <= self.bound if self.below else mean >= self.bound
        return mean + half < self.bound if self.below else mean - half > self.bound

    @property
    def measured(self) -> str:
        """The figure with its interval, in its unit."""
        mean, half = self.interval.mean, self.interval.half
        if math.isnan(mean):
            return "not finite"
        if self.worst:
            return f"{self._number(mean)} (worst seed)"
        if math.isnan(half):
            return f"{self._number(mean)} (one seed: no interval)"
        if self.unit == "times":
            low, high = np.exp(mean - half), np.exp(mean + half)
            return f"{np.exp(mean):.2g} times ({low:.2g} to {high:.2g})"
        return self.interval.text(2, self._factor, self.unit)

    @property
    def asked(self) -> str:
        """What the interval must be."""
        words = ("at most", "at least") if self.worst else ("below", "above")
        return f"{words[0 if self.below else 1]} {self._number(self.bound)}"

    def text(self) -> str:
        """Return the criterion in one line."""
        return f"{self.where}: {self.figure}: {self.measured}; must be {self.asked}: {'yes' if self.met else 'no'}"

    @property
    def _factor(self) -> float:
        return 100.0 if self.unit in ("points", "%") else 1.0

    def _number(self, value: float) -> str:
        shown = np.exp(value) if self.unit == "times" and not self.worst else value * self._factor
        return f"{shown:.3g}{self.unit and ' ' + self.unit}"


def below(
    where: str, figure: str, values: Array, bound: float | None = None, *, unit: str = "", shown: bool = True
) -> Criterion:
    """Return the criterion that the 95 % interval of the mean of values lies below a bound.

    With the unit "times" the values are ratios: their logarithms are averaged, and the bound is 1 unless given.
    """
    return _criterion(where, figure, values, bound, True, unit, shown)


def above(
    where: str, figure: str, values: Array, bound: float | None = None, *, unit: str = "", shown: bool = True
) -> Criterion:
    """Return the criterion that the 95 % interval of the mean of values lies above a bound; see `below`."""
    return _criterion(where, figure, values, bound, False, unit, shown)


def at_most(where: str, figure: str, values: Array, bound: float, *, unit: str = "", shown: bool = True) -> Criterion:
    """Return the criterion that no seed's value is above a bound: for facts that hold for each seed, up to rounding."""
    worst = ConfidenceInterval(float(np.max(values)), 0.0)
    return Criterion(where, figure, worst, bound, True, unit, shown, worst=True)


def at_least(where: str, figure: str, values: Array, bound: float, *, unit: str = "", shown: bool = True) -> Criterion:
    """Return the criterion that no seed's value is below a bound."""
    worst = ConfidenceInterval(float(np.min(values)), 0.0)
    return Criterion(where, figure, worst, bound, False, unit, shown, worst=True)


def _criterion(
    where: str, figure: str, values: Array, bound: float | None, is_below: bool, unit: str, shown: bool
) -> Criterion:
    with np.errstate(all="ignore"):
        values = np.log(values) if unit == "times" else np.asarray(values, np.float64)
    interval = estimate(values) if np.isfinite(values).all() else ConfidenceInterval(math.nan, math.nan)
    at = 0.0 if bound is None else math.log(bound) if unit == "times" else bound
    return Criterion(where, figure, interval, at, is_below, unit, shown)
