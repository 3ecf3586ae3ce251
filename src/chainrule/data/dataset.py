"""One checked, immutable form for the data of every source.

In: a table of numbers, its target and their names. Out: a `Dataset`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chainrule.arrays import Array
from chainrule.data.targets import TASKS, Task
from chainrule.errors import must_be, raise_all

if TYPE_CHECKING:
    import polars as pl

    from chainrule.data.table.schema import TableSchema


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows to learn from, with their target and their names.

    Parameters
    ----------
    name : str
        What messages and reports call it.
    X : array of shape (n, d)
        Inputs, float64, or float32 for 8-bit images (a quarter-gigabyte less for MNIST).
    y : array of shape (n,)
        Raw labels (numbers, booleans or text), or float64 values of a regression.
    task : {"classification", "regression"}
        What is learned.
    feature_names : tuple of str
        d names, in the order of the columns.
    target_name : str
        The name of y.
    image_shape : tuple of (height, width), default=None
        Shape of a row that is an image, height · width = d; None for other rows.
    shared_unit : bool, default=False
        True when all columns are one quantity on one scale (pixels), so that one mean and one scale serve them all.
    test : Dataset, default=None
        The source's own test rows (MNIST), None where it has none.
    schema : TableSchema, default=None
        For a table: what its columns are, and how X is made of them.
    frame : polars.DataFrame, default=None
        For a table: the columns that are used, as read, with the rows of X.
    facts : tuple of str, default=()
        For a table: what was found out about how the file is written.
    target_sentence : str, default=""
        For a table: the task, why, and how to overrule it.

    Raises
    ------
    InvalidValueError
        For shapes that do not fit, all named at once.

    Examples
    --------
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
    schema: TableSchema | None = None
    frame: pl.DataFrame | None = field(default=None, repr=False)
    facts: tuple[str, ...] = ()
    target_sentence: str = ""

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}: {len(self.X)} rows, {self.X.shape[1]} columns, {self.task})"

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
        """Return the data set of some rows alone, without the source's test rows.

        Parameters
        ----------
        indices : array or slice
            Numbers of the rows, from 0, in the order wanted.

        Returns
        -------
        Dataset
        """
        frame = None if self.frame is None else self.frame[indices]
        return replace(self, X=self.X[indices], y=self.y[indices], test=None, frame=frame)
