"""Check whether early stopping reacted to noise, and whether enough validation rows chose the epoch.

In: a training problem and its trace. Out: findings about when a training was stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.readings import (
    has_classes,
    remaining_loss_share,
    require_trace,
    train_losses,
    validation_losses,
)
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.trials.scoring import score_state, standard_error
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True)
class Trend:
    """A straight line through the last epochs of a loss, and the noise around it.

    `fall` is what the line loses in an epoch, `error` its standard error, `noise` the deviation of an epoch from the line,
    `level` the mean loss, `epochs` their number.
    """

    fall: float
    error: float
    noise: float
    level: float
    epochs: int

    @property
    def clear(self) -> bool:
        """Whether the loss falls by more than chance."""
        return self.fall > LIMITS.trend_errors * self.error

    @property
    def share(self) -> float:
        """Share of the loss at its beginning that the line loses over these epochs."""
        lost = self.fall * (self.epochs - 1)
        return lost / max(abs(self.level + lost / 2.0), 1e-12)

    @property
    def patience(self) -> float:
        """Epochs after which the line has fallen by more than the noise moves it: no stop may come sooner."""
        return LIMITS.noise_patience * self.noise / self.fall if self.clear else 0.0


def trend(losses: Array) -> Trend:
    """Return the trend of the last half of the losses, of ten epochs at least."""
    part = losses[-max(LIMITS.trend_epochs, len(losses) // 2) :]
    n = len(part)
    if n < LIMITS.fewest_trend_epochs:
        return Trend(0.0, math.inf, 0.0, float(part.mean()), n)
    e = np.arange(n) - (n - 1) / 2.0
    slope = float((e * part).sum() / (e * e).sum())
    rest = part - part.mean() - slope * e
    noise = math.sqrt(float((rest * rest).sum()) / (n - 2))
    return Trend(-slope, noise / math.sqrt(float((e * e).sum())), noise, float(part.mean()), n)


def stopped_too_early(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether early stopping ended a training that still improved, or reacted to the noise of a few epochs.

    Suspected if the training loss still falls, if the watched loss falls while its noise is larger than what it lost within
    the patience, or if the run had few steps; a longer training confirms it. Without trials only a stop in the first third
    of the epochs after little patience counts.
    """
    trace = require_trace(trace)
    losses, held = train_losses(trace), validation_losses(trace)
    watched = held if np.isfinite(held).all() else losses
    if (
        not trace.stopped_early
        or not np.isfinite(losses).all()
        or remaining_loss_share(problem, trace) < LIMITS.learned
    ):
        return None
    waited = len(watched) - 1 - int(np.argmin(watched))
    surely = _reacted_to_an_epoch(trace, losses, held) or _still_falls(trace, losses)
    signs = [*_signs(trace, losses, watched, waited)]
    if not signs and not surely:
        return None
    fall = change_per_epoch(losses, max(waited, 1))
    return make_finding(
        "stopped-too-early",
        "warning",
        f"Training was stopped after {len(losses)} of {trace.planned} epochs while it still improved",
        meaning="Losses are noisy; a few epochs without a lower one do not mean that training is finished.",
        measured="; ".join(signs or [f"the training loss fell by {percent(fall)} per epoch"]),
        usual=f"a patience that outlasts the noise, {LIMITS.patience_low} epochs or more",
        fix=Fix(
            "Wait longer before stopping.",
            (Setting("n_iter_no_change", advised_patience(trace, waited, trend(watched))),),
            remedy="longer",
        ),
        waited=waited,
        fall=fall,
        steps=sum(epoch.steps for epoch in trace.epochs),
        clear=surely,
    )


def advised_patience(trace: Trace, waited: int, seen: Trend) -> int | None:
    """Return the epochs to wait, at least twice as many as were waited and as the noise needs; None to never stop early."""
    least = trace.planned / LIMITS.stop_share
    epochs = math.ceil(max(LIMITS.patience_low, 2 * waited + 1, 2.0 * seen.patience, least + 1))
    return epochs if 2 * epochs < trace.planned else None


def change_per_epoch(losses: Array, epochs: int) -> float:
    """Return the share by which a loss fell per epoch over the last ones; 0 where there are too few."""
    last = min(epochs, len(losses) - 1)
    return 1.0 - (max(losses[-1], 1e-12) / max(losses[-1 - last], 1e-12)) ** (1.0 / last) if last else 0.0


def _signs(trace: Trace, losses: Array, watched: Array, waited: int) -> Iterator[str]:
    """Yield what makes a stop look premature."""
    own, seen = trend(losses), trend(watched)
    steps = sum(epoch.steps for epoch in trace.epochs)
    if waited < min(seen.patience, trace.planned):
        after = f"{waited} epoch{'' if waited == 1 else 's'}"
        yield f"stopped {after} after its lowest loss; the noise from epoch to epoch needs {math.ceil(seen.patience)}"
    if own.clear and own.share > LIMITS.still_falling:
        yield f"the training loss fell by {percent(own.share)} over the last {own.epochs} epochs"
    if steps < USUAL.few_steps:
        yield f"{steps} steps in all"


def _reacted_to_an_epoch(trace: Trace, losses: Array, held: Array) -> bool:
    """Check for a stop in the first third, in a healthy training, because of a single epoch or a few of them.

    The training loss still fell by half a percent per epoch, and the validation loss was within 5 % of its best. A patience
    of `Thresholds.patience` epochs, or of a twentieth of all, rules that out.
    """
    if not np.isfinite(held).all() or 3 * len(held) >= trace.planned:
        return False
    waited = len(held) - 1 - int(np.argmin(held))
    patient = waited >= max(USUAL.patience, trace.planned / LIMITS.stop_share)
    falls = change_per_epoch(losses, max(waited, 1)) >= LIMITS.stop_fall
    return falls and not patient and bool(held[-1] <= LIMITS.stop_rise * held.min())


def _still_falls(trace: Trace, losses: Array) -> bool:
    """Check for a stop by the training loss, in the first third of the epochs, although it clearly falls."""
    if np.isfinite(validation_losses(trace)).all() or 3 * len(losses) >= trace.planned:
        return False
    waited = len(losses) - 1 - int(np.argmin(losses))
    seen = trend(losses)
    patient = waited >= max(USUAL.patience, trace.planned / LIMITS.stop_share)
    return not patient and seen.clear and seen.share > LIMITS.clear_fall


def small_validation(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether so few validation rows chose the epoch that chance chose it."""
    trace = require_trace(trace)
    if problem.validation is None or not len(problem.validation):
        raise NotApplicable("needs validation rows")
    n = len(problem.validation)
    chosen = trace.stopped_early or 0 < trace.kept < len(trace.epochs)
    if trace.stopped or not chosen or n >= LIMITS.many_to_choose:
        return None
    error, unit, wanted = _score_error(problem, trace)
    total = n + len(problem.rows)
    possible = min(max(wanted, LIMITS.few_to_choose), int(LIMITS.most_held_out * total))
    if possible <= n:
        raise NotApplicable("there are too few rows to hold out more")
    return make_finding(
        "small-validation",
        "warning" if n < LIMITS.few_to_choose else "info",
        f"{n} validation row{'' if n == 1 else 's'} choose{'s' if n == 1 else ''} the epoch",
        meaning="The score of so few rows moves from epoch to epoch by chance, and the luckiest epoch is kept.",
        measured=f"a standard error of {error:.2g} {unit} on {n} rows",
        usual=f"{LIMITS.score_error:.2g} {unit}, which takes about {wanted} rows",
        fix=Fix(
            f"Hold out {possible} rows, or train a fixed number of epochs.",
            (Setting("early_stopping", True), Setting("validation_fraction", round(possible / total, 2))),
        ),
        rows=n,
        wanted=wanted,
        standard_error=error,
    )


def _score_error(problem: TrainingProblem, trace: Trace) -> tuple[float, str, int]:
    """Return the standard error of the validation score, its unit, and the rows with which it would be small.

    Accuracy is counted as if one more row were right and one more wrong, since a few rows that are all right have no spread;
    of continuous targets it is the error of the squared error, relative to a constant prediction's.
    """
    assert problem.validation is not None
    n = len(problem.validation)
    mistakes = score_state(problem.recipe, trace.final, problem.rows, problem.validation).mistakes
    if has_classes(problem) and class_indices(problem.validation) is not None:
        wrong = (float((mistakes > 0).sum()) + 1.0) / (n + 2.0)
        error = math.sqrt(wrong * (1.0 - wrong) / n)
        unit = "of the accuracy"
    else:
        error = standard_error(mistakes)
        error = error if math.isfinite(error) else 1.0
        unit = "of a constant prediction's error"
    return error, unit, math.ceil(n * (error / LIMITS.score_error) ** 2)
