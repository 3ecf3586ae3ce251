"""Splits into training, validation and test rows; two runs of one seed hold out the same rows.

In: the rows' target or their number, a fraction and a seed. Out: sorted indices or three data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.data.dataset import Dataset
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


def three_way(dataset: Dataset, test_fraction: float, validation_fraction: float, seed: int) -> Parts:
    """Divide a data set into training, validation and test rows, stratified by class for classification.

    Parameters
    ----------
    dataset : Dataset
        All rows.
    test_fraction : float
        Share of all rows for testing; 0 for none. Ignored where the source has test rows of its own, which are used.
    validation_fraction : float
        Share for validation of the rows left after the test rows; 0 for none.
    seed : int
        Seed of the draw.

    Returns
    -------
    Parts

    Examples
    --------
    >>> parts = three_way(Dataset("toy", np.eye(10), np.arange(10.0), "regression", tuple("abcdefghij"), "t"),
    ...                   test_fraction=0.2, validation_fraction=0.25, seed=0)
    >>> len(parts.train.y), len(parts.validation.y), len(parts.test.y)
    (6, 2, 2)
    """
    fraction = 0.0 if dataset.test is not None else test_fraction
    rest, test = _part(dataset, fraction, seed, part=0)
    train, validation = _part(rest, validation_fraction, seed, part=1)
    return Parts(train, validation, dataset.test if dataset.test is not None else test)


def _part(dataset: Dataset, fraction: float, seed: int, part: int) -> tuple[Dataset, Dataset | None]:
    if fraction == 0:
        return dataset.rows(slice(None)), None
    rest, held_out = split(dataset.y, fraction, seed, stratify=dataset.task == "classification", part=part)
    return dataset.rows(rest), dataset.rows(held_out)


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
