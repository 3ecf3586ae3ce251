"""Streamed data as users open them: `open_dataset`.

In: files, arrays or a function that yields batches; the target; how much memory they may take. Out: a `StreamedDataset`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.arrays import Array
from chainrule.constraints import Interval
from chainrule.data.stream.arrays import TARGET, ArraySource, BatchSource, mapped
from chainrule.data.stream.memory import SMALLEST, WINDOWS, bytes_of, text_of
from chainrule.data.stream.order import Position, RowOrder
from chainrule.data.stream.parquet import ParquetSource, files_of
from chainrule.data.stream.source import Source, text_digest
from chainrule.data.table.schema import ReadOptions, TableSchema
from chainrule.errors import FormatError, InvalidValueError, did_you_mean, must_be

if TYPE_CHECKING:
    from chainrule.data.stream.described import Draft

_SEEDS = Interval(0, 2**64, "[)", whole=True)


def open_dataset(
    source: Any,
    target: Any = None,
    *,
    max_memory: int | str = "256MB",
    seed: int = 0,
    task: str | None = None,
    columns: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    key: str | None = None,
    missing: Mapping[str, Any] | None = None,
) -> StreamedDataset:
    """Open data that are larger than memory; only footers of files are read.

    Parameters
    ----------
    source : str, path, sequence of such, array or callable
        Parquet files by path or pattern ("train/*.parquet"), which need the extra `parquet`; a .npy file or an array (n, d),
        mapped or not; or a function that returns a new iterator over the same batches at each call. A batch is a pair
        (X, y), or rows in any form with the target among their columns.
    target : str, path or array
        Name of the column to learn; for an array source the targets (n), or their .npy file; for pairs (X, y) left out.
    max_memory : int or str, default="256MB"
        Memory that rows may take, in bytes or as text; a sixth of it is a window of rows.
    seed : int, default=0
        Seed of the order of the rows, and of the rows that are held out.
    task : {"classification", "regression"} or None, default=None
        What is learned; None decides by the target's values.
    columns : mapping of str to str or None, default=None
        Kinds of columns, where the rules would decide otherwise.
    drop : sequence of str, default=()
        Columns to leave out.
    key : str or None, default=None
        Column by whose values rows are held out together; None holds out single rows.
    missing : mapping of str to sequence or None, default=None
        Values of a table's columns that mean a missing cell, such as {"age": [-999]}.

    Returns
    -------
    StreamedDataset

    Raises
    ------
    MissingError
        For files that do not exist, a pattern that matches none, and without pyarrow.
    FormatError
        For a damaged file, and for columns unlike those of the first.
    InvalidValueError
        For a target that is not there, and for too little memory.

    Examples
    --------
    >>> X = np.arange(4000.0).reshape(1000, 4)
    >>> dataset = open_dataset(X, X[:, 0] > 2000, max_memory="8MB")
    >>> len(dataset), sum(len(y) for _, y in dataset.batches(64))
    (1000, 1000)
    """
    memory = bytes_of("open_dataset", "max_memory", max_memory)
    if not _SEEDS.allows(seed):
        raise InvalidValueError(must_be("open_dataset", "seed", str(_SEEDS), seed))
    opened, name = _opened(source, target)
    for option, column in (("target", name), ("key", key)):
        if column is not None and column not in opened.columns:
            hint = did_you_mean(str(column), opened.columns)
            raise InvalidValueError(must_be("open_dataset", option, "the name of a column", column, hint))
    if key is not None and key == name:
        raise InvalidValueError(must_be("open_dataset", "key", "another column than the target", key))
    if missing is not None and not isinstance(missing, Mapping):
        raise InvalidValueError(must_be("open_dataset", "missing", "a mapping of columns to values", missing))
    options = ReadOptions(kinds=dict(columns or {}), drop=tuple(drop), missing=dict(missing or {}))
    dataset = StreamedDataset(opened, name, memory, int(seed), task, options, key)
    if missing and not dataset.is_table:
        raise InvalidValueError(must_be("open_dataset", "missing", "None for arrays", dict(missing)))
    return dataset


def _opened(source: Any, target: Any) -> tuple[Source, str]:
    """Return the source of data in any form, and the name of the target."""
    if callable(source):
        batches = BatchSource("open_dataset", source)
        if target is None and TARGET not in batches.columns:
            raise InvalidValueError(must_be("open_dataset", "target", "the name of a column", None))
        return batches, TARGET if target is None else str(target)
    if isinstance(source, np.ndarray) or _ends_with(source, ".npy"):
        X = source if isinstance(source, np.ndarray) else mapped("open_dataset", source)
        if target is None:
            hint = "Pass the array, or its .npy file, as the second argument."
            raise InvalidValueError(must_be("open_dataset", "target", "the targets of the rows", None, hint))
        y = mapped("open_dataset", target) if _ends_with(target, ".npy") else np.asarray(target)
        return ArraySource("open_dataset", X, y), TARGET
    if not isinstance(source, str | os.PathLike | Sequence):
        allowed = "Parquet files, a .npy file, an array, or a function that returns an iterator of batches"
        hint = "An iterator runs once: pass a function that makes it." if isinstance(source, Iterator) else ""
        raise InvalidValueError(must_be("open_dataset", "source", allowed, type(source).__name__, hint))
    files = files_of("open_dataset", source)
    other = next((file for file in files if not file.lower().endswith(".parquet")), None)
    if other is not None:
        hint = "Other tables are read into memory; convert large ones with polars: pl.scan_csv(...).sink_parquet(...)."
        raise FormatError(must_be("open_dataset", "source", "Parquet files", other, hint))
    opened = ParquetSource("open_dataset", files)
    if not isinstance(target, str):
        raise InvalidValueError(must_be("open_dataset", "target", "the name of a column", target))
    return opened, target


def _ends_with(path: Any, ending: str) -> bool:
    return isinstance(path, str | os.PathLike) and Path(path).suffix.lower() == ending


class StreamedDataset:
    """Rows that are read while a network is trained on them; `open_dataset` makes it.

    Parameters
    ----------
    source : Source
        The rows.
    target : str
        Name of the column to learn.
    max_memory : int
        Bytes that rows may take.
    seed : int
        Seed of the order of the rows, and of the rows that are held out.
    task : str or None, default=None
        What is learned.
    options : ReadOptions, default=ReadOptions()
        What the user says about columns.
    key : str or None, default=None
        Column by whose values rows are held out together.

    Examples
    --------
    >>> dataset = open_dataset(np.eye(3), np.array([0, 1, 1]), max_memory="1MiB")
    >>> dataset
    StreamedDataset('arrays': 3 rows, 3 columns and the target 'target')
    """

    def __init__(
        self,
        source: Source,
        target: str,
        max_memory: int,
        seed: int,
        task: str | None = None,
        options: ReadOptions = ReadOptions(),  # noqa: B008  (frozen)
        key: str | None = None,
    ) -> None:
        self.opened = source
        self.source = source if not options.missing else _gapped(source, options.missing)
        self.target = target
        self.max_memory = max_memory
        self.seed = seed
        self.task = task
        self.options = options
        self.key = key
        self.window = max_memory // WINDOWS
        self._check_groups(max(source.manifest.nbytes), 1)

    def __len__(self) -> int:
        return self.source.manifest.rows

    def __repr__(self) -> str:
        columns = len(self.source.columns) - 1
        return (
            f"StreamedDataset({self.source.name!r}: {len(self)} rows, {columns} columns and the target {self.target!r})"
        )

    @cached_property
    def is_table(self) -> bool:
        """Whether the columns are described, as those of a table are; those of arrays are numbers."""
        return not isinstance(self.opened, ArraySource) and TARGET not in self.opened.columns

    @cached_property
    def draft(self) -> Draft:
        """What the columns are, found out in a pass over the files, but for quartiles that another pass ends."""
        from chainrule.data.stream.described import draft_of
        from chainrule.data.table.missing import GROUP

        source, hidden = self.source, {} if self.key is None else {self.key: GROUP}
        shown, whole = (_Without(each, tuple(hidden)) if hidden else each for each in (source, self.opened))
        return draft_of(source.name, shown, self.target, self.options, self.max_memory // 2, whole, hidden)

    @property
    def schema(self) -> TableSchema:
        """What the columns are, found out in passes over the files."""
        return self.draft.finished()

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that are no target, key or dropped."""
        left_out = {self.target, self.key, *self.options.drop}
        return tuple(name for name in self.source.columns if name not in left_out)

    def order(self, sizes: Array, row_bytes: int) -> RowOrder:
        """Return the order in which rows are read, with as many groups in a window as fit.

        Parameters
        ----------
        sizes : array of shape (g,)
            Rows of each group that are trained on.
        row_bytes : int
            Bytes of one row as the engine takes it.

        Returns
        -------
        RowOrder

        Raises
        ------
        InvalidValueError
            Where one group alone does not fit.
        """
        largest = int(sizes.max()) * row_bytes
        self._check_groups(largest, 1)
        return RowOrder(sizes, max(1, self.window // max(largest, 1)), self.seed, self.source.in_order)

    def _check_groups(self, largest: int, factor: int) -> None:
        """Refuse groups that do not fit in a window."""
        if largest * factor <= self.window:
            return
        place = self.source.place(int(np.argmax(self.source.manifest.nbytes)))
        needed = text_of(1.01 * max(SMALLEST, largest * factor * WINDOWS))
        hint = f"Its largest row group is {place}: {text_of(largest)}, read as a whole. Or write smaller row groups."
        allowed = f"at least {needed} for these rows"
        raise InvalidValueError(must_be("open_dataset", "max_memory", allowed, text_of(self.max_memory), hint))

    def fingerprint(self, *parts: Any) -> str:
        """Return the sha256 of the rows, their order and further plain data.

        Parameters
        ----------
        *parts : object
            Further plain data that the run depends on.

        Returns
        -------
        str
            Hexadecimal digits.
        """
        return text_digest(self.source.manifest.fingerprint, self.seed, self.max_memory, self.target, self.key, *parts)

    def position(self, epoch: int, next_row: int) -> Position:
        """Return a place in an epoch, from which `batches` can continue.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        next_row : int
            Rows of the epoch that were visited.

        Returns
        -------
        Position
        """
        return Position(self.source.manifest.fingerprint, self.seed, epoch, next_row)

    def batches(self, batch_size: int, *, epoch: int = 0, start: int = 0) -> Iterator[tuple[Array, Array]]:
        """Yield the rows of an epoch in batches, shuffled by the seed and the epoch, for a loop of your own.

        Parameters
        ----------
        batch_size : int
            Rows of a batch; the last may be smaller.
        epoch : int, default=0
            Number of the epoch, which fixes the order.
        start : int, default=0
            Rows of the epoch to leave out, to continue where a loop ended.

        Yields
        ------
        X : array of shape (k, d), float64
            Inputs in the files' units: numbers, and of a table its plain matrix.
        y : array of shape (k,)
            Targets as they are in the files.
        """
        from chainrule.data.stream.prepared import raw_rows

        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise InvalidValueError(must_be("batches", "batch_size", "a whole number >= 1", batch_size))
        yield from _cut_evenly(raw_rows(self).blocks(epoch, start), batch_size)


def _gapped(source: Source, missing: Mapping[str, Any]) -> Source:
    from chainrule.data.stream.gapped import Gapped
    from chainrule.data.table.missing import values_of

    return Gapped(source, {name: values_of(missing, name) for name in missing})


def _cut_evenly(blocks: Iterator[tuple[Array, Array, Array]], size: int) -> Iterator[tuple[Array, Array]]:
    """Yield batches of equal size across blocks; only the last may be smaller."""
    kept: list[tuple[Array, Array]] = []
    have = 0
    for X, y, _ in blocks:
        start = 0
        while start < len(X):
            end = min(len(X), start + size - have)
            kept.append((X[start:end], y[start:end]))
            have += end - start
            start = end
            if have == size:
                yield _one(kept)
                kept, have = [], 0
    if kept:
        yield _one(kept)


def _one(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    return np.concatenate([X for X, _ in parts]), np.concatenate([y for _, y in parts])


class _Without:
    """A source some of whose columns are not described."""

    def __init__(self, source: Source, hidden: Sequence[str]) -> None:
        self._source = source
        self.name = source.name
        self.in_order = source.in_order
        self.manifest = source.manifest
        self.facts = source.facts
        self.columns = tuple(name for name in source.columns if name not in hidden)
        self.pieces = source.pieces
        self.place = source.place
        self.reader = source.reader
        self.close: Callable[[], None] = source.close
