"""Pieces of a source in the order of the files, decoded by a thread while the last are looked at.

In: a source and the names of columns. Out: pieces.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

from chainrule.data.stream.prefetch import Prefetch
from chainrule.data.stream.source import Piece, Source

T = TypeVar("T")

_PLACES = 2
"""Pieces in memory at one time."""


def pieces_ahead(source: Source, names: Sequence[str]) -> Generator[Piece, None, None]:
    """Yield these columns of all rows of a source, a piece at a time."""
    own = source.reader()

    def run() -> Iterator[Piece]:
        try:
            for group in range(len(own.manifest.sizes)):
                yield from own.pieces(group, names)
        finally:
            own.close()

    yield from ahead(run())


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items that a thread makes meanwhile; each is in use until the next is asked for."""
    reader = Prefetch(items, _PLACES)
    try:
        while (item := reader.get()) is not None:
            yield item
            del item
            reader.free()
    finally:
        reader.close()
