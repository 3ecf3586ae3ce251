"""Check whether the network does the same in training and in inference.

In: a training problem and its trace. Out: findings about batch norm's running statistics and the gap between the two modes.
"""

from __future__ import annotations

import numpy as np

from chainrule.doctor.observe.readings import layer_readings, require_trace
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import floors
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.layers import BatchNorm, Dropout
from chainrule.train.problem import TrainingProblem


def _modes(problem: TrainingProblem, trace: Trace) -> tuple[float, float]:
    """Return the final share of a constant prediction's loss on the probed rows, in inference and in training mode."""
    floor = float(floors(problem.recipe.loss, problem.rows).mean())
    last = layer_readings(trace)[-1]
    scale = max(trace.baseline - floor, 1e-300)
    return (last.loss - floor) / scale, (last.training_loss - floor) / scale


def batch_norm_statistics(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for batch norm with a much higher loss in inference than in training mode on the same rows."""
    trace = require_trace(trace)
    norms = [i for i, layer in enumerate(problem.recipe.net.layers) if isinstance(layer, BatchNorm)]
    if not norms:
        return None
    inference, training = _modes(problem, trace)
    if (
        any(isinstance(layer, Dropout) for layer in problem.recipe.net.layers)
        and inference < LIMITS.mode_ratio * training
    ):
        return None
    worse = inference - training
    if not (worse > LIMITS.mode_difference and inference > (1.0 + USUAL.mode_gap) * training):
        return None
    return make_finding(
        "batch-norm-statistics",
        "critical" if inference > USUAL.failed_share else "warning",
        "Batch norm's running statistics do not match the data",
        meaning="Training uses the mean and variance of each batch, inference the running ones, which lag behind.",
        measured=f"loss (constant prediction: 100 %): {percent(inference)} in inference, {percent(training)} in training",
        usual="about the same in both modes",
        fix=Fix("Use the default momentum of 0.9.", code="BatchNorm(momentum=0.9)", remedy="fresh-statistics"),
        layer=norms[0],
        inference=inference,
        training=training,
    )


def train_eval_gap(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether inference and training mode disagree on the same rows, or whether outputs depend on the other rows."""
    trace = require_trace(trace)
    net = problem.recipe.net
    state = trace.final
    X = problem.rows.X[: min(LIMITS.mode_rows, len(problem.rows))]
    if len(X) < LIMITS.mode_rows_low:
        raise NotApplicable("needs at least four rows")
    with np.errstate(all="ignore"):
        whole = net(state.w, state.buffers, X)
        part = net(state.w, state.buffers, X[len(X) // 2 :])
    scale = float(np.abs(whole).max()) or 1.0
    differ = float(np.abs(whole[len(X) // 2 :] - part).max()) / scale if np.isfinite(whole).all() else 0.0
    inference, training = _modes(problem, trace)
    dropout = any(type(layer) is Dropout for layer in net.layers)
    gap = inference - training > LIMITS.mode_difference and inference > LIMITS.mode_ratio * training and dropout
    if differ < LIMITS.mode_output and not gap:
        return None
    return make_finding(
        "train-eval-gap",
        "warning",
        "The network behaves differently in inference and in training",
        meaning="The network that predicts is not the one that was trained.",
        measured=f"logits change by {percent(differ)} with the other rows of the batch; loss (constant prediction: 100 %): "
        f"{percent(inference)} in inference, {percent(training)} in training mode",
        usual="inference treats each row alone, and is no worse than training mode",
        fix=Fix("In inference, turn off whatever is random or depends on the batch.", remedy="library-layers"),
        differ=differ,
        inference=inference,
        training=training,
    )
