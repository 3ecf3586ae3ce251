"""The protocol of streamed sources: numbered groups of rows, read one at a time, piece by piece.

In: a group's number and the columns that are wanted. Out: pieces of it, each a few thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from chainrule.arrays import Array

if TYPE_CHECKING:
    import polars as pl

PIECE = 16_384
"""Rows of a piece at most."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """What a source consists of, as it was when it was opened.

    Parameters
    ----------
    sizes : tuple of int
        Rows of each group.
    nbytes : tuple of int
        Bytes of each group, decompressed as far as that is known.
    fingerprint : str
        sha256 of all that tells these rows from others: of files their sizes and footers, in order.
    """

    sizes: tuple[int, ...] = field(repr=False)
    nbytes: tuple[int, ...] = field(repr=False)
    fingerprint: str

    @property
    def rows(self) -> int:
        """Rows of all groups."""
        return sum(self.sizes)


class Piece(Protocol):
    """A few rows of a group."""

    @property
    def height(self) -> int:
        """Number of rows."""

    def column(self, name: str) -> pl.Series:
        """Return one column."""

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Return columns as a frame."""

    def vector(self, name: str) -> Array | None:
        """Return one column as float32 or float64, NaN for a gap; None where its cells are no numbers, or not all exact."""

    def vectors(self, names: Sequence[str]) -> list[Array] | None:
        """Return columns as they lie in memory, all float32 or all float64; None where they are not, or have gaps."""

    def matrix(self, names: Sequence[str]) -> Array | None:
        """Return columns as one matrix of float32 or float64; None where a cell is no number or a gap."""


class Source(Protocol):
    """Rows that are read group by group."""

    name: str
    columns: tuple[str, ...]
    """Names of all columns, the target among them."""
    in_order: bool
    """Whether groups can only be read in their order."""
    manifest: Manifest
    facts: tuple[str, ...]
    """What was found out about the files."""

    def pieces(self, group: int, names: Sequence[str] | None = None) -> Iterator[Piece]:
        """Yield the rows of a group, with these columns."""

    def place(self, group: int) -> str:
        """Return what messages call a group."""

    def reader(self) -> Source:
        """Return the same rows for another thread, with places and open files of its own."""

    def close(self) -> None:
        """Close open files."""


@dataclass(frozen=True, eq=False)
class FramePiece:
    """Rows of a polars frame."""

    rows: pl.DataFrame

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.rows.height)

    def column(self, name: str) -> pl.Series:
        """Return one column."""
        return self.rows[name]

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Return columns as a frame."""
        return self.rows.select(names)

    def vector(self, name: str) -> Array | None:
        """Return one column of floats."""
        column = self.rows[name]
        if column.null_count() or str(column.dtype) not in ("Float32", "Float64"):
            return None
        return column.to_numpy()

    def vectors(self, names: Sequence[str]) -> list[Array] | None:
        """Return None: rows are read as a matrix."""
        return None

    def matrix(self, names: Sequence[str]) -> Array | None:
        """Return columns as one matrix whose columns are contiguous, of float32 where all cells are exact in it."""
        columns = [self.rows[name] for name in names]
        if not all((c.dtype.is_numeric() or str(c.dtype) == "Boolean") and not c.null_count() for c in columns):
            return None
        if any(c.dtype.is_decimal() for c in columns):
            return None
        exact = all(str(c.dtype) in _EXACT for c in columns)
        X = np.empty((self.height, len(columns)), np.float32 if exact else np.float64, "F")
        for j, column in enumerate(columns):
            X[:, j] = column.to_numpy()
        return X


_EXACT = frozenset({"Float32", "Int8", "Int16", "UInt8", "UInt16", "Boolean"})
"""Types whose numbers are exact in float32."""


@dataclass(frozen=True, eq=False)
class ArrayPiece:
    """Rows of arrays: X (n, d) under names, y (n) under the target's."""

    X: Array
    y: Array
    names: tuple[str, ...]
    target: str

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.X)

    def column(self, name: str) -> pl.Series:
        """Return one column."""
        import polars as pl

        values = self.y if name == self.target else self.X[:, self.names.index(name)]
        return pl.Series(name, np.ascontiguousarray(values))

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Return columns as a frame."""
        import polars as pl

        return pl.DataFrame([self.column(name) for name in names])

    def vector(self, name: str) -> Array | None:
        """Return one column of floats."""
        values = self.y if name == self.target else self.X[:, self.names.index(name)]
        return np.ascontiguousarray(values) if values.dtype in (np.float32, np.float64) else None

    def vectors(self, names: Sequence[str]) -> list[Array] | None:
        """Return None: rows are read as a matrix."""
        return None

    def matrix(self, names: Sequence[str]) -> Array | None:
        """Return the rows as they are."""
        if tuple(names) != self.names:
            found: Array = np.column_stack([np.asarray(self.X[:, self.names.index(name)]) for name in names])
            return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)
        X = np.asarray(self.X)
        return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def text_digest(*parts: Any) -> str:
    """Return the sha256 of plain data."""
    import hashlib
    import json

    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
