"""What a run shows in the terminal: how good the model is, where it errs, what the doctor found.

In: scores, confusion counts, the doctor's findings. Out: rich tables and texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chainrule.arrays import Array
from chainrule.display import printable
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.pipeline.option_names import COMMAND_LINE
from chainrule.report.cards import card_lines

if TYPE_CHECKING:
    from rich.box import Box
    from rich.table import Table
    from rich.text import Text

MOST_CLASSES = 12
"""Confusion matrices of more classes than this do not fit into a terminal."""


def scores_table(scores: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table with a row for each part of the data and a column for each score."""
    from rich.table import Table

    names = list(next(iter(scores.values())))
    table = Table(box=_box(), pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for part, values in scores.items():
        table.add_row(part, *(f"{values[name]:.4f}" for name in names))
    return table


def confusion_table(counts: Array, classes: Sequence[Any]) -> Table:
    """Return a table with true classes down and predicted classes across; a dot is a zero, mistakes are red."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=_box(), pad_edge=False, title="true class (rows) by predicted class (columns)", title_justify="left"
    )
    table.add_column("")
    for label in classes:
        table.add_column(Text(printable(str(label))), justify="right")
    for i, label in enumerate(classes):
        row = [Text(str(n) if n else "·", style="" if i == j or not n else "bold red") for j, n in enumerate(counts[i])]
        table.add_row(Text(printable(str(label))), *row)
    return table


def plain_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Return a table of anything; floats are shortened, short rows are filled with blanks."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=_box(), pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(Text(printable(name)), justify="right" if i else "left")
    for row in rows:
        cells = [f"{cell:.4g}" if isinstance(cell, float) else "–" if cell is None else str(cell) for cell in row]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


_STYLES = {"critical": "bold red", "warning": "yellow", "info": "blue"}


def verdict_line(report: Report) -> Text:
    """Return the doctor's verdict in one line, with what the examination cost."""
    from rich.text import Text

    first = report.primary
    style = "green" if report.healthy else "bold red"
    verdict = "healthy" if report.healthy else "problem found"
    line = Text.assemble("doctor: ", (verdict, style), "" if first is None else f": {first.title}")
    return line.append(f" ({_cost(report)})", "dim")


def _cost(report: Report) -> str:
    probes = 0 if report.trace is None else len(report.trace.readings)
    took = f"{report.seconds:.1f} s" if report.seconds >= 0.95 else f"{1000 * report.seconds:.0f} ms"
    return f"{probes} probe{'' if probes == 1 else 's'}, {took}"


def information_line(finding: Finding, interface: str = COMMAND_LINE) -> Text:
    """Return a finding that does not make the training worse in one line, with the fix as the user types it."""
    from rich.text import Text

    fix = "  ".join(filter(None, (finding.fix.text, finding.fix.line(interface))))
    return Text(f"{finding.title}: {finding.measured}. {fix}")


def card(finding: Finding, interface: str = COMMAND_LINE) -> Text:
    """Return a finding as text: severity, title, meaning, what was measured and tested, the fix as the user types it."""
    from rich.text import Text

    severity = (finding.severity, _STYLES.get(finding.severity, ""))
    lines = [Text.assemble(severity, f"  {finding.title}  ", (finding.symptom, "dim"))]
    fix = "  ".join(filter(None, (finding.fix.text, finding.fix.line(interface))))
    named = {"": finding.meaning, **card_lines(finding), "Fix": fix}
    for name, text in named.items():
        if text:
            lines.append(Text.assemble("  ", (f"{name.lower():9} " if name else "", "dim"), text))
    return Text("\n").join(lines)


def _box() -> Box:
    from rich import box

    return box.SIMPLE_HEAD
