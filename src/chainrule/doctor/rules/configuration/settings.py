"""Check the training settings that cannot work for any data, which a bound shows without training.

In: optimizer, learning rate, schedule, clipping and learning-rate multipliers. Out: findings.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.remedies.settings import usual_rate
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.doctor.vocabulary.wording import percent, places
from chainrule.nn.layers import Context
from chainrule.nn.optimizers import AdaGrad, Adam, AdamW, RMSProp
from chainrule.nn.penalties import ClipNorm, ClipValue
from chainrule.nn.schedules import ConstantSchedule, plateau_rule
from chainrule.nn.step import loss_and_gradient
from chainrule.pipeline.option_names import Setting
from chainrule.pipeline.settings import OPTIMIZERS
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem

_SCALED = (Adam, AdamW, RMSProp, AdaGrad)
"""Optimizers whose step is about the learning rate per weight, however large the gradient is."""


def rate_above_bound(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a learning rate that no network of usual scale tolerates: 0.1 for adaptive optimizers, 10 for SGD.

    Momentum multiplies the step: classical momentum and Nesterov sum gradients, so α / (1 - μ) counts.
    """
    rate = _effective(problem)
    limit = LIMITS.rate_adaptive if isinstance(problem.recipe.optimizer, _SCALED) else LIMITS.rate_plain
    if rate < limit or (rate == limit and not isinstance(problem.recipe.optimizer, _SCALED)):
        return None
    at_usual_rate = usual_rate(problem)
    usual = problem.config.learning_rate / 10 if at_usual_rate is None else at_usual_rate.config.learning_rate
    return make_finding(
        "learning-rate-too-high",
        "warning",
        f"The learning rate {problem.config.learning_rate:g} is very high for {_name(problem)}",
        meaning="Steps of this size overshoot every minimum.",
        measured=f"effective rate {rate:.3g}",
        usual="1e-4 to 1e-2 for Adam, 1e-3 to 1 for SGD",
        fix=Fix("Lower the learning rate.", (Setting("learning_rate_init", usual),), remedy="rate/10"),
        learning_rate=problem.config.learning_rate,
        effective=rate,
        excess=rate / limit,
    )


def rate_below_bound(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a learning rate below 1e-4 that over the whole run cannot move a weight by a twentieth of its usual size.

    With an adaptive optimizer one step moves a weight by about α (by α (1 - β₁) / √(1 - β₂) if gradients are rare), so T
    steps move it by at most about Σ αₜ; this is compared with the root mean square of the initial weights. For other
    optimizers an effective rate below 1e-7 is reported.

    Reference  [kingma2015] 2.1
    """
    rate = problem.config.learning_rate
    factors = _factors(problem)
    reach = rate * float(factors.mean()) * problem.steps
    if isinstance(problem.recipe.optimizer, _SCALED):
        size = _rms_weight(problem)
        low = rate < LIMITS.rate_low_adaptive and size > 0 and reach < LIMITS.rate_reach * size
    else:
        size, low = math.nan, _effective(problem) < LIMITS.rate_low_plain
    if not low:
        return None
    measured = f"{problem.steps} steps move a weight by about {reach:.2g}; the weights have a size of {size:.2g}"
    return make_finding(
        "learning-rate-too-low",
        "warning",
        f"The learning rate {rate:g} is too low",
        meaning="Over the whole run the weights barely change.",
        measured=measured if size == size else f"{rate:g} with {_name(problem)}",
        usual="1e-4 to 1e-2 for Adam, 1e-3 to 1 for SGD",
        fix=Fix("Raise the learning rate.", (Setting("learning_rate_init", 1e-3),), remedy="rate*100"),
        learning_rate=rate,
        reach=reach,
        weight=size,
    )


def optimizer_settings(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for optimizer settings far from the usual ones.

    ε above 1e-3 turns Adam into slow SGD; with β₁ ≥ √β₂ Adam need not converge; momentum that averages over more than a
    third of the run, 1 / (1 - β) steps, never warms up.
    """
    optimizer = problem.recipe.optimizer
    steps = problem.steps
    epsilon = getattr(optimizer, "epsilon", 0.0)
    beta = _momentum(optimizer)
    beta2 = getattr(optimizer, "beta2", None)
    if epsilon > LIMITS.epsilon:
        said, usual = f"epsilon {epsilon:g}", "1e-8"
        meaning = "A large ε dominates the divisor: steps become tiny and are no longer scaled for each weight."
    elif beta2 is not None and beta >= math.sqrt(beta2):
        said, usual = f"beta1 {beta:g}, beta2 {beta2:g}", "0.9 and 0.999"
        meaning = "The average gradient changes more slowly than the average square, so steps can grow without bound."
    elif beta > LIMITS.momentum and 1.0 / (1.0 - beta) > steps / LIMITS.momentum_share:
        said, usual = f"momentum {beta:g}, an average over {1 / (1 - beta):.0f} of {steps} steps", "0.9"
        meaning = "The average of the gradients spans too much of the run to follow the loss."
    else:
        return None
    return make_finding(
        "optimizer-settings",
        "warning",
        f"{_name(problem)} has unusual settings ({said})",
        meaning=meaning,
        measured=said,
        usual=usual,
        fix=Fix("Use the default settings of the optimizer.", _default(optimizer), remedy="usual-settings"),
        epsilon=epsilon,
        momentum=beta,
    )


def clipping_below_first_gradient(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a clipping limit below a hundredth of the first gradient's norm.

    Adaptive optimizers divide by the gradient's size, so for them only a limit below 1e-6 of it is reported, at which ε
    begins to matter.
    """
    clip = problem.recipe.clip
    if not isinstance(clip, ClipNorm | ClipValue):
        return None
    g = _gradient(problem)
    size = float(np.linalg.norm(g)) if isinstance(clip, ClipNorm) else float(np.abs(g).max(initial=0.0))
    share = LIMITS.clip_share_adaptive if isinstance(problem.recipe.optimizer, _SCALED) else LIMITS.clip_share
    if not size or not math.isfinite(size) or clip.limit >= share * size:
        return None
    kind = "max_grad_norm" if isinstance(clip, ClipNorm) else "max_grad_value"
    return make_finding(
        "clipping-too-tight",
        "warning",
        "Clipping cuts the gradient to almost nothing",
        meaning="Clipping makes every step far shorter, like a much lower learning rate.",
        measured=f"limit {clip.limit:g}; initial gradient {size:.3g}",
        usual="a limit near the 90th percentile of the gradient norms",
        fix=Fix("Raise the limit, or turn clipping off.", (Setting(kind, float(f"{size:.2g}")),), remedy="no-clip"),
        limit=clip.limit,
        gradient=size,
    )


def zero_multiplier(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for weight matrices with a learning-rate multiplier below 1e-3 although they start from random values.

    With pretrained weights, freezing layers is a way to fine-tune: information only.
    """
    multipliers = problem.recipe.multipliers
    if multipliers is None:
        return None
    still = {s.name: float(multipliers[s.offset]) for s in problem.recipe.net.parameters.slots if s.name.endswith(".W")}
    frozen = sorted(int(name.split(".")[0]) for name, value in still.items() if value < LIMITS.frozen_multiplier)
    if not frozen:
        return None
    everything = len(frozen) == len(still) and not float(multipliers.max())
    at_random = " at random values" if problem.start is None else ""
    return make_finding(
        "frozen-layer",
        "info" if problem.start is not None else "critical" if everything else "warning",
        "All layers are frozen" if everything else f"Some weights are frozen{at_random} ({places(frozen)})",
        meaning="A layer with a multiplier near 0 keeps its initial weights.",
        measured=f"multiplier {min(still.values()):g} for {len(frozen)} of {len(still)} weight matrices",
        usual="1, unless the layer was pretrained",
        fix=Fix("Train these layers too.", (Setting("learning_rate_multipliers", None),), remedy="unfreeze"),
        layer=frozen[0],
        frozen=len(frozen),
        evident=everything and problem.start is None,
    )


def schedule_near_zero(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a schedule that stays below a thousandth of the base rate for more than half of the run."""
    if isinstance(problem.config.schedule, ConstantSchedule) or plateau_rule(problem.config.schedule) is not None:
        return None
    factors = _factors(problem)
    over = np.flatnonzero(factors >= LIMITS.schedule_floor)
    share = 0.0 if not over.size else (over[-1] + 1) / len(factors)
    if share >= LIMITS.schedule_share:
        return None
    epoch = share * problem.config.epochs
    return make_finding(
        "schedule-too-early",
        "warning",
        f"The learning rate is almost zero after epoch {epoch:.0f} of {problem.config.epochs}",
        meaning="The rest of the run barely changes the weights.",
        measured=f"below 0.1 % of the base rate for {percent(1 - share)} of the run",
        usual="a schedule that decays until the end of the run",
        fix=Fix(
            "Stretch the schedule over the whole run.", (Setting("schedule", "cosine"),), remedy="constant-schedule"
        ),
        epoch=epoch,
        share=share,
    )


def _default(optimizer: object) -> tuple[Setting, ...]:
    """Return the setting that asks for the same kind of optimizer with the settings it has by default."""
    name = next((name for name, known in OPTIMIZERS.items() if type(known) is type(optimizer)), None)
    return () if name is None else (Setting("optimizer", name),)


def _name(problem: TrainingProblem) -> str:
    return type(problem.recipe.optimizer).__name__


def _factors(problem: TrainingProblem) -> Array:
    """Return the schedule's factor at even moments of the run."""
    E = problem.config.epochs
    moments = (np.arange(LIMITS.schedule_moments) + 0.5) * E / LIMITS.schedule_moments
    return np.array([problem.config.schedule.factor(e, E) for e in moments])


def _momentum(optimizer: object) -> float:
    return next((float(getattr(optimizer, name)) for name in ("beta1", "beta", "mu") if hasattr(optimizer, name)), 0.0)


def _effective(problem: TrainingProblem) -> float:
    """Return the learning rate with which SGD would take steps of the same length."""
    return problem.config.learning_rate / (1.0 - float(getattr(problem.recipe.optimizer, "mu", 0.0)))


def _rms_weight(problem: TrainingProblem) -> float:
    w = (problem.start or problem.recipe.start()).w
    chosen = w[np.asarray(problem.recipe.net.decay) > 0]
    return float(np.sqrt((chosen.astype(np.float64) ** 2).mean())) if chosen.size else 0.0


def _gradient(problem: TrainingProblem) -> Array:
    """Return the first gradient on at most 256 rows, in training mode, with penalties."""
    recipe = problem.recipe
    take = subsample_indices(problem.rows.X, LIMITS.first_gradient_rows)
    state = problem.start or recipe.start()
    ctx = Context(np, True, Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, 0))
    with np.errstate(all="ignore"):
        return loss_and_gradient(
            recipe.net,
            recipe.loss,
            state.w,
            state.buffers,
            problem.rows.X[take],
            problem.rows.Y[take],
            problem.rows.c[take],
            ctx,
            recipe.penalty,
        ).gradient
