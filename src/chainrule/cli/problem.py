"""From a source and options to a training problem, for every command that trains.

In: a source, what the user typed. Out: a `LoadedProblem`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.cli import options as o
from chainrule.cli.option_values import kept_labels
from chainrule.cli.source_rows import labels_of
from chainrule.cli.streamed import is_streamed, streamed_problem
from chainrule.cli.table_rows import date_proposals, is_table, kept_rows, read_part, read_rows
from chainrule.cli.unused import refuse, source_facts
from chainrule.data import Dataset, Parts, load, three_way
from chainrule.data.row_sketch import RowSketch
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.pipeline import Settings, Situation, build_problem, unused
from chainrule.pipeline.option_names import COMMAND_LINE, option_name
from chainrule.train import TrainingProblem, find_learning_rate


@dataclass(frozen=True, eq=False)
class LoadedProblem:
    """A training problem with the settings and the parts of the data that it was made of."""

    settings: Settings
    parts: Parts = field(repr=False)
    problem: TrainingProblem
    sketch: RowSketch | None = None


def load_problem(source: str, options: o.TrainOptions, command: str, quiet: bool) -> LoadedProblem:
    """Load and split the data, make the problem, and find the learning rate where that is wanted."""
    if is_streamed(source, options):
        return load_streamed(source, options, command, quiet)
    settings = options.settings(command)
    dataset, split = _table(source, options, command) if is_table(source) else _other(source, options, command)
    refuse(command, source_facts(source, own_test=dataset.test is not None))
    at = Situation(dataset.task, own_validation=options.validation is not None)
    raise_all([*_option_faults(command, options, dataset), *unused(command, settings, at, option_name)])
    parts = three_way(dataset, options.test_fraction, options.validation_fraction, settings.seed, **split)
    raise_all(_batch_faults(command, settings, len(parts.train.y)))
    if options.scaling is None and dataset.shared_unit:
        settings = replace(settings, scaling="shared")
    problem = build_problem(settings, parts, class_weight=options.class_weight)
    table = parts.train if parts.train.schema is not None else None
    problem = replace(problem, interface=COMMAND_LINE, table=table)
    settings = replace(settings, max_iter=problem.config.epochs)
    if not quiet:
        _show_reading(dataset, options)
    if options.lr != "find":
        return LoadedProblem(settings, parts, problem)
    rate = find_learning_rate(problem).suggestion
    if not quiet:
        o.console(stderr=True).print(f"learning rate {rate:.2g} (range test)")
    return LoadedProblem(replace(settings, learning_rate_init=rate), parts, problem.with_learning_rate(rate))


def load_streamed(source: str, options: o.TrainOptions, command: str, quiet: bool) -> LoadedProblem:
    """Describe data larger than memory, make the problem, and find the learning rate where that is wanted."""
    settings = options.settings(command)
    made = streamed_problem(source, options, command, settings)
    task = made.parts.train.task
    at = Situation(task, own_validation=options.validation is not None)
    raise_all([*_option_faults(command, options, made.parts.train), *unused(command, settings, at, option_name)])
    problem = replace(made.problem, interface=COMMAND_LINE)
    settings = replace(settings, max_iter=problem.config.epochs)
    if not quiet:
        _show_reading(made.parts.train, options)
        for sentence in made.sentences:
            o.console(stderr=True).print(sentence, markup=False, highlight=False, soft_wrap=True)
    if options.lr == "find":
        rate = find_learning_rate(replace(problem, stream=None)).suggestion
        settings = replace(settings, learning_rate_init=rate)
        problem = problem.with_learning_rate(rate)
        if not quiet:
            o.console(stderr=True).print(f"learning rate {rate:.2g} (range test on a sample of the rows)")
    return LoadedProblem(settings, made.parts, problem, made.sketch)


def _table(source: str, options: o.TrainOptions, command: str) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows of a table, and what they are split by, as `three_way` takes it."""
    from chainrule.data.table.loading import dataset_of

    reading = options.reading(command)
    rows = kept_rows(read_rows(Path(source), options, reading), options, command)
    dataset = dataset_of(rows.whole, rows.name, rows.target, rows.facts, None, reading)
    assert dataset.schema is not None
    split: dict[str, Any] = {"group": rows.groups, "time": rows.times}
    for name, file in (("validation", options.validation), ("test", options.test)):
        if file is not None:
            part = read_part(Path(file), rows, dataset.schema, reading)
            found = dataset_of(part.whole, part.name, part.target, part.facts, dataset.schema, reading)
            split[name] = replace(found, y=part.y)
    return dataset, split


def _other(source: str, options: o.TrainOptions, command: str) -> tuple[Dataset, dict[str, Any]]:
    """Return the rows of a source that is no table, and its parts that come from files of their own."""
    dataset = _kept(load(source, options.target, task=options.task, seed=options.seed), options, command)
    hint = "Only tables (.csv, .parquet, ...) have columns to split by."
    raise_all(
        must_be(command, name, "left out for this source", column, hint)
        for name, column in (("--group", options.group), ("--time", options.time))
        if column is not None
    )
    files = {"validation": options.validation, "test": options.test}
    return dataset, {name: _part(file, dataset, options, command) for name, file in files.items() if file is not None}


def _part(file: str, dataset: Dataset, options: o.TrainOptions, command: str) -> Dataset:
    """Return validation or test rows for a source that is no table: a table by its names, others by their order."""
    if is_table(file):
        reading = options.reading(command)
        part = load(file, dataset.target_name, task=dataset.task, features=dataset.feature_names, read=reading)
    else:
        part = load(file, task=dataset.task, seed=options.seed)
        part = part.test or part
    if part.X.shape[1] != dataset.X.shape[1]:
        raise InvalidValueError(
            must_be(part.name, "columns", f"{dataset.X.shape[1]}, as in {dataset.name}", part.X.shape[1])
        )
    part = _kept(part, options, command)
    y = part.y if dataset.task == "regression" else labels_of(part.name, np.unique(dataset.y), part.y)
    return replace(part, y=y, test=None, feature_names=dataset.feature_names)


def _kept(dataset: Dataset, options: o.TrainOptions, command: str) -> Dataset:
    """Return the rows of the classes that the user wants to learn."""
    if options.keep_classes is None:
        return dataset
    labels = kept_labels(command, options.keep_classes, np.unique(dataset.y).tolist(), dataset.task)
    mask = np.isin(dataset.y.astype(str), labels)
    test = None if dataset.test is None else _kept(dataset.test, options, command)
    return replace(dataset, X=dataset.X[mask], y=dataset.y[mask], test=test)


def _show_reading(dataset: Dataset, options: o.TrainOptions) -> None:
    """Print how a table was read, its task, and what the user should know about its columns."""
    out = o.console(stderr=True)
    how = "; ".join(dataset.facts)
    told: tuple[str, ...] = ()
    if dataset.schema is not None:
        told = (*dataset.schema.warnings, *date_proposals(dataset.schema, options))
    for sentence in (f"read {dataset.name}: {how}" if how else "", dataset.target_sentence, *told):
        if sentence:
            out.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _option_faults(command: str, options: o.TrainOptions, dataset: Dataset) -> Iterator[str]:
    """Yield a sentence for every option that this task has no use for."""
    if options.class_weight is not None and dataset.task == "regression":
        yield must_be(command, "--class-weight", "left out for a regression", options.class_weight)
    if options.link is not None and dataset.task == "classification":
        hint = "The output function of a classification follows from its classes."
        yield must_be(command, "--link", "left out for a classification", options.link, hint)


def _batch_faults(command: str, settings: Settings, n: int) -> Iterator[str]:
    size = settings.batch_size
    if isinstance(size, int) and size > n:
        hint = "Use fewer, or 'full' for all rows."
        yield must_be(command, "--batch-size", f"at most the number of training rows ({n})", size, hint)
