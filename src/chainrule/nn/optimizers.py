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
from chainrule.constraints import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, Checked, constrained, validate
from chainrule.errors import InvalidValueError, must_be


class Optimizer(Protocol):
    """A pure update rule; `memory` names the vectors (P) that it carries from step to step, all zero at first."""

    @property
    def memory(self) -> tuple[str, ...]:
        """Names of its vectors."""

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """New w and memory. `d` (P) marks what weight decay may touch (1 for W, 0 for b, γ, β)."""


@dataclass(frozen=True)
class SGD:
    """Down the gradient.

    Forward    (1) w ← w - α g
    Reference  [ng2018] 7.1
    """

    memory: ClassVar[tuple[str, ...]] = ()

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        return w - lr * g, s  # (1)


@dataclass(frozen=True)
class EmaMomentum(Checked):
    """The lecture's momentum: the step follows an exponentially weighted mean of the gradients.

    The mean starts at zero and is not corrected for it. Against `SGDMomentum` the same path needs a rate
    1 / (1 - β) times larger.

    Forward    (1) V ← β V + (1 - β) g    (2) w ← w - α V
    Reference  [ng2018] 7.6
    """

    beta: float = constrained(SHARE, 0.9)
    memory: ClassVar[tuple[str, ...]] = ("V",)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        V = self.beta * s["V"] + (1.0 - self.beta) * g  # (1)
        return w - lr * V, {"V": V}  # (2)


@dataclass(frozen=True)
class SGDMomentum(Checked):
    """The heavy ball: velocity sums gradients, and friction 1 - μ slows it.

    Forward    (1) v ← μ v + g    (2) w ← w - α v
    Reference  [polyak1964]
    """

    mu: float = constrained(SHARE, 0.9)
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

    mu: float = constrained(SHARE, 0.9)
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

    rho: float = constrained(SHARE, 0.9)
    epsilon: float = constrained(POSITIVE, 1e-8)
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

    epsilon: float = constrained(POSITIVE, 1e-10)
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

    beta1: float = constrained(SHARE, 0.9)
    beta2: float = constrained(SHARE, 0.999)
    epsilon: float = constrained(POSITIVE, 1e-8)
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

    beta1: float = constrained(SHARE, 0.9)
    beta2: float = constrained(SHARE, 0.999)
    epsilon: float = constrained(POSITIVE, 1e-8)
    weight_decay: float = constrained(NOT_NEGATIVE, 0.01)
    memory: ClassVar[tuple[str, ...]] = ("m", "v")

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One step."""
        w = w - lr * self.weight_decay * d * w  # (1)
        return Adam(self.beta1, self.beta2, self.epsilon).update(xp, w, g, s, t, lr, d)  # (2)


def running_average(xp: Namespace, a: Array, w: Array, rho: float, t: Array) -> Array:
    """The exponentially weighted mean of w₁ .. wₜ, corrected for its start at every step.

    It is what Adam's m̂ is to m, written for the corrected mean itself: the first weights have no part in it, which after
    t steps would still weigh ρᵗ, and a may be used as it stands.

    Forward    (1) s = (1 - ρ) / (1 - ρᵗ)    (2) a ← a + s (w - a)
    Reference  [kingma2015] 7.2; [polyak1992]

    >>> import numpy as np
    >>> a = running_average(np, np.zeros(1), np.array([4.0]), 0.5, np.float64(1))
    >>> running_average(np, a, np.array([1.0]), 0.5, np.float64(2)).tolist()
    [2.0]
    """
    s = (1.0 - rho) / _one_minus_power(xp, rho, t)  # (1)
    return a + s * (w - a)  # (2)


@dataclass(frozen=True)
class GradientAccumulation:
    """Another rule, taken once in `steps` batches with the mean of their gradients: a large batch in little memory.

    Between its updates w stands still. The inner rule counts updates in its t and takes the learning rate of the batch
    that completes the mean. Batches of equal weight sum up to the large batch exactly; batch norm still normalizes over
    the small ones, and clipping bounds each batch's gradient. The count of steps is exact in float32 up to 2²⁴.

    Forward    (1) S ← S + g    (2) after every `steps` batches: inner update with g = S / steps, t / steps
               (3) then S ← 0
    Reference  [goyal2017]
    """

    optimizer: Optimizer
    steps: int = constrained(COUNT)

    def __post_init__(self) -> None:
        validate(self)
        if not hasattr(self.optimizer, "update") or isinstance(self.optimizer, GradientAccumulation | type):
            hint = (
                "Multiply the steps."
                if isinstance(self.optimizer, GradientAccumulation)
                else "Optimizers bring `update`."
            )
            raise InvalidValueError(
                must_be("GradientAccumulation", "optimizer", "a plain optimizer", self.optimizer, hint)
            )

    @property
    def memory(self) -> tuple[str, ...]:
        """The sum of gradients, and what the inner rule remembers."""
        return ("sum", *self.optimizer.memory)

    def update(self, xp: Namespace, w: Array, g: Array, s: Named, t: Array, lr: Array, d: Array) -> tuple[Array, Named]:
        """One batch."""
        S = s["sum"] + g  # (1)
        inner = {letter: s[letter] for letter in self.optimizer.memory}
        due = t % self.steps == 0
        after, moved = self.optimizer.update(xp, w, S / self.steps, inner, xp.ceil(t / self.steps), lr, d)  # (2)
        memory = {letter: xp.where(due, moved[letter], old) for letter, old in inner.items()}
        return xp.where(due, after, w), {"sum": xp.where(due, xp.zeros_like(S), S), **memory}  # (3)


OPTIMIZERS: Mapping[str, type[Any]] = {
    "SGD": SGD,
    "EmaMomentum": EmaMomentum,
    "SGDMomentum": SGDMomentum,
    "Nesterov": Nesterov,
    "RMSProp": RMSProp,
    "AdaGrad": AdaGrad,
    "Adam": Adam,
    "AdamW": AdamW,
    "GradientAccumulation": GradientAccumulation,
}
"""Every optimizer by name."""
