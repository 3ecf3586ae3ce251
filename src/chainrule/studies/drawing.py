"""Why: the pictures of all studies look alike, so that a reader learns them once.

In: curves and figures by arm and seed. Out: matplotlib figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.studies.statistics import estimate

ColorS = ("#1f5a94", "#d1603d", "#3f8f5f", "#8a5fa8", "#b58a1b", "#4aa3b5", "#7a4a3a", "#6b6b6b", "#c05c8a", "#2e2e2e")
"""Ten colors that stay apart for color-blind readers in this order."""


def figure(width: float = 7.2, height: float = 4.0, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    """A figure of so many inches, without pyplot's global state, and its axes (one, or an array)."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(rows, columns)


def curves(axes: Any, by_arm: Mapping[str, Array], x: Array | None = None, **labels: Any) -> None:
    """The mean over seeds of each arm's curve (seeds, length), and the band from the lowest to the highest seed."""
    for (arm, values), color in zip(by_arm.items(), cycle(len(by_arm)), strict=True):
        at = np.arange(1, values.shape[1] + 1) if x is None else np.asarray(x)[: values.shape[1]]
        axes.plot(at, np.median(values, axis=0), color=color, label=arm, linewidth=1.8)
        if len(values) > 1:
            axes.fill_between(at, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    finish(axes, legend=len(by_arm) > 1, **labels)


def bars(axes: Any, by_arm: Mapping[str, Array], **labels: Any) -> None:
    """One bar an arm at the mean of its values (seeds), with the 95 % interval and every seed as a dot."""
    for i, ((_, values), color) in enumerate(zip(by_arm.items(), cycle(len(by_arm)), strict=True)):
        found = estimate(values)
        axes.bar(i, found.mean, color=color, alpha=0.55, width=0.65)
        axes.plot([i] * len(values), values, ".", color=color, markersize=6)
        if not np.isnan(found.half):
            axes.errorbar(i, found.mean, found.half, color="#2e2e2e", capsize=4, linewidth=1.2)
    axes.set_xticks(
        range(len(by_arm)),
        list(by_arm),
        rotation=30 if len(by_arm) > 5 else 0,
        ha="right" if len(by_arm) > 5 else "center",
    )
    finish(axes, legend=False, **labels)


def finish(axes: Any, *, legend: bool = True, **labels: Any) -> None:
    """Labels, a light grid, a legend without a frame."""
    axes.set(**labels)
    axes.grid(alpha=0.25, which="both" if labels.get("yscale") == "log" else "major")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=8.5)


def cycle(n: int) -> Sequence[str]:
    """n colors."""
    return [ColorS[i % len(ColorS)] for i in range(n)]


def one(draw: Callable[[Any], None], width: float = 7.2, height: float = 4.0) -> Any:
    """A figure with one pair of axes that `draw` fills."""
    made, axes = figure(width, height)
    draw(axes)
    return made
