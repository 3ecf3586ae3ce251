"""The report of a benchmark: report.md, and report.html with pictures."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.tables import pictures
from bench.tables.peers import PEERS
from bench.tables.ranking import MOST, Cells, Row, average, complete, ratio, summarize
from bench.tables.run import read_results
from bench.tables.tables import TABLES

Grid = tuple[list[str], list[list[str]]]
"""Headings and rows of texts."""

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}th,td{padding:.2rem .6rem;text-align:right}
th:first-child,td:first-child{text-align:left}tr:nth-child(even){background:#f5f5f5}svg{max-width:100%;height:auto}"""


def write(folders: Sequence[Path], reference: str, peers: Sequence[str] = ()) -> str:
    """Write both files into the last folder and return the Markdown."""
    lines = [line for folder in folders for line in read_results(folder).values()]
    ran = sorted({line["peer"] for line in lines}, key=lambda peer: (list(PEERS).index(peer.split("[")[0]), peer))
    peers = [peer for peer in ran if peer in peers] if peers else ran
    if reference not in peers:
        raise SystemExit(f"--reference must be among {', '.join(peers)}, got {reference}.")
    lines = [line for line in lines if line["peer"] in peers]
    cells = average(lines, peers)
    rows = summarize(cells, peers, reference)
    tables = complete(cells, peers)
    text = markdown(rows, cells, tables, lines, reference)
    folders[-1].mkdir(parents=True, exist_ok=True)
    (folders[-1] / "report.md").write_text(text)
    (folders[-1] / "report.html").write_text(page(rows, cells, tables, lines, reference))
    return text


def markdown(
    rows: Sequence[Row], cells: Cells, tables: Sequence[str], lines: Sequence[Mapping[str, Any]], reference: str
) -> str:
    """Return the report as Markdown."""
    parts = ["# Untuned methods on tables", *conditions(cells, tables, lines)]
    parts += ["## Over all tables", as_markdown(overview(rows, reference))]
    parts += [f"## Score divided by {reference}'s", NOTE, as_markdown(ratios(rows, cells, reference))]
    failed = failures(lines)
    if failed[1]:
        parts += ["## Failures", as_markdown(failed)]
    return "\n\n".join(parts) + "\n"


def page(
    rows: Sequence[Row], cells: Cells, tables: Sequence[str], lines: Sequence[Mapping[str, Any]], reference: str
) -> str:
    """Return the report as one HTML page."""
    by_peer = {
        row.peer: [value for t in tables if math.isfinite(value := ratio(cells, t, row.peer, reference))]
        for row in rows
    }
    parts = [
        "<h1>Untuned methods on tables</h1>",
        *(f"<p>{html.escape(text)}</p>" for text in conditions(cells, tables, lines)),
    ]
    parts += ["<h2>Over all tables</h2>", as_html(overview(rows, reference))]
    if tables:
        parts += [
            pictures.rank_bars({row.peer: row.rank for row in rows}),
            pictures.ratio_strips(by_peer, reference),
            pictures.seconds_and_ranks({row.peer: (row.fit_seconds, row.rank) for row in rows}),
        ]
    parts += [f"<h2>Score divided by {html.escape(reference)}'s</h2>", f"<p>{NOTE}</p>"]
    parts += [as_html(ratios(rows, cells, reference))]
    failed = failures(lines)
    if failed[1]:
        parts += ["<h2>Failures</h2>", as_html(failed)]
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Untuned methods on tables</title><style>{STYLE}</style><body>\n{body}\n</body></html>\n"
    )


NOTE = (
    "The score is the RMSE or, for classes, the log loss on the test rows, so below 1 is better. The column of the "
    f"reference shows its score. In the mean above, a ratio counts as at most {MOST:g} and at least {1 / MOST:g}, and a "
    f"failure as {MOST:g}."
)


def conditions(cells: Cells, tables: Sequence[str], lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how it was measured."""
    seeds = sorted({line["seed"] for line in lines})
    threads = sorted({line["threads"] for line in lines})
    machines = sorted({line["machine"] for line in lines})
    versions = sorted({f"{name} {v}" for line in lines for name, v in line.get("versions", {}).items()})
    facts = [
        f"{len(tables)} of {len(TABLES)} tables that all methods below were run on ({len(cells)} with any result); "
        f"seeds {', '.join(map(str, seeds))}; a fifth of the rows is the test.",
        f"Threads per fit: {', '.join(map(str, threads))}. Machine: {'; '.join(machines)}. "
        f"Versions: {', '.join(versions)}.",
    ]
    notes = sorted({line["note"] for line in lines if line.get("note")})
    return facts + ([f"Conditions: {'; '.join(notes)}."] if notes else [])


def overview(rows: Sequence[Row], reference: str) -> Grid:
    """Return the table of the methods."""
    heads = ["method", "mean rank", "regression", "classification", "wins", f"ratio to {reference}"]
    heads += ["fit s (median)", "fit s per 1000 rows", "predict s", "failed fits"]
    body = [
        [
            row.peer,
            shown(row.rank, ".2f"),
            shown(row.rank_regression, ".2f"),
            shown(row.rank_classification, ".2f"),
            str(row.wins),
            shown(row.ratio, ".3f"),
            shown(row.fit_seconds, ".2f"),
            shown(row.seconds_per_1000, ".2f"),
            shown(row.predict_seconds, ".3f"),
            str(row.failures),
        ]
        for row in rows
    ]
    return heads, body


def ratios(rows: Sequence[Row], cells: Cells, reference: str) -> Grid:
    """Return the table of the tables: the reference's score, then the ratios, the best in bold."""
    others = [row.peer for row in rows if row.peer != reference]
    body = []
    for table in (name for name in TABLES if reference in cells.get(name, {})):
        found = {peer: ratio(cells, table, peer, reference) for peer in others if peer in cells[table]}
        best = min([1.0, *found.values()])
        base = cells[table][reference]
        texts = [shown(found.get(peer, math.nan), ".3f", found.get(peer) == best) for peer in others]
        body.append([table, TABLES[table].task, str(base.seeds), shown(base.score, ".4g", best == 1.0), *texts])
    return ["table", "task", "seeds", reference, *others], body


def shown(value: float, form: str, best: bool = False) -> str:
    """Return a number, nothing for NaN, or "failed" for infinity; the best in bold."""
    if not math.isfinite(value):
        return "" if math.isnan(value) else "failed"
    return f"**{value:{form}}**" if best else f"{value:{form}}"


def failures(lines: Iterable[Mapping[str, Any]]) -> Grid:
    """Return the table of the fits that failed."""
    body = [[line["table"], str(line["seed"]), line["peer"], line["error"][:200]] for line in lines if "error" in line]
    return ["table", "seed", "method", "error"], body


def as_markdown(grid: Grid) -> str:
    """Return a grid as a Markdown table."""
    heads, body = grid
    cells = [heads, ["---", *["---:"] * (len(heads) - 1)], *body]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in cells
    )


def as_html(grid: Grid) -> str:
    """Return a grid as an HTML table."""
    heads, body = grid
    top = "".join(f"<th>{html.escape(head)}</th>" for head in heads)
    rows = ["".join(f"<td>{bold(html.escape(cell))}</td>" for cell in row) for row in body]
    return f"<table><tr>{top}</tr>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def bold(text: str) -> str:
    """Return Markdown's bold as HTML's."""
    return f"<b>{text[2:-2]}</b>" if text.startswith("**") else text
