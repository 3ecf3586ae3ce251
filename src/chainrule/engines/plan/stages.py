"""Why: layers that follow one another run as one stage, so that a batch goes through memory once for all of them.

In: a recipe. Out: stages: which layers each is made of, and where their numbers lie in the flat vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from chainrule.nn.activations import ACTIVATIONS, ELU, Function, LeakyReLU, activation
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

FUNCTIONS = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu"]
FUNCTIONS += ["selu", "gelu", "silu", "softplus", "mish", "exp"]
"""A function's code is its place here, as native/plan.hpp numbers them."""

_CODE = {type(ACTIVATIONS[name]): code for code, name in enumerate(FUNCTIONS)}
_RANK = {Dense: 0, BatchNorm: 1, LayerNorm: 1, Activation: 2, Dropout: 3}
"""Within a stage ranks rise."""


class Norm(IntEnum):
    """The normalization within a stage."""

    NONE = 0
    BATCH = 1
    LAYER = 2


class Slope(IntEnum):
    """How the backward pass gets through activation and dropout: not at all, from Y, or by a factor kept."""

    NONE = 0
    FROM_OUTPUT = 1
    KEPT = 2


@dataclass(frozen=True)
class Stage:
    """Layers run as one: [Dense] [BatchNorm] or [LayerNorm], then [Activation] [Dropout]; offsets are -1 where absent."""

    layers: tuple[int, ...]
    inputs: int
    outputs: int
    dense: bool = False
    norm: Norm = Norm.NONE
    function: Function = ACTIVATIONS["identity"]
    rate: float = 0.0
    mask_layer: int = 0
    W: int = -1
    b: int = -1
    gamma: int = -1
    beta: int = -1
    mean: int = -1
    variance: int = -1
    momentum: float = 0.0
    epsilon: float = 1.0
    rates: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    @property
    def slope(self) -> Slope:
        """ReLU's output tells its slope and dropout's mask at once; other functions keep the factor where Y does not do."""
        name = type(self.function).__name__
        if name == "ReLU" or (self.rate == 0.0 and self.function.needs == "A"):
            return Slope.FROM_OUTPUT
        return Slope.KEPT if self.rate > 0.0 or self.function.needs == "Z" else Slope.NONE

    @property
    def size(self) -> int:
        """Number of parameters."""
        k = self.outputs
        return (self.inputs * k if self.dense else 0) + k * sum(at >= 0 for at in (self.b, self.gamma, self.beta))

    @property
    def text(self) -> str:
        """What is fused, as "dense + bias + batch norm + relu + dropout"."""
        name = FUNCTIONS[_CODE[type(self.function)]]
        norm = {Norm.NONE: "", Norm.BATCH: "batch norm", Norm.LAYER: "layer norm"}[self.norm]
        parts = ["dense" if self.dense else "", "bias" if self.b >= 0 else "", norm]
        parts += ["" if name == "identity" else name, "dropout" if self.rate else ""]
        return " + ".join(part for part in parts if part) or "copy"

    def integers(self) -> list[int]:
        """The row of whole numbers that the native engine reads."""
        function, threshold = _CODE[type(self.function)], min(round(self.rate * 2.0**32), 2**32 - 1)
        offsets = [self.W, self.b, self.gamma, self.beta, self.mean, self.variance]
        shape = [self.inputs, self.outputs, int(self.dense), int(self.norm)]
        return [*shape, function, int(self.slope), *offsets, int(self.rate > 0), threshold, self.mask_layer]

    def reals(self) -> list[float]:
        """The row of reals that the native engine reads."""
        a = getattr(self.function, "a", 0.0) if isinstance(self.function, LeakyReLU | ELU) else 0.0
        return [a, 1.0 / (1.0 - self.rate), self.momentum, self.epsilon, *self.rates]


def foreign(net: Net) -> Iterator[str]:
    """Why a network has no stages: layers and functions from outside the package."""
    for i, layer in enumerate(net.layers):
        if type(layer) not in _RANK:
            yield f"Layer {i} is one of its own: {layer!r}."
        elif isinstance(layer, Activation) and type(activation(layer.function)) not in _CODE:
            yield f"Layer {i} has an activation of its own: {layer.function!r}."


def fuse(recipe: Recipe) -> Iterator[Stage]:
    """Layers taken greedily, each stage as many as fit its form."""
    layers, i = recipe.net.layers, 0
    while i < len(layers):
        count = _fused(layers, i)
        yield _stage(recipe, range(i, i + count))
        i += count


def _fused(layers: tuple[Layer, ...], start: int) -> int:
    """How many layers from `start` on form one stage: their ranks rise, and layer norm follows no Dense."""
    stop = start + 1
    while stop < len(layers):
        before, after = type(layers[stop - 1]), type(layers[stop])
        if _RANK[after] <= _RANK[before] or (after is LayerNorm and before is Dense):
            break
        stop += 1
    return stop - start


def _stage(recipe: Recipe, positions: range) -> Stage:
    net = recipe.net
    offsets = {slot.name: slot.offset for layout in (net.parameters, net.buffers) for slot in layout.slots}
    multipliers = np.ones(net.size) if recipe.multipliers is None else net.multipliers(recipe.learning_rate_multipliers)
    found: dict[str, Any] = {}
    for i in positions:
        layer = net.layers[i]
        letters = [*net.layer_shapes[i].parameters, *net.layer_shapes[i].buffers]
        found.update({letter: offsets[f"{i}.{letter}"] for letter in letters})
        found.update(_settings(layer, i))
    rates = tuple(float(multipliers[found[x]]) if x in found else 1.0 for x in ("W", "b", "gamma", "beta"))
    return Stage(tuple(positions), net.widths[positions[0]], net.widths[positions[-1] + 1], rates=rates, **found)  # type: ignore[arg-type]


def _settings(layer: Layer, i: int) -> dict[str, Any]:
    match layer:
        case Dense():
            return {"dense": True}
        case BatchNorm():
            return {"norm": Norm.BATCH, "momentum": layer.momentum, "epsilon": layer.epsilon}
        case LayerNorm():
            return {"norm": Norm.LAYER, "epsilon": layer.epsilon}
        case Activation():
            return {"function": activation(layer.function)}
        case Dropout():
            return {"rate": layer.rate, "mask_layer": i}
    raise TypeError(layer)
