"""The description of a streamed table, equal to the one that the same rows get in memory.

Columns are read a few at a time, as many as the limit has room for. One that alone is too large is described in passes of
its own: a number by exact quartiles, a text by its distinct values.
In: a source and what the user says about columns. Out: a `TableSchema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.stream.ahead import pieces_ahead
from chainrule.data.stream.memory import text_of
from chainrule.data.stream.numbers import BINS, NumberSearch
from chainrule.data.stream.quantiles import ColumnFacts, facts_of
from chainrule.data.stream.source import Piece, Source
from chainrule.data.table.calendar import DAY, part
from chainrule.data.table.cells import TEXT
from chainrule.data.table.columns import (
    COUNTED,
    ID_NAME,
    SAVED_INDEX,
    Levels,
    column_of,
    level_counts,
    levels_of,
    text_column,
    typed_cells,
)
from chainrule.data.table.dates import microseconds
from chainrule.data.table.gaps import label
from chainrule.data.table.kinds import assembled, check_missing, equal_cells
from chainrule.data.table.leaks import leaks
from chainrule.data.table.missing import left_out_faults, values_of, with_values
from chainrule.data.table.schema import Column, NumberRange, ReadOptions, TableSchema
from chainrule.data.table.values import text_of as plain_texts
from chainrule.errors import InvalidValueError, raise_all

_COPIES = 4
"""Copies of a column that describing it makes."""

_CELL, _TEXT_CELL = 8, 64
"""Bytes of a number, and of a text on average."""

_HISTOGRAMS = 8 * BINS
"""Bytes that the search for a column's quartiles takes besides the numbers."""

_LEAK_ROWS = 20_000


class Draft:
    """The description of a streamed table whose quartiles may still be open, until `finished` reads on.

    Parameters
    ----------
    source : Source
        The rows.
    schema : TableSchema
        The description; quartiles that are open are approximate.
    search : NumberSearch or None
        The search for these quartiles, which a further pass ends.
    memory : int
        Bytes that the search may take.
    """

    def __init__(self, source: Source, schema: TableSchema, search: NumberSearch | None, memory: int) -> None:
        self.schema = schema
        self._source = source
        self._search = search
        self._most = max(1000, memory // 2 // _CELL)
        self._chosen: list[int] = []

    def begin(self, names: Sequence[str] | None = None) -> list[str]:
        """Return the columns (of `names`, None: of all) whose numbers the next pass is to collect; [] where none is."""
        search = self._search
        if search is None:
            return []
        among = None if names is None else [j for j, name in enumerate(search.names) if name in set(names)]
        self._chosen = search.chosen(self._most, among)
        return [search.names[j] for j in self._chosen]

    def collect(self, columns: Iterable[Array]) -> None:
        """Take in the next numbers of the columns that `begin` named, of all rows."""
        assert self._search is not None
        for j, values in zip(self._chosen, columns, strict=True):
            self._search.collect(j, values)

    def end(self) -> None:
        """Take the quartiles of these columns from what was collected."""
        search = self._search
        assert search is not None
        for j in search.end_of_second(self._chosen):
            search.facts[j].quartiles = _facts(self._source, [search.names[j]], self._most // 8)[0].quartiles
        exact = {search.names[j]: search.facts[j] for j in self._chosen}
        found = [
            replace(each, numbers=(_range("", exact[each.name]),)) if each.numbers and each.name in exact else each
            for each in self.schema.columns
        ]
        self.schema = replace(self.schema, columns=tuple(found))

    def finished(self) -> TableSchema:
        """Return the description with exact quartiles, from passes over the columns that are still open."""
        while names := self.begin():
            for piece in pieces_ahead(self._source, names):
                self.collect(numbers_of(piece, name) for name in names)
            self.end()
        return self.schema


def describe_stream(owner: str, source: Source, target: str, options: ReadOptions, memory: int) -> TableSchema:
    """Find out what every column of a streamed table is.

    Parameters
    ----------
    owner : str
        The object that messages name.
    source : Source
        The rows.
    target : str
        Name of the target, which is not described.
    options : ReadOptions
        What the user says about columns.
    memory : int
        Bytes that this may take.

    Returns
    -------
    TableSchema
    """
    return draft_of(owner, source, target, options, memory).finished()


def draft_of(
    owner: str,
    source: Source,
    target: str,
    options: ReadOptions,
    memory: int,
    opened: Source | None = None,
    hidden: Mapping[str, str] | None = None,
) -> Draft:
    """Find out what every column of a streamed table is, but for quartiles that another pass would end.

    Parameters
    ----------
    owner : str
        The object that messages name.
    source : Source
        The rows.
    target : str
        Name of the target, which is not described.
    options : ReadOptions
        What the user says about columns.
    memory : int
        Bytes that this may take.
    opened : Source, default=None
        The rows with values in place of gaps where the user named such values.
    hidden : mapping of str to str, default=None
        Columns that are not described, with the reason.

    Returns
    -------
    Draft
    """
    check_missing(owner, source.columns, options, target, lambda name: _cells(opened or source, name), hidden)
    names = [name for name in source.columns if name != target]
    head = _head(source)
    n = source.manifest.rows
    sizes = {name: n * _COPIES * (_TEXT_CELL if head[name].dtype in TEXT else _CELL) for name in names}
    found: dict[str, tuple[Column, str]] = {}
    search = None
    if sum(sizes.values()) > memory:
        search = _searched(
            owner, source, [head[name] for name in names if _is_number(head[name], options)], options, memory
        )
    for name, facts in zip(search.names, search.facts, strict=True) if search else ():
        if sizes[name] > memory or not _may_count_rows(name, facts, options):
            found[name] = _large_number(head[name], facts, options.kinds.get(name))
    for few in _batches([name for name in names if name not in found and sizes[name] <= memory], sizes, memory):
        frame = _whole(source, few)
        for name in few:
            missing = values_of(options.missing, name)
            found[name] = column_of(owner, frame[name], options.kinds.get(name), options.decimal, missing)
    large = [name for name in names if name not in found]
    found |= _large(owner, source, [head[name] for name in large], options, memory)
    columns, warnings = assembled(
        owner, [found[name] for name in names], target, options, lambda a, b: _equal(source, a, b)
    )
    raise_all(left_out_faults(owner, columns, options))
    columns = [with_values(each, values_of(options.missing, each.name), options.decimal) for each in columns]
    warnings += leaks(head, [column.name for column in columns if column.used], head[target])
    return Draft(source, TableSchema(tuple(columns), target, tuple(warnings)), search, memory)


def _head(source: Source) -> pl.DataFrame:
    """Return the first rows, which tell the types of the columns, and columns that give the target away."""
    parts: list[pl.DataFrame] = []
    for group, size in enumerate(source.manifest.sizes):
        parts += [piece.frame(source.columns) for piece in source.pieces(group)] if size else []
        if sum(part.height for part in parts) >= _LEAK_ROWS:
            break
    return pl.concat(parts).head(_LEAK_ROWS)


def _batches(names: Sequence[str], sizes: dict[str, int], memory: int) -> Iterator[list[str]]:
    """Yield columns that fit in memory together."""
    few: list[str] = []
    taken = 0
    for name in names:
        if few and taken + sizes[name] > memory:
            yield few
            few, taken = [], 0
        few.append(name)
        taken += sizes[name]
    if few:
        yield few


def _cells(source: Source, name: str) -> Iterator[pl.Series]:
    """Yield the cells of a column, piece by piece."""
    for group in range(len(source.manifest.sizes)):
        yield from (piece.column(name) for piece in source.pieces(group, [name]))


def _whole(source: Source, names: Sequence[str]) -> pl.DataFrame:
    """Return whole columns."""
    groups = range(len(source.manifest.sizes))
    return pl.concat([piece.frame(names) for group in groups for piece in source.pieces(group, names)])


def _equal(source: Source, a: str, b: str) -> bool:
    """Check whether two columns are equal cell by cell."""
    for group in range(len(source.manifest.sizes)):
        for piece in source.pieces(group, [a, b]):
            if not equal_cells(piece.column(a), piece.column(b)):
                return False
    return True


def _large(
    owner: str, source: Source, heads: Sequence[pl.Series], options: ReadOptions, memory: int
) -> dict[str, tuple[Column, str]]:
    """Return the columns that are too large to be held."""
    found: dict[str, tuple[Column, str]] = {}
    for head in heads:
        asked = options.kinds.get(head.name)
        if asked == "id":
            found[head.name] = column_of(owner, head, asked, options.decimal)
        elif head.dtype in TEXT or asked in ("category", "text"):
            found[head.name] = (_large_text(owner, source, head.name, asked, options, memory), "")
        else:
            found[head.name] = (_large_date(owner, source, head.name, asked, memory), "")
    return found


def _is_number(head: pl.Series, options: ReadOptions) -> bool:
    """Check whether a column is described by the facts of its numbers."""
    temporal = head.dtype.is_temporal() and not isinstance(head.dtype, pl.Duration)
    return not (head.dtype in TEXT or temporal or options.kinds.get(head.name) in ("category", "text", "id"))


def _searched(
    owner: str, source: Source, heads: Sequence[pl.Series], options: ReadOptions, memory: int
) -> NumberSearch | None:
    """Return the facts of columns of numbers, and the search for their quartiles, after passes over them."""
    for head in heads:
        typed_cells(owner, head, options.kinds.get(head.name), options.decimal)  # refuses cells of other types
    search = None
    together = max(1, memory // (2 * _HISTOGRAMS))
    for first in range(0, len(heads), together):
        names = [head.name for head in heads[first : first + together]]
        part = NumberSearch(names)
        for piece in pieces_ahead(source, names):
            for j, name in enumerate(names):
                part.look(j, numbers_of(piece, name))
        part.end_of_first()
        search = part if search is None else search.joined(part)
    return search


def numbers_of(piece: Piece, name: str) -> Array:
    """Return the numbers of a column, NaN for gaps."""
    found = piece.vector(name)
    return _floats(piece.column(name)) if found is None else found


def _may_count_rows(name: str, facts: ColumnFacts, options: ReadOptions) -> bool:
    """Check whether only the different numbers of a column tell whether it counts the rows."""
    if options.kinds.get(name) or facts.gaps or facts.rising or facts.rows < COUNTED:
        return False
    if SAVED_INDEX.match(name):
        return True
    spread = facts.highest - facts.lowest
    counts = spread == facts.rows - 1 and facts.lowest in (0, 1)
    return facts.whole and spread >= facts.rows - 1 and (counts or bool(ID_NAME.search(name)))


def _facts(source: Source, names: Sequence[str], room: int) -> list[ColumnFacts]:
    def run() -> Iterator[tuple[int, Array]]:
        for piece in pieces_ahead(source, names):
            for j, name in enumerate(names):
                values = _floats(piece.column(name))
                yield j, np.where(np.isinf(values), np.nan, values)

    return facts_of(run, len(names), room)


def _floats(cells: pl.Series) -> Array:
    if isinstance(cells.dtype, pl.Duration):
        cells = cells.dt.total_microseconds() / DAY
    values: Array = cells.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return values


def _range(name: str, facts: ColumnFacts) -> NumberRange:
    """Return where the values lie, as `number_range` says of a column in memory."""
    if not facts.filled:
        return NumberRange(name, 0.0, 1.0, 0.0, 0.0)
    lower, center, upper = facts.quartiles
    scale = upper - lower
    if not 0 < scale < float("inf"):
        scale = facts.highest / 2 - facts.lowest / 2
    return NumberRange(name, center, scale if scale > 0 else 1.0, facts.lowest, facts.highest)


def _large_number(head: pl.Series, facts: ColumnFacts, asked: str | None) -> tuple[Column, str]:
    """Return a column of numbers or booleans, as `column_of` says of one in memory."""
    name = head.name
    warning = f"column {name!r}: {facts.infinite} infinite values count as gaps." if facts.infinite else ""
    boolean = head.dtype == pl.Boolean and asked != "number"
    if asked is None and facts.filled == 0:
        return Column(name, "constant", "empty", used=False), ""
    if asked is None and not facts.gaps and facts.lowest == facts.highest:
        value = label(bool(facts.lowest) if boolean else facts.lowest)
        return Column(name, "constant", f"always {value}", used=False, value=value), ""
    numbers = _range("", facts)
    reason = f"asked for (--columns {name}={asked})" if asked else "true or false" if boolean else "numbers"
    if boolean:
        center = float(facts.quartiles[1] >= 0.5)
        own = (NumberRange("", center, 1.0, 0.0, 1.0),)
        return Column(name, "boolean", reason, True, own, ("false", "true"), gaps=facts.gaps), ""
    counts = "" if asked else _counts_rows(name, facts)
    if counts:
        return Column(name, "id", counts, False, (numbers,), gaps=facts.gaps), ""
    return Column(name, "number", reason, True, (numbers,), gaps=facts.gaps), warning


def _counts_rows(name: str, facts: ColumnFacts) -> str:
    """Return how a column counts the rows, "" if it does not; numbers that do not rise are not compared with each other."""
    if facts.gaps or facts.rows < COUNTED:
        return ""
    if SAVED_INDEX.match(name) and facts.rising:
        return "a saved row index"
    if facts.steps and facts.lowest in (0, 1):
        return f"counts the rows ({int(facts.lowest)}, {int(facts.lowest) + 1}, ... in the file's order)"
    if facts.whole and facts.rising and ID_NAME.search(name):
        return "whole numbers that are all distinct, and its name"
    return ""


def _large_date(owner: str, source: Source, name: str, asked: str | None, memory: int) -> Column:
    """Return a column of dates with those parts that vary, as `column_of` says of one in memory."""
    groups = range(len(source.manifest.sizes))

    def moments() -> Iterator[Array]:
        for group in groups:
            yield from (microseconds(piece.column(name)) for piece in source.pieces(group, [name]))

    if asked not in (None, "date"):
        raise InvalidValueError(f"{owner}: column {name!r} must be a {asked}, as asked, got dates.")
    first = ColumnFacts()
    for values in moments():
        first.add(values)
    if not first.filled:
        return Column(name, "constant", "empty", used=False)
    if asked is None and not first.gaps and first.lowest == first.highest:
        return Column(name, "constant", "one date", used=False)
    origin = int(first.lowest // DAY * DAY)
    time = next(piece for piece in source.pieces(0, [name])).column(name).dtype == pl.Time
    names = ("hour",) if time else ("days", "month", "weekday", "day", "hour")

    def run() -> Iterator[tuple[int, Array]]:
        for values in moments():
            yield from ((j, part(each, values, origin)) for j, each in enumerate(names))

    found = facts_of(run, len(names), max(1000, memory // 8 // 8 // len(names)))
    ranges = [_range(each, facts) for each, facts in zip(names, found, strict=True)]
    varying = tuple(each for each in ranges if each.highest > each.lowest) or tuple(ranges[:1])
    reason = f"asked for (--columns {name}={asked})" if asked else "dates"
    return Column(name, "date", reason, True, varying, gaps=first.gaps, origin=origin)


def _large_text(owner: str, source: Source, name: str, asked: str | None, options: ReadOptions, memory: int) -> Column:
    """Return a column of texts by its distinct values."""
    counts: pl.DataFrame | None = None
    for group in range(len(source.manifest.sizes)):
        own = [level_counts(plain_texts(piece.column(name))) for piece in source.pieces(group, [name])]
        merged = pl.concat([each.cast({"count": pl.Int64}) for each in ([] if counts is None else [counts]) + own])
        counts = merged.group_by("level").agg(pl.col("count").sum())
        if counts.estimated_size() * _COPIES > memory:
            hint = "Leave it out, or allow more memory."
            got = f"more than {counts.height:,} of them"
            raise InvalidValueError(
                f"{owner}: the distinct texts of column {name!r} must fit in {text_of(memory)}, got {got}. {hint}"
            )
    assert counts is not None
    n = source.manifest.rows
    texts = pl.Series(name, counts["level"])
    kind = typed_cells(owner, texts, asked, options.decimal)[0] if asked is None and texts.len() else "category"
    if kind != "category":
        hint = f"Convert the column to {kind}s in the files, or allow more memory."
        raise InvalidValueError(f"{owner}: column {name!r} must hold {kind}s as such, got them as texts. {hint}")
    levels, gaps, labels = levels_of(counts.sort("level"), n)
    reason = f"asked for (--columns {name}={asked})" if asked else ""
    if asked is None and not gaps and levels.height == 1:
        value = label(levels["level"][0])
        return Column(name, "constant", f"always {value}", used=False, value=value)
    return text_column(name, Levels(levels, gaps, labels, n), reason, asked)


def names_of_numbers(schema: TableSchema) -> tuple[str, ...] | None:
    """Return the columns of a table of which all that are used are numbers without gaps; None for any other."""
    plain = all(column.kind == "number" and not column.gaps and column.written is None for column in schema.used)
    return tuple(column.name for column in schema.used) if plain else None
