"""Arrays on disk as a streamed source, and batches that a function yields.

In: a pair of arrays or of .npy files; a function without arguments. Out: an `ArraySource` or a `BatchSource`.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.matrix import default_names
from chainrule.data.stream.source import PIECE, ArrayPiece, FramePiece, Manifest, Piece, text_digest
from chainrule.errors import FormatError, InvalidValueError, MissingError, must_be

_GROUP_BYTES = 2**17
_MORE = 40
"""Bytes that a row takes in memory besides its numbers."""

_HEAD = 2**16

TARGET = "target"
"""Name of the target of arrays."""


def mapped(owner: str, path: str | os.PathLike[str]) -> Array:
    """Return the array of a .npy file, mapped into memory and not read."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise MissingError(must_be(owner, "source", "an existing file", str(path))) from None
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path}: the file must be a readable .npy array, got: {error}") from error
    if not isinstance(array, np.ndarray):
        raise FormatError(must_be(str(path), "file", "one .npy array", type(array).__name__))
    return array


class ArraySource:
    """Rows of two arrays, X (n, d) and y (n), cut into groups of about a hundred kilobytes.

    Parameters
    ----------
    owner : str
        The object that messages name.
    X : array of shape (n, d)
        Inputs, in memory or mapped from a file.
    y : array of shape (n,)
        Targets.
    """

    in_order = False

    def __init__(self, owner: str, X: Array, y: Array) -> None:
        if X.ndim != 2 or 0 in X.shape or X.dtype.kind not in "biuf":
            raise InvalidValueError(
                must_be(owner, "X", "numbers of shape (n, d)", f"{X.dtype} array of shape {X.shape}")
            )
        if y.shape != (len(X),):
            raise InvalidValueError(must_be(owner, "y", f"of shape ({len(X)},), one for each row of X", y.shape))
        self.name = os.path.basename(str(getattr(X, "filename", "") or "")) or "arrays"
        self.facts: tuple[str, ...] = ()
        self._X = X
        self._y = y
        names = default_names(X.shape[1])
        self._names = names
        self.columns = (*names, TARGET)
        row = X.shape[1] * X.itemsize + y.itemsize
        self._step = int(np.clip(_GROUP_BYTES // (row + _MORE), 16, PIECE))
        sizes = tuple(min(self._step, len(X) - start) for start in range(0, len(X), self._step))
        self.manifest = Manifest(sizes, tuple(size * row for size in sizes), self._fingerprint())

    def _fingerprint(self) -> str:
        """Return the sha256 of both arrays' forms and of some of their rows: reading all would take as long as an epoch."""
        digest = hashlib.sha256()
        for array in (self._X, self._y):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            take = np.linspace(0, len(array) - 1, min(len(array), _HEAD // 64)).astype(int)
            digest.update(np.ascontiguousarray(array[take]).tobytes())
        return digest.hexdigest()

    def place(self, group: int) -> str:
        """Return what messages call a group."""
        return f"{self.name}, rows {group * self._step + 1:,} and following"

    def pieces(self, group: int, names: Sequence[str] | None = None) -> Iterator[ArrayPiece]:
        """Yield the rows of a group."""
        start = group * self._step
        rows = slice(start, start + self.manifest.sizes[group])
        yield ArrayPiece(np.array(self._X[rows]), np.array(self._y[rows]), self._names, TARGET)
        self._give_back()

    def reader(self) -> ArraySource:
        """Return itself: reading keeps no place."""
        return self

    def _give_back(self) -> None:
        """Let the system take back the pages of a mapped file that were read."""
        for array in (self._X, self._y):
            map_ = getattr(array, "_mmap", None)
            if map_ is not None:
                with suppress(AttributeError, ValueError, OSError):
                    import mmap

                    map_.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Do nothing: arrays belong to the caller."""


class BatchSource:
    """Batches of any source that can be run through again: a function that returns an iterator of them.

    A batch is a pair (X, y) of arrays, or rows in any form with the target among the columns. Its batches are the groups,
    which are read in their order only: to go on in the middle, those before are read and skipped.

    Parameters
    ----------
    owner : str
        The object that messages name.
    batches : callable
        Returns a new iterator over the same batches at each call.
    """

    in_order = True

    def __init__(self, owner: str, batches: Callable[[], Iterable[Any]]) -> None:
        self.name = getattr(batches, "__name__", "batches")
        self.facts: tuple[str, ...] = ()
        self._owner = owner
        self._batches = batches
        self._running: Iterator[Any] | None = None
        self._next = 0
        sizes, columns, digest = self._counted()
        self.columns = columns
        self.manifest = Manifest(sizes, (0,) * len(sizes), digest)

    def _counted(self) -> tuple[tuple[int, ...], tuple[str, ...], str]:
        """Run through all batches once: their sizes and columns."""
        sizes: list[int] = []
        columns: tuple[str, ...] = ()
        for batch in self._batches():
            piece = self._piece(batch)
            own = self._columns(piece)
            if sizes and own != columns:
                raise InvalidValueError(
                    must_be(self._owner, f"batch {len(sizes) + 1}", f"of the columns {columns}", own)
                )
            columns = own
            sizes.append(piece.height)
        if not sum(sizes):
            raise InvalidValueError(must_be(self._owner, "source", "a function that yields batches of rows", "no rows"))
        return tuple(sizes), columns, text_digest("batches", sizes, columns)

    def _columns(self, piece: Piece) -> tuple[str, ...]:
        return (*piece.names, TARGET) if isinstance(piece, ArrayPiece) else tuple(piece.frame_columns)  # type: ignore[attr-defined]

    def _piece(self, batch: Any) -> Piece:
        if isinstance(batch, tuple) and len(batch) == 2:
            X, y = (np.asarray(part) for part in batch)
            if X.ndim != 2 or X.dtype.kind not in "biuf" or y.shape != (len(X),):
                got = f"arrays of shapes {X.shape} and {y.shape}"
                raise InvalidValueError(must_be(self._owner, "batch", "X (n, d) of numbers and y (n)", got))
            return ArrayPiece(X, y, default_names(X.shape[1]), TARGET)
        from chainrule.data.table.frames import as_frame

        return _NamedFrame(as_frame(self._owner, batch))

    def place(self, group: int) -> str:
        """Return what messages call a group."""
        return f"{self.name}, batch {group + 1}"

    def pieces(self, group: int, names: Sequence[str] | None = None) -> Iterator[Piece]:
        """Yield the rows of a batch; batches before it are read again unless it is the next."""
        if self._running is None or group < self._next:
            self._running = iter(self._batches())
            self._next = 0
        while True:
            batch = next(self._running, None)
            self._next += 1
            if batch is None:
                break
            if self._next > group:
                piece = self._piece(batch)
                if piece.height == self.manifest.sizes[group]:
                    yield piece
                    return
                break
        self._running = None
        hint = "The function must return an iterator over the same batches at each call."
        raise InvalidValueError(f"{self.place(group)} must be the same each time, got another. {hint}")

    def reader(self) -> BatchSource:
        """Return the same batches with a place of their own."""
        found = copy.copy(self)
        found._running = None
        return found

    def close(self) -> None:
        """Forget the running iterator."""
        self._running = None


class _NamedFrame(FramePiece):
    """Rows of a frame that say what its columns are."""

    @property
    def frame_columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.rows.columns)
