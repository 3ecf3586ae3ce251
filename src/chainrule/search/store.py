"""The store of a search: one killed at any moment resumes as if nothing had happened, and no trial ends twice.

In: events, one at a time, from one process. Out: a database in the search's folder, and its contents read back. An
event is one transaction: it is stored completely or not at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from chainrule.errors import FormatError, InvalidValueError, WriteError, must_be
from chainrule.io.files import locked, make_folder
from chainrule.search.results import RungScore, Trial
from chainrule.search.stored import check_tables, final_of, mapping_of, score_of, state_of

FORMAT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS search (format INTEGER NOT NULL, fingerprint TEXT NOT NULL, plain TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (number INTEGER PRIMARY KEY, settings TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rungs (trial INTEGER NOT NULL REFERENCES trials (number), rung INTEGER NOT NULL,
    result TEXT NOT NULL, PRIMARY KEY (trial, rung));
CREATE TABLE IF NOT EXISTS finals (number INTEGER PRIMARY KEY, result TEXT NOT NULL);
"""


@contextmanager
def opened(folder: Path, fingerprint: str, plain: Mapping[str, Any]) -> Iterator[Store]:
    """Open the store of a search in its folder and lock the folder against other processes.

    Raises `InvalidValueError` if another process searches there or the folder belongs to another search, `FormatError` for
    a damaged database, `WriteError`, inside the block too, where the disk cannot be written.
    """
    make_folder(folder, "search")
    taken = must_be("search", "out", "a free folder", str(folder), "Another process searches in it.")
    path = folder / "search.db"
    with (
        locked(folder, taken, "search"),
        _reported(path),
        closing(sqlite3.connect(path, isolation_level=None)) as database,
    ):
        # A kill loses nothing committed; a power failure may lose the last events, whose rungs are then repeated.
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_TABLES)
        store = Store(database)
        store.claim(str(folder), fingerprint, plain)
        yield store


_UNWRITABLE = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
)
"""Codes of the database, without their details, for faults of the disk rather than of the file."""


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn a fault of the database into a `WriteError` where the disk is at fault, or a `FormatError` where the file is."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        if (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF in _UNWRITABLE:
            hint = "What was recorded before is kept; run it again to resume."
            raise WriteError(f"search: could not write {str(path)!r}: {error}. {hint}") from error
        raise FormatError(f"{path}: the search's database cannot be read. {error}.") from None


class Store:
    """Trials, their rungs, and the final trainings."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def claim(self, folder: str, fingerprint: str, plain: Mapping[str, Any]) -> None:
        """Mark the folder as this search's; raises `InvalidValueError` if it belongs to another search."""
        check_tables(folder, self._database, _TABLES)
        row = self._database.execute("SELECT format, fingerprint, plain FROM search").fetchone()
        if row is None:
            text = json.dumps(plain, sort_keys=True, default=repr)
            self._database.execute("INSERT INTO search VALUES (?, ?, ?)", (FORMAT, fingerprint, text))
        elif row[0] != FORMAT:
            raise FormatError(f"{folder}: the search's format must be {FORMAT}, got {row[0]}.")
        elif row[1] != fingerprint:
            known = mapping_of(f"{folder}: the search's settings", row[2])
            new = json.loads(json.dumps(plain, default=repr))
            other = ", ".join(key for key in new if new[key] != known.get(key)) or "something"
            hint = f"It holds a search with a different {other}. Choose a new folder."
            raise InvalidValueError(must_be("search", "out", "a new folder or the folder of this search", folder, hint))

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """Record a new trial with its values; it is running from now on."""
        values = (number, json.dumps(settings), "running", "")
        self._database.execute("INSERT INTO trials VALUES (?, ?, ?, ?)", values)

    def reach(self, number: int, rung: int, score: RungScore) -> None:
        """Record that a rung is done."""
        self._database.execute("INSERT INTO rungs VALUES (?, ?, ?)", (number, rung, json.dumps(score.plain())))

    def end(self, number: int, state: str, reason: str = "") -> None:
        """Record the end of a trial; raises `ValueError` if it had ended before."""
        change = "UPDATE trials SET state = ?, reason = ? WHERE number = ? AND state = 'running'"
        if self._database.execute(change, (state, reason, number)).rowcount != 1:
            raise ValueError(f"trial {number} has ended already")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Combine several events into one transaction."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def trials(self) -> tuple[Trial, ...]:
        """Return all trials by number."""
        rungs: dict[int, list[RungScore]] = {}
        for number, result in self._database.execute("SELECT trial, result FROM rungs ORDER BY trial, rung"):
            rungs.setdefault(number, []).append(score_of(f"search: the result of trial {number}", result))
        rows = self._database.execute("SELECT number, settings, state, reason FROM trials ORDER BY number")
        return tuple(_trial(row, rungs) for row in rows)

    def keep_final(self, index: int, plain: Mapping[str, Any]) -> None:
        """Record a final training; repeating it gives the same record."""
        self._database.execute("INSERT OR REPLACE INTO finals VALUES (?, ?)", (index, json.dumps(plain)))

    def finals(self) -> dict[int, dict[str, Any]]:
        """Return the final trainings by their index."""
        rows = self._database.execute("SELECT number, result FROM finals")
        return {index: final_of(f"search: final training {index}", plain) for index, plain in rows}


def _trial(row: tuple[Any, ...], rungs: Mapping[int, list[RungScore]]) -> Trial:
    """Return the trial of a row and its rungs."""
    number, settings, state, reason = row
    where = f"search: trial {number}"
    values = _tuples(mapping_of(f"{where}: its settings", settings))
    state, reason = state_of(where, state, reason)
    return Trial(number, values, state, tuple(rungs.get(number, ())), reason)


def _tuples(values: Any) -> Any:
    """Return JSON's lists as the tuples they were."""
    if isinstance(values, dict):
        return {name: _tuples(value) for name, value in values.items()}
    return tuple(map(_tuples, values)) if isinstance(values, list) else values
