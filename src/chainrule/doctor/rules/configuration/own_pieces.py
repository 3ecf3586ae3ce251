"""Suspect choices that only matter depending on whether the training failed: a custom loss, layers without a bias.

In: a training problem. Out: at most one finding.
"""

from __future__ import annotations

from itertools import pairwise

from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.catalogue import ADD_BIAS, MATCHING_LOSS, OUTPUT_LOSS_MISMATCH, UNDERFITTING
from chainrule.doctor.vocabulary.records import Finding, Fix
from chainrule.doctor.vocabulary.wording import places
from chainrule.nn.layers import BatchNorm, Dense, LayerNorm
from chainrule.nn.losses import LOSSES
from chainrule.train.problem import TrainingProblem


def unknown_loss(problem: TrainingProblem) -> list[Finding]:
    """Suspect a custom loss of a failed training, so that a trial compares it with the library's."""
    if type(problem.recipe.loss) in LOSSES.values():
        return []
    name = type(problem.recipe.loss).__name__
    suspicion = make_finding(
        OUTPUT_LOSS_MISMATCH,
        "warning",
        f"The loss {name} may not suit this output",
        meaning="A loss and an output function belong together: the library's cross-entropies take logits.",
        measured=f"{name} is not one of this library's losses",
        usual="SoftmaxCrossEntropy, BinaryCrossEntropy or MeanSquaredError on bare logits",
        fix=Fix("Use the library's loss for these targets.", remedy=MATCHING_LOSS),
    )
    return [suspicion]


def missing_bias(problem: TrainingProblem) -> list[Finding]:
    """Suspect layers without a bias that no norm layer follows; the harm may be too small to look like underfitting."""
    bare = [
        i
        for i, (layer, after) in enumerate(pairwise([*problem.recipe.net.layers, None]))
        if isinstance(layer, Dense) and not layer.bias and not isinstance(after, BatchNorm | LayerNorm)
    ]
    if not bare:
        return []
    suspicion = make_finding(
        UNDERFITTING,
        "warning",
        f"Some layers have no bias ({places(bare)})",
        meaning="Without a bias the kink of every unit is at zero, and the output for an input of zeros is fixed.",
        measured=f"{len(bare)} Dense layers without a bias",
        usual="a bias in each, unless a norm layer follows",
        fix=Fix("Add a bias.", code="Dense(32, bias=True)", remedy=ADD_BIAS),
        layer=bare[0],
    )
    return [suspicion]
