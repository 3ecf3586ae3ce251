"""A streamed source in which values that mean a missing cell are gaps.

In: a source and the values of its columns. Out: the same source for all who read it, with gaps in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chainrule.arrays import Array
from chainrule.data.stream.source import Piece, Source, text_digest
from chainrule.data.table.missing import cleared

if TYPE_CHECKING:
    import polars as pl


class Gapped:
    """A source with gaps in place of values.

    Parameters
    ----------
    source : Source
        The rows.
    missing : mapping of str to tuple of str
        Values that mean a missing cell, by column.
    """

    def __init__(self, source: Source, missing: Mapping[str, tuple[str, ...]]) -> None:
        self._source = source
        self._missing = missing
        self.name = source.name
        self.columns = source.columns
        self.in_order = source.in_order
        self.facts = source.facts
        own = {name: list(values) for name, values in missing.items()}
        manifest = source.manifest
        self.manifest = replace(manifest, fingerprint=text_digest(manifest.fingerprint, own))

    def pieces(self, group: int, names: Sequence[str] | None = None) -> Iterator[Piece]:
        """Yield the rows of a group, with these columns."""
        for piece in self._source.pieces(group, names):
            yield GappedPiece(piece, self._missing)

    def place(self, group: int) -> str:
        """Return what messages call a group."""
        return self._source.place(group)

    def reader(self) -> Gapped:
        """Return the same rows for another thread."""
        return Gapped(self._source.reader(), self._missing)

    def close(self) -> None:
        """Close open files."""
        self._source.close()


@dataclass(frozen=True, eq=False)
class GappedPiece:
    """A few rows, with gaps in place of the values of some columns."""

    piece: Piece
    missing: Mapping[str, tuple[str, ...]]

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.piece.height

    def column(self, name: str) -> pl.Series:
        """Return one column."""
        return cleared(self.piece.column(name), self.missing.get(name, ()))

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """Return columns as a frame."""
        frame = self.piece.frame(names)
        return frame.with_columns(cleared(frame[name], self.missing[name]) for name in names if name in self.missing)

    def vector(self, name: str) -> Array | None:
        """Return one column of numbers; None where it has such values."""
        return None if name in self.missing else self.piece.vector(name)

    def vectors(self, names: Sequence[str]) -> list[Array] | None:
        """Return columns as they lie in memory; None where one has such values."""
        return None if self._has(names) else self.piece.vectors(names)

    def matrix(self, names: Sequence[str]) -> Array | None:
        """Return columns as one matrix; None where one has such values."""
        return None if self._has(names) else self.piece.matrix(names)

    def _has(self, names: Sequence[str]) -> bool:
        return any(name in self.missing for name in names)
