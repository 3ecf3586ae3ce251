"""What a peer receives, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from bench.tables.splits import Array, split
from bench.tables.tables import Table, Task, features, load


class Absent(Exception):
    """A peer that is not installed here, with the reason."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One table, split by one seed."""

    train: pl.DataFrame
    y: Array
    """Float64 values, or class numbers 0 .. n_classes - 1."""
    test: pl.DataFrame
    task: Task
    seed: int
    validation: Array
    """Rows of `train` for peers that need validation rows; the others train on all rows of `train`."""
    n_classes: int = 0
    seconds: float = 600.0
    threads: int = 1
    target: str = "y"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """What an ablation changes."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Values of shape (n,), or probabilities of shape (n, n_classes), and what they took."""

    values: Array
    fit_seconds: float
    predict_seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)


def build(table: Table, seed: int, **settings: Any) -> tuple[Problem, Array]:
    """Return the problem and the test rows' target."""
    frame = load(table)
    parts = split(table, frame, seed)
    y, n_classes = codes(frame[table.target], table.task)
    rows = features(table, frame)
    problem = Problem(
        train=rows[parts.train],
        y=y[parts.train],
        test=rows[parts.test],
        task=table.task,
        seed=seed,
        validation=np.searchsorted(parts.train, parts.validation),
        n_classes=n_classes,
        target=table.target,
        **settings,
    )
    return problem, y[parts.test]


def codes(target: pl.Series, task: Task) -> tuple[Array, int]:
    """Return floats and 0, or the numbers of the sorted classes and how many there are."""
    if task == "regression":
        return target.cast(pl.Float64).to_numpy(), 0
    classes, numbers = np.unique(target.cast(pl.String).to_numpy().astype(str), return_inverse=True)
    return numbers, len(classes)
