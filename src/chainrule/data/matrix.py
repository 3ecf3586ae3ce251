"""Turn the rows that people have (frames, lists, arrays, sparse matrices) into the array that a model takes.

In: rows of any of these kinds, and the names of the model's columns. Out: an array (n, d), its columns in the model's
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array, MatrixLike
from chainrule.data.checks import cell_fault, check_numeric
from chainrule.errors import InvalidValueError, did_you_mean, must_be

_SHOWN = 5
"""Missing columns that a message names before it only counts the rest."""


def default_names(d: int) -> tuple[str, ...]:
    """Return the names that columns without names get.

    >>> default_names(3)
    ('x0', 'x1', 'x2')
    """
    return tuple(f"x{j}" for j in range(d))


def as_matrix(owner: str, X: MatrixLike, feature_names: Sequence[str]) -> Array:
    """Return rows as an array whose columns are the named ones, in that order.

    The columns of a frame are found by name, in any order and among others. A model that was trained on an array has no
    names to go by: its frame must have as many columns, which are then taken in their order, as those of lists and
    arrays are.

    Parameters
    ----------
    owner : str
        The object that messages name.
    X : array, frame, sparse matrix or sequence of rows
        n rows. A frame is a pandas or polars ``DataFrame``, or any object with ``columns`` and columns by name.
    feature_names : sequence of str
        The d names of the model's columns.

    Returns
    -------
    array of shape (n, d)
        An array given in this form is returned as it is, without a copy.

    Raises
    ------
    InvalidValueError
        In one line, for missing columns, cells that are not numbers, and another number of columns.

    Examples
    --------
    >>> as_matrix("Model", [[1, 2], [3, 4]], ("a", "b")).shape
    (2, 2)
    >>> import polars as pl
    >>> as_matrix("Model", pl.DataFrame({"b": [2.0], "name": ["x"], "a": [1.0]}), ("a", "b"))
    array([[1., 2.]])
    """
    matrix = _frame(owner, X, feature_names) if _is_frame(X) else _array(owner, X)
    if matrix.ndim != 2 or matrix.shape[1] != len(feature_names):
        hint = "For one row, write [row]." if matrix.shape == (len(feature_names),) else ""
        raise InvalidValueError(must_be(owner, "X", f"of shape (n, {len(feature_names)})", matrix.shape, hint))
    return matrix


def _is_frame(X: MatrixLike) -> bool:
    """Check for a frame: an object with columns that can be read by name."""
    return type(X) is not np.ndarray and hasattr(X, "columns") and hasattr(X, "__getitem__")


def _array(owner: str, X: MatrixLike) -> Array:
    """Return X as an array; text is read as numbers if every cell is one."""
    dense = X.toarray() if hasattr(X, "toarray") else X
    try:
        matrix = np.asarray(dense)
    except ValueError:
        raise InvalidValueError(f"{owner}: X must be rows of equal length, got rows of different lengths.") from None
    if matrix.dtype.kind in "OUST":
        try:
            return matrix.astype(np.float64)
        except (TypeError, ValueError):
            bad = next((cell for cell in matrix.ravel().tolist() if _number(cell) is None), X)
            raise InvalidValueError(must_be(owner, "X", "numeric", bad, "Encode text first.")) from None
    check_numeric(owner, "X", matrix)
    return matrix


def _frame(owner: str, X: MatrixLike, feature_names: Sequence[str]) -> Array:
    """Return the columns of a frame by name, or in their order where neither frame nor model has names to go by."""
    columns = [str(name) for name in X.columns]
    unnamed = tuple(feature_names) == default_names(len(feature_names)) and not set(feature_names) & set(columns)
    if unnamed and len(columns) == len(feature_names):
        return np.column_stack([_numbers(owner, str(name), X[name]) for name in X.columns])
    missing = [name for name in feature_names if name not in columns]
    if missing:
        raise InvalidValueError(_missing(owner, missing, columns))
    double = next((name for name in feature_names if columns.count(name) > 1), None)
    if double is not None:
        raise InvalidValueError(f"{owner}: column {double!r} must occur once, got it {columns.count(double)} times.")
    keys = dict(zip(columns, X.columns, strict=True))
    return np.column_stack([_numbers(owner, name, X[keys[name]]) for name in feature_names])


def _missing(owner: str, missing: Sequence[str], columns: Sequence[str]) -> str:
    """Name the first missing columns and count the rest."""
    shown = ", ".join(repr(name) for name in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    hint = did_you_mean(missing[0], columns) if len(missing) == 1 else ""
    return f"{owner}: X must have the columns of the training data, got none named {shown}{more}. {hint}".rstrip()


def _numbers(owner: str, name: str, values: Any) -> Array:
    """Return a column as numbers, whatever type its frame keeps it in."""
    column = np.asarray(values)
    if column.dtype.kind in "biuf":
        return column
    if column.dtype.kind not in "OUST":
        raise InvalidValueError(
            f"{owner}: column {name!r} must be numeric, got {column.dtype}. Encode it as in training."
        )
    cells = column.tolist()
    numbers = [_number(cell) for cell in cells]
    bad = np.flatnonzero([number is None for number in numbers])
    if len(bad):
        value = cells[bad[0]]
        raise InvalidValueError(cell_fault(owner, name, "numeric", value, bad, "Encode it as in training."))
    return np.array(numbers, dtype=np.float64)


def _number(cell: Any) -> float | None:
    """Read a cell as a number, None if it is none."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
