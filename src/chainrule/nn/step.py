"""One training step, from rows to new weights, as one pure function that every engine either runs or is tested against.

In: a recipe (what is trained, how), the state (all numbers), one batch, the learning rate. Out: the new state and what the
step measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from chainrule.arrays import Array, Named, Namespace
from chainrule.constraints import COUNT, Interval, OneOf, constrained, constraints_of, validate
from chainrule.errors import must_be, raise_all
from chainrule.nn import losses, optimizers
from chainrule.nn.averages import running_average
from chainrule.nn.layers import BatchNorm, Context, all_layers
from chainrule.nn.losses import Loss, mean_loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import EMA_WEIGHTS, Adam, Optimizer, StepContext
from chainrule.nn.penalties import Clip, Penalty
from chainrule.random import Purpose, Stream


@dataclass(frozen=True)
class Recipe:
    """What is trained and how, as plain frozen data: the input of every engine.

    Running statistics of batch norm follow the weights that are trained, not their running mean: with batch norm keep
    `ema_decay` short (0.99 rather than 0.9999), or leave it off.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss or str
        The loss, as an object or by name.
    optimizer : Optimizer or str, default=Adam()
        The update rule, as an object or by name.
    penalty : Penalty, default=Penalty()
        L1 and L2 penalties; none by default.
    clip : ClipNorm, ClipValue or None, default=None
        How the gradient is bounded.
    learning_rate_multipliers : mapping of str to float, default={}
        Multipliers of the learning rate by patterns of parameter names ("0.*": all of layer 0); 0 freezes.
    batch_size : int >= 1, default=32
        Rows in a batch; at least 2 with batch norm.
    seed : int, default=0
        Fixes first weights, shuffles and dropout masks.
    dtype : {"float32", "float64"}, default="float32"
        Precision of all numbers.
    cache_every : int >= 1, default=1
        Keep only the input of every k-th layer and recompute the rest: less memory, more time.
    max_weight_norm : float > 0 or None, default=None
        Largest length of a unit's incoming weights (max-norm); frozen layers are left alone.
    ema_decay : float in [0, 1) or None, default=None
        Share that a running mean of the weights keeps at each step; validation and inference then use the mean.

    Raises
    ------
    InvalidValueError
        With all faults of the options.

    Examples
    --------
    >>> from chainrule import Dense, Net
    >>> recipe = Recipe(Net(4, [Dense(3)]), "softmax_cross_entropy", batch_size=16)
    >>> recipe.start().w.shape, recipe.batches(40)
    ((15,), [(0, 16), (16, 32), (32, 40)])
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
        object.__setattr__(self, "loss", losses.get(self.loss))
        object.__setattr__(self, "optimizer", optimizers.get(self.optimizer))
        outputs = self.net.outputs
        raise_all(must_be("Recipe", "net", allowed, outputs) for allowed in self.loss.output_faults(outputs))
        self.net.multipliers(self.learning_rate_multipliers)
        if self.batch_size == 1 and self.batch_normed:
            hint = "One row has no variance: its normalized values are 0, and nothing but β would learn."
            raise_all([must_be("Recipe", "batch_size", "at least 2 with batch norm", self.batch_size, hint)])

    def with_seed(self, seed: int) -> Recipe:
        """Return the recipe with another seed; what else was checked and computed stays.

        Parameters
        ----------
        seed : int
            Seed of first weights, shuffles and masks, in [0, 2**64).

        Returns
        -------
        Recipe
        """
        if seed == self.seed and type(seed) is int:
            return self
        other = object.__new__(Recipe)
        other.__dict__.update(vars(self), seed=seed, family=self.family)
        if not constraints_of(Recipe)["seed"].allows(seed):
            validate(other)
        return other

    @cached_property
    def family(self) -> object:
        """One object for this recipe and all that `with_seed` made of it: what follows from them alike is kept under it."""
        return object()

    @cached_property
    def batch_normed(self) -> bool:
        """Whether a layer normalizes over the batch."""
        return any(isinstance(layer, BatchNorm) for layer in all_layers(self.net.layers))

    @cached_property
    def decay(self) -> Array:
        """Mask of what penalties and weight decay act on (P), in the recipe's dtype."""
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
    def state_names(self) -> tuple[str, ...]:
        """Names of the vectors that a state carries: the optimizer's, and the running mean of the weights if asked for."""
        return (*self.optimizer.state_names, *(() if self.ema_decay is None else (EMA_WEIGHTS,)))

    def weights(self, state: State) -> Array:
        """Return the weights to use in inference.

        Parameters
        ----------
        state : State
            A state of this recipe.

        Returns
        -------
        array (P)
            The running mean of the weights if `ema_decay` asks for one and a step has been taken, else the trained weights.
        """
        return state.w if self.ema_decay is None else state.weights

    def adopt(self, state: State) -> State:
        """Convert a state from another recipe for the same network.

        Optimizer vectors that both have are kept, and new ones start at zero. A running mean that the state lacks starts
        at its weights.

        Parameters
        ----------
        state : State
            A state of another recipe, such as one with a different optimizer.

        Returns
        -------
        State
            The same weights, running statistics and number of steps, with the vectors that this recipe needs.
        """
        fresh = {name: np.zeros_like(state.w) for name in self.optimizer.state_names}
        if self.ema_decay is not None:
            fresh[EMA_WEIGHTS] = state.w
        kept = {name: state.optimizer_state.get(name, vector) for name, vector in fresh.items()}
        return replace(state, optimizer_state=kept)

    def batches(self, n: int) -> list[tuple[int, int]]:
        """Divide an epoch over n rows into batches.

        The last batch may be shorter. A single row left over is skipped where the network normalizes over the batch, since
        one row has no variance.

        Parameters
        ----------
        n : int
            Number of training rows.

        Returns
        -------
        list of tuple (int, int)
            Start and end (exclusive) of each batch, as positions in what `order` returns.
        """
        bounds = [(start, min(start + self.batch_size, n)) for start in range(0, n, self.batch_size)]
        alone = len(bounds) > 1 and self.batch_size > 1 and bounds[-1][1] - bounds[-1][0] == 1
        return bounds[:-1] if alone and self.batch_normed else bounds

    def batch_count(self, n: int) -> int:
        """Return the number of batches of an epoch over n rows.

        Parameters
        ----------
        n : int
            Number of training rows.

        Returns
        -------
        int
        """
        count, left = -(-n // self.batch_size), n % self.batch_size
        return count - (left == 1 and count > 1 and self.batch_normed)

    def order(self, xp: Namespace, n: int, epoch: Array) -> Array:
        """Return the order of the rows in an epoch.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        n : int
            Number of training rows.
        epoch : int or array ()
            Number of the epoch, from 0.

        Returns
        -------
        array (n) of int
            Row numbers 0 .. n-1, shuffled by the seed and the epoch; in their own order where one batch holds them all.
        """
        if self.batch_size >= n:
            return xp.arange(n)
        return Stream.from_seed(self.seed).fold(Purpose.SHUFFLE, epoch).permutation(xp, n)

    def start(self) -> State:
        """Return the state before the first step.

        Returns
        -------
        State
            First weights and running statistics, drawn by the seed, optimizer vectors of zeros, step 0; NumPy arrays in the
            recipe's dtype.
        """
        w, buffers = self.net.init(self.seed)
        zeros = {name: np.zeros(w.size, self.dtype) for name in self.state_names}
        return State(w.astype(self.dtype), buffers.astype(self.dtype), zeros, 0)


def starts(recipe: Recipe, seeds: Sequence[int]) -> list[State]:
    """Return the states before the first step of recipes that differ in their seed alone, as `Recipe.start` draws each."""
    W, buffers = (part.astype(recipe.dtype) for part in recipe.net.init_many(seeds))
    names = recipe.state_names
    zeros = np.zeros((len(names), W.shape[1]), recipe.dtype)  # sessions copy what they are given
    vectors = dict(zip(names, zeros, strict=True))
    return [State(w, statistics, vectors, 0) for w, statistics in zip(W, buffers, strict=True)]


@dataclass(frozen=True)
class State:
    """All numbers of a training. `net(state, X)` predicts with them.

    Parameters
    ----------
    w : array (P)
        Parameters.
    buffers : array (B)
        Running statistics of batch norm.
    optimizer_state : mapping of str to array (P)
        The optimizer's vectors; under `EMA_WEIGHTS` the running mean of the weights, where the recipe asks for it.
    step : int or array ()
        Number of steps done.
    """

    w: Array
    buffers: Array
    optimizer_state: Named
    step: Array

    def __repr__(self) -> str:
        return f"State({self.w.size} parameters, step {int(self.step)})"

    @property
    def weights(self) -> Array:
        """Weights (P) to use in inference: the running mean if there is one and a step has been taken, else w."""
        mean = self.optimizer_state.get(EMA_WEIGHTS)
        return self.w if mean is None or int(self.step) == 0 else mean


@dataclass(frozen=True)
class Sums:
    """What steps measured, as sums.

    Parameters
    ----------
    loss : array ()
        Σ c L over the rows, without penalties.
    score : array ()
        Σ c score over the rows.
    weight : array ()
        Σ c over the rows.
    norm : array ()
        Σ ‖g‖ over the steps, with penalties, before clipping.
    steps : int or array ()
        Number of steps.
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


@dataclass(frozen=True, eq=False)
class LossAndGradient:
    """What one pass forward and backward gives.

    Parameters
    ----------
    loss : array ()
        Mean loss plus penalty.
    gradient : array (P)
        Gradient g with respect to the parameters.
    inputs : array (n, d)
        Gradient dX with respect to the rows.
    logits : array (n, k)
        Logits Z.
    buffers : array (B)
        New running statistics.
    """

    loss: Array
    gradient: Array
    inputs: Array
    logits: Array
    buffers: Array


def _ratio(total: Array, count: Array) -> float:
    return float(total) / float(count) if float(count) else math.nan


def loss_and_gradient(
    net: Net,
    loss: Loss,
    w: Array,
    buffers: Array,
    X: Array,
    Y: Array,
    c: Array,
    ctx: Context,
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
) -> LossAndGradient:
    """Return the mean loss of a batch plus penalty, with its gradients: one pass forward, one backward.

    Forward    (1) Z = net(X)    (2) J = mean loss + R
    Backward   (3) dZ = dJ/dZ    (4) dX, g = net's backward pass, plus dR/dw
    Shapes     X (n, d)   Y (n) or (n, k)   c (n)   w, g (P)   Z, dZ (n, k)   dX (n, d)

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        The loss.
    w : array (P)
        Parameters.
    buffers : array (B)
        Running statistics.
    X : array (n, d)
        Rows.
    Y : array (n) or (n, k)
        Targets.
    c : array (n)
        Weights of the rows.
    ctx : Context
        Array namespace, mode, source of masks.
    penalty : Penalty, default=Penalty()
        Penalty to add; none by default.

    Returns
    -------
    LossAndGradient
        The loss, the gradient g, the gradient dX with respect to the rows, the logits, the new running statistics.

    Examples
    --------
    >>> from chainrule import Dense, Net
    >>> net, X, Y = Net(1, [Dense(1)]), np.ones((2, 1)), np.zeros((2, 1))
    >>> found = loss_and_gradient(
    ...     net, losses.get("squared_error"), np.array([2.0, 1.0]), np.zeros(0), X, Y, np.ones(2), Context(np)
    ... )
    >>> float(found.loss), found.gradient.tolist()
    (9.0, [6.0, 6.0])
    """
    xp = ctx.xp
    Z, tape, after = net.forward(w, buffers, X, ctx)  # (1)
    J, dZ = mean_loss(loss, xp, Z, Y, c)  # (2) (3)
    dX, g = net.backward(w, tape, dZ, ctx)
    if penalty.active:
        decay = xp.asarray(net.decay, dtype=w.dtype)
        J, g = J + penalty.value(xp, w, decay), g + penalty.gradient(xp, w, decay)  # (4)
    return LossAndGradient(J, g, dX, Z, after)


def train_step(
    recipe: Recipe, xp: Namespace, state: State, X: Array, Y: Array, c: Array, rate: Array
) -> tuple[State, Sums]:
    """Take one step: forward, loss, backward, penalty, clipping, update, constraint, running mean.

    Forward    (1) Z = net(X)    (2) J, dZ = mean loss    (3) g = dJ/dw + dR/dw    (4) ‖g‖ = √Σ g²
               (5) g ← clip(g)    (6) w ← optimizer(w, g, α · multipliers)
               (7) Wⱼ ← Wⱼ min(1, max_weight_norm / ‖Wⱼ‖)    (8) a ← running mean of w
    Shapes     X (n, d)   Y (n) or (n, k)   c (n)   rate ()   g, a (P)   Wⱼ (d), a column of a layer's W
    Reference  [ng2018] 7.1, 7.5; [srivastava2014] 5.1; [kingma2015] 7.2

    Parameters
    ----------
    recipe : Recipe
        What is trained and how.
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    state : State
        All numbers before the step.
    X : array (n, d)
        Rows of the batch.
    Y : array (n) or (n, k)
        Their targets.
    c : array (n)
        Their weights.
    rate : float or array ()
        Learning rate α of this step.

    Returns
    -------
    State
        All numbers after the step.
    Sums
        What the step measured.
    """
    w = state.w
    d = xp.asarray(recipe.decay)
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
    own = {name: state.optimizer_state[name] for name in recipe.optimizer.state_names}
    w, moved = recipe.optimizer.update(w, g, own, StepContext(xp, t, lr, d))  # (6)
    if recipe.max_weight_norm is not None:
        w = recipe.net.bounded(xp, w, recipe.max_weight_norm, recipe.frozen)  # (7)
    if recipe.ema_decay is not None:
        mean = running_average(xp, state.optimizer_state[EMA_WEIGHTS], w, recipe.ema_decay, t)  # (8)
        moved = {**moved, EMA_WEIGHTS: mean}
    C = c.sum()
    score = (c * recipe.loss.score(xp, Z, Y)).sum()
    return State(w, buffers, moved, state.step + 1), Sums(J * C, score, C, norm, 1)


def measure(recipe: Recipe, xp: Namespace, Z: Array, Y: Array, c: Array) -> Sums:
    """Return loss and score of logits, as sums.

    Parameters
    ----------
    recipe : Recipe
        Gives the loss.
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    Z : array (n, k)
        Logits.
    Y : array (n) or (n, k)
        Targets.
    c : array (n)
        Weights of the rows.

    Returns
    -------
    Sums
        Loss, score and weight, summed.
    """
    loss, score = recipe.loss.rows(xp, Z, Y), recipe.loss.score(xp, Z, Y)
    return Sums((c * loss).sum(), (c * score).sum(), c.sum())
