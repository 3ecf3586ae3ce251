"""The arithmetic of the report: averages over seeds, ranks over tables, ratios to a reference."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.tables.tables import TABLES


@dataclass(frozen=True)
class Cell:
    """One peer on one table, averaged over seeds."""

    score: float
    """RMSE or log loss; infinite if every fit failed."""
    fit_seconds: float = math.nan
    predict_seconds: float = math.nan
    rows: int = 0
    seeds: int = 0
    failures: int = 0


Cells = dict[str, dict[str, Cell]]
"""Table -> peer -> cell."""


def average(lines: Iterable[Mapping[str, Any]], peers: Sequence[str]) -> Cells:
    """Return the averages over the seeds that every peer of a table shares; a peer that always fails shares none."""
    runs: dict[str, dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line["peer"] in peers:
            runs[line["table"]][line["peer"]].append(line)
    return {table: of_table(by_peer) for table, by_peer in runs.items()}


def of_table(by_peer: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Cell]:
    """Return the cells of one table."""
    scored = {peer: [line for line in lines if "score" in line] for peer, lines in by_peer.items()}
    seeds = [{line["seed"] for line in lines} for lines in scored.values() if lines]
    shared = set.intersection(*seeds) if seeds else set()
    cells = {}
    for peer, lines in scored.items():
        failures = len(by_peer[peer]) - len(lines)
        used = [line for line in lines if line["seed"] in shared]
        if used:
            means = (
                statistics.mean(line[name] for line in used) for name in ("score", "fit_seconds", "predict_seconds")
            )
            cells[peer] = Cell(*means, rows=used[0]["rows"], seeds=len(used), failures=failures)
        elif not lines:
            cells[peer] = Cell(math.inf, failures=failures)
    return cells


def complete(cells: Cells, peers: Sequence[str]) -> list[str]:
    """Return the tables that all peers were run on, in the order of the list of tables."""
    return [name for name in TABLES if all(peer in cells.get(name, {}) for peer in peers)]


def ranks(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the rank of each peer, 1 for the lowest score; equal scores share the mean of their ranks."""
    values = list(scores.values())
    return {
        peer: 1 + sum(other < score for other in values) + (values.count(score) - 1) / 2
        for peer, score in scores.items()
    }


def table_ranks(cells: Cells, tables: Sequence[str], peers: Sequence[str]) -> dict[str, list[float]]:
    """Return each peer's ranks, one per table."""
    of = [ranks({peer: cells[table][peer].score for peer in peers}) for table in tables]
    return {peer: [each[peer] for each in of] for peer in peers}


MOST = 2.0
"""Beyond this factor, up or down, a ratio counts as this in the mean, so that one table cannot decide it."""


def ratio(cells: Cells, table: str, peer: str, reference: str) -> float:
    """Return a peer's score divided by the reference's, NaN if the reference failed; below 1 is better."""
    base = cells[table][reference].score
    return cells[table][peer].score / base if math.isfinite(base) else math.nan


@dataclass(frozen=True)
class Row:
    """One peer over all tables."""

    peer: str
    rank: float
    rank_regression: float
    rank_classification: float
    wins: int
    ratio: float
    """Geometric mean of the ratios to the reference, each within 1 / MOST .. MOST; a failure counts as MOST."""
    fit_seconds: float
    """Median over the tables, as are the next two."""
    seconds_per_1000: float
    predict_seconds: float
    failures: int


def summarize(cells: Cells, peers: Sequence[str], reference: str) -> list[Row]:
    """Return one row per peer, the best mean rank first."""
    tables = complete(cells, peers)
    placed = table_ranks(cells, tables, peers)
    rows = []
    for peer in peers:
        own = [cells[table][peer] for table in tables]
        ran = [cell for cell in own if math.isfinite(cell.score)]
        by_task = {
            task: [rank for table, rank in zip(tables, placed[peer], strict=True) if TABLES[table].task == task]
            for task in ("regression", "classification")
        }
        rows.append(
            Row(
                peer,
                mean(placed[peer]),
                mean(by_task["regression"]),
                mean(by_task["classification"]),
                sum(rank == 1 for rank in placed[peer]),
                geometric_mean(min(max(ratio(cells, t, peer, reference), 1 / MOST), MOST) for t in tables),
                median(cell.fit_seconds for cell in ran),
                median(1000 * cell.fit_seconds / cell.rows for cell in ran),
                median(cell.predict_seconds for cell in ran),
                sum(cell.failures for cell in own),
            )
        )
    return sorted(rows, key=lambda row: row.rank)


def mean(values: Sequence[float]) -> float:
    """Return the mean, or NaN of nothing."""
    return statistics.mean(values) if values else math.nan


def median(values: Iterable[float]) -> float:
    """Return the median, or NaN of nothing."""
    known = list(values)
    return statistics.median(known) if known else math.nan


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean, or NaN of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.geometric_mean(known) if known else math.nan
