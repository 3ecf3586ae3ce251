"""Checks before a training: the mathematics first, then the initial weights, then short trainings.

In: a training problem, which is not changed. Out: `RULES`, each a pure function that returns a finding or None. Custom
layers take part if they are subclasses of the package's layers.
"""

from chainrule.doctor.rules.configuration.start import wrong_initial_loss
from chainrule.doctor.rules.preflight.batch import cannot_overfit_batch, input_ignored, learning_rate_range
from chainrule.doctor.rules.preflight.gradients import not_a_descent_direction, sample_mixing, wrong_gradient
from chainrule.doctor.vocabulary.records import Rule

RULES: tuple[Rule, ...] = (
    Rule("wrong-gradient", wrong_gradient, "rows"),
    Rule("sample-mixing", sample_mixing, "rows"),
    Rule("wrong-initial-loss", wrong_initial_loss, "rows"),
    Rule("not-a-descent-direction", not_a_descent_direction, "rows"),
    Rule("cannot-overfit-batch", cannot_overfit_batch, "rows"),
    Rule("input-ignored", input_ignored, "rows"),
    Rule("learning-rate-too-high", learning_rate_range, "rows"),
)
"""The checks in the order in which they run."""
