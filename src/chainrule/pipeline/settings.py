"""Everything that a user may choose about a network and its training, in one place, with its limits as data.

In: names and numbers. Out: `Settings`, which builds the network, the recipe and the training configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import numpy as np

from chainrule.constraints import (
    COUNT,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Either,
    Interval,
    OneOf,
    Same,
    Unkeyed,
    all_allowed,
    constrained,
    constraints_of,
    faults,
    plain_key,
)
from chainrule.engines import ENGINES
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
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
"""The median, and the limits between which nine values in ten lie."""

REGRESSION_LOSSES = losses.REGRESSION_BY_NAME
"""Losses for continuous targets by the name that users write; for classes the loss follows from their number."""

EPOCHS = 100
"""Epochs of "auto", unless they are fewer than the steps below."""

VALIDATED_STEPS = 2000
"""Steps of "auto" where validation rows choose the epoch: longer runs cost time alone."""

STEPS = 1000
"""Steps of "auto" where none do, and a longer run of a small set learns it by rote."""

_FLAG = OneOf((False, True))
_WIDTH = Interval(1, 10**7, "[]", whole=True)
_LEVEL = Interval(0, 1, "()")
_OPTIONAL_SIZE = Interval(0, float("inf"), "()", optional=True)
_PATIENCE = Either(OneOf(("auto",)), Interval(1, float("inf"), "[)", whole=True, optional=True))
_NORMS = {(False, False): None, (True, False): "batch", (False, True): "layer"}


@dataclass(frozen=True)
class Settings:
    """Everything that a user may choose about a network and its training.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(100,)
        Units of each hidden layer.
    activation : str or sequence of str, default="relu"
        Activation of the hidden layers, one for all or one for each.
    initializer : str or None, default=None
        Rule for first weights; None takes the one that suits the activation.
    batch_norm, layer_norm : bool, default=False
        Normalization after every hidden affine map; one of the two.
    dropout : float or sequence of float, default=0.0
        Fraction dropped after every hidden layer, one for all or one for each.
    loss : str or Loss, default="squared_error"
        Name of a loss for continuous targets, or any loss.
    quantiles : tuple of float, default=(0.05, 0.5, 0.95)
        Levels of the loss "quantile".
    optimizer : str or Optimizer, default="adam"
        The update rule.
    learning_rate_init : float, default=0.001
        Base learning rate.
    schedule : str or Schedule, default="constant"
        Factor of the base rate over the epochs.
    learning_rate_multipliers : mapping of str to float, default={}
        Patterns of parameter names ("0.*": all of layer 0) and multipliers of the learning rate; 0 freezes.
    batch_size : int or {"auto", "full"}, default="auto"
        Rows per step. "auto" takes the power of two nearest to a fiftieth of the rows, between 32 and 256, so that an
        epoch has about fifty steps; "full" takes all rows.
    accumulate_grad_batches : int, default=1
        Number of batches whose gradients make one step.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. "auto" is 100, and more for few rows, whose epochs are few steps of the usual batch size:
        as many as make 2000 steps where validation rows choose the epoch, and 1000 steps otherwise.
    alpha, l1_alpha : float, default=0.0
        Factors of the penalties α/2 ‖W‖² and α ‖W‖₁.
    max_grad_norm : float or None, default=None
        Largest length of the gradient.
    max_weight_norm : float or None, default=None
        Largest length of each unit's incoming weights.
    ema_decay : float or None, default=None
        Share that a running mean of the weights keeps at each step; the mean is what predicts.
    early_stopping : bool, default=False
        Whether the validation loss ends the run; otherwise the training loss does.
    validation_fraction : float, default=0.1
        Share of the rows held out for validation, where none are given.
    n_iter_no_change : int, "auto" or None, default="auto"
        Epochs without an improvement above `tol` that end the run. "auto" watches the loss smoothed over epochs, and waits
        for 20 epochs and 500 steps at least; None never ends it early.
    tol : float, default=1e-4
        Improvement of the loss that counts.
    label_smoothing : float, default=0.0
        Share of each target that is given to all classes alike.
    scaling : {"columns", "shared", "none"}, default="columns"
        Standardization of the inputs: by column, with one mean and scale for all columns (pixels), or none.
    engine : str, default="auto"
        The engine that trains.
    dtype : {"float32", "float64"}, default="float32"
        Precision of weights and rows.
    seed : int, default=0
        Seed of first weights, shuffles and masks.

    Examples
    --------
    >>> Settings(hidden_layer_sizes=(8,), max_iter=5).network(4, 3).outputs
    3
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
    batch_size: int | str = "auto"
    accumulate_grad_batches: int = constrained(COUNT, 1)
    max_iter: int | str = constrained(Either(OneOf(("auto",)), COUNT), "auto")
    alpha: float = constrained(NOT_NEGATIVE, 0.0)
    l1_alpha: float = constrained(NOT_NEGATIVE, 0.0)
    max_grad_norm: float | None = constrained(_OPTIONAL_SIZE, None)
    max_weight_norm: float | None = constrained(_OPTIONAL_SIZE, None)
    ema_decay: float | None = constrained(Interval(0, 1, "[)", why="It is the share kept.", optional=True), None)
    early_stopping: bool = constrained(_FLAG, False)
    validation_fraction: float = constrained(Interval(0, 1, "()"), 0.1)
    n_iter_no_change: int | str | None = constrained(_PATIENCE, "auto")
    tol: float = constrained(NOT_NEGATIVE, 1e-4)
    label_smoothing: float = constrained(SHARE, 0.0)
    scaling: str = constrained(OneOf(("columns", "shared", "none")), "columns")
    engine: str = "auto"
    dtype: str = constrained(OneOf(("float32", "float64")), "float32")
    seed: int = constrained(Interval(0, 2**64, "[)", whole=True), 0)

    def settled(self, **known: Any) -> Self:
        """Return the settings with values that are known to be allowed, such as those that follow from the rows."""
        other = object.__new__(type(self))
        other.__dict__.update(vars(self), **known)
        return other

    def check(self, owner: str, shown: Callable[[str], str] = str) -> None:
        """Raise one `InvalidValueError` that names every setting outside its limits.

        `shown` gives the name by which the user knows a setting.
        """
        raise_all(self.faults(owner, shown))

    def faults(self, owner: str, shown: Callable[[str], str] = str) -> Iterator[str]:
        """Yield a sentence for every setting outside its limits."""
        constraints, values = constraints_of(type(self)), vars(self)  # type: ignore[arg-type]  # (classes are hashable)
        if not all_allowed(values, constraints):
            allowed = {shown(name): constraint for name, constraint in constraints.items()}
            yield from faults(owner, {shown(name): value for name, value in values.items()}, allowed)
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
        rows = self.batch_size
        known = ("auto", *ENGINES)
        levels = self.quantiles
        if rows not in ("auto", "full") and not COUNT.allows(rows):
            yield must_be(owner, shown("batch_size"), "a whole number >= 1, 'auto' or 'full'", rows)
        if self.batch_norm and self.layer_norm:
            yield must_be(
                owner, shown("layer_norm"), f"False beside {shown('batch_norm')}", True, "Choose one of the two."
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
        """Return the network of these settings."""
        layers = {name: getattr(self, name) for name in _OF_NETWORK}
        key = plain_key(layers)
        if key is None:
            return _network(inputs, outputs, layers)
        return _known_network(inputs, outputs, key, Unkeyed(layers))

    def regression_loss(self) -> Loss:
        """Return the loss for continuous targets, by name or as given.

        >>> Settings(loss="quantile", quantiles=(0.1, 0.9)).regression_loss().levels
        (0.1, 0.9)
        """
        if not isinstance(self.loss, str):
            return self.loss
        return Quantile(tuple(self.quantiles)) if self.loss == "quantile" else REGRESSION_LOSSES[self.loss]

    def rows_per_batch(self, n: int) -> int:
        """Return the batch size for n rows; raise `InvalidValueError` when a batch is larger than that."""
        if self.batch_size == "full":
            return n
        if not isinstance(self.batch_size, str):
            hint = "Use fewer, or 'full' for all rows."
            allowed = f"at most the number of training rows ({n})"
            if self.batch_size > n:
                raise InvalidValueError(must_be("fit", "batch_size", allowed, self.batch_size, hint))
            return self.batch_size
        return _usual_batch(n)

    def epochs(self, n: int, validated: bool) -> int:
        """Return the largest number of epochs for n training rows.

        >>> [Settings().epochs(n, validated=True) for n in (100, 216, 2000, 10**6)]
        [500, 286, 100, 100]
        >>> Settings().epochs(216, validated=False), Settings(max_iter=7).epochs(216, validated=True)
        (143, 7)
        """
        if not isinstance(self.max_iter, str):
            return self.max_iter
        per_epoch = math.ceil(n / _usual_batch(n))
        return max(EPOCHS, math.ceil((VALIDATED_STEPS if validated else STEPS) / per_epoch))

    def recipe(self, net: Net, loss: Loss, n: int) -> Recipe:
        """Return how the network is trained on n rows."""
        rows = self.rows_per_batch(n)
        key = plain_key({name: getattr(self, name) for name in _OF_RECIPE})
        if key is None or self.learning_rate_multipliers:
            return self._recipe(net, loss, rows)
        return _known_recipe(Same(net), Same(loss), rows, key, Unkeyed(self)).with_seed(self.seed)

    def _recipe(self, net: Net, loss: Loss, rows: int) -> Recipe:
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
            rows,
            self.seed,
            self.dtype,
            max_weight_norm=self.max_weight_norm,
            ema_decay=self.ema_decay,
        )

    def config(self, n: int, validated: bool) -> TrainConfig:
        """Return epochs for n training rows, base rate and schedule."""
        epochs = self.epochs(n, validated)
        if isinstance(self.schedule, str):
            return _known_config(epochs, self.learning_rate_init, self.schedule)
        return TrainConfig(epochs, self.learning_rate_init, self.schedule)


_OF_NETWORK = ("hidden_layer_sizes", "activation", "batch_norm", "layer_norm", "dropout", "initializer")
"""Settings that the network follows from."""

_OF_RECIPE = (
    "optimizer",
    "accumulate_grad_batches",
    "alpha",
    "l1_alpha",
    "max_grad_norm",
    "max_weight_norm",
    "ema_decay",
    "dtype",
)
"""Settings that the recipe follows from, besides the network, the loss, the batch, the multipliers and the seed."""


def _network(inputs: int, outputs: int, layers: Mapping[str, Any]) -> Net:
    return mlp(
        inputs,
        layers["hidden_layer_sizes"],
        outputs,
        activation=layers["activation"],
        norm=_NORMS[layers["batch_norm"], layers["layer_norm"]],
        dropout=layers["dropout"],
        initializer=layers["initializer"],
    )


@lru_cache(maxsize=64)
def _known_network(inputs: int, outputs: int, key: tuple[Any, ...], layers: Unkeyed) -> Net:
    return _network(inputs, outputs, layers.one)


@lru_cache(maxsize=64)
def _known_recipe(net: Same, loss: Same, rows: int, key: tuple[Any, ...], settings: Unkeyed) -> Recipe:
    return settings.one._recipe(net.one, loss.one, rows)  # type: ignore[no-any-return]


@lru_cache(maxsize=64, typed=True)
def _known_config(epochs: int, learning_rate: float, schedule: str) -> TrainConfig:
    return TrainConfig(epochs, learning_rate, SCHEDULES[schedule])


def _usual_batch(n: int) -> int:
    """Return the batch size of "auto" for n rows."""
    return int(np.clip(2 ** round(np.log2(max(n / 50, 1))), 32, 256))
