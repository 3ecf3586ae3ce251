"""What the page reads besides its own files: data sets that Python draws, and the doctor's catalogue.

In: nothing. Out: toys.json and symptoms.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import load
from chainrule.doctor.vocabulary.catalogue import FROM_PROBLEM, REMEDIES, SYMPTOMS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.random import Stream

_BUILTIN = {
    "moons": "two half-moons, interleaved",
    "circles": "a ring in a ring",
    "spirals": "three arms around the middle",
    "blobs": "three round clouds",
    "iris": "150 flowers, four measurements, three species",
}
_POINTS = 240


def page_data() -> dict[str, bytes]:
    """Return the files by their addresses.

    >>> sorted(page_data())
    ['/symptoms.json', '/toys.json']
    """
    return {"/toys.json": _json(toys()), "/symptoms.json": _json(symptoms())}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def toys() -> Mapping[str, Mapping[str, Any]]:
    """Return the data sets of the page: rows that Python draws with seed 0, and three of the page's own."""
    known = {name: _builtin(name, hint) for name, hint in _BUILTIN.items()}
    own = {"xor": _xor(), "line": _line(), "sine": _sine()}
    order = ("moons", "circles", "spirals", "xor", "blobs", "iris", "line", "sine")
    return {name: (known | own)[name] for name in order}


def _builtin(name: str, hint: str) -> Mapping[str, Any]:
    data = load(name)
    return _toy(name, hint, data.X, data.y, data.feature_names, data.target_name, data.task, builtin=True)


def _toy(
    label: str, hint: str, X: Array, y: Array, columns: tuple[str, ...], target: str, task: str, builtin: bool = False
) -> Mapping[str, Any]:
    return {
        "label": label,
        "hint": hint,
        "builtin": builtin,
        "columns": list(columns),
        "target": target,
        "task": task,
        "X": X.ravel().tolist(),
        "y": y.tolist(),
    }


def _xor() -> Mapping[str, Any]:
    X = 2 * _stream("xor").uniform(2 * _POINTS).reshape(_POINTS, 2) - 1
    X = X + 0.08 * np.sign(X)
    y = (X[:, 0] * X[:, 1] < 0).astype(np.int64)
    return _toy("xor", "opposite corners belong together", X.round(4), y, ("x1", "x2"), "class", "classification")


def _line() -> Mapping[str, Any]:
    x, noise = _inputs("line")
    return _toy(
        "line", "a straight line with noise", x[:, None], (0.8 * x + 0.4 * noise).round(4), ("x",), "y", "regression"
    )


def _sine() -> Mapping[str, Any]:
    x, noise = _inputs("sine")
    return _toy(
        "sine", "a wave with noise", x[:, None], (np.sin(2 * x) + 0.15 * noise).round(4), ("x",), "y", "regression"
    )


def _inputs(name: str) -> tuple[Array, Array]:
    stream = _stream(name)
    return (6 * stream.fold(1).uniform(_POINTS) - 3).round(4), stream.fold(2).normal(_POINTS)


def _stream(name: str) -> Stream:
    return Stream.from_seed(0).fold(*name.encode())


def symptoms() -> Mapping[str, Any]:
    """Return limits, symptoms and remedies of the doctor's catalogue, as the page's rules read them."""
    rules, shared = asdict(LIMITS), asdict(USUAL)
    limits = {name: value for name, value in (rules | shared).items() if not (name in rules and name in shared)}
    return {
        "limits": limits,
        "symptoms": {
            entry.name: {
                "summary": entry.summary,
                "rank": 1000 * entry.order[0] + entry.order[1],
                "remedies": list(entry.remedies),
            }
            for entry in SYMPTOMS.values()
        },
        "remedies": {
            entry.name: {"summary": entry.summary, "settings": _plain(entry.settings)} for entry in REMEDIES.values()
        },
    }


def _plain(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings as JSON has them; null where the value depends on the run."""
    return {name: None if value is FROM_PROBLEM else value for name, value in settings.items()}
