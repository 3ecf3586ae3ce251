"""MNIST and other image sets in IDX files, from wherever the user or the cache has them.

In: IDX files, plain or gzipped. Out: arrays, or a `Dataset` of images with its own test rows.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chainrule.arrays import Array
from chainrule.data.dataset import Dataset
from chainrule.data.gzipped import decompress
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
        For a wrong start, an unknown type, or too few or too many bytes.
    """
    data = decompress(path.read_bytes(), path.name)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise FormatError(must_be(path.name, "the file", "IDX, starting with two zero bytes", data[:4]))
    code, dimensions = data[2], data[3]
    if code not in _DTYPES:
        raise FormatError(must_be(path.name, "the type code", f"one of {sorted(_DTYPES)}", code))
    start = 4 + 4 * dimensions
    dtype = np.dtype(_DTYPES[code])
    sizes = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    expected = start + math.prod(sizes) * dtype.itemsize
    if len(data) != expected:
        hint = f"The header promises the shape {sizes}; the file is damaged."
        raise FormatError(must_be(path.name, "the file", f"{expected} bytes long", len(data), hint))
    return np.frombuffer(data, dtype, offset=start).reshape(sizes).astype(dtype.newbyteorder("="))


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
    """
    absent = [file for file in FILES if find_idx(folder, file) is None]
    if absent:
        raise MissingError(
            f"{folder}: the folder must hold the four IDX files {', '.join(FILES)} (.gz or not), "
            f"got no {' and no '.join(absent)}."
        )
    owner = name or folder.resolve().name
    test = _images(owner, folder, FILES[2], FILES[3], None)
    return _images(owner, folder, FILES[0], FILES[1], test)


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
    names = tuple(f"pixel_{row}_{column}" for row in range(height) for column in range(width))
    X = pixels.reshape(n, height * width).astype(np.float32)
    shape = (height, width)
    return Dataset(owner, X, y.astype(np.int64), "classification", names, "label", shape, True, test)
