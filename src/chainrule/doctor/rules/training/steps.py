"""Check the size of the training steps, the most common reason for a failed training.

In: a training problem and its trace. Out: findings about the loss, the learning rate, batches, clipping, penalties and the
schedule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

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
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent, places, times
from chainrule.nn.penalties import ClipNorm
from chainrule.nn.schedules import ConstantSchedule, plateau_rule
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


def unchanged_weights(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a weight matrix whose update is exactly 0 in every reading while others are updated.

    Its bias may change; a layer before a broken backward pass gets no gradient at all.
    """
    trace = require_trace(trace)
    readings = layer_readings(trace)
    names = problem.recipe.net.parameters.names
    updates = [(layer.layer, layer.update_ratio) for reading in readings for layer in reading.layers]
    moving = {i for i, ratio in updates if ratio is not None and ratio > 0}
    measured = {layer.layer for layer in readings[0].layers if layer.update_ratio is not None}
    frozen = sorted(i for i in measured - moving if f"{i}.W" in names)
    if not frozen or not moving or (len(readings) < 2 and not trace.stopped):
        return None
    cut = problem.recipe.multipliers is None
    return make_finding(
        "frozen-layer",
        "warning",
        f"The weights of {places(frozen)} do not change",
        meaning="These weights keep their random initial values, and the later layers must work with what they get.",
        measured=f"Δw is exactly 0 in all {len(readings)} readings",
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
    """Check for a loss that is not finite; the step and tensor were found by replaying from the last finite state."""
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
        f"The loss is not a finite number in epoch {len(trace.epochs)}",
        meaning="A number overflowed, or a logarithm of 0 or a division by 0 occurred; the training cannot recover from it.",
        measured=f"the first value that is not finite: {where}, in step {step}",
        usual="a finite loss throughout",
        fix=Fix("Divide the learning rate by ten.", _rate(problem, 0.1), remedy="rate/10"),
        layer=layers[0] if layers else None,
        step=step,
        epoch=len(trace.epochs),
        last_loss=float(trace.epochs[-2].train_loss) if len(trace.epochs) > 1 else trace.baseline,
    )


def large_steps(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for steps that are large compared with the weights, or a loss that rises or oscillates well above zero."""
    trace = require_trace(trace)
    largest = max([*update_ratios(problem, trace, every=True).values(), 0.0])
    rest = remaining_loss_share(problem, trace)
    turns = _oscillation(train_losses(trace))
    signs = [*_signs_of_size(problem, trace, largest), *_signs_of_loss(trace, largest, rest, turns)]
    if not signs:
        return None
    return make_finding(
        "learning-rate-too-high",
        "warning",
        f"The learning rate {problem.config.learning_rate:g} is too high",
        meaning="Each step overshoots the minimum.",
        measured="; ".join(signs),
        usual="the weights change by about 0.1 % per step",
        fix=Fix("Lower the learning rate.", _rate(problem, 0.1), remedy="rate/10"),
        update_ratio=largest,
        turning=turns,
        loss_share=rest,
    )


def _signs_of_size(problem: TrainingProblem, trace: Trace, largest: float) -> Iterator[str]:
    """Yield how far steps are larger than usual."""
    first = max([*first_updates(problem, trace).values(), 0.0])
    if trace.stopped:
        yield "the training diverged"
    if largest > USUAL.update_high:
        yield f"a step changes the weights by {percent(largest)}"
    if first > USUAL.first_update:
        yield f"the first step changes the weights by {percent(first)}"


def _signs_of_loss(trace: Trace, largest: float, rest: float, turns: float) -> Iterator[str]:
    """Yield what the loss shows of steps that are too large."""
    losses = train_losses(trace)
    finite = losses[np.isfinite(losses)]
    lowest = max(finite.min(), 1e-12) if finite.size else math.inf
    high = max(LIMITS.loss_rise * lowest, LIMITS.loss_left * trace.baseline)
    if finite.size and finite[-1] > high and rest > LIMITS.loss_left:
        yield f"the loss rose from {finite.min():.3g} to {finite[-1]:.3g}"
    if turns > USUAL.turning and rest > LIMITS.loss_turning:
        yield f"the loss changed direction in {percent(turns)} of the epochs"
    if rest > USUAL.trivial and largest > LIMITS.usual_update:
        yield f"the loss is {percent(rest)} of a constant prediction's"


def small_steps(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for steps that are tiny compared with the weights while the loss is smooth and still high."""
    trace = require_trace(trace)
    if trace.stopped:
        return None
    ratios = update_ratios(problem, trace, every=True)
    middle = float(np.median(list(ratios.values()) or [0.0]))
    rest = remaining_loss_share(problem, trace)
    slow = (
        middle < LIMITS.usual_update and rest > LIMITS.loss_left and _oscillation(train_losses(trace)) < USUAL.turning
    )
    if rest < LIMITS.loss_low or not (slow or middle < USUAL.update_low):
        return None
    return make_finding(
        "learning-rate-too-low",
        "warning",
        f"The learning rate {problem.config.learning_rate:g} is too low",
        meaning="The weights barely change, so training would take many times as long.",
        measured=f"the weights change by {percent(middle)} per step; the loss is {percent(rest)} of a constant prediction's",
        usual="about 0.1 % per step",
        fix=Fix("Raise the learning rate.", _rate(problem, 10), remedy="rate*10"),
        update_ratio=middle,
        loss_share=rest,
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
    """Check for a training loss that changes direction in over half of the last 20 epochs, by over 5 %, without a trend."""
    trace = require_trace(trace)
    losses = train_losses(trace)[-LIMITS.oscillating_window :]
    if len(losses) < LIMITS.oscillating_epochs:
        raise NotApplicable("needs at least eight epochs to tell oscillation from noise")
    if not np.isfinite(losses).all():
        return None
    turns, swing = _turning(losses), _swing(losses)
    trend = abs(float(np.polyfit(np.arange(len(losses)), losses, 1)[0])) * len(losses) / max(abs(losses.mean()), 1e-12)
    if not (
        turns > USUAL.turning
        and swing > USUAL.swing
        and trend < LIMITS.trend * swing
        and remaining_loss_share(problem, trace) > LIMITS.loss_left
    ):
        return None
    return make_finding(
        "oscillating-loss",
        "warning",
        "The loss oscillates and no longer falls",
        meaning="The steps are too large, or the batches too small, for the training to converge.",
        measured=f"it changes direction in {percent(turns)} of the epochs, by {percent(swing)} of its level",
        usual="a falling loss whose oscillations shrink",
        fix=Fix(
            "Lower the rate toward the end, or use larger batches.", (Setting("schedule", "cosine"),), remedy="rate/10"
        ),
        turning=turns,
        swing=swing,
    )


def _oscillation(losses: np.ndarray) -> float:
    """Return the share of epochs in which the loss changes direction if it swings by over a tenth of its level, else 0."""
    return _turning(losses) if _swing(losses) > 2 * USUAL.swing else 0.0


def _swing(losses: np.ndarray) -> float:
    """Return the median change of the loss from epoch to epoch, as a share of its level."""
    if len(losses) < 2:
        return 0.0
    return float(np.median(np.abs(np.diff(losses[-LIMITS.swing_window :])))) / max(
        abs(float(losses[-LIMITS.swing_window :].mean())), 1e-12
    )


def _turning(losses: np.ndarray) -> float:
    """Return the share of epochs in which the loss changes direction."""
    directions = np.sign(np.diff(losses[-LIMITS.swing_window :]))
    enough = len(losses) >= LIMITS.turning_epochs
    return float((directions[1:] * directions[:-1] < 0).mean()) if enough else 0.0


def many_clipped_steps(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether more than half of the recorded steps are clipped."""
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
    suitable = float(np.quantile(norms, LIMITS.suitable_clip))
    return make_finding(
        "clipping-too-tight",
        "warning",
        f"{percent(share)} of the steps are clipped",
        meaning="Clipping is for rare outliers; here it determines the length of most steps.",
        measured=f"limit {clip.limit:g}; median gradient norm {np.median(norms):.3g}",
        usual="a limit near the 90th percentile of the gradient norms",
        fix=Fix("Raise the limit.", (Setting("max_grad_norm", float(f"{suitable:.2g}")),), remedy="no-clip"),
        share=share,
        limit=clip.limit,
        median=float(np.median(norms)),
    )


def batch_too_small(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for batches of fewer than eight rows, whose gradients are mostly noise."""
    trace = require_trace(trace)
    size = problem.recipe.batch_size
    if size >= LIMITS.batch_small or len(problem.rows) < LIMITS.batch_small_rows:
        return None
    losses = trace.step_losses[np.isfinite(trace.step_losses)]
    spread = float(losses.std() / max(abs(losses.mean()), 1e-12)) if losses.size else math.nan
    return make_finding(
        "batch-too-small",
        "warning",
        f"Batches of {size} row{'s' if size > 1 else ''} make noisy steps",
        meaning="The gradient of so few rows says little about the others, at least at this learning rate.",
        measured=f"the loss varies by {percent(spread)} of its level from step to step"
        if losses.size
        else f"batch size {size}",
        usual="16 to 256 rows per batch",
        fix=Fix("Use larger batches.", (Setting("batch_size", 32),), remedy="larger-batch"),
        batch_size=size,
        spread=spread,
    )


def batch_too_large(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for fewer than ten updates per epoch with batches of more than 32 rows, and few updates in all."""
    trace = require_trace(trace)
    updates = problem.steps_per_epoch
    total = sum(epoch.steps for epoch in trace.epochs)
    if (
        updates >= USUAL.few_updates
        or problem.recipe.batch_size <= LIMITS.batch_large
        or total > LIMITS.batch_large_updates
    ):
        return None
    return make_finding(
        "batch-too-large",
        "warning",
        f"Only {updates} update{'s' if updates > 1 else ''} per epoch",
        meaning="Each step is accurate but there are few of them; smaller batches learn more in the same number of epochs.",
        measured=f"{problem.recipe.batch_size} of {len(problem.rows)} rows per batch, {total} updates in all",
        usual="16 to 256 rows per batch",
        fix=Fix("Use smaller batches.", (Setting("batch_size", 32),), remedy="smaller-batch"),
        updates_per_epoch=updates,
        updates=total,
    )


def over_regularized(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a penalty whose gradient rivals that of the loss while the loss is still high."""
    trace = require_trace(trace)
    if not problem.recipe.penalty.active and not getattr(problem.recipe.optimizer, "weight_decay", 0.0):
        return None
    ratio = float(np.median([reading.penalty_ratio for reading in last_readings(trace)]))
    rest = remaining_loss_share(problem, trace)
    if rest < LIMITS.loss_low or not (
        training_failed(problem, trace) or (problem.recipe.penalty.active and ratio >= LIMITS.penalty_share)
    ):
        return None
    strength = f"the penalty's gradient is {times(ratio)} that of the loss"
    if not problem.recipe.penalty.active:
        strength = f"weight decay {getattr(problem.recipe.optimizer, 'weight_decay', 0.0):g}"
    return make_finding(
        "over-regularized",
        "warning",
        "The penalty on the weights is too strong",
        meaning="The penalty holds the weights near zero, so the network cannot fit the data.",
        measured=f"{strength}; the loss is {percent(rest)} of a constant prediction's",
        usual="a penalty whose gradient is much smaller than that of the loss",
        fix=Fix("Turn the penalty off, or divide it by ten.", _no_penalty(problem), remedy="no-penalty"),
        ratio=ratio,
        loss_share=rest,
    )


def decayed_rate(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a rate below a hundredth in the middle of the run, or below a tenth for four fifths of it."""
    trace = require_trace(trace)
    schedule = problem.config.schedule
    E = problem.config.epochs
    if isinstance(schedule, ConstantSchedule):
        return None
    if plateau_rule(schedule) is not None:
        factors = np.array([epoch.learning_rate for epoch in trace.epochs]) / problem.config.learning_rate
    else:
        factors = np.array([schedule.factor(e, E) for e in (np.arange(200) + 0.5) * E / 200])
    middle, small = float(factors[len(factors) // 2]), float((factors < LIMITS.decayed_factor).mean())
    if middle >= LIMITS.decayed and small <= LIMITS.decayed_share:
        return None
    return make_finding(
        "schedule-too-early",
        "warning",
        "The learning rate decays long before the end",
        meaning="The later epochs barely change the weights.",
        measured=f"{percent(middle)} of the base rate in the middle of the run; below a tenth for {percent(small)} of it",
        usual="a schedule that decays until the end of the run",
        fix=Fix(
            "Stretch the schedule over the whole run.", (Setting("schedule", "cosine"),), remedy="constant-schedule"
        ),
        middle=middle,
        small=small,
    )
