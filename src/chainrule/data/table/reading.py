"""Table files of any kind as frames of typed columns, with what was found out about how they are written.

In: a .csv, .tsv, .txt, .dat, .data, .parquet or .xlsx file, each also .gz. Out: a `TableFile`. Messages count data rows
from 1, without the header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from chainrule.data.gzipped import read_unpacked
from chainrule.data.table import sniffing
from chainrule.data.table.apart import read_parquet_apart, read_workbook_apart
from chainrule.data.table.cells import TEXT, Interpreted, clean_text, interpret
from chainrule.data.table.dates import beyond_python, parse_dates, swapped
from chainrule.data.table.decoding import as_utf8, with_line_feeds
from chainrule.data.table.files import ALLOWED, TEXT_ENDINGS, save_as, table_ending
from chainrule.data.table.numbers import written_as
from chainrule.data.table.schema import NumberFormat, ReadOptions
from chainrule.errors import FormatError, InvalidValueError, MissingError, must_be, raise_all

AS_TEXT = ("category", "text", "id")
"""Kinds of columns whose cells are kept as they are written."""

MOST_COLUMNS = 100_000
"""Columns of a table."""

LONGEST_LINE = 64_000_000
"""Bytes of a line."""

_SHOWN = 3
_MOST_NAMED = 20


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table as read from a file.

    Parameters
    ----------
    name : str
        Name of the file.
    frame : polars.DataFrame
        Typed columns; gaps are null, except for marks in columns of text, where `describe` decides.
    facts : tuple of str
        What was found out about how the file is written.
    """

    name: str
    frame: pl.DataFrame = field(repr=False)
    facts: tuple[str, ...] = ()


def read_file(path: Path, options: ReadOptions | None = None) -> TableFile:
    """Read a table and find out how it is written.

    Parameters
    ----------
    path : Path
        A .csv, .tsv, .txt, .dat, .data, .parquet or .xlsx file, each also .gz; capital letters do not matter.
    options : ReadOptions, default=None
        What the user says about the file.

    Returns
    -------
    TableFile

    Raises
    ------
    FormatError
        For a damaged file, one of another kind, and rows with more or fewer cells than the others.
    InvalidValueError
        For a table without rows, and for options that are not allowed.
    MissingError
        For an .xlsx file without the package fastexcel.
    """
    options = options or ReadOptions()
    raise_all(_option_faults(path.name, options))
    ending = table_ending(path)
    if ending is None:
        raise FormatError(must_be(path.name, "file", ALLOWED, path.suffix, save_as(path)))
    if not path.exists():
        raise MissingError(must_be(path.name, "file", "an existing file", str(path), "This path does not exist."))
    if not path.is_file():
        raise FormatError(must_be(path.name, "file", "a file", str(path), "It is a folder or a device."))
    try:
        large = _large(path, ending, options)
        if large is not None:
            return large
        data = read_unpacked(path)
        if ending == ".parquet":
            frame, facts = _parquet(path.name, data)
        elif ending == ".xlsx":
            frame, facts = _excel(path.name, data, options)
        else:
            frame, facts = _text(path.name, data, options)
    except pl.exceptions.PolarsError as error:
        cause = str(error).partition("\n")[0]
        raise FormatError(f"{path.name}: the file must be a readable table, got: {cause}") from error
    frame = of_known_types(path.name, frame)
    if frame.is_empty():
        raise InvalidValueError(f"{path.name}: the table must have at least one row, got none.")
    return TableFile(path.name, frame, tuple(facts))


def _large(path: Path, ending: str, options: ReadOptions) -> TableFile | None:
    """Return a large text table, read block by block; None for other files."""
    from chainrule.data.table.streaming import is_large, read_blocks

    if ending not in TEXT_ENDINGS or not is_large(path):
        return None
    read = read_blocks(path, options)
    return None if read is None else TableFile(path.name, of_known_types(path.name, read[0]), read[1])


def _option_faults(owner: str, options: ReadOptions) -> list[str]:
    faults = []
    if options.separator is not None and (len(options.separator) != 1 or options.separator in '"\n\r'):
        hint = "For a tab, use \\t in Python or $'\\t' in the shell."
        faults.append(must_be(owner, "separator", "one character", options.separator, hint))
    if options.decimal not in (None, ".", ","):
        faults.append(must_be(owner, "decimal", "'.' or ','", options.decimal))
    if options.decimal is not None and options.decimal == options.separator == ".":
        faults.append(must_be(owner, "separator", "another mark than the decimal one", options.separator))
    return faults


def _parquet(name: str, data: bytes) -> tuple[pl.DataFrame, list[str]]:
    """Read a parquet file without the whole numbers that pandas saved as a named index."""
    read = read_parquet_apart(name, data)
    frame = read.frame
    try:
        index = json.loads(read.facts["pandas"] or "{}").get("index_columns", [])
        saved = [name for name in index if isinstance(name, str) and name in frame.columns]
    except (ValueError, AttributeError, TypeError, RecursionError):
        saved = []
    saved = [name for name in saved if frame[name].dtype.is_integer() and not name.startswith("__index_level_")]
    saved = saved if len(saved) < frame.width else []
    return frame.drop(saved), [f"{name!r} is left out: the index that pandas saved" for name in saved]


def of_known_types(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with whole numbers of 128 bits as usual numbers; refuse columns without cells that Python knows."""
    wide = [column for column, kind in frame.schema.items() if kind in (pl.Int128, pl.UInt128)]
    nested = [column for column, kind in frame.schema.items() if kind.is_nested() or kind == pl.Object]
    if nested:
        hint = "Give each part a column of its own, or leave it out when you save the file."
        raise FormatError(must_be(name, f"column {nested[0]!r}", "of single cells", str(frame.schema[nested[0]]), hint))
    for column in frame:
        if beyond_python(column):
            raise FormatError(must_be(name, f"column {column.name!r}", "of times from the year 1 to 9999", "others"))
    return frame.with_columns(map(_narrow, frame[wide])) if wide else frame


def _narrow(column: pl.Series) -> pl.Series:
    """Return whole numbers of 128 bits as those of 64, or as float64 where one is too large."""
    small = column.cast(pl.Int64, strict=False)
    return small if small.null_count() == column.null_count() else column.cast(pl.Float64)


def _excel(name: str, data: bytes, options: ReadOptions) -> tuple[pl.DataFrame, list[str]]:
    """Read the first sheet of a workbook."""
    try:
        import fastexcel  # noqa: F401  (the child process needs it)
    except ImportError:
        hint = "Install it with pip install 'chainrule[excel]', or save the sheet as .csv."
        raise MissingError(must_be(name, "fastexcel", "installed to read .xlsx", "none", hint)) from None
    read = read_workbook_apart(name, data)
    text = read.frame
    sheets = read.facts["sheets"]
    facts = [f"sheet {sheets[0]!r}, the first of {len(sheets)}"] if len(sheets) > 1 else []
    text = text.filter(~pl.all_horizontal(pl.all().is_null()))
    if text.is_empty():
        raise FormatError(f"{name}: the file must be a readable table, got: an empty sheet.")
    head = [[cell or "" for cell in row] for row in text.head(100).iter_rows()]
    header = sniffing.find_header(head) if options.header is None else options.header
    names, more = names_of(head[0] if header else None, text.width)
    text = text.slice(1) if header else text
    frame, found = _typed(text.rename(dict(zip(text.columns, names, strict=True))), options, ".")
    return frame, facts + more + found


def _text(name: str, data: bytes, options: ReadOptions) -> tuple[pl.DataFrame, list[str]]:
    """Read a table in text."""
    refuse_other_formats(name, data)
    data, facts = as_utf8(name, data, options.encoding)
    data, more = with_line_feeds(data)
    facts += more
    asked, data = first_line(data)
    data = data.strip(b"\n")
    if not data or data.isspace():
        raise FormatError(f"{name}: the file must be a readable table, got: an empty file.")
    separator = options.separator or asked or sniffing.find_separator(sniffing.head_of(data))
    if separator != ",":
        facts.append(f"separated by {sniffing.NAMES.get(separator, repr(separator))}")
    if separator == " ":
        data, separator = tabs_for_spaces(data), "\t"
    head = sniffing.rows_of(sniffing.head_of(data), separator, 100) or [[""]]
    header = sniffing.find_header(head) if options.header is None else options.header
    body, lines = _without_blank(data, separator, facts)
    _check_lines(name, lines)
    cells, names = _cells(name, body, lines, separator, header)
    cells, names = _without_empty(cells, names)
    names, more = names_of(names, cells.width)
    cells = cells.rename(dict(zip(cells.columns, names, strict=True)))
    frame, found = _typed(cells, options, "," if separator == ";" else ".")
    return frame, facts + more + found


def refuse_other_formats(name: str, data: bytes) -> None:
    """Refuse what is no text but a format of its own."""
    known = {
        b"PK\x03\x04": "an Excel workbook or a .zip",
        b"PAR1": "a .parquet file",
        b"\xd0\xcf\x11\xe0": "an old .xls",
    }
    for start, what in known.items():
        if data.startswith(start):
            hint = save_as(Path("a.xls")) if what.endswith(".xls") else ""
            said = f"got: {what}, which its name does not say. {hint}".rstrip()
            raise FormatError(f"{name}: the file must be a readable table, {said}")


def first_line(data: bytes) -> tuple[str | None, bytes]:
    """Return the separator that Excel writes as "sep=;" into the first line, and the rest."""
    match = re.match(rb'"?sep=(.)"?\n', data[:10])
    return (match[1].decode(), data[match.end() :]) if match and match[1].isascii() else (None, data)


def tabs_for_spaces(data: bytes) -> bytes:
    """Return lines whose cells are separated by runs of spaces with tabs instead."""
    if b'"' in data:
        tabbed = re.sub(rb'("[^"\n]*")|[ \t]+', lambda match: match[1] or b"\t", data)
    else:
        tabbed = re.sub(rb"[ \t]+", b"\t", data)
    return re.sub(rb"(?m)^\t+|\t+$", b"", tabbed)


def _without_blank(data: bytes, separator: str, facts: list[str]) -> tuple[bytes, sniffing.Lines]:
    """Return the text without blank lines, and its lines; note how many lines are left out."""
    lines = sniffing.find_lines(data, separator)
    if not lines.closed or not (blank := sniffing.blank(data, lines)).any():
        return data, lines
    count = int(blank.sum())
    facts.append(f"{count:,} blank line{'s' * (count > 1)} left out")
    kept = [data[start:end] for start, end in zip(lines.starts[~blank], lines.ends[~blank], strict=True)]
    data = b"\n".join(kept)
    return data, sniffing.find_lines(data, separator)


def _check_lines(name: str, lines: sniffing.Lines) -> None:
    """Refuse more columns and longer lines than a table has."""
    columns = int(lines.cells[0]) if lines.closed else 0
    longest = int((lines.ends - lines.starts).max())
    if columns > MOST_COLUMNS:
        raise FormatError(must_be(name, "the table", f"of at most {MOST_COLUMNS:,} columns", f"{columns:,}"))
    if longest > LONGEST_LINE:
        hint = "Is it a table?"
        raise FormatError(must_be(name, "a line", f"at most {LONGEST_LINE:,} bytes long", f"{longest:,}", hint))


def _cells(
    name: str, data: bytes, lines: sniffing.Lines, separator: str, header: bool
) -> tuple[pl.DataFrame, list[str] | None]:
    """Return the cells of a text as they are written, and the names of the first line."""
    names = None
    counts = lines.cells
    if header and lines.closed:
        first = sniffing.rows_of(data[: lines.ends[0]].decode("utf-8"), separator)
        if not first:
            return _by_rows(name, data.decode("utf-8"), separator, header)
        names = first[0]
        counts = counts[1:]
        shorter = len(names) + 1
        if len(counts) and (counts == shorter).all():
            if all(data[end - 1 : end] == separator.encode() for end in lines.ends[1:]):
                names.append("")
            elif separator == "\t":
                names.insert(0, "")
    width = len(names) if names else int(counts[0])
    if lines.closed and len(counts) and (counts == width).all() and not sniffing.stray_quotes(data, separator):
        body = data[lines.starts[1] :] if header else data
        with suppress(pl.exceptions.PolarsError):
            frame = pl.read_csv(body, has_header=False, separator=separator, infer_schema=False)
            if frame.shape == (len(counts), width):
                return frame, names
    return _by_rows(name, data.decode("utf-8"), separator, header)


def _by_rows(name: str, text: str, separator: str, header: bool) -> tuple[pl.DataFrame, list[str] | None]:
    """Return the cells of a text row by row, as the csv module reads them: for stray quotes and ragged rows."""
    rows = sniffing.rows_of(text, separator)
    if not rows:
        raise FormatError(f"{name}: the file must be a readable table, got: no cells.")
    names = rows[0] if header else None
    body = rows[1:] if header else rows
    width = len(rows[0])
    for number, row in enumerate(body, 1):
        if len(row) != width:
            where = "the first line" if header else "the first row"
            cause = f"{len(row)} cell{'s' * (len(row) != 1)} in row {number}, but {width} in {where}"
            hint = "Quote cells that contain the separator, or say which separator it is (--separator)."
            raise FormatError(f"{name}: the file must be a readable table, got: {cause}. {hint}")
    columns = zip(*body, strict=True) if body else [()] * width
    return pl.DataFrame([pl.Series(f"column_{j}", list(c), dtype=pl.String) for j, c in enumerate(columns)]), names


def names_of(first: Sequence[str] | None, width: int) -> tuple[list[str], list[str]]:
    """Return distinct names of the columns, and what had to be changed."""
    if first is None:
        return [f"x{j + 1}" for j in range(width)], ["no header: the columns are named x1, x2, ..."]
    names: list[str] = []
    known: set[str] = set()
    last: dict[str, int] = {}
    facts = []
    for j, cell in enumerate(first):
        name = cell.strip() or f"Unnamed: {j}"
        if not cell.strip():
            facts.append(f"column {j + 1} has no name: it is called {name!r}")
        if name in known:
            last[name] = next(k for k in range(last.get(name, 0) + 1, 2 * width + 2) if f"{name}.{k}" not in known)
            again = f"{name}.{last[name]}"
            facts.append(f"two columns are named {name!r}: the later one is called {again!r}")
            name = again
        names.append(name)
        known.add(name)
    more = len(facts) - _MOST_NAMED
    return names, [*facts[:_MOST_NAMED], *([f"{more:,} more columns have no name of their own"] if more > 0 else [])]


def _without_empty(cells: pl.DataFrame, names: list[str] | None) -> tuple[pl.DataFrame, list[str] | None]:
    """Leave out columns without name and cells, which separators at the ends of lines make."""
    if names is None or all(name.strip() for name in names):
        return cells, names
    kept = [j for j, name in enumerate(names) if name.strip() or cells.to_series(j).null_count() < len(cells)]
    return cells[:, kept], [names[j] for j in kept]


def _typed(cells: pl.DataFrame, options: ReadOptions, ambiguous: str) -> tuple[pl.DataFrame, list[str]]:
    """Return columns of texts as what they are, and how they are written."""
    kept = {name for name, kind in options.kinds.items() if kind in AS_TEXT}
    texts = {column.name: clean_text(column) for column in cells if column.dtype in TEXT}
    free = [name for name in texts if name not in kept]
    found = {name: interpret(texts[name], options.decimal, ambiguous) for name in free}
    comma = any(each.written and each.written.decimal == "," for each in found.values())
    if comma and options.decimal is None:
        for name in [name for name in free if _doubtful(texts[name], found[name])]:
            found[name] = interpret(texts[name], ",", ",")
    columns = [
        found[column.name].values.alias(column.name) if column.name in found else texts.get(column.name, column)
        for column in cells
    ]
    return pl.DataFrame(columns), facts_of(found, texts)


def _doubtful(text: pl.Series, found: Interpreted) -> bool:
    """Check for numbers that would be others in a table with decimal commas."""
    if found.kind != "number":
        return False
    if found.written is not None:
        return found.written.thousands == ","
    return found.values.dtype.is_float() and bool(text.str.contains(r"^[+-]?\d{1,3}\.\d{3}$").any())


def facts_of(found: dict[str, Interpreted], texts: dict[str, pl.Series]) -> list[str]:
    """Return one sentence for each way in which numbers are written, and for dates of doubtful order."""
    groups: dict[NumberFormat, list[str]] = {}
    for name, each in found.items():
        if each.written is not None:
            groups.setdefault(each.written, []).append(name)
    facts = [f"{how} in {_listed(names)}" for written, names in groups.items() if (how := written_as(written))]
    for name, each in found.items():
        other = swapped(each.date_format) if each.date_format else None
        if other and parse_dates(texts[name], other).null_count() == each.values.null_count():
            facts.append(f"dates in column {name!r} are read as {each.date_format}; {other} would fit as well")
    return facts


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"column{'s' * (len(names) > 1)} {shown}{more}"
