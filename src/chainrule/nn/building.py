"""Checks of a network's arguments, and the initializers that its layers get.

In: what the user gave. Out: one sentence for each fault; layers with the initializer that suits them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from chainrule.constraints import COUNT
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import default_for
from chainrule.nn.layers import LAYERS, Activation, Dense, Layer, Parallel, ParametricActivation


def network_faults(inputs: int, given: Any, layers: Sequence[Any]) -> Iterable[str]:
    """Yield what is wrong with the arguments of a network."""
    if not COUNT.allows(inputs):
        yield must_be("Net", "inputs", str(COUNT), inputs)
    if not isinstance(given, Iterable):
        yield must_be("Net", "layers", "a list of layers", given, f"Write [{given!r}]." if _is_layer(given) else "")
    elif not layers:
        yield must_be("Net", "layers", "at least one layer", given)
    for i, layer in enumerate(layers):
        if not _is_layer(layer):
            yield must_be("Net", f"layers[{i}]", "a layer", layer, _layer_hint(layer))


def width_faults(inputs: int, layers: Sequence[Layer]) -> Iterable[str]:
    """Yield what the first layer says that cannot take the columns it gets."""
    d = inputs
    for i, layer in enumerate(layers):
        try:
            d = layer.shapes(d).outputs
        except InvalidValueError as error:
            yield f"Net: layers[{i}] must fit the {d} columns that it gets. {error}"
            return


def _is_layer(thing: Any) -> bool:
    return isinstance(thing, tuple(LAYERS.values()))


def _layer_hint(thing: Any) -> str:
    """Return how to write the layer that was probably meant."""
    if isinstance(thing, type) and thing in LAYERS.values():
        return f"Write {thing.__name__}(), with parentheses."
    if isinstance(thing, str) and thing in ACTIVATIONS:
        return f"Write Activation({thing!r})."
    return f"Layers are {', '.join(LAYERS)}."


def with_initializer(layers: Sequence[Layer], i: int) -> Layer:
    """Return layer i with the initializer that suits the next activation (Xavier where none follows, as in a branch)."""
    layer = layers[i]
    if isinstance(layer, Parallel):
        return Parallel((width, with_initializer([inner], 0)) for width, inner in layer.branches)
    if not isinstance(layer, Dense) or layer.initializer is not None:
        return layer
    for after in layers[i + 1 :]:
        if isinstance(after, Activation | ParametricActivation):
            return replace(layer, initializer=default_for(after.function))
        if isinstance(after, Dense):
            break
    return replace(layer, initializer="xavier")
