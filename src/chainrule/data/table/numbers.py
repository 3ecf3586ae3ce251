"""Numbers as people write them: with a decimal comma, marks between thousands, currency signs, percent signs and units.

In: the texts of a column. Out: its numbers and how they were written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from chainrule.data.table.schema import NumberFormat

_SPACES = " \u00a0\u2009\u202f"
_SIGNS = r"[A-Z]{0,3}[$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9\u20ba\u0e3f\u00a2]"
_CURRENCY = rf"(?:{_SIGNS}|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|Rs\.?)"
_UNIT = r"(?:%|\u2030|\u00b0[A-Za-z]?|[^\W\d_]+(?:[/\u00b7][^\W\d_]+)?[\u00b2\u00b3]?)"
_BODY = rf"\d(?:[\d.,'\u2019{_SPACES}]*\d)?[.,]?|[.,]\d+"
_CELL = re.compile(
    rf"([+-]?)\s*({_CURRENCY})?\s*([+-]?)({_BODY})((?:[eE][+-]?\d+)?)\s*({_CURRENCY}|{_UNIT})?", re.UNICODE
)
_LEADING_ZERO = r"^[+-]?0\d"
_PLAIN = NumberFormat()
_HEAD = 1000
"""Cells that decide whether whole numbers are worth a try."""


def plain_numbers(text: pl.Series) -> pl.Series:
    """Return texts as whole numbers if all of them are, else as float64; null where a text is no number."""
    head = text.head(_HEAD)
    if head.cast(pl.Int64, strict=False).null_count() == head.null_count():
        whole = text.cast(pl.Int64, strict=False)
        if whole.null_count() == text.null_count():
            return whole
    return text.cast(pl.Float64, strict=False)


def has_leading_zeros(text: pl.Series) -> bool:
    """Check for texts such as "007": codes, which lose something when read as numbers."""
    return bool(text.str.contains(_LEADING_ZERO).any())


def find_format(text: pl.Series, sample: Sequence[str], decimal: str | None, ambiguous: str) -> NumberFormat | None:
    """Return how the numbers of a column are written, None if the sample has a cell that is no number.

    `decimal` is the decimal mark if it is known; `ambiguous` is the one to assume where "1,234" could be either.
    """
    matches = [_CELL.fullmatch(cell.replace("\u2212", "-")) for cell in sample]
    found = [match for match in matches if match is not None]
    if not found or len(found) < len(matches):
        return None
    prefixes = {match[2] or "" for match in found}
    suffixes = {match[6] or "" for match in found}
    if len(prefixes) > 1 or len(suffixes) > 1:
        return None
    affixed = replace(_PLAIN, prefix=prefixes.pop(), suffix=suffixes.pop())
    return _marks(_bodies(text, affixed), affixed, decimal, ambiguous)


def _bodies(text: pl.Series, written: NumberFormat) -> pl.Series:
    """Return texts without prefix, suffix and the signs that some programs print for a minus."""
    bare = text.str.replace_all("\u2212", "-", literal=True)
    if written.prefix:
        bare = bare.str.replace(rf"^([+-]?)\s*{re.escape(written.prefix)}\s*", "$1")
    if written.suffix:
        bare = bare.str.replace(rf"\s*{re.escape(written.suffix)}$", "")
    return bare


def _marks(bodies: pl.Series, written: NumberFormat, decimal: str | None, ambiguous: str) -> NumberFormat | None:
    """Decide which mark is decimal by the cells that leave no doubt; None where they contradict each other."""
    comma = _is_decimal(bodies, ",", r"\.")
    point = _is_decimal(bodies, r"\.", ",")
    if decimal is None and comma and point:
        return None
    if decimal is None:
        doubtful = not point and bodies.str.contains(",", literal=True).any()
        decimal = "," if comma or (ambiguous == "," and doubtful) else "."
    other = "." if decimal == "," else ","
    candidates = (other, "'", "\u2019", *_SPACES)
    marks = [mark for mark in candidates if bodies.str.contains(rf"\d{re.escape(mark)}\d").any()]
    if len(marks) > 1:
        return None
    return replace(written, decimal=decimal, thousands=marks[0] if marks else "")


def _is_decimal(bodies: pl.Series, mark: str, other: str) -> bool:
    """Check for a cell in which a mark cannot stand between thousands."""
    after_thousands = rf"{other}.*{mark}|{other}.*{other}"
    not_three = rf"^[+-]?(\d*{mark}(\d{{0,2}}|\d{{4,}})|\d{{4,}}{mark}\d{{3}}|0?{mark}\d{{3}})([eE].*)?$"
    return bool(bodies.str.contains(after_thousands).any() or bodies.str.contains(not_three).any())


def parse_numbers(text: pl.Series, written: NumberFormat) -> pl.Series:
    """Return texts written in this way as numbers, null where a text is no number."""
    bare = _bodies(text, written)
    if written.thousands:
        mark = re.escape(written.thousands)
        grouped = bare.str.contains(rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+($|[^\d{mark}])")
        joined = bare.str.replace_all(written.thousands, "", literal=True)
        keep = grouped | ~bare.str.contains(mark)
        bare = joined.zip_with(keep.fill_null(False), pl.Series([None], dtype=pl.String).new_from_index(0, len(text)))
    if written.decimal != ".":
        bare = bare.str.replace(written.decimal, ".", literal=True)
    return plain_numbers(bare).alias(text.name)


def written_as(written: NumberFormat) -> str:
    """Return how numbers are written, "" for plain ones.

    >>> written_as(NumberFormat(",", ".", suffix="EUR"))
    "decimal comma, '.' between thousands, 'EUR' left out"
    """
    parts = ["decimal comma"] if written.decimal == "," else []
    parts += [f"{written.thousands!r} between thousands"] if written.thousands else []
    parts += [f"{affix!r} left out" for affix in (written.prefix, written.suffix) if affix]
    return ", ".join(parts)
