"""Why: some layers do one thing in training and another in inference; when the two disagree, the loss misleads.

In: a case and its trace. Out: findings on batch norm's running statistics and on the gap between the two modes.
"""

from __future__ import annotations

import numpy as np

from chainrule.doctor.observe.readings import layer_readings, require_trace
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import floors
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.layers import BatchNorm, Dropout
from chainrule.train.problem import TrainingProblem


def _modes(problem: TrainingProblem, trace: Trace) -> tuple[float, float]:
    """Share of a constant's loss left on the probed rows at the end, in inference and in training mode."""
    floor = float(floors(problem.recipe.loss, problem.rows).mean())
    last, scale = layer_readings(trace)[-1], max(trace.baseline - floor, 1e-300)
    return (last.loss - floor) / scale, (last.training_loss - floor) / scale


def batch_norm_statistics(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """With batch norm, inference is much worse than training mode on the same rows, or the statistics are not theirs.

    The running mean and variance are held against those of the probed rows at the same layer.
    """
    trace = require_trace(trace)
    norms = [i for i, layer in enumerate(problem.recipe.net.layers) if isinstance(layer, BatchNorm)]
    if not norms:
        return None
    inference, training = _modes(problem, trace)
    if any(isinstance(layer, Dropout) for layer in problem.recipe.net.layers) and inference < 2 * training:
        return None
    worse = inference - training
    if not (worse > 0.1 and inference > (1.0 + USUAL.mode_gap) * training):
        return None
    return make_finding(
        "batch-norm-statistics",
        "critical" if inference > USUAL.hurting else "warning",
        "Batch norm's running statistics are not those of the data",
        meaning="Training uses each batch's mean and variance, inference the running ones; these lag or stand still.",
        measured=f"{percent(inference)} of a constant's loss is left in inference, {percent(training)} in training mode",
        usual="about the same",
        fix=Fix("Use the default momentum of 0.9.", code="BatchNorm(momentum=0.9)", remedy="fresh-statistics"),
        layer=norms[0],
        inference=inference,
        training=training,
    )


def train_eval_gap(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Inference and training mode disagree on the same rows without dropout or batch norm to explain it, or inference
    does not give the same numbers for fewer rows.
    """
    trace = require_trace(trace)
    net, state = problem.recipe.net, trace.final
    X = problem.rows.X[: min(64, len(problem.rows))]
    if len(X) < 4:
        raise NotApplicable("needs four rows")
    with np.errstate(all="ignore"):
        whole = net(state.w, state.buffers, X)
        part = net(state.w, state.buffers, X[len(X) // 2 :])
    scale = float(np.abs(whole).max()) or 1.0
    differ = float(np.abs(whole[len(X) // 2 :] - part).max()) / scale if np.isfinite(whole).all() else 0.0
    inference, training = _modes(problem, trace)
    dropout = any(type(layer) is Dropout for layer in net.layers)
    gap = inference - training > 0.1 and inference > 2.0 * training and dropout
    if differ < 1e-3 and not gap:
        return None
    return make_finding(
        "train-eval-gap",
        "warning",
        "The network does not do in inference what it learned in training",
        meaning="What was trained is not what will be used.",
        measured=f"logits differ by {percent(differ)} with the rows beside them; "
        f"loss left {percent(inference)} in inference, {percent(training)} in training mode",
        usual="inference looks at each row alone, and is no worse than training mode",
        fix=Fix("In inference, turn off whatever is random or depends on the batch.", remedy="library-layers"),
        differ=differ,
        inference=inference,
        training=training,
    )
