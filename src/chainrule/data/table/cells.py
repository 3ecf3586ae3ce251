"""What the texts of a column are: numbers, booleans, dates, or just texts.

In: a column of texts. Out: the same column typed, with its gaps, and how its cells were written.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.table.dates import find_dates, parse_dates
from chainrule.data.table.gaps import MARKS, is_gap
from chainrule.data.table.numbers import find_format, has_leading_zeros, parse_numbers, plain_numbers
from chainrule.data.table.schema import NumberFormat

TEXT = (pl.String, pl.Categorical, pl.Enum)
"""Types of polars that hold texts."""

_SAMPLE = 300
_LONG = r"^[+-]?\d{19,}$"
"""Whole numbers that float64 would round: ids."""

_ROUNDED = 9e17


@dataclass(frozen=True, eq=False)
class Interpreted:
    """A column of texts as what its texts are.

    Parameters
    ----------
    kind : {"number", "boolean", "date", "text"}
        What they are; texts keep the marks of gaps, which may be labels.
    values : polars.Series
        The typed column; gaps are null.
    written : NumberFormat, default=None
        How numbers are written; None if plainly.
    date_format : str, default=None
        How dates are written.
    reason : str, default=""
        Why texts that look like numbers are none.
    """

    kind: str
    values: pl.Series
    written: NumberFormat | None = None
    date_format: str | None = None
    reason: str = ""


def clean_text(column: pl.Series) -> pl.Series:
    """Return a column's texts without spaces around them; empty texts are gaps."""
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def without_marks(text: pl.Series) -> pl.Series:
    """Return texts with null for every spelling of a gap."""
    marked = text.str.to_lowercase().is_in(list(MARKS)).fill_null(False)
    return text.set(marked, None) if marked.any() else text


def interpret(text: pl.Series, decimal: str | None = None, ambiguous: str = ".") -> Interpreted:
    """Find out what the texts of a column are.

    `text` comes from `clean_text`. `decimal` is the decimal mark where it is known, and `ambiguous` the one to assume
    where "1,234" could mean either.
    """
    numbers = plain_numbers(text)
    odd = text.filter(numbers.is_null() & text.is_not_null())
    if all(is_gap(cell) for cell in odd.head(_SAMPLE).to_list()) and without_marks(odd).null_count() == len(odd):
        plain = _plain(text, numbers, decimal)
        if plain is not None:
            return plain
    elif not any(_promising(cell) for cell in odd.head(_SAMPLE).to_list()):
        return Interpreted("text", text)
    filled = without_marks(text)
    sample = [*filled.filter(numbers.is_null()).drop_nulls().head(_SAMPLE), *filled.drop_nulls().head(_SAMPLE)]
    written = find_format(filled, sample, decimal, ambiguous) if sample else None
    if written is not None:
        parsed = parse_numbers(filled, written)
        if parsed.null_count() == filled.null_count():
            return _codes(text) or Interpreted("number", parsed, written)
    return _other(text, filled, sample)


def _promising(cell: str) -> bool:
    """Check whether a cell is worth a closer look: it has a digit or is true or false."""
    return any(character.isdigit() for character in cell) or cell.lower() in ("true", "false")


def _plain(text: pl.Series, numbers: pl.Series, decimal: str | None) -> Interpreted | None:
    """Return a column whose texts are plain numbers or gaps; None where its points stand between thousands."""
    if decimal == "," and numbers.dtype.is_float() and text.str.contains(r"^[+-]?\d{1,3}\.\d{3}$").any():
        return None
    if not numbers.dtype.is_float():
        return _codes(text) or Interpreted("number", numbers)
    numbers = numbers.fill_nan(None)
    if has_long_numbers(text, numbers):
        return Interpreted("text", text, reason="whole numbers of more than 18 digits")
    if numbers.null_count() > text.null_count():
        kept = plain_numbers(text.set(numbers.is_null(), None))
        if kept.dtype.is_integer():
            return _codes(text) or Interpreted("number", kept)
    return Interpreted("number", numbers)


def has_long_numbers(text: pl.Series, numbers: pl.Series) -> bool:
    """Check for whole numbers of more than 18 digits, which float64 would round, among texts read as numbers."""
    ends = [end for end in (numbers.min(), numbers.max()) if isinstance(end, int | float)]
    return any(abs(end) > _ROUNDED for end in ends) and bool(text.str.contains(_LONG).any())


def _codes(text: pl.Series) -> Interpreted | None:
    """Return a column of codes such as "007" as texts."""
    return Interpreted("text", text, reason="codes with leading zeros") if has_leading_zeros(text) else None


def _other(text: pl.Series, filled: pl.Series, sample: list[str]) -> Interpreted:
    """Return a column as booleans or dates if it holds such, else as texts."""
    if sample and all(cell.lower() in ("true", "false") for cell in sample):
        truths = filled.str.to_lowercase()
        if truths.drop_nulls().is_in(["true", "false"]).all():
            return Interpreted("boolean", (truths == "true").alias(text.name))
    dates = find_dates(filled, sample)
    if dates is not None:
        return Interpreted("date", dates[0].alias(text.name), date_format=dates[1])
    return Interpreted("text", text)


def loose_numbers(text: pl.Series) -> tuple[pl.Series, Array]:
    """Return texts as plain numbers, and the mask of filled cells that are no numbers and no gaps."""
    numbers = plain_numbers(text)
    odd = (numbers.is_null() & without_marks(text).is_not_null()).to_numpy()
    return numbers.cast(pl.Float64).fill_nan(None), np.asarray(odd)


def numbers_of(text: pl.Series, written: NumberFormat | None) -> pl.Series:
    """Return texts as float64 numbers in a known format, or plainly written; null for all else."""
    numbers = plain_numbers(text).cast(pl.Float64)
    if numbers.null_count() > text.null_count():
        found = interpret(text, written.decimal if written else None)
        if found.kind == "number":
            numbers = found.values.cast(pl.Float64)
        elif written is not None:
            numbers = parse_numbers(text, written).cast(pl.Float64)
    return numbers.fill_nan(None)


def dates_of(text: pl.Series, form: str | None) -> pl.Series:
    """Return texts as dates in a known format, or in any other that fits all of them; null for all else."""
    filled = without_marks(text)
    parsed = parse_dates(filled, form) if form else None
    if parsed is not None and parsed.null_count() == filled.null_count():
        return parsed
    found = find_dates(filled, filled.drop_nulls().head(_SAMPLE).to_list())
    if found is not None:
        return found[0]
    return pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us")) if parsed is None else parsed
