"""Why: every source of data ends in one shape of data, so that nothing behind it asks where rows came from.

In: a table of numbers, its target and their names. Out: a checked, immutable `Dataset`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from chainrule.arrays import Array
from chainrule.data.targets import TASKS, Task
from chainrule.errors import must_be, raise_all


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to learn from.

    name           what messages and reports call it
    X              (n, d) float64, or float32 for 8-bit images (a quarter-gigabyte less for MNIST)
    y              (n,) raw labels (whole numbers, booleans or text) or float64 amounts
    task           "classification" or "regression"
    feature_names  d names, in the order of the columns
    target_name    the name of y
    image_shape    (height, width) when a row is an image, height · width = d; else None
    shared_unit    True when all columns are one quantity on one scale (pixels), so that one mean and one
                   scale serve them all
    test           the test rows that the source brings itself (MNIST); else None

    Errors  `InvalidValueError` that lists every shape that does not fit.

    >>> import numpy as np
    >>> data = Dataset("toy", np.eye(3), np.array([0, 1, 1]), "classification", ("a", "b", "c"), "kind")
    >>> data.rows(np.array([0, 2])).y
    array([0, 1])
    """

    name: str
    X: Array
    y: Array
    task: Task
    feature_names: tuple[str, ...]
    target_name: str
    image_shape: tuple[int, int] | None = None
    shared_unit: bool = False
    test: Dataset | None = None

    def __post_init__(self) -> None:
        raise_all(self._faults())

    def _faults(self) -> Iterator[str]:
        if self.task not in TASKS:
            yield must_be(self.name, "task", " or ".join(TASKS), self.task)
        if self.X.ndim != 2 or 0 in self.X.shape:
            yield must_be(self.name, "X", "of shape (n, d) with n and d at least 1", self.X.shape)
            return
        n, d = self.X.shape
        if self.y.shape != (n,):
            yield must_be(self.name, "y", f"of shape ({n},), one value per row of X", self.y.shape)
        if len(self.feature_names) != d:
            yield must_be(self.name, "feature_names", f"{d} names, one per column of X", len(self.feature_names))
        if self.image_shape is not None and math.prod(self.image_shape) != d:
            yield must_be(self.name, "image_shape", f"(height, width) with product {d}", self.image_shape)
        if self.test is not None and self.test.feature_names != self.feature_names:
            yield f"{self.name}: test must have the feature names of the other rows, got different ones."

    def rows(self, indices: Array) -> Dataset:
        """The data set of the given rows alone, in the given order, without the source's test rows."""
        return replace(self, X=self.X[indices], y=self.y[indices], test=None)
