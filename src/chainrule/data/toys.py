"""Small data sets without a download, for learning and for tests.

In: a seed, for the sets that are drawn. Out: data sets. This is the one module of `data` that imports scikit-learn, and
only when a set is asked for; the digits are read from its files without importing it, which takes a second.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.dataset import Dataset
from chainrule.random import Stream

POINTS = 300
"""Rows of each drawn set, as in the lecture's circles."""


def _sklearn() -> Any:
    from sklearn import datasets

    return datasets


def _plane(name: str, X: Array, y: Array) -> Dataset:
    return Dataset(name, X, y.astype(np.int64), "classification", ("x1", "x2"), "class")


def circles(seed: int) -> Dataset:
    """Draw two rings, one inside the other, as in the lecture."""
    make = _sklearn().make_circles
    return _plane("circles", *make(n_samples=POINTS, noise=0.15, factor=0.3, random_state=seed % 2**32))


def moons(seed: int) -> Dataset:
    """Draw two interleaved half-moons."""
    return _plane("moons", *_sklearn().make_moons(n_samples=POINTS, noise=0.2, random_state=seed % 2**32))


def blobs(seed: int) -> Dataset:
    """Draw three round clouds."""
    return _plane("blobs", *_sklearn().make_blobs(n_samples=POINTS, centers=3, random_state=seed % 2**32))


def spirals(seed: int, arms: int = 3, noise: float = 0.02) -> Dataset:
    """Draw arms that wind once around the origin, from radius 0.1 to 1, each a class.

    >>> spirals(0).X.shape
    (300, 2)
    """
    stream = Stream.from_seed(seed).fold(*b"spirals")
    y = np.arange(POINTS) % arms
    radius = 0.1 + 0.9 * stream.fold(1).uniform(POINTS)
    angle = 2 * np.pi * (radius + y / arms)
    curve = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return _plane("spirals", curve + noise * stream.fold(2).normal(2 * POINTS).reshape(POINTS, 2), y)


def digits(seed: int = 0) -> Dataset:
    """Load 1,797 handwritten digits of 8 by 8 pixels with 17 gray levels; the seed changes nothing."""
    rows = _digits()
    names = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    X, y = np.ascontiguousarray(rows[:, :-1]), rows[:, -1].astype(np.int64)
    return Dataset("digits", X, y, "classification", names, "digit", (8, 8), True)


def _digits() -> Array:
    """Return pixels and digit of each row: from scikit-learn's file, or by its own function where the file has moved."""
    package = find_spec("sklearn")
    for folder in () if package is None else package.submodule_search_locations or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            text = gzip.decompress(file.read_bytes())
            numbers = np.array(text.replace(b"\n", b",").rstrip(b",").split(b","), np.float64)
            return numbers.reshape(-1, 65)
    bunch = _sklearn().load_digits()
    return np.column_stack([bunch.data, bunch.target])


def labeled(name: str, target: str) -> Callable[[int], Dataset]:
    """Return a loader of a table from scikit-learn (iris, wine, breast_cancer) whose labels are words."""

    def read(seed: int = 0) -> Dataset:
        bunch = getattr(_sklearn(), f"load_{name}")()
        labels = np.asarray(bunch.target_names, dtype=np.str_)[bunch.target]
        return Dataset(name, bunch.data, labels, "classification", tuple(bunch.feature_names), target)

    return read


def diabetes(seed: int = 0) -> Dataset:
    """Load 442 patients with ten measurements in their own units, and how ill they were a year later."""
    bunch = _sklearn().load_diabetes(scaled=False)
    names = tuple(bunch.feature_names)
    return Dataset("diabetes", bunch.data, bunch.target, "regression", names, "progression")
