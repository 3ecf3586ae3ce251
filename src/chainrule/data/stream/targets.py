"""The target of streamed rows, found out from its distinct values, and its cells as numbers of classes or values.

In: a source and the name of its target. Out: a `StreamTarget`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from chainrule.arrays import Array
from chainrule.data.stream.source import Source
from chainrule.data.table.cells import TEXT
from chainrule.data.table.target import read_target
from chainrule.data.targets import Task
from chainrule.errors import FormatError, InvalidValueError, must_be

_MOST_DISTINCT = 100_000
"""Distinct values that are held; a target with more of them is a regression's."""


@dataclass(frozen=True, eq=False)
class StreamTarget:
    """What a streamed target is.

    Parameters
    ----------
    name : str
        Name of the column.
    task : {"classification", "regression"}
        What is learned.
    classes : array of shape (K,) or None
        The classes in order; None for a regression.
    sentence : str
        The task, why, and how to overrule it.
    cells : polars.Series or None
        The distinct cells of rows that take part, of classes.
    codes : array of int or None
        The number of the class of each of them.
    """

    name: str
    task: Task
    classes: Array | None
    sentence: str
    cells: Any = field(default=None, repr=False)
    codes: Array | None = field(default=None, repr=False)
    others: Any = field(default=None, repr=False)

    def read(self, place: str, cells: pl.Series) -> tuple[Array, Array]:
        """Return which rows have a target (a mask), and the targets of those: numbers of classes or values."""
        quick = self._quick(cells)
        if quick is not None:
            return quick
        if cells.dtype.is_float():
            cells = cells.fill_nan(None)
        if self.classes is None or self.codes is None:
            values = cells.cast(pl.Float64)
            kept = values.is_not_null().to_numpy()
            found = values.drop_nulls().to_numpy()
            if not np.isfinite(found).all():
                raise InvalidValueError(f"{place}: the target {self.name!r} must be finite, got an infinite value.")
            return kept, found
        known = pl.Series(self.codes, dtype=pl.Int64)
        numbers = _plain(cells).replace_strict(self.cells, known, default=None, return_dtype=pl.Int64)
        kept = numbers.is_not_null().to_numpy()
        if numbers.null_count() > cells.null_count():
            self._check(place, _plain(cells).filter(pl.Series(~kept)))
        return kept, numbers.drop_nulls().to_numpy()

    def _quick(self, cells: pl.Series) -> tuple[Array, Array] | None:
        """Return the same for numbers none of which is a gap or left out; None for other cells."""
        if cells.null_count() or not (cells.dtype.is_integer() or cells.dtype.is_float()):
            return None
        values = cells.to_numpy()
        kept = np.ones(len(values), bool)
        if self.classes is None or self.codes is None:
            finite = bool(np.isfinite(values.sum(dtype=np.float64)))
            return (kept, values.astype(np.float64)) if finite else None
        known = self._known
        place = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return (kept, self.codes[place]) if (known[place] == values).all() else None

    @cached_property
    def _known(self) -> Array:
        """The cells of classes that are numbers, ascending."""
        known: Array = self.cells.to_numpy()
        return known

    def _check(self, place: str, left_out: pl.Series) -> None:
        """Refuse cells that were not there when the target was described."""
        unknown = left_out.drop_nulls().unique()
        unknown = unknown.filter(~unknown.is_in(self.others.implode()))
        if len(unknown):
            raise FormatError(f"{place}: the target must be as it was described, got {unknown[0]!r} in the file now.")


def _plain(cells: pl.Series) -> pl.Series:
    """Return texts of any type as plain texts."""
    return cells.cast(pl.String) if cells.dtype in (pl.Categorical, pl.Enum) else cells


def target_of(
    owner: str, source: Source, target: str, task: str | None, only: Sequence[str] | None = None
) -> StreamTarget:
    """Find out what the target is, from its distinct values.

    Parameters
    ----------
    owner : str
        The object that messages name.
    source : Source
        The rows.
    target : str
        Name of the column.
    task : {"classification", "regression"} or None
        Task that overrules the one that the values suggest.
    only : sequence of str or None, default=None
        Labels of the classes that are learned; None learns all.

    Returns
    -------
    StreamTarget

    Raises
    ------
    InvalidValueError
        As `read_target` does, and for texts as the numbers of a regression.
    """
    cells = _distinct(source, target)
    found = read_target(owner, pl.DataFrame([cells]), target, task)
    if found.task == "regression":
        if cells.dtype in TEXT:
            hint = "Convert it in the files."
            raise InvalidValueError(must_be(owner, f"column {target!r}", "of numbers as such", "texts", hint))
        return StreamTarget(target, found.task, None, found.sentence)
    kept = cells.filter(pl.Series(found.kept))
    labels = found.y
    if only is not None:
        mine = np.isin(labels.astype(str), list(only))
        kept, labels = kept.filter(pl.Series(mine)), labels[mine]
    classes, codes = np.unique(labels, return_inverse=True)
    others = cells.drop_nulls().filter(~cells.drop_nulls().is_in(kept.implode()))
    return StreamTarget(target, found.task, classes, found.sentence, kept, codes.astype(np.int64), others)


def _distinct(source: Source, target: str) -> pl.Series:
    """Return the distinct cells of the target, sorted; of numbers that are many only some."""
    seen: pl.Series | None = None
    for group in range(len(source.manifest.sizes)):
        for piece in source.pieces(group, [target]):
            own = _plain(piece.column(target))
            own = (own.fill_nan(None) if own.dtype.is_float() else own).unique()
            seen = own if seen is None else pl.concat([seen, own]).unique()
        if seen is not None and len(seen) > _MOST_DISTINCT and seen.dtype.is_numeric():
            break
    assert seen is not None
    return seen.sort()
