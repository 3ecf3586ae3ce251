"""Fused stages: consecutive layers run as one, so that a batch passes through memory once for all of them.

In: a recipe. Out: stages: the layers of each, and where their numbers lie in the flat vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from chainrule.engines.plan.features import FeatureGroup, embedding_faults, embeds, feature_groups
from chainrule.nn.activations import ACTIVATIONS, ELU, Function, LeakyReLU, activation
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm, ParametricActivation, Scale
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

_RANK = {Dense: 0, BatchNorm: 1, LayerNorm: 1, Scale: 1, Activation: 2, ParametricActivation: 2, Dropout: 3}
"""Within a stage ranks rise; a layer without a rank is a stage by itself."""

_FIELDS = {"s": "gamma"}
"""Fields of a stage that hold a parameter under another letter than its layer does."""


class Norm(Enum):
    """Normalization within a stage, or a factor for each column."""

    NONE = None
    BATCH = BatchNorm
    LAYER = LayerNorm
    SCALE = Scale


class ActivationKind(Enum):
    """Activations that compiled kernels know, each with the class of its function."""

    IDENTITY = type(ACTIVATIONS["identity"])
    SIGMOID = type(ACTIVATIONS["sigmoid"])
    TANH = type(ACTIVATIONS["tanh"])
    RELU = type(ACTIVATIONS["relu"])
    LEAKY_RELU = type(ACTIVATIONS["leaky_relu"])
    ELU = type(ACTIVATIONS["elu"])
    SELU = type(ACTIVATIONS["selu"])
    GELU = type(ACTIVATIONS["gelu"])
    SILU = type(ACTIVATIONS["silu"])
    SOFTPLUS = type(ACTIVATIONS["softplus"])
    MISH = type(ACTIVATIONS["mish"])
    EXP = type(ACTIVATIONS["exp"])


class DerivativeSource(Enum):
    """What the backward pass multiplies by: nothing, g' computed from the output Y, or a factor that was kept."""

    NONE = 0
    FROM_OUTPUT = 1
    KEPT = 2


def _ones() -> Mapping[str, float]:
    return dict.fromkeys(("W", "b", "gamma", "beta", "alpha"), 1.0)


@dataclass(frozen=True)
class FusedStage:
    """Layers run as one: [Dense], then [BatchNorm], [LayerNorm] or [Scale], an activation, and [Dropout].

    Offsets are -1 where absent: alpha where the activation is not parametric. gamma is the s of Scale.
    `multipliers` are the learning-rate multipliers of the parameters, by letter. A stage with groups of features has
    nothing else; only the first stage may have them.
    """

    layers: tuple[int, ...]
    inputs: int
    outputs: int
    dense: bool = False
    norm: Norm = Norm.NONE
    function: Function = ACTIVATIONS["identity"]
    rate: float = 0.0
    dropout_layer: int = 0
    W: int = -1
    b: int = -1
    gamma: int = -1
    beta: int = -1
    alpha: int = -1
    mean: int = -1
    variance: int = -1
    momentum: float = 0.0
    epsilon: float = 1.0
    multipliers: Mapping[str, float] = field(default_factory=_ones)
    groups: tuple[FeatureGroup, ...] = ()

    @property
    def derivative_source(self) -> DerivativeSource:
        """Where the backward pass finds g': ReLU's output shows its derivative and dropout's mask at once."""
        if self.alpha >= 0:
            return DerivativeSource.KEPT
        relu = ActivationKind(type(self.function)) is ActivationKind.RELU
        if relu or (self.rate == 0.0 and self.function.needs == "A"):
            return DerivativeSource.FROM_OUTPUT
        return DerivativeSource.KEPT if self.rate > 0.0 or self.function.needs == "Z" else DerivativeSource.NONE

    @property
    def kept(self) -> int:
        """Number of arrays (n, outputs) that wait for the backward pass; a scale without Dense reads its input again."""
        norm = self.norm != Norm.NONE and (self.dense or self.norm != Norm.SCALE)
        return 1 + norm + (self.derivative_source == DerivativeSource.KEPT) + (self.alpha >= 0)

    @property
    def size(self) -> int:
        """Number of parameters."""
        k = self.outputs
        if self.groups:
            return sum(group.size for group in self.groups)
        vectors = sum(at >= 0 for at in (self.b, self.gamma, self.beta, self.alpha))
        return (self.inputs * k if self.dense else 0) + k * vectors

    @property
    def text(self) -> str:
        """The fused layers in words, such as "dense + bias + batch norm + relu + dropout"."""
        if self.groups:
            return " | ".join(group.text for group in self.groups)
        name = ActivationKind(type(self.function)).name.lower()
        norm = {Norm.NONE: "", Norm.BATCH: "batch norm", Norm.LAYER: "layer norm", Norm.SCALE: "scale"}[self.norm]
        parts = ["dense" if self.dense else "", "bias" if self.b >= 0 else "", norm]
        name = f"parametric {name}" if self.alpha >= 0 else "" if name == "identity" else name
        parts += [name, "dropout" if self.rate else ""]
        return " + ".join(part for part in parts if part) or "copy"

    def fields(self) -> dict[str, Any]:
        """Return the values of `FusedStage` in native/plan.hpp, by name."""
        offsets = {name: getattr(self, name) for name in (*_ones(), "mean", "variance")}
        return {
            "inputs": self.inputs,
            "outputs": self.outputs,
            "dense": int(self.dense),
            "norm": self.norm,
            "activation": ActivationKind(type(self.function)),
            "activation_parameter": self.function.a if isinstance(self.function, LeakyReLU | ELU) else 0.0,
            "derivative_source": self.derivative_source,
            **offsets,
            "has_dropout": int(self.rate > 0),
            "dropout_threshold": min(round(self.rate * 2.0**32), 2**32 - 1),
            "dropout_layer": self.dropout_layer,
            "keep_scale": 1.0 / (1.0 - self.rate),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            **{f"multiplier_{letter}": value for letter, value in self.multipliers.items()},
            "groups": self.groups,
        }


def custom_parts(net: Net) -> Iterator[str]:
    """Say why a network has no stages: layers and activations that are not the package's own."""
    known = {kind.value for kind in ActivationKind}
    for i, layer in enumerate(net.layers):
        if embeds(layer):
            yield from embedding_faults(layer, i)
        elif type(layer) not in _RANK:
            yield f"Layer {i} is a custom layer: {layer!r}."
        elif isinstance(layer, Activation | ParametricActivation) and type(activation(layer.function)) not in known:
            yield f"Layer {i} has a custom activation: {layer.function!r}."


def fuse(recipe: Recipe) -> Iterator[FusedStage]:
    """Fuse layers greedily: each stage takes as many as fit its form."""
    layers = recipe.net.layers
    start = 0
    while start < len(layers):
        count = _fused(layers, start)
        yield _stage(recipe, range(start, start + count))
        start += count


def _fused(layers: tuple[Layer, ...], start: int) -> int:
    """Count the layers from `start` on that form one stage: their ranks rise, and layer norm follows no Dense."""
    stop = start + 1
    while stop < len(layers):
        before, after = type(layers[stop - 1]), type(layers[stop])
        if _RANK.get(after, 0) <= _RANK.get(before, 4) or (after is LayerNorm and before is Dense):
            break
        stop += 1
    return stop - start


def _stage(recipe: Recipe, positions: range) -> FusedStage:
    net = recipe.net
    offsets = {slot.name: slot.offset for layout in (net.parameters, net.buffers) for slot in layout.slots}
    multipliers = np.ones(net.size) if recipe.multipliers is None else net.multipliers(recipe.learning_rate_multipliers)
    values: dict[str, Any] = {}
    if embeds(net.layers[positions[0]]):
        groups = feature_groups(net.layers[0], net.inputs, offsets, multipliers)
        return FusedStage(tuple(positions), net.inputs, net.widths[1], groups=groups)
    for i in positions:
        letters = [*net.layer_shapes[i].parameters, *net.layer_shapes[i].buffers]
        values.update({_FIELDS.get(letter, letter): offsets[f"{i}.{letter}"] for letter in letters})
        values.update(_settings(net.layers[i], i))
    own = {letter: float(multipliers[values[letter]]) if letter in values else 1.0 for letter in _ones()}
    inputs, outputs = net.widths[positions[0]], net.widths[positions[-1] + 1]
    return FusedStage(tuple(positions), inputs, outputs, multipliers=own, **values)


def _settings(layer: Layer, i: int) -> dict[str, Any]:
    match layer:
        case Dense():
            return {"dense": True}
        case BatchNorm():
            return {"norm": Norm.BATCH, "momentum": layer.momentum, "epsilon": layer.epsilon}
        case LayerNorm():
            return {"norm": Norm.LAYER, "epsilon": layer.epsilon}
        case Scale():
            return {"norm": Norm.SCALE}
        case Activation() | ParametricActivation():
            return {"function": activation(layer.function)}
        case Dropout():
            return {"rate": layer.rate, "dropout_layer": i}
    raise TypeError(layer)
