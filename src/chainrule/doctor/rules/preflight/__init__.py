"""Why: an experienced person checks a few things before the first long run; here they are checks that run by themselves.

In: a case. Out: `check_before`, findings in the order of the checks; nothing of the case is changed.
"""

from collections.abc import Iterator

from chainrule.doctor.rules.configuration.start import wrong_initial_loss
from chainrule.doctor.rules.preflight.batch import cannot_overfit_batch, input_ignored, learning_rate_range
from chainrule.doctor.rules.preflight.gradients import not_a_descent_direction, sample_mixing, wrong_gradient
from chainrule.doctor.vocabulary.records import Finding, NotApplicable, Rule
from chainrule.train.problem import TrainingProblem

CHECKS: tuple[Rule, ...] = (
    Rule("wrong-gradient", wrong_gradient, "rows"),
    Rule("sample-mixing", sample_mixing, "rows"),
    Rule("wrong-initial-loss", wrong_initial_loss, "rows"),
    Rule("not-a-descent-direction", not_a_descent_direction, "rows"),
    Rule("cannot-overfit-batch", cannot_overfit_batch, "rows"),
    Rule("input-ignored", input_ignored, "rows"),
    Rule("learning-rate-too-high", learning_rate_range, "rows"),
)
"""The checks in order: mathematics first, then the start, then short trainings."""


def check_before(problem: TrainingProblem) -> tuple[Finding, ...]:
    """What the checks before a training find.

    Gradients against differences, rows that leak into one another, the first loss against that of knowing nothing, the
    direction of the first step, sixteen rows learned by heart, inputs that are ignored, the learning rate against a
    range test. Checks that cannot look are left out; call them one by one to read why. A layer of one's own takes part
    when it is a subclass of one of the package's layers, whose methods are called as they are.

    Reference  [karpathy2019]
    """
    return tuple(_found(problem))


def _found(problem: TrainingProblem) -> Iterator[Finding]:
    for rule in CHECKS:
        try:
            finding = rule.call(problem, None)
        except NotApplicable:
            continue
        if finding is not None:
            yield finding
