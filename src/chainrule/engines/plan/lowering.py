"""Lowering: a recipe as flat tables, which an engine without Python inside can run.

In: a recipe. Out: a `Plan`: stages (layers fused into one), the phases of a step with their cost, and the memory of a
session.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property
from types import NoneType
from typing import Any

import numpy as np

from chainrule.engines.plan.stages import ActivationKind, DerivativeSource, FusedStage, Norm, custom_parts, fuse
from chainrule.nn import losses, optimizers
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.optimizers import GradientAccumulation, Optimizer
from chainrule.nn.penalties import ClipNorm, ClipValue
from chainrule.nn.step import Recipe


class LossKind(Enum):
    """Losses that compiled kernels know, each with its class."""

    BINARY_CROSS_ENTROPY = losses.BinaryCrossEntropy
    SOFTMAX_CROSS_ENTROPY = losses.SoftmaxCrossEntropy
    MEAN_SQUARED_ERROR = losses.MeanSquaredError
    MEAN_ABSOLUTE_ERROR = losses.MeanAbsoluteError
    HUBER = losses.Huber
    POISSON = losses.Poisson
    QUANTILE = losses.Quantile
    MULTI_SOFTMAX_CROSS_ENTROPY = losses.MultiSoftmaxCrossEntropy


class OptimizerKind(Enum):
    """Optimizers that compiled kernels know, each with its class; gradient accumulation wraps any of them."""

    SGD = optimizers.SGD
    EMA_MOMENTUM = optimizers.EmaMomentum
    SGD_MOMENTUM = optimizers.SGDMomentum
    NESTEROV = optimizers.Nesterov
    RMSPROP = optimizers.RMSProp
    ADAGRAD = optimizers.AdaGrad
    ADAM = optimizers.Adam
    ADAMW = optimizers.AdamW


class ClipKind(Enum):
    """Gradient clipping that compiled kernels know, each with its class."""

    NONE = NoneType
    BY_NORM = ClipNorm
    BY_VALUE = ClipValue


class PhaseKind(Enum):
    """What a phase does; its tasks are independent of one another."""

    GATHER = 0
    FORWARD = 1
    LOSS = 2
    DERIVE = 3
    BACKWARD = 4
    PASS_THROUGH = 5
    NORM_BACKWARD = 6
    NORM_GRADIENT = 7
    UPDATE = 8
    CONSTRAIN = 9
    AVERAGE = 10
    EMBEDDING_GRADIENT = 11


@dataclass(frozen=True)
class Phase:
    """One phase of a step and its cost: floating-point operations and bytes read or written, for a full batch."""

    kind: PhaseKind
    stage: int
    text: str
    shape: str
    flops: int
    nbytes: int

    def fields(self) -> dict[str, Any]:
        """Return the values of `Phase` in native/plan.hpp, by name."""
        return {"kind": self.kind, "stage": self.stage}


@dataclass(frozen=True)
class Memory:
    """Bytes that a training takes, the data apart: vectors over the parameters, and one batch's buffers."""

    parameters: int
    optimizer: int
    gradient: int
    transposed: int
    buffers: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True)
class Plan:
    """A recipe as flat tables: fused stages, and the phases of a step over them.

    >>> from chainrule import Net
    >>> from chainrule.nn.layers import Dense, Activation
    >>> from chainrule.nn.losses import SoftmaxCrossEntropy
    >>> plan = lower(Recipe(Net(4, [Dense(8), Activation("tanh"), Dense(3)]), SoftmaxCrossEntropy()))
    >>> [stage.text for stage in plan.stages]
    ['dense + bias + tanh', 'dense + bias']
    >>> [phase.kind.name for phase in plan.phases]
    ['GATHER', 'FORWARD', 'FORWARD', 'LOSS', 'BACKWARD', 'BACKWARD']
    """

    recipe: Recipe
    stages: tuple[FusedStage, ...]

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """Phases of a step, in order."""
        return tuple(_phases(self))

    @property
    def flops(self) -> int:
        """Floating-point operations of a step."""
        return sum(phase.flops for phase in self.phases)

    def settings(self) -> dict[str, Any]:
        """Return the values of `TrainingSettings` in native/plan.hpp, by name: everything that is not a layer."""
        recipe = self.recipe
        loss = recipe.loss
        optimizer, batches = _inner(recipe.optimizer)
        return {
            "loss": LossKind(type(loss)),
            "link": ActivationKind["IDENTITY" if loss.targets.are_classes else loss.link.upper()],
            "label_smoothing": getattr(loss, "label_smoothing", 0.0),
            "delta": getattr(loss, "delta", 1.0),
            "head_sizes": list(getattr(loss, "sizes", ())),
            "quantile_levels": list(getattr(loss, "levels", ())),
            "optimizer": OptimizerKind(type(optimizer)),
            "beta1": _first(optimizer, "beta1", "beta", "mu", "rho"),
            "beta2": _first(optimizer, "beta2"),
            "epsilon": _first(optimizer, "epsilon"),
            "weight_decay": _first(optimizer, "weight_decay"),
            "l1": recipe.penalty.l1,
            "l2": recipe.penalty.l2,
            "clip": ClipKind(type(recipe.clip)),
            "clip_limit": getattr(recipe.clip, "limit", 1.0),
            "seed": recipe.seed,
            "batch_size": recipe.batch_size,
            "accumulate_grad_batches": batches,
            "max_weight_norm": recipe.max_weight_norm or 0.0,
            "ema_decay": -1.0 if recipe.ema_decay is None else recipe.ema_decay,
        }

    def __str__(self) -> str:
        """Return the phases as a table."""
        rows = [("phase", "operation", "shape", "Mflop", "kB")]
        for i, phase in enumerate(self.phases):
            cost = (f"{phase.flops / 1e6:.3f}", f"{phase.nbytes / 1e3:.1f}")
            rows.append((str(i), phase.text, phase.shape, *cost))
        nbytes = sum(phase.nbytes for phase in self.phases)
        rows.append(("", "a step", "", f"{self.flops / 1e6:.3f}", f"{nbytes / 1e3:.1f}"))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        left = (True, True, True, False, False)
        return "\n".join(
            "  ".join(x.ljust(w) if keep else x.rjust(w) for x, w, keep in zip(row, widths, left, strict=True)).rstrip()
            for row in rows
        )


_EMBEDDING_FLOPS = 16
"""Operations for one entry of an embedding's output, roughly: a cosine."""


def _first(piece: Any, *names: str) -> float:
    return next((float(getattr(piece, name)) for name in names if hasattr(piece, name)), 0.0)


def _inner(optimizer: Optimizer) -> tuple[Optimizer, int]:
    """Return the rule that updates and the number of batches per update; 0 without gradient accumulation."""
    return (optimizer.optimizer, optimizer.steps) if isinstance(optimizer, GradientAccumulation) else (optimizer, 0)


def _rule(optimizer: Optimizer) -> str:
    inner, batches = _inner(optimizer)
    return f"{type(inner).__name__} every {batches} batches" if batches else type(inner).__name__


def lower(recipe: Recipe) -> Plan:
    """Return the plan of a recipe that contains only the package's own parts (see `obstacles`)."""
    return Plan(recipe, tuple(fuse(recipe)))


def obstacles(recipe: Recipe) -> Iterator[str]:
    """Say why a recipe cannot be lowered: custom parts, or recomputation of activations."""
    if recipe.cache_every > 1:
        yield "It keeps every activation, so cache_every must be 1."
    yield from custom_parts(recipe.net)
    rule = _inner(recipe.optimizer)[0]
    parts: dict[str, tuple[Any, type[Enum]]] = {
        "loss": (recipe.loss, LossKind),
        "optimizer": (rule, OptimizerKind),
        "clipping rule": (recipe.clip, ClipKind),
    }
    for name, (part, kinds) in parts.items():
        if type(part) not in {kind.value for kind in kinds}:
            yield f"The {name} is custom: {part!r}."


def _phases(plan: Plan) -> Iterator[Phase]:
    recipe = plan.recipe
    n = recipe.batch_size
    size = np.dtype(recipe.dtype).itemsize
    d = recipe.net.inputs
    k = recipe.net.outputs
    last = len(plan.stages) - 1
    yield Phase(PhaseKind.GATHER, 0, "gather rows", f"({n}, {d})", 0, 2 * n * d * size)
    for i, stage in enumerate(plan.stages):
        yield _forward_phase(stage, i, n, size)
    yield Phase(
        PhaseKind.LOSS,
        last,
        f"{type(recipe.loss).__name__} and its gradient",
        f"({n}, {k})",
        10 * n * k,
        3 * n * k * size,
    )
    if plan.stages[-1].derivative_source != DerivativeSource.NONE or plan.stages[-1].norm in (Norm.BATCH, Norm.SCALE):
        yield Phase(
            PhaseKind.DERIVE, last, "through " + plan.stages[-1].text, f"({n}, {k})", 4 * n * k, 3 * n * k * size
        )
    for i in reversed(range(len(plan.stages))):
        yield from _backward_phases(plan, i, n, size)
    if isinstance(recipe.clip, ClipNorm):
        vectors = 3 + 2 * len(recipe.optimizer.state_names)
        text = f"clip by norm, {_rule(recipe.optimizer)}"
        yield Phase(
            PhaseKind.UPDATE, 0, text, f"({recipe.net.size})", 12 * recipe.net.size, vectors * recipe.net.size * size
        )
    if recipe.max_weight_norm is not None:
        yield from _constraint_phases(plan, size)
    if recipe.ema_decay is not None:
        text = "running mean of the weights"
        P = recipe.net.size
        yield Phase(PhaseKind.AVERAGE, 0, text, f"({P})", 3 * P, 3 * P * size)


def _constraint_phases(plan: Plan, size: int) -> Iterator[Phase]:
    for i, stage in enumerate(plan.stages):
        if stage.dense and stage.multipliers["W"] > 0:
            d, k = stage.inputs, stage.outputs
            yield Phase(PhaseKind.CONSTRAIN, i, "max-norm of W", f"({d}, {k})", 3 * d * k, 3 * d * k * size)


def _forward_phase(stage: FusedStage, i: int, n: int, size: int) -> Phase:
    d, k = stage.inputs, stage.outputs
    entry = _EMBEDDING_FLOPS if stage.groups else 8 if stage.norm != Norm.NONE else 1
    flops = (2 * n * d * k if stage.dense else 0) + n * k * entry
    transposed = d * k if stage.dense and i > 0 else 0
    return Phase(
        PhaseKind.FORWARD,
        i,
        stage.text,
        f"({n}, {d}) -> ({n}, {k})",
        flops,
        size * (n * d + stage.size + transposed + stage.kept * n * k),
    )


def _backward_phases(plan: Plan, i: int, n: int, size: int) -> Iterator[Phase]:
    stage = plan.stages[i]
    below = plan.stages[i - 1] if i > 0 else None
    d, k = stage.inputs, stage.outputs
    rule = "" if isinstance(plan.recipe.clip, ClipNorm) else f", {_rule(plan.recipe.optimizer)}"
    through = (
        f", dA through {below.text.removeprefix('dense').removeprefix(' + bias').removeprefix(' + ')}" if below else ""
    )
    through = ", dA" if below and below.groups else through.removesuffix(" through ")
    vectors = 1 if not rule else 2 + 2 * len(plan.recipe.optimizer.state_names)
    if stage.groups:
        flops = 2 * _EMBEDDING_FLOPS * n * k + 12 * stage.size
        nbytes = size * (n * d + n * k + vectors * stage.size)
        yield Phase(PhaseKind.EMBEDDING_GRADIENT, i, f"embeddings{rule}", f"({n}, {k})", flops, nbytes)
    elif stage.dense:
        flops = (4 if below else 2) * n * d * k + 12 * stage.size + (4 * n * d if below else 0)
        nbytes = size * (n * d + 2 * n * k + vectors * stage.size + ((2 * n * d + d * k) if below else 0))
        yield Phase(
            PhaseKind.BACKWARD,
            i,
            f"dW{', db' if stage.b >= 0 else ''}{rule}{through}",
            f"({n}, {k}) -> ({n}, {d})",
            flops,
            nbytes,
        )
    elif stage.norm == Norm.LAYER:
        if below:
            yield Phase(PhaseKind.NORM_BACKWARD, i, "dZ of layer norm", f"({n}, {k})", 8 * n * k, 3 * n * k * size)
        yield Phase(PhaseKind.NORM_GRADIENT, i, f"dγ, dβ{rule}{through}", f"({n}, {k})", 3 * n * k, 2 * n * k * size)
    elif below:
        yield Phase(PhaseKind.PASS_THROUGH, i, through.removeprefix(", "), f"({n}, {k})", 4 * n * k, 3 * n * k * size)


def memory(plan: Plan, n: int | None = None) -> Memory:
    """Return the bytes of a session over n rows (default: at least one full batch), before panels are padded.

    A gradient vector exists only if clipping by norm must see all of it before the first update, and for embeddings.
    """
    recipe = plan.recipe
    size = np.dtype(recipe.dtype).itemsize
    batch = min(recipe.batch_size, n or recipe.batch_size)
    P = recipe.net.size
    gradient = P if isinstance(recipe.clip, ClipNorm) else sum(stage.size for stage in plan.stages if stage.groups)
    targets = 1 if isinstance(recipe.loss, SoftmaxCrossEntropy) else recipe.net.outputs
    per_row = recipe.net.inputs + 1 + targets + 2 * max(stage.outputs for stage in plan.stages)
    for stage in plan.stages:
        per_row += stage.outputs * stage.kept
    transposed = sum(stage.inputs * stage.outputs for stage in plan.stages[1:] if stage.dense)
    return Memory(
        parameters=P * size,
        optimizer=P * len(recipe.state_names) * size,
        gradient=gradient * size,
        transposed=transposed * size,
        buffers=batch * per_row * size,
    )
