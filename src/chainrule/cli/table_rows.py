"""Rows of table files as `chainrule train` and `chainrule doctor` split them: with groups or times, and parts of their own.

In: files, a target, columns to split by. Out: a `TableRows`; labels as the training rows write them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.option_values import kept_labels
from chainrule.cli.source_rows import labels_of
from chainrule.data import BUILTIN
from chainrule.data.table import ReadOptions, TableSchema
from chainrule.data.table.files import table_ending
from chainrule.data.table.shell import option_text
from chainrule.errors import InvalidValueError, did_you_mean, must_be

if TYPE_CHECKING:
    from chainrule.data.table import TargetColumn


@dataclass(frozen=True, eq=False)
class TableRows:
    """Rows of a table with their target, and what they are split by.

    Parameters
    ----------
    name : str
        Name of the file.
    table : FrameRows
        All columns, the target among them.
    y : array of shape (n,)
        The target.
    target : TargetColumn
        How it was read.
    facts : tuple of str
        How the file was read.
    group : str or None, default=None
        Name of the column of groups, which is no input.
    groups, times : array of shape (n,), default=None
        What the rows are split by.
    only : tuple of str, default=()
        The classes that are learned, where the user chose some.
    """

    name: str
    table: Any
    y: Array
    target: TargetColumn
    facts: tuple[str, ...]
    group: str | None = None
    groups: Array | None = None
    times: Array | None = None
    only: tuple[str, ...] = ()

    @property
    def described(self) -> Any:
        """All columns that are described: those of `frame` and the target."""
        return self.table if self.group is None else self.table.without([self.group])

    @property
    def frame(self) -> Any:
        """The inputs: all columns but the target and the groups."""
        return self.described.without([self.target.name])

    @property
    def whole(self) -> Any:
        """The described columns of these rows as a frame of their own."""
        rows = self.described
        frame = rows.frame.drop(list(rows.hidden))
        return frame if rows.rows is None else frame[rows.rows]

    def take(self, rows: Array) -> TableRows:
        """Return some of the rows.

        Parameters
        ----------
        rows : array of int
            Their numbers.

        Returns
        -------
        TableRows
        """
        groups = None if self.groups is None else self.groups[rows]
        times = None if self.times is None else self.times[rows]
        return replace(self, table=self.table.take(rows), y=self.y[rows], groups=groups, times=times)


def is_table(source: str) -> bool:
    """Return whether a source is a table file: a built-in name comes before a file of that name."""
    return source not in BUILTIN and table_ending(Path(source)) is not None


def read_rows(path: Path, options: o.TrainOptions, reading: ReadOptions) -> TableRows:
    """Read the rows of a table that have a target, with the columns that they are split by.

    Parameters
    ----------
    path : Path
        The file.
    options : TrainOptions
        What was typed: the target, its task, and `--group` or `--time`.
    reading : ReadOptions
        What was typed about the form of the table.

    Returns
    -------
    TableRows
    """
    from chainrule.data.table import read_file, read_target
    from chainrule.data.table.frames import FrameRows
    from chainrule.data.table.kinds import check_missing, with_gaps
    from chainrule.data.table.missing import GROUP

    file = read_file(path, reading)
    found = read_target(file.name, file.frame, options.target, options.task)
    if reading.missing:
        hidden = {} if options.group is None else {options.group: GROUP}
        check_missing(file.name, file.frame.columns, reading, found.name, lambda name: [file.frame[name]], hidden)
    frame = FrameRows(file.frame, None if found.kept.all() else np.flatnonzero(found.kept))
    groups = _key(file.name, frame, options.group, "--group", found.name)
    timed = frame if options.time is None else with_gaps(frame, reading)
    times = _key(file.name, timed, options.time, "--time", found.name)
    return TableRows(file.name, frame, found.y, found, file.facts, options.group, groups, times)


def read_part(path: Path, rows: TableRows, schema: TableSchema, reading: ReadOptions) -> TableRows:
    """Read validation or test rows from a file of their own, as the training rows were read.

    Parameters
    ----------
    path : Path
        The file.
    rows : TableRows
        The training rows.
    schema : TableSchema
        The description of their columns.
    reading : ReadOptions
        What was typed about the form of the tables.

    Returns
    -------
    TableRows
    """
    from chainrule.data.table import read_target
    from chainrule.data.table.frames import FrameRows
    from chainrule.data.table.loading import file_for

    file = file_for(path, schema, reading)
    found = read_target(file.name, file.frame, rows.target.name, rows.target.task, learned=False)
    frame = FrameRows(file.frame, None if found.kept.all() else np.flatnonzero(found.kept))
    if rows.only:
        mine = np.flatnonzero(np.isin(found.y.astype(str), rows.only))
        frame, found = frame.take(mine), replace(found, y=found.y[mine])
    y = found.y if rows.target.task == "regression" else labels_of(file.name, np.unique(rows.y), found.y)
    return TableRows(
        file.name, frame.without([rows.group] if rows.group in frame.columns else []), y, found, file.facts
    )


def kept_rows(rows: TableRows, options: o.TrainOptions, command: str) -> TableRows:
    """Return the rows of the classes that the user wants to learn.

    Parameters
    ----------
    rows : TableRows
        All rows.
    options : TrainOptions
        What was typed.
    command : str
        Name of the command.

    Returns
    -------
    TableRows

    Raises
    ------
    InvalidValueError
        For a regression, fewer than two classes, and classes that are not there.
    """
    if options.keep_classes is None:
        return rows
    labels = kept_labels(command, options.keep_classes, np.unique(rows.y).tolist(), rows.target.task)
    kept = rows.take(np.flatnonzero(np.isin(rows.y.astype(str), labels)))
    return replace(kept, target=replace(rows.target, y=kept.y), only=tuple(labels))


def date_proposals(schema: TableSchema, options: o.TrainOptions) -> Iterator[str]:
    """Yield what the user may want: rows with dates are often there to predict the future."""
    dates = [column.name for column in schema.used if column.kind == "date"]
    split = (options.group, options.time, options.test)
    if dates and all(each is None for each in split) and options.test_fraction:
        line = option_text("--time", dates[0])
        yield f"Column {dates[0]!r} holds dates. To be scored on the latest rows, add {line}."


def _key(owner: str, frame: Any, name: str | None, option: str, target: str) -> Array | None:
    """Return the column by which rows are split."""
    if name is None:
        return None
    if name not in frame.columns:
        raise InvalidValueError(must_be(owner, option, "the name of a column", name, did_you_mean(name, frame.columns)))
    if name == target:
        raise InvalidValueError(must_be(owner, option, "another column than the target", name))
    keys: Array = frame[name].to_numpy()
    return keys
