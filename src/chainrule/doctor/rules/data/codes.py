"""Cells that a command can take for gaps: the option by which the reader of a table leaves strange values out.

In: a training problem of a table, and the strange cells of its columns. Out: the setting, with the values as they are in
the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Dataset
from chainrule.data.outliers import WildCells
from chainrule.data.table.gaps import label
from chainrule.data.table.missing import marked
from chainrule.doctor.remedies.alignment import raw_inputs
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.pipeline.option_names import COMMAND_LINE, Setting
from chainrule.train.problem import TrainingProblem


def missing_settings(problem: TrainingProblem, found: Mapping[int, WildCells]) -> tuple[Setting, ...]:
    """Return the setting that takes these cells of a table's columns for gaps; () where no option can."""
    table = problem.table
    if (
        problem.interface != COMMAND_LINE
        or table is None
        or table.frame is None
        or problem.rows.X.shape[1] != table.X.shape[1]
    ):
        return ()
    X = raw_inputs(problem, problem.rows.X)
    pairs = [pair for j, cells in found.items() for pair in _pairs(table, j, X[cells.rows, j])]
    return (Setting("missing", tuple(pairs)),) if pairs else ()


def _pairs(table: Dataset, j: int, strange: Array) -> Iterator[tuple[str, str]]:
    """Yield a column's name with each strange value as the table has it; nothing where an option cannot say all of them."""
    name = table.feature_names[j]
    if name != name.strip() or name not in _number_columns(table):
        return
    known = np.unique(table.X[:, j])
    values = sorted({float(known[np.argmin(np.abs(known - value))]) for value in strange.tolist()})
    texts = [_shortest(value) for value in values]
    if len(texts) <= DATA_LIMITS.most_codes and all(_occurs(table, name, text) for text in texts):
        yield from ((name, text) for text in texts)


def _shortest(value: float) -> str:
    """Return the shortest text of a number that a column of single precision may hold.

    >>> _shortest(float(np.float32(9999.9))), _shortest(9999.99), _shortest(-999.0)
    ('9999.9', '9999.99', '-999')
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    return label(float(str(single)) if float(single) == value else value)


def _number_columns(table: Dataset) -> set[str]:
    """Return the columns of numbers that are read as they are; no name that two features share."""
    names = [column.name for column in table.schema.used if column.kind == "number"] if table.schema else []
    return {name for name in names if table.feature_names.count(name) == 1}


def _occurs(table: Dataset, name: str, text: str) -> bool:
    assert table.frame is not None
    return bool(marked(table.frame[name], [text]).any())
