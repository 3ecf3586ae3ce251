"""The kind of every column of a table, with the reason, and what the user should know about them.

In: a frame and the name of its target. Out: a `TableSchema`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from chainrule.data.table.columns import column_of
from chainrule.data.table.frames import FrameRows
from chainrule.data.table.leaks import leaks
from chainrule.data.table.missing import cleared, left_out_faults, unseen, unseen_faults, values_of, with_values
from chainrule.data.table.missing import faults as missing_faults
from chainrule.data.table.schema import Column, ReadOptions, TableSchema
from chainrule.data.table.shell import list_text, option_text
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all

CHOICES = ("number", "category", "boolean", "date", "text", "id")
"""Kinds that a user can ask for."""


def describe(
    owner: str,
    frame: pl.DataFrame | FrameRows,
    target: str | None,
    options: ReadOptions | None = None,
    y: pl.Series | None = None,
) -> TableSchema:
    """Find out what every column of a table is.

    Parameters
    ----------
    owner : str
        The object that messages name.
    frame : polars.DataFrame or FrameRows
        The training rows, from `read_file` or `as_frame`.
    target : str or None
        Name of the target among the columns, which is not described.
    options : ReadOptions, default=None
        What the user says about columns.
    y : polars.Series, default=None
        The target where it is not among the columns: columns that alone tell it are warned of.

    Returns
    -------
    TableSchema

    Raises
    ------
    InvalidValueError
        For options that name no column or kind, for cells that are not of the kind asked for, and for a table of which no
        column is left.

    Examples
    --------
    >>> frame = pl.DataFrame({"size": [1.5, 2.5, None], "color": ["red", "blue", "red"]})
    >>> [(name, kind) for name, kind, _ in describe("toys", frame, None).summary()]
    [('size', 'number'), ('color', 'category')]
    """
    options = options or ReadOptions()
    raise_all(option_faults(owner, frame.columns, options, target))
    given, frame = frame, with_gaps(frame, options)
    found = [
        column_of(owner, frame[name], options.kinds.get(name), options.decimal, values_of(options.missing, name))
        for name in frame.columns
        if name != target
    ]
    columns, warnings = assembled(owner, found, target, options, lambda a, b: equal_cells(frame[a], frame[b]))
    raise_all(left_out_faults(owner, columns, options))
    for name, value in unseen(options, lambda name: [given[name]]):
        what = f"no cell is {value!r}, a value that means a missing cell (missing)"
        warnings.append(f"column {name!r}: {what}; it has no effect on these rows.")
    columns = [
        with_values(each, values_of(options.missing, each.name), options.decimal, given[each.name]) for each in columns
    ]
    y = frame[target] if target is not None and target in frame.columns else y
    if y is not None:
        warnings += leaks(frame, [column.name for column in columns if column.used], y)
    return TableSchema(tuple(columns), target, tuple(warnings))


def assembled(
    owner: str,
    found: Sequence[tuple[Column, str]],
    target: str | None,
    options: ReadOptions,
    equal: Callable[[str, str], bool],
) -> tuple[list[Column], list[str]]:
    """Return the columns that `column_of` found, without those that the user or a twin makes superfluous, and warnings.

    `equal` says of two columns by name whether all their cells are the same.
    """
    columns = _without_duplicates([column for column, _ in found], options, equal)
    columns = [_dropped(column) if column.name in options.drop else column for column in columns]
    columns = _something_used(owner, columns, target)
    warnings = [warning for column, warning in found if warning and column.name not in options.drop]
    return columns, warnings + [sentence for column in columns for sentence in _left_out(column, options)]


def with_gaps(frame: pl.DataFrame | FrameRows, options: ReadOptions) -> Any:
    """Return a frame with gaps in place of the values that mean a missing cell."""
    whole = frame.frame if isinstance(frame, FrameRows) else frame
    changed = [cleared(whole[name], values_of(options.missing, name), options.decimal) for name in options.missing]
    whole = whole.with_columns(changed) if changed else whole
    return replace(frame, frame=whole) if isinstance(frame, FrameRows) else whole


def check_missing(
    owner: str,
    columns: Sequence[str],
    options: ReadOptions,
    target: str | None,
    blocks: Callable[[str], Iterable[pl.Series]],
    hidden: Mapping[str, str] | None = None,
) -> None:
    """Raise one error for options that name no column or kind, and for values of missing cells that no cell has.

    `blocks` gives all cells of a column, part by part. `hidden` says of columns that are not described why they are no
    inputs.
    """
    left_out = {target, *(hidden or ())}
    known = {name: given for name, given in options.missing.items() if name in columns and name not in left_out}
    found = unseen_faults(owner, replace(options, missing=known), blocks)
    raise_all([*option_faults(owner, columns, options, target, hidden), *found])


def option_faults(
    owner: str,
    columns: Sequence[str],
    options: ReadOptions,
    target: str | None = None,
    hidden: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield a sentence for every option that names no column or kind; `hidden` as for `check_missing`."""
    for name in (*options.kinds, *options.drop):
        if name not in columns:
            yield must_be(owner, "column", "one of the table's", name, did_you_mean(name, columns))
    for name, kind in options.kinds.items():
        if kind not in CHOICES:
            yield must_be(owner, f"kind of column {name!r}", " or ".join(CHOICES), kind, did_you_mean(kind, CHOICES))
    yield from missing_faults(owner, columns, options, target, hidden)


def _dropped(column: Column) -> Column:
    return replace(column, used=False, reason=f"{column.reason}; left out as asked (--drop)")


def _without_duplicates(columns: list[Column], options: ReadOptions, equal: Callable[[str, str], bool]) -> list[Column]:
    """Leave out the columns that equal an earlier one."""
    seen: dict[object, list[Column]] = {}
    kept = []
    for column in columns:
        if column.used and column.name not in options.kinds:
            key = (column.kind, column.numbers, column.categories, column.gaps)
            twin = next((each for each in seen.get(key, ()) if equal(each.name, column.name)), None)
            if twin is not None:
                kept.append(Column(column.name, "duplicate", f"equals column {twin.name!r}", used=False))
                continue
            seen.setdefault(key, []).append(column)
        kept.append(column)
    return kept


def equal_cells(a: pl.Series, b: pl.Series) -> bool:
    """Check whether two columns are equal cell by cell, gaps included."""
    if a.dtype.is_numeric() and b.dtype.is_numeric():
        a, b = a.cast(pl.Float64), b.cast(pl.Float64)
    return a.dtype == b.dtype and bool(a.eq_missing(b).all())


def _something_used(owner: str, columns: list[Column], target: str | None) -> list[Column]:
    """Use the counts of rows after all where nothing else is left; refuse a table without any column to learn from."""
    if any(column.used for column in columns):
        return columns
    counters = [
        column for column in columns if column.kind == "id" and column.numbers and "--drop" not in column.reason
    ]
    if counters:
        first = replace(counters[0], kind="number", used=True, reason=f"{counters[0].reason}; the only column")
        return [first if column is counters[0] else column for column in columns]
    if not columns:
        raise InvalidValueError(f"{owner}: the table must have a feature besides the target {target!r}, got none.")
    reasons = "; ".join(f"{column.name!r} is left out ({column.kind}: {column.reason})" for column in columns[:5])
    raise InvalidValueError(f"{owner}: the table must have a column to learn from, got none: {reasons}.")


def _left_out(column: Column, options: ReadOptions) -> Iterator[str]:
    """Yield a sentence on a column that is left out without being asked for."""
    if column.name in options.drop or column.name in options.kinds:
        return
    kind = "number" if column.numbers else "category"
    option = option_text("--columns", list_text([f"{column.name}={kind}"]))
    keep = f"To keep it, say that it is a {kind} ({option}, columns={ {column.name: kind} })."
    if column.kind == "id":
        yield f"column {column.name!r} is left out as an id: {column.reason}. {keep}"
    elif column.kind == "constant" or column.kind == "duplicate":
        yield f"column {column.name!r} is left out: {column.reason}."
    elif column.kind == "number" and column.reason.endswith("the only column"):
        yield f"column {column.name!r} {column.reason}; with rows drawn at random it may tell the target by their order."
