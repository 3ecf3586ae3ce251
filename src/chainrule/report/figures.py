"""Why: a learning curve is looked at, not read.

In: epoch records or the result of a rate test. Out: matplotlib figures, and their bytes as PNG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from chainrule.train import Epoch
from chainrule.train.range_test import RangeResult

TRAIN, HELD_OUT, MARK = "#1f5a94", "#d1603d", "#6b6b6b"
"""Colours that stay apart in print and for colour-blind readers: training, held-out rows, marks."""


def learning_curve(epochs: Sequence[Epoch], best_epoch: int | None = None, title: str = "") -> Any:
    """Loss (logarithmic) and metric by epoch, training and validation, the best epoch marked; a `Figure`."""
    figure = _figure(10.0, 3.8)
    for axes, part in zip(figure.subplots(1, 2), ("loss", "score"), strict=True):
        label = "loss" if part == "loss" else epochs[-1].metric
        _curves(axes, epochs, part)
        axes.set(xlabel="epoch", ylabel=label, title=label)
        if part == "loss" and all(epoch.train_loss > 0 for epoch in epochs):
            axes.set_yscale("log")
        if best_epoch is not None:
            axes.axvline(best_epoch, color=MARK, linestyle=":", linewidth=1.2, label=f"kept: epoch {best_epoch}")
        axes.legend(frameon=False)
        axes.grid(alpha=0.25)
    figure.suptitle(title)
    return figure


def _curves(axes: Any, epochs: Sequence[Epoch], part: str) -> None:
    numbers = [epoch.number for epoch in epochs]
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(numbers, [getattr(e, f"train_{part}") for e in epochs], color=TRAIN, label="train", marker=marker)
    held_out = [getattr(e, f"validation_{part}") for e in epochs]
    if not all(math.isnan(value) for value in held_out):
        axes.plot(numbers, held_out, color=HELD_OUT, label="validation", marker=marker)


def rate_curve(result: RangeResult) -> Any:
    """Loss against learning rate, with the suggestion marked; a `Figure`."""
    figure = _figure(7.0, 4.0)
    axes = figure.subplots()
    axes.plot(result.rates, result.losses, color=TRAIN, alpha=0.35, label="loss of each step")
    axes.plot(result.rates, result.smoothed, color=TRAIN, label="smoothed")
    axes.axvline(result.suggestion, color=HELD_OUT, linestyle="--", label=f"suggested {result.suggestion:.2g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="Learning-rate range test")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    return figure


def png(figure: Any) -> bytes:
    """The figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _figure(width: float, height: float) -> Any:
    """A figure of so many inches, without pyplot and its global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
