"""Check the order and the settings of the layers, which need no training to judge.

In: the recipe's network. Out: findings about the layers between input and output.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.network import PROBE, dense_layers, is_affine, is_softmax, layer_name, outputs_of
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.wording import percent, places
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense, Dropout, Scale
from chainrule.nn.net import Net
from chainrule.pipeline.option_names import Setting
from chainrule.random import Stream
from chainrule.train.problem import TrainingProblem


def hidden_softmax(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a softmax between layers: its units must share a sum of 1, so little of the signal passes."""
    net = problem.recipe.net
    last = dense_layers(net)[-1] if dense_layers(net) else 0
    hidden = [i for i, f in enumerate(net.layers[:last]) if isinstance(f, Activation) and is_softmax(f)]
    if not hidden:
        return None
    return make_finding(
        "hidden-softmax",
        "warning",
        f"The network has a softmax between its layers ({places(hidden)})",
        meaning="The outputs of a softmax sum to 1, so most units get almost no signal and almost no gradient.",
        measured=f"softmax in {places(hidden)} of {len(net.layers)} layers",
        usual="relu or tanh between layers; the softmax belongs to the loss",
        fix=Fix("Use relu in the hidden layers.", (Setting("activation", "relu"),), remedy="no-hidden-softmax"),
        layer=hidden[0],
        layers=len(hidden),
    )


def stacked_sigmoids(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for two or more sigmoids between layers: each passes at most a quarter of the gradient, and its mean is not 0.

    This is a suspicion: many such networks train well, and only a trial shows the cost.

    Reference  [lecun1998] 4.4
    """
    net = problem.recipe.net
    last = dense_layers(net)[-1] if dense_layers(net) else 0
    hidden = [i for i, f in enumerate(net.layers[:last]) if isinstance(f, Activation) and f.function == "sigmoid"]
    if len(hidden) < LIMITS.sigmoids:
        return None
    return make_finding(
        "vanishing-gradient",
        "warning",
        f"Several hidden layers use sigmoid ({places(hidden)})",
        meaning="A sigmoid passes back at most a quarter of the gradient, so the first layers learn slowly.",
        measured=f"{len(hidden)} hidden sigmoids",
        usual="relu or tanh between layers; the sigmoid belongs to the loss",
        fix=Fix("Use tanh or relu in the hidden layers.", (Setting("activation", "tanh"),), remedy="no-hidden-sigmoid"),
        layer=hidden[0],
        layers=len(hidden),
    )


def linear_collapse(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for Dense layers without a nonlinearity between them, which equal a single one.

    A bottleneck (fewer units than on both sides) may be wanted as a factorization: information only, unless the whole
    network is linear. Batch norm and dropout do not count: in inference they are linear too.
    """
    net = problem.recipe.net
    dense = dense_layers(net)
    pairs = [(i, j) for i, j in pairwise(dense) if _linear_between(net, i, j)]
    if not pairs:
        return None
    whole = len(pairs) == len(dense) - 1
    wide = [i for i, j in pairs if net.widths[i + 1] >= min(net.widths[i], net.widths[j + 1])]
    return make_finding(
        "linear-collapse",
        "warning" if whole or wide else "info",
        "The whole network is a linear model" if whole else f"No activation follows {places([i for i, _ in pairs])}",
        meaning="Dense layers without an activation between them are equivalent to one Dense layer.",
        measured=f"{len(pairs)} of {len(dense) - 1} hidden Dense layers have no nonlinear activation",
        usual="an activation after every hidden Dense layer",
        fix=Fix(
            "Put an activation after each hidden Dense layer.",
            (Setting("activation", "relu"),),
            remedy="add-nonlinearity",
        ),
        layer=pairs[0][0],
        linear=len(pairs),
        hidden=len(dense) - 1,
    )


def doubled_activation(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for two activations in a row; harmless if the second changes nothing (relu after relu)."""
    layers = problem.recipe.net.layers
    for i, j in _neighbors(problem.recipe.net):
        first, second = layers[i], layers[j]
        if isinstance(first, Activation) and isinstance(second, Activation):
            if is_affine(first) or is_affine(second):
                continue
            once = outputs_of(first, PROBE[:, None])
            idle = np.allclose(outputs_of(second, once), once, rtol=1e-9, atol=1e-12)
            return make_finding(
                "doubled-activation",
                "info" if idle else "warning",
                f"Two activations in a row ({layer_name(first)}, then {layer_name(second)})",
                meaning="The second activation has no effect."
                if idle
                else "Each activation shrinks the signal and its gradient; a second one adds no expressive power.",
                measured=f"layers {i} and {j}",
                usual="one activation after each Dense layer",
                fix=Fix(
                    "Remove one of the two activations.",
                    code=f"net = Net(net.inputs, net.layers[:{j}] + net.layers[{j + 1}:])",
                    remedy="one-activation",
                    safe=idle,
                ),
                layer=j,
            )
    return None


def bias_before_norm(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a bias right before batch norm, which subtracts it again; it only costs a little time."""
    layers = problem.recipe.net.layers
    pairs = [(layers[i], i) for i, j in _neighbors(problem.recipe.net) if isinstance(layers[j], BatchNorm)]
    idle = {i: layer.units for layer, i in pairs if isinstance(layer, Dense) and layer.bias}
    if not idle:
        return None
    return make_finding(
        "bias-before-norm",
        "info",
        f"A bias before batch norm has no effect ({places([*idle])})",
        meaning="Batch norm subtracts the mean of each column, and the bias with it; its own β does the work of a bias.",
        measured=f"{len(idle)} Dense layers with a bias before BatchNorm",
        usual="Dense(..., bias=False) before BatchNorm",
        fix=Fix("Leave the bias out.", code=f"Dense({idle[min(idle)]}, bias=False)", safe=True),
        layer=min(idle),
    )


def dropout_before_norm(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for dropout right before batch norm, with at most an activation between them.

    Dropout increases the variance in training only, so in inference the running variance is wrong, by 1 / (1 - rate) if the
    mean is 0. A Dense layer between them averages this out.
    """
    net = problem.recipe.net
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Dropout) and layer.rate > 0:
            after = next((f for f in net.layers[i + 1 :] if not isinstance(f, Activation | Dropout)), None)
            if isinstance(after, BatchNorm):
                return make_finding(
                    "dropout-before-norm",
                    "warning" if layer.rate >= LIMITS.dropout_before_norm else "info",
                    f"Dropout comes before batch norm (layer {i})",
                    meaning="Dropout changes the variance in training only, so running statistics are wrong in inference.",
                    measured=f"rate {layer.rate:g}: up to {1 / (1 - layer.rate):.2g} times the variance in training",
                    usual="batch norm, activation, then dropout",
                    fix=Fix(
                        "Move dropout after batch norm and the activation.",
                        (Setting("batch_norm", True), Setting("dropout", layer.rate)),
                        remedy="no-dropout",
                    ),
                    layer=i,
                    rate=layer.rate,
                )
    return None


def dropout_too_high(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for dropout of more than half of the units, of more than a fifth of the inputs, or of the outputs.

    This is a suspicion: only a trial without dropout can tell. Up to half of the inputs is information only, since wide,
    redundant rows tolerate it.
    """
    worst = max(_dropped(problem.recipe.net), default=None)
    if worst is None:
        return None
    excess, i, rate, where = worst
    return make_finding(
        "dropout-too-high",
        "warning" if where != "inputs" or rate > LIMITS.dropout_hidden else "info",
        f"Dropout removes {percent(rate)} of the {where} (layer {i})",
        meaning="So much of the signal is missing at every step that the network learns slowly or not at all.",
        measured=f"rate {rate:g} on the {where}",
        usual="0.1 to 0.5 on hidden units, at most 0.2 on inputs, none on outputs",
        fix=Fix("Lower the dropout rate to 0.2, or remove dropout.", (Setting("dropout", 0.2),), remedy="no-dropout"),
        layer=i,
        rate=rate,
        excess=excess,
    )


def frozen_statistics(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for batch norm whose running statistics are useless in inference.

    Either the layer never updates them (a custom layer), or its momentum m still keeps more than a tenth of the initial
    values after all T steps of the run: mᵀ > 0.1.
    """
    recipe = problem.recipe
    steps = problem.config.epochs * len(recipe.batches(len(problem.rows)))
    for i, layer in enumerate(recipe.net.layers):
        if not isinstance(layer, BatchNorm):
            continue
        kept = layer.momentum**steps
        moves = _moves(layer, recipe.net.widths[i])
        if moves and kept <= LIMITS.initial_statistics:
            continue
        return make_finding(
            "batch-norm-statistics",
            "critical" if not moves or kept > LIMITS.initial_statistics_critical else "warning",
            f"Batch norm's running statistics do not adapt to the data (layer {i})",
            meaning="Inference uses the running mean and variance, which here stay close to their initial values.",
            measured="a training step leaves the running statistics unchanged"
            if not moves
            else f"with momentum {layer.momentum:g}, {percent(kept)} of the initial values remain after {steps} steps",
            usual="momentum 0.9, and more than 100 steps",
            fix=Fix(
                "Lower the momentum to 0.9." if moves else "Use the library's BatchNorm.",
                code="BatchNorm(momentum=0.9)",
                remedy="fresh-statistics",
                safe=moves,
            ),
            layer=i,
            momentum=layer.momentum,
            steps=steps,
            kept=kept if moves else 1.0,
        )
    return None


def tiny_batch(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for batch norm over fewer than 8 rows, whose mean and variance are mostly noise."""
    norms = [i for i, f in enumerate(problem.recipe.net.layers) if isinstance(f, BatchNorm)]
    n = len(problem.rows)
    rows = min(problem.recipe.batch_size, n)
    if not norms or rows >= LIMITS.norm_batch:
        return None
    return make_finding(
        "batch-norm-tiny-batch",
        "critical" if rows < 2 else "warning",
        f"Batch norm sees only {rows} row{'s' if rows > 1 else ''} at a time",
        meaning="A batch of one row equals its own mean, so every row gives the same output."
        if rows < 2
        else "The mean and variance of so few rows are noisy, and inference behaves differently from training.",
        measured=f"batch size {rows}",
        usual="at least 32 rows, or layer norm for smaller batches",
        fix=Fix("Use larger batches.", (Setting("batch_size", 32),), remedy="larger-batch"),
        layer=norms[0],
        batch_size=rows,
    )


def dropout_in_inference(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a dropout layer that also drops in inference, as only a custom layer can."""
    for i, layer in enumerate(problem.recipe.net.layers):
        if isinstance(layer, Dropout) and type(layer) is not Dropout:
            A = np.ones((4, 64))
            same = np.array_equal(layer.forward({}, {}, A, Context(np, False, Stream.from_seed(0)))[0], A)
            if not same:
                return make_finding(
                    "train-eval-gap",
                    "critical",
                    f"Dropout stays on in inference (layer {i})",
                    meaning="Predictions differ from call to call and are worse than they could be.",
                    measured=f"{layer_name(layer)} changes its inputs in inference",
                    usual="dropout in training only",
                    fix=Fix(
                        "Drop units only where ctx.training is True.",
                        code=f"Dropout({layer.rate:g})",
                        remedy="no-dropout",
                    ),
                    layer=i,
                )
    return None


def _linear_between(net: Net, i: int, j: int) -> bool:
    """Check whether everything between two layers only scales, shifts or drops, in inference at least."""
    return all(
        isinstance(f, BatchNorm | Dropout | Scale) or (isinstance(f, Activation) and is_affine(f))
        for f in net.layers[i + 1 : j]
    )


def _neighbors(net: Net) -> Iterator[tuple[int, int]]:
    """Return pairs of neighboring layers, ignoring dropout."""
    kept = [i for i, layer in enumerate(net.layers) if not isinstance(layer, Dropout)]
    return pairwise(kept)


def _dropped(net: Net) -> Iterator[tuple[float, int, float, str]]:
    """Yield the excess over the usual limit, the layer, its rate, and what it drops, for each layer with an excess."""
    dense = dense_layers(net)
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Dropout) and dense:
            where, limit = (
                ("inputs", LIMITS.dropout_inputs)
                if i < dense[0]
                else ("outputs", 0.0)
                if i > dense[-1]
                else ("hidden units", LIMITS.dropout_hidden)
            )
            if layer.rate > limit:
                yield layer.rate - limit, i, layer.rate, where


def _moves(layer: BatchNorm, d: int) -> bool:
    """Check whether a training step changes the running statistics."""
    p, buffers = layer.init(Stream.from_seed(0), d)
    Z = 3.0 + np.arange(4.0 * d).reshape(4, d)
    after = layer.forward(p, buffers, Z, Context(np, True, Stream.from_seed(0)))[2]
    return any(not np.array_equal(after[name], buffers[name]) for name in buffers)
