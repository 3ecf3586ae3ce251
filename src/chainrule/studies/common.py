"""Why: most studies train networks on the same rows and look at the same figures; they should do both alike.

In: a cell's setting and seed, a network, how it is trained. Out: rows as the network takes them; a plain record of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Dataset, Standardizer, load, three_way
from chainrule.nn.losses import Loss, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.optimizers import Adam, Optimizer
from chainrule.nn.penalties import Clip, Penalty
from chainrule.nn.schedules import ConstantSchedule, Schedule
from chainrule.nn.step import State
from chainrule.studies.study import Setting
from chainrule.train import fit


@dataclass(frozen=True, eq=False)
class Part:
    """Rows X (n, d), scaled, float32, and class numbers y (n)."""

    X: Array
    y: Array

    def first(self, n: int) -> Part:
        """Its first n rows; parts come shuffled."""
        return Part(self.X[:n], self.y[:n])

    def of_classes(self, classes: Array) -> Part:
        """Rows of these classes only, numbered anew from 0."""
        chosen = np.isin(self.y, classes)
        return Part(self.X[chosen], np.searchsorted(np.sort(classes), self.y[chosen]))


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test rows of one seed, the number of classes, and the shape of an image row."""

    train: Part
    validation: Part
    test: Part
    classes: int
    image_shape: tuple[int, int] | None

    @property
    def inputs(self) -> int:
        """Width of a row."""
        return int(self.train.X.shape[1])

    def each(self, change: Callable[[Part], Part], classes: int | None = None) -> Split:
        """The split with every part changed."""
        train, validation, test = change(self.train), change(self.validation), change(self.test)
        return Split(train, validation, test, classes or self.classes, self.image_shape)


@lru_cache(maxsize=2)
def _source(data: str, target: str | None) -> Dataset:
    return load(data, target, task="classification" if target else None)


@lru_cache(maxsize=2)
def rows(setting: Setting, seed: int) -> Split:
    """The rows of a setting, split and shuffled by the seed, scaled by the training rows.

    A quick setting has at most 1,500 training rows.

    >>> rows(Setting(), 0).train.X.shape
    (1146, 64)
    """
    dataset = _source(setting.data, setting.target)
    parts = three_way(dataset, 0.25, 0.15, seed)
    classes = np.unique(dataset.y)
    scaling = Standardizer.fit(parts.train.X, shared=dataset.shared_unit)
    order = np.random.default_rng(seed)

    def part(data: Dataset | None) -> Part:
        assert data is not None
        i = order.permutation(len(data.y))
        return Part(scaling.apply(data.X[i], "float32"), np.searchsorted(classes, data.y[i]))

    train, validation, test = part(parts.train), part(parts.validation), part(parts.test)
    train = train.first(1500) if setting.quick else train
    return Split(train, validation, test, len(classes), dataset.image_shape)


def trained(
    split: Split,
    net: Net,
    *,
    seed: int,
    epochs: int,
    loss: Loss = SoftmaxCrossEntropy(),  # noqa: B008  (frozen)
    optimizer: Optimizer = Adam(),  # noqa: B008  (frozen)
    rate: float = 1e-3,
    schedule: Schedule = ConstantSchedule(),  # noqa: B008  (frozen)
    batch_size: int | None = 64,
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    clip: Clip | None = None,
    learning_rate_multipliers: Mapping[str, float] | None = None,
    start: State | None = None,
) -> tuple[dict[str, Any], State | None]:
    """Train, and record by epoch: losses, errors (shares from 0 to 1), gradient norms, seconds since the start.

    `test_error` is the last epoch's on the test rows; a run whose loss is no longer finite ends there with an error of 1
    and `diverged`. The state is the last finite one.
    """
    data, held_out = split.train, split.validation
    record: dict[str, list[float]] = {name: [] for name in _CURVES}
    state, diverged, seconds = start, False, 0.0
    with np.errstate(all="ignore"):
        for epoch in fit(
            net,
            data.X,
            data.y,
            loss=loss,
            optimizer=optimizer,
            learning_rate=rate,
            schedule=schedule,
            epochs=epochs,
            batch_size=None if batch_size is None else min(batch_size, len(data.y)),
            penalty=penalty,
            clip=clip,
            learning_rate_multipliers=learning_rate_multipliers,
            validation=(held_out.X, held_out.y),
            start=start,
            seed=seed,
        ):
            seconds += epoch.seconds
            figures = (
                epoch.train_loss,
                1.0 - epoch.train_score,
                epoch.validation_loss,
                1.0 - epoch.validation_score,
                epoch.gradient_norm,
                seconds,
            )
            for name, value in zip(_CURVES, figures, strict=True):
                record[name].append(_plain(value))
            diverged = not epoch.finite
            if diverged:
                break
            state = epoch.state()
        failed = 1.0 if diverged or state is None else error(net, state, split.test)
    return {**record, "test_error": failed, "diverged": diverged, "parameters": net.size}, state


_CURVES = ("train_loss", "train_error", "validation_loss", "validation_error", "gradient_norm", "seconds")


def error(net: Net, state: State, part: Part) -> float:
    """Share of rows whose largest logit is another class's."""
    Z = net(state.w, state.buffers, part.X)
    return float((np.argmax(Z, axis=1) != part.y).mean())


def first_state(net: Net, seed: int, dtype: str = "float32") -> State:
    """Numbers before the first step, with empty memory: to look at a network that was not trained."""
    w, buffers = net.init(seed)
    return State(w.astype(dtype), buffers.astype(dtype), {}, 0)


def constrained(setting: Setting, quick: int, full: int) -> int:
    """How many: fewer in a quick study."""
    return quick if setting.quick else full


def with_train(split: Split, n: int) -> Split:
    """The split with its first n training rows only."""
    return replace(split, train=split.train.first(n))


def _plain(value: float) -> float:
    return float(f"{value:.6g}") if math.isfinite(value) else math.inf
