"""Why: this library refuses most broken networks, so that a broken layer, loss or optimizer has to be written on purpose.

In: settings. Out: pieces that fit into a recipe and are wrong in the one way that their names say. Only the reference engine
runs them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from chainrule.arrays import Array, Named, Namespace
from chainrule.nn.initializers import He
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense, Dropout
from chainrule.nn.losses import LossDefaults, SoftmaxCrossEntropy, TargetKind
from chainrule.nn.optimizers import StepContext
from chainrule.random import Stream


def softmax(xp: Namespace, Z: Array, axis: int = 1) -> Array:
    """Exponentials over their sum along an axis."""
    E = xp.exp(Z - Z.max(axis=axis, keepdims=True))
    return E / E.sum(axis=axis, keepdims=True)


@dataclass(frozen=True)
class SoftmaxLayer(Activation):
    """A correct softmax over the columns where an activation stands.

    Forward    (1) A = softmax(Z)
    Backward   (2) dZ = A ⊙ (dA - Σⱼ dAⱼ Aⱼ)
    """

    function: Any = "identity"

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """A, which it saves."""
        A = softmax(ctx.xp, Z)  # (1)
        return A, {"A": A}, buffers

    def backward(self, p: Named, saved: Named, dA: Array, ctx: Context) -> tuple[Array, Named]:
        """Through the whole Jacobian."""
        A = saved["A"]
        return A * (dA - (dA * A).sum(axis=1, keepdims=True)), {}  # (2)


@dataclass(frozen=True)
class SlopelessActivation(Activation):
    """Forgets its slope on the way back: dZ = dA."""

    def backward(self, p: Named, saved: Named, dA: Array, ctx: Context) -> tuple[Array, Named]:
        """A factor is missing."""
        return dA, {}


@dataclass(frozen=True)
class UntransposedDense(Dense):
    """Multiplies by W instead of Wᵀ on the way back; only a square W lets it."""

    def backward(self, p: Named, saved: Named, dZ: Array, ctx: Context) -> tuple[Array, Named]:
        """Parameters as they should be, inputs not."""
        _, grads = super().backward(p, saved, dZ, ctx)
        return dZ @ p["W"], grads


@dataclass(frozen=True)
class CutDense(Dense):
    """Hands back no gradient: the layers before it stay as they were drawn."""

    def backward(self, p: Named, saved: Named, dZ: Array, ctx: Context) -> tuple[Array, Named]:
        """A chain with a missing link."""
        dA, grads = super().backward(p, saved, dZ, ctx)
        return ctx.xp.zeros_like(dA), grads


@dataclass(frozen=True)
class StuckDropout(Dropout):
    """Drops in inference too, by one fixed mask for a number of rows."""

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Never looks at the mode."""
        stream = ctx.stream or Stream.from_seed(1).fold(A.shape[1])
        return super().forward(p, buffers, A, replace(ctx, training=True, stream=stream))


@dataclass(frozen=True)
class StaleBatchNorm(BatchNorm):
    """Never updates its running statistics: inference works with mean 0 and variance 1."""

    def _blend(self, old: Named, mean: Array, variance: Array) -> Named:
        return {"mean": old["mean"] + 0.0, "variance": old["variance"] + 0.0}


@dataclass(frozen=True)
class ScaledHe:
    """He's rule times a gain, which is 1 in a sound network."""

    gain: float

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """W with variance gain² 2 / n_in."""
        return self.gain * He().draw(stream, n_in, n_out)


@dataclass(frozen=True)
class Uniform:
    """Uniform weights in ±bound, whatever the width."""

    bound: float

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """W between -bound and bound."""
        return self.bound * (2.0 * stream.uniform(n_in * n_out) - 1.0).reshape(n_in, n_out)


@dataclass(frozen=True)
class Negative:
    """Weights between -bound and 0: behind a relu, every unit of the next layer is dead."""

    bound: float

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """W, none above 0."""
        return -self.bound * stream.uniform(n_in * n_out).reshape(n_in, n_out)


@dataclass(frozen=True)
class SummedLoss(LossDefaults):
    """Another loss, summed over the batch instead of averaged: the gradient grows with the batch."""

    inner: Any
    link: ClassVar[str] = "identity"

    @property
    def targets(self) -> TargetKind:
        """As the inner loss."""
        return self.inner.targets

    @property
    def metric(self) -> str:
        """As the inner loss."""
        return str(self.inner.metric)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The mean over the batch undone."""
        return self.inner.rows(xp, Z, Y) * len(Z)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The same for the gradient."""
        return self.inner.gradient(xp, Z, Y) * len(Z)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """As the inner loss."""
        return self.inner.predict(xp, Z)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """As the inner loss."""
        return self.inner.score(xp, Z, Y)


@dataclass(frozen=True)
class SummedSoftmax(SoftmaxCrossEntropy):
    """Softmax cross-entropy summed over the batch."""

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The mean undone."""
        return super().rows(xp, Z, Y) * len(Z)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The mean undone."""
        return super().gradient(xp, Z, Y) * len(Z)


@dataclass(frozen=True)
class RawProbabilities(SoftmaxCrossEntropy):
    """Cross-entropy that believes its input to be probabilities, as of a network whose softmax was forgotten.

    Forward    (1) P = clip(Z, 1e-7, 1)    (2) L = -log P_y
    Backward   (3) dL/dZ = -[j = y] / P where 1e-7 < Z < 1, else 0
    """

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """No link."""
        return xp.clip(Z, 1e-7, 1.0)  # (1)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Minus the logarithm."""
        return -(self._target(xp, Z, Y) * xp.log(self.predict(xp, Z))).sum(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Zero where it was cut."""
        inside = (Z > 1e-7) & (Z < 1.0)
        return -self._target(xp, Z, Y) / self.predict(xp, Z) * inside  # (3)


@dataclass(frozen=True)
class RawBinary(LossDefaults):
    """Logistic loss that believes its input to be probabilities.

    Forward    (1) P = clip(Z, 1e-7, 1 - 1e-7)    (2) L = -Σⱼ (Y log P + (1 - Y) log(1 - P)) / k
    Backward   (3) dL/dZ = (P - Y) / (P (1 - P)) / k where it was not cut, else 0
    """

    targets: ClassVar[TargetKind] = TargetKind.LABELS
    link: ClassVar[str] = "identity"
    metric: ClassVar[str] = "accuracy"

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """No link."""
        return xp.clip(Z, 1e-7, 1.0 - 1e-7)  # (1)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Minus the logarithm."""
        P = self.predict(xp, Z.astype(np.float64))
        return -(Y * xp.log(P) + (1.0 - Y) * xp.log(1.0 - P)).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Zero where it was cut."""
        P = self.predict(xp, Z.astype(np.float64))
        inside = (Z > 1e-7) & (Z < 1.0 - 1e-7)
        return ((P - Y) / (P * (1.0 - P)) * inside / Z.shape[1]).astype(Z.dtype)  # (3)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """1 where the row is right."""
        return ((Z > 0.5) == (Y > 0.5)).all(axis=1)


@dataclass(frozen=True)
class WrongAxisSoftmax(SoftmaxCrossEntropy):
    """Softmax over the rows of the batch instead of the classes, with the gradient that looks right."""

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Columns sum to 1."""
        return softmax(xp, Z, axis=0)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Minus the logarithm of what it takes for probabilities."""
        P = self.predict(xp, Z)
        return -(self._target(xp, Z, Y) * xp.log(xp.maximum(P, 1e-30))).sum(axis=1)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Prediction minus target."""
        return self.predict(xp, Z) - self._target(xp, Z, Y)


@dataclass(frozen=True)
class Uphill:
    """Another optimizer, given the gradient with its sign flipped."""

    inner: Any

    @property
    def state_names(self) -> tuple[str, ...]:
        """As the inner rule."""
        return tuple(self.inner.state_names)

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Up the gradient."""
        return self.inner.update(w, -g, state, ctx)
