"""Why: a search that is killed at any moment goes on as if nothing had happened, and no trial ends twice.

In: what happened, one event at a time, from one process. Out: a database in the search's folder, and all of it back. An
event is one transaction: it is there whole or not at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from chainrule.errors import FormatError, InvalidValueError, must_be
from chainrule.io.files import locked
from chainrule.search.results import RungScore, Trial

FORMAT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS search (format INTEGER NOT NULL, fingerprint TEXT NOT NULL, plain TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (number INTEGER PRIMARY KEY, settings TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rungs (trial INTEGER NOT NULL REFERENCES trials (number), rung INTEGER NOT NULL,
    result TEXT NOT NULL, PRIMARY KEY (trial, rung));
CREATE TABLE IF NOT EXISTS finals (place INTEGER PRIMARY KEY, result TEXT NOT NULL);
"""


@contextmanager
def opened(folder: Path, fingerprint: str, plain: Mapping[str, Any]) -> Iterator[Store]:
    """The store of a search in its folder, which no other process can use meanwhile.

    Raises `InvalidValueError` when another process searches there, or the folder is of another search; `FormatError` for a
    damaged database.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = must_be("search", "out", "a free folder", str(folder), "Another process searches in it.")
    with locked(folder, taken), closing(sqlite3.connect(folder / "search.db", isolation_level=None)) as database:
        try:
            # A kill loses nothing that was committed; a power cut may lose the last events, whose rungs are done again.
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript(_TABLES)
            store = Store(database)
            store.claim(str(folder), fingerprint, plain)
        except sqlite3.DatabaseError as error:
            raise FormatError(f"{folder / 'search.db'}: the search's database cannot be read. {error}.") from None
        yield store


class Store:
    """Trials, their rungs, and the models trained at the end."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def claim(self, folder: str, fingerprint: str, plain: Mapping[str, Any]) -> None:
        """Say whose folder this is; raises `InvalidValueError` when it is another search's."""
        row = self._database.execute("SELECT format, fingerprint, plain FROM search").fetchone()
        if row is None:
            text = json.dumps(plain, sort_keys=True, default=repr)
            self._database.execute("INSERT INTO search VALUES (?, ?, ?)", (FORMAT, fingerprint, text))
        elif row[0] != FORMAT:
            raise FormatError(f"{folder}: the search's format must be {FORMAT}, got {row[0]}.")
        elif row[1] != fingerprint:
            known, asked = json.loads(row[2]), json.loads(json.dumps(plain, default=repr))
            other = ", ".join(key for key in asked if asked[key] != known.get(key)) or "something"
            hint = f"Other: {other}. Name a new folder."
            raise InvalidValueError(must_be("search", "out", "a new folder or one of this search", folder, hint))

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """A trial has its values; it is under way from here on."""
        values = (number, json.dumps(settings), "running", "")
        self._database.execute("INSERT INTO trials VALUES (?, ?, ?, ?)", values)

    def reach(self, number: int, rung: int, score: RungScore) -> None:
        """A rung is done."""
        self._database.execute("INSERT INTO rungs VALUES (?, ?, ?)", (number, rung, json.dumps(score.plain())))

    def end(self, number: int, state: str, reason: str = "") -> None:
        """A trial has ended, for good; raises `ValueError` when it had ended before."""
        change = "UPDATE trials SET state = ?, reason = ? WHERE number = ? AND state = 'running'"
        if self._database.execute(change, (state, reason, number)).rowcount != 1:
            raise ValueError(f"trial {number} has ended already")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Several events as one."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def trials(self) -> tuple[Trial, ...]:
        """All trials by number."""
        rungs: dict[int, list[RungScore]] = {}
        for number, result in self._database.execute("SELECT trial, result FROM rungs ORDER BY trial, rung"):
            rungs.setdefault(number, []).append(RungScore.of(json.loads(result)))
        rows = self._database.execute("SELECT number, settings, state, reason FROM trials ORDER BY number")
        return tuple(
            Trial(number, _tuples(json.loads(settings)), state, tuple(rungs.get(number, ())), reason)
            for number, settings, state, reason in rows
        )

    def keep_final(self, place: int, plain: Mapping[str, Any]) -> None:
        """One of the last trainings is done; training it once more says the same."""
        self._database.execute("INSERT OR REPLACE INTO finals VALUES (?, ?)", (place, json.dumps(plain)))

    def finals(self) -> dict[int, dict[str, Any]]:
        """The last trainings by their place."""
        return {place: json.loads(plain) for place, plain in self._database.execute("SELECT place, result FROM finals")}


def _tuples(values: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    if isinstance(values, dict):
        return {name: _tuples(value) for name, value in values.items()}
    return tuple(map(_tuples, values)) if isinstance(values, list) else values
