"""Columns that alone tell the target: copies of it, or values that match its classes one to one.

In: a table and its target. Out: a sentence for each such column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from chainrule.data.table.cells import TEXT, clean_text, numbers_of
from chainrule.data.table.frames import FrameRows
from chainrule.data.table.shell import list_text, option_text
from chainrule.data.targets import MOST_INTEGER_CLASSES

_LEAST = 20
"""Rows below which chance matches too often."""

_HEAD = 10_000
_STRAIGHT = 0.9999
"""Correlation from which on a column is a copy of the target, up to its unit."""


def leaks(frame: pl.DataFrame | FrameRows, names: Iterable[str], target: pl.Series) -> Iterator[str]:
    """Yield a sentence for each of the named columns that alone tells the target."""
    for name in names:
        how = tells_target(frame[name], target)
        if how:
            drop = option_text("--drop", list_text([name]))
            fix = f"If it is not known before the target is, leave it out ({drop}, drop=[{name!r}])."
            yield f"column {name!r} alone tells the target {target.name!r}: {how}. {fix}"


def tells_target(column: pl.Series, target: pl.Series) -> str:
    """Return how a column alone tells the target, "" if it does not.

    >>> tells_target(pl.Series(range(30)), pl.Series([2.0 * i for i in range(30)]))
    'it is a straight line of the target'
    """
    if len(target) < _LEAST:
        return ""
    classes = target.drop_nulls().head(_HEAD).n_unique()
    if classes > MOST_INTEGER_CLASSES:
        return (
            _straight(column, target) or _one_to_one(column, target, classes)
            if _numeric(target)
            else (_one_to_one(column, target, classes))
        )
    return _one_to_one(column, target, classes)


def _numeric(column: pl.Series) -> bool:
    return column.dtype.is_numeric()


def _straight(column: pl.Series, target: pl.Series) -> str:
    if column.dtype in TEXT:
        column = numbers_of(clean_text(column), None)
    if not (_numeric(column) and _numeric(target)):
        return ""
    x, y = (each.cast(pl.Float64).fill_null(float("nan")).to_numpy() for each in (column, target))
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < _LEAST or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return ""
    if np.array_equal(x[both], y[both]):
        return "it equals the target"
    scaled = [values[both] / np.abs(values[both]).max() for values in (x, y)]
    return "it is a straight line of the target" if abs(np.corrcoef(*scaled)[0, 1]) > _STRAIGHT else ""


def _one_to_one(column: pl.Series, target: pl.Series, classes: int) -> str:
    """Check whether each value of the column goes with one class and each class with one value."""
    if classes < 2 or column.drop_nulls().head(_HEAD).n_unique() != classes:
        return ""
    if classes > MOST_INTEGER_CLASSES and 2 * classes > min(len(target), _HEAD):
        return ""
    pairs = pl.DataFrame({"x": column, "y": target}).drop_nulls().unique()
    if pairs.height != classes or pairs["x"].n_unique() != classes or pairs["y"].n_unique() != classes:
        return ""
    return "its values match the target's one to one"
