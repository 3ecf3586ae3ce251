"""What the papers share: pixels from 0 to 1, and errors on MNIST's own test rows.

In: a configuration and a seed; a recipe and a training configuration. Out: rows; losses and errors by epoch, with the
seconds they cost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Dataset, load, three_way
from chainrule.engines import Rows, Session, choose
from chainrule.nn.step import Recipe
from chainrule.studies.common import Split, Subset
from chainrule.studies.study import StudyConfig
from chainrule.train import TrainConfig
from chainrule.train.loop import iterate

QUICK_ROWS = 6000
"""Training rows of a quick study, at most."""


@lru_cache(maxsize=1)
def images(config: StudyConfig, seed: int, held_out: float = 0.0) -> Split:
    """Return rows divided by the largest value in the training rows: pixels from 0 to 1.

    `held_out` is the share of the training rows used for validation; with 0 there are no validation rows, and all 60,000
    rows of MNIST are trained on.

    >>> part = images(StudyConfig(), 0).train
    >>> float(part.X.min()), float(part.X.max()), part.X.shape
    (0.0, 1.0, (1348, 64))
    """
    dataset = load(config.data, config.target, task="classification" if config.target else None)
    parts = three_way(dataset, 0.25, held_out, seed)
    classes = np.unique(dataset.y)
    scale = float(np.abs(parts.train.X).max())
    order = np.random.default_rng(seed)

    def part(data: Dataset | None) -> Subset:
        if data is None:
            return Subset(np.zeros((0, dataset.X.shape[1]), np.float32), np.zeros(0, np.int64))
        i = order.permutation(len(data.y))
        return Subset((data.X[i] / scale).astype(np.float32), np.searchsorted(classes, data.y[i]))

    train, validation, test = part(parts.train), part(parts.validation), part(parts.test)
    train = train.first(QUICK_ROWS) if config.quick else train
    return Split(train, validation, test, len(classes), dataset.image_shape)


def followed(split: Split, recipe: Recipe, config: TrainConfig) -> dict[str, Any]:
    """Train on the training rows for all epochs, with no choice made on the way, and return the record.

    By epoch: training loss (with dropout), errors on validation rows (if any) and test rows, from 0 to 1, and steps
    done. `cpu_seconds` are those of training in all threads, which other programs on the machine barely change. A loss
    that is not finite ends the run as `diverged`: its loss is infinite, its errors are 1.
    """
    rows = Rows.of(recipe, split.train.X, split.train.y)
    session = choose("auto", recipe)[0].compile(recipe, rows)
    held_out = {"validation": split.validation} if len(split.validation.y) else {}
    parts = {**held_out, "test": split.test}
    losses: list[float] = []
    steps: list[int] = []
    errors: dict[str, list[float]] = {of: [] for of in parts}
    began = time.process_time()
    spent = 0.0
    diverged = False
    with np.errstate(all="ignore"):
        for epoch in iterate(session, recipe, rows, config):
            spent += time.process_time() - began
            diverged = not epoch.finite
            losses.append(math.inf if diverged else epoch.train_loss)
            steps.append(epoch.steps)
            for of, part in parts.items():
                errors[of].append(1.0 if diverged else _error(session, part))
            began = time.process_time()
    return {
        "train_loss": losses,
        "steps": np.cumsum(steps).tolist(),
        **{f"{of}_errors": curve for of, curve in errors.items()},
        **{f"{of}_error": curve[-1] for of, curve in errors.items()},
        "diverged": diverged,
        "cpu_seconds": round(spent, 2),
        "parameters": recipe.net.size,
    }


def _error(session: Session, part: Subset) -> float:
    """Return the share of rows that are assigned to a wrong class."""
    return float((session.logits(part.X).argmax(axis=1) != part.y).mean())


def best_rate(split: Split, recipe: Recipe, rates: Sequence[float], n: int, epochs: int = 1) -> float:
    """Return the rate with the lowest training loss after a short run on the first n training rows.

    The loss is that of the last epoch; a rate that diverges is not chosen.
    """
    short = replace(split, train=split.train.first(n), validation=split.validation.first(0), test=split.test.first(1))
    ends = {rate: followed(short, recipe, TrainConfig(epochs, rate))["train_loss"][-1] for rate in rates}
    return min(ends, key=lambda rate: float(ends[rate]))


def ratio(values: Array) -> float:
    """Return the last value over the first."""
    return float(values[-1] / max(values[0], 1e-300))
