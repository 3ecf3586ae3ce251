"""Check the initial weights: their symmetry, their scale, and the loss before the first step.

In: the recipe's initial weights (or given ones) and a few rows. Out: findings.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.network import dense_layers
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.initializers import default_for
from chainrule.nn.layers import Activation, Context, Dense, Dropout, ParametricActivation
from chainrule.nn.losses import Loss, TargetKind
from chainrule.nn.net import Net
from chainrule.pipeline.option_names import Setting
from chainrule.random import Stream
from chainrule.train.problem import TrainingProblem


def symmetric_weights(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for hidden units with equal incoming and outgoing weights: they get equal gradients and stay equal.

    Layers whose incoming weights are all the same number are reported too: their units start equal, and only their outgoing
    weights differ. Units of pretrained weights count only if nearly all are equal.
    """
    net = problem.recipe.net
    state = problem.start or problem.recipe.start()
    named = net.parameters.views(state.w)
    dense = dense_layers(net)
    for i, j in pairwise(dense):
        W, out = named[f"{i}.W"], named[f"{j}.W"]
        if W.shape[1] < 2:
            continue
        incoming = np.vstack([W, *(named[n][None, :] for n in _per_unit(net, i, j))])
        twins = _twins(np.vstack([incoming, out.T]))
        alike = float(np.ptp(W)) < LIMITS.equal_weights
        if not alike and twins < (LIMITS.twins_pretrained if state.step else LIMITS.twins):
            continue
        lasting = twins > LIMITS.twins_lasting
        return make_finding(
            "symmetric-weights",
            "critical" if lasting or not W.any() else "warning",
            f"Units of layer {i} start equal" + (" and stay equal" if lasting else ""),
            meaning="Units with equal weights get equal gradients, so the layer acts like a single unit.",
            measured=f"{percent(twins)} of {W.shape[1]} units have the same incoming and outgoing weights as another unit"
            + (f"; all incoming weights are {W.flat[0]:g}" if alike else ""),
            usual="random weights that differ for each unit",
            fix=Fix("Draw the weights at random.", (Setting("initializer", "he"),), remedy="he-init"),
            layer=i,
            twins=twins,
            spread=float(W.std()),
        )
    return None


def init_scale(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for initial weights far from the scale that preserves the signal, by their effect on the rows.

    The spread of the logits is compared with that of the same weights after every layer is rescaled to the spread that suits
    its activation: √(2 / n_in) for the relu family, √(1 / n_in) for others. A ratio outside [1/30, 30] is reported. A wrong
    scale that a norm layer or another layer compensates does not count. Pretrained weights are not checked.
    """
    if problem.start is not None:
        return None
    net = problem.recipe.net
    state = problem.recipe.start()
    ratios = {i: _spread_ratio(net, i, state.w) for i in dense_layers(net)}
    if not ratios or not all(ratios.values()):
        return None
    X = _rows(problem)
    gain = _logit_spread(net, state.w, state.buffers, X)
    usual = _logit_spread(net, _rescaled(net, state.w, ratios), state.buffers, X)
    if not math.isfinite(gain) or not usual:
        raise NotApplicable("the initial logits are not finite")
    share = gain / usual
    if 1 / LIMITS.weight_scale <= share <= LIMITS.weight_scale:
        return None
    worst = max(ratios, key=lambda i: abs(math.log(ratios[i])))
    return make_finding(
        "init-scale",
        "warning",
        "The initial weights are far too " + ("large" if share > 1 else "small"),
        meaning="Signals and gradients " + ("grow" if share > 1 else "shrink") + " from layer to layer.",
        measured=f"the logits spread {share:.2g} times as widely as with suitable weights; those of layer {worst} have "
        f"{ratios[worst]:.2g} times the suitable spread",
        usual="He for the relu family, Xavier for sigmoid and tanh",
        fix=Fix("Use the default initializer.", (Setting("initializer", None),), remedy="he-init"),
        layer=worst,
        logits=share,
        weights=ratios[worst],
    )


def wrong_initial_loss(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for an initial loss far above that of an uninformed prediction.

    An uninformed prediction has a loss of ln k for k classes, ln 2 for two, and the loss of the best constant for continuous
    targets. Good initial weights give logits of spread 1, which adds about one half for classes and one variance for
    continuous targets. Reported above twice the former plus 0.5, or ten times the latter, if the excess is larger than
    three standard errors.

    Reference  [karpathy2019]
    """
    if problem.start is not None and problem.start.step:
        return None
    losses = first_losses(problem)
    base = uninformed(problem.recipe.loss, problem.rows.Y, problem.recipe.net.outputs)
    L0 = float(losses.mean())
    error = float(losses.std() / math.sqrt(len(losses)))
    if not math.isfinite(L0):
        raise NotApplicable("the initial loss is not finite")
    limit = LIMITS.initial_loss_values * base
    if problem.recipe.loss.targets.are_classes:
        limit = LIMITS.initial_loss_classes * base + LIMITS.initial_loss_offset
    if base <= 0 or limit + LIMITS.initial_loss_errors * error >= L0:
        return None
    return make_finding(
        "wrong-initial-loss",
        "warning",
        f"The initial loss is {L0 / base:.3g} times that of an uninformed prediction",
        meaning="The network starts out confident in wrong predictions, which it must unlearn first.",
        measured=f"{L0:.4g} (uninformed: {base:.4g})",
        usual="about ln k for k classes, about the variance of continuous targets",
        fix=Fix(
            "Scale inputs and targets, and use the default initializer.",
            (Setting("initializer", None),),
            remedy="he-init",
        ),
        initial_loss=L0,
        uninformed=base,
        error=error,
    )


def first_losses(problem: TrainingProblem) -> Array:
    """Return the losses (n) of at most 256 rows before the first step, in training mode but without dropout, float64."""
    net = without_dropout(problem.recipe.net)
    state = problem.start or problem.recipe.start()
    take = subsample_indices(problem.rows.X, LIMITS.initial_rows)
    X, Y = problem.rows.X[take].astype(np.float64), problem.rows.Y[take]
    with np.errstate(all="ignore"):
        Z = net.forward(state.w.astype(np.float64), state.buffers.astype(np.float64), X, Context(np, training=True))[0]
        return np.asarray(problem.recipe.loss.rows(np, Z, Y), np.float64)


def uninformed(loss: Loss, Y: Array, k: int) -> float:
    """Return the loss of an uninformed prediction: all classes equally likely, or the best constant."""
    if loss.targets is TargetKind.CLASSES:
        return math.log(k)
    if loss.targets is TargetKind.LABELS and loss.link == "sigmoid":
        return math.log(2.0)
    if loss.targets is TargetKind.COUNTS:
        raise NotApplicable("the Poisson loss has no natural reference value")
    if loss.link != "identity":
        raise NotApplicable(f"the loss has the link {loss.link}, for which no reference value is known")
    middle = np.median(Y, axis=0) if type(loss).__name__ == "MeanAbsoluteError" else Y.mean(axis=0, dtype=np.float64)
    return float(loss.rows(np, np.broadcast_to(middle, Y.shape).astype(np.float64), Y).mean())


def without_dropout(net: Net) -> Net:
    """Return the network without dropout; its parameters keep their order."""
    if not any(isinstance(layer, Dropout) and layer.rate for layer in net.layers):
        return net
    return Net(net.inputs, [replace(f, rate=0.0) if isinstance(f, Dropout) else f for f in net.layers])


def suitable_weights(net: Net, seed: int) -> Array:
    """Return random weights (P) with the spread that suits each layer, whatever its initializer; b, γ, β near 0 and 1."""
    stream = Stream.from_seed(seed).fold(*b"suitable")
    named = {}
    for k, slot in enumerate(net.parameters.slots):
        layer, letter = slot.name.split(".")
        spread = _suitable(net, int(layer)) if letter == "W" else 0.1
        named[slot.name] = spread * stream.fold(k).normal(slot.size) + (1.0 if letter == "gamma" else 0.0)
    return net.parameters.pack(np, named, np.zeros(0))


def _per_unit(net: Net, i: int, j: int) -> list[str]:
    """Return the names of parameters with one entry per unit of layer i: b, and γ and β of norm layers up to layer j."""
    names = {f"{layer}.{letter}" for layer in range(i, j) for letter in ("b", "gamma", "beta")}
    return [name for name in net.parameters.names if name in names]


def _twins(columns: Array) -> float:
    """Return the share of columns that equal another column up to 1e-8."""
    rounded = np.round(columns.T.astype(np.float64), 8) + 0.0
    _, inverse, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    return float((counts[inverse.ravel()] > 1).mean())


def _suitable(net: Net, i: int) -> float:
    """Return the standard deviation that suits the activation after Dense layer i."""
    rule = "xavier"
    for after in net.layers[i + 1 :]:
        if isinstance(after, Dense):
            break
        if isinstance(after, Activation | ParametricActivation):
            rule = default_for(after.function)
            break
    return math.sqrt((2.0 if rule == "he" else 1.0) / net.widths[i])


def _spread_ratio(net: Net, i: int, w: Array) -> float:
    W = net.parameters.views(w)[f"{i}.W"].astype(np.float64)
    return float(np.sqrt((W * W).mean())) / _suitable(net, i)


def _rescaled(net: Net, w: Array, ratios: dict[int, float]) -> Array:
    scaled = w.astype(np.float64)
    for i, ratio in ratios.items():
        net.parameters.views(scaled)[f"{i}.W"][...] /= ratio
    return scaled


def _logit_spread(net: Net, w: Array, buffers: Array, X: Array) -> float:
    """Return the root mean square over outputs of each logit's standard deviation over rows; float64, training mode."""
    with np.errstate(all="ignore"):
        Z = without_dropout(net).forward(w.astype(np.float64), buffers.astype(np.float64), X, Context(np, True))[0]
        return float(np.sqrt(Z.var(axis=0).mean()))


def _rows(problem: TrainingProblem) -> Array:
    return problem.rows.X[subsample_indices(problem.rows.X, LIMITS.initial_rows)].astype(np.float64)
