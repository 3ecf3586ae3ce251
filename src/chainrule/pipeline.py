"""Why: from a table to a trained model there is one way, which the estimators and the command line both take.

In: rows X, targets y as the user has them, `Settings`. Out: a `Model` and the `Run` that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.checkpoint import fingerprint, kept_in
from chainrule.constraints import COUNT, NOT_NEGATIVE, POSITIVE, SHARE, Interval, OneOf, faults, limited
from chainrule.data import Standardizer, check_classes
from chainrule.engines import ENGINES, Rows
from chainrule.errors import did_you_mean, must_be, raise_all
from chainrule.model import Model
from chainrule.nn import optimizers, schedules
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import INITIALIZERS
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    Loss,
    MeanAbsolute,
    MeanSquared,
    Poisson,
    SoftmaxCrossEntropy,
)
from chainrule.nn.net import Net, stack
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.step import Recipe
from chainrule.train import Course, EarlyStopping, Monitor, Run, train
from chainrule.train.keeping import Forgetful, Keeper

OPTIMIZERS: Mapping[str, optimizers.Optimizer] = {
    "sgd": optimizers.GradientDescent(),
    "momentum": optimizers.Momentum(),
    "classical_momentum": optimizers.ClassicalMomentum(),
    "nesterov": optimizers.Nesterov(),
    "rmsprop": optimizers.RMSProp(),
    "adagrad": optimizers.AdaGrad(),
    "adam": optimizers.Adam(),
    "adamw": optimizers.AdamW(),
}
"""Optimisers by the name that users write."""

SCHEDULES: Mapping[str, schedules.Schedule] = {
    "constant": schedules.Flat(),
    "step": schedules.Step(),
    "exponential": schedules.Exponential(),
    "inverse_time": schedules.InverseTime(),
    "cosine": schedules.Cosine(),
    "cosine_restarts": schedules.CosineRestarts(),
    "warmup_cosine": schedules.WarmUp(after=schedules.Cosine()),
    "one_cycle": schedules.OneCycle(),
    "plateau": schedules.ReduceOnPlateau(),
}
"""Schedules by the name that users write."""

REGRESSION_LOSSES: Mapping[str, Loss] = {
    "squared_error": MeanSquared(),
    "absolute_error": MeanAbsolute(),
    "huber": Huber(),
    "poisson": Poisson(),
}
"""Losses for amounts by the name that users write; for classes the loss follows from their number."""

_WIDTH = Interval(1, 10**7, "[]", whole=True)

_NORMS = {(False, False): None, (True, False): "batch", (False, True): "layer"}


@dataclass(frozen=True)
class Settings:
    """Everything that a user may choose about a network and its training, with constraints as data.

    `batch_size` in rows: "auto" takes the power of two nearest to a fiftieth of the rows, between 32 and 256, so that
    an epoch has some fifty steps; None is full batch. `max_iter` counts epochs. `alpha` is the factor of the L2
    penalty α/2 ‖W‖², `l1_alpha` that of α ‖W‖₁. `scaling` standardises inputs by column, or with one mean and scale
    for all columns ("shared": pixels), or not at all. `loss` is for regression. `tol` and `n_iter_no_change` end the
    run: by the validation loss with `early_stopping`, else by the training loss.
    """

    hidden_layer_sizes: tuple[int, ...] = (100,)
    activation: str = limited(OneOf(tuple(ACTIVATIONS)), "relu")
    initializer: str | None = limited(OneOf((None, *INITIALIZERS)), None)
    batch_norm: bool = limited(OneOf((False, True)), False)
    layer_norm: bool = limited(OneOf((False, True)), False)
    dropout: float = limited(Interval(0, 1, "[)", why="It is the fraction dropped."), 0.0)
    loss: str = limited(OneOf(tuple(REGRESSION_LOSSES)), "squared_error")
    optimizer: str | optimizers.Optimizer = "adam"
    learning_rate_init: float = limited(POSITIVE, 1e-3)
    schedule: str | schedules.Schedule = "constant"
    batch_size: int | str | None = "auto"
    max_iter: int = limited(COUNT, 100)
    alpha: float = limited(NOT_NEGATIVE, 0.0)
    l1_alpha: float = limited(NOT_NEGATIVE, 0.0)
    clip_norm: float | None = limited(Interval(0, float("inf"), "()", optional=True), None)
    early_stopping: bool = limited(OneOf((False, True)), False)
    validation_fraction: float = limited(Interval(0, 1, "()"), 0.1)
    n_iter_no_change: int = limited(COUNT, 10)
    tol: float = limited(NOT_NEGATIVE, 1e-4)
    label_smoothing: float = limited(SHARE, 0.0)
    scaling: str = limited(OneOf(("columns", "shared", "none")), "columns")
    engine: str = "auto"
    dtype: str = limited(OneOf(("float32", "float64")), "float32")
    seed: int = limited(Interval(0, 2**64, "[)", whole=True), 0)

    def check(self, owner: str, shown: Callable[[str], str] = str) -> None:
        """Raise one `InvalidValueError` that names every setting outside what it may be.

        `shown` gives the name by which the user knows a setting.
        """
        allowed = {shown(f.name): f.metadata["constraint"] for f in fields(self) if "constraint" in f.metadata}
        values = {shown(name): value for name, value in vars(self).items()}
        raise_all([*faults(owner, values, allowed), *self._other_faults(owner, shown)])

    def _other_faults(self, owner: str, shown: Callable[[str], str]) -> Iterator[str]:
        sizes, rows, known = self.hidden_layer_sizes, self.batch_size, ("auto", *ENGINES)
        if not isinstance(sizes, Sequence) or not all(_WIDTH.allows(size) for size in sizes):
            yield must_be(owner, shown("hidden_layer_sizes"), "whole numbers from 1 to 10 million", sizes)
        if rows not in ("auto", None) and not COUNT.allows(rows):
            yield must_be(owner, shown("batch_size"), "a whole number >= 1, 'auto' or None (full batch)", rows)
        if self.batch_norm and self.layer_norm:
            yield must_be(
                owner, shown("layer_norm"), f"False beside {shown('batch_norm')}", True, "Take one of the two."
            )
        if self.engine not in known:
            hint = did_you_mean(self.engine, known)
            yield must_be(owner, shown("engine"), "'auto' or an engine's name", self.engine, hint)
        for name, table, method in (("optimizer", OPTIMIZERS, "update"), ("schedule", SCHEDULES, "factor")):
            value = getattr(self, name)
            if isinstance(value, str) and value not in table:
                yield must_be(owner, shown(name), f"a known {name}", value, did_you_mean(value, table))
            elif not isinstance(value, str) and not hasattr(value, method):
                yield must_be(owner, shown(name), f"the name of a {name} or a {name}", value)

    def network(self, inputs: int, outputs: int) -> Net:
        """The network of these settings."""
        norm = _NORMS[self.batch_norm, self.layer_norm]
        return stack(
            inputs,
            self.hidden_layer_sizes,
            outputs,
            activation=self.activation,
            norm=norm,
            dropout=self.dropout,
            initializer=self.initializer,
        )

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
        clip = None if self.clip_norm is None else ClipNorm(self.clip_norm)
        penalty = Penalty(self.l1_alpha, self.alpha)
        batch_size = self.rows_per_batch(n)
        return Recipe(net, loss, optimizer, penalty, clip, {}, batch_size, self.seed, self.dtype)

    def course(self) -> Course:
        """Epochs, base rate, schedule."""
        schedule = SCHEDULES[self.schedule] if isinstance(self.schedule, str) else self.schedule
        return Course(self.max_iter, self.learning_rate_init, schedule)


@dataclass(frozen=True, eq=False)
class Target:
    """What the targets say: classes (or None), the loss, the number of logits, the scaling of the targets."""

    classes: Array | None
    loss: Loss
    outputs: int
    scaling: Standardizer | None
    smoothing: float = 0.0

    def encode(self, y: Array) -> Array:
        """Targets as the loss takes them: class numbers, 0/1 in one column, or scaled amounts (n, k).

        Raises `InvalidValueError` for a label that the training rows did not have, and for counts below 0.
        """
        if self.classes is None:
            amounts = np.asarray(y, np.float64).reshape(len(y), -1)
            if isinstance(self.loss, Poisson) and (amounts < 0).any():
                raise_all([must_be("y", "targets", "counts >= 0 for the Poisson loss", float(amounts.min()))])
            return amounts if self.scaling is None else self.scaling.apply(amounts)
        unknown = sorted(set(np.unique(y).tolist()) - set(self.classes.tolist()))
        raise_all([must_be("y", "labels", f"among {self.classes.tolist()}", unknown)] if unknown else [])
        codes: Array = np.searchsorted(self.classes, y)
        if self.outputs > 1:
            return codes
        return (codes * (1.0 - self.smoothing) + self.smoothing / 2.0)[:, None]


def classification(y: Array, settings: Settings) -> Target:
    """Two classes: one logit and the logistic loss. More: one logit each and softmax cross-entropy."""
    classes = check_classes(y)
    if len(classes) == 2:
        return Target(classes, BinaryCrossEntropy(), 1, None, settings.label_smoothing)
    return Target(classes, SoftmaxCrossEntropy(settings.label_smoothing), len(classes), None)


def regression(y: Array, settings: Settings, weights: Array | None = None) -> Target:
    """One output per column of y; targets are standardised where the link is the identity, weighted as inputs are."""
    loss = REGRESSION_LOSSES[settings.loss]
    amounts = np.asarray(y, np.float64).reshape(len(y), -1)
    scaled = getattr(loss, "link", "") == "identity"
    return Target(None, loss, amounts.shape[1], Standardizer.fit(amounts, weights=weights) if scaled else None)


def class_weights(classes: Array, y: Array, weight: Mapping[Any, float] | str | None) -> Array:
    """Weight of each row (n) from the weight of its class: "balanced" is n / (K · rows of the class), None is 1.

    Raises `InvalidValueError` for a word other than "balanced", labels that do not occur, weights below 0.

    >>> class_weights(np.array(["a", "b"]), np.array(["a", "a", "a", "b"]), "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    codes = np.searchsorted(classes, y)
    if weight is None:
        return np.ones(len(y))
    if isinstance(weight, str):
        allowed = "'balanced', a mapping of labels to weights, or None"
        raise_all([] if weight == "balanced" else [must_be("fit", "class_weight", allowed, weight)])
        counts = np.bincount(codes, minlength=len(classes))
        balanced = len(y) / (len(classes) * np.maximum(counts, 1))
        per_row: Array = np.take(balanced, codes)
        return per_row
    unknown = [label for label in weight if label not in classes.tolist()]
    found = [must_be("fit", "class_weight", f"for labels among {classes.tolist()}", unknown)] if unknown else []
    found += [must_be("fit", "class_weight", ">= 0", value) for value in weight.values() if not value >= 0]
    raise_all(found)
    return np.array([float(weight.get(label, 1.0)) for label in classes.tolist()])[codes]


def scaler(X: Array, scaling: str, weights: Array | None = None) -> Standardizer:
    """The scaling of inputs, from training rows only; a row of weight 2 counts as two rows."""
    if scaling == "none":
        return Standardizer.identity(X.shape[1])
    return Standardizer.fit(X, shared=scaling == "shared", weights=weights)


def train_model(
    X: Array,
    y: Array,
    target: Target,
    settings: Settings,
    *,
    weights: Array | None = None,
    validation: tuple[Array, ...] | None = None,
    monitors: Sequence[Monitor] = (),
    feature_names: Sequence[str] = (),
    target_name: str = "target",
    checkpoint: str | Path | None = None,
) -> tuple[Model, Run]:
    """Scale, train, and put what is needed to predict together.

    `validation` is (X, y) or (X, y, weights) in the user's units; with it, the best epoch's weights are kept. With a folder
    `checkpoint` the run is kept there, and the same call goes on where an earlier one was ended.
    """
    inputs = scaler(X, settings.scaling, weights)
    net = settings.network(X.shape[1], target.outputs)
    recipe = settings.recipe(net, target.loss, len(X))
    rows = Rows.of(recipe, inputs.apply(X, settings.dtype), target.encode(y), weights)
    held_out = None
    if validation is not None:
        held_out = Rows.of(
            recipe, inputs.apply(validation[0], settings.dtype), target.encode(validation[1]), *validation[2:]
        )
    course = settings.course()
    with (
        nullcontext(Forgetful()) if checkpoint is None else _kept(checkpoint, recipe, course, rows, held_out) as keeper
    ):
        run = train(recipe, rows, course, validation=held_out, monitors=monitors, engine=settings.engine, keeper=keeper)
    names = tuple(feature_names) or tuple(f"x{i}" for i in range(X.shape[1]))
    state = run.state
    model = Model(net, target.loss, state.w, state.buffers, inputs, target.scaling, target.classes, names, target_name)
    return model, run


def _kept(
    folder: str | Path, recipe: Recipe, course: Course, rows: Rows, held_out: Rows | None
) -> AbstractContextManager[Keeper]:
    return kept_in(folder, fingerprint(recipe, course, rows, held_out))


def stopping(settings: Settings, validated: bool) -> EarlyStopping:
    """The rule that ends a run of these settings: by validation loss where there are validation rows."""
    watched = "validation_loss" if validated else "train_loss"
    return EarlyStopping(settings.n_iter_no_change, settings.tol, watched, keep=validated)


def target_of(model: Model) -> Target:
    """What the targets of a trained model's task say."""
    return Target(model.classes, model.loss, model.net.outputs, model.targets)


def evaluate(model: Model, X: Array, y: Array) -> dict[str, float]:
    """Mean loss, in the loss's own (scaled) unit, and accuracy, or rmse and r2 in the targets' unit."""
    Y = target_of(model).encode(y)
    loss = float(model.loss.rows(np, model.logits(X), Y).mean())
    predicted = model.predict(X)
    if model.classes is not None:
        return {"loss": loss, "accuracy": float((predicted == y).mean())}
    error, spread = float(((predicted - y) ** 2).mean()), float(np.var(y, axis=0).mean())
    r2 = 1.0 - error / spread if spread > 0 else float("nan")
    return {"loss": loss, "rmse": error**0.5, "r2": r2}


def confusion(model: Model, X: Array, y: Array) -> Array:
    """Rows of true class i that were called class j: (K, K) whole numbers. For a classification only."""
    classes: Any = model.classes
    K = len(classes)
    pairs = np.searchsorted(classes, y) * K + np.searchsorted(classes, model.predict(X))
    return np.bincount(pairs, minlength=K * K).reshape(K, K)
