"""Why: a learning curve is looked at, not read.

In: epoch records, readings of layers, predictions, the result of a rate test. Out: matplotlib figures, what is drawn on axes
that the caller has, and bytes as PNG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import reliability
from chainrule.doctor.vocabulary.records import Reading
from chainrule.train import Epoch
from chainrule.train.range_test import RangeResult

TRAIN, HELD_OUT, MARK = "#1f5a94", "#d1603d", "#6b6b6b"
"""Colors that stay apart in print and for color-blind readers: training, held-out rows, marks."""


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


def curves(ax: Any, epochs: Sequence[Epoch], part: str = "loss") -> Any:
    """Loss or score ("score") by epoch, training and validation, on these axes."""
    _curves(ax, epochs, part)
    ax.set(xlabel="epoch", ylabel="loss" if part == "loss" else epochs[-1].metric)
    if part == "loss" and all(epoch.train_loss > 0 for epoch in epochs):
        ax.set_yscale("log")
    return _finished(ax, legend=True)


def gradient_flow(ax: Any, readings: Sequence[Reading]) -> Any:
    """The rms of dL/dA behind each layer, at the first and the last of some readings; logarithmic."""
    readings = _whole(readings)
    for reading, color, name in zip((readings[0], readings[-1]), (HELD_OUT, TRAIN), ("first", "last"), strict=True):
        label = f"{name}, epoch {reading.epoch}"
        ax.plot(
            [a.layer for a in reading.layers], [a.gradient_rms for a in reading.layers], "o-", color=color, label=label
        )
    names = [f"{a.layer} {a.kind}" for a in readings[-1].layers]
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right")
    ax.set(ylabel="rms of dL/dA", yscale="log")
    return _finished(ax, legend=True)


def update_ratios(ax: Any, readings: Sequence[Reading]) -> Any:
    """log₁₀ of ‖Δw‖ / ‖w‖ by epoch, one line a layer with parameters, and the line at −3."""
    readings = _whole(readings)
    for i, layer in enumerate(readings[0].layers):
        if layer.update_ratio is not None:
            ratios = np.array([r.layers[i].update_ratio for r in readings], np.float64)
            shown = np.log10(np.where(ratios > 0, ratios, np.nan))
            ax.plot([r.epoch for r in readings], shown, ".-", label=f"{layer.layer} {layer.kind}")
    ax.axhline(-3.0, color=MARK, linestyle="--", linewidth=1.0)
    ax.set(xlabel="epoch", ylabel="log₁₀ ‖Δw‖ / ‖w‖")
    return _finished(ax, legend=True)


def activation_bands(ax: Any, readings: Sequence[Reading], layer: int) -> Any:
    """Mean output of a layer by epoch, and a standard deviation to either side."""
    readings = _whole(readings)
    own = [reading.layers[layer] for reading in readings]
    epochs, mean = np.array([r.epoch for r in readings]), np.array([a.mean for a in own])
    spread = np.sqrt(np.maximum(np.array([a.rms for a in own]) ** 2 - mean**2, 0.0))
    ax.plot(epochs, mean, color=TRAIN)
    ax.fill_between(epochs, mean - spread, mean + spread, color=TRAIN, alpha=0.2, linewidth=0)
    ax.set(xlabel="epoch", ylabel="output", title=f"{own[0].layer} {own[0].kind}")
    return _finished(ax)


def confusion(ax: Any, counts: Array, classes: Sequence[object]) -> Any:
    """Counts (K, K) of true classes down and predicted ones across, colored by the share of the true class."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    names = [str(label) for label in classes]
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", parse_math=False)
    ax.set_yticks(range(len(names)), names, parse_math=False)
    ax.set(xlabel="predicted", ylabel="true")
    for i, j in zip(*np.nonzero(counts), strict=True) if len(names) <= 20 else ():
        ax.text(j, i, str(counts[i, j]), ha="center", va="center", color="white" if share[i, j] > 0.6 else "black")
    return ax


def calibration(ax: Any, P: Array, y: Array, bins: int = 10) -> Any:
    """Share right against the probability of the predicted class: P (n, K), y (n) class numbers."""
    sure, right, share = reliability(P, y, bins)
    ax.plot([0, 1], [0, 1], color=MARK, linestyle="--", linewidth=1.0, label="as sure as it is right")
    ax.plot(sure[share > 0], right[share > 0], "o-", color=TRAIN, label="this network")
    ax.set(xlabel="probability of the predicted class", ylabel="share right", xlim=(0, 1), ylim=(0, 1.02))
    return _finished(ax, legend=True)


def _whole(readings: Sequence[Reading]) -> list[Reading]:
    """Readings that have looked at all layers: the last one of a training that breaks has not."""
    most = max(len(reading.layers) for reading in readings)
    return [reading for reading in readings if len(reading.layers) == most]


def _finished(ax: Any, legend: bool = False) -> Any:
    ax.grid(alpha=0.25)
    if legend:
        ax.legend(frameon=False)
    return ax


def png(figure: Any) -> bytes:
    """The figure as a PNG file's bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def _figure(width: float, height: float) -> Any:
    """A figure of so many inches, without pyplot and its global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
