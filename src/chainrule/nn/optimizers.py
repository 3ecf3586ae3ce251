"""Why: the rules that turn a gradient into a step, each written for one flat vector.

In: parameters w (P), gradient g (P), the rule's own memory, the step's number t (from 1, in w's dtype), the learning rate
(a number, or a vector with one rate per parameter). Out: new w and new memory; nothing is changed in place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from chainrule.arrays import Array, Named, Namespace
from chainrule.constraints import NOT_NEGATIVE, POSITIVE, SHARE, Checked, limited


class Optimizer(Protocol):
    """A pure update rule; `memory` names the vectors (P) that it carries from step to step, all zero at first."""

    memory: ClassVar[tuple[str, ...]]

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """New w and memory. `d` (P) marks what weight decay may touch (1 for W, 0 for b, γ, β)."""


@dataclass(frozen=True)
class GradientDescent:
    """Down the gradient.

    Forward    (1) w ← w - α g
    Reference  [ng2018] 7.1
    """

    memory: ClassVar[tuple[str, ...]] = ()

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        return w - lr * g, s  # (1)


@dataclass(frozen=True)
class Momentum(Checked):
    """The lecture's momentum: the step follows an exponentially weighted mean of the gradients.

    The mean starts at zero and is not corrected for it. Against `ClassicalMomentum` the same path needs a rate
    1 / (1 - β) times larger.

    Forward    (1) V ← β V + (1 - β) g    (2) w ← w - α V
    Reference  [ng2018] 7.6
    """

    beta: float = limited(SHARE, 0.9)
    memory: ClassVar[tuple[str, ...]] = ("V",)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        V = self.beta * s["V"] + (1.0 - self.beta) * g  # (1)
        return w - lr * V, {"V": V}  # (2)


@dataclass(frozen=True)
class ClassicalMomentum(Checked):
    """The heavy ball: velocity sums gradients, and friction 1 - μ slows it.

    Forward    (1) v ← μ v + g    (2) w ← w - α v
    Reference  [polyak1964]
    """

    mu: float = limited(SHARE, 0.9)
    memory: ClassVar[tuple[str, ...]] = ("v",)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        v = self.mu * s["v"] + g  # (1)
        return w - lr * v, {"v": v}  # (2)


@dataclass(frozen=True)
class Nesterov(Checked):
    """Momentum that looks ahead: the step uses the velocity that the new gradient will have made.

    Written in the variables after the look-ahead, as is usual, so that g is taken where w stands.

    Forward    (1) v ← μ v + g    (2) w ← w - α (g + μ v)
    Reference  [nesterov1983], [sutskever2013]
    """

    mu: float = limited(SHARE, 0.9)
    memory: ClassVar[tuple[str, ...]] = ("v",)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        v = self.mu * s["v"] + g  # (1)
        return w - lr * (g + self.mu * v), {"v": v}  # (2)


@dataclass(frozen=True)
class RMSProp(Checked):
    """Divides each entry by the root of a running mean of its square; ε stands outside the root.

    Forward    (1) v ← ρ v + (1 - ρ) g²    (2) w ← w - α g / (√v + ε)
    Reference  [tieleman2012]
    """

    rho: float = limited(SHARE, 0.9)
    epsilon: float = limited(POSITIVE, 1e-8)
    memory: ClassVar[tuple[str, ...]] = ("v",)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        v = self.rho * s["v"] + (1.0 - self.rho) * g * g  # (1)
        return w - lr * g / (xp.sqrt(v) + self.epsilon), {"v": v}  # (2)


@dataclass(frozen=True)
class AdaGrad(Checked):
    """Divides each entry by the root of the sum of all its squares so far; ε stands outside the root.

    Forward    (1) v ← v + g²    (2) w ← w - α g / (√v + ε)
    Reference  [duchi2011]
    """

    epsilon: float = limited(POSITIVE, 1e-10)
    memory: ClassVar[tuple[str, ...]] = ("v",)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        v = s["v"] + g * g  # (1)
        return w - lr * g / (xp.sqrt(v) + self.epsilon), {"v": v}  # (2)


@dataclass(frozen=True)
class Adam(Checked):
    """Momentum and a rate per parameter, both corrected for starting at zero; ε outside the root, after the correction.

    Forward    (1) m ← β₁ m + (1 - β₁) g    (2) v ← β₂ v + (1 - β₂) g²
               (3) m̂ = m / (1 - β₁ᵗ)    (4) v̂ = v / (1 - β₂ᵗ)    (5) w ← w - α m̂ / (√v̂ + ε)
    Reference  [kingma2015] algorithm 1, [ng2018] 7.6
    """

    beta1: float = limited(SHARE, 0.9)
    beta2: float = limited(SHARE, 0.999)
    epsilon: float = limited(POSITIVE, 1e-8)
    memory: ClassVar[tuple[str, ...]] = ("m", "v")

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        m = self.beta1 * s["m"] + (1.0 - self.beta1) * g  # (1)
        v = self.beta2 * s["v"] + (1.0 - self.beta2) * g * g  # (2)
        mhat = m / _one_minus_power(xp, self.beta1, t)  # (3)
        vhat = v / _one_minus_power(xp, self.beta2, t)  # (4)
        return w - lr * mhat / (xp.sqrt(vhat) + self.epsilon), {"m": m, "v": v}  # (5)


def _one_minus_power(xp: Namespace, beta: float, t: Array) -> Array:
    """1 - βᵗ, written so that float32 keeps its digits where βᵗ is near 1.

    Forward    (1) 1 - βᵗ = -(exp(t log β) - 1)
    """
    return -xp.expm1(t * (math.log(beta) if beta else -math.inf))  # (1)


@dataclass(frozen=True)
class AdamW(Checked):
    """Adam with weight decay apart from the gradient: it shrinks W by the rate, whatever the moments say.

    Forward    (1) w ← w - α λ d w    (2) Adam's step from there
    Reference  [loshchilov2019] algorithm 2
    """

    beta1: float = limited(SHARE, 0.9)
    beta2: float = limited(SHARE, 0.999)
    epsilon: float = limited(POSITIVE, 1e-8)
    weight_decay: float = limited(NOT_NEGATIVE, 0.01)
    memory: ClassVar[tuple[str, ...]] = ("m", "v")

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        w = w - lr * self.weight_decay * d * w  # (1)
        return Adam(self.beta1, self.beta2, self.epsilon).update(xp, w, g, s, t, lr, d)  # (2)


OPTIMIZERS: Mapping[str, type[Any]] = {
    "GradientDescent": GradientDescent,
    "Momentum": Momentum,
    "ClassicalMomentum": ClassicalMomentum,
    "Nesterov": Nesterov,
    "RMSProp": RMSProp,
    "AdaGrad": AdaGrad,
    "Adam": Adam,
    "AdamW": AdamW,
}
"""Every optimiser by name."""
