"""Why: which setting made the difference between runs is seen when only what differs is shown, beside what it came to.

In: runs as their folders tell them: settings, results, epochs. Out: a comparison as data and as a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.report.page.charts import SERIES, Line, bars, grid, lines
from chainrule.report.page.html import Section, details, page, table
from chainrule.report.page.markup import tag

_SAME = ("source", "target")


@dataclass(frozen=True)
class Kept:
    """A run as it was written down: its name, what it was asked, what it came to, its epochs' records."""

    name: str
    settings: Mapping[str, Any]
    result: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class Comparison:
    """Runs, the settings in which they differ, and figures that all of them have.

    `settings` and `figures` map a name to one value for each run. `effects` says, for each run but the first, what its
    figures came to beside the first run's, with the settings that changed. `notes` are reasons to read them with care.
    """

    names: tuple[str, ...]
    settings: Mapping[str, tuple[Any, ...]]
    figures: Mapping[str, tuple[float, ...]]
    effects: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Dictionaries, lists, strings and numbers."""
        return {
            "runs": list(self.names),
            "settings": {name: list(values) for name, values in self.settings.items()},
            "figures": {name: list(values) for name, values in self.figures.items()},
            "effects": [dict(effect) for effect in self.effects],
            "notes": list(self.notes),
        }


def compare(runs: Sequence[Kept]) -> Comparison:
    """What differs between runs, and what came of it.

    >>> a = Kept("a", {"alpha": 0.0, "seed": 0}, {"epochs": 3, "test": {"loss": 0.5}}, [])
    >>> b = Kept("b", {"alpha": 0.1, "seed": 0}, {"epochs": 3, "test": {"loss": 0.25}}, [])
    >>> compare([a, b]).effects[0]["changed"], compare([a, b]).effects[0]["figures"]["test loss"]
    ({'alpha': (0.0, 0.1)}, -0.25)
    """
    names = tuple(run.name for run in runs)
    asked = dict.fromkeys(name for run in runs for name in run.settings)
    values = {name: tuple(run.settings.get(name) for run in runs) for name in asked}
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


def figures_of(run: Kept) -> dict[str, float]:
    """Numbers of a result by name: `test accuracy`, `seconds`; those that are no numbers are left out."""
    found: dict[str, float] = {}
    for name, value in run.result.items():
        named = {f"{name} {k}": v for k, v in value.items()} if isinstance(value, Mapping) else {name: value}
        found |= {k: float(v) for k, v in named.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return found


def _notes(differ: Mapping[str, Sequence[Any]]) -> list[str]:
    told = [f"The runs have not the same {name}: their figures do not compare." for name in _SAME if name in differ]
    if "seed" in differ:
        told.append("The seeds differ, and with them the split: some of the difference is chance.")
    elif differ:
        told.append("One run each: differences as small as those between seeds say nothing.")
    else:
        told.append("The settings are the same.")
    return told


def compare_page(runs: Sequence[Kept]) -> str:
    """The page of a comparison: overlaid curves, what differs, what it came to."""
    found = compare(runs)
    return page(
        " against ".join(found.names) if len(runs) < 4 else f"{len(runs)} runs",
        [
            Section(
                "What differs",
                table(["setting", *found.names], _differing(found), numbers=False),
                "Settings that are the same in all runs are left out.",
            ),
            Section("What it came to", _outcomes(found), "Beside each figure, how far it is from the first run's."),
            _curves(runs),
        ],
        tag("ul", *(tag("li", note) for note in found.notes)),
    )


def _differing(found: Comparison) -> list[list[object]]:
    rows: list[list[object]] = [[name, *(_shown(v) for v in values)] for name, values in found.settings.items()]
    return rows or [["none", *("" for _ in found.names)]]


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _outcomes(found: Comparison) -> Any:
    header = ["figure", *found.names]
    rows = [
        [name, *(_beside(value, values[0], i) for i, value in enumerate(values))]
        for name, values in found.figures.items()
    ]
    measured = [name for name in found.figures if name.startswith(("test ", "validation ")) and "loss" not in name]
    drawn = [
        bars(name.capitalize(), found.names, found.figures[name], looks=range(len(found.names)))
        for name in measured[:2]
    ]
    return tag("div", table(header, rows, numbers=False), grid(*drawn))


def _beside(value: float, first: float, place: int) -> str:
    return f"{value:.4g}" if place == 0 or value == first else f"{value:.4g} ({value - first:+.3g})"


def _curves(runs: Sequence[Kept]) -> Section | None:
    """Each measured column of the records as one chart with a line for each run."""
    columns = [name for name in dict.fromkeys(k for run in runs for e in run.epochs for k in e) if name != "epoch"]
    first = [name for name in columns if name.startswith("validation_")] + ["train_loss"]
    rest = [name for name in columns if name not in first]
    drawn = [chart for name in first if (chart := _chart(runs, name)) is not None]
    others = [chart for name in rest if (chart := _chart(runs, name)) is not None]
    body = tag("div", grid(*drawn), details("More curves", grid(*others)) if others else None)
    return Section("Curves", body) if drawn or others else None


def _chart(runs: Sequence[Kept], column: str) -> Any:
    series = []
    for i, run in enumerate(runs):
        points = [(e.get("epoch"), e.get(column)) for e in run.epochs]
        known = [(float(x), math.nan if y is None else float(y)) for x, y in points if x is not None]
        series.append(
            Line(run.name, [x for x, _ in known], [y for _, y in known], i, dots=len(known) < 3, dashed=i >= SERIES)
        )
    values = [v for line in series for v in line.y if math.isfinite(v)]
    if not values:
        return None
    log = all(v > 0 for v in values) and ("loss" in column or "rate" in column or "norm" in column)
    return lines(column.replace("_", " ").capitalize(), series, y=column.split("_")[-1], log=log)
