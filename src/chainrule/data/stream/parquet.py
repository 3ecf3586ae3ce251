"""Parquet files as one streamed source, whose groups are their row groups.

In: paths and globs. Out: a `ParquetSource`; one line for a file that is missing, damaged, changed, or unlike the first.
"""

from __future__ import annotations

import copy
import glob
import importlib
import json
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.stream.footers import Footer, read_footers
from chainrule.data.stream.memory import WARN_ABOVE, text_of
from chainrule.data.stream.source import PIECE, Manifest, text_digest
from chainrule.errors import DataWarning, FormatError, InvalidValueError, MissingError, must_be

if TYPE_CHECKING:
    import polars as pl

_OPEN = 8
"""Files that are open at one time."""

_USUAL = frozenset({"Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Boolean", "String"})
"""Types of columns that need no look."""

_MAGIC = "*?["


def is_glob(source: str) -> bool:
    """Check whether a source is a pattern for several files."""
    return any(letter in source for letter in _MAGIC) and not Path(source).exists()


def files_of(owner: str, source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return the files of paths and globs, those of a glob in order of their names.

    Raises `MissingError` for a path that does not exist and a glob that matches nothing.
    """
    given = [source] if isinstance(source, str | os.PathLike) else list(source)
    found: list[str] = []
    for each in [os.fspath(path) for path in given]:
        matched = sorted(glob.glob(each, recursive=True)) if is_glob(each) else [each]
        if not matched:
            raise MissingError(must_be(owner, "source", "a pattern that matches files", each, "It matches none."))
        for path in matched:
            if not os.path.exists(path):
                raise MissingError(must_be(owner, "source", "existing files", path, "This path does not exist."))
            if not os.path.isfile(path):
                raise FormatError(must_be(owner, "source", "files", path, "It is a folder or a device."))
        found += matched
    if not found:
        raise InvalidValueError(must_be(owner, "source", "at least one file", given))
    double = next((path for path in found if found.count(path) > 1), None) if len(set(found)) < len(found) else None
    if double is not None:
        raise InvalidValueError(must_be(owner, "source", "each file once", double))
    return found


class ParquetSource:
    """Parquet files that are read by row group, a piece at a time.

    Parameters
    ----------
    owner : str
        The object that messages name.
    paths : sequence of str
        The files, in order.
    """

    in_order = False

    def __init__(self, owner: str, paths: Sequence[str]) -> None:
        self.footers = read_footers(owner, paths)
        _check_schemas(self.footers)
        self.name = paths[0] if len(paths) == 1 else f"{len(paths)} files"
        index = _saved_index(self.footers[0])
        self.columns = tuple(name for name, _ in self.footers[0].schema if name not in index)
        self.facts = tuple(f"{name!r} is left out: the index that pandas saved" for name in index)
        self._groups = [(f, g) for f, each in enumerate(self.footers) for g, (n, _) in enumerate(each.groups) if n]
        sizes = tuple(self.footers[f].groups[g][0] for f, g in self._groups)
        nbytes = tuple(self.footers[f].groups[g][1] for f, g in self._groups)
        kept = [[each.size, each.sha256] for each in self.footers]
        self.manifest = Manifest(sizes, nbytes, text_digest("parquet", kept))
        if not sizes:
            raise InvalidValueError(f"{self.name}: the files must have at least one row, got none.")
        self._warn_of_large()
        self._open: OrderedDict[int, Any] = OrderedDict()

    def _warn_of_large(self) -> None:
        size = max(self.manifest.nbytes)
        if size > WARN_ABOVE:
            group = self.place(self.manifest.nbytes.index(size))
            hint = (
                f"Write smaller ones, for example of {max(1000, int(max(self.manifest.sizes) * 16e6 / size)):,} rows."
            )
            text = f"{group} has {text_of(size)}: a row group is decoded as a whole, whatever is read of it. {hint}"
            warnings.warn(text, DataWarning, stacklevel=5)

    def place(self, group: int) -> str:
        """Return what messages call a group: its file, and its number there."""
        f, g = self._groups[group]
        return f"{self.footers[f].path}, row group {g + 1}"

    def pieces(self, group: int, names: Sequence[str] | None = None) -> Iterator[ArrowPiece]:
        """Yield the rows of a row group; `FormatError` names the file and the group where it cannot be read."""
        import polars as pl

        f, g = self._groups[group]
        wanted = list(self.columns if names is None else names)
        done = 0
        try:
            read = self._opened(f)
            columns = None if len(wanted) == len(self.footers[f].schema) else wanted
            for batch in read.iter_batches(batch_size=PIECE, row_groups=[g], columns=columns, use_threads=False):
                done += batch.num_rows
                yield ArrowPiece(self.place(group), batch)
        except FormatError:
            raise
        except (OSError, ValueError, KeyError, RuntimeError, pl.exceptions.PolarsError) as error:
            if isinstance(error, InvalidValueError | MissingError):
                raise
            cause = str(error).partition("\n")[0]
            raise FormatError(f"{self.place(group)}: the rows must be readable, got: {cause}") from error
        if done != self.manifest.sizes[group]:
            got = f"{done:,} of the {self.manifest.sizes[group]:,} rows that its footer names"
            raise FormatError(f"{self.place(group)}: the rows must be readable, got {got}.")

    def _opened(self, f: int) -> Any:
        """Return an open file that is still what it was."""
        pq = importlib.import_module("pyarrow.parquet")
        footer = self.footers[f]
        self._check_unchanged(footer)
        if f in self._open:
            self._open.move_to_end(f)
            return self._open[f]
        while len(self._open) >= _OPEN:
            self._open.popitem(last=False)[1].close()
        self._open[f] = pq.ParquetFile(footer.path, pre_buffer=False, memory_map=False, buffer_size=1 << 16)
        return self._open[f]

    def _check_unchanged(self, footer: Footer) -> None:
        try:
            now = os.stat(footer.path)
        except OSError:
            raise MissingError(f"{footer.path}: the file must stay where it was, got none. It was removed.") from None
        if (now.st_size, now.st_mtime_ns) != (footer.size, footer.changed):
            hint = "Start again, so that it is described anew."
            raise FormatError(f"{footer.path}: the file must stay as it was, got one that changed meanwhile. {hint}")

    def reader(self) -> ParquetSource:
        """Return the same rows with open files of their own."""
        found = copy.copy(self)
        found._open = OrderedDict()
        return found

    def close(self) -> None:
        """Close open files."""
        while self._open:
            self._open.popitem()[1].close()


def _check_schemas(footers: Sequence[Footer]) -> None:
    """Refuse a file whose columns are not those of the first."""
    first = dict(footers[0].schema)
    if len(first) < len(footers[0].schema):
        raise FormatError(f"{footers[0].path}: the columns must have names of their own, got two alike.")
    for each in footers[1:]:
        own = dict(each.schema)
        where = f"{each.path}: the columns must be those of {footers[0].path}"
        for name in first:
            if name not in own:
                raise FormatError(f"{where}, got none named {name!r}.")
        for name, kind in each.schema:
            if name not in first:
                raise FormatError(f"{where}, got {name!r} besides.")
            if kind != first[name]:
                raise FormatError(f"{where}, got {name!r} of type {kind} and not {first[name]}.")


def _saved_index(footer: Footer) -> list[str]:
    """Return the columns of whole numbers that pandas saved as a named index, as reading one file leaves them out."""
    kinds = dict(footer.schema)
    try:
        index = json.loads(footer.pandas or "{}").get("index_columns", [])
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []
    found = [name for name in index if isinstance(name, str) and kinds.get(name, "").lstrip("u").startswith("int")]
    found = [name for name in found if not name.startswith("__index_level_")]
    return found if len(found) < len(kinds) else []


@dataclass(frozen=True, eq=False)
class ArrowPiece:
    """Rows of a record batch, which are converted column by column as they are asked for."""

    place: str
    batch: Any

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.batch.num_rows)

    def column(self, name: str) -> pl.Series:
        """Return one column."""
        return self.frame([name])[name]

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Return columns as a frame."""
        import polars as pl

        frame = pl.from_arrow(self.batch.select(list(names)))
        assert isinstance(frame, pl.DataFrame)
        known: pl.DataFrame = _known(self.place, frame)
        return known

    def vector(self, name: str) -> Array | None:
        """Return one column of numbers; those of 64 bits must be floats or without gaps."""
        column = self.batch.column(self._places[name])
        kind = str(column.type)
        if kind not in _NUMBERS or (column.null_count and kind not in ("float", "double")):
            return None
        values: Array = column.to_numpy(zero_copy_only=False)
        return values if kind in ("float", "double") else values.astype(np.float32 if kind in _EXACT else np.float64)

    def vectors(self, names: Sequence[str]) -> list[Array] | None:
        """Return columns as they were decoded, all float32 or all float64; None where they are not, or have gaps."""
        columns = [self.batch.column(self._places[name]) for name in names]
        kinds = {column.type for column in columns}
        if len(kinds) != 1 or str(columns[0].type) not in ("float", "double") or any(c.null_count for c in columns):
            return None
        return [column.to_numpy() for column in columns]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: j for j, name in enumerate(self.batch.schema.names)}

    def matrix(self, names: Sequence[str]) -> Array | None:
        """Return columns as one matrix whose columns are contiguous, of float32 where all cells are exact in it."""
        columns = [self.batch.column(self._places[name]) for name in names]
        kinds = {str(column.type) for column in columns}
        if not kinds <= _NUMBERS or any(column.null_count for column in columns):
            return None
        X = np.empty((self.height, len(columns)), np.float32 if kinds <= _EXACT else np.float64, "F")
        for j, column in enumerate(columns):
            X[:, j] = column.to_numpy(zero_copy_only=False)
        return X


_EXACT = frozenset({"float", "int8", "int16", "uint8", "uint16", "bool"})
"""Arrow types whose numbers are exact in float32."""

_NUMBERS = _EXACT | {"double", "int32", "int64", "uint32", "uint64"}


def _known(place: str, frame: Any) -> Any:
    """Return a frame of columns as reading one file gives them."""
    if all(kind.is_float() or str(kind) in _USUAL for kind in frame.schema.values()):
        return frame
    from chainrule.data.table.reading import of_known_types

    return of_known_types(place, frame)
