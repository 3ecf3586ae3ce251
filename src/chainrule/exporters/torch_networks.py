"""Dense networks trained in PyTorch, as models of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.errors import InvalidValueError, must_be
from chainrule.exporters.foreign import Found, Given, as_numbers, layer_fault, model_of_layers
from chainrule.model import Model
from chainrule.nn.activations import ELU, LeakyReLU
from chainrule.nn.layers import Activation, BatchNorm, Dropout, LayerNorm, ParametricActivation
from chainrule.nn.losses import Loss

_PLAIN: Mapping[str, str] = {
    "ReLU": "relu",
    "Tanh": "tanh",
    "Sigmoid": "sigmoid",
    "SELU": "selu",
    "SiLU": "silu",
    "Mish": "mish",
    "Softplus": "softplus",
}
"""Activations of PyTorch that have no options, or only the usual ones."""

_LINKS: Mapping[str, str] = {"Softmax": "softmax", "Sigmoid": "sigmoid", "LogSoftmax": "softmax"}
_NOTHING = ("Identity", "Flatten")


def from_torch(
    network: Any,
    *,
    classes: Any = None,
    loss: Loss | None = None,
    inputs: Standardizer | None = None,
    targets: Standardizer | None = None,
    feature_names: Sequence[str] = (),
    target_name: str = "target",
    activation: str = "relu",
) -> Model:
    """Return a dense network of PyTorch as a model.

    Linear layers, batch norm, layer norm, dropout and activations are read. A softmax or sigmoid at the end belongs to the
    loss here, and is left out.

    Parameters
    ----------
    network : nn.Sequential or mapping of str to tensor
        The network, or its state dict, which says nothing about activations and dropout. Tensors may be arrays.
    classes : array-like of shape (K,), default=None
        The classes in the order of the outputs, two for one output; 0, 1, ... for labels that are predicted separately, each
        by a sigmoid; None for a regression.
    loss : Loss, default=None
        What it was trained with. None takes the mean squared error without classes, binary cross-entropy for one output
        with classes or a sigmoid at the end, and else softmax cross-entropy.
    inputs, targets : Standardizer, default=None
        The scaling of inputs and targets; None leaves them as they are.
    feature_names : sequence of str, default=()
        Names of the inputs; "x0", "x1", ... where none are given.
    target_name : str, default="target"
        The name of what is predicted.
    activation : str, default="relu"
        The activation between the layers of a state dict.

    Returns
    -------
    Model
        In the type of the weights. It predicts as the network does in inference, and can be saved, examined, exported and
        trained on.

    Raises
    ------
    InvalidValueError
        For layers of another kind, named, and for options of layers that have no counterpart.

    Examples
    --------
    >>> state = {"0.weight": np.eye(2), "0.bias": np.zeros(2), "2.weight": np.ones((1, 2)), "2.bias": np.zeros(1)}
    >>> model = from_torch(state)
    >>> [type(layer).__name__ for layer in model.net.layers]
    ['Dense', 'Activation', 'Dense']
    >>> model.predict([[1.0, -5.0]])
    array([1.])
    """
    found = Found("from_torch")
    if isinstance(network, Mapping):
        _read_state(network, activation, found)
    else:
        for module in _leaves(network, found, classes is not None):
            _read_module(module, found)
    return model_of_layers(found, Given(classes, loss, inputs, targets, feature_names, target_name))


def _leaves(network: Any, found: Found, classes: bool) -> Iterator[Any]:
    """Yield the modules of a sequence in order, without what does nothing, and without a link at the end."""
    modules = list(_flat(network))
    if modules and classes and type(modules[-1]).__name__ in _LINKS:
        found.link = _LINKS[type(modules.pop()).__name__]
    yield from (module for module in modules if type(module).__name__ not in _NOTHING)


def _flat(network: Any) -> Iterator[Any]:
    if type(network).__name__ in ("Sequential", "ModuleList"):
        for module in network:
            yield from _flat(module)
    else:
        yield network


def _read_module(module: Any, found: Found) -> None:
    name = type(module).__name__
    reader = _READ.get(name)
    if reader is None:
        raise layer_fault("from_torch", [*_READ, *_NOTHING], name)
    reader(module, found)


def _linear(module: Any, found: Found) -> None:
    bias = None if module.bias is None else as_numbers(module.bias)
    found.add_dense(as_numbers(module.weight).T, bias)


def _batch_norm(module: Any, found: Found) -> None:
    if module.running_mean is None:
        raise InvalidValueError(must_be("from_torch", "BatchNorm1d", "with running statistics", "none"))
    width = len(module.running_mean)
    mean, variance = as_numbers(module.running_mean), as_numbers(module.running_var)
    affine = module.weight is not None
    gamma = as_numbers(module.weight) if affine else np.ones(width, mean.dtype)
    beta = as_numbers(module.bias) if affine else np.zeros(width, mean.dtype)
    momentum = 0.1 if module.momentum is None else float(module.momentum)
    layer = BatchNorm(momentum=1.0 - momentum, epsilon=float(module.eps))
    found.add_batch_norm(gamma, beta, mean, variance, layer)


def _layer_norm(module: Any, found: Found) -> None:
    if module.weight is None or module.weight.ndim != 1 or module.bias is None:
        raise InvalidValueError(must_be("from_torch", "LayerNorm", "over one dimension, with weight and bias", module))
    found.take(len(module.weight))
    found.add(LayerNorm(epsilon=float(module.eps)), as_numbers(module.weight), as_numbers(module.bias))


def _activation(function: Any) -> Callable[[Any, Found], None]:
    return lambda module, found: found.add(Activation(function))


def _gelu(module: Any, found: Found) -> None:
    if module.approximate != "tanh":
        hint = "The two forms differ by up to 5e-4."
        raise InvalidValueError(must_be("from_torch", "GELU", 'nn.GELU("tanh")', module.approximate, hint))
    found.add(Activation("gelu"))


def _prelu(module: Any, found: Found) -> None:
    """Add a rectifier with a share: a slope a left of 0 is the share 1 - a."""
    slopes = as_numbers(module.weight)
    found.add(ParametricActivation("relu"), 1.0 - np.broadcast_to(slopes, (found.width,)))


_READ: Mapping[str, Callable[[Any, Found], None]] = {
    "Linear": _linear,
    "BatchNorm1d": _batch_norm,
    "LayerNorm": _layer_norm,
    "Dropout": lambda module, found: found.add(Dropout(float(module.p))),
    **{name: _activation(function) for name, function in _PLAIN.items()},
    "LeakyReLU": lambda module, found: found.add(Activation(LeakyReLU(float(module.negative_slope)))),
    "ELU": lambda module, found: found.add(Activation(ELU(float(module.alpha)))),
    "GELU": _gelu,
    "PReLU": _prelu,
}


def _read_state(state: Mapping[str, Any], activation: str, found: Found) -> None:
    """Read the layers of a state dict, with an activation before every linear layer but the first."""
    groups: dict[str, dict[str, Array]] = {}
    for name, tensor in state.items():
        place, _, letter = name.rpartition(".")
        groups.setdefault(place, {})[letter] = as_numbers(tensor)
    for place, group in groups.items():
        weight = group.get("weight")
        if weight is not None and weight.ndim == 2 and set(group) <= {"weight", "bias"}:
            if found.layers:
                found.add(Activation(activation))
            found.add_dense(weight.T, group.get("bias"))
        elif {"weight", "bias", "running_mean", "running_var"} <= set(group):
            gamma, beta, mean, variance = (
                group[letter] for letter in ("weight", "bias", "running_mean", "running_var")
            )
            found.add_batch_norm(gamma, beta, mean, variance, BatchNorm())
        else:
            allowed = "a linear layer's weight (k, d) and bias (k), or a batch norm's"
            shapes = {letter: array.shape for letter, array in group.items()}
            raise InvalidValueError(must_be("from_torch", f"state {place!r}", allowed, shapes))
