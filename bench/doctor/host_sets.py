"""Provide the sets of hosts that are in neither half, as one table: their tables, and where their toys come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.tables.tables import Table
from doctor.eighth_hosts import AN_EIGHTH_TIME, EIGHTH, EIGHTH_STREAM
from doctor.eleventh_hosts import AN_ELEVENTH_TIME, ELEVENTH, ELEVENTH_STREAM
from doctor.fifth_hosts import A_FIFTH_TIME, FIFTH, FIFTH_STREAM
from doctor.fourth_hosts import A_FOURTH_TIME, FOURTH, FOURTH_STREAM
from doctor.fresh_hosts import AGAIN, FRESH, ONCE_MORE, STREAM, THIRD, THIRD_STREAM
from doctor.ninth_hosts import A_NINTH_TIME, NINTH, NINTH_STREAM
from doctor.seventh_hosts import A_SEVENTH_TIME, SEVENTH, SEVENTH_STREAM
from doctor.sixth_hosts import A_SIXTH_TIME, SIXTH, SIXTH_STREAM
from doctor.tenth_hosts import A_TENTH_TIME, TENTH, TENTH_STREAM


@dataclass(frozen=True)
class HostSet:
    """One set of hosts."""

    tables: Mapping[str, Table]
    stream: int
    """The stream of random numbers of its toys."""
    suffix: str
    """What the name of a toy ends with."""


SETS: Mapping[str, HostSet] = {
    "fresh": HostSet(FRESH, STREAM, AGAIN),
    "third": HostSet(THIRD, THIRD_STREAM, ONCE_MORE),
    "fourth": HostSet(FOURTH, FOURTH_STREAM, A_FOURTH_TIME),
    "fifth": HostSet(FIFTH, FIFTH_STREAM, A_FIFTH_TIME),
    "sixth": HostSet(SIXTH, SIXTH_STREAM, A_SIXTH_TIME),
    "seventh": HostSet(SEVENTH, SEVENTH_STREAM, A_SEVENTH_TIME),
    "eighth": HostSet(EIGHTH, EIGHTH_STREAM, AN_EIGHTH_TIME),
    "ninth": HostSet(NINTH, NINTH_STREAM, A_NINTH_TIME),
    "tenth": HostSet(TENTH, TENTH_STREAM, A_TENTH_TIME),
    "eleventh": HostSet(ELEVENTH, ELEVENTH_STREAM, AN_ELEVENTH_TIME),
}
"""The sets by name, in the order in which they were chosen."""
