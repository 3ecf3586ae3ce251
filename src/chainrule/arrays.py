"""One flat vector for all parameters, so that one update, one checkpoint and one pointer serve every layer.

In: named shapes in order. Out: a `Layout` that shows a flat vector as named arrays and packs named arrays into one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""An array of the running namespace: `numpy.ndarray` or a JAX array."""

MatrixLike: TypeAlias = Any
"""Rows as users have them: an array, a pandas or polars frame, a sparse matrix, or a list of rows."""

ArrayLike: TypeAlias = Any
"""Labels, values or weights as users have them: an array, a series or a list."""

Namespace: TypeAlias = Any
"""The module whose functions act on the arrays: `numpy` or `jax.numpy`."""

Named: TypeAlias = Mapping[str, Array]
"""Arrays by the letter that the mathematics gives them."""


@dataclass(frozen=True)
class Slot:
    """The place of one named array in the flat vector.

    Parameters
    ----------
    name : str
        Name of the array, such as "0.W".
    shape : tuple of int
        Its shape.
    offset : int
        Position of its first entry in the vector.
    """

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Layout:
    """The order, names and shapes of the arrays inside one flat vector.

    Parameters
    ----------
    slots : tuple of Slot
        One for each array, in order.

    Examples
    --------
    >>> import numpy as np
    >>> layout = Layout.of([("0.W", (2, 3)), ("0.b", (3,))])
    >>> layout.size
    9
    >>> layout.views(np.arange(9.0))["0.b"]
    array([6., 7., 8.])
    """

    slots: tuple[Slot, ...]

    @classmethod
    def of(cls, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> Layout:
        """Place the named shapes one after the other."""
        slots, offset = [], 0
        for name, shape in shapes:
            slots.append(Slot(name, tuple(shape), offset))
            offset += slots[-1].size
        return cls(tuple(slots))

    @cached_property
    def size(self) -> int:
        """Number of entries of the flat vector."""
        return sum(slot.size for slot in self.slots)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(slot.name for slot in self.slots)

    def views(self, flat: Array) -> dict[str, Array]:
        """Return the named arrays inside a flat vector, without a copy where the namespace allows it."""
        return {s.name: flat[s.offset : s.offset + s.size].reshape(s.shape) for s in self.slots}

    def pack(self, xp: Namespace, arrays: Named, like: Array) -> Array:
        """Pack arrays under this layout's names into one flat vector, in the dtype of `like`."""
        if not self.slots:
            return xp.zeros((0,), dtype=like.dtype)
        return xp.concatenate([arrays[name].reshape(-1) for name in self.names]).astype(like.dtype)

    def where(self, entry: int) -> tuple[str, tuple[int, ...]]:
        """Return name and index of one entry of the flat vector: `("0.W", (1, 2))`."""
        slot = next(s for s in self.slots if s.offset <= entry < s.offset + s.size)
        index, rest = [], entry - slot.offset
        for length in reversed(slot.shape):
            rest, position = divmod(rest, length)
            index.append(position)
        return slot.name, tuple(reversed(index))


def scatter_add(xp: Namespace, rows: Array, values: Array, n: int) -> Array:
    """Return an array (n, k) whose row r is the sum of the `values` (m, k) whose entry of `rows` (m) is r.

    NumPy counts flat entries, which is far faster than its `add.at`; JAX has a scatter of its own.
    """
    k = values.shape[1]
    if xp is not np:
        return xp.zeros((n, k), dtype=values.dtype).at[rows].add(values)
    entries = rows[:, None] * k + np.arange(k)
    total = np.bincount(entries.reshape(-1), weights=values.reshape(-1), minlength=n * k)
    return total.reshape(n, k).astype(values.dtype)
