"""Arrays that were made in Python, without a detour through text.

In: an .npz file with arrays X and y, or X_train, y_train, X_test and y_test (or in small letters). Out: a `Dataset`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

from chainrule.arrays import Array
from chainrule.data.checks import check_finite, check_numeric
from chainrule.data.dataset import Dataset
from chainrule.data.targets import settle_target
from chainrule.errors import FormatError, InvalidValueError, must_be

_DAMAGE = (ValueError, OSError, EOFError, KeyError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What a damaged archive raises in numpy, zipfile and zlib (RuntimeError: a compression not supported)."""


def load_npz(path: Path, task: str | None = None) -> Dataset:
    """Read the rows of an .npz file; X may be (n, d) or, for images, (n, height, width).

    Features are named x0, x1, ... and the target y. Raises `FormatError` for a damaged file or pickled objects, and
    `InvalidValueError` for missing arrays, wrong shapes, NaN or infinity.
    """
    arrays = _read(path)
    owner = path.name
    lowered = {name.lower(): array for name, array in arrays.items()}
    if {"x", "y"} <= lowered.keys():
        return _dataset(owner, lowered["x"], lowered["y"], task)
    if not {"x_train", "y_train", "x_test", "y_test"} <= lowered.keys():
        raise InvalidValueError(
            must_be(owner, "arrays", "X and y, or X_train, y_train, X_test and y_test", sorted(arrays))
        )
    train = _dataset(owner, lowered["x_train"], lowered["y_train"], task)
    return replace(train, test=_dataset(owner, lowered["x_test"], lowered["y_test"], train.task))


def features_of(path: Path) -> Array:
    """Read the array X of an .npz file as (n, d); the file needs no y."""
    arrays = _read(path)
    name = next((name for name in arrays if name.lower() == "x"), None)
    if name is None:
        raise InvalidValueError(must_be(path.name, "arrays", "X, the rows to predict", sorted(arrays)))
    return _features(path.name, arrays[name])[0]


def _read(path: Path) -> Mapping[str, Array]:
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except _DAMAGE as error:
        hint = "Save plain arrays with numpy.savez(path, X=X, y=y)."
        raise FormatError(f"{path.name}: the file must be a readable .npz, got: {error}. {hint}") from error


def _features(owner: str, X: Array) -> tuple[Array, tuple[int, int] | None]:
    """Flatten X to (n, d); return it with the shape of an image, if it had one."""
    if X.ndim not in (2, 3) or 0 in X.shape:
        raise InvalidValueError(must_be(owner, "X", "of shape (n, d) or (n, height, width)", X.shape))
    check_numeric(owner, "X", X)
    flat = X.reshape(len(X), -1)
    check_finite(owner, "X", flat)
    dtype = np.float32 if X.dtype == np.uint8 else np.float64
    return flat.astype(dtype), (X.shape[1], X.shape[2]) if X.ndim == 3 else None


def _dataset(owner: str, X: Array, y: Array, task: str | None) -> Dataset:
    flat, image_shape = _features(owner, X)
    if y.shape not in ((len(X),), (len(X), 1)):
        raise InvalidValueError(must_be(owner, "y", f"of shape ({len(X)},), one value per row of X", y.shape))
    target, settled = settle_target(owner, y.reshape(-1), task)
    names = tuple(f"x{j}" for j in range(flat.shape[1]))
    return Dataset(owner, flat, target, settled, names, "y", image_shape, shared_unit=image_shape is not None)
