"""Large text tables block by block: the same columns as from the whole text, in a fraction of its memory.

In: a path, and what the user says about the file. Out: typed columns; or nothing, where the text is unusual and must be
read as a whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.gzipped import unpacked
from chainrule.data.table import sniffing
from chainrule.data.table.cells import Interpreted, clean_text, has_long_numbers, interpret, without_marks
from chainrule.data.table.decoding import HEAD, with_line_feeds
from chainrule.data.table.numbers import has_leading_zeros
from chainrule.data.table.reading import (
    AS_TEXT,
    MOST_COLUMNS,
    facts_of,
    first_line,
    names_of,
    refuse_other_formats,
    tabs_for_spaces,
)
from chainrule.data.table.schema import ReadOptions
from chainrule.errors import FormatError

LARGE = 1 << 25
"""Bytes from which on a text is read block by block."""

_BLOCK = 1 << 22
_GZIP = b"\x1f\x8b"
_RATIO = 4
"""Bytes of a text for one of its gzip, roughly."""

_TRIES = 100
"""Lines of one cell that may stand at the end of a block."""

_UTF8_MARK = b"\xef\xbb\xbf"
_OTHER_MARKS = (_UTF8_MARK, b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


class Unusual(Exception):
    """The text has something that only a look at all of it can judge."""


@dataclass(frozen=True)
class Layout:
    """How a text is written, as its first block shows.

    Parameters
    ----------
    separator : str
        Character between cells.
    spaces : bool
        Whether runs of spaces separate cells; they are taken for tabs.
    header : list of str or None
        Names in the first line, one for each cell; None without a header.
    width : int
        Number of cells of a line.
    closing : bool
        Whether a separator ends every line.
    facts : tuple of str
        What was found out.
    """

    separator: str
    spaces: bool
    header: list[str] | None
    width: int
    closing: bool
    facts: tuple[str, ...]


@dataclass
class Texts:
    """A column whose cells are kept as texts."""

    blocks: list[pl.Series] = field(default_factory=list)

    def add(self, cells: pl.Series) -> bool:
        """Take in the cells of one more block."""
        self.blocks.append(clean_text(cells))
        return True


class Growing:
    """Numbers of a column in memory of their own, which the system gets back as soon as they are dropped."""

    def __init__(self) -> None:
        self.values = _mapped(1 << 16, np.int64)
        self.count = 0
        self.gaps: list[Array] = []

    def add(self, block: pl.Series) -> None:
        """Append whole numbers, or numbers with fractions, which turn those before into such."""
        end = self.count + len(block)
        kind = np.promote_types(self.values.dtype, np.int64 if block.dtype == pl.Int64 else np.float64)
        if end > len(self.values) or kind != self.values.dtype:
            grown = _mapped(max(len(self.values) * (2 if end > len(self.values) else 1), end), kind)
            grown[: self.count] = self.values[: self.count]
            self.values = grown
        if block.null_count():
            self.gaps.append(np.flatnonzero(block.is_null().to_numpy()) + self.count)
            block = block.fill_null(0)
        self.values[self.count : end] = block.to_numpy()
        self.count = end

    def series(self) -> pl.Series:
        """Return the column, without a copy if it has no gaps."""
        column = pl.Series(self.values[: self.count])
        if not self.gaps:
            return column
        gaps = np.zeros(self.count, bool)
        gaps[np.concatenate(self.gaps)] = True
        return column.set(pl.Series(gaps), None)


def _mapped(count: int, kind: type[np.generic] | np.dtype[Any]) -> Array:
    """Return an array outside of the heap, where freed columns would leave holes."""
    return np.frombuffer(mmap(-1, count * 8), kind)


@dataclass
class Numbers:
    """A column that has had nothing but plain numbers and gaps so far, as `cells.interpret` takes them.

    Parameters
    ----------
    cells : Growing
        The numbers.
    whole : bool, default=True
        Whether all are whole.
    marked : bool, default=False
        Whether some cell was a mark of a gap or NaN.
    zeros : bool, default=False
        Whether a cell began with 0 as codes do.
    long : bool, default=False
        Whether a cell had more digits than float64 holds.
    """

    cells: Growing = field(default_factory=Growing)
    whole: bool = True
    marked: bool = False
    zeros: bool = False
    long: bool = False

    def add(self, cells: pl.Series) -> bool:
        """Take in the cells of one more block; False if they are something else."""
        text = clean_text(cells)
        values = text.cast(pl.Int64, strict=False) if self.whole else None
        if values is None or values.null_count() > text.null_count():
            values = self._with_fractions(text)
            if values is None:
                return False
        self.zeros = self.zeros or (self.whole and has_leading_zeros(text))
        self.long = self.long or has_long_numbers(text, values)
        self.cells.add(values)
        return True

    def _with_fractions(self, text: pl.Series) -> pl.Series | None:
        """Return numbers of which some are not whole, or beside which there are marks of gaps."""
        numbers = text.cast(pl.Float64, strict=False)
        odd = text.filter(numbers.is_null() & text.is_not_null())
        if len(odd) and without_marks(odd).null_count() != len(odd):
            return None
        numbers = numbers.fill_nan(None)
        if numbers.null_count() == text.null_count():
            self.whole = False
            return numbers
        self.marked = True
        if self.whole:
            filled = text.set(numbers.is_null(), None)
            whole = filled.cast(pl.Int64, strict=False)
            self.whole = whole.null_count() == filled.null_count()
        return whole if self.whole else numbers

    def found(self) -> Interpreted | None:
        """Return the whole column; None for codes, and for numbers too long for float64, which are read as texts."""
        if (self.whole and self.zeros) or (self.long and not (self.whole and not self.marked)):
            return None
        return Interpreted("number", self.cells.series())


def is_large(path: Path) -> bool:
    """Check whether a text table is worth reading block by block."""
    return path.stat().st_size * (_RATIO if _packed(path) else 1) >= LARGE


def read_blocks(
    path: Path, options: ReadOptions, block: int = _BLOCK, head: int = HEAD
) -> tuple[pl.DataFrame, tuple[str, ...]] | None:
    """Return the typed columns of a text table and how it is written; None where it must be read as a whole."""
    if options.encoding is not None or options.decimal == ",":
        return None
    try:
        layout = _layout(path, options, next(_blocks(path, block, head)))
        return _read(layout, options, lambda: _frames(layout, _blocks(path, block, head)))
    except (Unusual, FormatError, pl.exceptions.PolarsError, OSError, EOFError, zlib.error):
        return None


def _read(
    layout: Layout, options: ReadOptions, frames: Callable[[], Iterator[pl.DataFrame]]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the typed columns. Those that are no numbers after the first block are read again, as texts."""
    ambiguous = "," if layout.separator == ";" else "."
    names, _ = names_of(layout.header, layout.width)
    kept = {j for j, name in enumerate(names) if options.kinds.get(name) in AS_TEXT}
    columns: dict[int, Texts | Numbers] = {j: Texts() if j in kept else Numbers() for j in range(layout.width)}
    empty = set(columns)
    late: dict[int, Texts | Numbers] = {}
    for number, frame in enumerate(frames()):
        empty -= {j for j in empty if frame.to_series(j).null_count() < len(frame)}
        refused = _add(columns, frame)
        (columns if number == 0 else late).update({j: Texts() for j in refused})
        if number == 0:
            _add({j: columns[j] for j in refused}, frame)
            _refuse_commas(interpret(clean_text(frame.to_series(j)), options.decimal, ambiguous) for j in refused)
    found = {j: column.found() for j, column in columns.items() if isinstance(column, Numbers)}
    late.update({j: Texts() for j, column in found.items() if column is None})
    for frame in frames() if late else ():
        _add(late, frame)
    columns = {j: late.get(j) or columns[j] for j in range(layout.width)}
    texts = {j: pl.concat(column.blocks) for j, column in columns.items() if isinstance(column, Texts)}
    typed = {j: each for j, each in found.items() if each is not None}
    typed.update({j: interpret(text, options.decimal, ambiguous) for j, text in texts.items() if j not in kept})
    _refuse_commas(typed.values())
    left = [j for j in columns if j not in empty or layout.header is None or layout.header[j].strip()]
    names, more = names_of(layout.header and [layout.header[j] for j in left], len(left))
    name_of = dict(zip(left, names, strict=True))
    facts = facts_of(
        {name_of[j]: typed[j] for j in left if j in typed}, {name_of[j]: texts[j] for j in left if j in texts}
    )
    series = [(typed[j].values if j in typed else texts[j]).alias(name_of[j]) for j in left]
    return pl.DataFrame(series), (*layout.facts, *more, *facts)


def _add(columns: dict[int, Texts | Numbers], frame: pl.DataFrame) -> list[int]:
    """Add a block's cells to its columns; take out and return those that are not of their column's kind."""
    refused = [j for j, column in columns.items() if not column.add(frame.to_series(j))]
    for j in refused:
        del columns[j]
    return refused


def _refuse_commas(found: Iterable[Interpreted]) -> None:
    """Refuse tables with decimal commas, where plain numbers of other columns may have to be read again."""
    if any(each.written and each.written.decimal == "," for each in found):
        raise Unusual


def _packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP


def _blocks(path: Path, size: int, head: int) -> Iterator[tuple[bytes, bool]]:
    """Yield the text in whole lines, each block with whether it is the last; the first one has at least `head` bytes."""
    with unpacked(path) as stream:
        rest = stream.read(max(size, head))
        while following := stream.read(size):
            end = _end(rest)
            yield rest[:end], False
            rest = rest[end:] + following
        yield rest, True


def _end(data: bytes) -> int:
    """Return where the last line that is complete ends: behind a line feed outside of quotes."""
    end = data.rfind(b"\n") + 1
    for _ in range(_TRIES):
        if data.count(b'"', 0, end) % 2 == 0:
            break
        end = data.rfind(b"\n", 0, end - 1) + 1
    if not end:
        raise Unusual
    return end


def _plain(block: bytes, first: bool, last: bool) -> bytes:
    """Return a block as UTF-8 with line feeds, without blank lines at the ends of the text."""
    if first:
        block = block.removeprefix(_UTF8_MARK)
        if block.startswith(_OTHER_MARKS) or b"\0" in block[:HEAD]:
            raise Unusual
    if not block.isascii():
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            raise Unusual from None
    block, old = with_line_feeds(block)
    if old:
        raise Unusual
    return block.rstrip(b"\n") if last else block


def _layout(path: Path, options: ReadOptions, first: tuple[bytes, bool]) -> Layout:
    """Find out how a text is written, as `reading` does."""
    data = _plain(first[0], True, first[1])
    refuse_other_formats(path.name, data)
    asked, data = first_line(data)
    data = data.lstrip(b"\n")
    if not data or data.isspace():
        raise Unusual
    separator = options.separator or asked or sniffing.find_separator(sniffing.head_of(data))
    facts = (f"separated by {sniffing.NAMES.get(separator, repr(separator))}",) if separator != "," else ()
    spaces = separator == " "
    if spaces:
        data, separator = tabs_for_spaces(data), "\t"
    head = sniffing.rows_of(sniffing.head_of(data), separator, 100) or [[""]]
    header = sniffing.find_header(head) if options.header is None else options.header
    lines = sniffing.find_lines(data, separator)
    if lines.closed and lines.cells[0] > MOST_COLUMNS:
        raise Unusual
    if not header:
        return Layout(separator, spaces, None, int(lines.cells[0]), False, facts)
    names = sniffing.rows_of(data[: lines.ends[0]].decode("utf-8"), separator)
    if not names or len(lines.cells) < 2:
        raise Unusual
    return _with_names(names[0], data, lines, Layout(separator, spaces, None, 0, False, facts))


def _with_names(names: list[str], data: bytes, lines: sniffing.Lines, layout: Layout) -> Layout:
    """Add the header, which has one cell less than the other lines if these end with a separator or have names of rows."""
    closing = False
    if (lines.cells[1:] == len(names) + 1).all():
        closing = _all_closed(data, lines.ends[1:], layout.separator)
        names = [*names, ""] if closing else ["", *names] if layout.separator == "\t" else names
    return replace(layout, header=names, width=len(names), closing=closing)


def _all_closed(data: bytes, ends: Array, separator: str) -> bool:
    """Check whether a separator ends every line."""
    bytes_of = np.frombuffer(data, np.uint8)
    return bool((bytes_of[ends - 1] == ord(separator)).all())


def _frames(layout: Layout, blocks: Iterator[tuple[bytes, bool]]) -> Iterator[pl.DataFrame]:
    """Yield the cells of each block as they are written; refuse what only a look at the whole text can judge."""
    for number, (block, last) in enumerate(blocks):
        data = _plain(block, number == 0, last)
        if number == 0:
            data = first_line(data)[1].lstrip(b"\n")
        data = tabs_for_spaces(data) if layout.spaces else data
        if data:
            yield _frame(layout, data, header=number == 0 and layout.header is not None)


def _frame(layout: Layout, data: bytes, header: bool) -> pl.DataFrame:
    lines = sniffing.find_lines(data, layout.separator)
    counts = lines.cells[header:]
    ends = lines.ends[header:]
    body = data[lines.starts[1] :] if header else data
    regular = lines.closed and (counts == layout.width).all() and not sniffing.blank(data, lines).any()
    if not regular or sniffing.stray_quotes(data, layout.separator):
        raise Unusual
    if layout.closing and not _all_closed(data, ends, layout.separator):
        raise Unusual
    frame = pl.read_csv(body, has_header=False, separator=layout.separator, infer_schema=False)
    if frame.shape != (len(counts), layout.width):
        raise Unusual
    return frame
