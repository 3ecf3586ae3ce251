"""Rules on the trace of a training. Most symptoms are harmless, so each is a suspicion that a trial must confirm.

In: a training problem and the trace of its training. Out: `RULES`, each a pure function that returns a finding or None.
"""

from __future__ import annotations

from chainrule.doctor.rules.training.convergence import (
    loss_metric_disagreement,
    no_validation,
    not_decreasing,
    overfitting,
    suspicious_validation,
    underfitting,
    undertrained,
)
from chainrule.doctor.rules.training.flow import (
    activation_drift,
    dead_units,
    exploding_gradient,
    saturated_units,
    update_ratio,
    vanishing_gradient,
)
from chainrule.doctor.rules.training.norms import batch_norm_statistics, train_eval_gap
from chainrule.doctor.rules.training.steps import (
    batch_too_large,
    batch_too_small,
    decayed_rate,
    large_steps,
    many_clipped_steps,
    nan_loss,
    oscillating_loss,
    over_regularized,
    small_steps,
    unchanged_weights,
)
from chainrule.doctor.rules.training.stopping import small_validation, stopped_too_early
from chainrule.doctor.vocabulary.records import Rule

RULES: tuple[Rule, ...] = (
    Rule("frozen-layer", unchanged_weights),
    Rule("nan-loss", nan_loss),
    Rule("learning-rate-too-high", large_steps),
    Rule("learning-rate-too-low", small_steps),
    Rule("oscillating-loss", oscillating_loss),
    Rule("clipping-too-tight", many_clipped_steps),
    Rule("batch-too-small", batch_too_small),
    Rule("batch-too-large", batch_too_large),
    Rule("over-regularized", over_regularized),
    Rule("schedule-too-early", decayed_rate),
    Rule("vanishing-gradient", vanishing_gradient),
    Rule("exploding-gradient", exploding_gradient),
    Rule("dead-units", dead_units),
    Rule("saturated-units", saturated_units),
    Rule("activation-drift", activation_drift),
    Rule("update-ratio", update_ratio),
    Rule("batch-norm-statistics", batch_norm_statistics),
    Rule("train-eval-gap", train_eval_gap),
    Rule("not-decreasing", not_decreasing),
    Rule("stopped-too-early", stopped_too_early),
    Rule("undertrained", undertrained),
    Rule("underfitting", underfitting),
    Rule("loss-metric-disagreement", loss_metric_disagreement),
    Rule("overfitting", overfitting),
    Rule("suspicious-validation", suspicious_validation),
    Rule("no-validation", no_validation),
    Rule("small-validation", small_validation),
)
"""Rules on the trace, in the order of root causes."""
