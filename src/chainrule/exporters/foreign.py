"""What networks of other libraries become: layers with their numbers, gathered in order, then a model.

In: layers and arrays, as `from_torch` and `from_keras` read them. Out: a `Model`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.data.matrix import default_names
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.nn.layers import BatchNorm, Dense
from chainrule.nn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net


@dataclass
class Found:
    """The layers that were read so far, with their numbers in the order of the network's parameters.

    Parameters
    ----------
    owner : str
        The function that reads, which messages name.
    link : str, default=""
        "softmax" or "sigmoid" where the network ends with one, which belongs to the loss here.
    """

    owner: str
    link: str = ""
    layers: list[Any] = field(default_factory=list)
    w: list[Array] = field(default_factory=list)
    buffers: list[Array] = field(default_factory=list)
    inputs: int = 0
    width: int = 0

    def add(self, layer: Any, *numbers: Array) -> None:
        """Add a layer with its parameters."""
        self.layers.append(layer)
        self.w += numbers

    def take(self, width: int) -> None:
        """Take the width of the inputs from the first layer that says it; refuse another than the layer before gives."""
        if not self.inputs:
            self.inputs = self.width = width
        if width != self.width:
            raise InvalidValueError(must_be(self.owner, "layers", f"a layer of {self.width} inputs", width))

    def add_dense(self, W: Array, b: Array | None) -> None:
        """Add a dense layer of weights (d, k) and a bias (k)."""
        self.take(W.shape[0])
        self.width = W.shape[1]
        self.add(Dense(W.shape[1], bias=b is not None), W, *([] if b is None else [b]))

    def add_batch_norm(self, gamma: Array, beta: Array, mean: Array, variance: Array, layer: BatchNorm) -> None:
        """Add a batch norm with its running statistics."""
        self.take(len(mean))
        self.add(layer, gamma, beta)
        self.buffers += [mean, variance]


@dataclass(frozen=True)
class Given:
    """What the caller says about a network: see `from_torch`."""

    classes: Any
    loss: Loss | None
    inputs: Standardizer | None
    targets: Standardizer | None
    feature_names: Sequence[str]
    target_name: str


def model_of_layers(found: Found, given: Given) -> Model:
    """Return the model of the layers that were found.

    Raises `InvalidValueError` for a network without weights, and for a loss that does not fit the network's end.
    """
    if not found.w:
        raise InvalidValueError(must_be(found.owner, "network", "a network with weights", "none"))
    net = Net(found.inputs, found.layers)
    kind = found.w[0].dtype
    known = None if given.classes is None else np.asarray(given.classes)
    return Model(
        net,
        _loss(found, given, net.outputs),
        np.concatenate([array.ravel() for array in found.w]).astype(kind),
        np.concatenate([np.zeros(0), *(array.ravel() for array in found.buffers)]).astype(kind),
        given.inputs or Standardizer.identity(found.inputs),
        given.targets,
        known,
        tuple(given.feature_names) or default_names(found.inputs),
        given.target_name,
    )


def _loss(found: Found, given: Given, outputs: int) -> Loss:
    chosen = given.loss
    if chosen is None and given.classes is None:
        return MeanSquaredError()
    if chosen is None:
        binary = outputs == 1 or found.link == "sigmoid"
        chosen = BinaryCrossEntropy() if binary else SoftmaxCrossEntropy()
    if found.link and chosen.link != found.link:
        allowed = f"one with the link {found.link!r}, with which the network ends"
        raise InvalidValueError(must_be(found.owner, "loss", allowed, chosen))
    return chosen


def as_numbers(tensor: Any) -> Array:
    """Return a tensor, or an array, as an array of floats."""
    values = np.asarray(tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor)
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def layer_fault(owner: str, known: Sequence[str], name: str, hint: str = "") -> InvalidValueError:
    """Return the error for a layer that has no counterpart."""
    if name in ("Softmax", "LogSoftmax", "softmax", "log_softmax"):
        hint = "At the end of a classifier it belongs to the loss: give classes."
    return InvalidValueError(must_be(owner, "layers", f"among {', '.join(sorted(known))}", name, hint))
