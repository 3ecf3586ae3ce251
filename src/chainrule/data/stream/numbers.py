"""Facts and exact quartiles of many columns of numbers, in one pass and a part of a second one.

The first pass counts the numbers by the leading 16 bits that they have in float32, so that it is known in which of 65,536
bins each quartile lies; the second collects the numbers of these bins, of equal ones a single one with its count. The second
may be the pass that computes the scaling.
In: some values of a column, in order. Out: `ColumnFacts` for each column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array
from chainrule.data.stream.passes import add_facts, leading_bits, number_of_leading, with_leading
from chainrule.data.stream.quantiles import ColumnFacts, interpolated, ranks

BINS = 1 << 16
_EXACT = 256
"""Whole numbers up to this size are the only ones of their bins."""

_TRIED = 16
"""Columns with too many numbers that are tried in one pass."""


class NumberSearch:
    """The facts of columns, and the search for their quartiles.

    Parameters
    ----------
    names : sequence of str
        The columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.facts = [ColumnFacts() for _ in names]
        self._raw = np.tile([0.0, 0.0, np.inf, -np.inf, np.nan, 1.0, 1.0, 1.0], (len(names), 1))
        self._counts = np.zeros((len(names), BINS), np.int64)
        self._searches: list[list[_Rank]] = []
        self._bins: list[dict[int, _Bin]] = [{} for _ in names]

    def look(self, j: int, values: Array) -> None:
        """Take in the next values of column j, in the first pass."""
        facts = self.facts[j]
        if add_facts(values, self._raw[j], self._counts[j]):
            facts.rows += len(values)
            return
        infinite = np.isinf(values)
        facts.infinite += int(infinite.sum())
        facts.add(np.where(infinite, np.nan, values.astype(np.float64)))
        self._counts[j] += np.bincount(leading_bits(values[np.isfinite(values)]), minlength=BINS)

    def end_of_first(self) -> None:
        """Find the bins of the quartiles."""
        for facts, raw in zip(self.facts, self._raw, strict=True):
            if raw[0] + raw[1]:
                facts.infinite += int(raw[1])
            if np.isfinite(raw[2]):
                facts.lowest, facts.highest = float(raw[2]), float(raw[3])
                facts.whole, facts.steps, facts.rising = (bool(flag) for flag in raw[5:])
        for j, facts in enumerate(self.facts):
            ends = np.cumsum(self._counts[j])
            facts.gaps = facts.rows - int(ends[-1])
            self._searches.append([_Rank.at(rank, ends) for rank in ranks(facts.filled)])
            if not (facts.whole and max(abs(facts.lowest), abs(facts.highest)) <= _EXACT):
                self._bins[j] = {rank.leading: _Bin(rank.size) for rank in self._searches[j]}
            facts.quartiles = interpolated(facts.filled, [number_of_leading(r.leading) for r in self._searches[j]])
        del self._counts

    def joined(self, other: NumberSearch) -> NumberSearch:
        """Return one search of the columns of both, after the first pass."""
        found = NumberSearch(())
        found.names = self.names + other.names
        found.facts = self.facts + other.facts
        found._searches = self._searches + other._searches
        found._bins = self._bins + other._bins
        return found

    @property
    def open(self) -> list[int]:
        """Columns whose quartiles are not known yet."""
        return [j for j, bins in enumerate(self._bins) if bins]

    def chosen(self, most: int, among: Iterable[int] | None = None) -> list[int]:
        """Return open columns whose numbers can be collected in one pass, at most `most` of them together.

        Where a single column has more, a few are tried all the same: their numbers may be equal ones.
        """
        wanted = self.open if among is None else sorted(set(self.open) & set(among))
        size = {j: sum(each.size for each in self._bins[j].values()) for j in wanted}
        found: list[int] = []
        total = 0
        for j in sorted(wanted, key=size.__getitem__):
            total += size[j]
            if total > most:
                break
            found.append(j)
        tried = found or sorted(wanted, key=size.__getitem__)[:_TRIED]
        count = sum(len(self._bins[j]) for j in tried)
        for j in tried:
            for each in self._bins[j].values():
                each.room = each.size if found else max(1000, most // count)
        return sorted(tried)

    def collect(self, j: int, values: Array) -> None:
        """Take in the next values of column j, in the second pass."""
        for leading, found in self._bins[j].items():
            if not found.given_up:
                found.add(with_leading(values, leading))

    def end_of_second(self, columns: Iterable[int]) -> list[int]:
        """Find the quartiles of columns; return those of which too many numbers would have had to be held."""
        left = []
        for j in columns:
            bins = self._bins[j]
            for each in bins.values():
                each.compact()
            if any(each.given_up for each in bins.values()):
                left.append(j)
            else:
                values = [bins[rank.leading].value(rank.within) for rank in self._searches[j]]
                self.facts[j].quartiles = interpolated(self.facts[j].filled, values)
            self._bins[j] = {}
        return left


@dataclass(frozen=True)
class _Rank:
    """Where the number of a rank lies: its leading bits, its rank among those with the same, and how many these are."""

    leading: int
    within: int
    size: int

    @classmethod
    def at(cls, rank: int, ends: Array) -> _Rank:
        """Find it by the numbers up to the end of each bin."""
        leading = int(np.searchsorted(ends, rank, side="right"))
        before = int(ends[leading - 1]) if leading else 0
        return cls(leading, rank - before, int(ends[leading]) - before)


@dataclass(eq=False)
class _Bin:
    """Numbers with the same leading bits: those that came last as they are, the others once with their counts."""

    size: int
    room: int = 1 << 62
    given_up: bool = False
    _waiting: list[Array] = field(default_factory=list)
    _count: int = 0
    _values: Array = field(default_factory=lambda: np.empty(0))
    _times: Array = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, values: Array) -> None:
        """Take in numbers."""
        if not len(values):
            return
        self._waiting.append(values)
        self._count += len(values)
        if self._count + len(self._values) > self.room:
            self.compact()
            if 2 * len(self._values) > self.room:
                self.given_up = True
                self._values = self._times = np.empty(0, np.int64)

    def compact(self) -> None:
        """Hold each number once."""
        if self.given_up or not self._waiting:
            return
        values, inverse = np.unique(np.concatenate([self._values, *self._waiting]), return_inverse=True)
        times = np.concatenate([self._times, np.ones(self._count, np.int64)])
        self._times = np.bincount(inverse.ravel(), times, len(values)).astype(np.int64)
        self._values = values
        self._waiting = []
        self._count = 0

    def value(self, rank: int) -> float:
        """Return the number of a rank."""
        return float(self._values[np.searchsorted(np.cumsum(self._times), rank, side="right")])
