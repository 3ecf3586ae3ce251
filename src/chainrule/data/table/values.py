"""The cells of a column as the numbers that its schema asks for, with notes on what is unlike the training.

In: a column of a frame and what the schema knows of it. Out: float64 values, and sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import cell_fault
from chainrule.data.table.calendar import DAY
from chainrule.data.table.missing import moments_of, without_numbers
from chainrule.data.table.missing import numbers_of as numbers_named
from chainrule.data.table.schema import Column
from chainrule.errors import InvalidValueError, raise_all

FAR = 10
"""Ranges beyond the training's lowest and highest value from which on a value is noted."""

_NAN = float("nan")


def text_of(cells: Any) -> Any:
    """Return a column of texts of any type as plain texts, and every other column as it is."""
    import polars as pl

    return cells.cast(pl.String) if cells.dtype in (pl.Categorical, pl.Enum, pl.Null) else cells


def codes_of(cells: Any, distinct: Any, codes: Sequence[int]) -> Array:
    """Return the code of each cell of a column, given those of its distinct values."""
    import polars as pl

    new = pl.Series(codes, dtype=pl.Float64)
    return cells.replace_strict(distinct, new, return_dtype=pl.Float64).to_numpy()


def numbers_in(owner: str, column: Column, cells: Any, notes: list[str] | None) -> Array:
    """Return the cells of a number column as float64; refuse cells that are no numbers."""
    import polars as pl

    from chainrule.data.table.cells import TEXT, clean_text, numbers_of, without_marks

    if cells.dtype in TEXT:
        text = cleared_text(without_marks(clean_text(cells)), column)
        numbers = numbers_of(text, column.written)
        odd = np.flatnonzero((numbers.is_null() & text.is_not_null()).to_numpy())
        if len(odd) and not column.gaps:
            hint = "Encode it as in training."
            raise InvalidValueError(cell_fault(owner, column.name, "numeric", cells[int(odd[0])], odd, hint))
        odd_note(column, cells, odd, "number", notes)
        cells = numbers
    elif isinstance(cells.dtype, pl.Duration):
        cells = cells.dt.total_microseconds() / DAY
    elif not (cells.dtype.is_numeric() or cells.dtype in (pl.Boolean, pl.Null)):
        raise_all([f"{owner}: column {column.name!r} must be numeric, got {cells.dtype}. Encode it as in training."])
    values = cells.cast(pl.Float64).fill_null(_NAN).to_numpy()
    return without_numbers(values, numbers_named(column.missing)) if column.missing else values


def moments_in(owner: str, column: Column, cells: Any, notes: list[str] | None) -> Array:
    """Return the cells of a date column as microseconds; refuse cells that are no dates."""
    import polars as pl

    from chainrule.data.table.cells import TEXT, clean_text, dates_of, without_marks
    from chainrule.data.table.dates import microseconds

    if cells.dtype in TEXT:
        text = cleared_text(without_marks(clean_text(cells)), column)
        dates = dates_of(text, column.date_format)
        odd = np.flatnonzero((dates.is_null() & text.is_not_null()).to_numpy())
        if len(odd) and column.gaps:
            odd_note(column, cells, odd, "date", notes)
        elif len(odd):
            allowed = f"a date as in training{f' ({column.date_format})' if column.date_format else ''}"
            raise InvalidValueError(cell_fault(owner, column.name, allowed, cells[int(odd[0])], odd, ""))
        cells = dates
    elif cells.dtype == pl.Null:
        return np.full(len(cells), _NAN)
    elif not cells.dtype.is_temporal() or isinstance(cells.dtype, pl.Duration):
        raise_all([f"{owner}: column {column.name!r} must hold dates, got {cells.dtype}. Encode it as in training."])
    moments = microseconds(cells)
    return without_numbers(moments, moments_of(column.missing)) if column.missing else moments


def cleared_text(text: Any, column: Column) -> Any:
    """Return texts with null for those by which their column says that a cell is missing."""
    return text.set(text.is_in(list(column.missing)).fill_null(False), None) if column.missing else text


def counted(mask: Array, what: str) -> str:
    """Return how many entries are true, with their name.

    >>> counted(np.array([True, False]), "row"), counted(np.ones(1200, bool), "row")
    ('1 row', '1,200 rows')
    """
    count = int(np.sum(mask))
    return f"{count:,} {what}{'s' * (count != 1)}"


def note(notes: list[str] | None, sentence: str) -> None:
    """Add a sentence where notes are wanted."""
    if notes is not None:
        notes.append(sentence)


def odd_note(column: Column, cells: Any, odd: Array, what: str, notes: list[str] | None) -> None:
    """Note cells that are not what their column holds."""
    if len(odd):
        example = f"{cells[int(odd[0])]!r} in row {odd[0] + 1}"
        found = counted(odd >= 0, "cell")
        note(notes, f"column {column.name!r}: {found} without a {what} taken for gaps, such as {example}")


def gap_note(column: Column, values: Array, notes: list[str] | None) -> None:
    """Note gaps in a column whose training rows had none."""
    if notes is not None and not column.gaps and np.isnan(values).any():
        notes.append(f"column {column.name!r} has {counted(np.isnan(values), 'gap')}; the training had none")


def range_notes(column: Column, k: int, values: Array, notes: list[str] | None) -> None:
    """Note values that lie more than ten ranges outside of the training's."""
    if notes is None:
        return
    number = column.numbers[k]
    reach = FAR * (number.highest - number.lowest)
    far = np.flatnonzero((values < number.lowest - reach) | (values > number.highest + reach))
    if len(far):
        where = f"{values[far[0]]:.6g} in row {far[0] + 1}"
        text = (
            f"column {column.name!r}: {counted(far >= 0, 'value')} far outside of the training's range, such as {where}"
        )
        notes.append(f"{text} (training: {number.lowest:.6g} to {number.highest:.6g})")
