"""The report's pictures as SVG texts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

COLOR = "#2a6f97"
OWN = "#c1440e"


def color(peer: str) -> str:
    """Return chainrule's color, or the others'."""
    return OWN if peer.startswith("chainrule") else COLOR


def svg(figure: Figure) -> str:
    """Return the figure as an SVG element with text as text."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tables"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def canvas(height: float) -> tuple[Figure, Any]:
    """Return a figure with one pair of axes without a box."""
    figure = Figure(figsize=(8.0, height))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def rank_bars(ranks: Mapping[str, float]) -> str:
    """Draw the mean ranks, the best on top."""
    figure, axes = canvas(0.8 + 0.35 * len(ranks))
    peers = list(ranks)[::-1]
    bars = axes.barh(peers, [ranks[peer] for peer in peers], color=[color(peer) for peer in peers])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlabel("mean rank over the tables (1 is best)")
    return svg(figure)


def ratio_strips(ratios: Mapping[str, Sequence[float]], reference: str) -> str:
    """Draw each method's ratios to the reference, one dot per table."""
    figure, axes = canvas(0.9 + 0.45 * len(ratios))
    peers = list(ratios)[::-1]
    rng = np.random.default_rng(0)
    for place, peer in enumerate(peers):
        heights = place + rng.uniform(-0.2, 0.2, len(ratios[peer]))
        axes.scatter(ratios[peer], heights, s=18, alpha=0.6, color=color(peer))
        if len(ratios[peer]):
            axes.plot([np.median(ratios[peer])] * 2, [place - 0.3, place + 0.3], color="black")
    axes.axvline(1.0, color="gray", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(plain())
    axes.xaxis.set_minor_formatter(plain())
    axes.set_yticks(range(len(peers)), peers)
    axes.set_xlabel(f"score divided by {reference}'s (left is better; one dot per table, line: median)")
    return svg(figure)


def seconds_and_ranks(points: Mapping[str, tuple[float, float]]) -> str:
    """Draw the median seconds of a fit against the mean rank."""
    figure, axes = canvas(4.0)
    for peer, (seconds, rank) in points.items():
        axes.scatter([seconds], [rank], color=color(peer))
        axes.annotate(peer, (seconds, rank), xytext=(6, 4), textcoords="offset points")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(plain())
    axes.invert_yaxis()
    axes.set_xlabel("seconds of a fit (median over the tables)")
    axes.set_ylabel("mean rank (1 is best)")
    return svg(figure)


def plain() -> FuncFormatter:
    """Return a formatter that writes 0.1 and 10, not powers."""
    return FuncFormatter(lambda value, _: f"{value:g}")
