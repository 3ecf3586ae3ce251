"""Dense networks trained in PyTorch or Keras, as models of this package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.data.matrix import default_names
from chainrule.errors import InvalidValueError, must_be
from chainrule.model import Model
from chainrule.nn.activations import ELU, LeakyReLU
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, ParametricActivation
from chainrule.nn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net

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

_LINKS = ("Softmax", "Sigmoid", "LogSoftmax")
_NOTHING = ("Identity", "Flatten")


@dataclass
class _Found:
    """The layers that were read so far, with their numbers in the order of the network's parameters."""

    layers: list[Any] = field(default_factory=list)
    w: list[Array] = field(default_factory=list)
    buffers: list[Array] = field(default_factory=list)
    inputs: int = 0
    width: int = 0

    def add(self, layer: Any, *numbers: Array) -> None:
        """Add a layer with its parameters."""
        self.layers.append(layer)
        self.w += numbers


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
        The classes in the order of the outputs, two for one output; None for a regression.
    loss : Loss, default=None
        What it was trained with. None takes binary cross-entropy for one output with classes, softmax cross-entropy for
        several, and the mean squared error without classes.
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
    found = _Found()
    if isinstance(network, Mapping):
        _read_state(network, activation, found)
    else:
        for module in _leaves(network, classes is not None):
            _read_module(module, found)
    return _model(found, classes, loss, inputs, targets, feature_names, target_name)


def from_keras(
    weights: Sequence[Array],
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

    Parameters
    ----------
    weights : sequence of array
        What `get_weights()` returns: for each dense layer kernel (d, k) and bias (k), and for a batch norm behind it gamma,
        beta, moving mean and moving variance (k each).
    activation : str, default="relu"
        The activation of every layer but the last, behind its batch norm.
    epsilon : float, default=1e-3
        That of the batch norm.
    classes, loss, inputs, targets, feature_names, target_name
        As for `from_torch`.

    Returns
    -------
    Model
        In the type of the weights.

    Raises
    ------
    InvalidValueError
        For arrays that are not such a list.

    Examples
    --------
    >>> model = from_keras([np.eye(2), np.zeros(2), np.ones((2, 1)), np.zeros(1)])
    >>> model.predict([[1.0, -5.0]])
    array([1.])
    """
    found = _Found()
    starts = [i for i, array in enumerate(weights) if np.ndim(array) == 2]
    if not starts or starts[0] != 0:
        raise InvalidValueError(
            must_be("from_keras", "weights", "a list that begins with a kernel (d, k)", len(weights))
        )
    for start, end in zip(starts, [*starts[1:], len(weights)], strict=True):
        kernel, *rest = (np.asarray(array) for array in weights[start:end])
        if len(rest) not in (0, 1, 4, 5) or any(array.shape != (kernel.shape[1],) for array in rest):
            shapes = [np.shape(array) for array in weights[start:end]]
            allowed = "kernel (d, k), bias (k), and the four arrays (k) of a batch norm"
            raise InvalidValueError(must_be("from_keras", "weights", allowed, shapes))
        biased = len(rest) in (1, 5)
        _add_dense(found, kernel, rest[0] if biased else None)
        if len(rest) > 1:
            _add_batch_norm(found, rest[-4:], BatchNorm(momentum=0.99, epsilon=epsilon))
        if end < len(weights):
            found.add(Activation(activation))
    return _model(found, classes, loss, inputs, targets, feature_names, target_name)


def _model(
    found: _Found,
    classes: Any,
    loss: Loss | None,
    inputs: Standardizer | None,
    targets: Standardizer | None,
    feature_names: Sequence[str],
    target_name: str,
) -> Model:
    net = Net(found.inputs, found.layers)
    kind = found.w[0].dtype
    known = None if classes is None else np.asarray(classes)
    chosen = loss or (MeanSquaredError() if known is None else None)
    chosen = chosen or (BinaryCrossEntropy() if net.outputs == 1 else SoftmaxCrossEntropy())
    return Model(
        net,
        chosen,
        np.concatenate([array.ravel() for array in found.w]).astype(kind),
        np.concatenate([np.zeros(0), *(array.ravel() for array in found.buffers)]).astype(kind),
        inputs or Standardizer.identity(found.inputs),
        targets,
        known,
        tuple(feature_names) or default_names(found.inputs),
        target_name,
    )


def _numbers(tensor: Any) -> Array:
    """Return a tensor of PyTorch, or an array, as an array of floats."""
    values = np.asarray(tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor)
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)


def _add_dense(found: _Found, W: Array, b: Array | None) -> None:
    _starts_with(found, W.shape[0])
    if W.shape[0] != found.width:
        raise InvalidValueError(must_be("from_torch", "layers", f"a layer of {found.width} inputs", W.shape))
    found.width = W.shape[1]
    found.add(Dense(W.shape[1], bias=b is not None), W, *([] if b is None else [b]))


def _add_batch_norm(found: _Found, numbers: Sequence[Array], layer: BatchNorm) -> None:
    gamma, beta, mean, variance = numbers
    found.add(layer, gamma, beta)
    found.buffers += [mean, variance]


def _leaves(network: Any, classes: bool) -> Iterator[Any]:
    """Yield the modules of a sequence in order, without what does nothing, and without a link at the end."""
    modules = list(_flat(network))
    if modules and classes and type(modules[-1]).__name__ in _LINKS:
        modules.pop()
    yield from (module for module in modules if type(module).__name__ not in _NOTHING)


def _flat(network: Any) -> Iterator[Any]:
    if type(network).__name__ in ("Sequential", "ModuleList"):
        for module in network:
            yield from _flat(module)
    else:
        yield network


def _read_module(module: Any, found: _Found) -> None:
    name = type(module).__name__
    reader = _READ.get(name)
    if reader is None:
        known = ", ".join(sorted({*_READ, *_NOTHING}))
        raise InvalidValueError(must_be("from_torch", "layers", f"among {known}", name))
    reader(module, found)


def _linear(module: Any, found: _Found) -> None:
    bias = None if module.bias is None else _numbers(module.bias)
    _add_dense(found, _numbers(module.weight).T, bias)


def _batch_norm(module: Any, found: _Found) -> None:
    if module.running_mean is None:
        raise InvalidValueError(must_be("from_torch", "BatchNorm1d", "with running statistics", "none"))
    width = len(module.running_mean)
    mean, variance = _numbers(module.running_mean), _numbers(module.running_var)
    affine = module.weight is not None
    gamma = _numbers(module.weight) if affine else np.ones(width, mean.dtype)
    beta = _numbers(module.bias) if affine else np.zeros(width, mean.dtype)
    momentum = 0.1 if module.momentum is None else float(module.momentum)
    layer = BatchNorm(momentum=1.0 - momentum, epsilon=float(module.eps))
    _starts_with(found, width)
    _add_batch_norm(found, (gamma, beta, mean, variance), layer)


def _layer_norm(module: Any, found: _Found) -> None:
    if module.weight is None or module.weight.ndim != 1 or module.bias is None:
        raise InvalidValueError(must_be("from_torch", "LayerNorm", "over one dimension, with weight and bias", module))
    _starts_with(found, len(module.weight))
    found.add(LayerNorm(epsilon=float(module.eps)), _numbers(module.weight), _numbers(module.bias))


def _starts_with(found: _Found, width: int) -> None:
    """Take the width of the inputs from the first layer that tells it."""
    if not found.inputs:
        found.inputs = found.width = width


def _activation(function: Any) -> Callable[[Any, _Found], None]:
    return lambda module, found: found.add(Activation(function))


def _gelu(module: Any, found: _Found) -> None:
    if module.approximate != "tanh":
        hint = "The two forms differ by up to 5e-4."
        raise InvalidValueError(must_be("from_torch", "GELU", 'nn.GELU("tanh")', module.approximate, hint))
    found.add(Activation("gelu"))


def _prelu(module: Any, found: _Found) -> None:
    """Add a rectifier with a share: a slope a left of 0 is the share 1 - a."""
    slopes = _numbers(module.weight)
    found.add(ParametricActivation("relu"), 1.0 - np.broadcast_to(slopes, (found.width,)))


_READ: Mapping[str, Callable[[Any, _Found], None]] = {
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


def _read_state(state: Mapping[str, Any], activation: str, found: _Found) -> None:
    """Read the layers of a state dict, with an activation before every linear layer but the first."""
    groups: dict[str, dict[str, Array]] = {}
    for name, tensor in state.items():
        place, _, letter = name.rpartition(".")
        groups.setdefault(place, {})[letter] = _numbers(tensor)
    for place, group in groups.items():
        weight = group.get("weight")
        if weight is not None and weight.ndim == 2 and set(group) <= {"weight", "bias"}:
            if found.layers:
                found.add(Activation(activation))
            _add_dense(found, weight.T, group.get("bias"))
        elif {"weight", "bias", "running_mean", "running_var"} <= set(group):
            numbers = [group[letter] for letter in ("weight", "bias", "running_mean", "running_var")]
            _starts_with(found, len(numbers[0]))
            _add_batch_norm(found, numbers, BatchNorm())
        else:
            allowed = "a linear layer's weight (k, d) and bias (k), or a batch norm's"
            shapes = {letter: array.shape for letter, array in group.items()}
            raise InvalidValueError(must_be("from_torch", f"state {place!r}", allowed, shapes))
