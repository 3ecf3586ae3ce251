"""A table file as a `Dataset`, or as the rows that a trained model takes.

In: a path, the name of the target, and what the user says about the file. Out: a `Dataset`, or an array (n, d).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.checks import cell_fault
from chainrule.data.dataset import Dataset
from chainrule.data.table.cells import TEXT, clean_text, numbers_of
from chainrule.data.table.kinds import check_missing, describe
from chainrule.data.table.reading import TableFile, read_file
from chainrule.data.table.schema import ReadOptions, TableSchema
from chainrule.data.table.target import TargetColumn, read_target
from chainrule.errors import did_you_mean, raise_all

_SHOWN = 5
"""Missing columns that a message names one by one."""


def load_table(
    path: Path,
    target: str | None,
    task: str | None = None,
    features: Sequence[str] | TableSchema | None = None,
    read: ReadOptions | None = None,
) -> Dataset:
    """Read the rows of a table that have a target; every other column is a feature if it is of use.

    With `features`, rows to measure a model on, which may be of a single class: the columns of these names, which must be
    numbers without gaps, or those of a model's schema.
    """
    options = read or ReadOptions()
    file = file_for(path, features, options)
    found = read_target(file.name, file.frame, target, task, learned=features is None)
    if features is None and options.missing:
        check_missing(file.name, file.frame.columns, options, found.name, lambda name: [file.frame[name]])
    rows = file.frame if found.kept.all() else file.frame.filter(pl.Series(found.kept))
    return dataset_of(rows, file.name, found, file.facts, features, options)


def dataset_of(
    rows: pl.DataFrame,
    name: str,
    found: TargetColumn,
    facts: tuple[str, ...],
    features: Sequence[str] | TableSchema | None,
    options: ReadOptions,
) -> Dataset:
    """Return the rows of a table that have a target as a data set; `features` as for `load_table`."""
    if features is None or isinstance(features, TableSchema):
        schema = describe(name, rows, found.name, options) if features is None else features
        frame = rows.select(column.name for column in schema.used) if features is None else rows.drop(found.name)
        names = schema.design_names
        X = schema.design(name, frame)
    else:
        schema, frame, names = None, rows, tuple(features)
        X = number_matrix(name, rows, names)
    return Dataset(
        *(name, X, found.y, found.task, names, found.name),
        schema=schema,
        frame=frame,
        facts=facts,
        target_sentence=found.sentence,
    )


def features_of(path: Path, features: Sequence[str] | TableSchema, read: ReadOptions | None = None) -> Array:
    """Read the columns of a model in its order, (n, d) float64; other columns are ignored."""
    frame = file_for(path, features, read or ReadOptions()).frame
    if isinstance(features, TableSchema):
        return features.design(path.name, frame)
    return number_matrix(path.name, frame, features)


def file_for(path: Path, features: Sequence[str] | TableSchema | None, options: ReadOptions) -> TableFile:
    """Read a file; the columns that a schema takes as texts are kept as they are written."""
    if isinstance(features, TableSchema):
        kinds = {column.name: column.kind for column in features.used if column.kind in ("category", "text")}
        options = replace(options, kinds={**kinds, **options.kinds})
    return read_file(path, options)


def cells_of(column: pl.Series) -> list[Any]:
    """Return the cells of a column; days that were read as moments are days again."""
    if isinstance(column.dtype, pl.Datetime) and (column.dt.time().drop_nulls() == dt.time()).all():
        column = column.dt.date()
    return column.to_list()


def number_matrix(owner: str, frame: pl.DataFrame, names: Sequence[str]) -> Array:
    """Return the named columns as numbers; raise `InvalidValueError` that lists every missing or faulty one."""
    raise_all(_missing(owner, frame, names))
    columns = {name: _as_float(frame[name]) for name in names}
    raise_all(fault for name in names for fault in _cell_faults(owner, frame[name], columns[name]))
    return np.column_stack([column.to_numpy() for column in columns.values()])


def _missing(owner: str, table: pl.DataFrame, names: Sequence[str]) -> Iterator[str]:
    """Describe the columns that a table lacks: each with a suggestion, many in one line."""
    missing = [name for name in names if name not in table.columns]
    if len(missing) > _SHOWN:
        shown = ", ".join(repr(name) for name in missing[:_SHOWN])
        yield f"{owner}: {len(missing)} columns are missing: {shown} and {len(missing) - _SHOWN} more."
        return
    for name in missing:
        yield f"{owner}: column {name!r} is missing. {did_you_mean(name, table.columns)}"


def _as_float(column: pl.Series) -> pl.Series:
    """Return the column as float64, with null where a cell is missing or is no number."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64).fill_nan(None)
    if column.dtype in TEXT:
        return numbers_of(clean_text(column), None)
    return pl.Series([None] * len(column), dtype=pl.Float64)


def _cell_faults(owner: str, raw: pl.Series, values: pl.Series) -> Iterator[str]:
    """Describe what is wrong with a column, given its cells as read and as converted."""
    missing = raw.is_null() | (raw.is_nan() if raw.dtype.is_float() else False)
    unreadable = values.is_null() & ~missing
    infinite = values.is_infinite().fill_null(False)
    for mask, allowed, hint in (
        (missing, "filled in every row", "Fill the gaps or drop the rows."),
        (unreadable, "numeric", "Drop or encode the column."),
        (infinite, "finite", "Fill the gaps or drop the rows."),
    ):
        rows = np.flatnonzero(mask.to_numpy())
        if len(rows):
            yield cell_fault(owner, raw.name, allowed, raw[int(rows[0])], rows, hint)
