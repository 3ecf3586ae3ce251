"""How a text table is written: its separator, its header, its lines.

In: the text, of which only the beginning is read where that is enough. Out: the separator, whether there is a header,
where lines begin and how many cells they have.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.data.table.decoding import HEAD
from chainrule.data.table.gaps import is_gap

SEPARATORS = ("\t", ";", "|", ",")
"""Characters between cells, those first that hardly occur inside cells; runs of spaces are tried last."""

NAMES = {"\t": "tabs", ";": "semicolons", "|": "'|'", ",": "commas", " ": "spaces"}

_LINES = 200
_AGREE = 0.9
"""Share of the lines that must have as many cells as the first."""

_NUMBER = re.compile(r"[-+]?[$€£]?\s?(\d[\d.,' ]*|[.,]\d+)([eE][-+]?\d+)?\s?%?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T][\d:.]+Z?)?")
_TRUTH = re.compile(r"true|false", re.I)
_CHUNK = 1 << 24
_QUOTE = ord('"')
_LINE_FEED = ord("\n")


def head_of(data: bytes) -> str:
    """Return the beginning of a text, in whole lines."""
    head = data[:HEAD]
    if len(data) > HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    return head.decode("utf-8", "replace")


def rows_of(text: str, separator: str, most: int | None = None) -> list[list[str]]:
    """Return the cells of the lines that are not blank."""
    if separator == " ":
        lines = [re.findall(r'"[^"]*"|\S+', line) for line in text.split("\n")[: None if most is None else most]]
        return [[cell.strip('"') for cell in row] for row in lines if row]
    rows = []
    usual = csv.field_size_limit(2**31 - 1)
    try:
        stream = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")  # a quarter of StringIO's memory
        for row in csv.reader(stream, delimiter=separator, skipinitialspace=separator != "\t"):
            if row and (len(row) > 1 or row[0].strip(" ")):
                rows.append(row)
            if most is not None and len(rows) >= most:
                break
    finally:
        csv.field_size_limit(usual)
    return rows


def find_separator(head: str) -> str:
    r"""Return the character between cells: the one with which the lines have equally many cells, more than one.

    >>> find_separator("a (m, cm);b\n1,5;2\n"), find_separator("a  b\n1   2\n"), find_separator("y\n1\n")
    (';', ' ', ',')
    """
    best = (0.0, ",")
    for separator in (*SEPARATORS, " "):
        counts = [len(row) for row in rows_of(head, separator, _LINES)]
        if len(counts) < 1 or max(counts) < 2:
            continue
        below = counts[1:] or counts
        usual = max(set(below), key=below.count)
        agree = below.count(usual) / len(below)
        first = counts[0] in (usual, usual - 1) if separator in "\t " else counts[0] == usual
        if usual > 1 and first and agree >= _AGREE:
            return separator
        if usual > 1 and separator != " " and agree * (0.5 + first) > best[0]:
            best = (agree * (0.5 + first), separator)
    return best[1]


def find_header(rows: Sequence[Sequence[str]]) -> bool:
    """Check whether the first row has names: its cells are unlike those below.

    >>> find_header([["a", "b"], ["1", "2"]]), find_header([["5.1", "setosa"], ["4.9", "setosa"]])
    (True, False)
    """
    first, below = [cell.strip() for cell in rows[0]], rows[1 : _LINES // 2]
    typed = [_is_typed(cell) for cell in first]
    if not any(typed):
        return True
    for j, cell in enumerate(first):
        cells = [row[j].strip() for row in below if j < len(row) and not is_gap(row[j])]
        if not typed[j] and not is_gap(cell) and cells and all(_is_typed(each) for each in cells):
            return True
    return _counts([cell for cell, known in zip(first, typed, strict=True) if known])


def _is_typed(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell) or _TRUTH.fullmatch(cell))


def _counts(cells: Sequence[str]) -> bool:
    """Check for names that count, as 0, 1, 2, ... or years do."""
    if not all(cell.isdecimal() and len(cell) < 5 for cell in cells):
        return False
    steps = np.diff([int(cell) for cell in cells])
    years = all(1900 <= int(cell) <= 2100 for cell in cells)
    return bool(len(cells) > 1 and (steps == 1).all() and (years or (len(cells) > 2 and int(cells[0]) in (0, 1))))


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of a text: where each begins and ends, and its number of cells.

    Parameters
    ----------
    starts : array of shape (m,)
        Positions of first bytes.
    ends : array of shape (m,)
        Positions after last bytes, without the line feed.
    cells : array of shape (m,)
        Numbers of cells; separators and line feeds inside quotes do not count.
    closed : bool
        Whether every quote that is opened is closed.
    """

    starts: Array
    ends: Array
    cells: Array
    closed: bool


def find_lines(data: bytes, separator: str) -> Lines:
    """Return the lines of a text with their numbers of cells."""
    feeds, marks, odd = [], [], 0
    bytes_of = np.frombuffer(data, np.uint8)
    quoted = b'"' in data
    for at in range(0, len(data), _CHUNK):
        chunk = bytes_of[at : at + _CHUNK]
        feed = chunk == _LINE_FEED
        mark = chunk == ord(separator)
        if quoted:
            inside = np.cumsum(chunk == _QUOTE, dtype=np.uint8) + np.uint8(odd)
            outside = (inside & 1) == 0
            feed &= outside
            mark &= outside
            odd = int(inside[-1]) & 1
        feeds.append(np.flatnonzero(feed) + at)
        marks.append(np.flatnonzero(mark) + at)
    ends = np.concatenate(feeds) if feeds else np.empty(0, np.int64)
    if not data.endswith(b"\n") or not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    before = np.searchsorted(np.concatenate(marks) if marks else np.empty(0), ends)
    return Lines(starts, ends, np.diff(before, prepend=0) + 1, odd == 0)


def stray_quotes(data: bytes, separator: str) -> bool:
    """Check for quotes that neither begin nor end a cell, as those for inches."""
    if b'"' not in data:
        return False
    other = rb'[^\n"' + re.escape(separator.encode()) + b"]"
    return re.search(other + b'"' + other, data) is not None


def blank(data: bytes, lines: Lines) -> Array:
    """Return the mask of lines that have nothing but spaces."""
    bytes_of = np.frombuffer(data, np.uint8)
    short = lines.ends == lines.starts
    first = bytes_of[np.minimum(lines.starts, len(data) - 1)]
    for i in np.flatnonzero((first == ord(" ")) & ~short):
        short[i] = not data[lines.starts[i] : lines.ends[i]].strip(b" ")
    return short
