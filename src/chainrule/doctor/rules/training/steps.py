"""Why: most trainings that fail do so by the size of their steps.

In: a case and its trace. Out: findings on the loss, the learning rate, batches, clipping, penalties, the schedule.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.doctor.observe.readings import (
    first_updates,
    last_readings,
    layer_readings,
    remaining_loss_share,
    require_trace,
    train_losses,
    training_failed,
    update_ratios,
)
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent, places
from chainrule.nn.penalties import ClipNorm
from chainrule.nn.schedules import ConstantSchedule, plateau_rule
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


def frozen_layer(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A weight matrix that no step moves while others move: its update is exactly 0 at every moment.

    Biases may move; a layer in front of a hole in the backward pass gets nothing at all.
    """
    trace = require_trace(trace)
    readings = layer_readings(trace)
    still = {
        layer.layer
        for layer in readings[0].layers
        if layer.update_ratio is not None and f"{layer.layer}.W" in problem.recipe.net.parameters.names
    }
    moving = False
    for reading in readings:
        for layer in reading.layers:
            if layer.update_ratio is not None and layer.update_ratio > 0:
                still.discard(layer.layer)
                moving = True
    if not still or not moving or (len(readings) < 2 and not trace.stopped):
        return None
    frozen = sorted(still)
    cut = problem.recipe.multipliers is None
    return make_finding(
        "frozen-layer",
        "warning",
        f"Nothing moves in {places(frozen)}",
        meaning="These weights stay at their first, random values; the layers behind them have to make do.",
        measured=f"Δw exactly 0 at {len(readings)} of {len(readings)} moments in {places(frozen)}",
        usual="‖Δw‖ / ‖w‖ about 1e-3 per step",
        fix=Fix(
            "Look for what cuts off the gradient after these layers." if cut else "Train these layers too.",
            () if cut else (Setting("learning_rate_multipliers", None),),
            remedy="library-layers" if cut else "unfreeze",
        ),
        layer=frozen[0],
        frozen=len(frozen),
    )


def nan_loss(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """The loss is not a finite number; where it broke is looked up step by step from the last sound state."""
    trace = require_trace(trace)
    if not trace.diverged:
        return None
    broken = trace.readings[-1]
    step = broken.step + 1
    where = broken.nonfinite or "the loss"
    layers = [int(word) for word in where.replace("(", " ").replace(".", " ").split() if word.isdigit()]
    return make_finding(
        "nan-loss",
        "critical",
        f"The loss is no longer a number in epoch {len(trace.epochs)}",
        meaning="A number grew until it overflowed, or a logarithm or quotient of 0 was taken; what follows is lost.",
        measured=f"first not finite: {where}, in step {step}",
        usual="finite numbers throughout",
        fix=Fix("Divide the learning rate by ten.", _rate(problem, 0.1), remedy="rate/10"),
        layer=layers[0] if layers else None,
        step=step,
        epoch=len(trace.epochs),
        last_loss=float(trace.epochs[-2].train_loss) if len(trace.epochs) > 1 else trace.baseline,
    )


def rate_too_high(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Steps that are large beside the weights, or a loss that rises or turns while more than noise is left of it."""
    trace = require_trace(trace)
    ratios = update_ratios(problem, trace, every=True)
    largest = max([*ratios.values(), 0.0])
    losses, rest = train_losses(trace), remaining_loss_share(problem, trace)
    finite = losses[np.isfinite(losses)]
    rose = bool(finite.size) and finite[-1] > 1.2 * max(finite.min(), 1e-12) and finite[-1] > 0.1 * trace.baseline
    turns = _restless(losses)
    first = max([*first_updates(problem, trace).values(), 0.0])
    reasons = [
        (bool(trace.stopped), "the training ended in numbers that are not finite"),
        (largest > USUAL.update_high, f"a step changes weights by {percent(largest)}"),
        (first > USUAL.first_update, f"the first step changes weights by {percent(first)}"),
        (
            rose and rest > 0.1,
            f"the loss rose from {finite.min() if finite.size else math.nan:.3g} to {losses[-1]:.3g}",
        ),
        (turns > USUAL.turning and rest > 0.2, f"the loss turned at {percent(turns)} of the epochs"),
        (rest > USUAL.trivial and largest > 1e-3, f"{percent(rest)} of a constant's loss is left"),
    ]
    said = [text for holds, text in reasons if holds]
    if not said:
        return None
    return make_finding(
        "learning-rate-too-high",
        "warning",
        f"The learning rate {problem.config.learning_rate:g} is too high",
        meaning="Steps jump over the valley that they should walk down.",
        measured="; ".join(said),
        usual="weights change by about 0.1 % per step",
        fix=Fix("Lower the learning rate.", _rate(problem, 0.1), remedy="rate/10"),
        update_ratio=largest,
        turning=turns,
        left=rest,
    )


def rate_too_low(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Steps that are tiny beside the weights, a smooth loss, and much of it left."""
    trace = require_trace(trace)
    if trace.stopped:
        return None
    ratios = update_ratios(problem, trace, every=True)
    middle, rest = float(np.median(list(ratios.values()) or [0.0])), remaining_loss_share(problem, trace)
    slow = middle < 1e-3 and rest > 0.1 and _restless(train_losses(trace)) < USUAL.turning
    if rest < 0.05 or not (slow or middle < USUAL.update_low):
        return None
    return make_finding(
        "learning-rate-too-low",
        "warning",
        f"The learning rate {problem.config.learning_rate:g} is too low",
        meaning="The weights hardly move, so the training would need many times as long.",
        measured=f"weights change by {percent(middle)} per step; {percent(rest)} of a constant's loss is left",
        usual="about 0.1 % per step",
        fix=Fix("Raise the learning rate.", _rate(problem, 10), remedy="rate*10"),
        update_ratio=middle,
        left=rest,
    )


def _rate(problem: TrainingProblem, factor: float) -> tuple[Setting, ...]:
    """Return the learning rate times a factor, as a setting."""
    return (Setting("learning_rate_init", problem.config.learning_rate * factor),)


def _no_penalty(problem: TrainingProblem) -> tuple[Setting, ...]:
    """Return the settings that turn off what holds the weights near zero: the penalties, else weight decay."""
    penalty = problem.recipe.penalty
    if not penalty.active:
        return (Setting("optimizer", "adam"),)
    return (Setting("alpha", 0.0), Setting("l1_alpha", 0.0)) if penalty.l1 else (Setting("alpha", 0.0),)


def oscillating_loss(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """The epochs' mean loss turns at more than half of the last twenty, by more than 5 % of its level, without a trend."""
    trace = require_trace(trace)
    losses = train_losses(trace)[-20:]
    if len(losses) < 8:
        raise NotApplicable("needs eight epochs to tell swings from noise")
    if not np.isfinite(losses).all():
        return None
    turns, swing = _turning(losses), _swing(losses)
    trend = abs(float(np.polyfit(np.arange(len(losses)), losses, 1)[0])) * len(losses) / max(abs(losses.mean()), 1e-12)
    if not (
        turns > USUAL.turning
        and swing > USUAL.swing
        and trend < 4 * swing
        and remaining_loss_share(problem, trace) > 0.1
    ):
        return None
    return make_finding(
        "oscillating-loss",
        "warning",
        "The loss swings up and down and no longer falls",
        meaning="Steps are too large, or batches too small, to settle anywhere.",
        measured=f"turns at {percent(turns)} of the epochs, by {percent(swing)} of its level",
        usual="a loss that falls, with swings that shrink",
        fix=Fix(
            "Lower the rate toward the end, or use larger batches.", (Setting("schedule", "cosine"),), remedy="rate/10"
        ),
        turning=turns,
        swing=swing,
    )


def _restless(losses: np.ndarray) -> float:
    """Share of the epochs at which the loss turns, where it swings by more than a tenth of its level; else 0."""
    return _turning(losses) if _swing(losses) > 2 * USUAL.swing else 0.0


def _swing(losses: np.ndarray) -> float:
    """Median change of the loss from epoch to epoch, as a share of its level."""
    if len(losses) < 2:
        return 0.0
    return float(np.median(np.abs(np.diff(losses[-40:])))) / max(abs(float(losses[-40:].mean())), 1e-12)


def _turning(losses: np.ndarray) -> float:
    """Share of the inner epochs at which the loss turns."""
    change = np.sign(np.diff(losses[-40:]))
    return float((change[1:] * change[:-1] < 0).mean()) if len(change) > 6 else 0.0


def clipping_too_tight(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """More than half of the recorded steps have a gradient longer than the limit."""
    trace = require_trace(trace)
    clip = problem.recipe.clip
    if not isinstance(clip, ClipNorm):
        return None
    norms = trace.step_norms[np.isfinite(trace.step_norms)]
    if not norms.size:
        norms = np.array([epoch.gradient_norm for epoch in trace.epochs])
    share = float((norms > clip.limit).mean())
    if share <= USUAL.clipped:
        return None
    suitable = float(np.quantile(norms, 0.9))
    return make_finding(
        "clipping-too-tight",
        "warning",
        f"{percent(share)} of the steps are clipped",
        meaning="Clipping is for rare outliers; here it sets the length of nearly every step.",
        measured=f"limit {clip.limit:g}; median gradient {np.median(norms):.3g}",
        usual="a limit near the 90th percentile of the gradient norms",
        fix=Fix("Raise the limit.", (Setting("max_grad_norm", float(f"{suitable:.2g}")),), remedy="no-clip"),
        share=share,
        limit=clip.limit,
        median=float(np.median(norms)),
    )


def batch_too_small(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Batches below eight rows: each gradient is mostly noise."""
    trace = require_trace(trace)
    size = problem.recipe.batch_size
    if size >= 8 or len(problem.rows) < 32:
        return None
    losses = trace.step_losses[np.isfinite(trace.step_losses)]
    spread = float(losses.std() / max(abs(losses.mean()), 1e-12)) if losses.size else math.nan
    return make_finding(
        "batch-too-small",
        "warning",
        f"Batches of {size} row{'s' if size > 1 else ''} make noisy steps",
        meaning="The gradient of so few rows says little of all the others, at this learning rate.",
        measured=f"the loss varies by {percent(spread)} of its level from step to step",
        usual="16 to 256 rows",
        fix=Fix("Use larger batches.", (Setting("batch_size", 32),), remedy="larger-batch"),
        batch_size=size,
        spread=spread,
    )


def batch_too_large(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Fewer than ten updates per epoch with more rows than 32 in each, and few updates in all."""
    trace = require_trace(trace)
    updates = len(problem.recipe.batches(len(problem.rows)))
    total = sum(epoch.steps for epoch in trace.epochs)
    if updates >= USUAL.few_updates or problem.recipe.batch_size <= 32 or total > 2000:
        return None
    return make_finding(
        "batch-too-large",
        "warning",
        f"Only {updates} update{'s' if updates > 1 else ''} in an epoch",
        meaning="Each step is exact but there are few of them; smaller batches get further in the same epochs.",
        measured=f"{problem.recipe.batch_size} of {len(problem.rows)} rows in a batch, {total} updates in all",
        usual="16 to 256 rows in a batch",
        fix=Fix("Use smaller batches.", (Setting("batch_size", 32),), remedy="smaller-batch"),
        updates_per_epoch=updates,
        updates=total,
    )


def over_regularized(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A penalty whose gradient is as long as that of the data's loss while much of the loss is left."""
    trace = require_trace(trace)
    if not problem.recipe.penalty.active and not getattr(problem.recipe.optimizer, "weight_decay", 0.0):
        return None
    ratio = float(np.median([reading.penalty_ratio for reading in last_readings(trace)]))
    if remaining_loss_share(problem, trace) < 0.05 or not (
        training_failed(problem, trace) or (problem.recipe.penalty.active and ratio >= 0.3)
    ):
        return None
    return make_finding(
        "over-regularized",
        "warning",
        "The penalty on the weights outweighs the data",
        meaning="The weights are held near zero, so the network cannot say what it has seen.",
        measured=f"penalty's gradient is {ratio:.2g} times the data's; "
        f"{percent(remaining_loss_share(problem, trace))} of the loss is left",
        usual="a small share",
        fix=Fix("Turn the penalty off, or divide it by ten.", _no_penalty(problem), remedy="no-penalty"),
        ratio=ratio,
        left=remaining_loss_share(problem, trace),
    )


def schedule_too_early(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """The rate has fallen below a hundredth by the middle of the run, or lies below a tenth for four fifths of it."""
    trace, schedule, E = require_trace(trace), problem.config.schedule, problem.config.epochs
    if isinstance(schedule, ConstantSchedule):
        return None
    if plateau_rule(schedule) is not None:
        factors = np.array([epoch.learning_rate for epoch in trace.epochs]) / problem.config.learning_rate
    else:
        factors = np.array([schedule.factor(e, E) for e in (np.arange(200) + 0.5) * E / 200])
    middle, small = float(factors[len(factors) // 2]), float((factors < 0.1).mean())
    if middle >= 0.01 and small <= 0.8:
        return None
    return make_finding(
        "schedule-too-early",
        "warning",
        "The learning rate has decayed long before the end",
        meaning="The later epochs change next to nothing.",
        measured=f"rate at half time {percent(middle)} of its base; below a tenth for {percent(small)} of the run",
        usual="a schedule that ends with the run",
        fix=Fix(
            "Stretch the schedule over the whole run.", (Setting("schedule", "cosine"),), remedy="constant-schedule"
        ),
        middle=middle,
        small=small,
    )
