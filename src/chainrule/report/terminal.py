"""Why: a run ends in one table that says how good the model is, and where it errs.

In: scores, confusion counts, a network. Out: rich tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.arrays import Array

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
    """True classes down, predicted classes across, zeros left blank, errors coloured."""
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


def _box() -> Any:
    from rich import box

    return box.SIMPLE_HEAD
