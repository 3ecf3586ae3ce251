"""Quantiles, extremes and order of columns that are too large to be held, exact, in two passes or a few more.

A number is taken as a whole number of 64 bits in the same order. A first pass counts how many numbers begin with which 16
bits, so that it is known in which of 65,536 bins each quantile lies; then the numbers of those bins alone are collected, or
counted again by the next 16 bits where they are still too many.
In: a function that runs through the values of several columns. Out: `ColumnFacts` for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array

Pass = Callable[[], Iterable[tuple[int, Array]]]
"""Runs through all values: pairs of a column's number and some of its values (float64, NaN for a gap), in order."""

_BITS = 16
_LEVELS = (0.25, 0.5, 0.75)


@dataclass(eq=False)
class ColumnFacts:
    """What one pass finds out about a column of numbers.

    `steps` says whether each number is one more than the one before, `rising` whether it is larger.
    """

    rows: int = 0
    gaps: int = 0
    infinite: int = 0
    lowest: float = math.inf
    highest: float = -math.inf
    whole: bool = True
    steps: bool = True
    rising: bool = True
    quartiles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    _last: float = field(default=math.nan, repr=False)

    @property
    def filled(self) -> int:
        """Number of values that are no gaps."""
        return self.rows - self.gaps

    def add(self, values: Array) -> None:
        """Take in the next values."""
        known = values[~np.isnan(values)]
        self.rows += len(values)
        self.gaps += len(values) - len(known)
        if not len(known):
            return
        self.lowest = min(self.lowest, float(known.min()))
        self.highest = max(self.highest, float(known.max()))
        self.whole = self.whole and bool((known == np.rint(known)).all())
        if self.rising:
            difference = np.diff(known, prepend=[] if math.isnan(self._last) else [self._last])
            self.steps = self.steps and bool((difference == 1).all())
            self.rising = bool((difference > 0).all())
            self.steps = self.steps and self.rising
        self._last = float(known[-1])


def facts_of(run: Pass, count: int, room: int) -> list[ColumnFacts]:
    """Return the facts and quartiles of columns.

    Parameters
    ----------
    run : callable
        Runs through the values of the columns, as often as it is called.
    count : int
        Number of columns.
    room : int
        Numbers of a column that may be held.

    Returns
    -------
    list of ColumnFacts
    """
    facts = [ColumnFacts() for _ in range(count)]
    counts = np.zeros((count, 1 << _BITS), np.int64)
    for j, values in run():
        facts[j].add(values)
        known = values[~np.isnan(values)]
        counts[j] += np.bincount(_keys(known) >> np.uint64(64 - _BITS), minlength=1 << _BITS)
    searches = [[_Search(rank) for rank in ranks(each.filled)] for each in facts]
    for each, own in zip(searches, counts, strict=True):
        for search in each:
            search.narrow(own)
    while any(search.value is None for each in searches for search in each):
        _pass(run, searches, room)
    for own_facts, found in zip(facts, searches, strict=True):
        own_facts.quartiles = interpolated(own_facts.filled, [search.value or 0.0 for search in found])
    return facts


@dataclass(eq=False)
class _Search:
    """The search for the number of one rank: bits that are known, and its rank among the numbers that begin with them."""

    rank: int
    prefix: int = 0
    known: int = 0
    size: int = 0
    value: float | None = None

    def narrow(self, counts: Array) -> None:
        """Take in how many numbers have which next bits."""
        ends = np.cumsum(counts)
        bin_ = int(np.searchsorted(ends, self.rank, side="right"))
        self.rank -= int(ends[bin_] - counts[bin_])
        self.size = int(counts[bin_])
        self.prefix = (self.prefix << _BITS) | bin_
        self.known += _BITS
        if self.known == 64:
            self.value = float(_numbers(np.array([self.prefix], np.uint64))[0])


def _pass(run: Pass, searches: list[list[_Search]], room: int) -> None:
    """Run through the values once: collect those of small bins, count the next bits in the others."""
    held: dict[tuple[int, int, int], list[Array]] = {}
    counted: dict[tuple[int, int, int], Array] = {}
    for j, each in enumerate(searches):
        for search in each:
            if search.value is None:
                key = (j, search.known, search.prefix)
                if search.size <= room:
                    held[key] = []
                else:
                    counted[key] = np.zeros(1 << _BITS, np.int64)
    for j, values in run():
        keys = _keys(values[~np.isnan(values)])
        for (column, bits, prefix), parts in held.items():
            if column == j:
                parts.append(keys[keys >> np.uint64(64 - bits) == prefix])
        for column, bits, prefix in counted:
            if column == j:
                own = keys[keys >> np.uint64(64 - bits) == prefix]
                following = (own >> np.uint64(64 - bits - _BITS)) & np.uint64((1 << _BITS) - 1)
                counted[column, bits, prefix] += np.bincount(following, minlength=1 << _BITS)
    for j, each in enumerate(searches):
        for search in each:
            if search.value is not None:
                continue
            key = (j, search.known, search.prefix)
            if key in held:
                found = np.partition(np.concatenate(held[key]), search.rank)[search.rank]
                search.value = float(_numbers(np.array([found], np.uint64))[0])
            else:
                search.narrow(counted[key])


def _keys(values: Array) -> Array:
    """Return whole numbers in the order of these numbers."""
    bits = np.ascontiguousarray(values + 0.0, np.float64).view(np.uint64)
    top = np.uint64(1 << 63)
    found: Array = np.where(bits & top, ~bits, bits | top)
    return found


def _numbers(keys: Array) -> Array:
    """Return the numbers of `_keys`."""
    top = np.uint64(1 << 63)
    found: Array = np.where(keys & top, keys & ~top, ~keys).view(np.float64)
    return found


def ranks(n: int) -> list[int]:
    """Return the ranks that the quartiles of n numbers lie between."""
    places = [level * (n - 1) for level in _LEVELS] if n else []
    return [rank for place in places for rank in (math.floor(place), math.ceil(place))]


def interpolated(n: int, values: list[float]) -> tuple[float, float, float]:
    """Return the quartiles from the numbers around them."""
    if not n:
        return (0.0, 0.0, 0.0)
    found = []
    for i, level in enumerate(_LEVELS):
        lower, upper = values[2 * i], values[2 * i + 1]
        place = level * (n - 1)
        found.append(lower + (upper - lower) * (place - math.floor(place)))
    return (found[0], found[1], found[2])
