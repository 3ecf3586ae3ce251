"""Why: what can be read off a recipe needs no training and is the surest diagnosis there is.

In: a case. Out: `RULES`, each a pure function that gives one finding or none.
"""

from chainrule.doctor.rules.configuration.heads import constant_output, output_loss_mismatch, output_range, wrong_loss
from chainrule.doctor.rules.configuration.layers import (
    bias_before_norm,
    doubled_activation,
    dropout_before_norm,
    dropout_too_high,
    hidden_sigmoids,
    hidden_softmax,
    idle_statistics,
    linear_collapse,
    restless_inference,
    tiny_batch,
)
from chainrule.doctor.rules.configuration.settings import (
    clipping_too_tight,
    frozen_layer,
    optimizer_settings,
    rate_too_high,
    rate_too_low,
    schedule_too_early,
)
from chainrule.doctor.rules.configuration.start import init_scale, symmetric_weights, wrong_initial_loss
from chainrule.doctor.vocabulary.records import Rule

RULES: tuple[Rule, ...] = (
    Rule("output-loss-mismatch", output_loss_mismatch, "recipe"),
    Rule("output-range", output_range, "rows"),
    Rule("wrong-loss", wrong_loss, "rows"),
    Rule("hidden-softmax", hidden_softmax, "recipe"),
    Rule("linear-collapse", linear_collapse, "recipe"),
    Rule("doubled-activation", doubled_activation, "recipe"),
    Rule("bias-before-norm", bias_before_norm, "recipe"),
    Rule("dropout-before-norm", dropout_before_norm, "recipe"),
    Rule("dropout-too-high", dropout_too_high, "recipe"),
    Rule("constant-output", constant_output, "recipe"),
    Rule("symmetric-weights", symmetric_weights, "recipe"),
    Rule("init-scale", init_scale, "rows"),
    Rule("wrong-initial-loss", wrong_initial_loss, "rows"),
    Rule("frozen-layer", frozen_layer, "recipe"),
    Rule("learning-rate-too-high", rate_too_high, "recipe"),
    Rule("learning-rate-too-low", rate_too_low, "recipe"),
    Rule("optimizer-settings", optimizer_settings, "recipe"),
    Rule("clipping-too-tight", clipping_too_tight, "rows"),
    Rule("schedule-too-early", schedule_too_early, "recipe"),
    Rule("vanishing-gradient", hidden_sigmoids, "recipe"),
    Rule("batch-norm-tiny-batch", tiny_batch, "recipe"),
    Rule("batch-norm-statistics", idle_statistics, "recipe"),
    Rule("train-eval-gap", restless_inference, "recipe"),
)
"""Rules on the recipe, in the order of root causes."""
