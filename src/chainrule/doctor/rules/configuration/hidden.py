"""Check whether a network without a hidden layer has a task that no linear model can do.

In: the recipe's network, the training rows. Out: a finding.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import Folds, one_hot, standardized
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.network import dense_layers, is_affine
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import class_indices, subsample_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Scale
from chainrule.nn.net import Net
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem


def no_hidden_layer(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a network of one affine layer where a model that is not linear does much better.

    Both are ridge regressions that predict rows they have not seen, the second one on random features; classes count by
    mistakes. Below 30 rows nothing can be held out: then a linear model must leave more than half of the targets'
    variance on its own rows, although equal inputs have equal targets.
    """
    if not _is_linear(problem.recipe.net):
        return None
    take = subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)
    X, classes = problem.rows.X[take].astype(np.float64), class_indices(problem.rows)
    Y = problem.rows.Y if classes is None else one_hot(classes, int(classes.max()) + 1)
    Y = Y.reshape(len(Y), -1)[take].astype(np.float64)
    if not (np.isfinite(X).all() and np.isfinite(Y).all()) or not np.ptp(Y, axis=0).any():
        raise NotApplicable("the targets are all equal, or some numbers are not finite")
    few = len(X) < DATA_LIMITS.few_rows
    linear, other = _on_few_rows(X, Y) if few else _explained(X, Y, None if classes is None else classes[take])
    if other - linear < (LIMITS.nonlinear_few if few else LIMITS.nonlinear):
        return None
    return make_finding(
        "no-hidden-layer",
        "warning",
        "The network has no hidden layer, and a linear model cannot do this task",
        meaning="Without a hidden layer, outputs are straight lines of the inputs, whatever the training does.",
        measured=f"a linear model explains {percent(linear)} of the targets, " + _of_others(few, other),
        usual="a hidden layer with an activation where the targets do not follow a linear model",
        fix=Fix(
            "Add a hidden layer.",
            (Setting("hidden_layer_sizes", (USUAL.widened,)), Setting("activation", "relu")),
            remedy="add-hidden-layer",
        ),
        linear=linear,
        other=other,
    )


def _of_others(few: bool, other: float) -> str:
    if few:
        return "on its own rows; equal inputs have equal targets"
    return f"a fast model that is not linear {percent(other)}, on rows that they have not seen"


def _is_linear(net: Net) -> bool:
    """Check whether one affine layer is all there is before the loss, of the library's own layers."""
    known = (BatchNorm, Dropout, Scale, LayerNorm, Dense)
    layers = net.layers[: (dense_layers(net) or [0])[0]]
    plain = all(type(f) in known[:3] or (type(f) is Activation and is_affine(f)) for f in layers)
    return len(dense_layers(net)) == 1 and plain and all(type(f) in (*known, Activation) for f in net.layers)


def _explained(X: Array, Y: Array, classes: Array | None) -> tuple[float, float]:
    """Return what ridge regressions on the columns and on random features explain of rows they have not seen."""
    folds = Folds.of(X)
    center = Y.mean(axis=0)
    straight = replace(folds, features=np.hstack([np.ones((len(X), 1)), standardized(X)]))
    P = [each.predict(Y - center) + center for each in (straight, folds)]
    if classes is None:
        constant = float(((Y - center) ** 2).sum())
        shares = [1.0 - float(((each - Y) ** 2).sum()) / constant for each in P]
    else:
        wrong = float((classes != int(np.argmax(center))).mean())
        shares = [1.0 - float((each.argmax(axis=1) != classes).mean()) / max(wrong, 1e-12) for each in P]
    return max(0.0, shares[0]), max(0.0, shares[1])


def _on_few_rows(X: Array, Y: Array) -> tuple[float, float]:
    """Return what a linear model, and one value for each different row, explain of their own rows."""
    center = Y.mean(axis=0)
    F = np.hstack([np.ones((len(X), 1)), standardized(X)])
    line = F @ np.linalg.lstsq(F, Y, rcond=None)[0]
    _, group = np.unique(X, axis=0, return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, Y.shape[1]))
    np.add.at(sums, group.ravel(), Y)
    means = sums / np.bincount(group.ravel())[:, None]
    constant = float(((Y - center) ** 2).sum())
    straight, each = (1.0 - float(((P - Y) ** 2).sum()) / constant for P in (line, means[group.ravel()]))
    return max(0.0, straight), max(0.0, each)
