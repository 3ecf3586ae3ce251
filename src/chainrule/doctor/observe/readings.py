"""Arithmetic on traces that several rules share.

In: a trace. Out: the readings that count, medians over a window, smoothed curves.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.records import LayerReading, NotApplicable, Reading, Trace
from chainrule.doctor.vocabulary.targets import class_indices, floors
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.nn.net import Net
from chainrule.train.problem import TrainingProblem


def require_trace(trace: Trace | None) -> Trace:
    """Return the trace; raise `NotApplicable` if there is none, or if it has no epoch."""
    if trace is None or not trace.epochs:
        raise NotApplicable("needs at least one epoch of monitored training")
    return trace


def layer_readings(trace: Trace) -> tuple[Reading, ...]:
    """Return the readings with layers; raise `NotApplicable` without any, as where the user's own code refuses them.

    The reading of the step that diverged has no layers.
    """
    if not (found := _with_layers(trace)):
        raise NotApplicable("no reading of the layers could be taken")
    return found


def has_layer_readings(trace: Trace) -> bool:
    """Check whether there are readings with layers."""
    return bool(_with_layers(trace))


def _with_layers(trace: Trace) -> tuple[Reading, ...]:
    return tuple(reading for reading in trace.readings if reading.layers)


def last_readings(trace: Trace) -> tuple[Reading, ...]:
    """Return the last readings, at most three, without the initial one if there are others."""
    readings = _with_layers(trace)
    return readings[1:][-USUAL.last_window :] or readings


def remaining_loss_share(problem: TrainingProblem, trace: Trace) -> float:
    """Return the final share of a constant prediction's loss, in inference, on the probed training rows.

    Without readings the training loss of the last epoch stands for it.
    """
    floor = float(floors(problem.recipe.loss, problem.rows).mean())
    readings = _with_layers(trace)
    last = readings[-1].loss if readings else trace.epochs[-1].train_loss if trace.epochs else math.inf
    return (last - floor) / max(trace.baseline - floor, 1e-300) if math.isfinite(last) else math.inf


def training_failed(problem: TrainingProblem, trace: Trace) -> bool:
    """Check whether training failed: it diverged, or more than half of a constant prediction's loss is left."""
    return bool(trace.stopped) or remaining_loss_share(problem, trace) > USUAL.failed_share


def weighted_layers(net: Net, reading: Reading) -> list[LayerReading]:
    """Return the readings of layers with a weight matrix."""
    names = net.parameters.names
    return [layer for layer in reading.layers if f"{layer.layer}.W" in names]


def update_ratios(problem: TrainingProblem, trace: Trace, every: bool = False) -> dict[int, float]:
    """Return the median of ‖Δw‖ / ‖w‖ per step over the window (or all readings but the first), by layer."""
    readings = (layer_readings(trace)[1:] or layer_readings(trace)) if every else last_readings(trace)
    found: dict[int, list[float]] = {}
    for reading in readings:
        for layer in weighted_layers(problem.recipe.net, reading):
            found.setdefault(layer.layer, []).append(layer.update_ratio or 0.0)
    return {i: float(np.median(ratios)) for i, ratios in found.items()}


def first_updates(problem: TrainingProblem, trace: Trace) -> dict[int, float]:
    """Return ‖Δw‖ / ‖w‖ of the first step, by layer with a weight matrix."""
    return {
        layer.layer: layer.update_ratio or 0.0
        for layer in weighted_layers(problem.recipe.net, layer_readings(trace)[0])
    }


def train_losses(trace: Trace) -> Array:
    """Return the mean training loss of each epoch."""
    return np.array([epoch.train_loss for epoch in trace.epochs])


def validation_losses(trace: Trace) -> Array:
    """Return the validation loss of each epoch."""
    return np.array([epoch.validation_loss for epoch in trace.epochs])


def moving_average(curve: Array, width: int) -> Array:
    """Return the running mean over `width` points."""
    width = max(1, min(width, len(curve)))
    return np.convolve(curve, np.full(width, 1.0 / width), mode="valid")


def has_classes(problem: TrainingProblem) -> bool:
    """Check whether the targets are classes."""
    return class_indices(problem.rows) is not None
