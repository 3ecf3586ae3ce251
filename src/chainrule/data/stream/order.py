"""The order in which an epoch visits streamed rows: a function of the groups' sizes, the seed and the epoch alone.

Groups of rows are permuted, then taken in windows of a few; the rows of a window are permuted among themselves. So a reader
needs one window in memory, and a position is one number.
In: sizes of groups, groups in a window, a seed. Out: windows with the places of their rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from chainrule.arrays import Array
from chainrule.random import Purpose, Stream


@dataclass(frozen=True, eq=False)
class Window:
    """A few groups that are in memory together.

    `groups` are their numbers in the order in which they are read, `order` (n) the order in which their rows are visited:
    numbers of rows counted through these groups. The first `skip` of them were visited before.
    """

    number: int
    groups: Array
    order: Array
    skip: int = 0


@dataclass(frozen=True)
class Position:
    """A place in a training on streamed rows; it has the same size wherever it is.

    Parameters
    ----------
    manifest : str
        What the data are: sha256 of the manifest.
    seed : int
        Seed of the order.
    epoch : int
        Number of the epoch, from 0.
    next_row : int
        Rows of the epoch that were visited.
    """

    manifest: str
    seed: int
    epoch: int
    next_row: int


@dataclass(frozen=True, eq=False)
class RowOrder:
    """The order of rows in every epoch.

    Parameters
    ----------
    sizes : array of int of shape (G,)
        Rows of each group.
    per_window : int
        Groups in a window.
    seed : int
        Seed of the permutations.
    in_order : bool, default=False
        Whether groups come as they are, because they cannot be read in another order.

    Examples
    --------
    >>> order = RowOrder(np.array([2, 3, 1]), 2, seed=0)
    >>> whole = np.concatenate([order.rows(window) for window in order.windows(epoch=0)])
    >>> sorted(whole.tolist())
    [0, 1, 2, 3, 4, 5]
    >>> rest = np.concatenate([order.rows(window) for window in order.windows(epoch=0, start=4)])
    >>> bool((rest == whole[4:]).all())
    True
    """

    sizes: Array
    per_window: int
    seed: int
    in_order: bool = False

    def __len__(self) -> int:
        return int(self.sizes.sum())

    @cached_property
    def capacity(self) -> int:
        """Rows of a window at most."""
        sizes = self.sizes if self.in_order else -np.sort(-self.sizes)[: self.per_window]
        return int(np.add.reduceat(sizes, np.arange(0, len(sizes), self.per_window)).max())

    @cached_property
    def _starts(self) -> Array:
        return np.cumsum(self.sizes) - self.sizes

    def windows(self, epoch: int, start: int = 0) -> Iterator[Window]:
        """Yield the windows of an epoch from the one that holds its row number `start`."""
        stream = Stream.from_seed(self.seed).fold(Purpose.SHUFFLE, epoch)
        count = len(self.sizes)
        groups = np.arange(count) if self.in_order else stream.fold(0).permutation(np, count)
        before = 0
        for number, first in enumerate(range(0, count, self.per_window)):
            taken = groups[first : first + self.per_window]
            n = int(self.sizes[taken].sum())
            if n and before + n > start:
                order = shuffled(stream.fold(number + 1), n)
                yield Window(number, taken, order, max(0, start - before))
            before += n

    def rows(self, window: Window) -> Array:
        """Return the numbers of a window's rows, counted through all groups, in the order of the visit."""
        parts = [np.arange(self.sizes[group]) + self._starts[group] for group in window.groups]
        rows: Array = np.concatenate(parts)[window.order][window.skip :]
        return rows


def shuffled(stream: Stream, n: int) -> Array:
    """Return `stream.permutation` of n rows as uint32: numbers that hold word and row are sorted faster than rows by words.

    >>> stream = Stream.from_seed(0)
    >>> bool((shuffled(stream, 1000) == stream.permutation(np, 1000)).all())
    True
    """
    both = stream.words(np, n).astype(np.uint64)
    both <<= np.uint64(32)
    both |= np.arange(n, dtype=np.uint64)
    both.sort()
    return both.astype(np.uint32)
