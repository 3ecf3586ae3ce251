"""The axes of a chart, and the room around what is drawn.

In: two scales. Out: ticks, lines and names of the axes as SVG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chainrule.report.svg.markup import Html, number, tag
from chainrule.report.svg.scales import Scale

WIDTH, HEIGHT = 420.0, 240.0
"""Size of a chart in its own units: about the width of a phone, so that its text stays legible there."""

LEFT, RIGHT, TOP, BOTTOM = 66.0, 12.0, 12.0, 38.0
"""Room around what is drawn, for the text of the axes: six digits and a sign beside the name of the axis."""

_COUNTED = ("epoch", "layer", "step", "trial")
"""Axes whose values are whole numbers."""


@dataclass(frozen=True)
class PlotArea:
    """Two scales and their names."""

    x: Scale
    y: Scale
    x_name: str = ""
    y_name: str = ""


def axis_below(area: PlotArea, height: float, ticks: Sequence[float] = (), plain: bool = False) -> Iterator[Html]:
    """Draw the horizontal axis: its ticks (round ones if none are given), its line and its name.

    `plain` ticks are few, for a narrow axis.
    """
    bottom, top = max(area.y.start, area.y.end), min(area.y.start, area.y.end)
    counted = area.x_name in _COUNTED
    named = [(value, number(value)) for value in ticks if area.x.shows(value)] or area.x.ticks(4 if plain else 6)
    right = -100.0
    for value, name in named:
        if counted and value != round(value):
            continue
        x = area.x.at(value)
        yield tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid")
        half = 3.2 * len(name)
        if x - half > right:
            yield tag("text", name, class_="mid", x=x, y=bottom + 15)
            right = x + half + 3
    yield tag("line", x1=area.x.start, x2=area.x.end, y1=bottom, y2=bottom, class_="axis")
    yield tag("text", area.x_name, class_="mid name", x=(area.x.start + area.x.end) / 2, y=height - 6)


def axis_left(area: PlotArea) -> Iterator[Html]:
    """Draw the vertical axis: its ticks, its line and its name."""
    for value, name in area.y.ticks(5):
        y = area.y.at(value)
        yield tag("line", x1=area.x.start, x2=area.x.end, y1=y, y2=y, class_="grid")
        yield tag("text", name, class_="end", x=area.x.start - 5, y=y + 4)
    yield tag("line", x1=area.x.start, x2=area.x.start, y1=area.y.start, y2=area.y.end, class_="axis")
    if area.y_name:
        middle = (area.y.start + area.y.end) / 2
        turn = f"rotate(-90 12 {middle:g})"
        yield tag("text", area.y_name, class_="mid name", x=12.0, y=middle, transform=turn)
