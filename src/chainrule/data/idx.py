"""MNIST and other image sets in IDX files, from wherever the user or the cache has them.

In: IDX files, plain or gzipped. Out: arrays, or a `Dataset` of images with its own test rows.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import check_columns, check_finite, check_known_labels
from chainrule.data.dataset import Dataset
from chainrule.data.gzipped import Unpacked, allowed_size, unpacked
from chainrule.data.targets import check_classes
from chainrule.errors import FormatError, MissingError, must_be

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The four files of an image set: images and labels for training, then for testing."""

_DTYPES: Mapping[int, str] = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_MOST_DIMENSIONS = 8


def read_idx(path: Path) -> Array:
    """Read the array in an IDX file, plain or gzipped (recognized by content, not by name).

    The format: two zero bytes, a byte for the type, a byte for the number of dimensions k, k sizes of four bytes, then
    the entries; all big-endian.

    Reference  [lecun1998b]

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    array
        Of the shape and type that the file's header gives.

    Raises
    ------
    FormatError
        For a wrong start, an unknown type, more than 8 dimensions, a dimension of 0, and too few or too many bytes. Of
        gzip, no more is unpacked than the header promises, and nothing if that is more than 100 times the file and 32 MB.
    """
    with unpacked(path) as stream:
        dtype, sizes, start = _header(path.name, stream)
        data = _entries(path, stream, sizes, start, math.prod(sizes) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(sizes).astype(dtype.newbyteorder("="))


def _entries(path: Path, stream: Unpacked, sizes: tuple[int, ...], start: int, size: int) -> bytes:
    """Return what follows the header, which must be `size` bytes; nothing is read if the file cannot hold them."""
    file_size = path.stat().st_size
    if stream.packed and size > allowed_size(file_size):
        got, data = f"{file_size:,} bytes of gzip", b""
    elif not stream.packed and start + size != file_size:
        got, data = str(file_size), b""
    else:
        data = stream.read(size + 1)
        got = str(start + len(data))
    if len(data) != size:
        hint = f"The header promises the shape {sizes}; the file is damaged."
        raise FormatError(f"{path.name}: the file must be {start + size} bytes long, got {got}. {hint}")
    return data


def _header(name: str, stream: Unpacked) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return type, shape and length of the header of an IDX file."""
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0":
        raise FormatError(must_be(name, "the file", "IDX, starting with two zero bytes", start))
    code = start[2]
    dimensions = start[3]
    if code not in _DTYPES:
        raise FormatError(must_be(name, "the type code", f"one of {sorted(_DTYPES)}", code))
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise FormatError(must_be(name, "the number of dimensions", f"from 1 to {_MOST_DIMENSIONS}", dimensions))
    places = stream.read(4 * dimensions)
    sizes = tuple(int.from_bytes(places[i : i + 4], "big") for i in range(0, 4 * dimensions, 4))
    if len(places) < 4 * dimensions or 0 in sizes:
        raise FormatError(must_be(name, "the sizes", f"{dimensions} numbers above 0", sizes, "The file is damaged."))
    return np.dtype(_DTYPES[code]), sizes, 4 + 4 * dimensions


def load_idx(folder: Path, name: str | None = None) -> Dataset:
    """Read the images of a folder that holds the four IDX files, such as MNIST or Fashion-MNIST.

    Parameters
    ----------
    folder : Path
        The folder.
    name : str, default=None
        Name of the data set; None takes the folder's.

    Returns
    -------
    Dataset
        X (n, height · width) float32 in 0..255, y (n,) int64; `test` alike.

    Raises
    ------
    MissingError
        For absent files, all named at once.
    FormatError
        For damaged files and labels that do not fit.
    InvalidValueError
        For pixels that are not finite, and test labels that the training labels do not have.
    """
    absent = [file for file in FILES if find_idx(folder, file) is None]
    if absent:
        raise MissingError(
            f"{folder}: the folder must hold the four IDX files {', '.join(FILES)} (.gz or not), "
            f"got no {' and no '.join(absent)}."
        )
    owner = name or folder.resolve().name
    test = _images(owner, folder, FILES[2], FILES[3], None)
    train = _images(owner, folder, FILES[0], FILES[1], test)
    check_known_labels(owner, test.y, train.y)
    return train


def find_idx(folder: Path, file: str) -> Path | None:
    """Find an IDX file in a folder, under its name or its spelling with a dot, with .gz or not."""
    spellings = (file, file.replace("-idx", ".idx"))
    paths = (folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def mnist(folder: Path | None = None) -> Dataset:
    """Load MNIST: 60,000 handwritten digits for training and 10,000 for testing, 28 by 28 pixels.

    Without a folder, the files are searched for in $CHAINRULE_DATA, its subfolder `mnist`, and the cache
    ($XDG_CACHE_HOME/chainrule/mnist or ~/.cache/chainrule/mnist), and else downloaded into the cache.

    Reference  [lecun1998b]

    Parameters
    ----------
    folder : Path, default=None
        The only folder to look in.

    Returns
    -------
    Dataset

    Raises
    ------
    MissingError
        With the places that were tried, and where to put the files by hand.
    """
    if folder is not None:
        return load_idx(folder, "mnist")
    places = (*_given_places(), cache_folder())
    found = next((place for place in places if all(find_idx(place, file) for file in FILES)), None)
    return load_idx(found or _downloaded(places), "mnist")


def cache_folder() -> Path:
    """Return the folder of downloaded MNIST files."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "chainrule" / "mnist"


def _given_places() -> tuple[Path, ...]:
    given = os.environ.get("CHAINRULE_DATA")
    return (Path(given), Path(given) / "mnist") if given else ()


def _downloaded(places: tuple[Path, ...]) -> Path:
    from chainrule.data.download import MNIST, fetch

    cache = places[-1]
    faults = fetch(MNIST, cache)
    if faults:
        tried = [f"{place}: not all four files are there" for place in places] + faults
        raise MissingError(
            "mnist: the four IDX files must be in a folder or reachable for download, got neither. Tried:\n  "
            + "\n  ".join(tried)
            + f"\nPut {', '.join(FILES)} (.gz or not) into {cache}, or set CHAINRULE_DATA to their folder."
        )
    return cache


def _images(owner: str, folder: Path, images: str, labels: str, test: Dataset | None) -> Dataset:
    paths = [path for file in (images, labels) if (path := find_idx(folder, file))]
    pixels, y = (read_idx(path) for path in paths)
    if pixels.ndim != 3 or y.shape != pixels.shape[:1] or y.dtype.kind not in "iu" or not len(y):
        allowed = "images (n, height, width) with whole-number labels (n,)"
        raise FormatError(must_be(owner, f"{images} and {labels}", allowed, (pixels.shape, y.shape)))
    check_classes(y, owner)
    n, height, width = pixels.shape
    check_columns(owner, images, height * width)
    names = tuple(f"pixel_{row}_{column}" for row in range(height) for column in range(width))
    flat = pixels.reshape(n, height * width)
    with np.errstate(over="ignore"):
        X = flat.astype(np.float32)
    if flat.dtype.kind == "f":
        check_finite(owner, images, X)
    shape = (height, width)
    return Dataset(owner, X, y.astype(np.int64), "classification", names, "label", shape, True, test)
