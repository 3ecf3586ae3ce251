"""Arrays that were made in Python, without a detour through text.

In: an .npz file with arrays X and y, or X_train, y_train, X_test and y_test (or in small letters). Out: a `Dataset`.
"""

from __future__ import annotations

import lzma
import math
import re
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal

import numpy as np

from chainrule.arrays import Array
from chainrule.data.archives import checked_entries, read_exactly
from chainrule.data.checks import check_columns, check_finite, check_known_labels, check_numeric
from chainrule.data.dataset import Dataset
from chainrule.data.targets import settle_target
from chainrule.errors import FormatError, InvalidValueError, must_be

_DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError, OverflowError, IndexError, AttributeError),
    *(TypeError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What a damaged archive raises in numpy, zipfile and zlib (RuntimeError: a compression not supported)."""

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_MOST_DIMENSIONS = 32
_DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?[biufcSUO]\d{0,9})['"]""", re.ASCII)
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""", re.ASCII)
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d,\sL]{0,999})\)""", re.ASCII)
_SHOWN = 10


def load_npz(path: Path, task: str | None = None) -> Dataset:
    """Read the rows of an .npz file; X may be (n, d) or, for images, (n, height, width).

    Features are named x0, x1, ... and the target y. Raises `FormatError` for a damaged file, pickled objects, and arrays
    that unpack to more than 100 times the file and 32 MB; `InvalidValueError` for missing arrays, wrong shapes, NaN,
    infinity, and test labels that the training labels do not have.
    """
    owner = path.name
    with _Archive(path) as archive:
        if archive.has("x", "y"):
            return _dataset(owner, archive.read("x"), archive.read("y"), task)
        if not archive.has("x_train", "y_train", "x_test", "y_test"):
            allowed = "X and y, or X_train, y_train, X_test and y_test"
            raise InvalidValueError(must_be(owner, "arrays", allowed, archive.shown))
        train = _dataset(owner, archive.read("x_train"), archive.read("y_train"), task)
        test = _dataset(owner, archive.read("x_test"), archive.read("y_test"), train.task, learned=False)
    if train.task == "classification":
        check_known_labels(owner, test.y, train.y)
    return replace(train, test=test)


def features_of(path: Path) -> Array:
    """Read the array X of an .npz file as (n, d); the file needs no y."""
    with _Archive(path) as archive:
        if not archive.has("x"):
            raise InvalidValueError(must_be(path.name, "arrays", "X, the rows to predict", archive.shown))
        return _features(path.name, archive.read("x"))[0]


class _Archive:
    """The arrays of an .npz file by their names in small letters, read one by one.

    The header of an array is matched, not evaluated, and its shape and type must give the size of its entry, so that nothing
    is allocated that the file does not hold.
    """

    def __init__(self, path: Path) -> None:
        self._owner = path.name
        self._file = path.open("rb")
        try:
            self._zip = zipfile.ZipFile(self._file)
            entries = checked_entries(path.name, self._zip, path.stat().st_size)
        except _DAMAGE as error:
            self._file.close()
            raise self._damaged(error) from error
        names = {name.removesuffix(".npy"): entry for name, entry in entries.items() if not name.endswith("/")}
        self._entries = {name.lower(): entry for name, entry in names.items()}
        self.shown = sorted(names)[:_SHOWN]

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()
        self._file.close()

    def has(self, *names: str) -> bool:
        """Check whether there are arrays of all these names."""
        return set(names) <= self._entries.keys()

    def read(self, name: str) -> Array:
        """Return one array."""
        entry = self._entries[name]
        try:
            with self._zip.open(entry) as file:
                dtype, shape, order, start = _header(file)
                size = math.prod(shape) * dtype.itemsize
                if start + size != entry.file_size:
                    raise FormatError(
                        f"{self._owner}: array {name!r} must be {size:,} bytes long as its header says, "
                        f"got {entry.file_size - start:,}."
                    )
                data = read_exactly(file, size)
                if len(data) < size or file.read(1):
                    raise ValueError("an array that is cut off")
            return np.frombuffer(data, dtype).reshape(shape, order=order)
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FormatError:
        if isinstance(error, FormatError):
            return error
        hint = "Save plain arrays with numpy.savez(path, X=X, y=y)."
        return FormatError(
            f"{self._owner}: the file must be a readable .npz, got: {error or type(error).__name__}. {hint}"
        )


def _header(file: IO[bytes]) -> tuple[np.dtype, tuple[int, ...], Literal["C", "F"], int]:
    """Return type, shape, order and length of the header of an .npy file."""
    start = file.read(8)
    if start[:6] != _MAGIC or len(start) < 8 or start[6] not in (1, 2, 3):
        raise ValueError("an entry that is no .npy array")
    digits = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(digits), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"an array with a header of {length:,} bytes")
    text = file.read(length).decode("utf-8" if start[6] == 3 else "latin-1")
    descr, order, shape = (pattern.search(text) for pattern in (_DESCR, _ORDER, _SHAPE))
    if descr is None or order is None or shape is None:
        raise ValueError("an array that is not of plain numbers or text")
    dtype = np.dtype(descr[1])
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError("an array of Python objects")
    sizes = tuple(int(size.strip(" L")) for size in shape[1].split(",") if size.strip())
    if len(sizes) > _MOST_DIMENSIONS:
        raise ValueError(f"an array of {len(sizes)} dimensions")
    return dtype, sizes, "F" if order[1] == "True" else "C", 8 + digits + length


def _features(owner: str, X: Array) -> tuple[Array, tuple[int, int] | None]:
    """Flatten X to (n, d); return it with the shape of an image, if it had one."""
    if X.ndim not in (2, 3) or 0 in X.shape:
        raise InvalidValueError(must_be(owner, "X", "of shape (n, d) or (n, height, width)", X.shape))
    check_numeric(owner, "X", X)
    check_columns(owner, "X", math.prod(X.shape[1:]))
    flat = X.reshape(len(X), -1)
    check_finite(owner, "X", flat)
    dtype = np.float32 if X.dtype == np.uint8 else np.float64
    return flat.astype(dtype), (X.shape[1], X.shape[2]) if X.ndim == 3 else None


def _dataset(owner: str, X: Array, y: Array, task: str | None, learned: bool = True) -> Dataset:
    flat, image_shape = _features(owner, X)
    if y.shape not in ((len(X),), (len(X), 1)):
        raise InvalidValueError(must_be(owner, "y", f"of shape ({len(X)},), one value per row of X", y.shape))
    target, settled = settle_target(owner, y.reshape(-1), task, learned)
    names = tuple(f"x{j}" for j in range(flat.shape[1]))
    return Dataset(owner, flat, target, settled, names, "y", image_shape, shared_unit=image_shape is not None)
