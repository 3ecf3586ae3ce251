"""Bytes that may be gzipped, recognized by their content, and never unpacked beyond what a file of their size may hold.

A few thousand bytes of gzip can unpack to gigabytes. So it is unpacked piece by piece, and refused as soon as it has more
than 100 times the bytes read, apart from the first 32 MB.
In: a file or bytes. Out: a stream of unpacked bytes, or all of them.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from chainrule.errors import FormatError

FREE = 32 << 20
"""Unpacked bytes that are allowed whatever the size of the file."""

RATIO = 100
"""Unpacked bytes for each packed one beyond that; tables and images have from 2 to 50."""

_PIECE = 1 << 20
_MAGIC = b"\x1f\x8b"


def allowed_size(packed: int) -> int:
    """Return how many bytes a number of packed ones may unpack to."""
    return FREE + RATIO * packed


class Unpacked:
    """A stream of the bytes of a file, unpacked if they are gzipped.

    Parameters
    ----------
    name : str
        The file, for messages.
    file : binary file
        Its content, from the beginning.
    """

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._name = name
        self._file = file
        self.packed = file.read(2) == _MAGIC
        file.seek(0)
        self._stream: IO[bytes] = gzip.GzipFile(fileobj=file, mode="rb") if self.packed else file  # type: ignore[assignment]
        self._size = 0

    def read(self, most: int = -1) -> bytes:
        """Return the next bytes, at most this many; all that are left for -1.

        Raises `FormatError` for damaged gzip, and for more bytes than the file may unpack to.
        """
        if not self.packed:
            return self._file.read(most)
        pieces = []
        left = most
        while left and (piece := self._piece(_PIECE if left < 0 else min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece) if left > 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, most: int) -> bytes:
        try:
            piece = self._stream.read(most)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(
                f"{self._name}: the file must be intact gzip, got: {error}. Download it again."
            ) from error
        self._size += len(piece)
        if self._size > allowed_size(self._file.tell()):
            raise FormatError(
                f"{self._name}: the gzip must unpack to at most {RATIO} times its size (and {FREE >> 20} MB), got more. "
                "Unpack it first if you trust it."
            )
        return piece


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a file as a stream of unpacked bytes."""
    with path.open("rb") as file:
        yield Unpacked(path.name, file)


def read_unpacked(path: Path) -> bytes:
    """Return all bytes of a file, unpacked if they are gzipped."""
    with unpacked(path) as stream:
        return stream.read()


def decompress(data: bytes, name: str) -> bytes:
    """Return the bytes, unpacked if they are gzipped; raise `FormatError` if the gzip is damaged."""
    return Unpacked(name, io.BytesIO(data)).read() if data[:2] == _MAGIC else data
