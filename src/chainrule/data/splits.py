"""Splits into training, validation and test rows; two runs of one seed hold out the same rows.

In: the rows' target or their number, a fraction and a seed. Out: sorted indices or three data sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.data.dataset import Dataset
from chainrule.data.folds import assign_groups, time_blocks
from chainrule.data.targets import Task
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.random import Purpose, Stream


@dataclass(frozen=True, eq=False)
class Parts:
    """A data set divided into rows to train on, rows to choose by, and rows to report on.

    Parameters
    ----------
    train : Dataset
        Rows to train on.
    validation : Dataset or None
        Rows by which epochs and settings are chosen.
    test : Dataset or None
        Rows on which the result is reported.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None


def split(
    y_or_n: Array | int, fraction: float, seed: int, stratify: bool = False, part: int = 0
) -> tuple[Array, Array]:
    """Divide rows at random into those that stay and those held out.

    round(fraction · n) rows are held out, at least one and never all.

    Parameters
    ----------
    y_or_n : array of shape (n,) or int
        The target, or the number of rows where nothing is stratified.
    fraction : float
        Share of rows to hold out, in (0, 1).
    seed : int
        Seed of the draw.
    stratify : bool, default=False
        Whether to hold out y's classes in proportion (largest remainder). Every class of two or more rows then has a
        row on both sides, even where that holds out more; the only row of a class stays.
    part : int, default=0
        Number of the split; splits of different numbers draw independently.

    Returns
    -------
    rest : array of int
        Numbers of the rows that stay, sorted.
    held_out : array of int
        Numbers of the other rows, sorted.

    Raises
    ------
    InvalidValueError
        For a fraction outside (0, 1), fewer than two rows, or classes of one row only.

    Examples
    --------
    >>> rest, held_out = split(np.array(["a", "a", "b", "b", "b", "b"]), 0.5, seed=0, stratify=True)
    >>> len(rest), len(held_out)
    (3, 3)
    """
    n = int(y_or_n) if isinstance(y_or_n, int | np.integer) else len(y_or_n)
    raise_all(_faults(y_or_n, n, fraction, stratify))
    class_of_row = np.unique(y_or_n, return_inverse=True)[1] if stratify else np.zeros(n, dtype=np.int64)
    counts = np.bincount(class_of_row)
    quotas = _quotas(counts, fraction)
    if not quotas.any():
        raise InvalidValueError(
            f"split: y must have a class with at least two rows, got {n} rows of {n} classes. "
            "Collect more rows, or hold out fewer."
        )
    order = Stream.from_seed(seed).fold(Purpose.SPLIT, part).permutation(np, n)
    by_class = order[np.argsort(class_of_row[order], kind="stable")]
    place_in_class = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    held_out = place_in_class < np.repeat(quotas, counts)
    return np.sort(by_class[~held_out]), np.sort(by_class[held_out])


def split_by_group(
    groups: Array, fraction: float, seed: int, y: Array | None = None, part: int = 0
) -> tuple[Array, Array]:
    """Divide rows such that all rows of one group are on one side: of a patient, a household, a machine.

    Groups are taken in random order, each to the side that then comes nearest to its share of rows. With a random split,
    rows of one group would be on both sides, and a model that recognizes the group would look better than it is.

    Parameters
    ----------
    groups : array of shape (n,)
        The group of each row: numbers or text.
    fraction : float
        Share of rows to hold out, in (0, 1).
    seed : int
        Seed of the draw.
    y : array of shape (n,), default=None
        Labels whose shares are kept as far as the groups allow.
    part : int, default=0
        Number of the split; splits of different numbers draw independently.

    Returns
    -------
    rest : array of int
        Numbers of the rows that stay, sorted.
    held_out : array of int
        Numbers of the other rows, sorted.

    Raises
    ------
    InvalidValueError
        For a fraction outside (0, 1), missing groups, and fewer than two of them.

    Examples
    --------
    >>> rest, held_out = split_by_group(np.array(["a", "a", "b", "b", "c", "c"]), 0.3, seed=0)
    >>> len(rest), len(held_out)
    (4, 2)
    """
    raise_all(_faults(len(groups), len(groups), fraction, False))
    side = assign_groups("split", groups, (1 - fraction, fraction), seed, y, part)
    return np.flatnonzero(side == 0), np.flatnonzero(side == 1)


def split_by_time(times: Array, fraction: float) -> tuple[Array, Array]:
    """Divide rows such that the latest are held out, as when a model predicts the future.

    Rows of one time stay on one side, so that the share held out is only near `fraction`.

    Parameters
    ----------
    times : array of shape (n,)
        When each row was measured: numbers, dates or text that sorts by time, in any order.
    fraction : float
        Share of rows to hold out, in (0, 1).

    Returns
    -------
    rest : array of int
        Numbers of the earlier rows, sorted by row.
    held_out : array of int
        Numbers of the later rows, sorted by row.

    Raises
    ------
    InvalidValueError
        For a fraction outside (0, 1), for times that are missing or cannot be sorted, and where all are the same.

    Examples
    --------
    >>> [part.tolist() for part in split_by_time(np.array([2021, 2024, 2022, 2023]), 0.25)]
    [[0, 2, 3], [1]]
    """
    raise_all(_faults(len(times), len(times), fraction, False))
    block = time_blocks("split", times, (1 - fraction, fraction))
    return np.flatnonzero(block == 0), np.flatnonzero(block == 1)


def three_way(
    dataset: Dataset,
    test_fraction: float,
    validation_fraction: float,
    seed: int,
    *,
    group: Array | None = None,
    time: Array | None = None,
    validation: Dataset | None = None,
    test: Dataset | None = None,
) -> Parts:
    """Divide a data set into training, validation and test rows, stratified by class for classification.

    Parameters
    ----------
    dataset : Dataset
        All rows.
    test_fraction : float
        Share of all rows for testing; 0 for none. Ignored where there are test rows already.
    validation_fraction : float
        Share for validation of the rows left after the test rows; 0 for none. Ignored where `validation` is given.
    seed : int
        Seed of the draw.
    group : array of shape (n,), default=None
        The group of each row; all rows of a group are in one part.
    time : array of shape (n,), default=None
        When each row was measured: the last rows are the test rows, those before them the validation rows.
    validation : Dataset, default=None
        Validation rows that are given, as in a file of their own.
    test : Dataset, default=None
        Test rows that are given, in place of those that the source itself may have.

    Returns
    -------
    Parts

    Raises
    ------
    InvalidValueError
        For `group` and `time` together, for one of another length than the rows, and as `split`, `split_by_group` and
        `split_by_time` do.

    Examples
    --------
    >>> parts = three_way(Dataset("toy", np.eye(10), np.arange(10.0), "regression", tuple("abcdefghij"), "t"),
    ...                   test_fraction=0.2, validation_fraction=0.25, seed=0)
    >>> len(parts.train.y), len(parts.validation.y), len(parts.test.y)
    (6, 2, 2)
    """
    raise_all(_key_faults(dataset, {"group": group, "time": time}, {"validation": validation, "test": test}))
    test = dataset.test if test is None else test
    rest = np.arange(len(dataset.y))
    rows: list[Array | None] = []
    for part, fraction, given in ((0, test_fraction, test), (1, validation_fraction, validation)):
        held_out = None
        if fraction != 0 and given is None:
            keys = [None if key is None else key[rest] for key in (group, time)]
            stay, leave = _part(dataset.y[rest], dataset.task, fraction, seed, part, *keys)
            rest, held_out = rest[stay], rest[leave]
        rows.append(held_out)
    found = [None if held_out is None else dataset.rows(held_out) for held_out in rows]
    whole = len(rest) == len(dataset.y)
    return Parts(dataset.rows(slice(None) if whole else rest), validation or found[1], test or found[0])


def _part(
    y: Array, task: Task, fraction: float, seed: int, part: int, group: Array | None, time: Array | None
) -> tuple[Array, Array]:
    classes = task == "classification"
    if time is not None:
        return split_by_time(time, fraction)
    if group is not None:
        return split_by_group(group, fraction, seed, y if classes else None, part)
    return split(y, fraction, seed, stratify=classes, part=part)


def _key_faults(
    dataset: Dataset, keys: Mapping[str, Array | None], given: Mapping[str, Dataset | None]
) -> Iterator[str]:
    n = len(dataset.y)
    if all(key is not None for key in keys.values()):
        yield must_be(dataset.name, "group", "None beside time", "both", "Rows are split by the one or by the other.")
    for name, key in keys.items():
        if key is not None and np.shape(key) != (n,):
            yield must_be(dataset.name, name, f"of shape ({n},), one for each row", np.shape(key))
    for name, part in given.items():
        if part is not None and part.feature_names != dataset.feature_names:
            names = [each for each in dataset.feature_names if each not in part.feature_names]
            hint = f"Without {names}." if names else "They stand in another order, or there are more."
            yield must_be(dataset.name, name, "of the same columns", f"{len(part.feature_names)} columns", hint)


def _faults(y_or_n: Array | int, n: int, fraction: float, stratify: bool) -> list[str]:
    faults = []
    if not 0 < fraction < 1:
        faults.append(must_be("split", "fraction", "in (0, 1)", fraction, "It is the share held out."))
    if n < 2:
        faults.append(must_be("split", "the number of rows", "at least 2", n, "Each side needs one."))
    if stratify and np.ndim(y_or_n) == 0:
        faults.append(must_be("split", "y_or_n", "the labels when `stratify` is True", y_or_n))
    return faults


def _quotas(counts: Array, fraction: float) -> Array:
    """Count the rows to hold out of each class: floor(fraction · count), and one more for the largest remainders."""
    share = fraction * counts
    low, high = np.minimum(1, counts - 1), counts - 1
    quotas = np.clip(np.floor(share).astype(np.int64), low, high)
    missing = round(fraction * int(counts.sum())) - int(quotas.sum())
    room = np.flatnonzero(quotas < high)
    by_remainder = room[np.argsort(quotas[room] - share[room], kind="stable")]
    quotas[by_remainder[: max(missing, 0)]] += 1
    return quotas
