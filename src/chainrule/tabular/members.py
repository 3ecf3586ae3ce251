"""One member of a pack: its network, its training on all rows but its fold, and what it predicts for that fold.

In: drawn settings, rows as its transform gives them, targets as the loss takes them. Out: a `TrainedMember`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.transforms import FeatureTransform
from chainrule.engines import Rows, predictor
from chainrule.nn.layers import (
    Activation,
    CategoryEmbedding,
    CosineEmbedding,
    Dense,
    Dropout,
    Layer,
    Parallel,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
)
from chainrule.nn.losses import Loss
from chainrule.nn.net import Net
from chainrule.nn.optimizers import AdamW
from chainrule.nn.schedules import FlatCosine
from chainrule.nn.step import Recipe
from chainrule.tabular.preset import MemberSettings, Preset
from chainrule.train import EarlyStopping, TrainConfig, TrainingProblem, train
from chainrule.train.monitors import Decision
from chainrule.train.records import Epoch, Run, Stop, StopReason

_PATIENCE = 0.34
"""Share of the epochs without an improvement after which a member stops."""


@dataclass(frozen=True, eq=False)
class Task:
    """What all members of a pack learn.

    Parameters
    ----------
    loss : Loss
        The loss.
    outputs : int
        Number of logits.
    Y : array of shape (n,) or (n, k)
        Targets as the loss takes them.
    c : array of shape (n,)
        Weights of the rows.
    """

    loss: Loss
    outputs: int
    Y: Array
    c: Array


@dataclass(frozen=True, eq=False)
class Fold:
    """A fold of rows that lie in the order of the folds, which all members share.

    Parameters
    ----------
    held_out : array of int
        Numbers of the rows that are held out, in the table.
    block : slice
        Where they lie.
    inside : array of uint32
        Where the rows to train on lie, in the order of the table.
    """

    held_out: Array
    block: slice
    inside: Array

    @staticmethod
    def of(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, tuple[Fold, ...]]:
        """Return the order in which each fold is a block, and the folds in it.

        Parameters
        ----------
        parts : sequence of pairs of arrays of int
            For each fold, the rows to train on and those held out, which are all rows together; no row is held out in
            two folds.

        Returns
        -------
        order : array of int
            Numbers of the rows; those that no fold holds out come last.
        folds : tuple of Fold
        """
        always_inside = np.ones(len(parts[0][0]) + len(parts[0][1]), bool)
        for _, held_out in parts:
            always_inside[held_out] = False
        order = np.concatenate([*(held_out for _, held_out in parts), np.flatnonzero(always_inside)])
        place = np.empty(len(order), np.uint32)
        place[order] = np.arange(len(order), dtype=np.uint32)
        ends = np.cumsum([len(held_out) for _, held_out in parts]).tolist()
        return order, tuple(
            Fold(held_out, slice(end - len(held_out), end), place[inside])
            for (inside, held_out), end in zip(parts, ends, strict=True)
        )


@dataclass(frozen=True, eq=False)
class TrainedMember:
    """A trained member with its predictions for the rows that it held out.

    Parameters
    ----------
    number : int
        Its number in the pack.
    settings : MemberSettings
        What was drawn for it.
    net : Net
        Its network.
    w, buffers : array
        Its numbers at the best epoch.
    held_out : array of int
        The rows of its fold.
    Z : array of shape (rows of the fold, k)
        Its logits for them.
    epochs, best_epoch : int
        How long it trained, and the epoch that was kept.
    loss : float
        Mean loss of the held-out rows at that epoch.
    seconds : float
        What it took.
    complete : bool
        False if the time ended it.
    """

    number: int
    settings: MemberSettings
    net: Net
    w: Array = field(repr=False)
    buffers: Array = field(repr=False)
    held_out: Array = field(repr=False)
    Z: Array = field(repr=False)
    epochs: int
    best_epoch: int
    loss: float
    seconds: float
    complete: bool


@dataclass(frozen=True)
class Deadline:
    """A monitor that ends a run when the time is up; also the clock of a pack.

    Parameters
    ----------
    at : float
        The moment, on the clock of `time.monotonic`.
    """

    at: float

    @property
    def left(self) -> float:
        """Seconds until then."""
        return self.at - time.monotonic()

    def start(self, problem: TrainingProblem) -> None:
        """Return nothing: there is nothing to remember."""

    def observe(self, memory: Any, epoch: Epoch) -> tuple[Any, Decision]:
        """Stop when the time is up."""
        return None, Decision(stop=Stop(StopReason.MONITOR, "the time is up") if self.left <= 0 else None)

    def end(self, memory: Any, run: Run | None) -> None:
        """End without closing anything."""


def network(settings: MemberSettings, preset: Preset, transform: FeatureTransform, outputs: int) -> Net:
    """Build the network of a member: embeddings side by side, then hidden layers.

    Parameters
    ----------
    settings : MemberSettings
        What was drawn.
    preset : Preset
        What all members share.
    transform : FeatureTransform
        What gives its rows: numbers, one-hot columns, codes.
    outputs : int
        Number of logits.

    Returns
    -------
    Net
    """
    numbers, flags, codes = transform.widths
    branches: list[tuple[int, Layer]] = []
    if numbers:
        branches.append((numbers, _embedding(settings)))
    if flags:
        branches.append((flags, Activation("identity")))
    if codes:
        sizes = tuple(size for _, size in transform.codes)
        branches.append((codes, CategoryEmbedding(sizes, preset.category_units)))
    layers: list[Layer] = [Parallel(branches)]
    for _ in range(settings.layers):
        layers += [Dense(settings.width, bias_initializer="uniform"), Activation(preset.activation)]
        layers += [Dropout(settings.dropout)] if settings.dropout else []
    return Net(numbers + flags + codes, [*layers, Dense(outputs)])


def _embedding(settings: MemberSettings) -> Layer:
    match settings.embedding:
        case "cosine":
            return CosineEmbedding(settings.frequencies, settings.frequency_scale)
        case "pbld":
            return PBLDEmbedding(settings.frequencies, 3, settings.frequency_scale)
        case "piecewise_linear":
            return PiecewiseLinearEmbedding()
    return Activation("identity")


def train_member(
    number: int,
    settings: MemberSettings,
    preset: Preset,
    transform: FeatureTransform,
    rows: Rows,
    task: Task,
    fold: Fold,
    seed: int,
    deadline: Deadline,
) -> TrainedMember:
    """Train a member on all rows but its fold; keep the epoch that is best on the fold.

    Parameters
    ----------
    number : int
        Its number in the pack.
    settings : MemberSettings
        What was drawn for it.
    preset : Preset
        What all members share.
    transform : FeatureTransform
        What gave the rows.
    rows : Rows
        All rows in the order of the folds; they are read where they lie.
    task : Task
        What is learned.
    fold : Fold
        Rows to train on and rows to hold out.
    seed : int
        Seed of the pack.
    deadline : Deadline
        When to end.

    Returns
    -------
    TrainedMember
    """
    began = time.monotonic()
    inside = rows.visiting(fold.inside)
    batch = preset.rows_per_batch(len(inside))
    recipe = Recipe(
        network(settings, preset, transform, task.outputs),
        task.loss,
        AdamW(beta2=preset.beta2, weight_decay=settings.weight_decay),
        batch_size=batch,
        seed=seed * 1_000_003 + number,
        ema_decay=preset.ema_decay,
    )
    epochs = preset.epochs_for(len(inside))
    problem = TrainingProblem(
        recipe,
        inside,
        TrainConfig(epochs, settings.learning_rate, FlatCosine()),
        rows[fold.block],
    )
    patience = max(3, round(_PATIENCE * epochs))
    run = train(problem, [EarlyStopping(patience, 0.0), deadline])
    w = recipe.weights(run.state)
    best = run.best_epoch or len(run.epochs)
    return TrainedMember(
        number,
        settings,
        recipe.net,
        w,
        run.state.buffers,
        fold.held_out,
        predictor(recipe.net, w, run.state.buffers)(problem.validation.X),  # type: ignore[union-attr]
        len(run.epochs),
        best,
        float(run.epochs[best - 1].validation_loss) if run.epochs else np.inf,
        time.monotonic() - began,
        deadline.left > 0,
    )
