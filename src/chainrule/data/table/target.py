"""The target of a table: which task it is, why, and which rows have none.

In: a frame and the name of its target. Out: a `TargetColumn`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.checks import cell_fault
from chainrule.data.table.cells import TEXT, clean_text, interpret, loose_numbers
from chainrule.data.table.gaps import is_gap, label_marks
from chainrule.data.table.shell import option_text
from chainrule.data.targets import MOST_INTEGER_CLASSES, Task, check_task, few_or_codes, settle_target
from chainrule.errors import InvalidValueError, did_you_mean, must_be

_TYPO = 0.01
"""Share of cells without a number up to which few distinct numbers are a column of numbers with faulty cells."""


@dataclass(frozen=True, eq=False)
class TargetColumn:
    """The target of a table.

    Parameters
    ----------
    y : array of shape (m,)
        The target of the rows that have one: labels as they are in the table, or float64 values.
    task : {"classification", "regression"}
        What is learned.
    kept : array of shape (n,)
        True for the m rows whose target is no gap.
    sentence : str
        The task, why, and how to overrule it.
    name : str
        Name of the column.
    """

    y: Array = field(repr=False)
    task: Task
    kept: Array = field(repr=False)
    sentence: str
    name: str


def read_target(
    owner: str, frame: pl.DataFrame, target: str | None, task: str | None = None, learned: bool = True
) -> TargetColumn:
    """Return the target of a table with the task that it suggests, or the one asked for.

    Parameters
    ----------
    owner : str
        The object that messages name.
    frame : polars.DataFrame
        The table, from `read_file` or `as_frame`.
    target : str or None
        Name of the target.
    task : {"classification", "regression"}, default=None
        Task that overrules the one that the values suggest.
    learned : bool, default=True
        Whether the target is learned; one that predictions are only compared with may be of a single class.

    Returns
    -------
    TargetColumn

    Raises
    ------
    InvalidValueError
        For an unknown column, for numbers among which some cells are neither numbers nor gaps (the message names the
        first), and for a target that the task cannot learn.

    Examples
    --------
    >>> read_target("pets", pl.DataFrame({"legs": [4, 2, 2, 4]}), "legs").sentence
    "classification: 'legs' has 2 distinct whole numbers. Use --task regression to overrule."
    """
    name = known_target(owner, frame, target)
    asked = check_task(owner, task)
    values, notes = _values(owner, frame[name], asked)
    kept = values.is_not_null().to_numpy()
    filled = values.drop_nulls()
    if not len(filled):
        raise InvalidValueError(f"{owner}: column {name!r} must have a value in some row, got gaps only.")
    y, settled = settle_target(owner, _to_numpy(owner, filled), asked, learned)
    sentence = " ".join([_why(name, filled, settled, asked), *notes, *_left_out(len(values) - len(filled))])
    return TargetColumn(y, settled, kept, sentence, name)


def known_target(owner: str, frame: pl.DataFrame, target: str | None) -> str:
    """Return the name of the target; raise `InvalidValueError` with the table's columns for any other."""
    if target is None or target not in frame.columns:
        columns = f"Columns: {', '.join(frame.columns)}."
        nearest = (
            did_you_mean(target, frame.columns)
            if target
            else f"Name one, as {option_text('--target', frame.columns[-1])}."
        )
        hint = columns if nearest.startswith("Known") else f"{nearest} {columns}"
        if target is not None and tuple(frame.columns) == tuple(f"x{j + 1}" for j in range(frame.width)):
            hint = f"The first line looks like data, so that the columns are named x1, x2, ... {columns}"
        raise InvalidValueError(must_be(owner, "target", "the name of a column", target, hint))
    return target


def _values(owner: str, column: pl.Series, asked: Task | None) -> tuple[pl.Series, list[str]]:
    """Return the target's cells with null for gaps, and what was decided about marks of gaps."""
    if column.dtype.is_float():
        return column.fill_nan(None), []
    if column.dtype not in TEXT:
        return column.cast(pl.Float64) if column.dtype.is_decimal() else column, []
    text = clean_text(column)
    found = interpret(text)
    if found.kind == "number":
        as_text = asked == "classification" or (asked is None and _few_whole(found.values))
        return text.set(found.values.is_null(), None) if as_text else found.values, []
    if found.kind == "boolean":
        return text.set(found.values.is_null(), None), []
    if found.kind == "date":
        raise InvalidValueError(must_be(owner, "target", "numbers, booleans or text", f"dates ({found.date_format})"))
    if asked != "classification":
        _check_numbers(owner, text, asked)
    if asked == "regression":
        return loose_numbers(text)[0], []
    counts = Counter(text.drop_nulls().to_list())
    labels = _label_marks(counts)
    gaps = [mark for mark in counts if is_gap(mark) and mark not in labels]
    notes = [f"{mark!r} is a label: {why}." for mark, why in labels.items()]
    return text.set(text.is_in(gaps).fill_null(False), None) if gaps else text, notes


def _few_whole(numbers: pl.Series) -> bool:
    return numbers.dtype.is_integer() and few_or_codes(numbers.drop_nulls().unique().sort().to_numpy())


def _label_marks(counts: Mapping[str, int]) -> dict[str, str]:
    """Return the marks that are labels of a target of texts: codes, and "None" as frequent as another label."""
    labels = dict(label_marks(counts))
    others = [count for value, count in counts.items() if not is_gap(value)]
    for mark, count in counts.items():
        if mark in ("None", "none") and others and count >= min(others):
            labels[mark] = "as frequent as another"
    return labels


def _check_numbers(owner: str, text: pl.Series, asked: Task | None) -> None:
    """Refuse a column of numbers in which some cells are something else, and any text in a regression."""
    numbers, odd = loose_numbers(text)
    rows = np.flatnonzero(odd)
    filled = len(numbers) - numbers.null_count()
    faulty = len(rows) <= max(1, _TYPO * filled) and text.filter(odd).n_unique() == len(rows)
    many = numbers.drop_nulls().n_unique() > MOST_INTEGER_CLASSES
    if len(rows) and (asked == "regression" or (2 * filled >= filled + len(rows) and (many or faulty) and filled > 2)):
        hint = "Correct it, leave it empty, or use --task classification for labels."
        cell = text[int(rows[0])]
        if asked == "regression" and not filled:
            hint = "For text, use task='classification' (--task classification)."
            raise InvalidValueError(must_be(owner, "target", "numeric for regression", cell, hint))
        raise InvalidValueError(cell_fault(owner, text.name, "numeric", cell, rows, hint))


def _to_numpy(owner: str, values: pl.Series) -> Array:
    if values.dtype in TEXT:
        return np.array(values.to_list(), dtype=np.str_)
    if not values.dtype.is_numeric() and values.dtype != pl.Boolean:
        raise InvalidValueError(must_be(owner, "target", "numbers, booleans or text", str(values.dtype)))
    return values.to_numpy()


def _why(name: str, values: pl.Series, task: Task, asked: Task | None) -> str:
    """Return the task with its reason, and how to overrule it where that is possible."""
    distinct = values.n_unique()
    if asked is not None:
        counted = f", {distinct:,} classes" if task == "classification" else ""
        return f"{task}: as asked for {name!r} (--task {task}){counted}."
    if values.dtype == pl.Boolean:
        return f"{task}: {name!r} is true or false."
    if values.dtype in TEXT:
        return f"{task}: {name!r} has {distinct:,} distinct texts."
    if task == "classification":
        return f"{task}: {name!r} has {distinct:,} distinct whole numbers. Use --task regression to overrule."
    if values.dtype.is_integer() or (values == values.round()).all():
        hint = "Use --task classification to overrule."
        return f"{task}: {name!r} has {distinct:,} distinct whole numbers, more than {MOST_INTEGER_CLASSES}. {hint}"
    return f"{task}: {name!r} has numbers with fractions."


def _left_out(rows: int) -> list[str]:
    if not rows:
        return []
    return [f"{rows:,} rows without a target are left out." if rows > 1 else "1 row without a target is left out."]
