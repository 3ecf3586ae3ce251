"""Which rows are for training, validation, and the test: one formula for every table and seed.

Let p = numpy.random.default_rng(seed).permutation(n).

- random, regression: the test rows are the first round(n / 5) of p.
- random, classification: of each class, the first round(n_c / 5) of its rows in the order of p; a class keeps at least
  one row for training.
- group: n counts the groups, in the order of their first rows; the test rows are those of the first round(n / 5) groups.
- time: the last round(n / 5) rows in the order of time, whatever the seed.

The validation rows are the same formula on the rest, with the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from bench.tables.tables import Table

Array = np.ndarray[Any, Any]

FRACTION = 5
"""One row in so many is held out."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers, ascending."""

    train: Array
    """All rows that are not for the test, the validation rows included."""
    validation: Array
    test: Array


def split(table: Table, frame: pl.DataFrame, seed: int) -> Split:
    """Return the rows for training, validation, and the test."""
    rows = np.arange(frame.height)
    test = held_out(table, frame, seed)
    train = np.setdiff1d(rows, test)
    validation = train[held_out(table, frame[train], seed)]
    return Split(train, validation, test)


def held_out(table: Table, frame: pl.DataFrame, seed: int) -> Array:
    """Return a fifth of the rows, in ascending order."""
    rng = np.random.default_rng(seed)
    if table.split == "time":
        order = frame[table.by[0]].arg_sort().to_numpy()
        chosen = order[frame.height - round(frame.height / FRACTION) :]
    elif table.split == "group":
        groups = group_codes(frame.select(table.by))
        n_groups = int(groups.max()) + 1
        picked = rng.permutation(n_groups)[: round(n_groups / FRACTION)]
        chosen = np.flatnonzero(np.isin(groups, picked))
    elif table.task == "classification":
        permutation = rng.permutation(frame.height)
        classes = group_codes(frame.select(table.target))[permutation]
        parts = []
        for code in range(int(classes.max()) + 1):
            members = permutation[classes == code]
            parts.append(members[: min(round(len(members) / FRACTION), len(members) - 1)])
        chosen = np.concatenate(parts)
    else:
        chosen = rng.permutation(frame.height)[: round(frame.height / FRACTION)]
    return np.sort(chosen)


def group_codes(keys: pl.DataFrame) -> Array:
    """Return the number of each row's group, counted in the order of the groups' first rows."""
    places = keys.with_row_index("_row").select(pl.col("_row").min().over(keys.columns)).to_series().to_numpy()
    return np.unique(places, return_inverse=True)[1]
