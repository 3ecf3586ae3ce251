"""`chainrule train` on a table with the preset for tables: from the file to a trained pack.

In: a table file and what the user typed. Out: a `TrainedTable`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.unused import typed
from chainrule.data import split
from chainrule.data.splits import split_by_group, split_by_time
from chainrule.data.table import ReadOptions, TableSchema, TargetColumn, describe, read_file, read_target
from chainrule.data.table.files import table_ending
from chainrule.data.table.frames import FrameRows
from chainrule.data.table.shell import option_text
from chainrule.errors import InvalidValueError, did_you_mean, must_be, raise_all
from chainrule.pipeline.option_names import option_name
from chainrule.tabular import Preset, TableFit, TrainedMember, fit_encoded, presets, time_for, time_left

DATA_OPTIONS = frozenset({"target", "task", "columns", "drop", "separator", "decimal", "test_fraction", "seed"})
"""Options of `TrainOptions` that the preset for tables takes too."""

_REFERENCE_LIMIT = 10.0
"""Seconds that the simple models may take."""


@dataclass(frozen=True)
class TableOptions:
    """What only the preset for tables takes, as it was typed.

    Parameters
    ----------
    preset : str or None
        Name or file of the preset; None decides by the other options.
    seconds : float or None
        Time for the training; None is 20 seconds, and 40 for more than 100,000 rows.
    group, time : str or None
        Columns by which rows are split.
    test : Path or None
        A file of test rows.
    """

    preset: str | None = None
    seconds: float | None = None
    group: str | None = None
    time: str | None = None
    test: Path | None = None

    @property
    def given(self) -> list[str]:
        """The options that were typed, besides the preset."""
        return [f"--{f.name}" for f in fields(self) if f.name != "preset" and getattr(self, f.name) is not None]


def choose_preset(source: str, options: o.TrainOptions, table: TableOptions, plain: list[str]) -> tuple[bool, str]:
    """Return whether the preset for tables is used, and a sentence on why not, where that may surprise.

    Parameters
    ----------
    source : str
        What is learned from.
    options : TrainOptions
        What was typed.
    table : TableOptions
        What was typed of the options for tables.
    plain : list of str
        Further options that were typed and that only one network has, such as "--checkpoint".

    Returns
    -------
    uses : bool
    sentence : str

    Raises
    ------
    InvalidValueError
        For options that the chosen preset does not have.
    """
    plain = [*typed_of_one_network(options), *plain]
    is_table = table_ending(Path(source)) is not None
    if table.preset is not None and table.preset != "plain":
        presets.get(table.preset)
        where = "Write --preset plain to train one network."
        raise_all(
            [] if is_table else [must_be("train", "--preset", "left out, or plain, for this source", table.preset)]
        )
        raise_all(f"train: {name} must be left out with --preset {table.preset}. {where}" for name in plain)
        return True, ""
    if table.preset == "plain" or not is_table or plain:
        hint = "It belongs to the preset for tables." if is_table else "It needs a table file."
        raise_all(f"train: {name} must be left out here. {hint}" for name in table.given)
        because = f"{plain[0]} is an option of one network" if is_table and table.preset is None else ""
        return False, f"Preset plain: {because}. Leave it out for the preset for tables." if because else ""
    return True, ""


def typed_of_one_network(options: o.TrainOptions) -> list[str]:
    """Return the options that were typed or differ from their defaults, and that only one network has."""
    mine = [f for f in fields(options) if f.name not in DATA_OPTIONS]
    changed = [f for f in mine if f.name in typed() or getattr(options, f.name) != f.default]
    return [option_name(f.name) if f.name != "lr" else "--lr" for f in changed]


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
    test : TableRows, default=None
        Test rows from a file of their own.
    """

    name: str
    table: Any
    y: Array
    target: TargetColumn
    facts: tuple[str, ...]
    group: str | None = None
    groups: Array | None = None
    times: Array | None = None
    test: TableRows | None = None

    @property
    def frame(self) -> Any:
        """The inputs: all columns but the target and the groups."""
        return self.table.without([name for name in (self.target.name, self.group) if name is not None])

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
        return TableRows(
            self.name, self.table.take(rows), self.y[rows], self.target, self.facts, self.group, groups, times
        )


@dataclass(frozen=True, eq=False)
class TrainedTable:
    """A trained pack with the rows it was trained on, and those it was not.

    Parameters
    ----------
    fit : TableFit
        The model and its training.
    train : TableRows
        The training rows, without their table.
    test : TableRows or None
        The test rows, without their table.
    preset : Preset
        What the networks were drawn from.
    E : array of shape (n + m, p)
        The features of the training rows and, below them, of the test rows.
    notes : tuple of str
        What is unlike the training in the test rows.
    """

    fit: TableFit = field(repr=False)
    train: TableRows = field(repr=False)
    test: TableRows | None = field(repr=False)
    preset: Preset
    E: Array = field(repr=False)
    notes: tuple[str, ...] = ()


def train_table(source: str, options: o.TrainOptions, table: TableOptions, quiet: bool) -> TrainedTable:
    """Read a table, hold out test rows, and train a pack on the others.

    Parameters
    ----------
    source : str
        The file.
    options : TrainOptions
        What was typed.
    table : TableOptions
        What was typed of the options for tables.
    quiet : bool
        Whether nothing is printed on the way.

    Returns
    -------
    TrainedTable
    """
    preset = presets.get(table.preset or "table")
    raise_all(_faults(options, table))
    rows = _read(Path(source), options, table)
    inside, held_out = _parts(rows, options, table)
    train = rows.take(inside)
    test = rows.test or (rows.take(held_out) if len(held_out) else None)
    seconds = table.seconds or time_for(len(train.y))
    began = time.monotonic()
    schema = _schema(train, options.reading("train"))
    tell = o.console(stderr=True)
    if not quiet:
        _show_reading(tell, rows)
        for sentence in _proposals(schema, table):
            tell.print(sentence, markup=False)
    with _progress(None if quiet else tell, preset, seconds) as on_member:
        notes: list[str] = []
        parts = [(train.frame, None), *([] if test is None else [(test.frame, notes)])]
        E = schema.encode_parts(rows.name, parts)
        fit = fit_encoded(
            schema,
            E[: len(train.y)],
            train.y,
            rows.target.task,
            preset=preset,
            seconds=time_left(seconds, len(train.y), time.monotonic() - began),
            seed=options.seed,
            groups=train.groups,
            times=train.times,
            target_name=rows.target.name,
            on_member=on_member,
        )
    return TrainedTable(fit, train, test, preset, E, tuple(notes))


def _faults(options: o.TrainOptions, table: TableOptions) -> Iterator[str]:
    if not 0 <= options.test_fraction < 1:
        yield must_be("train", "--test-fraction", "in [0, 1)", options.test_fraction)
    if table.seconds is not None and not table.seconds > 0:
        yield must_be("train", "--seconds", "above 0", table.seconds)
    if table.group is not None and table.time is not None:
        yield must_be("train", "--time", "left out beside --group", table.time, "Rows are split by one of them.")
    if table.test is not None and options.test_fraction != o.TrainOptions.test_fraction:
        yield must_be("train", "--test-fraction", "left out beside --test", options.test_fraction)


def _read(path: Path, options: o.TrainOptions, table: TableOptions) -> TableRows:
    reading = options.reading("train")
    rows = _read_one(path, options.target, options.task, reading, table)
    if table.test is None:
        return rows
    test = _read_one(table.test, rows.target.name, rows.target.task, reading, table, learned=False)
    return replace(rows, test=test)


def _read_one(
    path: Path, target: str | None, task: str | None, reading: ReadOptions, table: TableOptions, learned: bool = True
) -> TableRows:
    file = read_file(path, reading)
    column = read_target(file.name, file.frame, target, task, learned)
    frame = FrameRows(file.frame, None if column.kept.all() else np.flatnonzero(column.kept))
    groups, times = (
        _column(file.name, frame, name, option) for name, option in ((table.group, "--group"), (table.time, "--time"))
    )
    return TableRows(file.name, frame, column.y, column, file.facts, table.group, groups, times)


def _column(owner: str, frame: Any, name: str | None, option: str) -> Array | None:
    """Return the column by which rows are split."""
    if name is None:
        return None
    if name not in frame.columns:
        raise InvalidValueError(must_be(owner, option, "the name of a column", name, did_you_mean(name, frame.columns)))
    return frame[name].to_numpy()


def _parts(rows: TableRows, options: o.TrainOptions, table: TableOptions) -> tuple[Array, Array]:
    """Return the numbers of the training rows and of the test rows; a file of test rows leaves all for training."""
    everything = np.arange(len(rows.y))
    if rows.test is not None or options.test_fraction == 0:
        return everything, everything[:0]
    if rows.groups is not None:
        stratified = rows.y if rows.target.task == "classification" else None
        return split_by_group(rows.groups, options.test_fraction, options.seed, stratified)
    if rows.times is not None:
        return split_by_time(rows.times, options.test_fraction)
    stratify = rows.target.task == "classification"
    return split(rows.y if stratify else len(rows.y), options.test_fraction, options.seed, stratify)


def _schema(rows: TableRows, reading: ReadOptions) -> TableSchema:
    """Describe the inputs; the target is among the columns only to find inputs that tell it alone."""
    table = rows.table if rows.group is None else rows.table.without([rows.group])
    return describe(rows.name, table, rows.target.name, reading)


def _proposals(schema: TableSchema, table: TableOptions) -> Iterator[str]:
    """Yield what the user may want: rows with dates are often there to predict the future."""
    dates = [column.name for column in schema.used if column.kind == "date"]
    if dates and table.group is None and table.time is None and table.test is None:
        yield f"Column {dates[0]!r} holds dates. To be scored on the latest rows, add {option_text('--time', dates[0])}."


def _show_reading(tell: Any, rows: TableRows) -> None:
    """Print how the table was read and what is learned."""
    how = "; ".join(rows.facts)
    for sentence in (
        f"Read {rows.name}: {len(rows.y):,} rows" + (f"; {how}" if how else "") + ".",
        rows.target.sentence,
    ):
        tell.print(sentence, markup=False)


@contextmanager
def _progress(tell: Any, preset: Preset, seconds: float) -> Iterator[Callable[[TrainedMember], None] | None]:
    """Show the networks that are done, while they train."""
    if tell is None:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    shown = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn(f"of {seconds:g} s"))
    with Progress(*shown, console=tell, transient=True) as progress:
        bar = progress.add_task("training networks", total=preset.members)

        def done(member: TrainedMember) -> None:
            progress.update(bar, advance=1, description=f"network {member.number + 1}: held-out loss {member.loss:.4g}")

        yield done
