"""Parts of dates as numbers that a network can learn from: elapsed days, month, weekday, day, hour.

In: moments in microseconds since 1970. Out: their parts, of a whole column or of one cell, to the same bits. It needs no
polars.
"""

from __future__ import annotations

import datetime as dt
import math

import numpy as np

from chainrule.arrays import Array

DAY = 86_400_000_000
"""Microseconds of a day."""

_EPOCH = dt.date(1970, 1, 1).toordinal()


def moment(value: dt.date | dt.time) -> float:
    """Return one date, date-time or time as microseconds.

    >>> moment(dt.date(1970, 1, 2))
    86400000000.0
    """
    if isinstance(value, dt.time):
        value = dt.datetime.combine(dt.date(1970, 1, 1), value.replace(tzinfo=None))
    elif not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    elif value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return float((value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1))


def part(name: str, moments: Array, origin: int) -> Array:
    """Return one part of date-times in microseconds: "days" since the origin, "month", "weekday", "day" or "hour"."""
    if name == "days":
        return (moments - origin) / DAY
    days = np.floor(moments / DAY)
    if name == "hour":
        return (moments - days * DAY) / (DAY / 24)
    if name == "weekday":
        return (days + 3) % 7 + 1
    known = np.isfinite(days)
    dates = np.where(known, days, 0).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    found = months.astype(np.int64) % 12 + 1 if name == "month" else (dates - months).astype(np.int64) + 1
    return np.where(known, found, np.nan)


def part_of(name: str, at: float, origin: int) -> float:
    """Return one part of one moment, as `part` does.

    >>> part_of("weekday", moment(dt.date(2024, 1, 1)), 0), part_of("hour", moment(dt.time(13, 30)), 0)
    (1.0, 13.5)
    """
    if name == "days":
        return (at - origin) / DAY
    days = math.floor(at / DAY)
    if name == "hour":
        return (at - days * DAY) / (DAY / 24)
    if name == "weekday":
        return float((days + 3) % 7 + 1)
    date = dt.date.fromordinal(_EPOCH + days)
    return float(date.month if name == "month" else date.day)
