"""Plots as data: curves, bars and points that any renderer can draw.

A plot says what there is to see; `report.svg` and `report.matplotlib` say how it looks. So a picture is computed once, is
tested without drawing it, and is the same in a page, a notebook and a PNG file.

In: numbers and names. Out: `LinePlot`, `BarPlot`, `ScatterPlot`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from chainrule.arrays import Array

Numbers: TypeAlias = Sequence[float] | Array

PALETTE = ("#1f5a94", "#d1603d", "#2f8f6b", "#8a5fa8", "#a67c00", "#3d9db3", "#7a4a3a", "#6b6b6b")
"""Eight colors that color-blind readers can distinguish in this order; the style sheet has the same ones, and dark ones."""

TRAINING, HELD_OUT, NEUTRAL = 0, 1, 7
"""Places in the palette of what is measured on training rows, on held-out rows, and of marks."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A named curve.

    Parameters
    ----------
    name : str
        What the legend calls it.
    x, y : sequence of float
        Positions and values. A value that is not finite leaves a gap.
    color : int, default=None
        Place in the palette; None takes the place of the curve in its plot. Places beyond the palette are dashed.
    low, high : sequence of float, default=None
        Ends of a band around the curve.
    dots : bool, default=False
        Whether to mark each point.
    joined : bool, default=True
        Whether to join the points. Two measurements far apart are no course, and are better not joined.
    dashed : bool, default=False
        Whether to break the line.
    thin : bool, default=False
        Whether this is background, such as a contour: drawn thin, and not in the legend.
    """

    name: str
    x: Numbers
    y: Numbers
    color: int | None = None
    low: Numbers | None = None
    high: Numbers | None = None
    dots: bool = False
    joined: bool = True
    dashed: bool = False
    thin: bool = False


@dataclass(frozen=True)
class Mark:
    """A place on the horizontal axis, with a short label."""

    x: float
    label: str = ""


@dataclass(frozen=True)
class Level:
    """A named level on the vertical axis."""

    y: float
    name: str


@dataclass(frozen=True, eq=False)
class LinePlot:
    """Curves over common axes.

    Parameters
    ----------
    title : str
        What is shown.
    curves : sequence of Curve
        The curves, in the order of the legend.
    x_name, y_name : str, default="epoch", ""
        What the axes measure.
    x_log, y_log : bool, default=False
        Whether an axis is logarithmic; values that are not above 0 are gaps there.
    marks : sequence of Mark, default=()
        Places on the horizontal axis.
    levels : sequence of Level, default=()
        Levels on the vertical axis.
    within : sequence of float, default=()
        Values of the vertical axis that must have room.
    x_limits, y_limits : pair of float, default=None
        Ends of the axes; by default those of the curves.
    x_ticks : sequence of float, default=()
        Values to name on the horizontal axis; by default round ones.
    note : str, default=""
        A sentence under the plot.
    width, height : float, default=420, 240
        Size in the plot's own units, of which its text is 12 high.
    """

    title: str
    curves: Sequence[Curve]
    x_name: str = "epoch"
    y_name: str = ""
    x_log: bool = False
    y_log: bool = False
    marks: Sequence[Mark] = ()
    levels: Sequence[Level] = ()
    within: Sequence[float] = ()
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    x_ticks: Sequence[float] = ()
    note: str = ""
    width: float = 420.0
    height: float = 240.0


@dataclass(frozen=True, eq=False)
class BarPlot:
    """One horizontal bar for each name.

    Parameters
    ----------
    title : str
        What is shown.
    names : sequence of str
        Names of the bars.
    values : sequence of float
        Their lengths.
    x_name : str, default=""
        What the bars measure.
    log : bool, default=False
        Whether the axis is logarithmic.
    intervals : sequence of pairs of float, default=()
        Ends of an interval on each bar; ends that are not finite are not drawn.
    points : sequence of sequences of float, default=()
        Single measurements behind each bar.
    colors : sequence of int, default=()
        Places in the palette; by default the first for all.
    include : sequence of float, default=(0.0,)
        Values that must have room on an axis that is not logarithmic.
    note : str, default=""
        A sentence under the plot.
    """

    title: str
    names: Sequence[str]
    values: Sequence[float]
    x_name: str = ""
    log: bool = False
    intervals: Sequence[tuple[float, float]] = ()
    points: Sequence[Sequence[float]] = ()
    colors: Sequence[int] = ()
    include: Sequence[float] = (0.0,)
    note: str = ""


@dataclass(frozen=True, eq=False)
class Points:
    """Points of one kind. `sizes` are radii in the plot's units; None draws all alike."""

    name: str
    x: Numbers
    y: Numbers
    color: int | None = None
    sizes: Numbers | None = None


@dataclass(frozen=True, eq=False)
class ScatterPlot:
    """Points over common axes.

    Parameters
    ----------
    title : str
        What is shown.
    groups : sequence of Points
        The points, by kind.
    x_name, y_name : str
        What the axes measure.
    x_log, y_log : bool, default=False
        Whether an axis is logarithmic.
    diagonal : bool, default=False
        Whether to draw the line on which both are equal.
    note : str, default=""
        A sentence under the plot.
    most : int, default=600
        Points drawn of each kind at most, evenly chosen.
    """

    title: str
    groups: Sequence[Points]
    x_name: str
    y_name: str
    x_log: bool = False
    y_log: bool = False
    diagonal: bool = False
    note: str = ""
    most: int = 600


Plot: TypeAlias = LinePlot | BarPlot | ScatterPlot


def finite(values: Numbers) -> Array:
    """Return the finite ones of some values, float64."""
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), np.float64)
    return array[np.isfinite(array)]


def positive(curves: Sequence[Curve]) -> bool:
    """Check whether curves can have a logarithmic axis: there is a finite value, and each is above 0."""
    known = np.concatenate([finite(curve.y) for curve in curves]) if curves else np.zeros(0)
    return bool(len(known)) and bool((known > 0).all())


def log10(value: float) -> float:
    """Return the logarithm of a finite value above 0, NaN of others."""
    return math.log10(value) if value > 0 and math.isfinite(value) else math.nan
