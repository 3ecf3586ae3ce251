"""Running figures of columns in the compiled extension: moments, facts of numbers, counts by leading bits.

In: blocks of rows. Out: figures in arrays of the caller; None where the extension cannot compute them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import why_unavailable
from chainrule.engines.border import ready
from chainrule.engines.native import extension

FAULTY = -1.0
"""Stands for rows with a number that is not finite or too large."""

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _extension() -> Any:
    return None if why_unavailable("native") else extension()


def add_moments(
    X: Array | list[Array],
    used: Array | None,
    weights: Array | None,
    before: tuple[Array, float],
    state: Array,
    hashes: Array | None = None,
) -> float | None:
    """Add rows to running moments.

    Parameters
    ----------
    X : array of shape (n, d), or list of arrays of shape (n,)
        Rows, float32 or float64, in any order in memory; or their columns.
    used : array of bool of shape (n,) or None
        Rows that count; None counts all.
    weights : array of shape (n,) or None
        Weights >= 0 of all rows; None is 1.
    before : tuple of (array of shape (d,), float)
        What numbers are taken as distances from, and the weight of all rows so far.
    state : array of shape (5, d), float64
        Weights of numbers that are not 0, lowest and highest distance, their mean, squares about it; changed in place.
    hashes : array of shape (n,), uint64, or None, default=None
        Written with the hash of each row, whether it counts or not.

    Returns
    -------
    float or None
        The weight of all rows now, `FAULTY` where a number that counts is not finite or too large; None without the
        extension.
    """
    module = _extension()
    if module is None or (isinstance(X, np.ndarray) and (X.dtype not in _FLOATS or not X.flags.aligned)):
        return None
    first, weight = before
    mask = None if used is None else ready(used, np.bool_).view(np.uint8)
    each = None if weights is None else ready(weights, np.float64)
    found: float = module.add_moments(
        X=X, used=mask, weights=each, first=ready(first, np.float64), weight=weight, state=state, hashes=hashes
    )
    return found


def scaled_columns(columns: list[Array], scaling: tuple[Array, Array], rows: Array | None, into: Array) -> bool:
    """Write (x - mean) / scale of columns that lie apart into rows.

    Parameters
    ----------
    columns : list of arrays of shape (n,)
        The columns, all float32 or all float64.
    scaling : tuple of arrays of shape (d,)
        Mean and scale.
    rows : array of int of shape (m,) or None
        Numbers of the rows to write; None writes all.
    into : array of shape (n, d) or (m, d)
        What is written, contiguous.

    Returns
    -------
    bool
        False if a number is not finite or out of range, or without the extension.
    """
    module = _extension()
    if module is None or into.dtype not in _FLOATS:
        return False
    visited = None if rows is None else ready(rows, np.uint32)
    mean, scale = (ready(each, np.float64) for each in scaling)
    return bool(module.scale_columns(columns, visited, mean, scale, into))


def add_facts(values: Array, facts: Array, counts: Array) -> bool:
    """Continue the facts of a column, and count its numbers by the leading 16 bits that they have in float32.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, float32 or float64; what is not finite is a gap.
    facts : array of shape (8,), float64
        Numbers that are no gaps, infinite ones, lowest, highest, last, and 1 for whole, for steps of one, for rising.
    counts : array of int64 of shape (65536,)
        Counts, changed in place.

    Returns
    -------
    bool
        False without the extension.
    """
    module = _extension()
    if module is None:
        return False
    module.add_facts(ready(values, values.dtype), facts, counts)
    return True


def with_leading(values: Array, leading: int) -> Array:
    """Return those numbers that have these leading 16 bits in float32, as float64.

    Parameters
    ----------
    values : array of shape (n,)
        Numbers, float32 or float64.
    leading : int
        The leading 16 bits.

    Returns
    -------
    array of shape (k,)
    """
    module = _extension()
    if module is None:
        found: Array = values[np.isfinite(values) & (leading_bits(values) == leading)].astype(np.float64)
        return found
    into = np.empty(len(values))
    count = module.with_leading(ready(values, values.dtype), leading, into)
    return into[:count].copy()


def leading_bits(values: Array) -> Array:
    """Return the leading 16 bits of numbers in float32, as whole numbers in the order of the numbers.

    >>> leading_bits(np.array([-1.0, 0.0, 2.0])).tolist()
    [16511, 32768, 49152]
    """
    with np.errstate(over="ignore"):
        bits = (values.astype(np.float32) + np.float32(0)).view(np.uint32)
    found: Array = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)) >> np.uint32(16)
    return found


def number_of_leading(leading: int) -> float:
    """Return the number, nearest to 0, that has these leading bits.

    >>> number_of_leading(49152), number_of_leading(16511)
    (2.0, -1.0)
    """
    key = np.uint32(leading << 16)
    bits = key & np.uint32(0x7FFFFFFF) if leading >> 15 else ~key & np.uint32(0xFFFF0000)
    return float(np.array(bits, np.uint32).view(np.float32))
