"""Why: one training step, from rows to new weights, as one pure function that every engine either runs or is held against.

In: a recipe (what is trained, how), the state (all numbers), one batch, the learning rate. Out: the new state and what the
step measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from chainrule.arrays import Array, Named, Namespace
from chainrule.constraints import COUNT, Interval, OneOf, constrained, validate
from chainrule.errors import must_be, raise_all
from chainrule.nn.layers import BatchNorm, Context
from chainrule.nn.losses import Loss, MultiSoftmaxCrossEntropy, Quantile, mean_loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer, running_average
from chainrule.nn.penalties import Clip, Penalty
from chainrule.random import Purpose, Stream


@dataclass(frozen=True)
class Recipe:
    """What is trained and how, as plain frozen data: the input of every engine.

    `learning_rate_multipliers` maps patterns of parameter names to multipliers of the learning rate; `cache_every` is
    the lecture's trade-off between memory and recomputation. Batch size in rows; `seed` fixes first weights, shuffles
    and masks. `max_weight_norm` bounds the length of every unit's incoming weights, those of frozen layers excepted.
    `ema_decay` is the share that a running mean of the weights keeps at each step; inference and validation then use
    the mean. Running statistics of batch norm follow the weights that are trained, not their mean: with batch norm
    keep the mean short (0.99 rather than 0.9999), or leave it off.
    """

    net: Net
    loss: Loss
    optimizer: Optimizer = Adam()
    penalty: Penalty = Penalty()
    clip: Clip | None = None
    learning_rate_multipliers: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = constrained(COUNT, 32)
    seed: int = constrained(Interval(0, 2**64, "[)", whole=True), 0)
    dtype: str = constrained(OneOf(("float32", "float64")), "float32")
    cache_every: int = constrained(COUNT, 1)
    max_weight_norm: float | None = constrained(Interval(0, math.inf, "()", optional=True), None)
    ema_decay: float | None = constrained(Interval(0, 1, "[)", why="It is the share kept.", optional=True), None)

    def __post_init__(self) -> None:
        validate(self)
        raise_all(_width_faults(self.loss, self.net.outputs))
        self.net.multipliers(self.learning_rate_multipliers)

    @cached_property
    def decay(self) -> Array:
        """What penalties and weight decay act on (P), in the recipe's dtype."""
        return self.net.decay.astype(self.dtype)

    @cached_property
    def multipliers(self) -> Array | None:
        """Learning-rate multipliers (P), or None when all are 1."""
        return (
            self.net.multipliers(self.learning_rate_multipliers).astype(self.dtype)
            if self.learning_rate_multipliers
            else None
        )

    @cached_property
    def frozen(self) -> frozenset[str]:
        """Names of the parameters whose multiplier is 0."""
        rates = self.net.multipliers(self.learning_rate_multipliers)
        return frozenset(slot.name for slot in self.net.parameters.slots if rates[slot.offset] == 0)

    @property
    def memory(self) -> tuple[str, ...]:
        """Names of the vectors that a state carries: the optimizer's, and "average" where it is asked for."""
        return (*self.optimizer.memory, *(() if self.ema_decay is None else ("average",)))

    def weights(self, state: State) -> Array:
        """The weights to use in inference: their running mean where it is asked for and a step has been taken."""
        return state.w if self.ema_decay is None or int(state.step) == 0 else state.memory["average"]

    def adopt(self, state: State) -> State:
        """A state of this recipe with the numbers of another recipe's for the same network.

        What both remember is kept. A vector that is new starts at zero, and the running mean at the weights in use.
        """
        fresh = {letter: np.zeros_like(state.w) for letter in self.optimizer.memory}
        if self.ema_decay is not None:
            fresh["average"] = state.w
        return replace(state, memory={letter: state.memory.get(letter, vector) for letter, vector in fresh.items()})

    def batches(self, n: int) -> list[tuple[int, int]]:
        """First and last-plus-one position of each batch of an epoch over n rows.

        The last batch may be shorter. One single row left over is skipped where the network normalizes over the
        batch, since one row has no variance.
        """
        bounds = [(start, min(start + self.batch_size, n)) for start in range(0, n, self.batch_size)]
        alone = len(bounds) > 1 and self.batch_size > 1 and bounds[-1][1] - bounds[-1][0] == 1
        return bounds[:-1] if alone and any(isinstance(layer, BatchNorm) for layer in self.net.layers) else bounds

    def order(self, xp: Namespace, n: int, epoch: Array) -> Array:
        """The order of the rows in an epoch: as they are when one batch holds them all, else a shuffle."""
        if self.batch_size >= n:
            return xp.arange(n)
        return Stream.from_seed(self.seed).fold(Purpose.SHUFFLE, epoch).permutation(xp, n)

    def start(self) -> State:
        """The state before the first step, with host arrays in the recipe's dtype."""
        w, buffers = self.net.init(self.seed)
        memory = {letter: np.zeros(w.size, self.dtype) for letter in self.memory}
        return State(w.astype(self.dtype), buffers.astype(self.dtype), memory, 0)


@dataclass(frozen=True)
class State:
    """All numbers of a training: parameters (P), running statistics (B), the recipe's memory (P each), steps done."""

    w: Array
    buffers: Array
    memory: Named
    step: Array


@dataclass(frozen=True)
class Sums:
    """What steps measured: Σ c L, Σ c score, Σ c over their rows; Σ ‖g‖ over the steps; number of steps.

    The loss is the data's, without penalties; the norm is the gradient's with penalties, before clipping.
    """

    loss: Array = 0.0
    score: Array = 0.0
    weight: Array = 0.0
    norm: Array = 0.0
    steps: Array = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.loss + other.loss,
            self.score + other.score,
            self.weight + other.weight,
            self.norm + other.norm,
            self.steps + other.steps,
        )

    @property
    def mean_loss(self) -> float:
        """Weighted mean loss."""
        return _ratio(self.loss, self.weight)

    @property
    def mean_score(self) -> float:
        """Weighted mean score."""
        return _ratio(self.score, self.weight)

    @property
    def mean_norm(self) -> float:
        """Mean length of the gradient."""
        return _ratio(self.norm, self.steps)


def _width_faults(loss: Loss, outputs: int) -> Iterator[str]:
    """What is wrong with a network of so many outputs for a loss that prescribes them."""
    if isinstance(loss, MultiSoftmaxCrossEntropy) and outputs != sum(loss.sizes):
        yield must_be("Recipe", "net", f"of {sum(loss.sizes)} outputs, the sum of {loss.sizes}", outputs)
    if isinstance(loss, Quantile) and outputs % len(loss.levels):
        hint = "Each target takes one output for each level."
        yield must_be("Recipe", "net", f"of a multiple of {len(loss.levels)} outputs", outputs, hint)


def _ratio(total: Array, count: Array) -> float:
    return float(total) / float(count) if float(count) else math.nan


def train_step(
    recipe: Recipe, xp: Namespace, state: State, X: Array, Y: Array, c: Array, rate: Array
) -> tuple[State, Sums]:
    """One step: forward, loss, backward, penalty, clipping, update, constraint, running mean.

    Forward    (1) Z = net(X)    (2) J, dZ = mean loss    (3) g = dJ/dw + dR/dw    (4) ‖g‖ = √Σ g²
               (5) g ← clip(g)    (6) w ← optimizer(w, g, α · multipliers)
               (7) Wⱼ ← Wⱼ min(1, max_weight_norm / ‖Wⱼ‖)    (8) a ← running mean of w
    Shapes     X (n, d)   Y (n) or (n, k)   c (n)   rate ()   g, a (P)   Wⱼ (d), a column of a layer's W
    Reference  [ng2018] 7.1, 7.5; [srivastava2014] 5.1; [kingma2015] 7.2
    """
    w, d = state.w, xp.asarray(recipe.decay)
    stream = Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, state.step)
    ctx = Context(xp, training=True, stream=stream)
    Z, tape, buffers = recipe.net.forward(w, state.buffers, X, ctx, recipe.cache_every)  # (1)
    J, dZ = mean_loss(recipe.loss, xp, Z, Y, c)  # (2)
    g = recipe.net.backward(w, tape, dZ, ctx)[1]
    if recipe.penalty.active:
        g = g + recipe.penalty.gradient(xp, w, d)  # (3)
    norm = xp.sqrt((g * g).sum())  # (4)
    if recipe.clip is not None:
        g = recipe.clip.apply(xp, g, norm)  # (5)
    lr = xp.asarray(rate, dtype=w.dtype)
    lr = lr if recipe.multipliers is None else lr * xp.asarray(recipe.multipliers)
    t = xp.asarray(state.step + 1, dtype=w.dtype)
    own = {letter: state.memory[letter] for letter in recipe.optimizer.memory}
    w, memory = recipe.optimizer.update(xp, w, g, own, t, lr, d)  # (6)
    if recipe.max_weight_norm is not None:
        w = recipe.net.bounded(xp, w, recipe.max_weight_norm, recipe.frozen)  # (7)
    if recipe.ema_decay is not None:
        memory = {**memory, "average": running_average(xp, state.memory["average"], w, recipe.ema_decay, t)}  # (8)
    C = c.sum()
    score = (c * recipe.loss.score(xp, Z, Y)).sum()
    return State(w, buffers, memory, state.step + 1), Sums(J * C, score, C, norm, 1)


def measure(recipe: Recipe, xp: Namespace, Z: Array, Y: Array, c: Array) -> Sums:
    """Loss and score of logits, as sums."""
    loss, score = recipe.loss.rows(xp, Z, Y), recipe.loss.score(xp, Z, Y)
    return Sums((c * loss).sum(), (c * score).sum(), c.sum())
