"""Dense networks trained in Keras, as models of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.errors import InvalidValueError, must_be
from chainrule.exporters.foreign import Found, Given, as_numbers, layer_fault, model_of_layers
from chainrule.model import Model
from chainrule.nn.activations import ELU, LeakyReLU
from chainrule.nn.layers import Activation, BatchNorm, Dropout, LayerNorm, ParametricActivation
from chainrule.nn.losses import Loss

_FUNCTIONS: Mapping[str, Any] = {
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "elu": "elu",
    "selu": "selu",
    "silu": "silu",
    "mish": "mish",
    "softplus": "softplus",
    "exponential": "exp",
    "leaky_relu": LeakyReLU(0.2),
}
"""Activations of Keras by name, with this package's."""

_NOTHING = ("InputLayer", "Flatten", "Identity", "ActivityRegularization")
_TINY = 1e-7
"""The least that a Normalization divides by."""


def from_keras(
    network: Any,
    *,
    activation: str = "relu",
    epsilon: float = 1e-3,
    classes: Any = None,
    loss: Loss | None = None,
    inputs: Standardizer | None = None,
    targets: Standardizer | None = None,
    feature_names: Sequence[str] = (),
    target_name: str = "target",
) -> Model:
    """Return a dense network of Keras as a model.

    Dense layers, normalization, batch norm, layer norm, dropout and activations are read. A softmax or sigmoid at the end
    belongs to the loss here, and is left out.

    Parameters
    ----------
    network : keras.Sequential, keras.Model or sequence of array
        The network: one layer after the other. Or what its `get_weights()` returns, which says nothing about activations:
        for each dense layer kernel (d, k) and bias (k), and for a batch norm behind it gamma, beta, moving mean and moving
        variance (k each).
    activation : str, default="relu"
        The activation of every layer of a list of weights but the last, behind its batch norm.
    epsilon : float, default=1e-3
        That of the batch norm of a list of weights.
    classes, loss, inputs, targets, feature_names, target_name
        As for `from_torch`. A Normalization at the start becomes `inputs`.

    Returns
    -------
    Model
        In the type of the weights. It predicts as the network does in inference.

    Raises
    ------
    InvalidValueError
        For layers of another kind, named, for options of layers that have no counterpart, for networks that are no chain,
        and for arrays that are not such a list.

    Examples
    --------
    >>> model = from_keras([np.eye(2), np.zeros(2), np.ones((2, 1)), np.zeros(1)])
    >>> model.predict([[1.0, -5.0]])
    array([1.])
    """
    found = Found("from_keras")
    given = Given(classes, loss, inputs, targets, feature_names, target_name)
    if not hasattr(network, "layers"):
        _read_weights(network, activation, BatchNorm(momentum=0.99, epsilon=epsilon), found)
        return model_of_layers(found, given)
    pieces = [piece for layer in _chain(network) for piece in _pieces(layer)]
    link = _link(pieces[-1]) if pieces and classes is not None else ""
    if link:
        found.link = link
        pieces.pop()
    if pieces and pieces[0].kind == "Normalization":
        given = replace(given, inputs=_scaling(pieces.pop(0), inputs))
    for piece in pieces:
        _read(piece, found)
    return model_of_layers(found, given)


@dataclass(frozen=True)
class _Piece:
    """One step of a network: the class of its layer, the layer's options, and its weights."""

    kind: str
    options: Mapping[str, Any]
    weights: Sequence[Array] = field(default=())


def _chain(network: Any) -> Iterator[Any]:
    """Yield the layers of a network, one after the other.

    Raises `InvalidValueError` for a network with branches, and for one with code of its own.
    """
    kind = type(network).__name__
    if kind not in ("Sequential", "Functional"):
        raise InvalidValueError(must_be("from_keras", "network", "a Sequential, or a Model of layers in a row", kind))
    if kind == "Functional" and not _in_a_row(network):
        raise InvalidValueError(must_be("from_keras", "network", "layers in a row", "a network with branches"))
    for layer in network.layers:
        if type(layer).__name__ in ("Sequential", "Functional"):
            yield from _chain(layer)
        else:
            yield layer


def _in_a_row(network: Any) -> bool:
    """Check whether each layer takes what the one before gives, and the last gives the answer."""
    try:
        joined = all(after.input is before.output for before, after in pairwise(network.layers))
        return joined and len(network.outputs) == 1 and network.outputs[0] is network.layers[-1].output
    except (AttributeError, ValueError):
        return False


def _pieces(layer: Any) -> Iterator[_Piece]:
    """Yield what a layer does: its own step, and its activation."""
    kind = type(layer).__name__
    if kind in _NOTHING:
        return
    options = layer.get_config()
    weights = [as_numbers(array) for array in layer.get_weights()]
    if kind != "Activation":
        yield _Piece(kind, options, weights)
    if kind in ("Dense", "Activation"):
        yield from _activation(options.get("activation"))


def _activation(given: Any) -> Iterator[_Piece]:
    """Yield an activation that a layer's options hold: a name, or a layer as plain data."""
    if isinstance(given, Mapping):
        yield _Piece(str(given.get("class_name")), cast("Mapping[str, Any]", given.get("config")))
    elif given not in (None, "linear"):
        yield _Piece("Activation", {"activation": given})


def _link(piece: _Piece) -> str:
    """Return "softmax" or "sigmoid" if a piece is one, else ""."""
    name = piece.options["activation"] if piece.kind == "Activation" else piece.kind
    return {"softmax": "softmax", "Softmax": "softmax", "log_softmax": "softmax", "sigmoid": "sigmoid"}.get(name, "")


def _scaling(piece: _Piece, inputs: Standardizer | None) -> Standardizer:
    """Return the scaling that a Normalization does; it cannot come twice."""
    if inputs is not None:
        raise InvalidValueError(must_be("from_keras", "inputs", "None for a network that begins with one", inputs))
    if len(piece.weights) < 2 or piece.options.get("invert") or piece.weights[0].size < 1:
        raise InvalidValueError(must_be("from_keras", "Normalization", "adapted to rows", piece.options))
    mean, variance = (each.astype(np.float64).ravel() for each in piece.weights[:2])
    return Standardizer(mean, np.maximum(np.sqrt(variance), _TINY))


def _read(piece: _Piece, found: Found) -> None:
    reader = _READ.get(piece.kind)
    if reader is None:
        raise layer_fault("from_keras", [*_READ, "Normalization", *_NOTHING], piece.kind)
    reader(piece, found)


def _dense(piece: _Piece, found: Found) -> None:
    if not piece.weights:
        hint = "Call the network on rows once, or give it an Input."
        raise InvalidValueError(must_be("from_keras", "Dense", "a layer with weights", "none", hint))
    found.add_dense(piece.weights[0], piece.weights[1] if len(piece.weights) > 1 else None)


def _batch_norm(piece: _Piece, found: Found) -> None:
    _last_axis(piece)
    *affine, mean, variance = piece.weights
    gamma = affine.pop(0) if piece.options["scale"] else np.ones_like(mean)
    beta = affine.pop(0) if piece.options["center"] else np.zeros_like(mean)
    layer = BatchNorm(momentum=float(piece.options["momentum"]), epsilon=float(piece.options["epsilon"]))
    found.add_batch_norm(gamma, beta, mean, variance, layer)


def _layer_norm(piece: _Piece, found: Found) -> None:
    _last_axis(piece)
    options = piece.options
    if options.get("rms_scaling") or not (options["scale"] and options["center"]):
        allowed = "with scale and center, without rms_scaling"
        raise InvalidValueError(must_be("from_keras", "LayerNormalization", allowed, options))
    found.take(len(piece.weights[0]))
    found.add(LayerNorm(epsilon=float(options["epsilon"])), *piece.weights)


def _last_axis(piece: _Piece) -> None:
    axis = piece.options["axis"]
    if (list(axis) if isinstance(axis, list | tuple) else [axis]) not in ([-1], [1]):
        raise InvalidValueError(must_be("from_keras", piece.kind, "one over the columns (axis=-1)", axis))


def _function(piece: _Piece, found: Found) -> None:
    name = piece.options["activation"]
    if name not in _FUNCTIONS:
        hint = "Keras computes it exactly, this package by tanh: they differ by up to 5e-4." if name == "gelu" else ""
        raise layer_fault("from_keras", [*_FUNCTIONS, "linear"], str(name), hint)
    found.add(Activation(_FUNCTIONS[name]))


def _relu(piece: _Piece, found: Found) -> None:
    options = piece.options
    if options.get("max_value") is not None or options.get("threshold"):
        raise InvalidValueError(must_be("from_keras", "ReLU", "without max_value and threshold", dict(options)))
    slope = float(options.get("negative_slope") or 0.0)
    found.add(Activation(LeakyReLU(slope) if slope else "relu"))


def _prelu(piece: _Piece, found: Found) -> None:
    """Add a rectifier with a share: a slope a left of 0 is the share 1 - a."""
    if not piece.weights:
        raise InvalidValueError(must_be("from_keras", "PReLU", "a layer of its own", "an activation of another layer"))
    found.add(ParametricActivation("relu"), 1.0 - np.broadcast_to(piece.weights[0], (found.width,)))


_READ: Mapping[str, Callable[[_Piece, Found], None]] = {
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Dropout": lambda piece, found: found.add(Dropout(float(piece.options["rate"]))),
    "Activation": _function,
    "ReLU": _relu,
    "LeakyReLU": lambda piece, found: found.add(Activation(LeakyReLU(float(piece.options["negative_slope"])))),
    "ELU": lambda piece, found: found.add(Activation(ELU(float(piece.options["alpha"])))),
    "PReLU": _prelu,
}


def _read_weights(weights: Sequence[Array], activation: str, norm: BatchNorm, found: Found) -> None:
    """Read what `get_weights()` returned, with an activation behind every layer but the last."""
    starts = [i for i, array in enumerate(weights) if np.ndim(array) == 2]
    if not starts or starts[0] != 0:
        allowed = "a network, or a list that begins with a kernel (d, k)"
        raise InvalidValueError(must_be("from_keras", "network", allowed, [np.shape(array) for array in weights]))
    for start, end in zip(starts, [*starts[1:], len(weights)], strict=True):
        kernel, *rest = (as_numbers(array) for array in weights[start:end])
        if len(rest) not in (0, 1, 4, 5) or any(array.shape != (kernel.shape[1],) for array in rest):
            shapes = [np.shape(array) for array in weights[start:end]]
            allowed = "a list of kernel (d, k), bias (k), and the four arrays (k) of a batch norm"
            hint = "Give the network itself, which says what each array is."
            raise InvalidValueError(must_be("from_keras", "network", allowed, shapes, hint))
        found.add_dense(kernel, rest[0] if len(rest) in (1, 5) else None)
        if len(rest) > 1:
            gamma, beta, mean, variance = rest[-4:]
            found.add_batch_norm(gamma, beta, mean, variance, norm)
        if end < len(weights):
            found.add(Activation(activation))
