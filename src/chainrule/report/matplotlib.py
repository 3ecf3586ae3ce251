"""Plots drawn by matplotlib, for PNG files and for axes that the caller has.

In: plots as data, a range test. Out: matplotlib figures, the axes that were drawn on, bytes as PNG.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.report import series
from chainrule.report.plots import NEUTRAL, PALETTE, Curve, LinePlot, finite
from chainrule.train.range_test import RangeResult

TRAINING_COLOR, HELD_OUT_COLOR, NEUTRAL_COLOR = (PALETTE[i] for i in (0, 1, NEUTRAL))


def rate_curve(result: RangeResult) -> Any:
    """Return a `Figure` with the loss of a range test by learning rate, the suggested rate marked.

    Parameters
    ----------
    result : RangeResult
        What `chainrule.train.range_test` measured.

    Returns
    -------
    figure : matplotlib.figure.Figure
        One pair of axes.
    """
    figure = _figure(7.0, 4.0)
    draw(figure.subplots(), series.rate_curve(result))
    return figure


def draw(ax: Any, plot: LinePlot) -> Any:
    """Draw curves on axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The axes to draw on.
    plot : LinePlot
        What to draw, for example one of `chainrule.report.series`.

    Returns
    -------
    ax : matplotlib.axes.Axes
        The same axes.
    """
    for i, curve in enumerate(plot.curves):
        draw_curve(ax, curve, PALETTE[(i if curve.color is None else curve.color) % len(PALETTE)])
    for level in plot.levels:
        ax.axhline(level.y, color=NEUTRAL_COLOR, linestyle="--", linewidth=1.0, label=as_text(level.name))
    for mark in plot.marks:
        ax.axvline(mark.x, color=NEUTRAL_COLOR, linestyle=":", linewidth=1.2, label=as_text(mark.label))
    name_axes(ax, plot.x_name, plot.y_name, plot.title)
    if plot.x_log:
        ax.set_xscale("log")
    if plot.y_log:
        log_axis(ax, plot.curves)
    if plot.x_ticks:
        ax.set_xticks(plot.x_ticks, [f"{value:g}" for value in plot.x_ticks], minor=False)
    return finish(ax, legend=len(plot.curves) + len(plot.marks) + len(plot.levels) > 1)


def draw_curve(ax: Any, curve: Curve, color: str, **style: Any) -> None:
    """Draw one curve and its band."""
    marker = "o" if curve.dots else ""
    line = "--" if curve.dashed else "-"
    look: dict[str, Any] = {"label": as_text(curve.name), "marker": marker, "linestyle": line}
    if curve.thin:
        look |= {"alpha": 0.35, "linewidth": 1.0}
    if not curve.joined:
        look |= {"marker": "o", "linestyle": ""}
    ax.plot(curve.x, curve.y, color=color, **(look | style))
    if curve.low is not None and curve.high is not None:
        ax.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.2, linewidth=0)


def finish(ax: Any, legend: bool = False, **place: Any) -> Any:
    """Add a light grid, and a legend without a frame, whose names are no formulas."""
    ax.grid(alpha=0.25)
    if legend:
        for text in ax.legend(frameon=False, **place).get_texts():
            text.set_parse_math(False)
    return ax


def name_axes(ax: Any, x_name: str, y_name: str, title: str | None = None) -> None:
    """Name axes as the names are: a `$` in the name of a file or a column is no mathematics."""
    ax.set_xlabel(as_text(x_name), parse_math=False)
    ax.set_ylabel(as_text(y_name), parse_math=False)
    if title is not None:
        ax.set_title(as_text(title), parse_math=False)


def as_text(name: object, most: int = 100) -> str:
    """Return a name that can be drawn in one line: not too long, with a mark for each character that cannot be drawn.

    >>> as_text("sales of all shops", 10)
    'sales of …'
    """
    shown = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(name).split()))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def log_axis(ax: Any, curves: Sequence[Curve]) -> None:
    """Set a logarithmic vertical axis with plain numbers, more of them where the curves span little."""
    from matplotlib.ticker import LogLocator, NullFormatter

    known = finite([v for curve in curves for v in curve.y if v > 0])
    decades = math.log10(float(known.max() / known.min())) if len(known) else 0.0
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1,) if decades > 3 else (1, 2, 5) if decades > 0.7 else range(1, 10)))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def tinted(depth: Any) -> Any:
    """Return a matrix of strengths (K, K) as colors (K, K, 3): white to blue on the diagonal, to orange beside it."""
    from matplotlib.colors import to_rgb

    right, wrong = (np.array(to_rgb(color)) for color in (TRAINING_COLOR, HELD_OUT_COLOR))
    full = np.where(np.eye(len(depth), dtype=bool)[..., None], right, wrong)
    return 1.0 - depth[..., None] * (1.0 - full)


def png(figure: Any) -> bytes:
    """Return a figure as the bytes of a PNG file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.

    Returns
    -------
    data : bytes
        The file, at 130 dots per inch.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # the font lacks a letter and draws a box in its place
        figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _figure(width: float, height: float) -> Any:
    """Return a figure of a size in inches, without pyplot and its global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
