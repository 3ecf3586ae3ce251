"""Optimizers: the rules that turn a gradient into a step, each written for one flat vector.

In: parameters w (P), gradient g (P), the rule's own state, the context of the step. Out: new w and new state; nothing is
changed in place. The learning rate and its schedule are chosen apart from the rule, as arguments of `fit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from chainrule.arrays import Array, Named, Namespace
from chainrule.constraints import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, Checked, constrained, validate
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.averages import one_minus_power
from chainrule.nn.names import resolve

GRADIENT_SUM = "sum"
"""Name of the vector in an optimizer's state that holds the sum of gradients of `GradientAccumulation`."""

EMA_WEIGHTS = "average"
"""Name of the vector in an optimizer's state that holds the running mean of the weights, where a recipe asks for it."""

_METHODS = ("state_names", "update")
_RATE_HINT = "The learning rate is an argument of fit: learning_rate=0.001."


@dataclass(frozen=True)
class StepContext:
    """What a rule needs to know about a step besides weights, gradient and state.

    Parameters
    ----------
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    t : array ()
        Number of the step, from 1, in the dtype of w.
    lr : array () or (P)
        Learning rate α: one for all, or one for each parameter.
    decay_mask : array (P)
        1 for the entries of W, 0 for b, γ and β: what weight decay may touch (d).
    """

    xp: Namespace
    t: Array
    lr: Array
    decay_mask: Array


class Optimizer(Protocol):
    """A pure update rule.

    `state_names` are the vectors (P) that it carries from step to step, all zero at first.
    """

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of its vectors."""

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Return the weights and the state after one step, changing nothing in place.

        Parameters
        ----------
        w : array (P)
            Parameters.
        g : array (P)
            Gradient, with penalties and after clipping.
        state : mapping of str to array (P)
            The vectors in `state_names`, all zero before the first step.
        ctx : StepContext
            Array namespace, number of the step, learning rate, mask of weight decay.

        Returns
        -------
        w : array (P)
            New parameters.
        state : mapping of str to array (P)
            New vectors, under the same names.
        """


@dataclass(frozen=True)
class SGD(Checked):
    """Plain gradient descent: a step against the gradient (stochastic with mini-batches).

    Forward    (1) w ← w - α g
    Reference  [ng2018] 7.1
    """

    state_names: ClassVar[tuple[str, ...]] = ()
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        return w - ctx.lr * g, state  # (1)


@dataclass(frozen=True, kw_only=True)
class EmaMomentum(Checked):
    """The lecture's momentum: the step follows an exponentially weighted mean of the gradients.

    The mean starts at zero and is not corrected for it. To follow the path of `SGDMomentum`, take a learning rate that is
    1 / (1 - β) times larger.

    Forward    (1) V ← β V + (1 - β) g    (2) w ← w - α V
    Reference  [ng2018] 7.6

    Parameters
    ----------
    beta : float in [0, 1), default=0.9
        Share of the old mean kept: the step averages about 1 / (1 - β) gradients.
    """

    beta: float = constrained(SHARE, 0.9)
    state_names: ClassVar[tuple[str, ...]] = ("V",)
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        V = self.beta * state["V"] + (1.0 - self.beta) * g  # (1)
        return w - ctx.lr * V, {"V": V}  # (2)


@dataclass(frozen=True, kw_only=True)
class SGDMomentum(Checked):
    """The heavy ball: velocity sums gradients, and friction 1 - μ slows it.

    Forward    (1) v ← μ v + g    (2) w ← w - α v
    Reference  [polyak1964]

    Parameters
    ----------
    mu : float in [0, 1), default=0.9
        Share of the velocity kept; steps add up to 1 / (1 - μ) gradients.
    """

    mu: float = constrained(SHARE, 0.9)
    state_names: ClassVar[tuple[str, ...]] = ("v",)
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        v = self.mu * state["v"] + g  # (1)
        return w - ctx.lr * v, {"v": v}  # (2)


@dataclass(frozen=True, kw_only=True)
class Nesterov(Checked):
    """Momentum that looks ahead: the step uses the velocity that the new gradient will have made.

    Written in the variables after the look-ahead, as is usual, so that g is taken where w stands.

    Forward    (1) v ← μ v + g    (2) w ← w - α (g + μ v)
    Reference  [nesterov1983], [sutskever2013]

    Parameters
    ----------
    mu : float in [0, 1), default=0.9
        Share of the velocity kept.
    """

    mu: float = constrained(SHARE, 0.9)
    state_names: ClassVar[tuple[str, ...]] = ("v",)
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        v = self.mu * state["v"] + g  # (1)
        return w - ctx.lr * (g + self.mu * v), {"v": v}  # (2)


@dataclass(frozen=True, kw_only=True)
class RMSProp(Checked):
    """Divides each entry by the root of a running mean of its square; ε stands outside the root.

    Forward    (1) v ← ρ v + (1 - ρ) g²    (2) w ← w - α g / (√v + ε)
    Reference  [tieleman2012]

    Parameters
    ----------
    rho : float in [0, 1), default=0.9
        Share of the old mean kept in v.
    epsilon : float > 0, default=1e-8
        Keeps the denominator away from zero.
    """

    rho: float = constrained(SHARE, 0.9)
    epsilon: float = constrained(POSITIVE, 1e-8)
    state_names: ClassVar[tuple[str, ...]] = ("v",)
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        v = self.rho * state["v"] + (1.0 - self.rho) * g * g  # (1)
        return w - ctx.lr * g / (ctx.xp.sqrt(v) + self.epsilon), {"v": v}  # (2)


@dataclass(frozen=True, kw_only=True)
class AdaGrad(Checked):
    """Divides each entry by the root of the sum of all its squares so far; ε stands outside the root.

    Forward    (1) v ← v + g²    (2) w ← w - α g / (√v + ε)
    Reference  [duchi2011]

    Parameters
    ----------
    epsilon : float > 0, default=1e-10
        Keeps the denominator away from zero.
    """

    epsilon: float = constrained(POSITIVE, 1e-10)
    state_names: ClassVar[tuple[str, ...]] = ("v",)
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        v = state["v"] + g * g  # (1)
        return w - ctx.lr * g / (ctx.xp.sqrt(v) + self.epsilon), {"v": v}  # (2)


@dataclass(frozen=True, kw_only=True)
class Adam(Checked):
    """Momentum and a step size per parameter, both corrected for their start at zero. The default of `fit`.

    ε stands outside the root, after the correction.

    Forward    (1) m ← β₁ m + (1 - β₁) g    (2) v ← β₂ v + (1 - β₂) g²
               (3) m̂ = m / (1 - β₁ᵗ)    (4) v̂ = v / (1 - β₂ᵗ)    (5) w ← w - α m̂ / (√v̂ + ε)
    Reference  [kingma2015] algorithm 1, [ng2018] 7.6

    Parameters
    ----------
    beta1 : float in [0, 1), default=0.9
        Share of the old mean kept in m, the running mean of gradients.
    beta2 : float in [0, 1), default=0.999
        Share kept in v, the running mean of squares.
    epsilon : float > 0, default=1e-8
        Keeps the denominator away from zero.

    Examples
    --------
    >>> import numpy as np
    >>> ctx = StepContext(np, t=np.float64(1), lr=0.1, decay_mask=np.ones(2))
    >>> w, state = Adam().update(np.zeros(2), np.array([3.0, -0.01]), {"m": np.zeros(2), "v": np.zeros(2)}, ctx)
    >>> w.round(4).tolist()
    [-0.1, 0.1]
    """

    beta1: float = constrained(SHARE, 0.9)
    beta2: float = constrained(SHARE, 0.999)
    epsilon: float = constrained(POSITIVE, 1e-8)
    state_names: ClassVar[tuple[str, ...]] = ("m", "v")
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        m = self.beta1 * state["m"] + (1.0 - self.beta1) * g  # (1)
        v = self.beta2 * state["v"] + (1.0 - self.beta2) * g * g  # (2)
        mhat = m / one_minus_power(ctx.xp, self.beta1, ctx.t)  # (3)
        vhat = v / one_minus_power(ctx.xp, self.beta2, ctx.t)  # (4)
        return w - ctx.lr * mhat / (ctx.xp.sqrt(vhat) + self.epsilon), {"m": m, "v": v}  # (5)


@dataclass(frozen=True, kw_only=True)
class AdamW(Checked):
    """Adam with weight decay apart from the gradient: it shrinks W at the learning rate, whatever the moments say.

    Biases, γ and β are not decayed.

    Forward    (1) w ← w - α λ d w    (2) Adam's step from there
    Reference  [loshchilov2019] algorithm 2

    Parameters
    ----------
    beta1 : float in [0, 1), default=0.9
        Share of the old mean kept in m, the running mean of gradients.
    beta2 : float in [0, 1), default=0.999
        Share kept in v, the running mean of squares.
    epsilon : float > 0, default=1e-8
        Keeps the denominator away from zero.
    weight_decay : float >= 0, default=0.01
        Factor λ of the decay.
    """

    beta1: float = constrained(SHARE, 0.9)
    beta2: float = constrained(SHARE, 0.999)
    epsilon: float = constrained(POSITIVE, 1e-8)
    weight_decay: float = constrained(NOT_NEGATIVE, 0.01)
    state_names: ClassVar[tuple[str, ...]] = ("m", "v")
    positional_hint: ClassVar[str] = _RATE_HINT

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take one step."""
        w = w - ctx.lr * self.weight_decay * ctx.decay_mask * w  # (1)
        adam = Adam(beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon)
        return adam.update(w, g, state, ctx)  # (2)


@dataclass(frozen=True)
class GradientAccumulation(Checked):
    """Another rule, applied once every `steps` batches to the mean of their gradients: a large batch in little memory.

    Between updates w does not change. The inner rule counts updates in its t and uses the learning rate of the batch that
    completes the mean. Batches of equal weight add up to the large batch exactly; batch norm still normalizes over the
    small ones, and clipping bounds each batch's gradient. The count of steps is exact in float32 up to 2²⁴.

    Forward    (1) S ← S + g    (2) after every `steps` batches: inner update with g = S / steps, t / steps
               (3) then S ← 0
    Reference  [goyal2017]

    Parameters
    ----------
    optimizer : Optimizer or str
        The inner rule, as an object or by name.
    steps : int >= 1
        Number of batches in one update.

    Raises
    ------
    InvalidValueError
        If `optimizer` is not an optimizer object, or accumulates itself.
    """

    optimizer: Optimizer
    steps: int = constrained(COUNT)

    def __post_init__(self) -> None:
        validate(self)
        rule = resolve("optimizer", self.optimizer, BY_NAME, _METHODS, ("GradientAccumulation", ""))
        if isinstance(rule, GradientAccumulation):
            fault = must_be("GradientAccumulation", "optimizer", "a plain optimizer", rule, "Multiply the steps.")
            raise InvalidValueError(fault)
        object.__setattr__(self, "optimizer", rule)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The sum of gradients, then the inner rule's vectors."""
        return (GRADIENT_SUM, *self.optimizer.state_names)

    def update(self, w: Array, g: Array, state: Named, ctx: StepContext) -> tuple[Array, Named]:
        """Take in one batch."""
        S = state[GRADIENT_SUM] + g  # (1)
        inner = {name: state[name] for name in self.optimizer.state_names}
        due = ctx.t % self.steps == 0
        at = replace(ctx, t=ctx.xp.ceil(ctx.t / self.steps))
        after, moved = self.optimizer.update(w, S / self.steps, inner, at)  # (2)
        kept = {name: ctx.xp.where(due, moved[name], old) for name, old in inner.items()}
        zero = ctx.xp.zeros_like(S)
        return ctx.xp.where(due, after, w), {GRADIENT_SUM: ctx.xp.where(due, zero, S), **kept}  # (3)


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
"""Every optimizer by the name of its class."""

BY_NAME: Mapping[str, Optimizer] = {
    "sgd": SGD(),
    "ema_momentum": EmaMomentum(),
    "sgd_momentum": SGDMomentum(),
    "nesterov": Nesterov(),
    "rmsprop": RMSProp(),
    "adagrad": AdaGrad(),
    "adam": Adam(),
    "adamw": AdamW(),
}
"""Optimizers by the name that users write."""


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name, or the optimizer itself.

    Parameters
    ----------
    optimizer : str or Optimizer
        One of the names in `BY_NAME`, or an optimizer object.

    Returns
    -------
    Optimizer
        The optimizer, with its default options where a name was given.

    Raises
    ------
    InvalidValueError
        For an unknown name (with the nearest one), for a class in place of an object, for anything else.

    Examples
    --------
    >>> get("sgd")
    SGD()
    """
    return resolve("optimizer", optimizer, BY_NAME, _METHODS)
