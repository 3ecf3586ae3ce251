"""Why: where a value stands on paper, and which values an axis names, is decided in one place for all charts.

In: values. Out: a `Scale` with its ends and ticks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.report.page.markup import number


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high`, evenly or by their logarithm, onto positions from `start` to `end`.

    >>> Scale(1.0, 100.0, 0.0, 10.0, log=True).at(10.0)
    5.0
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value, which must be above 0 on a logarithmic scale; values outside stand at the ends."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low)
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)

    def shows(self, value: float) -> bool:
        """Whether the value has a position."""
        return math.isfinite(value) and (value > 0 or not self.log)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Round values within the ends, with their names."""
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
    whole: bool = False,
) -> Scale:
    """A scale on which all finite values (above 0 where `log`) and those of `include` have room.

    One that is to be logarithmic becomes even where nothing is above 0. With `whole` the ends are the values' own.
    """
    known = finite([*values, *include])
    positive = known[known > 0]
    log = log and len(positive) > 0
    known = positive if log else known
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if log:
        low, high = _apart(low, high)
        room = 0.0 if whole else margin * math.log10(high / low)
        return Scale(low / 10**room, high * 10**room, start, end, True)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        low, high = low - max(abs(low) * 0.5, 0.5), high + max(abs(high) * 0.5, 0.5)
    room = 0.0 if whole else margin * (high - low)
    return Scale(low - room, high + room, start, end)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Ends of a logarithmic scale at least a factor of 1.5 and at most 24 decades apart."""
    low = max(low, high * 1e-24)
    return (low / 1.5, high * 1.5) if high / low < 1.5 else (low, high)


def finite(values: Iterable[float]) -> Array:
    """Those that are finite numbers, float64."""
    array = np.asarray(list(values), np.float64)
    return array[np.isfinite(array)]


def _steps(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between the ends, no more than `most`."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def _powers(low: float, high: float, most: int) -> list[float]:
    """Powers of ten between the ends, every second or third where there are too many; 2 and 5 beside them in few decades."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    every = max(1, -(-(last - first + 1) // most))
    powers = [10.0**k for k in range(first, last + 1, every)]
    if last - first + 1 > 2:
        return powers
    fine = [factor * 10.0**k for k in range(first - 1, last + 1) for factor in (1.0, 2.0, 5.0)]
    return [value for value in fine if low <= value <= high] or powers


def thinned(x: Sequence[float] | Array, y: Sequence[float] | Array, most: int = 400) -> tuple[list[float], list[float]]:
    """A line of at most about so many points: of each stretch the lowest and the highest, so that no spike is lost.

    >>> thinned([1.0, 2.0], [5.0, 6.0])
    ([1.0, 2.0], [5.0, 6.0])
    """
    n = min(len(x), len(y))
    if n <= most:
        return [float(v) for v in x[:n]], [float(v) for v in y[:n]]
    values = np.asarray(y[:n], np.float64)
    kept = {0, n - 1}
    for part in np.array_split(np.arange(n), most // 2):
        known = part[np.isfinite(values[part])]
        kept |= (
            {int(known[np.argmin(values[known])]), int(known[np.argmax(values[known])])} if len(known) else {part[0]}
        )
    order = sorted(kept)
    return [float(x[i]) for i in order], [float(values[i]) for i in order]
