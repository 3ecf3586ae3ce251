"""Why: an engine without Python inside needs the network as a flat table: which operations, on which numbers, when.

In: a recipe. Out: a `Plan`: stages (layers fused into one), lines (phases of a step) with what each costs, and the memory
that a session takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines.plan.stages import FUNCTIONS, Norm, Slope, Stage, foreign, fuse
from chainrule.nn.losses import LOSSES, SoftmaxCrossEntropy
from chainrule.nn.optimizers import OPTIMIZERS, GradientAccumulation, Optimizer
from chainrule.nn.penalties import ClipNorm, ClipValue
from chainrule.nn.step import Recipe

# Codes: the places in these lists, as the enumerations of native/plan.hpp number them.
_LOSSES = ["BinaryCrossEntropy", "SoftmaxCrossEntropy", "MeanSquaredError", "MeanAbsoluteError", "Huber", "Poisson"]
_LOSSES += ["Quantile", "MultiSoftmaxCrossEntropy"]
_OPTIMIZERS = ["SGD", "EmaMomentum", "SGDMomentum", "Nesterov", "RMSProp", "AdaGrad", "Adam", "AdamW"]


class Op(IntEnum):
    """What a line does; all its tasks are independent of one another."""

    GATHER = 0
    FORWARD = 1
    LOSS = 2
    DERIVE = 3
    BACKWARD = 4
    PASS = 5
    NORM_BACKWARD = 6
    NORM_GRADIENT = 7
    UPDATE = 8
    CONSTRAIN = 9
    AVERAGE = 10


@dataclass(frozen=True)
class Line:
    """One phase of a step and its cost: floating-point operations and bytes read or written, for a full batch."""

    op: Op
    stage: int
    text: str
    shape: str
    flops: int
    nbytes: int


@dataclass(frozen=True)
class Memory:
    """Bytes that a training takes besides the data: vectors over the parameters, and one batch's buffers."""

    parameters: int
    optimizer: int
    gradient: int
    transposed: int
    buffers: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True)
class Plan:
    """A recipe as flat tables.

    >>> from chainrule import Net
    >>> from chainrule.nn.layers import Dense, Activation
    >>> from chainrule.nn.losses import SoftmaxCrossEntropy
    >>> plan = lower(Recipe(Net(4, [Dense(8), Activation("tanh"), Dense(3)]), SoftmaxCrossEntropy()))
    >>> [stage.text for stage in plan.stages]
    ['dense + bias + tanh', 'dense + bias']
    >>> [line.op.name for line in plan.lines]
    ['GATHER', 'FORWARD', 'FORWARD', 'LOSS', 'BACKWARD', 'BACKWARD']
    """

    recipe: Recipe
    stages: tuple[Stage, ...]

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The phases of a step, in order."""
        return tuple(_lines(self))

    @property
    def flops(self) -> int:
        """Floating-point operations of a step."""
        return sum(line.flops for line in self.lines)

    def settings(self) -> tuple[list[int], list[float]]:
        """Loss, optimizer, penalty, clipping, max-norm and average as the native engine reads them, lists last."""
        recipe = self.recipe
        loss, clip, (optimizer, batches) = recipe.loss, recipe.clip, _inner(recipe.optimizer)
        kind, rule = _LOSSES.index(type(loss).__name__), _OPTIMIZERS.index(type(optimizer).__name__)
        link = FUNCTIONS.index("identity" if loss.targets.are_classes else loss.link)
        cut = {type(None): 0, ClipNorm: 1, ClipValue: 2}[type(clip)]
        return [kind, link, rule, cut, recipe.batch_size, batches, *getattr(loss, "sizes", ())], [
            getattr(loss, "label_smoothing", 0.0),
            getattr(loss, "delta", 1.0),
            _first(optimizer, "beta1", "beta", "mu", "rho"),
            _first(optimizer, "beta2"),
            _first(optimizer, "epsilon"),
            _first(optimizer, "weight_decay"),
            recipe.penalty.l1,
            recipe.penalty.l2,
            getattr(clip, "limit", 1.0),
            recipe.max_weight_norm or 0.0,
            -1.0 if recipe.ema_decay is None else recipe.ema_decay,
            *getattr(loss, "levels", ()),
        ]

    def tables(self) -> tuple[Array, Array, Array]:
        """Stages as whole numbers and as reals; lines as (operation, stage)."""
        integers = np.array([stage.integers() for stage in self.stages], np.int64)
        reals = np.array([stage.reals() for stage in self.stages], np.float64)
        return integers, reals, np.array([(line.op, line.stage) for line in self.lines], np.int64)

    def __str__(self) -> str:
        """The lines as a table."""
        rows = [("line", "operation", "shape", "Mflop", "kB")]
        for i, line in enumerate(self.lines):
            rows.append((str(i), line.text, line.shape, f"{line.flops / 1e6:.3f}", f"{line.nbytes / 1e3:.1f}"))
        rows.append(("", "a step", "", f"{self.flops / 1e6:.3f}", f"{sum(x.nbytes for x in self.lines) / 1e3:.1f}"))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        left = (True, True, True, False, False)
        return "\n".join(
            "  ".join(x.ljust(w) if keep else x.rjust(w) for x, w, keep in zip(row, widths, left, strict=True)).rstrip()
            for row in rows
        )


def _first(piece: Any, *names: str) -> float:
    return next((float(getattr(piece, name)) for name in names if hasattr(piece, name)), 0.0)


def _inner(optimizer: Optimizer) -> tuple[Optimizer, int]:
    """The rule that updates, and the batches that it waits for; 0 where it is not an accumulated one."""
    return (optimizer.optimizer, optimizer.steps) if isinstance(optimizer, GradientAccumulation) else (optimizer, 0)


def _rule(optimizer: Optimizer) -> str:
    inner, batches = _inner(optimizer)
    return f"{type(inner).__name__} every {batches} batches" if batches else type(inner).__name__


def lower(recipe: Recipe) -> Plan:
    """The plan of a recipe whose pieces are all the package's own (see `obstacles`)."""
    return Plan(recipe, tuple(fuse(recipe)))


def obstacles(recipe: Recipe) -> Iterator[str]:
    """Why a recipe cannot be lowered: pieces from outside the package, and recomputation."""
    if recipe.cache_every > 1:
        yield "It keeps every activation, so cache_every must be 1."
    yield from foreign(recipe.net)
    rule = _inner(recipe.optimizer)[0]
    for name, piece, known in (("loss", recipe.loss, LOSSES), ("optimizer", rule, OPTIMIZERS)):
        if type(piece) not in known.values():
            yield f"The {name} is one of its own: {piece!r}."
    if recipe.clip is not None and not isinstance(recipe.clip, ClipNorm | ClipValue):
        yield f"The clipping rule is one of its own: {recipe.clip!r}."


def _lines(plan: Plan) -> Iterator[Line]:
    recipe, n, size = plan.recipe, plan.recipe.batch_size, np.dtype(plan.recipe.dtype).itemsize
    d, k, last = recipe.net.inputs, recipe.net.outputs, len(plan.stages) - 1
    yield Line(Op.GATHER, 0, "gather rows", f"({n}, {d})", 0, 2 * n * d * size)
    for i, stage in enumerate(plan.stages):
        yield _forward_line(stage, i, n, size)
    yield Line(
        Op.LOSS, last, f"{type(recipe.loss).__name__} and its gradient", f"({n}, {k})", 10 * n * k, 3 * n * k * size
    )
    if plan.stages[-1].slope != Slope.NONE or plan.stages[-1].norm == Norm.BATCH:
        yield Line(Op.DERIVE, last, "through " + plan.stages[-1].text, f"({n}, {k})", 4 * n * k, 3 * n * k * size)
    for i in reversed(range(len(plan.stages))):
        yield from _backward_lines(plan, i, n, size)
    if isinstance(recipe.clip, ClipNorm):
        vectors = 3 + 2 * len(recipe.optimizer.state_names)
        text = f"clip by norm, {_rule(recipe.optimizer)}"
        yield Line(Op.UPDATE, 0, text, f"({recipe.net.size})", 12 * recipe.net.size, vectors * recipe.net.size * size)
    if recipe.max_weight_norm is not None:
        yield from _constraint_lines(plan, size)
    if recipe.ema_decay is not None:
        text, P = "running mean of the weights", recipe.net.size
        yield Line(Op.AVERAGE, 0, text, f"({P})", 3 * P, 3 * P * size)


def _constraint_lines(plan: Plan, size: int) -> Iterator[Line]:
    for i, stage in enumerate(plan.stages):
        if stage.dense and stage.rates[0] > 0:
            d, k = stage.inputs, stage.outputs
            yield Line(Op.CONSTRAIN, i, "max-norm of W", f"({d}, {k})", 3 * d * k, 3 * d * k * size)


def _forward_line(stage: Stage, i: int, n: int, size: int) -> Line:
    d, k = stage.inputs, stage.outputs
    flops = (2 * n * d * k if stage.dense else 0) + n * k * (8 if stage.norm else 1)
    kept = 1 + (stage.norm != Norm.NONE) + (stage.slope == Slope.KEPT)
    transposed = d * k if stage.dense and i > 0 else 0
    return Line(
        Op.FORWARD,
        i,
        stage.text,
        f"({n}, {d}) -> ({n}, {k})",
        flops,
        size * (n * d + stage.size + transposed + kept * n * k),
    )


def _backward_lines(plan: Plan, i: int, n: int, size: int) -> Iterator[Line]:
    stage, below = plan.stages[i], plan.stages[i - 1] if i > 0 else None
    d, k = stage.inputs, stage.outputs
    rule = "" if isinstance(plan.recipe.clip, ClipNorm) else f", {_rule(plan.recipe.optimizer)}"
    through = (
        f", dA through {below.text.removeprefix('dense').removeprefix(' + bias').removeprefix(' + ')}" if below else ""
    )
    through = through.removesuffix(" through ")
    vectors = 1 if not rule else 2 + 2 * len(plan.recipe.optimizer.state_names)
    if stage.dense:
        flops = (4 if below else 2) * n * d * k + 12 * stage.size + (4 * n * d if below else 0)
        nbytes = size * (n * d + 2 * n * k + vectors * stage.size + ((2 * n * d + d * k) if below else 0))
        yield Line(
            Op.BACKWARD,
            i,
            f"dW{', db' if stage.b >= 0 else ''}{rule}{through}",
            f"({n}, {k}) -> ({n}, {d})",
            flops,
            nbytes,
        )
    elif stage.norm == Norm.LAYER:
        if below:
            yield Line(Op.NORM_BACKWARD, i, "dZ of layer norm", f"({n}, {k})", 8 * n * k, 3 * n * k * size)
        yield Line(Op.NORM_GRADIENT, i, f"dγ, dβ{rule}{through}", f"({n}, {k})", 3 * n * k, 2 * n * k * size)
    elif below:
        yield Line(Op.PASS, i, through.removeprefix(", "), f"({n}, {k})", 4 * n * k, 3 * n * k * size)


def memory(plan: Plan, n: int | None = None) -> Memory:
    """Bytes of a session over n rows (by default at least one full batch), before panels are filled up to whole vectors.

    A gradient vector exists only where clipping by norm must see all of it before the first update.
    """
    recipe = plan.recipe
    size, batch = np.dtype(recipe.dtype).itemsize, min(recipe.batch_size, n or recipe.batch_size)
    P = recipe.net.size
    targets = 1 if isinstance(recipe.loss, SoftmaxCrossEntropy) else recipe.net.outputs
    per_row = recipe.net.inputs + 1 + targets + 2 * max(stage.outputs for stage in plan.stages)
    for stage in plan.stages:
        per_row += stage.outputs * (1 + (stage.norm != Norm.NONE) + (stage.slope == Slope.KEPT))
    transposed = sum(stage.inputs * stage.outputs for stage in plan.stages[1:] if stage.dense)
    return Memory(
        parameters=P * size,
        optimizer=P * len(recipe.state_names) * size,
        gradient=P * size if isinstance(recipe.clip, ClipNorm) else 0,
        transposed=transposed * size,
        buffers=batch * per_row * size,
    )
