"""Scales: where a value stands on paper, and which values an axis names.

In: values. Out: a `Scale` with its ends and ticks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.report.plots import finite
from chainrule.report.svg.markup import number


@dataclass(frozen=True)
class Scale:
    """A map of values from `low` to `high`, linear or logarithmic, onto positions from `start` to `end`.

    >>> Scale(1.0, 100.0, 0.0, 10.0, log=True).at(10.0)
    5.0
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value (above 0 on a logarithmic scale); values outside stand just beyond the ends."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low)
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Check whether a value has a position."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Return round values within the ends, with their names; at most about `most` of them."""
        values = _powers(self.low, self.high, most) if self.log else _steps(self.low, self.high, most)
        if self.log and len(values) < 2:
            values = _steps(self.low, self.high, most)
        return [(value, number(value)) for value in values]


def scale(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    log: bool = False,
    include: Sequence[float] = (),
    margin: float = 0.04,
) -> Scale:
    """Return a scale with room for all finite values (above 0 where `log`) and for those of `include`.

    A logarithmic scale becomes linear where nothing is above 0.
    """
    known = finite([*values, *include])
    positive = known[known > 0]
    log = log and len(positive) > 0
    known = positive if log else known
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if log:
        low, high = _apart(low, high)
        room = margin * math.log10(high / low)
        return Scale(low / 10**room, high * 10**room, start, end, True)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        low, high = low - max(abs(low) * 0.5, 0.5), high + max(abs(high) * 0.5, 0.5)
    room = margin * (high - low)
    return Scale(low - room, high + room, start, end)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Return ends of a logarithmic scale that are at least a factor of 1.5 and at most 24 decades apart."""
    low = max(low, high * 1e-24)
    return (low / 1.5, high * 1.5) if high / low < 1.5 else (low, high)


def _steps(low: float, high: float, most: int) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten between the ends, no more than `most`."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def _powers(low: float, high: float, most: int) -> list[float]:
    """Return powers of ten between the ends: every second or third of many, with 2 and 5 times them where there are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, -(-(last - first + 1) // most))
    powers = [10.0**k for k in range(first, last + 1, every)]
    if last - first + 1 > 2:
        return powers
    fine = [factor * 10.0**k for k in range(first - 1, last + 1) for factor in (1.0, 2.0, 5.0)]
    return [value for value in fine if low <= value <= high] or powers


def thinned(x: Sequence[float] | Array, y: Sequence[float] | Array, most: int = 400) -> tuple[list[float], list[float]]:
    """Return a curve of at most about `most` points: the lowest and the highest of each stretch, so that no spike is lost.

    >>> thinned([1.0, 2.0], [5.0, 6.0])
    ([1.0, 2.0], [5.0, 6.0])
    """
    n = min(len(x), len(y))
    if n <= most:
        return [float(v) for v in x[:n]], [float(v) for v in y[:n]]
    values = np.asarray(y[:n], np.float64)
    chosen = {0, n - 1}
    for part in np.array_split(np.arange(n), most // 2):
        known = part[np.isfinite(values[part])]
        chosen |= (
            {int(known[np.argmin(values[known])]), int(known[np.argmax(values[known])])} if len(known) else {part[0]}
        )
    order = sorted(chosen)
    return [float(x[i]) for i in order], [float(values[i]) for i in order]
