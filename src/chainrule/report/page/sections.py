"""The sections of a training's page: how it learned, how gradients flowed, how far weights moved, which units were idle.

In: epochs, readings of layers, weights. Out: sections of a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.records import Finding, LayerReading, Reading
from chainrule.nn.layers import Dense
from chainrule.nn.net import Net
from chainrule.report import series
from chainrule.report.page.html import Section, details, pairs, table
from chainrule.report.plots import Mark
from chainrule.report.svg.charts import figure
from chainrule.report.svg.fields import heatmap, units
from chainrule.report.svg.frames import framed, grid
from chainrule.report.svg.markup import Html, joined, number, tag
from chainrule.report.svg.pixels import images, signed
from chainrule.train import Epoch

_MOST_BANDS = 12
_MOST_IMAGES = 24


def learning_curves(
    epochs: Sequence[Epoch], findings: Sequence[Finding] = (), best_epoch: int | None = None
) -> Section | None:
    """Show loss, score, gradient norm and learning rate by epoch, marked with the numbers of the cards."""
    if not epochs:
        return None
    marks = series.finding_marks(findings)
    best = [] if best_epoch is None else [Mark(float(best_epoch), "kept")]
    plots = [series.learning_curve(epochs, part, [*marks, *best]) for part in ("loss", "score")]
    plots.append(series.gradient_norms(epochs))
    if len({e.learning_rate for e in epochs}) > 1:
        plots.append(series.learning_rates(epochs))
    lead = "Training values are means while the weights move; validation values are those at the end of each epoch."
    lead += " Numbers are those of the findings." if marks else ""
    return Section("Learning curves", grid(*map(figure, plots)), lead)


def gradient_flow(readings: Sequence[Reading]) -> Section | None:
    """Show how strong the gradient is behind each layer, over time."""
    readings = series.complete(readings)
    if not readings:
        return None
    title = "Gradient flow: rms of dL/dA behind each layer"
    heat = heatmap(title, series.gradient_table(readings), log=True, unit="rms")
    lead = "Each row is a layer, the first at the top. Rows that fade toward the top mean that gradients vanish."
    return Section("Gradient flow", grid(heat, figure(series.gradient_flow(readings))), lead)


def update_ratios(readings: Sequence[Reading]) -> Section | None:
    """Show the size of a step relative to the weights, by layer and time."""
    readings = series.complete(readings)
    if not readings or all(layer.update_ratio is None for layer in readings[0].layers):
        return None
    ratios = series.ratio_table(readings)
    heat = heatmap("Step over weight, by layer and time", ratios, log=True, middle=series.TARGET_RATIO)
    lead = "About a thousandth (−3) is usual. Far above it the weights jump; far below it they barely move."
    return Section("Update-to-weight ratios", grid(figure(series.update_ratios(readings)), heat), lead)


def activations(readings: Sequence[Reading]) -> Section | None:
    """Show the mean and spread of each layer's output over time."""
    readings = series.complete(readings)
    if not readings:
        return None
    names = series.layer_names(readings[0])
    shown = _without_activation(readings[0].layers)[:_MOST_BANDS]
    bands = [figure(series.activation_band(readings, i, 0 if k % 2 == 0 else 2)) for k, i in enumerate(shown)]
    rows = [
        [names[last.layer], first.rms, last.rms, last.peak, math.nan if last.weight_norm is None else last.weight_norm]
        for last, first in zip(readings[-1].layers, readings[0].layers, strict=True)
    ]
    numbers = table(["layer", "rms at the start", "rms at the end", "largest at the end", "‖w‖"], rows)
    lead = "Output of each layer over the probed rows: the mean, and one standard deviation to either side."
    body = joined(grid(*bands, small=True), details("The same as a table", numbers))
    return Section("Activations", body, lead)


def _without_activation(layers: Sequence[LayerReading]) -> list[int]:
    """Return the numbers of the layers that are not followed by an activation of their own, in order."""
    after = [layer.kind for layer in layers[1:]] + [""]
    return [a.layer for a, kind in zip(layers, after, strict=True) if a.kind != "Dense" or not kind]


def idle_units(readings: Sequence[Reading]) -> Section | None:
    """Show units that are never active, and units on the flat parts of their function."""
    readings = series.complete(readings)
    if not readings:
        return None
    names = series.layer_names(readings[0])
    last = readings[-1].layers
    silent = [(names[a.layer], np.asarray(a.silent, np.float64)) for a in last if a.silent is not None]
    flat = [
        (names[a.layer], 1.0 - np.clip(np.asarray(a.saturation, np.float64), 0.0, 1.0))
        for a in last
        if a.saturation is not None
    ]
    drawn: list[Html] = []
    if silent:
        drawn.append(figure(series.silent_shares(readings)))
        drawn.append(units("Units at the end", silent, note="Strong: silent for every probed row."))
    if flat:
        note = "The stronger, the flatter the activation function where the unit works."
        drawn.append(figure(series.mean_derivatives(readings)))
        drawn.append(units("Saturation at the end", flat, note=note))
    lead = "A silent unit learns nothing, a saturated one almost nothing. A few of either do no harm."
    return Section("Dead and saturated units", grid(*drawn), lead) if drawn else None


def weights(net: Net, w: Array, shape: tuple[int, int] | None) -> Section | None:
    """Show the weights into the units of the first `Dense` layer as images, those with the longest weights first."""
    first = next((i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)), None)
    if shape is None or first is None or net.widths[first] != shape[0] * shape[1]:
        return None
    W = net.parameters.views(w)[f"{first}.W"]
    order, shown = series.weight_images(W, shape, _MOST_IMAGES)
    words = [f"weights into unit {j} of layer {first}" for j in order]
    tiles = images([signed(image) for image in shown], words, [f"unit {j}" for j in order])
    lead = "What each unit responds to: blue adds to a unit of the first layer, orange subtracts from it."
    lead += f" {len(shown)} of {W.shape[1]} units, those with the longest weight vectors first."
    return Section("Weights as images", framed("", tiles, wide=True) if len(shown) else Html(""), lead)


def settings(values: Mapping[str, object], versions: Mapping[str, object]) -> Section:
    """Show the settings of a run, and the versions it ran with."""
    rows = [[name, _shown(value)] for name, value in values.items()]
    body = joined(
        table(["setting", "value"], rows, numbers=False),
        tag("h3", "Versions") if versions else None,
        pairs(dict(versions)),
    )
    return Section("Settings and versions", details("Show", body))


def _shown(value: object) -> str:
    return number(value, 6) if isinstance(value, float) else "–" if value is None else str(value)
