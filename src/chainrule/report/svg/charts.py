"""Plots drawn as SVG, by a few small functions, so that all pictures of all pages look alike.

In: plots as data. Out: a `<figure>` with an SVG that a screen reader can read, its legend below; an SVG file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from chainrule.report.plots import BarPlot, Curve, LinePlot, Mark, Plot, Points, ScatterPlot, finite
from chainrule.report.svg.axes import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, PlotArea, axis_below, axis_left
from chainrule.report.svg.frames import clipped, framed, legend, svg
from chainrule.report.svg.markup import Html, number, tag
from chainrule.report.svg.scales import Scale, scale, thinned

COLORS = 8
"""Colors of the style sheet; further curves use them again, dashed."""

_ROW = 22.0
"""Height of one bar with its gap."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A drawn plot: title, words for screen readers, shapes, size, and the legend's (name, color, dashed)."""

    title: str
    description: str
    shapes: Sequence[Html]
    width: float
    height: float
    legend: Sequence[tuple[str, int, bool]] = ()
    note: str = ""


def figure(plot: Plot) -> Html:
    """Return a plot as a `<figure>`: its title, the SVG, the legend and the note."""
    drawing = draw(plot)
    picture = svg(drawing.title, drawing.description, drawing.shapes, drawing.width, drawing.height)
    return framed(drawing.title, picture, legend(drawing.legend), drawing.note)


def document(plot: Plot) -> str:
    """Return a plot as an SVG file that stands alone, with its title, legend and both color schemes inside."""
    drawing = draw(plot)
    shapes, height = _panel(drawing)
    return svg(drawing.title, drawing.description, [_style(), *shapes], drawing.width, height, alone=True)


def sheet(title: str, plots: Sequence[Plot]) -> str:
    """Return plots side by side as one SVG file that stands alone, under a title."""
    drawings = [draw(plot) for plot in plots]
    above = 24.0
    width = height = 0.0
    shapes: list[Html] = [_style()]
    for drawing in drawings:
        panel, below = _panel(drawing)
        shapes.append(tag("g", *panel, transform=f"translate({width:g} {above:g})"))
        width += drawing.width
        height = max(height, above + below)
    name = clipped(title, int(width / 7.5))
    shapes.append(tag("text", name, class_="mid strong", x=width / 2, y=17.0))
    words = ". ".join(f"{drawing.title}: {drawing.description}" for drawing in drawings)
    return svg(title, words, shapes, width, height, alone=True)


def _style() -> Html:
    return tag("style", Html(stylesheet() + "svg { background: var(--paper); }"))


def _panel(drawing: Drawing) -> tuple[list[Html], float]:
    """Return a plot with its title above and its legend below, and how high that is."""
    above = 22.0
    below = 0.0
    shapes = [tag("text", drawing.title, class_="strong", x=8.0, y=15.0)]
    shapes.append(tag("g", *drawing.shapes, transform=f"translate(0 {above:g})"))
    x = LEFT
    y = above + drawing.height + 8.0
    for name, color, dashed in drawing.legend:
        width = 34.0 + 6.4 * len(name)
        if x > LEFT and x + width > drawing.width:
            x, y = LEFT, y + 16.0
        dash = "5 4" if dashed else None
        shapes.append(tag("line", x1=x, x2=x + 18, y1=y, y2=y, class_=f"line s{color}", stroke_dasharray=dash))
        shapes.append(tag("text", name, x=x + 24, y=y + 4))
        x, below = x + width, y + 12.0 - above - drawing.height
    return shapes, above + drawing.height + below


def draw(plot: Plot) -> Drawing:
    """Return the shapes of any plot."""
    if isinstance(plot, LinePlot):
        return _lines(plot)
    return _bars(plot) if isinstance(plot, BarPlot) else _scatter(plot)


@cache
def stylesheet() -> str:
    """Return the style of all pictures, with the colors of both schemes."""
    return resources.files("chainrule.report.svg").joinpath("svg.css").read_text(encoding="utf-8")


def _lines(plot: LinePlot) -> Drawing:
    """Draw curves; with gaps where a value is not finite, or not above 0 where the axis is logarithmic."""
    curves = [replace(curve, color=i if curve.color is None else curve.color) for i, curve in enumerate(plot.curves)]
    area = _area(plot, curves)
    thin = [curve for curve in curves if curve.thin]
    drawn = [curve for curve in curves if not curve.thin]
    shapes = [*axis_below(area, plot.height, plot.x_ticks), *axis_left(area), *_levels(area, plot)]
    shapes += [_curve(area, curve) for curve in (*thin, *drawn)]
    shapes += _marks(area, plot.marks, plot.height)
    if not any(area.y.shows(v) for curve in curves for v in curve.y):
        shapes.append(tag("text", "nothing finite to draw", class_="mid", x=plot.width / 2, y=plot.height / 2))
    named = len(drawn) > 1 or bool(plot.levels)
    names = [(curve.name, _color(curve.color), _dashed(curve)) for curve in drawn if curve.name] if named else []
    words = "; ".join(_in_words(curve) for curve in drawn)
    return Drawing(plot.title, words, shapes, WIDTH, plot.height, names, plot.note)


def _area(plot: LinePlot, curves: Sequence[Curve]) -> PlotArea:
    across = [v for curve in curves for v in curve.x]
    up = [v for curve in curves for part in (curve.y, curve.low, curve.high) if part is not None for v in part]
    bottom = plot.height - BOTTOM
    left = LEFT
    right = plot.width - RIGHT
    if plot.x_limits is None:
        x = scale(across, left, right, log=plot.x_log, margin=0.02)
    else:
        x = Scale(*plot.x_limits, left, right, plot.x_log)
    if plot.y_limits is None:
        include = [*(level.y for level in plot.levels), *plot.within]
        y = scale(up, bottom, TOP, log=plot.y_log, include=include)
    else:
        y = Scale(*plot.y_limits, bottom, TOP, plot.y_log)
    return PlotArea(x, y, plot.x_name, plot.y_name)


def _in_words(curve: Curve) -> str:
    """Describe a curve: where it begins, where it ends, and its range."""
    known = finite(curve.y)
    if not len(known):
        return f"{curve.name}: no finite value"
    ends = f"from {number(known[0])} to {number(known[-1])}"
    return f"{curve.name}: {ends}, lowest {number(known.min())}, highest {number(known.max())}"


def _curve(area: PlotArea, curve: Curve) -> Html:
    x, y = thinned(curve.x, curve.y)
    parts = list(_parts(area, x, y))
    color = f"s{_color(curve.color)}"
    line = "line thin" if curve.thin else "line"
    dash = "5 4" if _dashed(curve) else None
    paths = [
        tag("polyline", points=_points(part), class_=f"{line} {color}", stroke_dasharray=dash)
        for part in parts
        if len(part) > 1 and curve.joined
    ]
    alone = [part[0] for part in parts if len(part) == 1]
    dotted = [point for part in parts for point in part] if curve.dots or not curve.joined else alone
    dots = [tag("circle", cx=px, cy=py, r=3.0, class_=f"dot {color}") for px, py in dotted]
    return tag("g", tag("title", curve.name), *_band(area, curve, color), *paths, *dots)


def _band(area: PlotArea, curve: Curve, color: str) -> Iterator[Html]:
    """Draw the band around a curve, where its ends are finite."""
    if curve.low is None or curve.high is None:
        return
    rows = zip(curve.x, curve.low, curve.high, strict=True)
    shown = [row for row in rows if area.x.shows(row[0]) and area.y.shows(row[1]) and area.y.shows(row[2])]
    around = [(x, high) for x, _, high in shown] + [(x, low) for x, low, _ in reversed(shown)]
    if around:
        points = _points([(area.x.at(x), area.y.at(y)) for x, y in around])
        yield tag("polygon", points=points, class_=f"band {color}")


def _parts(area: PlotArea, x: Sequence[float], y: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Yield the unbroken parts of a curve, as positions."""
    part: list[tuple[float, float]] = []
    for px, py in zip(x, y, strict=True):
        if area.y.shows(py) and area.x.shows(px):
            part.append((area.x.at(px), area.y.at(py)))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _points(part: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{px:.1f},{py:.1f}" for px, py in part)


def _color(color: int | None) -> int:
    return (color or 0) % COLORS


def _dashed(curve: Curve) -> bool:
    return curve.dashed or (curve.color or 0) >= COLORS


def _levels(area: PlotArea, plot: LinePlot) -> Iterator[Html]:
    for level in plot.levels:
        if area.y.shows(level.y):
            y = area.y.at(level.y)
            yield tag("line", x1=area.x.start, x2=area.x.end, y1=y, y2=y, class_="level")
            yield tag("text", level.name, class_="end halo", x=area.x.end, y=y - 4)


def _marks(area: PlotArea, marks: Sequence[Mark], height: float) -> Iterator[Html]:
    """Draw dotted lines; the labels of marks that stand close together are joined."""
    groups: list[tuple[float, list[str]]] = []
    for mark in sorted((mark for mark in marks if area.x.shows(mark.x)), key=lambda mark: mark.x):
        x = area.x.at(mark.x)
        if groups and x - groups[-1][0] < 14:
            groups[-1][1].append(mark.label)
        else:
            groups.append((x, [mark.label]))
    for x, labels in groups:
        label = " ".join(dict.fromkeys(filter(None, labels)))
        yield tag("line", x1=x, x2=x, y1=TOP, y2=height - BOTTOM, class_="mark")
        right = x + 7 * len(label) > area.x.end
        look = "end strong halo" if right else "strong halo"
        yield tag("text", label, class_=look, x=x - 3 if right else x + 3, y=TOP + 8)


def _scatter(plot: ScatterPlot) -> Drawing:
    groups = [_chosen(points, plot) for points in plot.groups]
    x = [px for group in groups for px, _, _ in group]
    y = [py for group in groups for _, py, _ in group]
    both = [*x, *y] if plot.diagonal else []
    area = PlotArea(
        scale(x, LEFT, WIDTH - RIGHT, log=plot.x_log, include=both),
        scale(y, HEIGHT - BOTTOM, TOP, log=plot.y_log, include=both),
        plot.x_name,
        plot.y_name,
    )
    colors = [_color(i if points.color is None else points.color) for i, points in enumerate(plot.groups)]
    shapes = [*axis_below(area, HEIGHT), *axis_left(area)]
    for group, color in zip(groups, colors, strict=True):
        shapes += [
            tag("circle", cx=area.x.at(px), cy=area.y.at(py), r=r, class_=f"point s{color}") for px, py, r in group
        ]
    if plot.diagonal and both:
        low, high = area.x.low, area.x.high
        ends = {"x1": area.x.at(low), "y1": area.y.at(low), "x2": area.x.at(high), "y2": area.y.at(high)}
        shapes.append(tag("line", class_="level", **ends))
    names = [(points.name, color, False) for points, color in zip(plot.groups, colors, strict=True)]
    words = f"{len(x)} of {sum(len(points.x) for points in plot.groups)} points"
    return Drawing(plot.title, words, shapes, WIDTH, HEIGHT, names if len(names) > 1 else (), plot.note)


def _chosen(points: Points, plot: ScatterPlot) -> list[tuple[float, float, float]]:
    """Return the positions and radii of evenly chosen points that can be shown."""
    every = max(1, -(-len(points.x) // plot.most))
    sizes = [2.2] * len(points.x) if points.sizes is None else points.sizes
    rows = list(zip(points.x, points.y, sizes, strict=True))[::every]
    return [
        (float(x), float(y), float(r))
        for x, y, r in rows
        if math.isfinite(x) and math.isfinite(y) and not (plot.x_log and x <= 0) and not (plot.y_log and y <= 0)
    ]


def _bars(plot: BarPlot) -> Drawing:
    left = min(max(52.0, 6.9 * max((len(name) for name in plot.names), default=0) + 12), 182.0)
    below = BOTTOM if plot.x_name else BOTTOM - 16
    height = _ROW * max(len(plot.names), 1) + TOP + below
    ends = [v for interval in plot.intervals for v in interval]
    known = [*plot.values, *ends, *(v for points in plot.points for v in points)]
    include = () if plot.log else plot.include
    across = scale(known, left, WIDTH - 58, log=plot.log, include=include, margin=0.1 if plot.log else 0.0)
    area = PlotArea(across, Scale(0.0, max(float(len(plot.names)), 1.0), TOP, height - below), plot.x_name)
    shapes = [*axis_below(area, height, plain=True)]
    for i in range(len(plot.names)):
        shapes += _bar(plot, i, across, left)
    words = ", ".join(f"{name} {number(value)}" for name, value in zip(plot.names, plot.values, strict=True))
    return Drawing(plot.title, words, shapes, WIDTH, height, (), plot.note)


def _bar(plot: BarPlot, i: int, across: Scale, left: float) -> Iterator[Html]:
    """Draw a name, its bar, its interval and points, and its number."""
    name = plot.names[i]
    value = plot.values[i]
    y = TOP + _ROW * i
    color = f"s{_color(plot.colors[i] if plot.colors else 0)}"
    most = int((left - 8) / 6.4)
    yield tag("text", clipped(name, most), tag("title", name), class_="end", x=left - 6, y=y + 15)
    zero = across.at(across.low if across.log else max(across.low, 0.0))
    end = across.at(value) if across.shows(value) else zero
    look = f"bar faint {color}" if plot.points else f"bar {color}"
    box = {"x": min(zero, end), "y": y + 3, "width": max(abs(end - zero), 0.5), "height": _ROW - 6}
    yield tag("rect", class_=look, **box)
    furthest = max(zero, end)
    middle = y + _ROW / 2
    for point in finite(plot.points[i]) if plot.points else ():
        if across.shows(point):
            yield tag("circle", cx=across.at(point), cy=middle, r=2.4, class_=f"dot {color}")
            furthest = max(furthest, across.at(point) + 2.4)
    low, high = plot.intervals[i] if plot.intervals else (math.nan, math.nan)
    if across.shows(low) and across.shows(high):
        a, b = across.at(low), across.at(high)
        path = f"M{a:.1f} {middle - 4:.1f}v8m0 -4H{b:.1f}m0 -4v8"
        yield tag("path", d=path, class_="whisker")
        furthest = max(furthest, b)
    yield tag("text", number(value), class_="halo", x=furthest + 5, y=y + 15)
