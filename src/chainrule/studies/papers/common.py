"""Why: papers on MNIST train on pixels from 0 to 1 and report errors on its own test rows; here all of them do.

In: a setting and a seed; a recipe and a course. Out: rows; losses and errors by epoch, with the seconds they cost.
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
from chainrule.studies.common import Part, Split
from chainrule.studies.study import Setting
from chainrule.train import TrainConfig
from chainrule.train.loop import iterate

QUICK_ROWS = 6000
"""Training rows of a quick setting, at most."""


@lru_cache(maxsize=1)
def images(setting: Setting, seed: int, held_out: float = 0.0) -> Split:
    """Rows divided by the largest number in the training rows, and no more: pixels from 0 to 1.

    `held_out` is the share of the training rows to choose by; with 0 there are no validation rows, and of MNIST all
    60,000 are learned from.

    >>> part = images(Setting(), 0).train
    >>> float(part.X.min()), float(part.X.max()), part.X.shape
    (0.0, 1.0, (1348, 64))
    """
    dataset = load(setting.data, setting.target, task="classification" if setting.target else None)
    parts, classes = three_way(dataset, 0.25, held_out, seed), np.unique(dataset.y)
    scale, order = float(np.abs(parts.train.X).max()), np.random.default_rng(seed)

    def part(data: Dataset | None) -> Part:
        if data is None:
            return Part(np.zeros((0, dataset.X.shape[1]), np.float32), np.zeros(0, np.int64))
        i = order.permutation(len(data.y))
        return Part((data.X[i] / scale).astype(np.float32), np.searchsorted(classes, data.y[i]))

    train, validation, test = part(parts.train), part(parts.validation), part(parts.test)
    train = train.first(QUICK_ROWS) if setting.quick else train
    return Split(train, validation, test, len(classes), dataset.image_shape)


def followed(split: Split, recipe: Recipe, config: TrainConfig) -> dict[str, Any]:
    """Train on the training rows to the end of the course, with no choice made on the way.

    By epoch: training loss (as trained, with dropout), errors on validation rows (if any) and test rows, shares from 0 to
    1, and steps done. `cpu_seconds` are those of training in all threads, which another program on the machine hardly
    changes. A loss that is not finite ends the run as `diverged`: its loss is infinite, its errors are 1.
    """
    rows = Rows.of(recipe, split.train.X, split.train.y)
    session = choose("auto", recipe)[0].compile(recipe, rows)
    held_out = {"validation": split.validation} if len(split.validation.y) else {}
    parts = {**held_out, "test": split.test}
    losses: list[float] = []
    steps: list[int] = []
    errors: dict[str, list[float]] = {of: [] for of in parts}
    began, spent, diverged = time.process_time(), 0.0, False
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


def _error(session: Session, part: Part) -> float:
    """Share of rows whose largest logit is another class's."""
    return float((session.logits(part.X).argmax(axis=1) != part.y).mean())


def best_rate(split: Split, recipe: Recipe, rates: Sequence[float], n: int, epochs: int = 1) -> float:
    """The rate with the lowest training loss after a short run on the first n training rows.

    The loss is that of the last epoch; a rate that diverges is not taken.
    """
    short = replace(split, train=split.train.first(n), validation=split.validation.first(0), test=split.test.first(1))
    ends = {rate: followed(short, recipe, TrainConfig(epochs, rate))["train_loss"][-1] for rate in rates}
    return min(ends, key=lambda rate: float(ends[rate]))


def ratio(values: Array) -> float:
    """Last over first."""
    return float(values[-1] / max(values[0], 1e-300))
