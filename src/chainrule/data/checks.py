"""Checks of numbers before anything is learned from them; each fault is named by its place.

In: an array or the rows at fault. Out: sentences for `raise_all` that name column, row and value.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be

MOST_COLUMNS = 1_000_000
"""Columns of an array, each of which gets a name."""


def check_columns(owner: str, argument: str, count: int, most: int = MOST_COLUMNS) -> None:
    """Refuse more columns than can be handled one by one."""
    if count > most:
        raise InvalidValueError(must_be(owner, argument, f"of at most {most:,} columns", f"{count:,}"))


def cell_fault(owner: str, column: str, allowed: str, value: object, rows: Array, hint: str) -> str:
    """Describe a faulty column of a table by its first faulty cell and the number of others.

    `rows` are positions counted from 0; the sentence counts data rows from 1 and leaves the header out.

    >>> cell_fault("pets.csv", "age", "numeric", "old", np.array([2, 5]), "Drop or encode the column.")
    "pets.csv: column 'age' must be numeric, got 'old' in row 3 (and 1 more row). Drop or encode the column."
    """
    others = len(rows) - 1
    more = f" (and {others:,} more row{'s' * (others > 1)})" if others else ""
    return f"{owner}: column {column!r} must be {allowed}, got {value!r} in row {rows[0] + 1}{more}. {hint}"


def check_numeric(owner: str, argument: str, values: Array) -> None:
    """Refuse an array of anything but booleans, whole numbers or real numbers."""
    if values.dtype.kind not in "biuf":
        raise InvalidValueError(
            f"{owner}: {argument} must be numeric, got an array of {values.dtype}. Encode text first."
        )


LARGEST = 1e150
"""Largest size of a number in the data: its square, and sums of squares, stay within the range of float64."""


def check_finite(owner: str, argument: str, values: Array) -> None:
    """Refuse NaN, infinity and numbers whose squares overflow in an array (n,) or (n, d).

    Raises `InvalidValueError` with row and column of the first one, both counted from 0 like array indices.

    >>> check_finite("Standardizer", "X", np.array([[1.0, 2.0], [3.0, np.nan]]))
    Traceback (most recent call last):
    chainrule.errors.InvalidValueError: Standardizer: X must be finite, got nan at row 1, column 1
    (counted from 0). Fill or drop missing values first.
    """
    if not values.size or (float(values.max()) <= LARGEST and float(values.min()) >= -LARGEST):
        return
    wrong = ~np.isfinite(values)
    finite = not wrong.any()
    wrong = np.abs(values.astype(np.float64)) > LARGEST if finite else wrong
    places = np.argwhere(wrong)
    where = ", ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), places[0], strict=False))
    more = f" and at {len(places) - 1} more" if len(places) > 1 else ""
    got = f"{values[tuple(places[0])]} at {where} (counted from 0){more}"
    if finite:
        hint = "It may stand for a missing value: fill or drop it first, or use another unit."
        raise InvalidValueError(f"{owner}: {argument} must be at most {LARGEST:g} in size, got {got}. {hint}")
    raise InvalidValueError(f"{owner}: {argument} must be finite, got {got}. Fill or drop missing values first.")


def check_known_labels(owner: str, test: Array, train: Array) -> None:
    """Refuse labels of test rows that no training row has: no model can predict them."""
    unknown = np.setdiff1d(test, train)
    if len(unknown):
        raise InvalidValueError(
            must_be(
                owner, "test labels", "among those of the training rows", unknown[:5].tolist(), "Remove these rows."
            )
        )
