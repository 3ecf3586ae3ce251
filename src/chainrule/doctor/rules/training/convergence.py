"""Check whether the network learned, whether training ended too early, and whether it generalizes.

In: a training problem and its trace. Out: findings about progress, length, capacity and generalization.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.doctor.observe.readings import (
    has_classes,
    moving_average,
    remaining_loss_share,
    require_trace,
    train_losses,
    training_failed,
)
from chainrule.doctor.remedies.settings import longer_by
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.trials.scoring import RowScores, score_state, standard_error
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


def final_scores(problem: TrainingProblem, trace: Trace) -> tuple[RowScores, RowScores]:
    """Return the final scores on training and validation rows, in inference."""
    if problem.validation is None or not len(problem.validation):
        raise NotApplicable("needs validation rows")
    return (
        score_state(problem.recipe, trace.final, problem.rows, problem.rows[: LIMITS.scored_rows]),
        score_state(problem.recipe, trace.final, problem.rows, problem.validation),
    )


def _mistakes(train: RowScores, validation: RowScores) -> str:
    """Return both errors, as shares of the error of a constant prediction."""
    held_out = f"{percent(validation.mistake)} on validation rows"
    return f"error (constant prediction: 100 %): {percent(train.mistake)} on training rows, {held_out}"


def not_decreasing(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether the loss is still close to that of a constant prediction."""
    trace = require_trace(trace)
    rest = remaining_loss_share(problem, trace)
    if rest < 1.0 - 5 * USUAL.no_progress and not trace.stopped:
        return None
    return make_finding(
        "not-decreasing",
        "critical",
        "The network has learned nothing",
        meaning="Its loss is hardly better than that of a prediction that ignores the inputs.",
        measured=f"the loss is {percent(rest)} of a constant prediction's",
        usual="well below 50 %",
        fix=Fix("Find the cause among the other findings; check inputs and targets first."),
        loss_share=rest,
        baseline=trace.baseline,
    )


def undertrained(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether the last tenth of the epochs lowered the training loss by over 2 %, or whether there were few steps.

    A run that early stopping ended is judged by `stopped_too_early`.
    """
    trace = require_trace(trace)
    losses = train_losses(trace)
    if trace.stopped or trace.stopped_early or not np.isfinite(losses).all():
        return None
    steps = sum(epoch.steps for epoch in trace.epochs)
    few = steps < USUAL.few_steps
    width = max(1, len(losses) // 10)
    curve = moving_average(losses, width)
    fall = 0.0 if len(curve) <= width else (curve[-1 - width] - curve[-1]) / max(abs(curve[-1 - width]), 1e-12)
    if not (fall > LIMITS.still_falling or few) or remaining_loss_share(problem, trace) < LIMITS.learned:
        return None
    return make_finding(
        "undertrained",
        "warning",
        f"Training ended after {len(losses)} epochs while the loss was still falling"
        if fall > LIMITS.still_falling
        else f"Training was short: {steps} steps",
        meaning="The network had not finished learning when training ended."
        if fall > LIMITS.still_falling
        else "So few steps are rarely enough for a network to learn what it can.",
        measured=f"{change_in_words(float(fall), width)}; {steps} steps in all",
        usual=f"a change below 1 % at the end, after at least {USUAL.few_steps} steps",
        fix=_longer(round(problem.config.epochs * longer_by(problem))),
        fall=float(fall),
        steps=steps,
    )


def change_in_words(fall: float, width: int) -> str:
    """Return in words how the last epochs changed the training loss."""
    last = "the last epoch" if width == 1 else f"the last {width} epochs"
    return f"{last} {'lowered' if fall >= 0 else 'raised'} the training loss by {percent(abs(fall))}"


def _longer(epochs: int) -> Fix:
    return Fix("Train longer.", (Setting("max_iter", epochs),), remedy="longer")


def underfitting(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether the loss is still high on the training rows themselves."""
    trace = require_trace(trace)
    rest = remaining_loss_share(problem, trace)
    if trace.stopped or rest < LIMITS.underfitting:
        return None
    return make_finding(
        "underfitting",
        "warning" if rest > USUAL.failed_share else "info",
        "The network underfits: it does not even fit the training rows",
        meaning="It is too small, too constrained or badly trained for this task, or the inputs do not predict the targets.",
        measured=f"the training loss is {percent(rest)} of a constant prediction's",
        usual="below 30 %",
        fix=Fix("Make the network larger.", (Setting("hidden_layer_sizes", (128, 128)),), remedy="larger-network"),
        loss_share=rest,
    )


def loss_metric_disagreement(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a loss and a metric that change independently over at least twenty epochs."""
    trace = require_trace(trace)
    if len(trace.epochs) < LIMITS.metric_epochs:
        raise NotApplicable("needs at least twenty epochs")
    losses = train_losses(trace)
    scores = np.array([epoch.train_score for epoch in trace.epochs])
    quality = scores if problem.recipe.loss.metric == "accuracy" else -scores
    if not np.isfinite(losses).all() or losses.std() < LIMITS.metric_loss_change * abs(losses.mean()):
        return None
    if quality.std() < LIMITS.metric_change:
        return None
    related = -float(np.corrcoef(losses, quality)[0, 1])
    if not related < USUAL.correlation or not training_failed(problem, trace):
        return None
    return make_finding(
        "loss-metric-disagreement",
        "info",
        f"The {problem.recipe.loss.metric} does not follow the loss",
        meaning="The training minimizes a loss that does not measure what you want.",
        measured=f"a correlation of {related:.2f} over {len(losses)} epochs",
        usual="a correlation above 0.5",
        fix=Fix("Choose a loss that fits the metric.", remedy="matching-loss"),
        correlation=related,
    )


def overfitting(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a validation loss a tenth above its best, or an error far above that on training rows."""
    trace = require_trace(trace)
    if problem.validation is None or not len(problem.validation):
        raise NotApplicable("needs validation rows")
    rise, best = _rise(trace)
    train, validation = final_scores(problem, trace)
    gap = validation.mistake - train.mistake
    noise = standard_error(validation.mistakes)
    wide = gap > max(LIMITS.mistake_gap, LIMITS.mistake_gap_errors * noise)
    wide = wide and validation.mistake > LIMITS.mistake_ratio * train.mistake
    if validation.mistake < LIMITS.few_mistakes or not (
        wide or (rise > USUAL.overfitting_rise and gap > USUAL.clear_errors * noise)
    ):
        return None
    return make_finding(
        "overfitting",
        "warning",
        "The network overfits: it is much better on training rows than on validation rows",
        meaning="It memorizes the training rows, noise included, instead of learning what they have in common.",
        measured=f"{_mistakes(train, validation)}; final validation loss {percent(rise)} above its best (epoch {best + 1})",
        usual="similar errors, and a validation loss that stays near its best",
        fix=Fix(
            "Stop when the validation loss no longer falls, and keep the best weights.",
            (Setting("early_stopping", True), Setting("n_iter_no_change", 10)),
            remedy="shorter",
        ),
        train=train.mistake,
        validation=validation.mistake,
        rise=rise,
        best_epoch=best + 1,
    )


def _rise(trace: Trace) -> tuple[float, int]:
    """Return by how much the smoothed validation loss ended above its best, and the index of the best epoch."""
    kept = np.array([epoch.validation_loss for epoch in trace.kept_epochs])
    held = moving_average(kept, LIMITS.rise_window)
    if not np.isfinite(held).all() or len(held) < LIMITS.rise_epochs:
        return 0.0, len(held)
    best = int(np.argmin(held))
    return float((held[-1] - held[best]) / max(abs(float(held[best])), 1e-12)), best


def suspicious_validation(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for validation rows with a far smaller error than training rows, both in inference, beyond chance.

    Chance is estimated from the errors of the training rows, since a few correct validation rows have no spread.
    """
    trace = require_trace(trace)
    train, validation = final_scores(problem, trace)
    if trace.stopped or (has_classes(problem) and train.mistake < LIMITS.learned):
        return None
    spread = float(train.mistakes.std())
    error = spread * math.sqrt(1.0 / len(train.mistakes) + 1.0 / len(validation.mistakes))
    gap = train.mistake - validation.mistake
    if not (gap > LIMITS.mistake_gap and gap > LIMITS.better_errors * error):
        return None
    return make_finding(
        "suspicious-validation",
        "warning",
        "The network is better on validation rows than on training rows",
        meaning="The two parts differ, or the validation rows leaked into the training.",
        measured=_mistakes(train, validation),
        usual="a slightly larger error on validation rows",
        fix=Fix("Look for duplicates, and split at random."),
        train=train.mistake,
        validation=validation.mistake,
    )


def no_validation(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether there are validation rows."""
    if problem.validation is not None:
        return None
    return make_finding(
        "no-validation",
        "warning",
        "There are no validation rows",
        meaning="Nothing shows whether the network works on rows that it has not seen.",
        measured=f"{len(problem.rows)} training rows, 0 validation rows",
        usual="10 to 20 % of the rows held out",
        fix=Fix(
            "Hold some rows out for validation.",
            (Setting("early_stopping", True), Setting("validation_fraction", 0.2)),
            safe=True,
        ),
        rows=len(problem.rows),
    )
