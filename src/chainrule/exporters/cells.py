"""Cells of a table as plain numbers and texts, without polars.

Each function needs the standard library only: the NumPy exporter copies their sources into its file.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zlib
from typing import Any

from chainrule.data.table.gaps import MARKS

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""Numbers that need no format."""

WORD = re.compile(r"\w+")

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

DIRECTIVES = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%m": r"(?P<m>\d\d?)",
    "%b": r"(?P<b>[A-Za-z]{3})",
    "%d": r"(?P<d>\d\d?)",
    "%H": r"(?P<H>\d\d?)",
    "%I": r"(?P<I>\d\d?)",
    "%M": r"(?P<M>\d\d?)",
    "%S": r"(?P<S>\d\d?)",
    "%.f": r"(?:\.(?P<f>\d{1,9}))?",
    "%p": r"(?P<p>[AaPp][Mm])",
    "%#z": r"(?P<z>Z|[+-]\d\d:?(?:\d\d)?)",
}
"""Parts of date formats as regular expressions."""

ISO = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f%#z", "%H:%M:%S%.f")
"""Formats of texts in a column of dates that were no texts in training."""


def plain_cell(cell: Any) -> Any:
    """Return a cell as a value of Python's own types, None for a gap that is no text."""
    if type(cell).__name__ in ("NAType", "NaTType"):
        return None
    if type(cell).__name__ == "datetime64":
        cell = cell.astype("datetime64[us]").item()
    elif hasattr(cell, "item") and not getattr(cell, "ndim", 0):
        cell = cell.item()
    return None if isinstance(cell, float) and cell != cell else cell


def label(cell: Any) -> str:
    """Return the text that stands for a cell among the levels of a category; "" for a gap."""
    if isinstance(cell, str):
        return cell.strip()
    cell = plain_cell(cell)
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**63:
        return str(int(cell))
    return str(cell)


def is_gap(text: str) -> bool:
    """Check whether a text stands for a gap."""
    return text.strip().lower() in MARKS


def number_cell(name: str, cell: Any, written: tuple[str, str, str, str] | None, gaps: bool) -> float:
    """Return a cell as a number, NaN for a gap; `written` is decimal mark, thousands mark, prefix, suffix."""
    if type(cell) is float:
        return cell if math.isfinite(cell) else math.nan
    cell = plain_cell(cell)
    if isinstance(cell, str):
        text = cell.strip()
        if is_gap(text):
            return math.nan
        value = text_number(text, written)
        if value is None and not gaps:
            raise ValueError(f"column {name!r} must be numeric, got {cell!r}")
        return math.nan if value is None else value
    if isinstance(cell, dt.timedelta):
        cell = cell // dt.timedelta(microseconds=1) / 86_400_000_000
    if cell is not None and (isinstance(cell, dt.date | dt.time) or not hasattr(cell, "__float__")):
        raise ValueError(f"column {name!r} must be numeric, got {cell!r}")
    return float(cell) if cell is not None and math.isfinite(cell) else math.nan


def text_number(text: str, written: tuple[str, str, str, str] | None) -> float | None:
    """Return a text as a number, None if it is none; infinity is a gap."""
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return math.nan
    if written is not None:
        decimal, thousands, prefix, suffix = written
        bare = text.replace("\u2212", "-")
        bare = re.sub(rf"^([+-]?)\s*{re.escape(prefix)}\s*", r"\1", bare) if prefix else bare
        bare = re.sub(rf"\s*{re.escape(suffix)}$", "", bare) if suffix else bare
        mark = re.escape(thousands)
        if thousands and re.match(rf"^[+-]?\d{{1,3}}({mark}\d{{3}})+($|[^\d{mark}])", bare):
            bare = bare.replace(thousands, "")
        bare = bare.replace(decimal, ".", 1) if decimal == "." or "." not in bare else ""
        text = bare if PLAIN.fullmatch(bare) else text
    return float(text) if PLAIN.fullmatch(text) else None


def date_cell(name: str, cell: Any, form: str | None, gaps: bool) -> float:
    """Return a date, date-time or time as microseconds since 1970 (a time: since midnight), NaN for a gap."""
    cell = plain_cell(cell)
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        text = cell.strip()
        if is_gap(text):
            return math.nan
        found = [at for each in ((form,) if form else ISO) if (at := text_moment(text, each)) is not None]
        if not found and not gaps:
            raise ValueError(f"column {name!r} must hold dates, got {cell!r}")
        return found[0] if found else math.nan
    if isinstance(cell, dt.time):
        cell = dt.datetime.combine(dt.date(1970, 1, 1), cell.replace(tzinfo=None))
    elif isinstance(cell, dt.date) and not isinstance(cell, dt.datetime):
        cell = dt.datetime.combine(cell, dt.time())
    if not isinstance(cell, dt.datetime):
        raise ValueError(f"column {name!r} must hold dates, got {cell!r}")
    ahead = cell.utcoffset()
    if ahead is not None:
        cell = cell.replace(tzinfo=None) - ahead
    return float((cell - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1))


def text_moment(text: str, form: str) -> float | None:
    """Return a text in a format as microseconds, None if it is not in that format."""
    pattern = re.sub(r"%[#.]?[A-Za-z]|[^%]", lambda part: DIRECTIVES.get(part[0]) or re.escape(part[0]), form)
    match = re.fullmatch(pattern, text, re.ASCII)
    if match is None:
        return None
    part = {key: value for key, value in match.groupdict().items() if value is not None}
    month = MONTHS.index(part["b"].lower()) + 1 if part.get("b", "jan").lower() in MONTHS and "b" in part else 0
    year = int(part.get("Y", 1970))
    if "y" in part:
        year = int(part["y"]) + (2000 if int(part["y"]) < 70 else 1900)
    hour = int(part.get("H", 0))
    if "I" in part:
        hour = int(part["I"]) % 12 + 12 * (part.get("p", "am").lower() == "pm")
        if not 1 <= int(part["I"]) <= 12:
            return None
    micro = int((part.get("f", "") + "000000")[:6])
    try:
        month = month or int(part.get("m", 0 if "b" in part else 1))
        at = dt.datetime(year, month, int(part.get("d", 1)), hour, int(part.get("M", 0)), int(part.get("S", 0)), micro)
    except ValueError:
        return None
    at -= offset(part.get("z", "Z"))
    return float((at - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1))


def offset(zone: str) -> dt.timedelta:
    """Return how far a zone such as "+02:00" is ahead of UTC."""
    if zone == "Z":
        return dt.timedelta()
    minutes = int(zone[1:3]) * 60 + int(zone[3:].strip(":") or 0)
    return dt.timedelta(minutes=-minutes if zone[0] == "-" else minutes)


def word_places(cell: Any, places: int) -> list[int]:
    """Return the place of every word of a text: CRC-32 of the word in lower case."""
    text = label(cell)
    words = [] if is_gap(text) else WORD.findall(text.lower())
    return [zlib.crc32(word.encode("utf-8", "surrogatepass")) % places for word in words]


def level_code(
    cell: Any, codes: dict[str, int], gap: int, unknown: int, hashed_from: int, hashed: int, boolean: bool
) -> int:
    """Return the code of a category's level."""
    text = label(cell)
    found = codes.get(text)
    if found is None and boolean:
        found = codes.get(text.lower())
    if found is not None:
        return found
    if is_gap(text):
        return gap
    return hashed_from + zlib.crc32(text.encode("utf-8", "surrogatepass")) % hashed if hashed else unknown
