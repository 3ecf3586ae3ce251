"""Tables to learn from: every cell must be a number, and if not, the message names the cell.

In: a .csv or .parquet file. Out: a `Dataset`, or a model's columns in the model's order. Messages count data rows from
1, without the header. This is the one module here that imports polars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.checks import cell_fault
from chainrule.data.dataset import Dataset
from chainrule.data.targets import settle_target
from chainrule.errors import FormatError, InvalidValueError, did_you_mean, must_be, raise_all

_TEXT = (pl.String, pl.Categorical, pl.Enum)
_SHOWN = 5
"""Missing columns that a message names one by one."""

_FIXES = {
    "more fields than defined": "A row has more cells than the first line has names.",
    "invalid utf-8": "Save it as UTF-8.",
}
"""How to fix a file that polars cannot read, by a part of its message."""


def load_table(
    path: Path, target: str | None, task: str | None = None, features: Sequence[str] | None = None
) -> Dataset:
    """Read the rows of a .csv or .parquet file; every column but `target` is a feature.

    With `features`, those columns alone, in that order: rows to measure a model on, which may be of a single class.
    Raises `InvalidValueError` that lists every faulty column, and `FormatError` for a file that cannot be read.
    """
    table = read_table(path)
    owner = path.name
    target = _known_target(owner, table, target)
    names = tuple(name for name in table.columns if name != target) if features is None else tuple(features)
    raise_all(_missing(owner, table, names))
    columns = {name: _as_float(table[name]) for name in names}
    raise_all(
        [*_cell_faults(owner, table[target], table[target])]
        + [fault for name in names for fault in _cell_faults(owner, table[name], columns[name])]
    )
    y, settled = settle_target(owner, _to_numpy(table[target]), task, learned=features is None)
    return Dataset(owner, _matrix(columns.values()), y, settled, names, target)


def features_of(path: Path, feature_names: Sequence[str]) -> Array:
    """Read the named columns of a file in the given order, (n, d) float64; other columns are ignored.

    The file needs no target. Raises `InvalidValueError` that lists every missing or faulty column.
    """
    table = read_table(path)
    owner = path.name
    raise_all(_missing(owner, table, feature_names))
    features = {name: _as_float(table[name]) for name in feature_names}
    raise_all(fault for name in feature_names for fault in _cell_faults(owner, table[name], features[name]))
    return _matrix(features.values())


def _missing(owner: str, table: pl.DataFrame, names: Sequence[str]) -> Iterator[str]:
    """Describe the columns that a table lacks: each with a suggestion, many in one line."""
    missing = [name for name in names if name not in table.columns]
    if len(missing) > _SHOWN:
        shown = ", ".join(repr(name) for name in missing[:_SHOWN])
        yield f"{owner}: {len(missing)} columns are missing: {shown} and {len(missing) - _SHOWN} more."
        return
    for name in missing:
        yield f"{owner}: column {name!r} is missing. {did_you_mean(name, table.columns)}"


def read_table(path: Path) -> pl.DataFrame:
    """Read a .csv or .parquet file into a table with at least one row and a distinct name for each column.

    A .csv file is UTF-8 with commas and a header; empty lines at its end are ignored.
    """
    try:
        table = _read_csv(path) if path.suffix.lower() == ".csv" else pl.read_parquet(path, glob=False)
    except pl.exceptions.PolarsError as error:
        cause = str(error).partition("\n")[0]
        fix = next((f". {fix}" for part, fix in _FIXES.items() if part in cause), "")
        raise FormatError(f"{path.name}: the file must be a readable table, got: {cause}{fix}") from error
    if table.is_empty():
        raise InvalidValueError(f"{path.name}: the table must have at least one row, got none.")
    return table


def _read_csv(path: Path) -> pl.DataFrame:
    content = path.read_bytes().rstrip(b"\r\n")
    if not content:
        raise FormatError(f"{path.name}: the file must be a readable table, got: an empty file.")
    header = pl.read_csv(content, has_header=False, n_rows=1, infer_schema=False, truncate_ragged_lines=True).row(0)
    names = [(name or "").strip() for name in header]
    raise_all(_header_faults(path.name, names))
    table = pl.read_csv(content, infer_schema_length=None)
    return pl.DataFrame([_typed(column).alias(name) for name, column in zip(names, table.get_columns(), strict=True)])


def _typed(column: pl.Series) -> pl.Series:
    """Strip the spaces around a .csv column's cells; make it numbers where every cell is a number or `nan`."""
    if column.dtype != pl.String:
        return column
    text = column.str.strip_chars()
    numbers = (text.cast(dtype, strict=False) for dtype in (pl.Int64, pl.Float64))
    return next((number for number in numbers if number.null_count() == text.null_count()), text)


def _header_faults(owner: str, names: list[str]) -> Iterator[str]:
    for name in sorted({name for name in names if names.count(name) > 1 and name}):
        yield f"{owner}: column names must be distinct, got {name!r} {names.count(name)} times."
    for number in (i + 1 for i, name in enumerate(names) if not name):
        yield f"{owner}: column {number} must have a name, got none. Drop it if it is a saved row index."
    separator = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    if separator:
        yield must_be(owner, "columns", "separated by commas", separator, "Save the file with commas.")


def _known_target(owner: str, table: pl.DataFrame, target: str | None) -> str:
    if target is None or target not in table.columns:
        columns = f"Columns: {', '.join(table.columns)}."
        nearest = did_you_mean(target, table.columns) if target else f"Name one, as --target {table.columns[-1]}."
        hint = columns if nearest.startswith("Known") else f"{nearest} {columns}"
        raise InvalidValueError(must_be(owner, "target", "the name of a column", target, hint))
    if table.width == 1:
        raise InvalidValueError(f"{owner}: the table must have a feature besides the target {target!r}, got none.")
    return target


def _as_float(column: pl.Series) -> pl.Series:
    """Return the column as float64, with null where a cell is missing or is no number."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    if column.dtype in _TEXT:
        return column.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.Series([None] * len(column), dtype=pl.Float64)


def _cell_faults(owner: str, raw: pl.Series, values: pl.Series) -> Iterator[str]:
    """Describe what is wrong with a column, given its cells as read and as converted."""
    missing = raw.is_null()
    unreadable = values.is_null() & ~missing
    infinite = ~values.is_finite().fill_null(True) if values.dtype.is_float() else missing & False
    for mask, allowed, hint in (
        (missing, "filled in every row", "Fill the gaps or drop the rows."),
        (unreadable, "numeric", "Drop or encode the column."),
        (infinite, "finite", "Fill the gaps or drop the rows."),
    ):
        rows = np.flatnonzero(mask.to_numpy())
        if len(rows):
            yield cell_fault(owner, raw.name, allowed, raw[int(rows[0])], rows, hint)


def _to_numpy(values: pl.Series) -> Array:
    if values.dtype in _TEXT:
        return np.array(values.cast(pl.String).to_list(), dtype=np.str_)
    return (values.cast(pl.Float64) if values.dtype.is_decimal() else values).to_numpy()


def _matrix(columns: Iterable[pl.Series]) -> Array:
    return np.column_stack([column.to_numpy() for column in columns])
