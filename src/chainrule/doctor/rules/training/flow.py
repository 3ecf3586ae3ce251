"""Check whether signals reach every layer on the forward pass and gradients on the backward pass.

In: a training problem and its trace. Out: findings about gradients, dead or saturated units, and drift.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.readings import (
    last_readings,
    layer_readings,
    remaining_loss_share,
    require_trace,
    training_failed,
    update_ratios,
)
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.network import largest_slope
from chainrule.doctor.vocabulary.records import Finding, Fix, Reading, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent, places
from chainrule.nn.layers import Activation, Dense
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


def _hidden(problem: TrainingProblem) -> list[int]:
    """Return the activations before the last Dense layer; without any, the Dense layers before it."""
    layers = problem.recipe.net.layers
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    kinds = [i for i, layer in enumerate(layers[: dense[-1]] if dense else ()) if isinstance(layer, Activation)]
    return kinds or dense[:-1]


def gradient_ratio(problem: TrainingProblem, reading: Reading) -> float:
    """Return the ratio of the gradient's size at the first hidden layer to that at the last; NaN for fewer than two."""
    hidden = _hidden(problem)
    if len(hidden) < 2:
        return math.nan
    first, last = (reading.layers[i].gradient_rms for i in (hidden[0], hidden[-1]))
    return first / last if last > 0 else (0.0 if first == 0 else math.inf)


def _ratios(problem: TrainingProblem, trace: Trace) -> Array:
    ratios = np.array([gradient_ratio(problem, reading) for reading in layer_readings(trace)])
    return ratios[np.isfinite(ratios)]


def vanishing_gradient(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a gradient that shrinks by a thousand to the first layer, or by three per layer in a deep network.

    Layers that must make it four times smaller (sigmoid) count as well. All readings are checked; if training works nothing
    is reported, since a tiny gradient at its end is healthy.
    """
    trace = require_trace(trace)
    ratios = _ratios(problem, trace)
    depth = len(_hidden(problem))
    if not ratios.size or not training_failed(problem, trace):
        return None
    lowest = float(ratios.min())
    flat = [i for i in _hidden(problem) if _steepest(problem, i) <= LIMITS.sigmoid_slope]
    if (
        not flat
        and lowest >= USUAL.vanishing_ratio
        and not (depth >= LIMITS.deep and lowest < LIMITS.deep_factor**-depth)
    ):
        return None
    per_layer = lowest ** (1.0 / max(depth - 1, 1))
    return make_finding(
        "vanishing-gradient",
        "critical",
        "The gradient vanishes before it reaches the first layers",
        meaning="The first layers get almost no gradient, so they stay close to their random initial weights.",
        measured=f"gradient at the first hidden layer {lowest:.1e} times that at the last ({per_layer:.2g} per layer)",
        usual="a ratio of 0.1 to 10",
        fix=Fix(
            "Use relu with He's initialization, or batch norm, or fewer layers.",
            (Setting("batch_norm", True),),
            remedy="relu" if flat else "batch-norm",
        ),
        layer=_hidden(problem)[0],
        ratio=lowest,
        per_layer=per_layer,
    )


def _steepest(problem: TrainingProblem, i: int) -> float:
    """Return the largest derivative of an activation layer; infinity for any other layer."""
    layer = problem.recipe.net.layers[i]
    return (largest_slope(layer) or math.inf) if isinstance(layer, Activation) else math.inf


def exploding_gradient(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a gradient that grows by 70 to the first layer, jumps to ten times its median three times, or is huge."""
    trace = require_trace(trace)
    ratios = _ratios(problem, trace)
    norms = trace.step_norms[np.isfinite(trace.step_norms)]
    largest = float(ratios.max()) if ratios.size else 1.0
    median = float(np.median(norms)) if norms.size else 0.0
    spikes = int((norms > USUAL.norm_spike * median).sum()) if median > 0 else 0
    peaks = [reading.layers[-1].rms for reading in layer_readings(trace)]
    huge = bool(peaks) and (not np.isfinite(peaks).all() or max(peaks) > LIMITS.huge_output)
    if not training_failed(problem, trace) or not (
        largest > USUAL.exploding_ratio or spikes >= LIMITS.spikes or huge or trace.stopped
    ):
        return None
    return make_finding(
        "exploding-gradient",
        "warning",
        "The gradient explodes",
        meaning="A few huge steps destroy what the network has learned.",
        measured=f"the gradient at the first hidden layer is {largest:.2g} times that at the last; "
        f"{spikes} steps have over ten times the median norm",
        usual="a ratio of 0.1 to 10 and no jumps",
        fix=Fix("Clip the gradient, or use batch norm.", (Setting("max_grad_norm", 1.0),), remedy="clip"),
        layer=(_hidden(problem) or [0])[0],
        ratio=largest,
        spikes=spikes,
        median=median,
    )


def dead_units(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for units that are zero for every probed row at each of the last readings.

    If all units of a layer are, every row gets the same prediction and no gradient passes, whatever a trial says.
    """
    trace = require_trace(trace)
    readings = last_readings(trace)
    shares = {}
    for i, layer in enumerate(problem.recipe.net.layers[:-1]):
        silent = [reading.layers[i].silent for reading in readings if i < len(reading.layers)]
        if isinstance(layer, Activation) and silent and all(mask is not None for mask in silent):
            shares[i] = float(np.logical_and.reduce([np.asarray(mask) for mask in silent]).mean())
    worst = max(shares, key=lambda i: shares[i], default=None)
    if worst is None or shares[worst] < USUAL.dead_info:
        return None
    share = shares[worst]
    nothing_passes = share == 1.0
    harm = share >= USUAL.dead_warning and remaining_loss_share(problem, trace) > LIMITS.loss_left
    harm = harm or nothing_passes
    return make_finding(
        "dead-units",
        ("critical" if share >= USUAL.dead_critical else "warning") if harm else "info",
        f"{percent(share)} of the units of layer {worst} are dead",
        meaning="A unit whose output is zero for every row gets no gradient and stays dead.",
        measured=f"zero for all probed rows (at most {USUAL.probed_rows}) in {len(readings)} consecutive readings",
        usual="below 10 % of the units",
        fix=Fix(
            "Lower the learning rate, or use a leaky activation.",
            (Setting("activation", "leaky_relu"),),
            remedy="leaky-relu",
        ),
        layer=worst,
        share=share,
        layers=sum(each >= USUAL.dead_info for each in shares.values()),
        evident=nothing_passes,
    )


def saturated_units(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for layers in which over half of the sigmoid or tanh units have a mean derivative below 5 % of the largest."""
    trace = require_trace(trace)
    readings = last_readings(trace)
    shares = {}
    for i in range(len(problem.recipe.net.layers) - 1):
        free = [r.layers[i].saturation for r in readings]
        if all(mean is not None for mean in free):
            worst = np.max([np.asarray(mean) for mean in free], axis=0)
            shares[i] = float((worst < USUAL.saturated_slope).mean())
    worst_layer = max(shares, key=lambda i: shares[i], default=None)
    if worst_layer is None or shares[worst_layer] <= USUAL.saturated_share or not training_failed(problem, trace):
        return None
    share = shares[worst_layer]
    return make_finding(
        "saturated-units",
        "warning",
        f"{percent(share)} of the units of layer {worst_layer} are saturated",
        meaning="Where an activation is flat its derivative is almost zero, so hardly any gradient passes.",
        measured=f"their mean derivative is below {percent(USUAL.saturated_slope)} of the largest",
        usual="below half of the units",
        fix=Fix(
            "Standardize the inputs, start with smaller weights, or use relu.",
            (Setting("activation", "relu"),),
            remedy="relu",
        ),
        layer=worst_layer,
        share=share,
    )


def activation_drift(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a hidden layer whose output is ten times as large as at the start, or a tenth."""
    trace = require_trace(trace)
    if not training_failed(problem, trace):
        return None
    last = last_readings(trace)[-1]
    hidden = _hidden(problem)
    drifts = {i: float(last.layers[i].drift or 1.0) for i in hidden}
    far = {i: d for i, d in drifts.items() if not 1.0 / USUAL.drift <= d <= USUAL.drift}
    if not far:
        return None
    worst = max(far, key=lambda i: abs(math.log(max(far[i], 1e-30))))
    return make_finding(
        "activation-drift",
        "warning",
        f"The outputs of {places(sorted(far))} have changed greatly in size",
        meaning="The next layers get inputs of a very different size from those they were initialized for.",
        measured=f"the outputs of layer {worst} are {far[worst]:.2g} times as large as at the start",
        usual="0.1 to 10 times",
        fix=Fix("Normalize inside the network.", (Setting("batch_norm", True),), remedy="batch-norm"),
        layer=worst,
        drift=far[worst],
    )


def update_ratio(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for layers whose relative step sizes differ by more than a factor of a hundred."""
    trace = require_trace(trace)
    ratios = {i: r for i, r in update_ratios(problem, trace, every=True).items() if r > 0 and math.isfinite(r)}
    if len(ratios) < 2 or not training_failed(problem, trace):
        return None
    low, high = min(ratios, key=lambda i: ratios[i]), max(ratios, key=lambda i: ratios[i])
    if ratios[high] < LIMITS.update_range * ratios[low]:
        return None
    return make_finding(
        "update-ratio",
        "info",
        "Layers learn at very different speeds",
        meaning="Some layers learn fast while others barely change.",
        measured=f"‖Δw‖ / ‖w‖ is {ratios[high]:.1e} in layer {high}, {ratios[low]:.1e} in layer {low}",
        usual="about 1e-3 everywhere",
        fix=Fix("Use Adam or batch norm.", (Setting("optimizer", "adam"),), remedy="adam"),
        layer=low,
        high=ratios[high],
        low=ratios[low],
    )
