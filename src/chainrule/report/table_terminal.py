"""What a training on a table shows in the terminal: its columns, its scores beside simple models, what it rests on.

In: the content of a run. Out: rich tables and texts, in which no name is taken as markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chainrule.display import printable
from chainrule.report.series import class_scores
from chainrule.report.table_run import (
    TableRunContent,
    best_text,
    column_groups,
    is_left_out,
    listing,
    score_name,
    score_text,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

MOST_CLASSES = 20
"""Classes up to which each has a line."""

_MOST_COLUMNS = 10
"""Columns up to which each has a line with its reason."""

_MOST_SINGLE = 6
_FEW_GROUPS = 5
_ONE_LINE, _TWO_LINES = 54, 110
"""Letters that fit beside the name of a group."""

_BAR = 24
_PARTS = " ▏▎▍▌▋▊▉"


def columns_table(columns: Iterable[tuple[str, str, str]]) -> Table:
    """Return the columns of a table with their kinds: one by one if they are few, in groups if they are many.

    Parameters
    ----------
    columns : iterable of (str, str, str)
        Name, kind and reason of each column, as `TableSchema.summary` returns them.

    Returns
    -------
    rich.table.Table
        At most about a dozen lines. Columns that are left out, or that the user overruled, have their own, with the
        reason.
    """
    from rich.text import Text

    listed = [(printable(name), kind, printable(reason)) for name, kind, reason in columns]
    if len(listed) <= _MOST_COLUMNS:
        table = _bare(3)
        for name, kind, reason in listed:
            table.add_row(Text(name), Text(kind, style=_style(kind, reason)), Text(reason, style="dim"))
        return table
    table = _bare(2)
    groups = column_groups(listed)
    most = _TWO_LINES if len(groups.used) + len(groups.single) <= _FEW_GROUPS else _ONE_LINE
    for kind, names in groups.used.items():
        table.add_row(Text(f"{kind} ({len(names):,})"), Text(listing(names, most)))
    for kind, reason, names in groups.single[:_MOST_SINGLE]:
        head = Text(f"{kind} ({len(names):,})", style=_style(kind, reason))
        table.add_row(head, Text.assemble(f"{listing(names, _ONE_LINE)}: ", (reason, "dim")))
    others = groups.single[_MOST_SINGLE:]
    if others:
        left_out = all(is_left_out(kind, reason) for kind, reason, _ in others)
        rest = [name for _, _, names in others for name in names]
        table.add_row(Text(f"{'left out' if left_out else 'others'} ({len(rest):,})"), Text(listing(rest, _ONE_LINE)))
    return table


def comparison_table(content: TableRunContent) -> Table:
    """Return the scores of the pack beside those of simple models on the same rows, the best in bold.

    Parameters
    ----------
    content : TableRunContent
        What the run shows.

    Returns
    -------
    rich.table.Table
        A row for each model, a column for each score, and the seconds.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title = f"on {len(content.y):,} {content.scored_on} rows"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=Text(title), title_justify="left")
    table.add_column("")
    for name in content.score_names:
        table.add_column(score_name(name), justify="right")
    table.add_column("seconds", justify="right")
    best = {name: best_text(content, name) for name in content.score_names}
    for model, scores, seconds in content.scores:
        cells = {name: score_text(name, scores.get(name)) for name in content.score_names}
        shown = [Text(cell, style="bold" if cell == best[name] else "") for name, cell in cells.items()]
        table.add_row(Text(model), *shown, "–" if seconds is None else f"{seconds:.1f}")
    return table


def importance_lines(content: TableRunContent, most: int = 8) -> Text:
    """Return the most important columns as bars.

    Parameters
    ----------
    content : TableRunContent
        What the run shows.
    most : int, default=8
        Columns to show.

    Returns
    -------
    rich.text.Text
        A line for each column: name, bar, rise of the loss and its standard error. Empty without importances.
    """
    from rich.text import Text

    shown = [(printable(name), rise, spread) for name, rise, spread in content.importances[:most]]
    wide = min(max((len(name) for name, _, _ in shown), default=0), 28)
    longest = max((rise for _, rise, _ in shown if math.isfinite(rise)), default=0.0)
    lines = []
    for name, rise, spread in shown:
        label = name if len(name) <= wide else name[: wide - 1] + "…"
        amount = f"{rise:+.3g}" if math.isfinite(rise) else "–"
        amount += f" ± {spread:.1g}" if math.isfinite(spread) else ""
        lines.append(
            Text.assemble(f"{label:{wide}}  ", (f"{_bar(rise, longest):{_BAR}}", "blue"), (f"  {amount}", "dim"))
        )
    return Text("\n").join(lines)


def class_table(content: TableRunContent) -> Table | None:
    """Return precision, recall and F1 of each class.

    Parameters
    ----------
    content : TableRunContent
        What the run shows.

    Returns
    -------
    rich.table.Table or None
        None for a regression, and for more classes than a terminal has room for.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    counts = content.confusion
    names = content.classes or ()
    if counts is None or not 2 <= len(names) <= MOST_CLASSES:
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class")
    for name in ("rows", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for label, count, scores in zip(names, counts.sum(axis=1), class_scores(counts), strict=True):
        table.add_row(Text(printable(label)), f"{int(count):,}", *(score_text("f1", float(score)) for score in scores))
    return table


def _bare(count: int) -> Table:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold", max_width=30)
    for _ in range(1, count):
        table.add_column("", overflow="fold")
    return table


def _style(kind: str, reason: str) -> str:
    return "yellow" if is_left_out(kind, reason) else "bold" if reason.startswith("asked for") else ""


def _bar(value: float, longest: float) -> str:
    """Return a bar of eighths of letters; none for a value that is not above 0."""
    if not math.isfinite(value) or value <= 0:
        return ""
    eighths = round(8 * _BAR * value / longest)
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()
