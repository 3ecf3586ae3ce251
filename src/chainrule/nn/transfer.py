"""Transfer of a trained body: which layers fit, and the vectors that carry them over.

In: two networks and the numbers of the trained one. Out: first numbers of the other with the trained body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.arrays import Array, Layout
from chainrule.errors import must_be, raise_all
from chainrule.nn.activations import activation
from chainrule.nn.layers import Activation, Layer, Parallel, ParametricActivation

if TYPE_CHECKING:
    from chainrule.nn.net import Net


def inherit(net: Net, seed: int, source: Net, w: Array, buffers: Array) -> tuple[Array, Array]:
    """Return first numbers of a network with the body of a trained one; `Net.inherit` says more."""
    _check_body(net, source)
    first_w, first_buffers = net.init(seed)
    return (
        _with_body(net, net.parameters, first_w, source.parameters, w),
        _with_body(net, net.buffers, first_buffers, source.buffers, buffers),
    )


def _with_body(net: Net, layout: Layout, first: Array, source: Layout, values: Array) -> Array:
    """Return a flat vector with the body's arrays from the other network."""
    taken = {name: V for name, V in source.views(values).items() if int(name.split(".")[0]) < net.head}
    return layout.pack(np, {**layout.views(first), **taken}, first)


def _check_body(net: Net, source: Net) -> None:
    """Raise `InvalidValueError` naming the first layer of the body that differs."""
    for i in range(max(net.head, source.head)):
        if _form(net, i) != _form(source, i):
            wanted, got = (_described(each, i) for each in (net, source))
            hint = "Body layers must be alike in kind, shapes and function."
            raise_all([must_be("Net", f"source.layers[{i}]", wanted, got, hint)])


def _form(net: Net, i: int) -> tuple[Any, ...]:
    """Return what two layers must share to exchange numbers: kind, function, shapes; nothing for the head."""
    if i >= net.head:
        return ()
    return (*_kind(net.layers[i]), net.layer_shapes[i])


def _kind(layer: Layer) -> tuple[Any, ...]:
    """Return the class of a layer and the settings that its numbers depend on; of a `Parallel`, those of its branches."""
    if isinstance(layer, Activation | ParametricActivation):
        return type(layer), activation(layer.function)
    if isinstance(layer, Parallel):
        return type(layer), *((width, _kind(inner)) for width, inner in layer.branches)
    return type(layer), getattr(layer, "edges", None), getattr(layer, "sizes", None)


def _described(net: Net, i: int) -> str:
    return f"{net.layers[i]} on {net.widths[i]} columns" if i < net.head else "the head"
