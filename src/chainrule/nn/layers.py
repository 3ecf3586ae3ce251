"""Layers: each is three pure functions, `init`, `forward`, `backward`; a network is a list of them.

In: parameters and running statistics by letter, the rows from the layer before, a context. Out: the rows for the layer
after, what the backward pass needs (visible, in `saved`), and gradients in the same letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from chainrule.arrays import Array, Named, Namespace
from chainrule.constraints import COUNT, POSITIVE, SHARE, Checked, Interval, OneOf, constrained, validate
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.activations import Function, activation
from chainrule.nn.initializers import Initializer, initializer
from chainrule.random import Stream

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Context:
    """What a pass over the network needs to know besides the numbers.

    Parameters
    ----------
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    training : bool, default=False
        Whether batch norm uses the batch's own statistics and dropout drops.
    stream : Stream or None, default=None
        Source of this step's dropout masks; needed in training with dropout.
    """

    xp: Namespace
    training: bool = False
    stream: Stream | None = None


@dataclass(frozen=True)
class LayerShapes:
    """The shapes that a layer brings, for inputs of a given width.

    Parameters
    ----------
    parameters : mapping of str to tuple of int
        Shape of each parameter, by letter.
    buffers : mapping of str to tuple of int
        Shape of each running statistic, by name.
    outputs : int
        Width of the output.
    """

    parameters: Shapes
    buffers: Shapes
    outputs: int


class Layer(Protocol):
    """A frozen value that holds settings and no numbers, with `init`, `forward` and `backward`.

    `p` are parameters and `buffers` running statistics, each under its letter.
    """

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of what the layer holds, for inputs of width d.

        Parameters
        ----------
        d : int
            Columns of the input.

        Returns
        -------
        LayerShapes
            Shapes of the parameters and running statistics, and the width of the output.
        """

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw the first parameters and buffers.

        Parameters
        ----------
        stream : Stream
            Source of random numbers, for this layer alone.
        d : int
            Columns of the input.

        Returns
        -------
        p : mapping of str to array
            Parameters by letter, float64, of the shapes that `shapes` gives.
        buffers : mapping of str to array
            Running statistics by name, float64, likewise.
        """

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Map the rows to those that the next layer gets.

        Parameters
        ----------
        p : mapping of str to array
            Parameters by letter.
        buffers : mapping of str to array
            Running statistics by name.
        A : array (n, d)
            Rows from the layer before.
        ctx : Context
            Array namespace and mode; in training its stream is this layer's own.

        Returns
        -------
        A : array (n, outputs)
            Rows for the next layer.
        saved : mapping of str to array
            What `backward` will read, by letter.
        buffers : mapping of str to array
            New running statistics; the old ones if nothing changed. Never changed in place.
        """

    def backward(self, p: Named, saved: Named, dA: Array, ctx: Context) -> tuple[Array, Named]:
        """Map the gradient with respect to the output to the gradients with respect to the input and the parameters.

        Parameters
        ----------
        p : mapping of str to array
            Parameters by letter, as in the forward pass.
        saved : mapping of str to array
            What `forward` saved. Random masks are read from it, not drawn again.
        dA : array (n, outputs)
            Gradient with respect to the output.
        ctx : Context
            Array namespace and mode, as in the forward pass.

        Returns
        -------
        dA : array (n, d)
            Gradient with respect to the input.
        g : mapping of str to array
            Gradient with respect to each parameter, summed over the rows, in the letters and shapes of `p`.
        """


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
        """Draw W by the initializer; b is zero."""
        rule = initializer("xavier" if self.initializer is None else self.initializer)
        b = {"b": np.zeros(self.units)} if self.bias else {}
        return {"W": rule.draw(stream, d, self.units), **b}, {}

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


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Checked):
    """Batch normalization: standardize each column over the batch, then scale and shift it by learned γ and β.

    Training uses the batch's own mean and (biased) variance and blends them into running values; inference uses the
    running values. The gradient passes through the batch's statistics. A batch of one row has variance 0: the output is β
    and no gradient passes back.

    Forward    (1) μ = Σᵢ Zᵢ / n    (2) σ² = Σᵢ (Zᵢ - μ)² / n    (3) s = √(σ² + ε)    (4) Ẑ = (Z - μ) / s
               (5) Y = γ ⊙ Ẑ + β    (6) μ' = m μ' + (1 - m) μ    (7) v' = m v' + (1 - m) σ²
    Backward   (8) dγ = Σᵢ dYᵢ ⊙ Ẑᵢ    (9) dβ = Σᵢ dYᵢ    (10) dẐ = dY ⊙ γ
               (11) dZ = (dẐ - Σᵢ dẐᵢ / n - Ẑ ⊙ Σᵢ (dẐᵢ ⊙ Ẑᵢ) / n) / s; in inference dZ = dẐ / s
    Shapes     Z, Ẑ, Y (n, d)   γ, β, μ, σ², s (d)
    Reference  [ioffe2015], [ng2018] 7.2

    Parameters
    ----------
    momentum : float in [0, 1), default=0.9
        Share m of the old running value that each batch keeps (PyTorch's `momentum` is the other share, 1 - m).
    epsilon : float > 0, default=1e-5
        Added to the variance, so that a constant column does not divide by zero.
    """

    momentum: float = constrained(SHARE, 0.9)
    epsilon: float = constrained(POSITIVE, 1e-5)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of γ and β, and of the running mean and variance."""
        return LayerShapes({"gamma": (d,), "beta": (d,)}, {"mean": (d,), "variance": (d,)}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return γ = 1, β = 0, running mean 0, running variance 1."""
        return {"gamma": np.ones(d), "beta": np.zeros(d)}, {"mean": np.zeros(d), "variance": np.ones(d)}

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save Ẑ and s."""
        mean, variance = buffers["mean"], buffers["variance"]
        if ctx.training:
            mean = Z.mean(axis=0)  # (1)
            variance = ((Z - mean) ** 2).mean(axis=0)  # (2)
            buffers = self._blend(buffers, mean, variance)
        s = ctx.xp.sqrt(variance + self.epsilon)  # (3)
        Zhat = (Z - mean) / s  # (4)
        Y = p["gamma"] * Zhat + p["beta"]  # (5)
        return Y, {"Zhat": Zhat, "s": s}, buffers

    def _blend(self, old: Named, mean: Array, variance: Array) -> Named:
        m = self.momentum
        return {
            "mean": m * old["mean"] + (1.0 - m) * mean,  # (6)
            "variance": m * old["variance"] + (1.0 - m) * variance,  # (7)
        }

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dZ, dγ, dβ."""
        Zhat, s = saved["Zhat"], saved["s"]
        dgamma = (dY * Zhat).sum(axis=0)  # (8)
        dbeta = dY.sum(axis=0)  # (9)
        dZhat = dY * p["gamma"]  # (10)
        if ctx.training:
            dZhat = dZhat - dZhat.mean(axis=0) - Zhat * (dZhat * Zhat).mean(axis=0)
        return dZhat / s, {"gamma": dgamma, "beta": dbeta}  # (11)


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Checked):
    """Layer normalization: standardize each row over its columns, then scale and shift by learned γ and β.

    It needs no batch, so training and inference are the same.

    Forward    (1) μᵢ = Σⱼ Zᵢⱼ / d    (2) σᵢ² = Σⱼ (Zᵢⱼ - μᵢ)² / d    (3) s = √(σ² + ε)    (4) Ẑ = (Z - μ) / s
               (5) Y = γ ⊙ Ẑ + β
    Backward   (6) dγ = Σᵢ dYᵢ ⊙ Ẑᵢ    (7) dβ = Σᵢ dYᵢ    (8) dẐ = dY ⊙ γ
               (9) dZ = (dẐ - Σⱼ dẐⱼ / d - Ẑ ⊙ Σⱼ (dẐⱼ ⊙ Ẑⱼ) / d) / s
    Shapes     Z, Ẑ, Y (n, d)   γ, β (d)   μ, σ², s (n, 1)
    Reference  [ba2016]

    Parameters
    ----------
    epsilon : float > 0, default=1e-5
        Added to the variance, so that a constant row does not divide by zero.
    """

    epsilon: float = constrained(POSITIVE, 1e-5)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of γ and β."""
        return LayerShapes({"gamma": (d,), "beta": (d,)}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return γ = 1, β = 0."""
        return {"gamma": np.ones(d), "beta": np.zeros(d)}, {}

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save Ẑ and s."""
        mean = Z.mean(axis=1, keepdims=True)  # (1)
        variance = ((Z - mean) ** 2).mean(axis=1, keepdims=True)  # (2)
        s = ctx.xp.sqrt(variance + self.epsilon)  # (3)
        Zhat = (Z - mean) / s  # (4)
        Y = p["gamma"] * Zhat + p["beta"]  # (5)
        return Y, {"Zhat": Zhat, "s": s}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dZ, dγ, dβ."""
        Zhat, s = saved["Zhat"], saved["s"]
        dgamma = (dY * Zhat).sum(axis=0)  # (6)
        dbeta = dY.sum(axis=0)  # (7)
        dZhat = dY * p["gamma"]  # (8)
        inner = (dZhat * Zhat).mean(axis=1, keepdims=True)
        dZ = (dZhat - dZhat.mean(axis=1, keepdims=True) - Zhat * inner) / s  # (9)
        return dZ, {"gamma": dgamma, "beta": dbeta}


@dataclass(frozen=True)
class Dropout(Checked):
    """Dropout: set each entry to zero with probability `rate` in training and scale the rest up.

    Inference then needs no change (inverted dropout).

    Forward    (1) M = [u >= rate]    (2) Y = A ⊙ M / (1 - rate)
    Backward   (3) dA = dY ⊙ M / (1 - rate)
    Shapes     A, M, Y (n, d)
    Reference  [srivastava2014]; `rate` is 1 - keep_prob of [ng2018]

    Parameters
    ----------
    rate : float in [0, 1), default=0.5
        Probability of dropping an entry; 0.1 to 0.5 is usual for hidden layers.
    """

    rate: float = constrained(Interval(0, 1, "[)", why="rate is the fraction dropped."), 0.5)

    def shapes(self, d: int) -> LayerShapes:
        """Return no parameters: there is nothing to learn."""
        return LayerShapes({}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return nothing: there is nothing to draw."""
        return {}, {}

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save the mask M (booleans) in training, nothing in inference."""
        if not ctx.training or self.rate == 0.0:
            return A, {}, buffers
        if ctx.stream is None:
            raise InvalidValueError(must_be("Dropout", "stream", "given in training", None, "Masks need a source."))
        M = ctx.stream.keep(ctx.xp, A.shape, self.rate)  # (1)
        Y = ctx.xp.where(M, A * (1.0 / (1.0 - self.rate)), 0.0)  # (2)
        return Y, {"M": M}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA."""
        if "M" not in saved:
            return dY, {}
        dA = ctx.xp.where(saved["M"], dY * (1.0 / (1.0 - self.rate)), 0.0)  # (3)
        return dA, {}


LAYERS: Mapping[str, type[Any]] = {
    "Dense": Dense,
    "Activation": Activation,
    "BatchNorm": BatchNorm,
    "LayerNorm": LayerNorm,
    "Dropout": Dropout,
}
"""Every layer by the name of its class."""
