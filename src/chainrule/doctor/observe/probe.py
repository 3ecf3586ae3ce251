"""Measure what happens inside a network while it learns, layer by layer, on a few rows, by the reference mathematics.

In: a training problem, a state. Out: a `Reading`: outputs, silent and saturated units, gradients, steps; numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.network import largest_slope, layer_name, silences
from chainrule.doctor.vocabulary.records import LayerReading, Reading
from chainrule.doctor.vocabulary.targets import row_losses
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.nn.activations import activation
from chainrule.nn.layers import Activation, Context
from chainrule.nn.losses import mean_loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import GradientAccumulation, StepContext
from chainrule.nn.step import Recipe, State
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True, eq=False)
class Walk:
    """A forward and backward pass with all intermediate values: outputs, and dL/dA behind each layer.

    `gradient` is flat, in the order of the parameters; `broken` names the first tensor that is not finite.
    """

    outputs: tuple[Array, ...]
    behind: tuple[Array, ...]
    gradient: Array
    loss: float
    broken: str


def walk(recipe: Recipe, state: State, X: Array, Y: Array, c: Array) -> Walk:
    """Run a forward and backward pass over rows in training mode, layer by layer, by the layers' own functions.

    Shapes     X (n, d)   outputs (n, width) per layer   gradient (P)
    """
    net = recipe.net
    ctx = Context(np, True, Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, state.step))
    with np.errstate(all="ignore"):
        layers = net.trace(state.w, state.buffers, X, lambda Z: mean_loss(recipe.loss, np, Z, Y, c)[1], ctx)
        loss = mean_loss(recipe.loss, np, layers[-1].output, Y, c)[0]
        grads = {f"{i}.{letter}": array for i, layer in enumerate(layers) for letter, array in layer.parameters.items()}
        gradient = net.parameters.pack(np, grads, state.w)
    outputs = [layer.output for layer in layers]
    behind = [layer.gradient for layer in layers]
    return Walk(
        tuple(outputs), tuple(behind), gradient, float(loss), _broken(net, state, outputs, loss, behind, gradient)
    )


def _broken(net: Net, state: State, outputs: list[Array], loss: Any, behind: list[Array], gradient: Array) -> str:
    """Return the first tensor that is not finite: weights, outputs in order, the loss, gradients from the last layer on."""
    for name, array in net.parameters.views(state.w).items():
        if not np.isfinite(array).all():
            return f"parameter {name}"
    for i, A in enumerate(outputs):
        if not np.isfinite(A).all():
            return f"output of layer {i} ({layer_name(net.layers[i])})"
    if not np.isfinite(loss):
        return "the loss"
    for i in reversed(range(len(behind))):
        if not np.isfinite(behind[i]).all():
            return f"gradient behind layer {i} ({layer_name(net.layers[i])})"
    named = net.parameters.views(gradient)
    return next((f"gradient of {name}" for name, g in named.items() if not np.isfinite(g).all()), "")


@dataclass
class Probe:
    """Takes readings of one training; remembers only the first outputs and the largest slopes."""

    problem: TrainingProblem
    rows: int = USUAL.probed_rows
    first: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._take(self.rows)
        self._slopes = {i: largest_slope(f) for i, f in enumerate(self.problem.recipe.net.layers)}

    def use_a_batch(self) -> bool:
        """Read as many rows as a batch has from now on; False if it does so already."""
        size = min(self.problem.recipe.batch_size, len(self.problem.rows))
        if len(self.X) == size:
            return False
        self._take(size)
        return True

    def _take(self, count: int) -> None:
        n = len(self.problem.rows)
        take = np.linspace(0, n - 1, min(n, count)).astype(np.int64)
        self.X, self.Y, self.c = (
            part[take] for part in (self.problem.rows.X, self.problem.rows.Y, self.problem.rows.c)
        )
        self.c = self.c if self.c.any() else np.ones_like(self.c)

    def read(self, state: State, epoch: int, rate: float) -> Reading:
        """Return a reading of a state, as if the next step used this learning rate."""
        recipe = self.problem.recipe
        net = self.problem.recipe.net
        seen = walk(recipe, state, self.X, self.Y, self.c)
        with np.errstate(all="ignore"):
            Z = net(recipe.weights(state), state.buffers, self.X)
            g = seen.gradient
            penalty = recipe.penalty.gradient(np, state.w, recipe.decay)
            moved = self._step(state, g + penalty, rate)
            layers = tuple(self._layer(i, state, seen, moved) for i in range(len(net.layers)))
            return Reading(
                epoch,
                int(state.step),
                float(np.average(row_losses(recipe, Z, self.Y), weights=self.c)),
                seen.loss,
                layers,
                float(np.linalg.norm(penalty) / max(float(np.linalg.norm(g)), 1e-30)),
                seen.broken,
            )

    def _step(self, state: State, g: Array, rate: float) -> Array:
        """Return what one update with this gradient would add to the weights (P); without accumulation of gradients."""
        recipe = self.problem.recipe
        if recipe.clip is not None:
            g = recipe.clip.apply(np, g, np.sqrt((g * g).sum()))
        lr = np.asarray(rate, state.w.dtype)
        lr = lr if recipe.multipliers is None else lr * recipe.multipliers
        rule = recipe.optimizer
        steps = 1
        if isinstance(rule, GradientAccumulation):
            steps = rule.steps
            rule = rule.optimizer
        t = np.ceil(np.asarray((state.step + 1) / steps, dtype=state.w.dtype))
        memory = {name: state.optimizer_state[name] for name in rule.state_names}
        w, _ = rule.update(state.w, g.astype(state.w.dtype), memory, StepContext(np, t, lr, recipe.decay))
        if recipe.max_weight_norm is not None:
            w = recipe.net.bounded(np, w, recipe.max_weight_norm, recipe.frozen)
        return np.asarray(w) - state.w

    def _layer(self, i: int, state: State, seen: Walk, moved: Array) -> LayerReading:
        """Return the reading of one layer; `moved` is what the next step would add to all weights (P)."""
        net = self.problem.recipe.net
        A = seen.outputs[i]
        rms = _rms(A)
        start = self.first.setdefault(i, rms)
        reading = LayerReading(
            i,
            layer_name(net.layers[i]),
            float(A.mean()),
            rms,
            float(np.abs(A).max()),
            (A == 0).all(axis=0) if self._can_be_silent(i) else None,
            self._saturation(i, seen),
            _rms(seen.behind[i]) * len(A),
            drift=rms / start if start > 0 else None,
        )
        slots = [slot for slot in net.parameters.slots if slot.name.startswith(f"{i}.")]
        if not slots:
            return reading
        part = slice(slots[0].offset, slots[-1].offset + slots[-1].size)
        weight_norm = float(np.linalg.norm(state.w[part]))
        step = float(np.linalg.norm(moved[part]))
        ratio = step / weight_norm if weight_norm > 0 else (np.inf if step > 0 else 0.0)
        gradient_norm = float(np.linalg.norm(seen.gradient[part]))
        return replace(reading, weight_norm=weight_norm, gradient_norm=gradient_norm, update_ratio=ratio)

    def _can_be_silent(self, i: int) -> bool:
        """Check whether the layer is an activation that is exactly zero for a whole range of inputs."""
        return silences(self.problem.recipe.net.layers[i])

    def _saturation(self, i: int, seen: Walk) -> Array | None:
        """Return each unit's mean slope over the largest slope (k), for functions that flatten on both sides."""
        largest = self._slopes[i]
        layer = self.problem.recipe.net.layers[i]
        if largest is None or not isinstance(layer, Activation):
            return None
        Z = seen.outputs[i - 1] if i else self.X
        function = activation(layer.function)
        slope = np.broadcast_to(function.derivative(np, Z, function.value(np, Z)), Z.shape)
        return np.asarray(slope).mean(axis=0) / largest


def _rms(A: Array) -> float:
    return float(np.sqrt((A.astype(np.float64) ** 2).mean())) if A.size else 0.0
