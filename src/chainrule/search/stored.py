"""What a search's database holds, checked as it is read: anybody may have written the file.

In: texts of the database. Out: records, or `FormatError` with the place.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from chainrule.errors import FormatError
from chainrule.io import json_text
from chainrule.search.results import RungScore

STATES = ("running", "complete", "pruned")
_MOST = 2**53


def check_tables(folder: str, database: sqlite3.Connection, script: str) -> None:
    """Refuse a database with tables, views or triggers other than those that a script makes."""
    database.execute("PRAGMA trusted_schema = OFF")
    found = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    wanted = [statement.replace("IF NOT EXISTS ", "") for statement in script.split(";") if statement.strip()]
    if sorted(_bare(sql) for (sql,) in found) != sorted(map(_bare, wanted)):
        raise FormatError(f"{folder}: the search's database must have the tables of a search, got others.")


def _bare(sql: Any) -> str:
    return re.sub(r"\s+", " ", str(sql)).strip()


def mapping_of(where: str, text: Any) -> dict[str, Any]:
    """Return the JSON object of a text."""
    if not isinstance(text, str):
        raise FormatError(f"{where} must be JSON, got {type(text).__name__}.")
    plain = json_text.parse(where, text, finite=False)
    if not isinstance(plain, dict):
        raise FormatError(f"{where} must be a JSON object, got {type(plain).__name__}.")
    return plain


def score_of(where: str, text: Any) -> RungScore:
    """Return the result of a rung."""
    plain = _with_types(where, mapping_of(where, text), _SCORE)
    return RungScore.of(plain)


def final_of(where: str, text: Any) -> dict[str, Any]:
    """Return a final training as plain data."""
    return _with_types(where, mapping_of(where, text), _FINAL)


def state_of(where: str, state: Any, reason: Any) -> tuple[str, str]:
    """Return the state of a trial, and why it was pruned."""
    if not isinstance(state, str) or state not in STATES or not isinstance(reason, str):
        raise FormatError(f"{where} must have one of the states {', '.join(STATES)}, got {state!r}.")
    return state, reason


def _with_types(where: str, plain: dict[str, Any], types: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
    """Return plain data that have exactly these parts."""
    wrong = [name for name, fits in types.items() if name not in plain or not fits(plain[name])]
    if wrong or set(plain) != set(types):
        raise FormatError(
            f"{where} must have {', '.join(types)} as a search writes them, got another {wrong or 'part'}."
        )
    return plain


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and (value != value or abs(value) <= float("inf"))


def _scores(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_number, value.values()))


def _is_curve(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return all(isinstance(p, list) and len(p) == 2 and _whole(p[0]) and _number(p[1]) for p in value)


_SCORE: Mapping[str, Callable[[Any], bool]] = {
    "end": _whole,
    "score": _number,
    "loss": _number,
    "epochs": _whole,
    "best_epoch": lambda value: value is None or _whole(value),
    "seconds": _number,
    "curve": _is_curve,
}
_FINAL: Mapping[str, Callable[[Any], bool]] = {
    "trial": _whole,
    "seed": _whole,
    "validation": _scores,
    "test": lambda value: value is None or _scores(value),
    "epochs": _whole,
    "seconds": _number,
}
