"""Why: a training is understood from a few pictures in a fixed order: what it came to, what flowed, what moved, what slept.

In: epochs, readings of layers, weights. Out: sections of a page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.records import Finding, LayerReading, Reading
from chainrule.nn.layers import Dense
from chainrule.nn.net import Net
from chainrule.report.page.charts import Level, Line, Mark, band, framed, grid, lines
from chainrule.report.page.fields import heat, units
from chainrule.report.page.html import Section, details, pairs, table
from chainrule.report.page.markup import Html, joined, number, tag
from chainrule.report.page.pixels import images, signed
from chainrule.train import Epoch

TARGET_RATIO = 1e-3
"""The size of a step over that of the weights that trainings which go well are often near."""

_MOST_BANDS, _MOST_IMAGES, _MOST_TIMES = 12, 24, 40


def curves(epochs: Sequence[Epoch], findings: Sequence[Finding] = (), best_epoch: int | None = None) -> Section | None:
    """Loss, score, learning rate, gradient norm by epoch; marks with the numbers of the cards."""
    if not epochs:
        return None
    marks = [Mark(float(f.seen[0]), f"{i + 1}") for i, f in enumerate(findings) if f.seen and f.seen[0] > 0]
    best = [] if best_epoch is None else [Mark(float(best_epoch), "kept")]
    losses = [e.train_loss for e in epochs]
    drawn = [
        lines("Loss", _both(epochs, "loss"), y="loss", log=all(v > 0 for v in losses), marks=[*marks, *best]),
        lines(epochs[-1].metric.capitalize(), _both(epochs, "score"), y=epochs[-1].metric, marks=[*marks, *best]),
        lines("Gradient norm", [_by(epochs, "gradient_norm", "mean of the steps", 2)], y="‖g‖", log=True),
    ]
    if len({e.learning_rate for e in epochs}) > 1:
        drawn.append(lines("Learning rate", [_by(epochs, "learning_rate", "rate", 3)], y="rate", log=True))
    lead = "Training figures are taken while the weights move, validation figures at each epoch's end."
    return Section("Learning curves", grid(*drawn), lead + (" Numbers are those of the findings." if marks else ""))


def _both(epochs: Sequence[Epoch], part: str) -> list[Line]:
    train, held_out = _by(epochs, f"train_{part}", "training", 0), _by(epochs, f"validation_{part}", "validation", 1)
    return [train] if all(math.isnan(v) for v in held_out.y) else [train, held_out]


def _by(epochs: Sequence[Epoch], name: str, called: str, look: int) -> Line:
    return Line(
        called, [float(e.number) for e in epochs], [getattr(e, name) for e in epochs], look, dots=len(epochs) < 3
    )


def flow(readings: Sequence[Reading]) -> Section | None:
    """How strong the gradient is behind each layer, over time."""
    readings = whole(readings)
    if not readings:
        return None
    names, times = layer_names(readings[0]), _times(readings)
    values = _table(readings, lambda layer: layer.gradient_rms)
    drawn = [
        heat("Gradient flow: rms of dL/dA behind each layer", values, names, times, log=True, unit="rms"),
        lines(
            "The same from first to last layer",
            [_across(readings[0], "at the start", 1), _across(readings[-1], "at the end", 0)],
            x="layer",
            y="rms",
            log=True,
        ),
    ]
    lead = (
        "Each row is a layer, the first at the top. Rows that fade toward the top: gradients vanish on their way back."
    )
    return Section("Gradient flow", grid(*drawn), lead)


def _across(reading: Reading, name: str, look: int) -> Line:
    layers = reading.layers
    return Line(name, [float(a.layer) for a in layers], [a.gradient_rms for a in layers], look, dots=True)


def moves(readings: Sequence[Reading]) -> Section | None:
    """The size of a step over that of the weights, by layer and time, on a scale of logarithms with the −3 line."""
    readings = whole(readings)
    own = [i for i, layer in enumerate(readings[0].layers) if layer.update_ratio is not None] if readings else []
    if not own:
        return None
    names, times = layer_names(readings[0]), [float(r.epoch) for r in readings]
    ratios = {i: [_or_nan(r.layers[i].update_ratio) for r in readings] for i in own}
    logs = [Line(names[i], times, [_log10(v) for v in ratios[i]], k, dots=len(times) < 8) for k, i in enumerate(own)]
    chosen = [readings[k] for k in _evenly(len(readings))]
    drawn = [
        lines("log₁₀ of step over weight, by layer", logs, y="log₁₀ ‖Δw‖ / ‖w‖", levels=[Level(-3.0, "−3")]),
        heat(
            "Step over weight, by layer and time",
            np.array([[_or_nan(r.layers[i].update_ratio) for r in chosen] for i in own]),
            [names[i] for i in own],
            _times(readings),
            log=True,
            middle=TARGET_RATIO,
        ),
    ]
    lead = "About a thousandth (−3) is usual. Far above, the weights jump; far below, they hardly move."
    return Section("Update-to-weight ratios", grid(*drawn), lead)


def activations(readings: Sequence[Reading]) -> Section | None:
    """Mean and spread of each layer's output over time."""
    readings = whole(readings)
    if not readings:
        return None
    names, times = layer_names(readings[0]), [float(r.epoch) for r in readings]
    shown = _telling(readings[0].layers)[:_MOST_BANDS]
    drawn = [_band(names[i], times, [r.layers[i] for r in readings], k) for k, i in enumerate(shown)]
    rows = [
        [names[a.layer], *(float(v) for v in (b.rms, a.rms, a.peak)), _or_nan(a.weight_norm)]
        for a, b in _ends(readings)
    ]
    numbers = table(["layer", "rms at the start", "rms at the end", "largest at the end", "‖w‖"], rows)
    lead = "Each layer's outputs over the probed rows: mean, and a standard deviation to either side."
    return Section("Activations", joined(grid(*drawn, small=True), details("The same in numbers", numbers)), lead)


def _ends(readings: Sequence[Reading]) -> list[tuple[LayerReading, LayerReading]]:
    return list(zip(readings[-1].layers, readings[0].layers, strict=True))


def _telling(layers: Sequence[LayerReading]) -> list[int]:
    """Numbers of the layers that are not followed by an activation of their own, in order."""
    after = [layer.kind for layer in layers[1:]] + [""]
    return [a.layer for a, kind in zip(layers, after, strict=True) if a.kind != "Dense" or not kind]


def _band(name: str, times: Sequence[float], layers: Sequence[LayerReading], look: int) -> Html:
    spread = [math.sqrt(max(layer.rms**2 - layer.mean**2, 0.0)) for layer in layers]
    low = [layer.mean - s for layer, s in zip(layers, spread, strict=True)]
    high = [layer.mean + s for layer, s in zip(layers, spread, strict=True)]
    return band(name, times, [layer.mean for layer in layers], low, high, look=0 if look % 2 == 0 else 2)


def resting(readings: Sequence[Reading]) -> Section | None:
    """Units that never fire, and units on the flat parts of their function."""
    readings = whole(readings)
    if not readings:
        return None
    names, last = layer_names(readings[0]), readings[-1]
    silent = [layer for layer in last.layers if layer.silent is not None]
    curved = [layer for layer in last.layers if layer.saturation is not None]
    drawn: list[Html] = []
    if silent:
        now = [(f"{names[a.layer]}", np.asarray(a.silent, np.float64)) for a in silent]
        drawn.append(
            lines("Share of units that are 0 for every probed row", _shares(readings, names), y="share", within=(0, 1))
        )
        drawn.append(units("Units at the end", now, note="Strong: silent for every probed row."))
    if curved:
        flat = [(names[a.layer], 1.0 - np.clip(np.asarray(a.saturation, np.float64), 0.0, 1.0)) for a in curved]
        drawn.append(lines("Mean slope of the units", _slopes(readings, names), y="slope / largest", within=(0, 1)))
        drawn.append(
            units("Saturation at the end", flat, note="The stronger, the flatter the function where the unit works.")
        )
    lead = "A silent unit learns nothing, a saturated one next to nothing. Some of either are no harm."
    return Section("Dead and saturated units", grid(*drawn), lead) if drawn else None


def _shares(readings: Sequence[Reading], names: Sequence[str]) -> list[Line]:
    own = [i for i, layer in enumerate(readings[0].layers) if layer.silent is not None]
    times = [float(r.epoch) for r in readings]
    return [Line(names[i], times, [_mean(r.layers[i].silent) for r in readings], dots=len(times) < 8) for i in own]


def _slopes(readings: Sequence[Reading], names: Sequence[str]) -> list[Line]:
    own = [i for i, layer in enumerate(readings[0].layers) if layer.saturation is not None]
    times = [float(r.epoch) for r in readings]
    return [Line(names[i], times, [_mean(r.layers[i].saturation) for r in readings], dots=len(times) < 8) for i in own]


def weights(net: Net, w: Array, shape: tuple[int, int] | None) -> Section | None:
    """The incoming weights of the first affine layer's units as images, those with the longest weights first."""
    first = next((i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)), None)
    if shape is None or first is None or net.widths[first] != shape[0] * shape[1]:
        return None
    W = net.parameters.views(w)[f"{first}.W"]
    order = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:_MOST_IMAGES]
    shown = [signed(W[:, j].reshape(shape)) for j in order]
    words = [f"weights into unit {j} of layer {first}" for j in order]
    tiles = images(shown, words, [f"unit {j}" for j in order])
    words_of_colors = "blue adds to a unit of the first layer, orange takes away"
    lead = f"What each looks for: {words_of_colors}. {len(shown)} of {W.shape[1]} units, the strongest first."
    return Section("Weights as images", framed("", tiles, wide=True) if len(shown) else Html(""), lead)


def settings(values: Mapping[str, object], versions: Mapping[str, object]) -> Section:
    """What the run was asked to do, and with what."""
    rows = [[name, _shown(value)] for name, value in values.items()]
    body = joined(
        table(["setting", "value"], rows, numbers=False),
        tag("h3", "Versions") if versions else None,
        pairs(dict(versions)),
    )
    return Section("Settings and versions", details("Show", body))


def _shown(value: object) -> str:
    return number(value, 6) if isinstance(value, float) else "–" if value is None else str(value)


def layer_names(reading: Reading) -> list[str]:
    """The layers as `0 Dense`, `1 relu`, ..."""
    return [f"{layer.layer} {layer.kind}" for layer in reading.layers]


def whole(readings: Sequence[Reading]) -> list[Reading]:
    """Readings that have looked at all layers: a training that breaks leaves a last one that has not."""
    most = max((len(r.layers) for r in readings), default=0)
    return [r for r in readings if len(r.layers) == most > 0]


def _table(readings: Sequence[Reading], of: Callable[[LayerReading], float]) -> Array:
    chosen = [readings[k] for k in _evenly(len(readings))]
    return np.array([[of(r.layers[i]) for r in chosen] for i in range(len(chosen[0].layers))])


def _times(readings: Sequence[Reading]) -> list[str]:
    return [str(readings[k].epoch) for k in _evenly(len(readings))]


def _evenly(n: int) -> list[int]:
    """At most `_MOST_TIMES` of n places, evenly chosen, the first and the last among them."""
    return list(range(n)) if n <= _MOST_TIMES else [round(k) for k in np.linspace(0, n - 1, _MOST_TIMES)]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 and math.isfinite(value) else math.nan


def _mean(values: Array | None) -> float:
    return math.nan if values is None else float(np.mean(values))
