"""What most studies share: the same rows, training, and the same record of a run.

In: a cell's configuration and seed, a network, how it is trained. Out: rows as the network takes them; a plain record.
"""

from __future__ import annotations

import math
from collections import defaultdict
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
from chainrule.studies.study import StudyConfig
from chainrule.train import Epoch, fit


@dataclass(frozen=True, eq=False)
class Subset:
    """Rows X (n, d), scaled, float32, and class numbers y (n)."""

    X: Array
    y: Array

    def first(self, n: int) -> Subset:
        """Return its first n rows; subsets come shuffled."""
        return Subset(self.X[:n], self.y[:n])

    def of_classes(self, classes: Array) -> Subset:
        """Return the rows of these classes only, renumbered from 0."""
        chosen = np.isin(self.y, classes)
        return Subset(self.X[chosen], np.searchsorted(np.sort(classes), self.y[chosen]))


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test rows of one seed, the number of classes, and the shape of an image row."""

    train: Subset
    validation: Subset
    test: Subset
    classes: int
    image_shape: tuple[int, int] | None

    @property
    def inputs(self) -> int:
        """Width of a row."""
        return int(self.train.X.shape[1])

    def each(self, change: Callable[[Subset], Subset], classes: int | None = None) -> Split:
        """Return the split with every subset changed."""
        train, validation, test = change(self.train), change(self.validation), change(self.test)
        return Split(train, validation, test, classes or self.classes, self.image_shape)


@lru_cache(maxsize=2)
def _source(data: str, target: str | None) -> Dataset:
    return load(data, target, task="classification" if target else None)


@lru_cache(maxsize=2)
def rows(config: StudyConfig, seed: int) -> Split:
    """Return the rows of a study, split and shuffled by the seed, scaled by the training rows.

    A quick study has at most 1,500 training rows.

    >>> rows(StudyConfig(), 0).train.X.shape
    (1146, 64)
    """
    dataset = _source(config.data, config.target)
    parts = three_way(dataset, 0.25, 0.15, seed)
    classes = np.unique(dataset.y)
    scaling = Standardizer.fit(parts.train.X, shared=dataset.shared_unit)
    order = np.random.default_rng(seed)

    def part(data: Dataset | None) -> Subset:
        assert data is not None
        i = order.permutation(len(data.y))
        return Subset(scaling.apply(data.X[i], "float32"), np.searchsorted(classes, data.y[i]))

    train, validation, test = part(parts.train), part(parts.validation), part(parts.test)
    train = train.first(1500) if config.quick else train
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
    batch_size: int | str = 64,
    penalty: Penalty = Penalty(),  # noqa: B008  (frozen)
    clip: Clip | None = None,
    learning_rate_multipliers: Mapping[str, float] | None = None,
    start: State | None = None,
) -> tuple[dict[str, Any], State | None]:
    """Train, and return a record by epoch (losses, errors from 0 to 1, gradient norms, seconds) and the last state.

    `test_error` is that of the last epoch on the test rows. A run whose loss is no longer finite ends with an error of 1 and
    `diverged`; the state is then the last finite one.
    """
    data, held_out = split.train, split.validation
    record: dict[str, list[float]] = defaultdict(list)
    state = start
    diverged = False
    seconds = 0.0
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
            batch_size=batch_size if isinstance(batch_size, str) else min(batch_size, len(data.y)),
            penalty=penalty,
            clip=clip,
            learning_rate_multipliers=learning_rate_multipliers,
            validation=(held_out.X, held_out.y),
            start=start,
            seed=seed,
        ):
            seconds += epoch.seconds
            for name, value in _measured(epoch).items():
                record[name].append(_plain(value))
            record["seconds"].append(_plain(seconds))
            diverged = not epoch.finite
            if diverged:
                break
            state = epoch.state()
        failed = 1.0 if diverged or state is None else error(net, state, split.test)
    return {**record, "test_error": failed, "diverged": diverged, "parameters": net.size}, state


def _measured(epoch: Epoch) -> dict[str, float]:
    """Return what a record has of one epoch."""
    return {
        "train_loss": epoch.train_loss,
        "train_error": 1.0 - epoch.train_score,
        "validation_loss": epoch.validation_loss,
        "validation_error": 1.0 - epoch.validation_score,
        "gradient_norm": epoch.gradient_norm,
    }


def error(net: Net, state: State, part: Subset) -> float:
    """Return the share of rows that are assigned to a wrong class."""
    Z = net(state, part.X)
    return float((np.argmax(Z, axis=1) != part.y).mean())


def first_state(net: Net, seed: int, dtype: str = "float32") -> State:
    """Return the state before the first step, with empty optimizer slots."""
    w, buffers = net.init(seed)
    return State(w.astype(dtype), buffers.astype(dtype), {}, 0)


def quick_or_full(config: StudyConfig, quick: int, full: int) -> int:
    """Return the first number in a quick study, the second in a full one."""
    return quick if config.quick else full


def with_train(split: Split, n: int) -> Split:
    """Return the split with its first n training rows only."""
    return replace(split, train=split.train.first(n))


def _plain(value: float) -> float:
    return float(f"{value:.6g}") if math.isfinite(value) else math.inf
