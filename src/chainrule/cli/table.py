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
from chainrule.cli import distributed as d
from chainrule.cli import options as o
from chainrule.cli.table_rows import TableRows, date_proposals, kept_rows, read_part, read_rows
from chainrule.cli.unused import typed
from chainrule.data import split
from chainrule.data.splits import split_by_group, split_by_time
from chainrule.data.table.files import table_ending
from chainrule.errors import must_be, raise_all
from chainrule.pipeline.option_names import option_name
from chainrule.tabular import Preset, TableFit, TrainedMember, fit_encoded, presets, time_for, time_left

DATA_OPTIONS = frozenset(
    {
        *("target", "task", "columns", "drop", "missing", "separator", "decimal", "header", "encoding"),
        *("group", "time", "validation", "test", "test_fraction", "seed", "keep_classes"),
    }
)
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
    networks : int or None
        Number of networks, which then have all the time that they take.
    """

    preset: str | None = None
    seconds: float | None = None
    networks: int | None = None

    @property
    def chosen(self) -> Preset:
        """What networks are drawn from, as many as were asked for."""
        preset = presets.get(self.preset or "table")
        return preset if self.networks is None else replace(preset, members=self.networks)


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
        given = {"--seconds": table.seconds, "--networks": table.networks}
        raise_all(f"train: {name} must be left out here. {hint}" for name, value in given.items() if value is not None)
        because = f"{plain[0]} is an option of one network" if is_table and table.preset is None else ""
        return False, f"Preset plain: {because}. Leave it out for the preset for tables." if because else ""
    return True, ""


def typed_of_one_network(options: o.TrainOptions) -> list[str]:
    """Return the options that were typed or differ from their defaults, and that only one network has."""
    mine = [f for f in fields(options) if f.name not in DATA_OPTIONS]
    changed = [f for f in mine if f.name in typed() or getattr(options, f.name) != f.default]
    return [option_name(f.name) if f.name != "lr" else "--lr" for f in changed]


@dataclass(frozen=True, eq=False)
class TrainedTable:
    """A trained pack with the rows it was trained on, and those it was not.

    Parameters
    ----------
    fit : TableFit
        The model and its training.
    train : TableRows
        The training rows.
    validation : TableRows or None
        The validation rows, where they come from a file of their own.
    test : TableRows or None
        The test rows.
    preset : Preset
        What the networks were drawn from.
    E : array of shape (n + m, p)
        The features of the training and validation rows and, below them, of the test rows.
    notes : tuple of str
        What is unlike the training in the test rows.
    """

    fit: TableFit = field(repr=False)
    train: TableRows = field(repr=False)
    validation: TableRows | None = field(repr=False)
    test: TableRows | None = field(repr=False)
    preset: Preset
    E: Array = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def y(self) -> Array:
        """Targets of the rows of `fit.E`: of the training rows, then of the validation rows."""
        return self.train.y if self.validation is None else np.concatenate([self.train.y, self.validation.y])


def train_table(
    source: str, options: o.TrainOptions, table: TableOptions, quiet: bool, shared: d.ProcessOptions
) -> TrainedTable:
    """Read a table, hold out test rows, and train a pack on the others.

    Every network holds out the validation rows where there are some, otherwise a fold of the training rows.

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
    shared : ProcessOptions
        Whether a cluster trains, which this process has joined, and with how many processes.

    Returns
    -------
    TrainedTable
    """
    from chainrule.data.table import describe

    preset = table.chosen
    raise_all(_faults(options, table))
    reading = options.reading("train")
    rows = kept_rows(read_rows(Path(source), options, reading), options, "train")
    inside, outside = _parts(rows, options)
    train = rows.take(inside)
    began = time.monotonic()
    seconds = None if table.networks else table.seconds or time_for(len(train.y))
    schema = describe(train.name, train.described, train.target.name, reading)
    files = (options.validation, options.test)
    validation, test = (None if file is None else read_part(Path(file), train, schema, reading) for file in files)
    if test is None and len(outside):
        test = rows.take(outside)
    tell = None if quiet else o.console(stderr=True)
    if tell is not None:
        _show_reading(tell, rows, date_proposals(schema, options))
    notes: list[str] = []
    y = np.concatenate([train.y, *([] if validation is None else [validation.y])])
    with _progress(tell, preset, seconds) as on_member:
        E = schema.encode_parts(rows.name, _to_encode(train, validation, test, notes))
        fit = fit_encoded(
            schema,
            E[: len(y)],
            y,
            rows.target.task,
            preset=preset,
            seconds=time_left(seconds, len(y), time.monotonic() - began),
            seed=options.seed,
            groups=train.groups,
            times=train.times,
            held_out=None if validation is None else np.arange(len(train.y), len(y)),
            target_name=rows.target.name,
            workers=shared.workers,
            on_cluster=shared.cluster is not None,
            on_member=on_member,
        )
    return TrainedTable(fit, train, validation, test, preset, E, tuple(notes))


def _to_encode(
    train: TableRows, validation: TableRows | None, test: TableRows | None, notes: list[str]
) -> list[tuple[Any, list[str] | None]]:
    """Return the inputs of each part, with the list that takes what is unlike the training in the test rows."""
    parts = ((train, None), (validation, None), (test, notes))
    return [(part.frame, told) for part, told in parts if part is not None]


def _faults(options: o.TrainOptions, table: TableOptions) -> Iterator[str]:
    if not 0 <= options.test_fraction < 1:
        yield must_be("train", "--test-fraction", "in [0, 1)", options.test_fraction)
    if table.seconds is not None and not table.seconds > 0:
        yield must_be("train", "--seconds", "above 0", table.seconds)
    if table.seconds is not None and table.networks is not None:
        hint = "Networks have all the time that they take."
        yield must_be("train", "--seconds", "left out beside --networks", table.seconds, hint)
    yield from options.split_faults("train")


def _parts(rows: TableRows, options: o.TrainOptions) -> tuple[Array, Array]:
    """Return the numbers of the training rows and of the test rows; a file of test rows leaves all for training."""
    everything = np.arange(len(rows.y))
    if options.test is not None or options.test_fraction == 0:
        return everything, everything[:0]
    if rows.groups is not None:
        stratified = rows.y if rows.target.task == "classification" else None
        return split_by_group(rows.groups, options.test_fraction, options.seed, stratified)
    if rows.times is not None:
        return split_by_time(rows.times, options.test_fraction)
    stratify = rows.target.task == "classification"
    return split(rows.y if stratify else len(rows.y), options.test_fraction, options.seed, stratify)


def _show_reading(tell: Any, rows: TableRows, proposals: Iterator[str]) -> None:
    """Print how the table was read and what is learned."""
    how = "; ".join(rows.facts)
    for sentence in (
        f"Read {rows.name}: {len(rows.y):,} rows" + (f"; {how}" if how else "") + ".",
        rows.target.sentence,
        *proposals,
    ):
        tell.print(sentence, markup=False)


@contextmanager
def _progress(tell: Any, preset: Preset, seconds: float | None) -> Iterator[Callable[[TrainedMember], None] | None]:
    """Show the networks that are done, while they train."""
    if tell is None:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    limit = "" if seconds is None else f"of {seconds:g} s"
    shown = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn(limit))
    with Progress(*shown, console=tell, transient=True) as progress:
        bar = progress.add_task("training networks", total=preset.members)

        def done(member: TrainedMember) -> None:
            progress.update(bar, advance=1, description=f"network {member.number + 1}: held-out loss {member.loss:.4g}")

        yield done
