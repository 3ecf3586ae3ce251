"""Rows in any of the forms that people have, as one kind of frame.

In: a pandas or polars frame, a lazy frame, a dict of columns, a list of dicts, one dict, a list of rows, an array. Out: a
polars frame whose gaps are null, or some of its rows without a copy of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.matrix import default_names
from chainrule.data.table.gaps import label
from chainrule.errors import InvalidValueError, must_be

ROWS = "a frame, a dict of columns, dicts, rows of equal length or an array (n, d)"


@dataclass(frozen=True, eq=False)
class FrameRows:
    """Some rows of a frame, each column of which is gathered when it is read: no copy of the table is made.

    Parameters
    ----------
    frame : polars.DataFrame
        The table.
    rows : array of int, default=None
        Numbers of the rows; None is all of them.
    hidden : frozenset of str, default=frozenset()
        Columns that are left out.
    """

    frame: pl.DataFrame = field(repr=False)
    rows: Array | None = None
    hidden: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [name for name in self.frame.columns if name not in self.hidden]

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.frame.height if self.rows is None else len(self.rows)

    def __getitem__(self, name: str) -> pl.Series:
        """Return a column, in which gaps are null."""
        cells = self.frame[name] if self.rows is None else self.frame[name].gather(self.rows)
        return cells.fill_nan(None) if cells.dtype.is_float() and cells.is_nan().any() else cells

    def take(self, rows: Array) -> FrameRows:
        """Return some of these rows."""
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def without(self, names: Iterable[str]) -> FrameRows:
        """Return the same rows without some columns."""
        return replace(self, hidden=self.hidden | set(names))

    def release(self, names: Iterable[str]) -> None:
        """Remove columns from the frame itself, so that their memory is free; they cannot be read again."""
        for name in set(names) & set(self.frame.columns):
            self.frame.drop_in_place(name)


def as_frame(owner: str, rows: Any) -> pl.DataFrame:
    """Return rows of any form as a polars frame.

    Parameters
    ----------
    owner : str
        The object that messages name.
    rows : frame, dict of columns, list of dicts, dict of cells, list of rows or array
        A frame is of pandas or polars, lazy ones included. The columns of lists and arrays are named x0, x1, ...; those of
        a frame keep their names, as texts. pyarrow is not needed.

    Returns
    -------
    polars.DataFrame
        Gaps (None, NaN, NaT, NA) are null.

    Raises
    ------
    InvalidValueError
        For anything else, for rows of different lengths, and for two columns of one name.

    Examples
    --------
    >>> as_frame("rows", [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]).rows()
    [(1, 'x'), (None, 'y')]
    """
    try:
        frame = _frame(owner, rows)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidValueError):
            raise
        cause = (str(error).splitlines() or [""])[0]
        raise InvalidValueError(f"{owner}: rows must be {ROWS}, got {type(rows).__name__}. {cause}".rstrip()) from error
    floats = [column.name for column in frame if column.dtype.is_float() and column.is_nan().any()]
    return frame.with_columns(pl.col(floats).fill_nan(None)) if floats else frame


def _frame(owner: str, rows: Any) -> pl.DataFrame:
    if isinstance(rows, pl.LazyFrame):
        return rows.collect()
    if isinstance(rows, pl.DataFrame):
        return rows.with_columns(_series(column.name, column.to_list()) for column in rows if column.dtype == pl.Object)
    if isinstance(rows, pl.Series | str | bytes):
        raise InvalidValueError(must_be(owner, "rows", ROWS, type(rows).__name__))
    if isinstance(rows, Mapping):
        return _columns(owner, *_of_mapping(rows))
    if hasattr(rows, "columns") and hasattr(rows, "iloc"):
        columns = [rows.iloc[:, j] for j in range(len(rows.columns))]
        return _columns(owner, [str(name) for name in rows.columns], [_pandas(column) for column in columns])
    if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
        return _columns(owner, [str(name) for name in rows.columns], [rows[name] for name in rows.columns])
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        names = list(dict.fromkeys(str(name) for row in rows for name in row))
        return _columns(owner, names, [[row.get(name) for row in rows] for name in names])
    return _of_array(owner, rows.toarray() if hasattr(rows, "toarray") else rows)


def _of_mapping(rows: Mapping[Any, Any]) -> tuple[list[str], list[Any]]:
    """Return names and columns of a dict, whose values are columns, or the cells of one row."""
    values = list(rows.values())
    if not any(_is_column(value) for value in values):
        values = [[value] for value in values]
    return [str(name) for name in rows], values


def _is_column(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes) and np.ndim(value) > 0


def _of_array(owner: str, rows: Any) -> pl.DataFrame:
    if isinstance(rows, Sequence):
        if not rows or len({len(row) if _is_column(row) else -1 for row in rows}) != 1 or not _is_column(rows[0]):
            raise InvalidValueError(must_be(owner, "rows", ROWS, type(rows).__name__, "For one row, write [row]."))
        columns = [list(column) for column in zip(*rows, strict=True)]
        return _columns(owner, default_names(len(columns)), columns)
    if np.ndim(rows) != 2:
        raise InvalidValueError(must_be(owner, "rows", ROWS, f"an array of shape {np.shape(rows)}"))
    matrix = np.asarray(rows)
    return _columns(owner, default_names(matrix.shape[1]), [matrix[:, j] for j in range(matrix.shape[1])])


def _columns(owner: str, names: Sequence[str], columns: Sequence[Any]) -> pl.DataFrame:
    double = (
        next((name for name in names if list(names).count(name) > 1), None) if len(set(names)) < len(names) else None
    )
    if double is not None:
        raise InvalidValueError(
            f"{owner}: column {double!r} must occur once, got it {list(names).count(double)} times."
        )
    return pl.DataFrame([_series(name, column) for name, column in zip(names, columns, strict=True)])


def _pandas(column: Any) -> Any:
    """Return a column of pandas as an array, with None for a gap where its type has no other form."""
    kind = column.dtype
    if isinstance(kind, np.dtype) and kind.kind in "biufM":
        return column.to_numpy()
    if getattr(kind, "tz", None) is not None:
        return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    cells = column.astype(object)
    return cells.where(cells.notna(), None).tolist()


def _series(name: str, column: Any) -> pl.Series:
    """Return one column; cells of several types become texts."""
    if isinstance(column, pl.Series):
        return column.alias(name)
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        return pl.Series(name, np.ascontiguousarray(column), nan_to_null=True)
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        return pl.Series(name, column.astype("datetime64[us]"))
    cells = [_cell(cell) for cell in (column.tolist() if hasattr(column, "tolist") else column)]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {int, float}:
        return pl.Series(name, [None if cell is None else float(cell) for cell in cells], dtype=pl.Float64)
    if kinds == {dt.date, dt.datetime}:
        cells = [dt.datetime.combine(cell, dt.time()) if type(cell) is dt.date else cell for cell in cells]
    elif len(kinds) > 1:
        return pl.Series(name, [None if cell is None else label(cell) for cell in cells], dtype=pl.String)
    return pl.Series(name, cells, strict=True)


def _cell(cell: Any) -> Any:
    """Return a cell as a value of Python's own types, None for a gap."""
    if isinstance(cell, np.generic):
        cell = cell.item()
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell):
        return None
    if type(cell).__name__ == "Timestamp":
        cell = cell.to_pydatetime()
    if type(cell).__name__ == "Decimal":
        return float(cell)
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
