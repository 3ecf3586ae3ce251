"""Blocks of rows in the order of the files, for the passes before a training.

In: rows that are divided into parts, and what makes a matrix of them. Out: `ReadBlock`s.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data.stream.ahead import ahead
from chainrule.data.stream.design import Design, unchecked
from chainrule.data.stream.rows import Cut
from chainrule.data.stream.source import Piece

LEFT_OUT = -1
"""Part of rows without a target."""


@dataclass(frozen=True, eq=False)
class ReadBlock:
    """Rows as they were read: X (n, d) or its columns, the part of each row, and its target (0 where it is left out)."""

    place: str
    group: int
    start: int
    piece: Piece = field(repr=False)
    X: Array | list[Array] = field(repr=False)
    codes: Array = field(repr=False)
    y: Array = field(repr=False)

    def column(self, j: int) -> Array:
        """Return a column of all rows."""
        found: Array = self.X[j] if isinstance(self.X, list) else self.X[:, j]
        return found

    def rows(self, design: Design, take: Array) -> Array:
        """Return rows in float64; those that were not looked at are checked."""
        found = [column[take] for column in self.X] if isinstance(self.X, list) else None
        X = (self.X[take] if found is None else np.column_stack(found)).astype(np.float64)
        return X if np.isfinite(X).all() else design.plain(self.place, self.piece)[take].astype(np.float64)


def read_ahead(cut: Cut, design: Design) -> Generator[ReadBlock, None, None]:
    """Yield all rows of a source, a piece at a time."""
    yield from ahead(_blocks(replace(cut, source=cut.source.reader()), design))


def _blocks(cut: Cut, design: Design) -> Iterator[ReadBlock]:
    try:
        for group in range(len(cut.source.manifest.sizes)):
            place = cut.source.place(group)
            for start, piece, rows, parts, targets in cut.divided(group, design.columns):
                found = unchecked(design, piece)
                X = design.plain(place, piece) if found is None else found
                codes, y = parts, targets
                if len(rows) < piece.height:
                    codes = np.full(piece.height, LEFT_OUT, parts.dtype)
                    y = np.zeros(piece.height, targets.dtype)
                    codes[rows] = parts
                    y[rows] = targets
                yield ReadBlock(place, group, start, piece, X, codes, y)
    finally:
        cut.source.close()
