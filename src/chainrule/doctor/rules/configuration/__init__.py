"""Rules on the recipe and its settings, which need no training and are the most certain.

In: a training problem. Out: `RULES`, each a pure function that returns a finding or None.
"""

from chainrule.doctor.rules.configuration.heads import constant_output, output_loss_mismatch, output_range, wrong_loss
from chainrule.doctor.rules.configuration.hidden import no_hidden_layer
from chainrule.doctor.rules.configuration.layers import (
    bias_before_norm,
    doubled_activation,
    dropout_before_norm,
    dropout_in_inference,
    dropout_too_high,
    frozen_statistics,
    hidden_softmax,
    linear_collapse,
    stacked_sigmoids,
    tiny_batch,
)
from chainrule.doctor.rules.configuration.settings import (
    clipping_below_first_gradient,
    optimizer_settings,
    rate_above_bound,
    rate_below_bound,
    schedule_near_zero,
    zero_multiplier,
)
from chainrule.doctor.rules.configuration.start import init_scale, symmetric_weights, wrong_initial_loss
from chainrule.doctor.vocabulary.records import Rule

RULES: tuple[Rule, ...] = (
    Rule("output-loss-mismatch", output_loss_mismatch, "recipe"),
    Rule("output-range", output_range, "rows"),
    Rule("wrong-loss", wrong_loss, "rows"),
    Rule("hidden-softmax", hidden_softmax, "recipe"),
    Rule("linear-collapse", linear_collapse, "recipe"),
    Rule("no-hidden-layer", no_hidden_layer, "rows"),
    Rule("doubled-activation", doubled_activation, "recipe"),
    Rule("bias-before-norm", bias_before_norm, "recipe"),
    Rule("dropout-before-norm", dropout_before_norm, "recipe"),
    Rule("dropout-too-high", dropout_too_high, "recipe"),
    Rule("constant-output", constant_output, "recipe"),
    Rule("symmetric-weights", symmetric_weights, "recipe"),
    Rule("init-scale", init_scale, "rows"),
    Rule("wrong-initial-loss", wrong_initial_loss, "rows"),
    Rule("frozen-layer", zero_multiplier, "recipe"),
    Rule("learning-rate-too-high", rate_above_bound, "recipe"),
    Rule("learning-rate-too-low", rate_below_bound, "recipe"),
    Rule("optimizer-settings", optimizer_settings, "recipe"),
    Rule("clipping-too-tight", clipping_below_first_gradient, "rows"),
    Rule("schedule-too-early", schedule_near_zero, "recipe"),
    Rule("vanishing-gradient", stacked_sigmoids, "recipe"),
    Rule("batch-norm-tiny-batch", tiny_batch, "recipe"),
    Rule("batch-norm-statistics", frozen_statistics, "recipe"),
    Rule("train-eval-gap", dropout_in_inference, "recipe"),
)
"""Rules on the recipe, in the order of root causes."""
