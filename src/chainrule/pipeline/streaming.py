"""From settings and streamed data to a training problem, as `build_problem` makes it of data in memory.

In: `Settings`, a `StreamedDataset`. Out: a `StreamedProblem`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Dataset, Parts, Standardizer
from chainrule.data.row_sketch import RowSketch
from chainrule.data.stream.dataset import StreamedDataset
from chainrule.data.stream.described import Draft, names_of_numbers
from chainrule.data.stream.design import Design, NumberDesign, TableDesign
from chainrule.data.stream.memory import text_of
from chainrule.data.stream.parts import TEST, TRAIN, VALIDATION, Shares
from chainrule.data.stream.rows import Cut, StreamRows
from chainrule.data.stream.survey import Count, HeldRows, Survey, collected, count, survey
from chainrule.data.stream.targets import StreamTarget, target_of
from chainrule.data.table.schema import TableSchema
from chainrule.engines import Rows
from chainrule.errors import DataWarning, InvalidValueError, must_be
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.step import Recipe
from chainrule.pipeline.settings import Settings
from chainrule.pipeline.targets import ClassWeight, class_table, classification, streamed_regression
from chainrule.target import Target
from chainrule.train import TrainingProblem

_SAMPLE = 20_000
"""Training rows that are kept in memory as well, for scores, monitors and the range test."""

_FEWEST = 64
_NUMBERS = 32
"""Bytes of a row's numbers in the orders of a window and of the engine."""

_BYTES = 12
"""Bytes of a number of a row that is held out: as it is, and scaled."""


@dataclass(frozen=True)
class HoldOut:
    """What is held out of streamed rows.

    Parameters
    ----------
    validation, test : float, default=0.0
        Shares of the rows.
    validation_rows, test_rows : StreamedDataset or None, default=None
        Rows of their own, in place of a share.
    only : sequence of str or None, default=None
        Labels of the classes that are learned.
    """

    validation: float = 0.0
    test: float = 0.0
    validation_rows: StreamedDataset | None = None
    test_rows: StreamedDataset | None = None
    only: Sequence[str] | None = None


@dataclass(frozen=True, eq=False)
class StreamedProblem:
    """A training problem on streamed rows, with the rows that stay in memory.

    Parameters
    ----------
    problem : TrainingProblem
        Its `rows` are a sample of the training rows, its `stream` reads all of them.
    parts : Parts
        A sample of the training rows, and the rows that are held out.
    sketch : RowSketch
        Hashes of the rows that are trained and chosen on.
    schema : TableSchema or None
        The description of the table's columns.
    sentences : tuple of str
        What the user should know.
    """

    problem: TrainingProblem
    parts: Parts = field(repr=False)
    sketch: RowSketch = field(repr=False)
    schema: TableSchema | None = field(repr=False)
    sentences: tuple[str, ...] = ()


def build_streamed_problem(
    settings: Settings,
    dataset: StreamedDataset,
    hold_out: HoldOut | None = None,
    *,
    task: str | None = None,
    class_weight: ClassWeight = None,
    numbers_only: bool = False,
) -> StreamedProblem:
    """Describe and scale streamed rows in passes, and make the network and the recipe that learn from them.

    Parameters
    ----------
    settings : Settings
        Network and training.
    dataset : StreamedDataset
        The rows.
    hold_out : HoldOut or None, default=None
        What is held out; None is nothing.
    task : {"classification", "regression"} or None, default=None
        What is learned; None takes what the data set says.
    class_weight : mapping, "balanced" or None, default=None
        Weights of the classes.
    numbers_only : bool, default=False
        Whether all columns are taken as numbers, as estimators do.

    Returns
    -------
    StreamedProblem

    Raises
    ------
    InvalidValueError
        For data that cannot be learned from, and for too little memory.
    """
    hold_out = hold_out or HoldOut()
    owner = dataset.source.name
    draft = dataset.draft if dataset.is_table and not numbers_only else None
    design: Design = NumberDesign(dataset.inputs) if draft is None else _table_design(draft)
    found = target_of(owner, dataset.source, dataset.target, task or dataset.task, hold_out.only)
    most = max(_FEWEST, dataset.window // 2 // (_BYTES * len(design.names) + 16))
    cut = Cut(dataset.source, found, _shares(dataset, hold_out, most), dataset.key)
    wild = found.classes is None and isinstance(settings.regression_loss(), MeanSquaredError)
    counted = count(owner, cut, wild=wild, memory=dataset.max_memory // 2)
    if counted.sentence:
        warnings.warn(counted.sentence, DataWarning, stacklevel=3)
    rows = int(counted.sizes.sum())
    target = _target(owner, found, counted, settings)
    weigh = _weighing(found, counted, class_weight)
    recipe = settings.recipe(settings.network(len(design.names), target.outputs), target.loss, rows)
    _check_batch(dataset, recipe, rows)
    surveyed = survey(cut, design, settings.scaling, weigh, draft)
    schema = None if draft is None else draft.finished()
    design = design if schema is None else TableDesign(schema)
    held = _held(surveyed, hold_out, found, design, most)
    stream = _stream(dataset, cut, design, surveyed.scaling, (counted, target, recipe, weigh))
    ready = _Ready(recipe, target, found, surveyed.scaling, weigh)
    problem = TrainingProblem(
        recipe,
        ready.rows(surveyed.parts[TRAIN]),
        settings.config(rows, held[VALIDATION] is not None),
        ready.rows_if(held[VALIDATION]),
        settings.engine,
        feature_names=design.names,
        test=ready.rows_if(held[TEST]),
        inputs=surveyed.scaling,
        target=target,
        target_name=found.name,
        stream=stream,
    )
    parts = _parts(dataset, design, found, surveyed.parts[TRAIN], held)
    return StreamedProblem(problem, parts, surveyed.sketch, schema, _sentences(dataset, found, counted, parts))


def _table_design(draft: Draft) -> Design:
    """Return what makes a matrix of a table; only gaps need the quartiles that the next pass would find."""
    return TableDesign(draft.schema if names_of_numbers(draft.schema) is not None else draft.finished())


def _shares(dataset: StreamedDataset, hold_out: HoldOut, most: int) -> Shares:
    """Return the shares of the parts, each at most what half a window holds."""
    n = len(dataset)
    limit = most / n
    test = 0.0 if hold_out.test_rows is not None else hold_out.test
    validation = 0.0 if hold_out.validation_rows is not None else hold_out.validation * (1.0 - test)
    return Shares(min(validation, limit), min(test, limit), min(1.0, limit, _SAMPLE / n), dataset.seed)


def _target(owner: str, found: StreamTarget, counted: Count, settings: Settings) -> Target:
    if not counted.sizes.sum():
        raise InvalidValueError(f"{owner}: there must be rows to train on, got none that has a target.")
    if found.classes is not None:
        return classification(found.classes, settings, found.classes)
    assert counted.values is not None
    return streamed_regression(counted.values, settings)


def _weighing(found: StreamTarget, counted: Count, class_weight: ClassWeight) -> Callable[[Array], Array | None]:
    """Return what gives the weights of training rows by their targets."""
    if found.classes is not None and class_weight is not None:
        assert counted.classes is not None
        if isinstance(class_weight, str) and class_weight == "balanced":
            K = len(found.classes)
            table = counted.classes.sum() / (K * np.maximum(counted.classes, 1))
        else:
            table = class_table(found.classes, found.classes, class_weight)
        return lambda y: table[y]
    low, high = counted.within
    if low > -np.inf or high < np.inf:
        return lambda y: ((y >= low) & (y <= high)).astype(np.float64)
    return lambda y: None


def _check_batch(dataset: StreamedDataset, recipe: Recipe, rows: int) -> None:
    """Refuse a batch that does not fit in a window."""
    size = recipe.batch_size * recipe.net.inputs * np.dtype(recipe.dtype).itemsize
    if size > dataset.window // 2:
        most = dataset.window // 2 // (size // recipe.batch_size)
        hint = f"A batch is in memory as a whole: allow more than {text_of(dataset.max_memory)}."
        allowed = f"at most {most:,} for streamed rows"
        raise InvalidValueError(must_be("fit", "batch_size", allowed, min(recipe.batch_size, rows), hint))


def _held(
    surveyed: Survey, hold_out: HoldOut, found: StreamTarget, design: Design, most: int
) -> dict[int, HeldRows | None]:
    """Return the validation and test rows."""
    held: dict[int, HeldRows | None] = {part: surveyed.parts.get(part) for part in (VALIDATION, TEST)}
    for part, own in ((VALIDATION, hold_out.validation_rows), (TEST, hold_out.test_rows)):
        if own is not None:
            shares = Shares(validation=min(1.0, most / len(own)), seed=own.seed)
            held[part] = collected(Cut(own.source, found, shares), design)
    return held


def _stream(
    dataset: StreamedDataset,
    cut: Cut,
    design: Design,
    scaling: Standardizer,
    made: tuple[Count, Target, Recipe, Callable[[Array], Array | None]],
) -> StreamRows:
    """Return the training rows as the network takes them."""
    counted, target, recipe, weigh = made
    classes = cut.target.classes
    table = None if classes is None else target.encode(classes)
    kind = np.dtype(recipe.dtype)

    def encode(y: Array) -> tuple[Array, Array]:
        encoded = target.encode(y) if table is None else table[y]
        weights = weigh(y)
        c = np.ones(len(y), kind) if weights is None else weights.astype(kind)
        return (encoded if encoded.dtype.kind in "iu" and encoded.ndim == 1 else encoded.astype(kind)), c

    d = len(design.names)
    order = dataset.order(counted.sizes, (d + target.outputs + 2) * kind.itemsize + _NUMBERS)
    print_ = dataset.fingerprint(list(design.names), list(astuple(cut.shares)), order.per_window)
    return StreamRows(cut, design, scaling, encode, order, recipe.dtype, dataset.window, print_)


@dataclass(frozen=True, eq=False)
class _Ready:
    """What makes rows in memory ready for the network."""

    recipe: Recipe
    target: Target
    found: StreamTarget
    scaling: Standardizer
    weigh: Callable[[Array], Array | None]

    def rows_if(self, held: HeldRows | None) -> Rows | None:
        """Return rows on the network's scale, None where there are none."""
        return None if held is None else self.rows(held)

    def rows(self, held: HeldRows) -> Rows:
        """Return rows on the network's scale."""
        X = self.scaling.apply(held.X, self.recipe.dtype)
        return Rows.of(self.recipe, X, self.target.encode(labels(self.found, held.y)))


def labels(found: StreamTarget, y: Array) -> Array:
    """Return targets as they are in the files."""
    named: Array = y if found.classes is None else found.classes[y]
    return named


def _parts(
    dataset: StreamedDataset, design: Design, found: StreamTarget, sample: HeldRows, held: dict[int, HeldRows | None]
) -> Parts:
    """Return the rows in memory as data sets."""

    def part(rows: HeldRows | None) -> Dataset | None:
        if rows is None:
            return None
        y = labels(found, rows.y)
        name, facts = dataset.source.name, dataset.source.facts
        return Dataset(
            *(name, rows.X, y, found.task, design.names, found.name), facts=facts, target_sentence=found.sentence
        )

    train = part(sample)
    assert train is not None
    if isinstance(design, TableDesign):
        train = replace(train, schema=design.schema)
    return Parts(train, part(held[VALIDATION]), part(held[TEST]))


def _sentences(dataset: StreamedDataset, found: StreamTarget, counted: Count, parts: Parts) -> tuple[str, ...]:
    """Return what the user should know about rows and memory."""
    rows = int(counted.sizes.sum())
    held = {"validation": parts.validation, "test": parts.test}
    sizes = "".join(f", {len(part.X):,} for {name}" for name, part in held.items() if part is not None)
    memory = text_of(dataset.max_memory)
    left_out = len(dataset) - counted.rows
    sentences = [
        f"streamed {dataset.source.name}: {rows:,} rows to train on{sizes}; at most {memory} of rows in memory"
    ]
    if left_out:
        sentences.append(
            f"{left_out:,} row{'s' * (left_out > 1)} without a target {'are' if left_out > 1 else 'is'} left out."
        )
    if len(parts.train.X) < rows:
        sentences.append(f"Scores of the training rows are those of {len(parts.train.X):,} of them.")
    return tuple(sentences)
