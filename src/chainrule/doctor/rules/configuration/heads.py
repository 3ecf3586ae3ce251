"""Why: most broken networks that people ask about end in the wrong layer or the wrong loss; both can be read off.

In: the recipe and the targets. Out: findings about the last layer, its range, and the loss.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.data.ridge_baseline import nominal_evidence
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.network import head, is_softmax, layer_name, span
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.layers import Activation
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SoftmaxCrossEntropy,
)
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem

_AMOUNTS = (MeanSquaredError, MeanAbsoluteError, Huber)


def output_loss_mismatch(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A non-linear last layer although the loss takes logits and brings the link itself.

    For a regression whose loss has no link of its own, a last activation is a choice; `output_range` looks at that.
    """
    end = head(problem.recipe.net)
    link = _link(problem.recipe.loss)
    if end is None or link == "identity":
        return None
    number, layer = end
    low, high = span(layer)
    if link == "softmax" and low == -np.inf and high == np.inf:
        return None
    one_sided = isinstance(problem.recipe.loss, BinaryCrossEntropy) and low >= 0
    return make_finding(
        "output-loss-mismatch",
        "critical" if one_sided else "warning",
        f"The last layer applies {layer_name(layer)}, and the loss applies {link} again",
        meaning="The loss takes logits and owns the output function, so a function in front of it narrows what the "
        + ("network can say: it can only ever answer yes." if one_sided else "network can say."),
        measured=f"layer {number} hands on values in [{low:g}, {high:g}] to {type(problem.recipe.loss).__name__}",
        usual="a Dense layer last",
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
    """Targets that the network cannot reach: the range of its last function against the range of y.

    Named when more than 1 % of the targets lie outside by more than 1e-3 of the targets' spread; a last function in front of
    a loss that has one of its own is left to `output_loss_mismatch`.
    """
    Y = _finite(problem.rows.Y)
    if isinstance(problem.recipe.loss, SoftmaxCrossEntropy) or not Y.size or _binary_with_amounts(problem):
        return None
    if head(problem.recipe.net) is not None and _link(problem.recipe.loss) != "identity":
        return None
    low, high, source = _reach(problem)
    room = 1e-3 * max(float(Y.std()), 1e-12)
    outside = float((~((low - room <= Y) & (high + room >= Y))).mean())
    if outside <= 0.01:
        return None
    probabilities = isinstance(problem.recipe.loss, BinaryCrossEntropy)
    text = "Write the labels as 0 and 1." if probabilities else "Choose a last function whose range holds the targets."
    return make_finding(
        "output-range",
        "critical" if outside > 0.1 else "warning",
        f"{percent(outside)} of the targets lie outside what the network can say",
        meaning="No training can reach a target beyond the range of the last function.",
        measured=f"targets in [{Y.min():.4g}, {Y.max():.4g}], {source} gives [{low:.4g}, {high:.4g}]",
        usual="every target inside the range",
        fix=Fix(text, remedy="" if probabilities else "no-output-activation"),
        layer=end[0] if (end := head(problem.recipe.net)) else None,
        outside=outside,
        low=low,
        high=high,
        target_low=float(Y.min()),
        target_high=float(Y.max()),
    )


def wrong_loss(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A loss for amounts on what are visibly classes, or the other way round.

    Classes under a squared, absolute or Huber error are recognized as rows with one 1 among zeros; as two values; as
    a few evenly spaced values of which a linear classifier guesses held-out rows far better (by 20 points) than a
    linear regression rounded to the nearest value does: then their order means nothing. With a link that keeps answers
    in range (squared error behind a sigmoid) that is information only. Under a loss for counts only what surely are
    classes is named. Amounts under a cross-entropy: many different values outside [0, 1], or more than 50 classes with at
    most two rows each.
    """
    if isinstance(problem.recipe.loss, _AMOUNTS):
        return _surely_classes(problem) or _classes_as_amounts(problem)
    if isinstance(problem.recipe.loss, Poisson):
        return _surely_classes(problem)
    if isinstance(problem.recipe.loss, BinaryCrossEntropy) and _binary_with_amounts(problem):
        return _amounts_as_classes(problem, len(np.unique(_finite(problem.rows.Y)[:5000])))
    if isinstance(problem.recipe.loss, SoftmaxCrossEntropy):
        counts = np.bincount(problem.rows.Y)
        counts = counts[counts > 0]
        if len(counts) >= 50 and np.median(counts) <= 2:
            return _amounts_as_classes(problem, len(counts))
    return None


def constant_output(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A softmax over one single logit: the answer is 1 whatever comes in."""
    net, end = problem.recipe.net, head(problem.recipe.net)
    by_layer = end is not None and is_softmax(end[1])
    if net.outputs > 1 or not (by_layer or isinstance(problem.recipe.loss, SoftmaxCrossEntropy)):
        return None
    return make_finding(
        "constant-output",
        "critical",
        "A softmax over one single output is always 1",
        meaning="One logit alone has nothing to be compared with, so every prediction is the same and no gradient flows.",
        measured="1 output behind a softmax",
        usual="one output per class, or one output with BinaryCrossEntropy",
        fix=Fix(
            "Use BinaryCrossEntropy for two classes.",
            (Setting("loss", "BinaryCrossEntropy"),),
            remedy="matching-loss",
        ),
        layer=end[0] if end else None,
        outputs=1,
    )


def _link(loss: object) -> str:
    if isinstance(loss, SoftmaxCrossEntropy):
        return "softmax"
    if isinstance(loss, BinaryCrossEntropy):
        return "sigmoid"
    return "exp" if isinstance(loss, Poisson) else str(getattr(loss, "link", "identity"))


def _reach(problem: TrainingProblem) -> tuple[float, float, str]:
    """Lowest and highest prediction, and what sets them: the last layer, or the loss's link."""
    link, end = _link(problem.recipe.loss), head(problem.recipe.net)
    if end is not None:
        return (*span(end[1]), f"layer {end[0]} ({layer_name(end[1])})")
    return (*span(Activation(link)), f"the loss's {link}")


def _finite(Y: Array) -> Array:
    return Y[np.isfinite(Y)]


def _binary_with_amounts(problem: TrainingProblem) -> bool:
    """Whether a logistic loss got many different values beyond 0 and 1."""
    Y = _finite(problem.rows.Y)
    if not isinstance(problem.recipe.loss, BinaryCrossEntropy) or not Y.size:
        return False
    beyond = ((Y < -1e-3) | (Y > 1 + 1e-3)).mean() > 0.01
    return bool(beyond and len(np.unique(Y[:5000])) > 10)


def _amounts_as_classes(problem: TrainingProblem, values: int) -> Finding:
    return make_finding(
        "wrong-loss",
        "critical",
        "The targets are amounts, the loss is for classes",
        meaning="A loss for classes knows no near miss: it cannot learn that 3.1 is close to 3.",
        measured=f"{values} different target values under {type(problem.recipe.loss).__name__}",
        usual="a few classes, each with many rows",
        fix=Fix(
            "Train a regression, with a regression loss.",
            (Setting("task", "regression"), Setting("loss", "MeanSquaredError")),
            remedy="matching-loss",
        ),
        values=values,
    )


def _surely_classes(problem: TrainingProblem) -> Finding | None:
    """Known classes, or rows that mark one of several columns."""
    Y = problem.rows.Y
    if problem.classes is not None:
        return _classes(problem, f"{len(problem.classes)} classes", len(problem.classes))
    hot = Y.shape[1] > 1 and np.isin(Y, (0, 1)).all() and (Y.sum(axis=1) == 1).all()
    return _classes(problem, f"each row marks one of {Y.shape[1]} columns with 1", Y.shape[1]) if hot else None


def _classes_as_amounts(problem: TrainingProblem) -> Finding | None:
    """Two values, or a few whose order means nothing."""
    Y = problem.rows.Y
    if Y.shape[1] > 1:
        return None
    values = np.unique(_finite(Y)[:5000])
    if len(values) == 2 and len(Y) >= 10:
        return _classes(problem, f"two values only, {values[0]:g} and {values[1]:g}", 2)
    evidence = nominal_evidence(problem.rows.X, Y[:, 0], values)
    if evidence is None:
        return None
    by_class, by_amount = evidence
    right = f"{percent(by_class)} of held-out rows, a regression {percent(by_amount)}"
    text = f"{len(values)} values; a linear classifier guesses {right}"
    return _classes(problem, text, len(values))


def _classes(problem: TrainingProblem, measured: str, K: int) -> Finding:
    bounded = np.isfinite(span(Activation(_link(problem.recipe.loss)))[1])
    loss = "BinaryCrossEntropy" if K == 2 else "SoftmaxCrossEntropy"
    return make_finding(
        "wrong-loss",
        "info" if bounded else "warning",
        "The targets look like classes, the loss is for amounts",
        meaning="Numbers that stand for classes have no distances between them, but such a loss learns distances.",
        measured=measured,
        usual="a cross-entropy for classes",
        fix=Fix(
            "Train a classifier, with a cross-entropy loss.",
            (Setting("task", "classification"), Setting("loss", loss)),
            remedy="matching-loss",
        ),
        values=K,
    )
