"""Runs side by side: the settings in which they differ, and the difference it made.

In: runs as their folders recorded them: settings, results, epochs. Out: a comparison as data and as a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.report.page.html import Section, details, page, table
from chainrule.report.plots import BarPlot, Curve, LinePlot, positive
from chainrule.report.svg.charts import figure
from chainrule.report.svg.frames import grid
from chainrule.report.svg.markup import Html, tag

_SAME = ("source", "target")


@dataclass(frozen=True)
class RecordedRun:
    """A run as its folder recorded it.

    Parameters
    ----------
    name : str
        What to call it.
    settings : mapping of str to object
        Its settings.
    result : mapping of str to object
        Scores by part of the data, epochs, seconds and other results.
    epochs : sequence of mappings
        The records of its epochs.
    """

    name: str
    settings: Mapping[str, Any]
    result: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class Comparison:
    """Runs, the settings in which they differ, and the results that all of them have.

    Parameters
    ----------
    names : tuple of str
        Names of the runs.
    settings, figures : mapping of str to tuple
        One value for each run, by the name of a setting that differs or of a result.
    effects : tuple of mappings
        For each run but the first: the settings that changed, and the difference of each result from the first run's.
    notes : tuple of str
        Reasons to read the differences with care.
    """

    names: tuple[str, ...]
    settings: Mapping[str, tuple[Any, ...]]
    figures: Mapping[str, tuple[float, ...]]
    effects: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return the comparison as dictionaries, lists, strings and numbers."""
        return {
            "runs": list(self.names),
            "settings": {name: list(values) for name, values in self.settings.items()},
            "figures": {name: list(values) for name, values in self.figures.items()},
            "effects": [dict(effect) for effect in self.effects],
            "notes": list(self.notes),
        }


def compare(runs: Sequence[RecordedRun]) -> Comparison:
    """Compare runs with the first.

    Parameters
    ----------
    runs : sequence of RecordedRun
        The runs, at least one.

    Returns
    -------
    comparison : Comparison
        Differing settings, results, and the differences from the first run.

    Examples
    --------
    >>> a = RecordedRun("a", {"alpha": 0.0, "seed": 0}, {"epochs": 3, "test": {"loss": 0.5}}, [])
    >>> b = RecordedRun("b", {"alpha": 0.1, "seed": 0}, {"epochs": 3, "test": {"loss": 0.25}}, [])
    >>> compare([a, b]).effects[0]["changed"], compare([a, b]).effects[0]["figures"]["test loss"]
    ({'alpha': (0.0, 0.1)}, -0.25)
    """
    names = tuple(run.name for run in runs)
    settings = dict.fromkeys(name for run in runs for name in run.settings)
    values = {name: tuple(run.settings.get(name) for run in runs) for name in settings}
    differ = {name: row for name, row in values.items() if any(value != row[0] for value in row)}
    each = [figures_of(run) for run in runs]
    shared = {name: tuple(known[name] for known in each) for name in each[0] if all(name in known for known in each)}
    effects = tuple(
        {
            "run": names[i],
            "against": names[0],
            "changed": {name: (row[0], row[i]) for name, row in differ.items() if row[i] != row[0]},
            "figures": {name: row[i] - row[0] for name, row in shared.items()},
        }
        for i in range(1, len(runs))
    )
    return Comparison(names, differ, shared, effects, tuple(_notes(differ)))


def figures_of(run: RecordedRun) -> dict[str, float]:
    """Return the numbers of a result by name: `test accuracy`, `seconds`."""
    figures: dict[str, float] = {}
    for name, value in run.result.items():
        named = {f"{name} {k}": v for k, v in value.items()} if isinstance(value, Mapping) else {name: value}
        figures |= {k: float(v) for k, v in named.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return figures


def _notes(differ: Mapping[str, Sequence[Any]]) -> list[str]:
    notes = [
        f"The runs used a different {name}, so their results are not comparable." for name in _SAME if name in differ
    ]
    if "seed" in differ:
        notes.append("The seeds differ, and with them the split: part of the difference is chance.")
    elif differ:
        notes.append("Each configuration ran once: small differences may come from the seed alone.")
    else:
        notes.append("The settings are the same.")
    return notes


def compare_page(runs: Sequence[RecordedRun]) -> str:
    """Return the HTML page of a comparison: what differs, the results, the curves on common axes.

    Parameters
    ----------
    runs : sequence of RecordedRun
        The runs, at least one.

    Returns
    -------
    text : str
        A page that loads nothing and runs nothing.
    """
    comparison = compare(runs)
    settings = table(["setting", *comparison.names], _differing(comparison), numbers=False)
    return page(
        " against ".join(comparison.names) if len(runs) < 4 else f"{len(runs)} runs",
        [
            Section("What differs", settings, "Settings that are the same in all runs are left out."),
            Section("Results", _outcomes(comparison), "In brackets: the difference from the first run."),
            _curves(runs),
        ],
        tag("ul", *(tag("li", note) for note in comparison.notes)),
    )


def _differing(comparison: Comparison) -> list[list[object]]:
    rows: list[list[object]] = [[name, *(_shown(v) for v in values)] for name, values in comparison.settings.items()]
    return rows or [["none", *("" for _ in comparison.names)]]


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _outcomes(comparison: Comparison) -> Html:
    rows = [
        [name, *(_beside(value, values[0], i) for i, value in enumerate(values))]
        for name, values in comparison.figures.items()
    ]
    measured = [name for name in comparison.figures if name.startswith(("test ", "validation ")) and "loss" not in name]
    drawn = [
        figure(
            BarPlot(name.capitalize(), comparison.names, comparison.figures[name], colors=range(len(comparison.names)))
        )
        for name in measured[:2]
    ]
    return tag("div", table(["result", *comparison.names], rows, numbers=False), grid(*drawn))


def _beside(value: float, first: float, place: int) -> str:
    return f"{value:.4g}" if place == 0 or value == first else f"{value:.4g} ({value - first:+.3g})"


def _curves(runs: Sequence[RecordedRun]) -> Section | None:
    """Show each measured column of the records as one chart with a curve for each run."""
    columns = [name for name in dict.fromkeys(k for run in runs for e in run.epochs for k in e) if name != "epoch"]
    first = [name for name in columns if name.startswith("validation_")] + ["train_loss"]
    rest = [name for name in columns if name not in first]
    drawn = [chart for name in first if (chart := _chart(runs, name)) is not None]
    others = [chart for name in rest if (chart := _chart(runs, name)) is not None]
    body = tag("div", grid(*drawn), details("More curves", grid(*others)) if others else None)
    return Section("Curves", body) if drawn or others else None


def _chart(runs: Sequence[RecordedRun], column: str) -> Html | None:
    curves = []
    for i, run in enumerate(runs):
        points = [(e.get("epoch"), e.get(column)) for e in run.epochs]
        known = [(float(x), math.nan if y is None else float(y)) for x, y in points if x is not None]
        curves.append(Curve(run.name, [x for x, _ in known], [y for _, y in known], i, dots=len(known) < 3))
    if not any(math.isfinite(v) for curve in curves for v in curve.y):
        return None
    log = positive(curves) and ("loss" in column or "rate" in column or "norm" in column)
    plot = LinePlot(column.replace("_", " ").capitalize(), curves, y_name=column.split("_")[-1], y_log=log)
    return figure(plot)
