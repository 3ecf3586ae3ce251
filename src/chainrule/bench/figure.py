"""The picture of a benchmark: how many times slower each peer is, on a logarithmic scale.

In: results. Out: a matplotlib figure: one row per training workload, one mark per peer, ours at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.bench.measure import Result
from chainrule.bench.peers import PEERS
from chainrule.report.matplotlib import HELD_OUT_COLOR, NEUTRAL_COLOR, TRAINING_COLOR

_OTHERS = ("#8c3b1f", "#2a9d8f", "#0b5351", "#b58900", "#7b4ea3", "#c06c9a", "#4c78a8", "#9a9a9a")
_COLORS = (HELD_OUT_COLOR, *_OTHERS[:4], NEUTRAL_COLOR, *_OTHERS[4:])
_SHAPES = "osD^vPX<>p"


def ratios(results: Sequence[Result]) -> Any:
    """Draw each peer's time as a multiple of chainrule's, with quartiles as bars; return a matplotlib `Figure`."""
    from matplotlib.figure import Figure

    rows = [r for r in results if r.workload.kind == "training" and r.of(r.ours)] or [
        r for r in results if r.of(r.ours)
    ]
    figure = Figure(figsize=(9.0, 1.6 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1.0, color=TRAINING_COLOR, linewidth=2.0, label="chainrule")
    shown = [key for key in PEERS if any(key != r.ours and r.of(key) for r in rows)]
    for i, key in enumerate(shown):
        points = [(y, ratio) for y, r in enumerate(rows) if key != r.ours and (ratio := r.ratio(key)) is not None]
        x = [ratio.median for _, ratio in points]
        ends = [[ratio.median - ratio.low for _, ratio in points], [ratio.high - ratio.median for _, ratio in points]]
        axes.errorbar(
            x,
            [y for y, _ in points],
            xerr=ends,
            label=PEERS[key].title,
            color=_COLORS[i % len(_COLORS)],
            fmt=_SHAPES[i % len(_SHAPES)],
            linewidth=1.2,
        )
    axes.set(xscale="log", xlabel="time of a step relative to chainrule's (logarithmic; right of the line is slower)")
    axes.set_yticks(range(len(rows)), [r.workload.name for r in rows])
    axes.invert_yaxis()
    axes.grid(alpha=0.25, which="both")
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure
