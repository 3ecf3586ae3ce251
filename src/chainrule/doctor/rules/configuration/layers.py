"""Why: an order of layers that cannot work, or works for nothing, shows before the first step.

In: the recipe's network. Out: findings about the layers between input and output.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.network import PROBE, dense_layers, is_affine, is_softmax, layer_name, outputs_of
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.wording import percent, places
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense, Dropout, LayerNorm
from chainrule.nn.net import Net
from chainrule.pipeline.option_names import Setting
from chainrule.random import Stream
from chainrule.train.problem import TrainingProblem


def hidden_softmax(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A softmax between layers: its units share one sum, so the signal that passes is a few shares."""
    net = problem.recipe.net
    last = dense_layers(net)[-1] if dense_layers(net) else 0
    hidden = [i for i, f in enumerate(net.layers[:last]) if isinstance(f, Activation) and is_softmax(f)]
    if not hidden:
        return None
    return make_finding(
        "hidden-softmax",
        "warning",
        f"A softmax stands in the middle of the network ({places(hidden)})",
        meaning="A softmax makes its units compete for one sum of 1, which starves all but a few of signal and gradient.",
        measured=f"{places(hidden)} of {len(net.layers)}",
        usual="relu or tanh between layers, softmax in the loss",
        fix=Fix("Use relu in the hidden layers.", (Setting("activation", "relu"),), remedy="no-hidden-softmax"),
        layer=hidden[0],
        layers=len(hidden),
    )


def hidden_sigmoids(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Two sigmoids or more between layers: each lets at most a quarter of the gradient through, and hands on no mean of 0.

    A suspicion: many such networks do well, and only a trial tells what it cost.

    Reference  [lecun1998] 4.4
    """
    net = problem.recipe.net
    last = dense_layers(net)[-1] if dense_layers(net) else 0
    hidden = [i for i, f in enumerate(net.layers[:last]) if isinstance(f, Activation) and f.function == "sigmoid"]
    if len(hidden) < 2:
        return None
    return make_finding(
        "vanishing-gradient",
        "warning",
        f"Sigmoids stand behind one another ({places(hidden)})",
        meaning="Each passes at most a quarter of the gradient back, and nothing below zero on: first layers learn late.",
        measured=f"{len(hidden)} hidden sigmoids",
        usual="relu or tanh between layers, a sigmoid in the loss",
        fix=Fix("Use tanh or relu in the hidden layers.", (Setting("activation", "tanh"),), remedy="no-hidden-sigmoid"),
        layer=hidden[0],
        layers=len(hidden),
    )


def linear_collapse(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Two affine maps with nothing non-linear between them are one.

    A narrow middle (fewer units than both sides) is a factorization that someone may want: information only, unless
    the whole network is linear. Batch norm and dropout do not help: in inference they are linear too.
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
        "The whole network is one linear map"
        if whole
        else f"Nothing non-linear follows {places([i for i, _ in pairs])}",
        meaning="Affine maps behind one another are one affine map; the extra layers add no expressive power.",
        measured=f"{len(pairs)} of {len(dense) - 1} hidden Dense layers without a non-linear activation",
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
    """Two activations behind one another; harmless where the second changes nothing (relu after relu)."""
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
                f"Two activations follow one another ({layer_name(first)}, then {layer_name(second)})",
                meaning="The second function does nothing."
                if idle
                else "Each function narrows the range and the slope, so two in a row cost signal without adding power.",
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
    """A bias that batch norm subtracts again at once; it costs a little time and nothing else."""
    layers = problem.recipe.net.layers
    pairs = [(layers[i], i) for i, j in _neighbors(problem.recipe.net) if isinstance(layers[j], BatchNorm)]
    idle = {i: layer.units for layer, i in pairs if isinstance(layer, Dense) and layer.bias}
    if not idle:
        return None
    return make_finding(
        "bias-before-norm",
        "info",
        f"A bias right before batch norm is subtracted again ({places([*idle])})",
        meaning="Batch norm removes each column's mean, so a bias before it has no effect; its β does that work.",
        measured=f"{len(idle)} Dense layers with a bias before BatchNorm",
        usual="Dense(..., bias=False) before BatchNorm",
        fix=Fix("Leave the bias out.", code=f"Dense({idle[min(idle)]}, bias=False)", safe=True),
        layer=min(idle),
    )


def dropout_before_norm(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Dropout right before batch norm, an activation between them at most.

    Dropout widens the variance in training only, so the running variance is wrong in inference, by 1 / (1 - rate) where
    the mean is 0. A Dense layer between them averages that out.
    """
    net = problem.recipe.net
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Dropout) and layer.rate > 0:
            after = next((f for f in net.layers[i + 1 :] if not isinstance(f, Activation | Dropout)), None)
            if isinstance(after, BatchNorm):
                return make_finding(
                    "dropout-before-norm",
                    "warning" if layer.rate >= 0.3 else "info",
                    f"Dropout stands before batch norm (layer {i})",
                    meaning="Dropout changes the variance in training only, so running statistics do not fit inference.",
                    measured=f"rate {layer.rate:g}; in training up to {1 / (1 - layer.rate):.2g} times the variance",
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
    """More than half of the units dropped, more than a fifth of the inputs, or logits dropped.

    A suspicion: only a trial without dropout tells. Inputs up to a half are information, since wide redundant rows
    bear that.
    """
    worst = max(_dropped(problem.recipe.net), default=None)
    if worst is None:
        return None
    excess, i, rate, where = worst
    return make_finding(
        "dropout-too-high",
        "warning" if where != "inputs" or rate > 0.5 else "info",
        f"Dropout takes away {percent(rate)} of the {where} (layer {i})",
        meaning="With most of the signal missing in every step the network learns slowly, or not at all.",
        measured=f"rate {rate:g} on the {where}",
        usual="0.1 to 0.5 on hidden units, at most 0.2 on inputs, none on outputs",
        fix=Fix("Lower the dropout rate to 0.2, or remove dropout.", (Setting("dropout", 0.2),), remedy="no-dropout"),
        layer=i,
        rate=rate,
        excess=excess,
    )


def idle_statistics(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Batch norm whose running statistics inference cannot rely on.

    Either the layer does not move them at all (a layer of one's own), or its momentum m keeps more than a tenth of
    the starting values after all T steps of the run: mᵀ > 0.1.
    """
    recipe = problem.recipe
    steps = problem.config.epochs * len(recipe.batches(len(problem.rows)))
    for i, layer in enumerate(recipe.net.layers):
        if not isinstance(layer, BatchNorm):
            continue
        kept, moves = layer.momentum**steps, _moves(layer, recipe.net.widths[i])
        if moves and kept <= 0.1:
            continue
        return make_finding(
            "batch-norm-statistics",
            "critical" if not moves or kept > 0.5 else "warning",
            f"Batch norm's running statistics do not follow the data (layer {i})",
            meaning="Inference uses the running mean and variance; here they are still what they were at the start.",
            measured="running values unchanged by a training pass"
            if not moves
            else f"momentum {layer.momentum:g} over {steps} steps keeps {percent(kept)} of the starting values",
            usual="momentum 0.9, and more than 100 steps",
            fix=Fix(
                "Lower the momentum to 0.9.", code="BatchNorm(momentum=0.9)", remedy="fresh-statistics", safe=moves
            ),
            layer=i,
            momentum=layer.momentum,
            steps=steps,
            kept=kept if moves else 1.0,
        )
    return None


def tiny_batch(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Batch norm over fewer than 8 rows: mean and variance of so few rows are mostly noise."""
    norms = [i for i, f in enumerate(problem.recipe.net.layers) if isinstance(f, BatchNorm)]
    n = len(problem.rows)
    rows = min(problem.recipe.batch_size, n)
    if not norms or rows >= 8:
        return None
    return make_finding(
        "batch-norm-tiny-batch",
        "critical" if rows < 2 else "warning",
        f"Batch norm over {rows} row{'s' if rows > 1 else ''} at a time",
        meaning="A batch of one row is all mean: every row comes out the same."
        if rows < 2
        else "So few rows give noisy means and variances, and inference behaves differently from training.",
        measured=f"batch size {rows}",
        usual="32 rows or more; layer norm for smaller batches",
        fix=Fix("Use larger batches.", (Setting("batch_size", 32),), remedy="larger-batch"),
        layer=norms[0],
        batch_size=rows,
    )


def restless_inference(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """A dropout layer that drops in inference too, as only a layer of one's own can."""
    for i, layer in enumerate(problem.recipe.net.layers):
        if isinstance(layer, Dropout) and type(layer) is not Dropout:
            A = np.ones((4, 64))
            same = np.array_equal(layer.forward({}, {}, A, Context(np, False, Stream.from_seed(0)))[0], A)
            if not same:
                return make_finding(
                    "train-eval-gap",
                    "critical",
                    f"Dropout goes on in inference (layer {i})",
                    meaning="Predictions change from call to call and are worse than they need be.",
                    measured=f"{layer_name(layer)} changes rows of ones in inference",
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
    return all(
        not isinstance(f, LayerNorm) and (not isinstance(f, Activation) or is_affine(f)) for f in net.layers[i + 1 : j]
    )


def _neighbors(net: Net) -> Iterator[tuple[int, int]]:
    """Numbers of layers behind one another, dropout left out."""
    kept = [i for i, layer in enumerate(net.layers) if not isinstance(layer, Dropout)]
    return pairwise(kept)


def _dropped(net: Net) -> Iterator[tuple[float, int, float, str]]:
    """Excess over the usual limit, layer, rate, what is dropped; only where there is an excess."""
    dense = dense_layers(net)
    for i, layer in enumerate(net.layers):
        if isinstance(layer, Dropout) and dense:
            where, limit = (
                ("inputs", 0.2) if i < dense[0] else ("outputs", 0.0) if i > dense[-1] else ("hidden units", 0.5)
            )
            if layer.rate > limit:
                yield layer.rate - limit, i, layer.rate, where


def _moves(layer: BatchNorm, d: int) -> bool:
    """Whether a training pass changes the running statistics."""
    p, buffers = layer.init(Stream.from_seed(0), d)
    Z = 3.0 + np.arange(4.0 * d).reshape(4, d)
    after = layer.forward(p, buffers, Z, Context(np, True, Stream.from_seed(0)))[2]
    return any(not np.array_equal(after[name], buffers[name]) for name in buffers)
