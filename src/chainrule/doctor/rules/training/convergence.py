"""Why: at the end it counts whether the network learned, whether it was finished, and whether it holds on rows not seen.

In: a case and its trace. Out: findings on progress, length, capacity and generalization.
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
    validation_losses,
)
from chainrule.doctor.remedies.settings import longer_by
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.trials.scoring import RowScores, score_state, standard_error
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem

_MOST = 2000


def both(problem: TrainingProblem, trace: Trace) -> tuple[RowScores, RowScores]:
    """Verdicts on training and validation rows at the end, in inference."""
    if problem.validation is None:
        raise NotApplicable("needs validation rows")
    return (
        score_state(problem.recipe, trace.final, problem.rows, problem.rows[:_MOST]),
        score_state(problem.recipe, trace.final, problem.rows, problem.validation),
    )


def _mistakes(train: RowScores, validation: RowScores) -> str:
    told = f"{percent(train.mistake)} of a constant's in training, {percent(validation.mistake)} in validation"
    return f"mistakes {told}"


def not_decreasing(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Nearly all of a constant prediction's loss is left."""
    trace = require_trace(trace)
    rest = remaining_loss_share(problem, trace)
    if rest < 1.0 - 5 * USUAL.no_progress and not trace.stopped:
        return None
    return make_finding(
        "not-decreasing",
        "critical",
        "The network has learned nothing",
        meaning="Its loss is that of a prediction which never looks at the inputs.",
        measured=f"{percent(rest)} of a constant's loss is left",
        usual="well below half",
        fix=Fix("Find the cause among the other findings; check inputs and targets first."),
        left=rest,
        baseline=trace.baseline,
    )


def undertrained(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """The last tenth of the epochs (two at least) still lowers the training loss by 5 %, or there were few steps."""
    trace = require_trace(trace)
    losses = train_losses(trace)
    if trace.stopped or not np.isfinite(losses).all():
        return None
    steps = sum(epoch.steps for epoch in trace.epochs)
    few = steps < USUAL.few_steps
    width = max(1, len(losses) // 10)
    curve = moving_average(losses, width)
    fall = 0.0 if len(curve) <= width else (curve[-1 - width] - curve[-1]) / max(abs(curve[-1 - width]), 1e-12)
    if not (fall > 0.02 or few) or remaining_loss_share(problem, trace) < 0.02:
        return None
    return make_finding(
        "undertrained",
        "warning",
        f"Training ended after {len(losses)} epochs while it still made progress",
        meaning="The loss was on its way down when the training ended.",
        measured=f"the last {width} of {len(losses)} epochs lowered the loss by {percent(float(fall))}; {steps} steps",
        usual="below 1 % at the end",
        fix=_patience(_waited(trace), "longer")
        if trace.planned > len(losses)
        else _longer(round(problem.config.epochs * longer_by(problem))),
        fall=float(fall),
        steps=steps,
    )


def stopped_too_early(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A rule ended the training in the first third of its epochs, after a wait of two epochs or so, while all was well.

    The training loss still fell by half a percent an epoch, and the validation loss stood within 5 % of its best: what
    the rule took for the end was one epoch's noise. A wait of `Thresholds.patience` epochs, or of a twentieth of all,
    rules that out.
    """
    trace = require_trace(trace)
    losses, held = train_losses(trace), validation_losses(trace)
    done, planned = len(losses), trace.planned
    if trace.stopped or not done or 3 * done >= planned or not np.isfinite([*losses, *held]).all():
        return None
    waited = done - 1 - int(np.argmin(held))
    last = max(1, min(waited, done - 1))
    fall = 1.0 - (max(losses[-1], 1e-12) / max(losses[-1 - last], 1e-12)) ** (1.0 / last) if done > 1 else 0.0
    if waited >= max(USUAL.patience, planned / 20) or fall < 0.005 or held[-1] > 1.05 * held.min():
        return None
    return make_finding(
        "stopped-too-early",
        "warning",
        f"Training was stopped after {done} of {planned} epochs while it got on",
        meaning="Validation losses jump up and down; one bad epoch is no end.",
        measured=f"{waited} epochs without a better validation loss; the training loss fell by {percent(fall)} an epoch",
        usual="a patience of ten to twenty epochs",
        fix=_patience(waited),
        waited=waited,
        fall=fall,
    )


def _longer(epochs: int) -> Fix:
    return Fix("Train longer.", (Setting("max_iter", epochs),), remedy="longer")


def _patience(waited: int, remedy: str = "") -> Fix:
    """Return the advice to wait at least twice as many epochs for a better validation loss as the run did."""
    epochs = max(20, 2 * waited)
    return Fix("Wait longer before stopping.", (Setting("n_iter_no_change", epochs),), remedy=remedy)


def _waited(trace: Trace) -> int:
    """Return the number of epochs behind the one with the lowest validation loss; 0 where there is none."""
    held = validation_losses(trace)
    return len(held) - 1 - int(np.argmin(held)) if np.isfinite(held).all() else 0


def underfitting(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Much of the loss is left on the training rows themselves."""
    trace = require_trace(trace)
    rest = remaining_loss_share(problem, trace)
    if trace.stopped or rest < 0.3:
        return None
    return make_finding(
        "underfitting",
        "warning" if rest > USUAL.hurting else "info",
        "The network does not even fit its training rows",
        meaning="It is too small, too restricted or badly trained for this task, or the inputs do not tell the targets.",
        measured=f"{percent(rest)} of a constant's loss is left on training rows",
        usual="below 30 %",
        fix=Fix("Make the network larger.", (Setting("hidden_layer_sizes", (128, 128)),), remedy="larger-network"),
        left=rest,
    )


def loss_metric_disagreement(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Loss and metric hardly move together over twenty epochs, although both move."""
    trace = require_trace(trace)
    if len(trace.epochs) < 20:
        raise NotApplicable("needs twenty epochs to compare loss and metric")
    losses = train_losses(trace)
    scores = np.array([epoch.train_score for epoch in trace.epochs])
    better = scores if problem.recipe.loss.metric == "accuracy" else -scores
    if not np.isfinite(losses).all() or losses.std() < 0.02 * abs(losses.mean()) or better.std() < 1e-3:
        return None
    related = -float(np.corrcoef(losses, better)[0, 1])
    if not related < USUAL.correlation or not training_failed(problem, trace):
        return None
    return make_finding(
        "loss-metric-disagreement",
        "info",
        f"The loss falls, and the {problem.recipe.loss.metric} does not follow",
        meaning="The loss that is minimized is not what is wanted.",
        measured=f"correlation {related:.2f} over {len(losses)} epochs",
        usual="above 0.5",
        fix=Fix("Choose a loss that fits the metric.", remedy="matching-loss"),
        correlation=related,
    )


def overfitting(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """The validation loss has risen by a tenth over its best while the training loss fell, or mistakes are far more."""
    trace = require_trace(trace)
    if problem.validation is None:
        raise NotApplicable("overfitting: needs validation rows")
    held = moving_average(validation_losses(trace), 3)
    train, validation = both(problem, trace)
    rise, best = 0.0, len(held)
    if np.isfinite(held).all() and len(held) >= 5:
        best = int(np.argmin(held))
        rise = float((held[-1] - held[best]) / max(abs(float(held[best])), 1e-12))
    gap = validation.mistake - train.mistake
    noise = standard_error(validation.mistakes)
    wide = gap > max(0.1, 3.0 * noise) and validation.mistake > 2.0 * train.mistake
    if validation.mistake < 0.05 or not (wide or (rise > USUAL.overfitting_rise and gap > 2.0 * noise)):
        return None
    return make_finding(
        "overfitting",
        "warning",
        "The network does much better on training rows than on others",
        meaning="It has learned the rows by heart, with their noise, more than what they have in common.",
        measured=f"{_mistakes(train, validation)}; validation loss {percent(rise)} above its best (epoch {best + 1})",
        usual="about the same; a validation loss that stays near its best",
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


def suspicious_validation(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Validation rows do better than training rows, both in inference, by far more than chance.

    What chance does is told by the training rows' mistakes: few validation rows without any have no spread of their own.
    """
    trace = require_trace(trace)
    train, validation = both(problem, trace)
    if trace.stopped or (has_classes(problem) and train.mistake < 0.02):
        return None
    spread = float(train.mistakes.std())
    error = spread * math.sqrt(1.0 / len(train.mistakes) + 1.0 / len(validation.mistakes))
    gap = train.mistake - validation.mistake
    if not (gap > 0.1 and gap > 4.0 * error):
        return None
    return make_finding(
        "suspicious-validation",
        "warning",
        "Validation rows do better than the rows that were learned",
        meaning="The parts differ in kind, or the validation rows leaked into the training.",
        measured=_mistakes(train, validation),
        usual="a little worse",
        fix=Fix("Look for duplicates, and split at random."),
        train=train.mistake,
        validation=validation.mistake,
    )


def no_validation(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Nothing is held out."""
    if problem.validation is not None:
        return None
    return make_finding(
        "no-validation",
        "warning",
        "No rows are held out",
        meaning="Nothing tells whether the network works on rows that it has not seen.",
        measured=f"{len(problem.rows)} training rows, no validation rows",
        usual="10 to 20 % held out",
        fix=Fix(
            "Hold some rows out for validation.",
            (Setting("early_stopping", True), Setting("validation_fraction", 0.2)),
            safe=True,
        ),
        rows=len(problem.rows),
    )
