"""What makes numbers of a column's cells: one codec for each kind of column.

In: what the schema knows of a column, and cells. Out: numbers and codes, scaled for a pack or plain for one network. A
single cell takes a short way without polars, to the same bits.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.table.calendar import moment, part, part_of
from chainrule.data.table.gaps import is_gap, label
from chainrule.data.table.missing import numbers_of, texts_of
from chainrule.data.table.schema import FIRST_CODE, HASHED_WORDS, Column
from chainrule.data.table.values import (
    FAR,
    codes_of,
    counted,
    gap_note,
    moments_in,
    note,
    numbers_in,
    range_notes,
    text_of,
)

FARTHEST = 1e30
"""Largest scaled number: far outside of all training, and still a float32."""

MISSING = 1
"""Code of a gap."""

_WORD = re.compile(r"\w+")
_PLAIN = re.compile(r"-?[1-9]\d{0,14}(\.\d{1,15})?|0", re.ASCII)
_NAN = float("nan")
_LARGEST = 2**63 - 1


def level_hash(text: str, size: int) -> int:
    """Return a text's place among `size` places: CRC-32 of its UTF-8 bytes, the same on every machine.

    >>> level_hash("clerk", 64)
    20
    """
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) % size


@lru_cache(maxsize=100_000)
def _word_place(word: str) -> int:
    return level_hash(word, HASHED_WORDS)


class NumberCodec:
    """Cells of a number as float64.

    Parameters
    ----------
    column : Column
        What was found in the training rows.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.gone = numbers_of(column.missing)

    def raw(self, owner: str, cells: Any, notes: list[str] | None) -> list[Array]:
        """Return the column's numbers, NaN for a gap."""
        values = numbers_in(owner, self.column, cells, notes)
        infinite = np.isinf(values)
        if infinite.any():
            values = np.where(infinite, _NAN, values)
            note(notes, f"column {self.column.name!r}: {counted(infinite, 'infinite value')} taken for gaps")
        range_notes(self.column, 0, values, notes)
        gap_note(self.column, values, notes)
        return [values]

    def scaled(self, raw: list[Array]) -> list[Array]:
        """Return numbers relative to center and scale."""
        return [
            np.clip((values - number.center) / number.scale, -FARTHEST, FARTHEST)
            for values, number in zip(raw, self.column.numbers, strict=True)
        ]

    def plain(self, raw: list[Array]) -> list[Array]:
        """Return numbers with gaps filled by the center, and the indicator of gaps if the training had some."""
        gap = np.isnan(raw[0])
        filled = [np.where(gap, n.center, values) for values, n in zip(raw, self.column.numbers, strict=True)]
        return [*filled, gap] if self.column.gaps else filled

    def quick(self) -> Callable[[Any], float | None]:
        """Return what makes a plain number of one cell, None of any other cell."""
        center = self.column.numbers[0].center
        scale = self.column.numbers[0].scale
        gone = self.gone

        def number(value: Any) -> float | None:
            if type(value) is not float or value in gone:
                return None
            scaled = (value - center) / scale
            return scaled if -FARTHEST <= scaled <= FARTHEST else None

        return number

    def cell(self, value: Any, noted: bool) -> list[float] | None:
        """Return the numbers of one cell, None where it needs the long way."""
        kind = type(value)
        if value is None or (self.gone and isinstance(value, int | float | np.number) and value in self.gone):
            return [_NAN] if self.column.gaps or not noted else None
        if self.gone and kind is str:
            return None
        if kind is str and _PLAIN.fullmatch(value):
            value = float(value)
        elif kind is not float and kind is not int and kind is not bool:
            if not isinstance(value, np.number | np.bool_):
                return None
            value = value.item()
        if type(value) is int and not -_LARGEST <= value <= _LARGEST:
            return None
        if not math.isfinite(value):
            return [_NAN] if not noted else None
        number = self.column.numbers[0]
        reach = FAR * (number.highest - number.lowest)
        if noted and not number.lowest - reach <= value <= number.highest + reach:
            return None
        return [_clipped((float(value) - number.center) / number.scale)]


def _nothing(value: Any) -> None:
    """Leave a cell to the codec."""


def _clipped(value: float) -> float:
    return min(max(value, -FARTHEST), FARTHEST)


class DateCodec(NumberCodec):
    """Cells of a date as its parts."""

    def raw(self, owner: str, cells: Any, notes: list[str] | None) -> list[Array]:
        """Return the parts of the column's dates, NaN for a gap."""
        moments = moments_in(owner, self.column, cells, notes)
        raw = [part(number.part, moments, self.column.origin) for number in self.column.numbers]
        range_notes(self.column, 0, raw[0], notes)
        gap_note(self.column, raw[0], notes)
        return raw

    def quick(self) -> Callable[[Any], float | None]:
        """Return nothing for any cell: a date has several numbers."""
        return _nothing

    def cell(self, value: Any, noted: bool) -> list[float] | None:
        """Return the parts of one date, None where it needs the long way."""
        if noted or self.column.missing or type(value) not in (dt.date, dt.datetime):
            return None
        at = moment(value)
        numbers = self.column.numbers
        return [_clipped((part_of(n.part, at, self.column.origin) - n.center) / n.scale) for n in numbers]


class CategoryCodec:
    """Cells of a category or a boolean as codes.

    Parameters
    ----------
    column : Column
        What was found in the training rows.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.known = {level: FIRST_CODE + k for k, level in enumerate(column.categories)}
        self.hashed_from = FIRST_CODE + len(column.categories)
        for level in column.categories:
            self.known.setdefault(_canonical(level), self.known[level])
        self.known |= dict.fromkeys(texts_of(column.missing), MISSING)

    def code(self, value: Any) -> int:
        """Return the code of a cell."""
        text = label(value)
        found = self.known.get(text)
        if found is None and self.column.kind == "boolean":
            found = self.known.get({"1": "true", "0": "false"}.get(text, text.lower()))
        if found is not None:
            return found
        if is_gap(text):
            return MISSING
        return self.hashed_from + level_hash(text, self.column.hashed) if self.column.hashed else 0

    def raw(self, owner: str, cells: Any, notes: list[str] | None) -> list[Array]:
        """Return the codes of the column."""
        cells = text_of(cells)
        distinct = cells.unique()
        values = distinct.to_list()
        codes = [MISSING if value is None else self.code(value) for value in values]
        unknown = [str(value) for value, code in zip(values, codes, strict=True) if code == 0]
        found = codes_of(cells, distinct, codes)
        if unknown and notes is not None:
            notes.append(self._unknown(sorted(unknown), found == 0))
        if MISSING in codes and not self.column.gaps:
            note(notes, f"column {self.column.name!r} has {counted(found == MISSING, 'gap')}; the training had none")
        return [found]

    def _unknown(self, unknown: Sequence[str], rows: Array) -> str:
        what = "unknown or rare" if self.column.rare else "unknown"
        examples = ", ".join(repr(level) for level in unknown[:3])
        return f"column {self.column.name!r}: a category that is {what} in {counted(rows, 'row')}, such as {examples}"

    def scaled(self, raw: list[Array]) -> list[Array]:
        """Return the codes."""
        return raw

    def plain(self, raw: list[Array]) -> list[Array]:
        """Return one column per level, or one for a boolean, and indicators."""
        codes = raw[0]
        if self.column.kind == "boolean":
            filled = np.where(codes >= FIRST_CODE, codes - FIRST_CODE, self.column.numbers[0].center)
            return [filled, codes < FIRST_CODE] if self.column.gaps else [filled]
        levels = [codes == FIRST_CODE + k for k in range(len(self.column.categories) + self.column.hashed)]
        rare = [codes == 0] if self.column.rare and not self.column.hashed else []
        return [*levels, *rare, *([codes == MISSING] if self.column.gaps else [])]

    def quick(self) -> Callable[[Any], float | None]:
        """Return what gives the code of a known level, None for any other cell."""
        return {level: float(code) for level, code in self.known.items() if label(level) == level}.get

    def cell(self, value: Any, noted: bool) -> list[float] | None:
        """Return the code of one cell, None where it needs the long way."""
        kind = type(value)
        if kind is str or kind is int or kind is bool:
            code = self.code(value)
        elif value is None or (kind is float and value != value):
            code = MISSING
        elif kind is float or isinstance(value, np.number | np.bool_):
            code = self.code(value.item() if kind is not float else value)
        else:
            return None
        if noted and (code == 0 or (code == MISSING and not self.column.gaps)):
            return None
        return [float(code)]


class TextCodec:
    """Cells of a text as counts of hashed words.

    Parameters
    ----------
    column : Column
        What was found in the training rows.
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.gone = texts_of(column.missing)

    def raw(self, owner: str, cells: Any, notes: list[str] | None) -> list[Array]:
        """Return the counts of words by place, zero for a gap."""
        texts = ["" if cell is None else label(cell) for cell in cells]
        places = [i * HASHED_WORDS + k for i, text in enumerate(texts) for k in self._places(text)]
        counts = np.bincount(np.array(places, np.int64), minlength=len(cells) * HASHED_WORDS)
        return list(counts.reshape(len(cells), HASHED_WORDS).T.astype(np.float64))

    def scaled(self, raw: list[Array]) -> list[Array]:
        """Return the counts."""
        return raw

    def plain(self, raw: list[Array]) -> list[Array]:
        """Return the counts and the indicator of gaps if the training had some."""
        return [*raw, np.sum(raw, axis=0) == 0] if self.column.gaps else raw

    def quick(self) -> Callable[[Any], float | None]:
        """Return nothing for any cell: a text has several counts."""
        return _nothing

    def cell(self, value: Any, noted: bool) -> list[float] | None:
        """Return the counts of one cell."""
        if value is not None and type(value) is not str:
            return None
        counts = [0.0] * HASHED_WORDS
        for k in self._places(value.strip() if value else ""):
            counts[k] += 1
        return counts

    def _places(self, text: str) -> list[int]:
        return [] if text in self.gone else _places(text)


def _places(text: str) -> list[int]:
    return [] if is_gap(text) else [_word_place(word) for word in _WORD.findall(text.lower())]


def codec(column: Column) -> Any:
    """Return what makes numbers of a column's cells."""
    return {"number": NumberCodec, "date": DateCodec, "text": TextCodec}.get(column.kind, CategoryCodec)(column)


def _canonical(level: str) -> str:
    """Return the text of the same number in another file: "1.50" is 1.5 where it was read as a number."""
    try:
        return level if level[:1] == "0" and level[1:2].isdigit() else label(float(level))
    except ValueError:
        return level
