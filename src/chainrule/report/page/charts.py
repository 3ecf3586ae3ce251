"""Why: curves, bars, points, bands are drawn by a few small functions, so that every picture of every page looks alike.

In: numbers and names. Out: a `<figure>` with an SVG that a screen reader can tell, and its legend.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from chainrule.arrays import Array
from chainrule.report.page.markup import Html, joined, number, tag
from chainrule.report.page.scales import Scale, finite, scale, thinned

WIDTH, HEIGHT = 420.0, 240.0
"""Size of a chart in its own units: about those of a telephone's screen, so that letters stay legible there."""

LEFT, RIGHT, TOP, BOTTOM = 54.0, 12.0, 12.0, 36.0
"""Room around what is drawn, for the axes' words."""

_COUNTED = ("epoch", "layer", "step")
"""Axes whose values are whole numbers."""

SERIES = 8
"""Colors of the style sheet; further lines begin again, dashed."""


Numbers: TypeAlias = Sequence[float] | Array


@dataclass(frozen=True)
class Line:
    """A named curve. `look` is the number of its color; `dots` marks each point; `dashed` breaks the line."""

    name: str
    x: Numbers
    y: Numbers
    look: int | None = None
    dots: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A place on the horizontal axis, with a short label above it."""

    x: float
    label: str = ""


@dataclass(frozen=True)
class Level:
    """A named level on the vertical axis."""

    y: float
    name: str


@dataclass(frozen=True)
class Frame:
    """Two scales and their names: what all charts with axes share."""

    x: Scale
    y: Scale
    x_name: str = ""
    y_name: str = ""


def lines(
    title: str,
    series: Sequence[Line],
    *,
    x: str = "epoch",
    y: str = "",
    log: bool = False,
    marks: Sequence[Mark] = (),
    levels: Sequence[Level] = (),
    note: str = "",
    height: float = HEIGHT,
    within: Sequence[float] = (),
) -> Html:
    """Curves over one axis; gaps where a value is not finite, or not above 0 where the axis is logarithmic.

    `within` are values of the vertical axis that must have room.
    """
    series = [replace(line, look=i if line.look is None else line.look) for i, line in enumerate(series)]
    series = [replace(line, x=px, y=py) for line in series for px, py in (thinned(line.x, line.y),)]
    across = scale([v for line in series for v in line.x], LEFT, WIDTH - RIGHT, margin=0.02)
    up = scale(
        [v for line in series for v in line.y],
        height - BOTTOM,
        TOP,
        log=log,
        include=[*(level.y for level in levels), *within],
    )
    frame = Frame(across, up, x, y)
    drawn = [*_levels(frame, levels), *_marks(frame, marks, height), *(_curve(frame, line) for line in series)]
    if not any(up.shows(v) for line in series for v in line.y):
        drawn.append(tag("text", "nothing finite to draw", class_="mid", x=WIDTH / 2, y=height / 2))
    names = [(line.name, _look(line.look), line.dashed) for line in series] if len(series) > 1 or levels else []
    told = "; ".join(_told(line) for line in series)
    return figure(title, told, frame, drawn, names, note, height)


def _told(line: Line) -> str:
    """A curve in words: where it begins, ends, and its range."""
    known = finite(line.y)
    if not len(known):
        return f"{line.name}: no finite value"
    ends = f"from {number(known[0])} to {number(known[-1])}"
    return f"{line.name}: {ends}, lowest {number(known.min())}, highest {number(known.max())}"


def _curve(frame: Frame, line: Line) -> Html:
    parts = list(_pieces(frame, line))
    look = f"line s{_look(line.look)}"
    paths = [
        tag("polyline", points=_points(part), class_=look, stroke_dasharray="5 4" if _dashed(line) else None)
        for part in parts
        if len(part) > 1
    ]
    alone = [part[0] for part in parts if len(part) == 1]
    shown = [point for part in parts for point in part] if line.dots else alone
    dots = [tag("circle", cx=px, cy=py, r=3.0, class_=f"dot s{_look(line.look)}") for px, py in shown]
    return tag("g", tag("title", line.name), *paths, *dots)


def _pieces(frame: Frame, line: Line) -> Iterator[list[tuple[float, float]]]:
    """The curve's unbroken parts as positions."""
    part: list[tuple[float, float]] = []
    for px, py in zip(line.x, line.y, strict=True):
        if frame.y.shows(py) and frame.x.shows(px):
            part.append((frame.x.at(px), frame.y.at(py)))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _points(part: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in part)


def _look(look: int | None) -> int:
    return (look or 0) % SERIES


def _dashed(line: Line) -> bool:
    return line.dashed or (line.look or 0) >= SERIES


def _levels(frame: Frame, levels: Sequence[Level]) -> Iterator[Html]:
    for level in levels:
        if frame.y.shows(level.y):
            y = frame.y.at(level.y)
            yield tag("line", x1=frame.x.start, x2=frame.x.end, y1=y, y2=y, class_="level")
            yield tag("text", level.name, class_="end", x=frame.x.end, y=y - 4)


def _marks(frame: Frame, marks: Sequence[Mark], height: float) -> Iterator[Html]:
    """Dotted lines; labels of marks that stand close are joined."""
    joined_marks: list[tuple[float, list[str]]] = []
    for mark in sorted(marks, key=lambda mark: mark.x):
        x = frame.x.at(mark.x)
        if joined_marks and x - joined_marks[-1][0] < 14:
            joined_marks[-1][1].append(mark.label)
        else:
            joined_marks.append((x, [mark.label]))
    for x, labels in joined_marks:
        label = " ".join(dict.fromkeys(filter(None, labels)))
        yield tag("line", x1=x, x2=x, y1=TOP, y2=height - BOTTOM, class_="mark")
        right = x > frame.x.end - 60
        yield tag("text", label, class_="end strong" if right else "strong", x=x - 3 if right else x + 3, y=TOP + 8)


def scatter(
    title: str,
    x: Numbers,
    y: Numbers,
    *,
    x_name: str,
    y_name: str,
    diagonal: bool = False,
    note: str = "",
    most: int = 600,
) -> Html:
    """Points, at most so many of them evenly chosen; with the line on which both are equal, if asked."""
    every = max(1, -(-len(x) // most))
    pairs = [(float(a), float(b)) for a, b in list(zip(x, y, strict=True))[::every]]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    both = [v for pair in pairs for v in pair] if diagonal else []
    frame = Frame(
        scale([a for a, _ in pairs], LEFT, WIDTH - RIGHT, include=both),
        scale([b for _, b in pairs], HEIGHT - BOTTOM, TOP, include=both),
        x_name,
        y_name,
    )
    drawn = [tag("circle", cx=frame.x.at(a), cy=frame.y.at(b), r=2.2, class_="point s0") for a, b in pairs]
    if diagonal and both:
        low, high = frame.x.low, frame.x.high
        ends = {"x1": frame.x.at(low), "y1": frame.y.at(low), "x2": frame.x.at(high), "y2": frame.y.at(high)}
        drawn.append(tag("line", class_="level", **ends))
    return figure(title, f"{len(pairs)} of {len(x)} points", frame, drawn, [], note)


def bars(
    title: str,
    names: Sequence[str],
    values: Sequence[float],
    *,
    x_name: str = "",
    log: bool = False,
    note: str = "",
    looks: Sequence[int] = (),
    include: Sequence[float] = (0.0,),
) -> Html:
    """Horizontal bars, one a name, each with its number."""
    row, left = 20.0, 112.0
    below = BOTTOM if x_name else BOTTOM - 16
    height = row * max(len(names), 1) + TOP + below
    across = scale(values, left, WIDTH - 58, log=log, include=() if log else include, margin=0.0 if not log else 0.1)
    frame = Frame(across, Scale(0.0, max(float(len(names)), 1.0), TOP, height - below), x_name)
    zero = across.at(max(across.low, 0.0) if not across.log else across.low)
    drawn = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        y = TOP + row * i
        drawn.append(tag("text", clipped(name, 17), tag("title", name), class_="end", x=left - 6, y=y + 14))
        end = across.at(value) if across.shows(value) else zero
        box = {"x": min(zero, end), "y": y + 3, "width": max(abs(end - zero), 0.5), "height": row - 6}
        drawn.append(tag("rect", class_=f"bar s{_look(looks[i] if looks else 0)}", **box))
        drawn.append(tag("text", number(value), x=max(zero, end) + 5, y=y + 14))
    told = ", ".join(f"{name} {number(value)}" for name, value in zip(names, values, strict=True))
    return figure(title, told, frame, drawn, [], note, height, rows=True)


def band(
    title: str,
    x: Sequence[float],
    middle: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    x_name: str = "epoch",
    look: int = 0,
    width: float = 280.0,
    height: float = 150.0,
) -> Html:
    """One curve with the band around it, smaller than other charts: made to stand beside others of its kind."""
    rows = [row for row in zip(x, middle, low, high, strict=True) if all(map(math.isfinite, row))]
    frame = Frame(
        scale([row[0] for row in rows], 46.0, width - 8, margin=0.02),
        scale([v for row in rows for v in row[1:]], height - 30, 8.0),
        x_name,
    )
    at = [(frame.x.at(px), frame.y.at(pm), frame.y.at(pl), frame.y.at(ph)) for px, pm, pl, ph in rows]
    around = [(px, ph) for px, _, _, ph in at] + [(px, pl) for px, _, pl, _ in reversed(at)]
    drawn = [
        tag("polyline", points=_points(around), class_=f"band s{_look(look)}"),
        tag("polyline", points=_points([(px, pm) for px, pm, _, _ in at]), class_=f"line s{_look(look)}"),
    ]
    ends = [f"; at the end from {number(row[2])} to {number(row[3])}" for row in rows[-1:]]
    told = _told(Line("middle", x, middle)) + "".join(ends)
    return figure(title, told, frame, drawn, [], "", height, width=width)


def figure(
    title: str,
    description: str,
    frame: Frame,
    drawn: Sequence[Html],
    names: Sequence[tuple[str, int, bool]] = (),
    note: str = "",
    height: float = HEIGHT,
    *,
    width: float = WIDTH,
    rows: bool = False,
) -> Html:
    """What was drawn, within its axes, under its title, over its legend and note. With `rows` the left axis has no ticks."""
    axes = [*_axis_below(frame, height), *([] if rows else _axis_left(frame))]
    return framed(title, svg(title, description, [*axes, *drawn], width, height), legend(names), note)


def framed(title: str, body: Html, below: Html | None = None, note: str = "", wide: bool = False) -> Html:
    """A `<figure>` with a title over its body and a note under it."""
    words = tag("p", note, class_="note") if note else None
    return tag("figure", tag("figcaption", title), body, below, words, class_="wide" if wide else None)


def svg(title: str, description: str, drawn: Sequence[Html], width: float, height: float) -> Html:
    """A picture with the name and the words that a screen reader tells."""
    words = tag("title", title), tag("desc", description)
    return tag("svg", *words, *drawn, viewBox=f"0 0 {width:g} {height:g}", role="img")


def legend(names: Sequence[tuple[str, int, bool]]) -> Html | None:
    """The names of the colors; a dashed line shows as such."""
    if not names:
        return None
    entries = [tag("li", tag("span", class_=f"key s{look}" + " dashed" * dashed), name) for name, look, dashed in names]
    return tag("ul", *entries, class_="legend")


def _axis_below(frame: Frame, height: float) -> Iterator[Html]:
    bottom, top = max(frame.y.start, frame.y.end), min(frame.y.start, frame.y.end)
    counted = frame.x_name in _COUNTED
    for value, name in frame.x.ticks(6):
        if counted and value != round(value):
            continue
        x = frame.x.at(value)
        yield tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid")
        yield tag("text", name, class_="mid", x=x, y=bottom + 14)
    yield tag("line", x1=frame.x.start, x2=frame.x.end, y1=bottom, y2=bottom, class_="axis")
    yield tag("text", frame.x_name, class_="mid name", x=(frame.x.start + frame.x.end) / 2, y=height - 6)


def _axis_left(frame: Frame) -> Iterator[Html]:
    for value, name in frame.y.ticks(5):
        y = frame.y.at(value)
        yield tag("line", x1=frame.x.start, x2=frame.x.end, y1=y, y2=y, class_="grid")
        yield tag("text", name, class_="end", x=frame.x.start - 5, y=y + 4)
    yield tag("line", x1=frame.x.start, x2=frame.x.start, y1=frame.y.start, y2=frame.y.end, class_="axis")
    if frame.y_name:
        middle = (frame.y.start + frame.y.end) / 2
        turn = f"rotate(-90 12 {middle:g})"
        yield tag("text", frame.y_name, class_="mid name", x=12.0, y=middle, transform=turn)


def clipped(text: object, most: int) -> str:
    """A name that fits.

    >>> clipped("sepal length (cm)", 8)
    'sepal l…'
    """
    shown = " ".join(str(text).split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def grid(*figures: Html | None, small: bool = False) -> Html:
    """Figures side by side, as many as the page is wide."""
    return tag("div", joined(*figures), class_="charts small" if small else "charts")
