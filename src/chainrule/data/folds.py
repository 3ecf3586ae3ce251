"""Folds of rows: at random, by class, by group, or as blocks of time.

In: the target or the number of rows, groups or times, a seed. Out: sorted indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import Interval
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.random import Purpose, Stream

_FOLDS = Interval(2, 10, "[]", whole=True)


def folds(
    y_or_n: Array | int,
    k: int,
    seed: int,
    stratify: bool = False,
    groups: Array | None = None,
    times: Array | None = None,
) -> tuple[tuple[Array, Array], ...]:
    """Divide rows into k folds, each of which is held out once.

    Parameters
    ----------
    y_or_n : array of shape (n,) or int
        The target, or the number of rows where nothing is stratified.
    k : int
        Number of folds, from 2 to 10.
    seed : int
        Seed of the draw.
    stratify : bool, default=False
        Whether each fold has y's classes in proportion, to within one row of each class (with groups, as far as they
        allow). A class of fewer than k rows is missing in some folds.
    groups : array of shape (n,), default=None
        The group of each row; all rows of a group are in one fold.
    times : array of shape (n,), default=None
        When each row was measured: the folds are blocks of time, so that a row is never predicted from those just beside
        it, and nothing is drawn.

    Returns
    -------
    tuple of k pairs of arrays of int
        Numbers of the rows to train on and of those held out, sorted. Every row is held out in one pair.

    Raises
    ------
    InvalidValueError
        For k outside 2 to 10, fewer rows, groups or times than folds, and groups beside times.

    Examples
    --------
    >>> [held_out.tolist() for _, held_out in folds(6, 3, seed=0, times=np.array([5, 1, 4, 2, 3, 6]))]
    [[1, 3], [2, 4], [0, 5]]
    """
    n = int(y_or_n) if isinstance(y_or_n, int | np.integer) else len(y_or_n)
    raise_all(_faults(y_or_n, n, k, stratify, groups, times))
    shares = (1 / k,) * k
    y = np.asarray(y_or_n) if stratify else None
    if times is not None:
        fold = time_blocks("folds", times, shares)
    elif groups is not None:
        fold = assign_groups("folds", groups, shares, seed, y, largest_first=True)
    else:
        fold = _dealt(np.zeros(n) if y is None else y, k, seed)
    return tuple((np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k))


def _dealt(y: Array, k: int, seed: int) -> Array:
    """Return the fold of each row: rows in random order, class after class, are dealt to the folds in turn."""
    n = len(y)
    order = Stream.from_seed(seed).fold(Purpose.SPLIT, *b"folds").permutation(np, n)
    class_of_row = np.unique(y, return_inverse=True)[1]
    dealt = order[np.argsort(class_of_row[order], kind="stable")]
    fold = np.empty(n, np.int64)
    fold[dealt] = np.arange(n) % k
    return fold


def assign_groups(
    owner: str,
    groups: Array,
    shares: Sequence[float],
    seed: int,
    y: Array | None = None,
    part: int = 0,
    largest_first: bool = False,
) -> Array:
    """Return the side of each row (n), such that all rows of a group are on one side.

    Each group goes to the side where the squared distances of the sides' shares of rows (with y, of each class's rows) to
    `shares` are then smallest; no side stays empty.
    """
    groups = np.asarray(groups)
    raise_all(_missing_faults(owner, "group", groups))
    names, group_of_row = np.unique(groups, return_inverse=True)
    if len(names) < len(shares):
        hint = "Each side needs one of its own."
        raise InvalidValueError(must_be(owner, "group", f"of at least {len(shares)} values", len(names), hint))
    class_of_row = np.zeros(len(groups), np.int64) if y is None else np.unique(y, return_inverse=True)[1]
    K = int(class_of_row.max()) + 1
    counts = np.bincount(group_of_row * K + class_of_row, minlength=len(names) * K).reshape(-1, K)
    order = Stream.from_seed(seed).fold(Purpose.SPLIT, part, *b"groups").permutation(np, len(names))
    if largest_first:
        order = order[np.argsort(-counts.sum(axis=1)[order], kind="stable")]
    return _greedy(counts / counts.sum(axis=0), np.asarray(shares), order)[group_of_row]


def _greedy(counts: Array, shares: Array, order: Array) -> Array:
    """Return the side of each group, from its shares of the classes' rows (groups, K)."""
    side = np.empty(len(counts), np.int64)
    have = np.tile(-shares[:, None], (1, counts.shape[1]))  # what each side has, less what it should have
    empty = np.ones(len(shares), bool)
    for left, g in zip(range(len(order), 0, -1), order, strict=True):
        cost = ((have + counts[g]) ** 2 - have**2).sum(axis=1)
        if left <= empty.sum():
            cost = np.where(empty, cost, np.inf)
        chosen = int(cost.argmin())
        have[chosen] += counts[g]
        empty[chosen] = False
        side[g] = chosen
    return side


def time_blocks(owner: str, times: Array, shares: Sequence[float]) -> Array:
    """Return the block of each row (n), by ascending time, of sizes near `shares`; rows of one time are in one block."""
    times = np.asarray(times)
    raise_all(_missing_faults(owner, "time", times))
    try:
        values, time_of_row = np.unique(times, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in times.tolist()})
        hint = "Give numbers, dates, or text that sorts by time."
        raise InvalidValueError(must_be(owner, "time", "values that can be sorted", kinds, hint)) from error
    if len(values) < len(shares):
        hint = "Rows of one time stay together."
        raise InvalidValueError(must_be(owner, "time", f"of at least {len(shares)} values", len(values), hint))
    until = np.cumsum(np.bincount(time_of_row))
    ends: list[int] = []
    for i, share in enumerate(np.cumsum(shares)[:-1]):
        first = ends[-1] + 1 if ends else 0
        last = len(values) - len(shares) + i
        nearest = np.abs(until[first : last + 1] - share * len(times)).argmin()
        ends.append(first + int(nearest))
    return np.searchsorted(np.array(ends), time_of_row, side="left")


def _missing_faults(owner: str, name: str, keys: Array) -> Iterator[str]:
    """Yield a sentence where some rows have no group or time: None, NaN or NaT."""
    missing = (
        np.array([key is None or key != key for key in keys.tolist()], bool) if keys.dtype == object else keys != keys
    )
    if missing.any():
        hint = f"Fill the gaps, or leave those rows out. The first is row {int(missing.argmax())} (counted from 0)."
        yield must_be(owner, name, "without gaps", f"{int(missing.sum())} missing", hint)


def _faults(
    y_or_n: Array | int, n: int, k: int, stratify: bool, groups: Array | None, times: Array | None
) -> Iterator[str]:
    if not _FOLDS.allows(k):
        yield must_be("folds", "k", str(_FOLDS), k)
    elif n < k:
        yield must_be("folds", "the number of rows", f"at least {k}", n, "Each fold needs one.")
    if stratify and np.ndim(y_or_n) == 0:
        yield must_be("folds", "y_or_n", "the labels when `stratify` is True", y_or_n)
    if groups is not None and times is not None:
        yield must_be("folds", "groups", "None beside times", "both", "Rows are divided by the one or by the other.")
    for name, keys in (("groups", groups), ("times", times)):
        if keys is not None and np.shape(keys) != (n,):
            yield must_be("folds", name, f"of shape ({n},), one for each row", np.shape(keys))
