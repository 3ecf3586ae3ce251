"""Why: a network whose layers, first weights or gradients are wrong often still learns something, and says nothing.

In: healthy subjects. Out: faults F20 to F25, F28 to F30, F32 to F35, F41 to F44 and F46 to F48.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows
from chainrule.nn.initializers import Constant, Normal
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer
from chainrule.nn.losses import BinaryCrossEntropy, MeanAbsoluteError, MeanSquaredError, Poisson, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from doctor.fault import Fault, Impossible, Outcome, fault, with_layers, with_recipe
from doctor.hosts import Subject
from doctor.pieces import (
    CutDense,
    RawBinary,
    RawProbabilities,
    ScaledHe,
    SlopelessActivation,
    SoftmaxLayer,
    StaleBatchNorm,
    StuckDropout,
    Uniform,
    UntransposedDense,
    WrongAxisSoftmax,
)

Map = Callable[[Layer], Sequence[Layer]]


def mapped(subject: Subject, change: Map, own: bool = False) -> Subject:
    """The same with each layer replaced by some."""
    return with_layers(subject, [new for layer in subject.recipe.net.layers for new in change(layer)], own)


def _places(subject: Subject, kind: type[Layer]) -> list[int]:
    return [i for i, layer in enumerate(subject.recipe.net.layers) if isinstance(layer, kind)]


def swapped(subject: Subject, index: int, layer: Layer, own: bool = False) -> Subject:
    """The same with one layer replaced."""
    layers = list(subject.recipe.net.layers)
    layers[index] = layer
    return with_layers(subject, layers, own)


def activations(subject: Subject, function: str, rng: np.random.Generator) -> Outcome:
    """Every hidden activation becomes another; softmax is a layer of its own."""
    if function == "softmax":
        return mapped(subject, lambda a: [SoftmaxLayer()] if isinstance(a, Activation) else [a], own=True)
    return mapped(subject, lambda a: [Activation(function)] if isinstance(a, Activation) else [a])


def linear(subject: Subject, which: str, rng: np.random.Generator) -> Outcome:
    """Hidden activations are gone, all of them or the first."""
    first = _places(subject, Activation)[0]
    kept = [a for i, a in enumerate(subject.recipe.net.layers) if not isinstance(a, Activation)]
    if which == "first":
        kept = [a for i, a in enumerate(subject.recipe.net.layers) if i != first]
    return with_layers(subject, kept)


def capped(subject: Subject, function: str, rng: np.random.Generator) -> Outcome:
    """An activation behind the last Dense: on logits, or on a regression's output."""
    if function == "link relu":
        if subject.labels is not None:
            return Impossible("the loss has no link")
        return with_recipe(subject, loss=MeanSquaredError("relu"))
    return with_layers(subject, [*subject.recipe.net.layers, Activation(function)])


def single_softmax(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """Softmax over the one output: refused as a loss, since the classes are not 0..0; possible as a layer of an own kind."""
    if subject.recipe.net.outputs != 1:
        return Impossible("the host has several outputs")
    if kind == "layer":
        subject = with_layers(subject, [*subject.recipe.net.layers, SoftmaxLayer()], own=True)
        return subject if subject.labels is None else with_recipe(subject, loss=RawBinary())
    if subject.labels is None:
        return Impossible("the host has no classes")
    recipe = replace(subject.recipe, loss=SoftmaxCrossEntropy())
    Rows.of(recipe, subject.rows.X, subject.rows.Y[:, 0].astype(np.int64))
    return Impossible("unreachable: the rows are refused")


def softmax_count(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """The output's link is missing, or applied twice."""
    if subject.labels is None:
        return Impossible("a regression has no link")
    binary = subject.recipe.net.outputs == 1
    if kind == "missing":
        return replace(with_recipe(subject, loss=RawBinary() if binary else RawProbabilities()), engine="reference")
    layers = [*subject.recipe.net.layers, Activation("sigmoid") if binary else SoftmaxLayer()]
    return with_layers(subject, layers, own=not binary)


def wrong_loss(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """A loss of another task."""
    if subject.labels is None:
        table = {"squared": MeanAbsoluteError(), "absolute": BinaryCrossEntropy(), "poisson": Poisson()}
        return with_recipe(subject, loss=table[kind])
    loss = {"squared": MeanSquaredError(), "absolute": MeanAbsoluteError(), "poisson": Poisson()}[kind]

    def hot(Y: Array) -> Array:
        return np.eye(subject.recipe.net.outputs)[Y] if Y.ndim == 1 else Y

    return subject.map_targets(hot, loss)


def initial(subject: Subject, rule: Any, rng: np.random.Generator) -> Outcome:
    """Every Dense starts by one rule."""
    return mapped(subject, lambda a: [replace(a, initializer=rule)] if isinstance(a, Dense) else [a])


def no_bias(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """No Dense has a bias."""
    return mapped(subject, lambda a: [replace(a, bias=False)] if isinstance(a, Dense) else [a])


def dropped(subject: Subject, level: tuple[float, bool], rng: np.random.Generator) -> Outcome:
    """Dropout of a rate behind every hidden activation, and on the inputs too where asked."""
    rate, inputs = level
    bare = [a for a in subject.recipe.net.layers if not isinstance(a, Dropout)]
    layers = [new for a in bare for new in ([a, Dropout(rate)] if isinstance(a, Activation) else [a])]
    return with_layers(subject, [Dropout(rate), *layers] if inputs else layers)


def stuck_dropout(subject: Subject, rate: float, rng: np.random.Generator) -> Outcome:
    """Dropout that goes on in inference."""
    bare = [a for a in subject.recipe.net.layers if not isinstance(a, Dropout)]
    layers = [new for a in bare for new in ([a, StuckDropout(rate)] if isinstance(a, Activation) else [a])]
    return with_layers(subject, layers, own=True)


def without_norm(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """Batch norm is gone from a deep network."""
    if not _places(subject, BatchNorm):
        return Impossible("the host has no batch norm")
    return mapped(subject, lambda a: [] if isinstance(a, BatchNorm) else [a])


def stale_statistics(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """Running statistics that never move, or hardly."""
    if not _places(subject, BatchNorm):
        return Impossible("the host has no batch norm")
    if kind == "1":
        return mapped(subject, lambda a: [BatchNorm(momentum=1.0)] if isinstance(a, BatchNorm) else [a])
    if kind == "0.9999":
        return mapped(subject, lambda a: [BatchNorm(momentum=0.9999)] if isinstance(a, BatchNorm) else [a])
    return mapped(subject, lambda a: [StaleBatchNorm()] if isinstance(a, BatchNorm) else [a], own=True)


def deep(subject: Subject, level: tuple[int, str, Any], rng: np.random.Generator) -> Outcome:
    """Many hidden layers of five units with one activation and one rule for the first weights."""
    if subject.host not in ("H1", "H2", "H3"):
        return Impossible("published for classes, in the plane and in pictures")
    depth, function, rule = level
    hidden = [a for _ in range(depth) for a in (Dense(5, initializer=rule), Activation(function))]
    return with_layers(subject, [*hidden, Dense(subject.recipe.net.outputs, initializer=rule)])


def frozen(subject: Subject, which: str, rng: np.random.Generator) -> Outcome:
    """Layers that do not learn: all hidden ones by a rate of 0, or those below a Dense that hands back no gradient."""
    places = _places(subject, Dense)
    if which == "hidden":
        names = {f"{i}.*": 0.0 for i in range(places[-1]) if subject.recipe.net.layer_shapes[i].parameters}
        return with_recipe(subject, learning_rate_multipliers=names)
    if which == "first":
        return with_recipe(subject, learning_rate_multipliers={f"{places[0]}.*": 0.0})
    layer = subject.recipe.net.layers[places[-1]]
    return swapped(subject, places[-1], CutDense(layer.units, bias=layer.bias, initializer=layer.initializer), own=True)  # type: ignore[attr-defined]


def wrong_backward(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """A factor is missing on the way back through one layer, or a matrix is not transposed."""
    if kind == "slope":
        places = _places(subject, Activation)
        if not places:
            return Impossible("the network has no activation")
        function = subject.recipe.net.layers[places[0]].function  # type: ignore[attr-defined]
        return swapped(subject, places[0], SlopelessActivation(function), own=True)
    net: Net = subject.recipe.net
    square = [i for i in _places(subject, Dense) if net.widths[i] == net.widths[i + 1]]
    if not square:
        return Impossible("no weight matrix is square")
    layer = net.layers[square[-1]]
    return swapped(
        subject, square[-1], UntransposedDense(layer.units, bias=layer.bias, initializer=layer.initializer), own=True
    )  # type: ignore[attr-defined]


def wrong_axis(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """Softmax over the rows of the batch."""
    if not isinstance(subject.recipe.loss, SoftmaxCrossEntropy):
        return Impossible("the host has no softmax")
    return replace(with_recipe(subject, loss=WrongAxisSoftmax()), engine="reference")


FAULTS: tuple[Fault, ...] = (
    fault(
        20,
        "another hidden activation",
        [("softmax", "softmax"), ("exp", "exp"), ("sigmoid", "sigmoid"), ("elu", "elu")],
        activations,
        "hidden-softmax",
        "vanishing-gradient exploding-gradient nan-loss saturated-units activation-drift",
    ),
    fault(
        21,
        "hidden activations missing",
        [("all", "all"), ("first", "first")],
        linear,
        "linear-collapse",
        "underfitting",
    ),
    fault(
        22,
        "activation on the output",
        [("relu", "relu"), ("sigmoid", "sigmoid"), ("link relu", "link relu")],
        capped,
        "output-range",
        "output-loss-mismatch doubled-activation",
    ),
    fault(
        23,
        "softmax over one output",
        [("loss", "loss"), ("layer", "layer")],
        single_softmax,
        "constant-output",
        "output-loss-mismatch output-range",
    ),
    fault(
        24,
        "softmax missing or twice",
        [("missing", "missing"), ("twice", "twice")],
        softmax_count,
        "output-loss-mismatch",
        "output-range doubled-activation wrong-loss hidden-softmax",
    ),
    fault(
        25,
        "loss of another task",
        [("squared", "squared"), ("absolute", "absolute"), ("Poisson", "poisson")],
        wrong_loss,
        "wrong-loss",
        "output-loss-mismatch output-range loss-metric-disagreement",
    ),
    fault(
        28,
        "first weights all alike",
        [("0", "zeros"), ("0.01", Constant(0.01)), ("1", Constant(1.0))],
        initial,
        "symmetric-weights",
        "init-scale",
    ),
    fault(
        29,
        "scale of the first weights",
        [("normal 1", Normal(sigma=1.0)), ("He x 0.1", ScaledHe(0.1)), ("He x 5", ScaledHe(5.0))],
        initial,
        "init-scale",
        "exploding-gradient vanishing-gradient wrong-initial-loss saturated-units dead-units",
    ),
    fault(30, "no bias", [("none", None)], no_bias, "underfitting"),
    fault(
        32,
        "dropout too high",
        [("0.75", (0.75, False)), ("0.8 and inputs", (0.8, True)), ("1", (1.0, False)), ("0.125", (0.125, False))],
        dropped,
        "dropout-too-high",
        "underfitting",
    ),
    fault(
        33,
        "dropout in inference",
        [("0.2", 0.2), ("0.5", 0.5)],
        stuck_dropout,
        "train-eval-gap",
        "dropout-too-high",
    ),
    fault(
        34,
        "no batch norm in a deep network",
        [("none", None)],
        without_norm,
        "vanishing-gradient",
        "exploding-gradient dead-units activation-drift init-scale",
    ),
    fault(
        35,
        "batch norm's running statistics stale",
        [("momentum 1", "1"), ("momentum 0.9999", "0.9999"), ("never", "never")],
        stale_statistics,
        "batch-norm-statistics",
        "train-eval-gap",
    ),
    fault(
        41,
        "deep sigmoid",
        [("12", (12, "sigmoid", None))],
        deep,
        "vanishing-gradient",
        "saturated-units",
    ),
    fault(
        42,
        "deep exponential",
        [("9", (9, "exp", None))],
        deep,
        "exploding-gradient",
        "nan-loss activation-drift",
    ),
    fault(
        43,
        "deep relu from tiny weights",
        [("9", (9, "relu", Uniform(0.05)))],
        deep,
        "vanishing-gradient",
        "dead-units init-scale",
    ),
    fault(44, "deep narrow relu", [("16", (16, "relu", None))], deep, "dead-units", "vanishing-gradient"),
    fault(
        46,
        "layers that do not learn",
        [("hidden", "hidden"), ("first", "first"), ("cut", "cut")],
        frozen,
        "frozen-layer",
        "wrong-gradient",
    ),
    fault(
        47,
        "wrong term in the backward pass",
        [("slope", "slope"), ("transpose", "transpose")],
        wrong_backward,
        "wrong-gradient",
        "not-a-descent-direction",
    ),
    fault(
        48,
        "softmax over the wrong axis",
        [("rows", None)],
        wrong_axis,
        "sample-mixing",
        "wrong-loss output-loss-mismatch wrong-gradient wrong-initial-loss",
    ),
)
"""Faults of the network."""
