"""The usual network in one call: hidden layers of the same kind, then a linear output layer.

In: widths and options. Out: a `Net`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chainrule.constraints import OneOf, faults
from chainrule.errors import must_be, raise_all
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, Layer, LayerNorm
from chainrule.nn.net import Net


def mlp(
    inputs: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    activation: str | Sequence[str] = "relu",
    norm: str | None = None,
    dropout: float | Sequence[float] = 0.0,
    initializer: str | None = None,
) -> Net:
    """Build a multilayer perceptron: for each hidden width Dense, norm, activation, dropout; then a Dense for the outputs.

    A Dense right before batch norm has no bias, since β takes its place.

    Parameters
    ----------
    inputs : int
        Number of features.
    hidden : sequence of int
        Units of each hidden layer; empty for a linear model.
    outputs : int
        Number of logits: one for each class or target, one for two classes.
    activation : str or sequence of str, default="relu"
        One for all hidden layers, or one for each.
    norm : {None, "batch", "layer"}, default=None
        Normalization before each activation.
    dropout : float or sequence of float, default=0.0
        Dropout rate behind each activation: one for all hidden layers, or one for each.
    initializer : str or None, default=None
        The rule that draws every W; None takes the one that suits each activation.

    Returns
    -------
    Net
        The network.

    Raises
    ------
    InvalidValueError
        For a wrong option, or sequences that do not have one value for each hidden layer.

    Examples
    --------
    >>> [type(layer).__name__ for layer in mlp(4, [8], 3, norm="batch").layers]
    ['Dense', 'BatchNorm', 'Activation', 'Dense']
    """
    norms: Mapping[str | None, tuple[Layer, ...]] = {None: (), "batch": (BatchNorm(),), "layer": (LayerNorm(),)}
    raise_all(faults("mlp", {"norm": norm}, {"norm": OneOf(tuple(norms))}))
    functions, rates = _each("activation", activation, len(hidden)), _each("dropout", dropout, len(hidden))
    layers: list[Layer] = []
    for units, function, rate in zip(hidden, functions, rates, strict=True):
        layers += [Dense(units, bias=norm != "batch", initializer=initializer), *norms[norm], Activation(function)]
        layers += [Dropout(rate)] if rate else []
    return Net(inputs, [*layers, Dense(outputs, initializer=initializer)])


def _each(argument: str, value: Any, count: int) -> list[Any]:
    """Return one value for each hidden layer."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        return [value] * count
    values = list(value)
    hint = f"There are {count} hidden layers."
    raise_all([] if len(values) == count else [must_be("mlp", argument, "one for all or one for each", value, hint)])
    return values
