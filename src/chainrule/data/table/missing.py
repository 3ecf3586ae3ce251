"""Values by which a column says that a cell is missing: a code such as -999, a date such as 1900-01-01, a text.

In: the values that the user names, and cells. Out: the same cells with gaps; what is wrong with the values.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.data.table.calendar import DAY, moment
from chainrule.data.table.gaps import label
from chainrule.data.table.schema import Column, NumberFormat, ReadOptions
from chainrule.errors import did_you_mean, must_be

if TYPE_CHECKING:
    import polars as pl

GROUP = "It is the group (--group, key), no input."
"""Why the column of groups has no values for missing cells."""

_LARGEST_SINGLE = 3e38


def values_of(missing: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the values of a column that mean a missing cell, as texts, each once.

    >>> values_of({"age": [-999, "-999", 0.5], "size": -1}, "age"), values_of({"size": -1}, "size")
    (('-999', '0.5'), ('-1',))
    """
    return tuple(dict.fromkeys(label(value) for value in _each(missing, name) if not _is_empty(value)))


def _each(missing: Mapping[str, Any], name: str) -> tuple[Any, ...]:
    given = missing.get(name, ())
    many = isinstance(given, Iterable) and not isinstance(given, str)
    return tuple(given) if many else (given,)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


def texts_of(values: Iterable[str]) -> frozenset[str]:
    """Return the texts that cells are compared with: the values, and numbers among them as tables write them."""
    values = tuple(values)
    return frozenset(values) | {label(value) for value in map(_number, values) if value is not None}


def numbers_of(values: Iterable[str]) -> frozenset[float]:
    """Return the numbers that cells are compared with, each also as rounded to single precision.

    >>> sorted(numbers_of(["-999", "x", "0.1"]))
    [-999.0, 0.1, 0.10000000149011612]
    """
    found = {value for value in map(_number, values) if value is not None}
    return frozenset(found | {float(np.float32(value)) for value in found if abs(value) < _LARGEST_SINGLE})


def moments_of(values: Iterable[str]) -> frozenset[float]:
    """Return the dates and times that cells are compared with, in microseconds; each value is in ISO's form or none.

    >>> moments_of(["1970-01-02", "unknown"])
    frozenset({86400000000.0})
    """
    return frozenset(at for at in map(_moment, values) if at is not None)


def without_numbers(values: Any, gone: frozenset[float]) -> Any:
    """Return an array of numbers with NaN for those that are gone."""
    if not gone:
        return values
    found = np.isin(values, list(gone))
    return np.where(found, np.nan, values) if found.any() else values


def marked(cells: pl.Series, values: Sequence[str], decimal: str | None = None) -> pl.Series:
    """Return which cells of a column hold one of the values: numbers as numbers, dates as dates, texts as texts."""
    import polars as pl

    from chainrule.data.table import cells as typed
    from chainrule.data.table.dates import microseconds

    texts = list(texts_of(values))
    if cells.dtype in typed.TEXT:
        text = typed.clean_text(cells)
        found = text.is_in(texts).fill_null(False)
        text = text.set(found, None)
        form = _form(text, values, decimal)
        numbers = list(numbers_of(in_numbers(values, form)))
        return found | _is_in(typed.numbers_of(text, form), numbers) if numbers else found
    numbers = list(numbers_of(in_numbers(values, _format(decimal))))
    if cells.dtype == pl.Boolean:
        return cells.cast(pl.String).is_in(texts).fill_null(False) | _is_in(cells.cast(pl.Float64), numbers)
    if isinstance(cells.dtype, pl.Duration):
        return _is_in(cells.dt.total_microseconds() / DAY, numbers)
    if cells.dtype.is_numeric():
        return _is_in(cells.cast(pl.Float64), numbers)
    if cells.dtype.is_temporal():
        return pl.Series(np.isin(microseconds(cells), list(moments_of(in_iso(values)))))
    return pl.Series([False]).new_from_index(0, len(cells))


def _form(text: pl.Series, values: Iterable[str], decimal: str | None) -> NumberFormat | None:
    """Return how those texts are written that are no plain numbers, where a value may be written in this way, too."""
    from chainrule.data.table.cells import interpret
    from chainrule.data.table.numbers import plain_numbers

    known = _format(decimal)
    if not any(_number(value) is None and _is_written_number(value) for value in values):
        return known
    found = interpret(text.filter(plain_numbers(text).is_null()).drop_nulls(), decimal)
    return found.written or known


@lru_cache(maxsize=1000)
def _is_written_number(value: str) -> bool:
    import polars as pl

    from chainrule.data.table.cells import interpret

    return _has_digit(value) and interpret(pl.Series([value])).kind == "number"


def _format(decimal: str | None) -> NumberFormat | None:
    return None if decimal is None else NumberFormat(decimal)


def _has_digit(value: str) -> bool:
    return any(character.isdigit() for character in value)


def _is_in(cells: pl.Series, numbers: Sequence[float]) -> pl.Series:
    return cells.is_in(numbers).fill_null(False)


def cleared(cells: pl.Series, values: Sequence[str], decimal: str | None = None) -> pl.Series:
    """Return a column with a gap in place of the values.

    >>> import polars as pl
    >>> cleared(pl.Series([1.5, -999.0]), ["-999"]).to_list(), cleared(pl.Series(["a", "?? "]), ["??"]).to_list()
    ([1.5, None], ['a', None])
    """
    found = marked(cells, values, decimal) if values else None
    return cells if found is None or not found.any() else cells.set(found, None)


def in_iso(values: Iterable[str], form: str | None = None) -> tuple[str, ...]:
    """Return the values, and those that are dates also in ISO's form."""
    import polars as pl

    from chainrule.data.table.cells import dates_of

    found: list[str] = []
    for value in values:
        date = None if _number(value) is not None else dates_of(pl.Series([value]), form)[0]
        found += [value, *([] if date is None else [date.isoformat()])]
    return tuple(dict.fromkeys(found))


def in_numbers(values: Iterable[str], form: NumberFormat | None) -> tuple[str, ...]:
    """Return the values, and those that are numbers of a form also written plainly.

    >>> in_numbers(["-9,90 kg", "unknown"], NumberFormat(",", suffix="kg")), in_numbers(["-9,9", "5 kg"], None)
    (('-9,90 kg', '-9.9', 'unknown'), ('-9,9', '-9.9', '5 kg'))
    """
    found = [text for value in values for text in (value, *_plainly(value, form))]
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=1000)
def _plainly(value: str, form: NumberFormat | None) -> tuple[str, ...]:
    """Return the numbers that a value is in a column of a form, and alone if it has no other unit than the column."""
    import polars as pl

    from chainrule.data.table.cells import interpret
    from chainrule.data.table.numbers import parse_numbers

    if not _has_digit(value):
        return ()
    cell, of_column = pl.Series([value]), form or NumberFormat()
    numbers = [] if form is None else [parse_numbers(cell, form)[0]]
    alone = interpret(cell, None if form is None else form.decimal)
    own = alone.written or NumberFormat()
    if alone.kind == "number" and own.prefix in ("", of_column.prefix) and own.suffix in ("", of_column.suffix):
        numbers.append(alone.values[0])
    return tuple(label(float(number)) for number in numbers if number is not None)


def with_values(
    column: Column, values: Sequence[str], decimal: str | None = None, cells: pl.Series | None = None
) -> Column:
    """Return a column that knows its values for missing cells; of texts (`cells`) also how these write them."""
    if not values or not column.used:
        return column
    known = tuple(values)
    if column.kind == "date":
        known = in_iso(values, column.date_format)
    elif column.kind == "number":
        known = in_numbers(values, column.written or _format(decimal))
    elif column.kind in ("category", "text", "boolean"):
        spelled = [] if cells is None else cells.filter(marked(cells, values, decimal)).unique().to_list()
        known = tuple(dict.fromkeys((*values, *sorted(map(label, spelled)))))
    return replace(column, missing=known, reason=f"{column.reason}; missing is {', '.join(values)} (--missing)")


def faults(
    owner: str,
    columns: Sequence[str],
    options: ReadOptions,
    target: str | None,
    hidden: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield a sentence for every column that cannot have values for missing cells; `hidden` says why some are no inputs."""
    others = dict.fromkeys(options.drop, "It is left out (--drop).")
    others |= {name: "It is left out as an id." for name, kind in options.kinds.items() if kind == "id"}
    others |= hidden or {}
    if target is not None:
        others[target] = "It is the target: rows whose target is empty are left out."
    for name in options.missing:
        empty = [value for value in _each(options.missing, name) if _is_empty(value)]
        if name in others:
            yield _no_input(owner, name, others[name])
        elif name not in columns:
            yield must_be(owner, "column with missing values", "one of the table's", name, did_you_mean(name, columns))
        elif empty:
            got = None if empty[0] is None else float(empty[0])
            hint = "Empty cells are gaps without it."
            yield must_be(owner, f"missing value of column {name!r}", "a number, a text or a date", got, hint)
        elif not values_of(options.missing, name):
            yield must_be(owner, f"missing values of column {name!r}", "at least one value", "none")


def _no_input(owner: str, name: str, hint: str) -> str:
    return must_be(owner, "column with missing values", "an input", name, hint)


def unseen(options: ReadOptions, blocks: Callable[[str], Iterable[pl.Series]]) -> Iterator[tuple[str, str]]:
    """Yield columns and values that no cell of the columns has; `blocks` gives the cells of a column, part by part."""
    for name in options.missing:
        left = list(values_of(options.missing, name))
        words = [value for value in left if not _has_digit(value)]
        for cells in blocks(name) if left else ():
            bare = cleared(cells, words) if len(words) < len(left) else cells
            seen = {value: cells if value in words else bare for value in left}
            left = [value for value in left if not marked(seen[value], [value], options.decimal).any()]
            if not left:
                break
        yield from ((name, value) for value in left)


def unseen_faults(owner: str, options: ReadOptions, blocks: Callable[[str], Iterable[pl.Series]]) -> Iterator[str]:
    """Yield a sentence for every value that no cell of its column has."""
    for name, value in unseen(options, blocks):
        hint = "It would have no effect; write it as it is in the table."
        yield must_be(owner, f"missing value of column {name!r}", "the value of a cell", value, hint)


def left_out_faults(owner: str, columns: Iterable[Column], options: ReadOptions) -> Iterator[str]:
    """Yield a sentence for every column with values for missing cells that is an id, and so no input."""
    for column in columns:
        if column.name in options.missing and column.kind == "id":
            yield _no_input(owner, column.name, f"It is left out as an id: {column.reason}.")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def _moment(text: str) -> float | None:
    for kind in (dt.datetime, dt.time):
        with suppress(ValueError, OverflowError):
            return moment(kind.fromisoformat(text))
    return None
