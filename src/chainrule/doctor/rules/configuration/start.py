"""Why: where the weights start decides much, and what they make of the first rows can be measured before any step.

In: the recipe's first numbers (or those given) and a few rows. Out: findings about symmetry, scale and the first loss.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.network import dense_layers
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.doctor.vocabulary.wording import percent
from chainrule.nn.initializers import default_for
from chainrule.nn.layers import Activation, Context, Dense, Dropout
from chainrule.nn.losses import BinaryCrossEntropy, Loss, Poisson, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.pipeline.option_names import Setting
from chainrule.random import Stream
from chainrule.train.problem import TrainingProblem

_ROWS = 256


def symmetric_weights(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Hidden units that are equal in what comes in and in what goes out: they get equal gradients and stay equal.

    Also layers whose incoming weights are all one number: all units start as one, and only what goes out tells them
    apart. Units of a state that was trained before count only where nearly all are equal.
    """
    net, state = problem.recipe.net, problem.start or problem.recipe.start()
    named, dense = net.parameters.views(state.w), dense_layers(net)
    for i, j in pairwise(dense):
        W, out = named[f"{i}.W"], named[f"{j}.W"]
        if W.shape[1] < 2:
            continue
        incoming = np.vstack([W, *(named[n][None, :] for n in _per_unit(net, i, j))])
        twins, alike = _twins(np.vstack([incoming, out.T])), float(np.ptp(W)) < 1e-8
        if not alike and twins < (0.9 if state.step else 0.02):
            continue
        lasting = twins > 0.5
        return make_finding(
            "symmetric-weights",
            "critical" if lasting or not W.any() else "warning",
            f"Units of layer {i} start equal" + (" and stay equal" if lasting else ""),
            meaning="Units with equal weights get equal gradients, so the layer works like a single unit.",
            measured=f"{percent(twins)} of {W.shape[1]} units have a twin with the same weights in and out"
            + (f"; all incoming weights are {W.flat[0]:g}" if alike else ""),
            usual="random weights, different for each unit",
            fix=Fix("Draw the weights at random.", (Setting("initializer", "he"),), remedy="he-init"),
            layer=i,
            twins=twins,
            spread=float(W.std()),
        )
    return None


def init_scale(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """First weights far from the scale that keeps signals alive, by what they do to the rows.

    The spread of the logits is compared with that of the same weights brought, layer by layer, to the spread that suits the
    activation: √(2 / n_in) for the relu family, √(1 / n_in) for others. Outside [1/30, 30] it is named. What a norm layer
    or a compensating pair of layers evens out does not count. Weights that a run was started from are not looked at.
    """
    if problem.start is not None:
        return None
    net, state = problem.recipe.net, problem.recipe.start()
    ratios = {i: _spread_ratio(net, i, state.w) for i in dense_layers(net)}
    if not ratios or not all(ratios.values()):
        return None
    X = _rows(problem)
    gain = _logit_spread(net, state.w, state.buffers, X)
    usual = _logit_spread(net, _rescaled(net, state.w, ratios), state.buffers, X)
    if not math.isfinite(gain) or not usual:
        raise NotApplicable("the first forward pass gives no finite logits")
    share = gain / usual
    if 1 / 30 <= share <= 30:
        return None
    worst = max(ratios, key=lambda i: abs(math.log(ratios[i])))
    return make_finding(
        "init-scale",
        "warning",
        "The first weights are far too " + ("large" if share > 1 else "small"),
        meaning="Signals " + ("grow" if share > 1 else "shrink") + " from layer to layer, and gradients with them.",
        measured=f"logits spread {share:.2g} times as wide as with suitable weights; layer {worst} has {ratios[worst]:.2g} "
        "times the suitable spread",
        usual="He for the relu family, Xavier for sigmoid and tanh",
        fix=Fix(
            "Leave the initializer out: by default it suits the activation.",
            (Setting("initializer", None),),
            remedy="he-init",
        ),
        layer=worst,
        logits=share,
        weights=ratios[worst],
    )


def wrong_initial_loss(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A first loss far above that of knowing nothing.

    Knowing nothing is ln k for k classes, ln 2 for yes or no, and the best constant's loss for amounts. Good first weights
    make logits of spread 1, which adds about one half for classes and one variance for amounts; named from twice the
    former (with 0.5 on top) and ten times the latter, when the excess is above three standard errors.

    Reference  [karpathy2019]
    """
    if problem.start is not None and problem.start.step:
        return None
    losses, base = first_losses(problem), uninformed(problem.recipe.loss, problem.rows.Y, problem.recipe.net.outputs)
    L0, error = float(losses.mean()), float(losses.std() / math.sqrt(len(losses)))
    if not math.isfinite(L0):
        raise NotApplicable("the first loss is not finite")
    limit = 2.0 * base + 0.5 if problem.recipe.loss.classes else 10.0 * base
    if base <= 0 or limit + 3.0 * error >= L0:
        return None
    return make_finding(
        "wrong-initial-loss",
        "warning",
        f"The first loss is {L0 / base:.1f} times that of knowing nothing",
        meaning="Before any step the network is sure of wrong answers; first it must unlearn them.",
        measured=f"{L0:.4g} against {base:.4g}",
        usual="about ln k for k classes, about the variance of the targets for amounts",
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
    """Losses of at most 256 rows before the first step, as in training but without dropout, float64."""
    net, state = without_dropout(problem.recipe.net), problem.start or problem.recipe.start()
    take = subsample_indices(problem.rows.X, _ROWS)
    X, Y = problem.rows.X[take].astype(np.float64), problem.rows.Y[take]
    with np.errstate(all="ignore"):
        Z = net.forward(state.w.astype(np.float64), state.buffers.astype(np.float64), X, Context(np, training=True))[0]
        return np.asarray(problem.recipe.loss.rows(np, Z, Y), np.float64)


def uninformed(loss: Loss, Y: Array, k: int) -> float:
    """Loss of an answer that knows nothing: all classes alike, or the best constant amount."""
    if isinstance(loss, SoftmaxCrossEntropy):
        return math.log(k)
    if isinstance(loss, BinaryCrossEntropy):
        return math.log(2.0)
    if isinstance(loss, Poisson):
        raise NotApplicable("the Poisson loss has no natural zero")
    link = getattr(loss, "link", "identity")
    if link != "identity":
        raise NotApplicable(f"amounts behind the link {link}")
    middle = np.median(Y, axis=0) if type(loss).__name__ == "MeanAbsoluteError" else Y.mean(axis=0, dtype=np.float64)
    return float(loss.rows(np, np.broadcast_to(middle, Y.shape).astype(np.float64), Y).mean())


def without_dropout(net: Net) -> Net:
    """The same network with nothing dropped; parameters keep their places."""
    if not any(isinstance(layer, Dropout) and layer.rate for layer in net.layers):
        return net
    return Net(net.inputs, [replace(f, rate=0.0) if isinstance(f, Dropout) else f for f in net.layers])


def suitable_weights(net: Net, seed: int) -> Array:
    """Random weights (P) of the spread that suits each layer, whatever its initializer; b, γ, β a little off 0 and 1."""
    stream = Stream.from_seed(seed).fold(*b"suitable")
    named = {}
    for k, slot in enumerate(net.parameters.slots):
        layer, letter = slot.name.split(".")
        spread = _suitable(net, int(layer)) if letter == "W" else 0.1
        named[slot.name] = spread * stream.fold(k).normal(slot.size) + (1.0 if letter == "gamma" else 0.0)
    return net.parameters.pack(np, named, np.zeros(0))


def _per_unit(net: Net, i: int, j: int) -> list[str]:
    """Names of the parameters with one entry for each unit of layer i: b, and γ and β of norms up to layer j."""
    names = {f"{layer}.{letter}" for layer in range(i, j) for letter in ("b", "gamma", "beta")}
    return [name for name in net.parameters.names if name in names]


def _twins(columns: Array) -> float:
    """Share of columns that another column equals to 1e-8."""
    rounded = np.round(columns.T.astype(np.float64), 8) + 0.0
    _, inverse, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    return float((counts[inverse.ravel()] > 1).mean())


def _suitable(net: Net, i: int) -> float:
    """Standard deviation that suits the activation behind Dense layer i."""
    rule = "xavier"
    for after in net.layers[i + 1 :]:
        if isinstance(after, Dense):
            break
        if isinstance(after, Activation):
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
    """Root mean square, over the outputs, of each logit's standard deviation over the rows; float64, training mode."""
    with np.errstate(all="ignore"):
        Z = without_dropout(net).forward(w.astype(np.float64), buffers.astype(np.float64), X, Context(np, True))[0]
        return float(np.sqrt(Z.var(axis=0).mean()))


def _rows(problem: TrainingProblem) -> Array:
    return problem.rows.X[subsample_indices(problem.rows.X, _ROWS)].astype(np.float64)
