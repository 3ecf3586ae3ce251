"""Layers that act on every row or entry: affine map, activation, scale, activation with a learned share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.constraints import COUNT, Checked, OneOf, constrained, validate
from chainrule.nn.activations import Function, activation
from chainrule.nn.initializers import Initializer, initializer
from chainrule.nn.layers.base import Context, LayerShapes
from chainrule.random import Stream


@dataclass(frozen=True)
class Dense(Checked):
    """Affine map of every row.

    Each of the k units takes a weighted sum of the d inputs and adds its bias.

    Forward    (1) Z = A W + b
    Backward   (2) dW = Aᵀ dZ    (3) db = Σᵢ dZᵢ    (4) dA = dZ Wᵀ
    Shapes     A (n, d)   W (d, k)   b (k)   Z (n, k)
    Reference  [rumelhart1986], [ng2018] 7.1

    Parameters
    ----------
    units : int >= 1
        Number of units k. The number of inputs follows from the layer before.
    bias : bool, default=True
        Whether there is a b. Right before batch norm it has no effect and can be left out.
    initializer : str, Initializer or None, default=None
        The rule that draws W, by name or as an object. None takes the one that suits the next activation.
    bias_initializer : {"zeros", "uniform"}, default="zeros"
        The first b: 0, or drawn uniformly from [-1/√d, 1/√d]. Behind an embedding that begins at 0, relu units with b = 0
        would never learn.

    Raises
    ------
    InvalidValueError
        For a wrong option, or a second argument by position.

    Examples
    --------
    >>> Dense(3).shapes(5).parameters
    {'W': (5, 3), 'b': (3,)}
    """

    units: int = constrained(COUNT)
    bias: bool = constrained(OneOf((True, False)), True, kw_only=True)
    initializer: str | Initializer | None = field(default=None, kw_only=True)
    bias_initializer: str = constrained(OneOf(("zeros", "uniform")), "zeros", kw_only=True)
    positional_hint: ClassVar[str] = (
        "Dense takes the number of its units only: inputs follow from the layer before, activations are layers."
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.initializer is not None:
            initializer(self.initializer)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of W and, if wanted, b."""
        b = {"b": (self.units,)} if self.bias else {}
        return LayerShapes({"W": (d, self.units), **b}, {}, self.units)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw W and b by their rules."""
        rule = initializer("xavier" if self.initializer is None else self.initializer)
        b = {"b": self._first_bias(stream, d)} if self.bias else {}
        return {"W": rule.draw(stream, d, self.units), **b}, {}

    def _first_bias(self, stream: Stream, d: int) -> Array:
        if self.bias_initializer == "zeros":
            return np.zeros(self.units)
        return (2.0 * stream.fold(1).uniform(self.units) - 1.0) / np.sqrt(d)

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Z; save the input A."""
        Z = A @ p["W"]
        if self.bias:
            Z = Z + p["b"]  # (1)
        return Z, {"A": A}, buffers

    def backward(self, p: Named, saved: Named, dZ: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA, dW, db."""
        dW = saved["A"].T @ dZ  # (2)
        db = {"b": dZ.sum(axis=0)} if self.bias else {}  # (3)
        dA = dZ @ p["W"].T  # (4)
        return dA, {"W": dW, **db}


@dataclass(frozen=True)
class Activation(Checked):
    """A scalar function applied to every entry.

    Backward, its derivative is taken at the value that entered the function.

    Forward    (1) A = g(Z)
    Backward   (2) dZ = dA ⊙ g'(Z)
    Shapes     Z (n, d)   A (n, d)
    Reference  [ng2018] 7.2

    Parameters
    ----------
    function : str or Function, default="relu"
        The function g: a name such as "relu", "tanh", "gelu", or an object of your own.
    """

    function: str | Function = "relu"

    def __post_init__(self) -> None:
        activation(self.function)

    def shapes(self, d: int) -> LayerShapes:
        """Return no parameters: there is nothing to learn."""
        return LayerShapes({}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return nothing: there is nothing to draw."""
        return {}, {}

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return A; save only the one of Z and A that the derivative reads."""
        g = activation(self.function)
        A = g.value(ctx.xp, Z)  # (1)
        kept: dict[str, Named] = {"Z": {"Z": Z}, "A": {"A": A}, "": {}}
        return A, kept[g.needs], buffers

    def backward(self, p: Named, saved: Named, dA: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dZ."""
        derivative = activation(self.function).derivative(ctx.xp, saved.get("Z"), saved.get("A"))
        dZ = dA * derivative  # (2)
        return dZ, {}


@dataclass(frozen=True)
class Scale(Checked):
    """Learned factor for every column.

    Right behind the inputs it lets training weight the features: with a larger learning rate than the rest of the network,
    it soon turns down what does not help.

    Forward    (1) Y = A ⊙ s
    Backward   (2) ds = Σᵢ dYᵢ ⊙ Aᵢ    (3) dA = dY ⊙ s
    Shapes     A, Y (n, d)   s (d)
    Reference  [holzmuller2024]

    Examples
    --------
    >>> Scale().shapes(5).parameters
    {'s': (5,)}
    """

    def shapes(self, d: int) -> LayerShapes:
        """Return the shape of s."""
        return LayerShapes({"s": (d,)}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return s = 1: the rows pass unchanged."""
        return {"s": np.ones(d)}, {}

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save A."""
        Y = A * p["s"]  # (1)
        return Y, {"A": A}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA and ds."""
        ds = (dY * saved["A"]).sum(axis=0)  # (2)
        dA = dY * p["s"]  # (3)
        return dA, {"s": ds}


@dataclass(frozen=True)
class ParametricActivation(Checked):
    """Activation with a learned share: each column mixes the function and the identity.

    With α = 1 a column is the activation, with α = 0 the identity; training may go beyond both.

    Forward    (1) D = g(Z) - Z    (2) Y = Z + α ⊙ D
    Backward   (3) dα = Σᵢ dYᵢ ⊙ Dᵢ    (4) dZ = dY ⊙ (1 + α ⊙ (g'(Z) - 1))
    Shapes     Z, D, Y (n, d)   α (d)
    Reference  [holzmuller2024]

    Parameters
    ----------
    function : str or Function, default="relu"
        The function g, as in `Activation`.

    Examples
    --------
    >>> ParametricActivation("mish").shapes(5).parameters
    {'alpha': (5,)}
    """

    function: str | Function = "relu"

    def __post_init__(self) -> None:
        activation(self.function)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shape of α."""
        return LayerShapes({"alpha": (d,)}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return α = 1: the activation itself."""
        return {"alpha": np.ones(d)}, {}

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save Z and A = g(Z)."""
        A = activation(self.function).value(ctx.xp, Z)
        D = A - Z  # (1)
        Y = Z + p["alpha"] * D  # (2)
        return Y, {"Z": Z, "A": A}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dZ and dα."""
        Z, A = saved["Z"], saved["A"]
        dalpha = (dY * (A - Z)).sum(axis=0)  # (3)
        derivative = activation(self.function).derivative(ctx.xp, Z, A)
        dZ = dY * (1.0 + p["alpha"] * (derivative - 1.0))  # (4)
        return dZ, {"alpha": dalpha}
