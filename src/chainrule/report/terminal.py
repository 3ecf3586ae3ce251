"""Why: a run ends in one table that says how good the model is, and where it errs.

In: scores, confusion counts, the doctor's findings. Out: rich tables and texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.records import Finding, Report

MOST_CLASSES = 12
"""Confusion tables of more classes than this no longer fit a terminal."""


def scores_table(scores: Mapping[str, Mapping[str, float]]) -> Any:
    """One row per part of the data, one column per figure."""
    from rich.table import Table

    figures = list(next(iter(scores.values())))
    table = Table(box=_box(), pad_edge=False)
    table.add_column("")
    for name in figures:
        table.add_column(name, justify="right")
    for part, values in scores.items():
        table.add_row(part, *(f"{values[name]:.4f}" for name in figures))
    return table


def confusion_table(counts: Array, classes: Sequence[Any]) -> Any:
    """True classes down, predicted classes across, zeros left blank, errors colored."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=_box(), pad_edge=False, title="true class (rows) against predicted (columns)", title_justify="left"
    )
    table.add_column("")
    for label in classes:
        table.add_column(Text(str(label)), justify="right")
    for i, label in enumerate(classes):
        row = [Text(str(n) if n else "·", style="" if i == j or not n else "bold red") for j, n in enumerate(counts[i])]
        table.add_row(Text(str(label)), *row)
    return table


def plain_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """A table of anything; numbers with a fraction are shortened. Short rows are filled up."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=_box(), pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(Text(name), justify="right" if i else "left")
    for row in rows:
        cells = [f"{cell:.4g}" if isinstance(cell, float) else "–" if cell is None else str(cell) for cell in row]
        table.add_row(*map(Text, cells))
    return table


_STYLES = {"critical": "bold red", "warning": "yellow", "info": "blue"}


def verdict_line(report: Report) -> Any:
    """The doctor's verdict in one line, with what looking cost."""
    from rich.text import Text

    first = report.primary
    style = "green" if report.healthy else "bold red"
    line = Text.assemble("doctor: ", (report.verdict, style), "" if first is None else f": {first.title}")
    return line.append(f" ({_cost(report)})", "dim")


def _cost(report: Report) -> str:
    looks = 0 if report.trace is None else len(report.trace.readings)
    took = f"{report.seconds:.1f} s" if report.seconds >= 0.95 else f"{1000 * report.seconds:.0f} ms"
    return f"{looks} looks, {took}"


def card(finding: Finding) -> Any:
    """One finding: severity, title, meaning, measured against usual, what was tried, the fix."""
    from rich.text import Text

    lines = [
        Text.assemble(
            (finding.severity, _STYLES.get(finding.severity, "")), f"  {finding.title}  ", (finding.symptom, "dim")
        )
    ]
    told = {
        "": finding.meaning,
        "measured": finding.measured,
        "usual": finding.usual,
        "tried": "; ".join(f"{t.name}: {'helps' if t.helped else 'does not help'}" for t in finding.trials),
        "ruled out": ", ".join(finding.ruled_out),
        "explains": ", ".join(finding.explains),
        "fix": "  ".join(filter(None, (finding.fix.text, finding.fix.code, finding.fix.flag))),
    }
    lines += [Text.assemble("  ", (f"{name:9} " if name else "", "dim"), text) for name, text in told.items() if text]
    return Text("\n").join(lines)


def _box() -> Any:
    from rich import box

    return box.SIMPLE_HEAD
