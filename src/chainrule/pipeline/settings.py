"""Why: everything that a user may choose about a network and its training stands in one place, with its limits as data.

In: names and numbers. Out: `Settings`, which builds the network, the recipe and the course.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from chainrule.constraints import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, Interval, OneOf, constrained, faults
from chainrule.engines import ENGINES
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.nn import losses, optimizers, schedules
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import INITIALIZERS
from chainrule.nn.losses import Loss, Quantile
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.step import Recipe
from chainrule.pipeline.allowed import Each, NameOrObject
from chainrule.train import TrainConfig

OPTIMIZERS = optimizers.BY_NAME
"""Optimizers by the name that users write."""

SCHEDULES = schedules.BY_NAME
"""Schedules by the name that users write."""

QUANTILES = (0.05, 0.5, 0.95)
"""The median, and the limits between which nine values of ten lie."""

REGRESSION_LOSSES = losses.REGRESSION_BY_NAME
"""Losses for numbers by the name that users write; for classes the loss follows from their number."""

_FLAG = OneOf((False, True))
_WIDTH = Interval(1, 10**7, "[]", whole=True)
_LEVEL = Interval(0, 1, "()")
_OPTIONAL_SIZE = Interval(0, float("inf"), "()", optional=True)
_NORMS = {(False, False): None, (True, False): "batch", (False, True): "layer"}


@dataclass(frozen=True)
class Settings:
    """Everything that a user may choose about a network and its training, with
    constraints as data.

        `activation` and `dropout` are one value, or a sequence with one for each hidden layer. `batch_size` in rows:
        "auto" takes the power of two nearest to a fiftieth of the rows, between 32 and 256, so that an epoch has some
        fifty steps; None is full batch. `max_iter` counts epochs. `alpha` is the factor of the L2 penalty α/2 ‖W‖²,
        `l1_alpha` that of α ‖W‖₁. `loss` is a name for a regression, with `quantiles` as the levels of "quantile", or any
        loss. `learning_rate_multipliers` maps patterns of parameter names ("0.*": all of layer 0) to multipliers of the
        learning rate; 0 freezes. `max_grad_norm` limits the length of the gradient, `max_weight_norm` that of each unit's
        incoming weights. `ema_decay` is the share that a running mean of the weights keeps at each step; the mean is what
        predicts. `accumulate_grad_batches` gradients make one step. `scaling` standardizes inputs by column, or with one
        mean and scale for all columns ("shared": pixels), or not at all. `tol` and `n_iter_no_change` end the run: by the
        validation loss with `early_stopping`, else by the training loss.
    """

    hidden_layer_sizes: tuple[int, ...] = (100,)
    activation: str | Sequence[str] = constrained(Each(OneOf(tuple(ACTIVATIONS))), "relu")
    initializer: str | None = constrained(OneOf((None, *INITIALIZERS)), None)
    batch_norm: bool = constrained(_FLAG, False)
    layer_norm: bool = constrained(_FLAG, False)
    dropout: float | Sequence[float] = constrained(Each(Interval(0, 1, "[)", why="It is the fraction dropped.")), 0.0)
    loss: str | Loss = constrained(NameOrObject("loss", REGRESSION_LOSSES, "gradient"), "squared_error")
    quantiles: tuple[float, ...] = QUANTILES
    optimizer: str | optimizers.Optimizer = constrained(NameOrObject("optimizer", OPTIMIZERS, "update"), "adam")
    learning_rate_init: float = constrained(POSITIVE, 1e-3)
    schedule: str | schedules.Schedule = constrained(NameOrObject("schedule", SCHEDULES, "factor"), "constant")
    learning_rate_multipliers: Mapping[str, float] = field(default_factory=dict)
    batch_size: int | str | None = "auto"
    accumulate_grad_batches: int = constrained(COUNT, 1)
    max_iter: int = constrained(COUNT, 100)
    alpha: float = constrained(NOT_NEGATIVE, 0.0)
    l1_alpha: float = constrained(NOT_NEGATIVE, 0.0)
    max_grad_norm: float | None = constrained(_OPTIONAL_SIZE, None)
    max_weight_norm: float | None = constrained(_OPTIONAL_SIZE, None)
    ema_decay: float | None = constrained(Interval(0, 1, "[)", why="It is the share kept.", optional=True), None)
    early_stopping: bool = constrained(_FLAG, False)
    validation_fraction: float = constrained(Interval(0, 1, "()"), 0.1)
    n_iter_no_change: int = constrained(COUNT, 10)
    tol: float = constrained(NOT_NEGATIVE, 1e-4)
    label_smoothing: float = constrained(SHARE, 0.0)
    scaling: str = constrained(OneOf(("columns", "shared", "none")), "columns")
    engine: str = "auto"
    dtype: str = constrained(OneOf(("float32", "float64")), "float32")
    seed: int = constrained(Interval(0, 2**64, "[)", whole=True), 0)

    def check(self, owner: str, shown: Callable[[str], str] = str) -> None:
        """Raise one `InvalidValueError` that names every setting outside what it may be.

        `shown` gives the name by which the user knows a setting.
        """
        raise_all(self.faults(owner, shown))

    def faults(self, owner: str, shown: Callable[[str], str] = str) -> Iterator[str]:
        """A sentence for every setting outside what it may be."""
        allowed = {shown(f.name): f.metadata["constraint"] for f in fields(self) if "constraint" in f.metadata}
        yield from faults(owner, {shown(name): value for name, value in vars(self).items()}, allowed)
        yield from self._shape_faults(owner, shown)
        yield from self._other_faults(owner, shown)

    def _shape_faults(self, owner: str, shown: Callable[[str], str]) -> Iterator[str]:
        sizes = self.hidden_layer_sizes
        if not isinstance(sizes, Sequence) or not all(_WIDTH.allows(size) for size in sizes):
            yield must_be(owner, shown("hidden_layer_sizes"), "whole numbers from 1 to 10 million", sizes)
            return
        for name in ("activation", "dropout"):
            value = getattr(self, name)
            if not isinstance(value, str) and isinstance(value, Sequence) and len(value) != len(sizes):
                yield must_be(owner, shown(name), f"one, or one for each of the {len(sizes)} hidden layers", value)

    def _other_faults(self, owner: str, shown: Callable[[str], str]) -> Iterator[str]:
        rows, known, levels = self.batch_size, ("auto", *ENGINES), self.quantiles
        if rows not in ("auto", None) and not COUNT.allows(rows):
            yield must_be(owner, shown("batch_size"), "a whole number >= 1, 'auto' or None (full batch)", rows)
        if self.batch_norm and self.layer_norm:
            yield must_be(
                owner, shown("layer_norm"), f"False beside {shown('batch_norm')}", True, "Take one of the two."
            )
        if self.engine not in known:
            hint = did_you_mean(self.engine, known)
            yield must_be(owner, shown("engine"), "'auto' or an engine's name", self.engine, hint)
        ascending = isinstance(levels, Sequence) and len(levels) > 0 and all(map(_LEVEL.allows, levels))
        if not ascending or list(levels) != sorted(set(levels)):
            yield must_be(owner, shown("quantiles"), "ascending numbers in (0, 1)", levels)
        if not isinstance(self.learning_rate_multipliers, Mapping):
            hint = "As {'0.*': 0.1}; 0 freezes."
            yield must_be(
                owner,
                shown("learning_rate_multipliers"),
                "a mapping of patterns to multipliers",
                self.learning_rate_multipliers,
                hint,
            )

    def network(self, inputs: int, outputs: int) -> Net:
        """The network of these settings."""
        norm = _NORMS[self.batch_norm, self.layer_norm]
        return mlp(
            inputs,
            self.hidden_layer_sizes,
            outputs,
            activation=self.activation,
            norm=norm,
            dropout=self.dropout,
            initializer=self.initializer,
        )

    def regression_loss(self) -> Loss:
        """The loss for amounts, by name or as given.

        >>> Settings(loss="quantile", quantiles=(0.1, 0.9)).regression_loss().levels
        (0.1, 0.9)
        """
        if not isinstance(self.loss, str):
            return self.loss
        return Quantile(tuple(self.quantiles)) if self.loss == "quantile" else REGRESSION_LOSSES[self.loss]

    def rows_per_batch(self, n: int) -> int:
        """Batch size for n rows; raises `InvalidValueError` when a batch is larger than that."""
        if self.batch_size is None:
            return n
        if not isinstance(self.batch_size, str):
            hint = "Take fewer, or None for full batch."
            few = must_be("fit", "batch_size", f"at most the number of training rows ({n})", self.batch_size, hint)
            raise_all([few] if self.batch_size > n else [])
            return self.batch_size
        return int(np.clip(2 ** round(np.log2(max(n / 50, 1))), 32, 256))

    def recipe(self, net: Net, loss: Loss, n: int) -> Recipe:
        """How the network is trained on n rows."""
        optimizer = OPTIMIZERS[self.optimizer] if isinstance(self.optimizer, str) else self.optimizer
        return Recipe(
            net,
            loss,
            optimizer
            if self.accumulate_grad_batches == 1
            else optimizers.GradientAccumulation(optimizer, self.accumulate_grad_batches),
            Penalty(l1=self.l1_alpha, l2=self.alpha),
            None if self.max_grad_norm is None else ClipNorm(self.max_grad_norm),
            dict(self.learning_rate_multipliers),
            self.rows_per_batch(n),
            self.seed,
            self.dtype,
            max_weight_norm=self.max_weight_norm,
            ema_decay=self.ema_decay,
        )

    def config(self) -> TrainConfig:
        """Epochs, base rate, schedule."""
        schedule = SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        return TrainConfig(self.max_iter, self.learning_rate_init, schedule)
