"""Dates and times: found in texts, and turned into numbers that a network can learn from.

In: texts, dates, date-times or times. Out: microseconds since 1970, and their parts: elapsed days, month, weekday, day,
hour.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import polars as pl

from chainrule.arrays import Array

_ZONED = "%Y-%m-%dT%H:%M:%S%.f%#z"
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y")
_SHORT = ("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y")
_NAMED = ("%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y", "%d. %b %Y")
_CLOCKS = ("%H:%M:%S%.f", "%H:%M", "%I:%M %p", "%I:%M:%S %p")
TIMES = ("%H:%M:%S%.f", "%H:%M", "%I:%M %p")
"""Formats of a time without a date."""

FORMATS = (
    *(*_DATES, *_SHORT, *_NAMED),
    *(f"{day}{gap}{clock}" for day in (*_DATES, *_SHORT, *_NAMED) for clock in _CLOCKS for gap in (" ", "T")),
    *(_ZONED, _ZONED.replace("T", " ")),
)
"""Formats of dates that are tried, in this order: where month and day could be either, the first that fits counts."""

_LIKELY = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d\d|\d.*[A-Za-z]{3}.*\d|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}"
)
_LAST_YEAR = 9999
"""The last year of Python's dates."""

_FIRST_DAY, _LAST_DAY = (day.toordinal() - dt.date(1970, 1, 1).toordinal() for day in (dt.date.min, dt.date.max))
_DAY = 86_400
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}

_FIRST_YEAR = 1000
_SAMPLE = 100


def parse_dates(text: pl.Series, form: str) -> pl.Series:
    """Return texts in this format as date-times in UTC, or as times; null where a text is none."""
    if form in TIMES:
        return _times(text, form)
    try:
        parsed = text.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return pl.Series(text.name, [None] * len(text), dtype=pl.Datetime("us"))
    return _without_zone(parsed)


def _times(text: pl.Series, form: str) -> pl.Series:
    try:
        return text.str.to_time(form, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(text.name, [None] * len(text), dtype=pl.Time)


def _without_zone(moments: pl.Series) -> pl.Series:
    zone = getattr(moments.dtype, "time_zone", None)
    return moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else moments


def find_dates(text: pl.Series, sample: Sequence[str]) -> tuple[pl.Series, str] | None:
    """Return a column's texts as dates or times with their format, None if some text is neither."""
    if not sample or not all(_LIKELY.search(cell) for cell in sample[:_SAMPLE]):
        return None
    short = pl.Series(list(sample[:_SAMPLE]))
    for form in (*FORMATS, *TIMES):
        if not _fits(short, parse_dates(short, form)):
            continue
        parsed = parse_dates(text, form)
        if _fits(text, parsed):
            return parsed, form
    return None


def mostly_dates(text: pl.Series, share: float) -> tuple[pl.Series, str] | None:
    """Return a column of which at least this share of the texts are dates, with their format, None for others."""
    sample = text.drop_nulls().head(_SAMPLE)
    if not len(sample) or sum(bool(_LIKELY.search(cell)) for cell in sample) < share * len(sample):
        return None
    for form in FORMATS:
        if _known(parse_dates(sample, form)) >= share * len(sample):
            parsed = parse_dates(text, form)
            if _known(parsed) >= share * (len(text) - text.null_count()):
                return parsed, form
    return None


def _known(parsed: pl.Series) -> int:
    """Return the number of dates, 0 if a year is none of our times: a format with another number of its digits."""
    return len(parsed) - parsed.null_count() if isinstance(parsed.dtype, pl.Datetime) and _of_our_times(parsed) else 0


def _fits(text: pl.Series, parsed: pl.Series) -> bool:
    if parsed.null_count() != text.null_count():
        return False
    return not isinstance(parsed.dtype, pl.Datetime) or _of_our_times(parsed)


def _of_our_times(moments: pl.Series) -> bool:
    """Check that no year is before our times, or one that Python has no date for."""
    years = moments.dt.year().drop_nulls()
    return bool(years.is_between(_FIRST_YEAR, _LAST_YEAR).all())


def beyond_python(column: pl.Series) -> bool:
    """Check for dates, times and durations that Python's own types cannot hold, on which polars panics."""
    kind = column.dtype
    if kind == pl.Date:
        first, last = _FIRST_DAY, _LAST_DAY
    elif isinstance(kind, pl.Datetime):
        unit = _PER_SECOND[kind.time_unit]
        first, last = (_FIRST_DAY + 1) * _DAY * unit, _LAST_DAY * _DAY * unit - 1
    elif kind == pl.Time:
        first, last = 0, _DAY * 10**9 - 1
    elif isinstance(kind, pl.Duration):
        last = dt.timedelta.max.days * _DAY * _PER_SECOND[kind.time_unit]
        first = -last
    else:
        return False
    first, last = max(first, -(2**63)), min(last, 2**63 - 1)
    return not column.to_physical().is_between(first, last).all()


def swapped(form: str) -> str | None:
    """Return the format with month and day exchanged, None if their order is beyond doubt."""
    if form.startswith(("%m/%d", "%m-%d")):
        return form.replace("%m", "%?").replace("%d", "%m").replace("%?", "%d")
    if form.startswith(("%d/%m", "%d-%m")):
        return form.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
    return None


def microseconds(values: pl.Series) -> Array:
    """Return dates, date-times or times as float64 microseconds, NaN for a gap; times count from midnight."""
    if values.dtype == pl.Time:
        return _floats(values.cast(pl.Int64)) / 1000
    return _floats(_without_zone(values.cast(pl.Datetime("us")) if values.dtype == pl.Date else values).dt.epoch("us"))


def _floats(values: pl.Series) -> Array:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
