"""Check the last layer and the loss against the targets: most broken networks end in the wrong layer or the wrong loss.

In: the recipe and the targets. Out: findings about the last layer, its range, and the loss.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.configuration.nominal import nominal_evidence
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.network import head, is_softmax, layer_name, span
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.layers import Activation
from chainrule.nn.losses import (
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    TargetKind,
)
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem

_REGRESSION = (MeanSquaredError, MeanAbsoluteError, Huber)


def output_loss_mismatch(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for an activation after the last Dense layer although the loss takes logits and applies its own link.

    If a regression loss has no link of its own, an output activation is a choice; `output_range` judges it.
    """
    end = head(problem.recipe.net)
    link = problem.recipe.loss.link
    if end is None or link == "identity":
        return None
    number, layer = end
    low, high = span(layer)
    if link == "softmax" and low == -np.inf and high == np.inf:
        return None
    one_sided = _logistic(problem.recipe.loss) and low >= 0
    return make_finding(
        "output-loss-mismatch",
        "critical" if one_sided else "warning",
        f"The last layer applies {layer_name(layer)}, but the loss expects logits and applies {link} itself",
        meaning="The loss applies the output function itself, so an activation before it limits what the network can predict"
        + (": with this one it can only ever predict the positive class." if one_sided else "."),
        measured=f"layer {number} outputs values in [{low:g}, {high:g}] to {type(problem.recipe.loss).__name__}",
        usual="a Dense layer at the end",
        fix=Fix(
            "Remove the activation, so that the network ends in a Dense layer.",
            code=f"net = Net(net.inputs, net.layers[:{number}] + net.layers[{number + 1}:])",
            remedy="no-output-activation",
        ),
        layer=number,
        low=low,
        high=high,
    )


def output_range(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether the output function can reach the targets.

    Reported if more than 1 % of the targets lie outside its range by more than 1e-3 of their spread; an activation before a
    loss with its own link is left to `output_loss_mismatch`.
    """
    Y = _finite(problem.rows.Y)
    if problem.recipe.loss.targets is TargetKind.CLASSES or not Y.size or _binary_loss_on_values(problem):
        return None
    end = head(problem.recipe.net)
    if end is not None and problem.recipe.loss.link != "identity":
        return None
    low, high, source = _reach(problem)
    room = LIMITS.range_tolerance * max(float(Y.std()), 1e-12)
    outside = float((~((low - room <= Y) & (high + room >= Y))).mean())
    if outside <= LIMITS.targets_outside:
        return None
    probabilities = _logistic(problem.recipe.loss)
    text = "Write the labels as 0 and 1." if probabilities else "Choose an output function that reaches the targets."
    return make_finding(
        "output-range",
        "critical" if outside > LIMITS.targets_outside_critical else "warning",
        f"{percent(outside)} of the targets are outside the range of the network's outputs",
        meaning="No amount of training can reach a target outside the range of the output function.",
        measured=f"targets in [{Y.min():.4g}, {Y.max():.4g}]; outputs of {source} in [{low:.4g}, {high:.4g}]",
        usual="all targets inside the range",
        fix=Fix(text, remedy="" if probabilities else "no-output-activation"),
        layer=end[0] if end else None,
        outside=outside,
        evident=outside > LIMITS.targets_outside_critical,
        low=low,
        high=high,
        target_low=float(Y.min()),
        target_high=float(Y.max()),
    )


def wrong_loss(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a regression loss on targets that are clearly classes, or the other way round.

    Classes under a squared, absolute or Huber error are recognized as one-hot rows; as two values; or as a few evenly spaced
    values that a linear classifier predicts far better on held-out rows (by 20 points) than a linear regression rounded to
    the nearest value: then their order means nothing. With a link that bounds the output (squared error after a sigmoid)
    this is information only. Under a Poisson loss only certain classes are reported. Continuous targets under a
    cross-entropy are many different values outside [0, 1], or at least 50 classes with at most two rows each.
    """
    if isinstance(problem.recipe.loss, _REGRESSION):
        return _surely_classes(problem) or _class_numbers(problem)
    if problem.recipe.loss.targets is TargetKind.COUNTS:
        return _surely_classes(problem)
    if _logistic(problem.recipe.loss) and _binary_loss_on_values(problem):
        return _report_values(problem, len(np.unique(_finite(problem.rows.Y)[: LIMITS.values_seen])))
    if problem.recipe.loss.targets is TargetKind.CLASSES:
        counts = np.bincount(problem.rows.Y)
        counts = counts[counts > 0]
        if len(counts) >= LIMITS.most_classes and np.median(counts) <= LIMITS.rows_per_class:
            return _report_values(problem, len(counts))
    return None


def constant_output(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a softmax over a single logit: its output is 1 for every input."""
    net = problem.recipe.net
    end = head(problem.recipe.net)
    by_layer = end is not None and is_softmax(end[1])
    if net.outputs > 1 or not (by_layer or problem.recipe.loss.targets is TargetKind.CLASSES):
        return None
    return make_finding(
        "constant-output",
        "critical",
        "A softmax over a single output is always 1",
        meaning="A softmax compares logits; with only one, every prediction is the same and the gradient is zero.",
        measured="1 output, followed by a softmax",
        usual="one output per class, or one output with BinaryCrossEntropy",
        fix=Fix(
            "Use BinaryCrossEntropy for two classes.",
            (Setting("loss", "BinaryCrossEntropy"),),
            remedy="matching-loss",
        ),
        layer=end[0] if end else None,
        outputs=1,
    )


def _logistic(loss: Loss) -> bool:
    """Whether the loss takes yes/no labels through the logistic function."""
    return loss.targets is TargetKind.LABELS and loss.link == "sigmoid"


def _reach(problem: TrainingProblem) -> tuple[float, float, str]:
    """Return the lowest and highest prediction, and what limits them: the last layer or the loss's link."""
    link = problem.recipe.loss.link
    end = head(problem.recipe.net)
    if end is not None:
        return (*span(end[1]), f"layer {end[0]} ({layer_name(end[1])})")
    return (*span(Activation(link)), f"the loss's {link} link")


def _finite(Y: Array) -> Array:
    return Y[np.isfinite(Y)]


def _binary_loss_on_values(problem: TrainingProblem) -> bool:
    """Check whether a logistic loss got many different values outside [0, 1]."""
    Y = _finite(problem.rows.Y)
    if not _logistic(problem.recipe.loss) or not Y.size:
        return False
    beyond = ((-LIMITS.range_tolerance > Y) | (1 + LIMITS.range_tolerance < Y)).mean() > LIMITS.targets_outside
    return bool(beyond and len(np.unique(Y[: LIMITS.values_seen])) > LIMITS.many_values)


def _report_values(problem: TrainingProblem, values: int) -> Finding:
    return make_finding(
        "wrong-loss",
        "critical",
        "The targets are continuous, but the loss is for classes",
        meaning="A classification loss ignores distance: 3.1 is as wrong as 30 when the target is 3.",
        measured=f"{values} different target values with {type(problem.recipe.loss).__name__}",
        usual="a few classes with many rows each",
        fix=Fix(
            "Train a regression, with a regression loss.",
            (Setting("task", "regression"), Setting("loss", "MeanSquaredError")),
            remedy="matching-loss",
        ),
        values=values,
    )


def _surely_classes(problem: TrainingProblem) -> Finding | None:
    """Report targets that are certainly classes: known as such, or one-hot."""
    Y = problem.rows.Y
    if problem.classes is not None:
        return _classes(problem, f"{len(problem.classes)} classes", len(problem.classes))
    hot = Y.shape[1] > 1 and np.isin(Y, (0, 1)).all() and (Y.sum(axis=1) == 1).all()
    return _classes(problem, f"one-hot targets with {Y.shape[1]} columns", Y.shape[1]) if hot else None


def _class_numbers(problem: TrainingProblem) -> Finding | None:
    """Report targets with two values, or with a few whose order means nothing."""
    Y = problem.rows.Y
    if Y.shape[1] > 1:
        return None
    values = np.unique(_finite(Y)[: LIMITS.values_seen])
    if len(values) == 2 and len(Y) >= LIMITS.two_valued_rows:
        return _classes(problem, f"only two values, {values[0]:g} and {values[1]:g}", 2)
    evidence = nominal_evidence(problem.rows.X, Y[:, 0], values)
    if evidence is None:
        return None
    by_class, by_value = evidence
    right = f"{percent(by_class)} of the held-out rows right, a regression {percent(by_value)}"
    text = f"{len(values)} values; a linear classifier gets {right}"
    return _classes(problem, text, len(values))


def _classes(problem: TrainingProblem, measured: str, K: int) -> Finding:
    bounded = np.isfinite(span(Activation(problem.recipe.loss.link))[1])
    loss = "BinaryCrossEntropy" if K == 2 else "SoftmaxCrossEntropy"
    return make_finding(
        "wrong-loss",
        "info" if bounded else "warning",
        "The targets look like classes, but the loss is for a regression",
        meaning="Distances between class numbers mean nothing, but a regression loss learns from distances.",
        measured=measured,
        usual="a cross-entropy loss for classes",
        fix=Fix(
            "Train a classifier, with a cross-entropy loss.",
            (Setting("task", "classification"), Setting("loss", loss)),
            remedy="matching-loss",
        ),
        values=K,
    )
