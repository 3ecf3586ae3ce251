"""The training rows of a stream as blocks that a network takes, in the order of an epoch, from any row on.

In: a source, its design, scaling, target and shares. Out: blocks (X, Y, c) in the order of the visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data.scaling import Standardizer
from chainrule.data.stream.design import Design, scaled
from chainrule.data.stream.order import RowOrder, Window
from chainrule.data.stream.parts import TRAIN, Shares, part_codes
from chainrule.data.stream.source import Piece, Source
from chainrule.data.stream.targets import StreamTarget
from chainrule.errors import FormatError

Block = tuple[Array, Array, Array]
"""Rows on the network's scale, encoded targets, weights."""


@dataclass(frozen=True, eq=False)
class Cut:
    """How the rows of a source are divided, with the numbers that a pass counted.

    Parameters
    ----------
    source : Source
        The rows.
    target : StreamTarget
        What is learned.
    shares : Shares
        Which rows are held out.
    key : str or None
        Column by whose values rows are held out together.
    """

    source: Source = field(repr=False)
    target: StreamTarget
    shares: Shares
    key: str | None = None

    def divided(self, group: int, names: tuple[str, ...]) -> Iterator[tuple[int, Piece, Array, Array, Array]]:
        """Yield the pieces of a group: first row, piece, rows with a target, their parts and their targets."""
        read = list(dict.fromkeys((*names, self.target.name, *(() if self.key is None else (self.key,)))))
        start = 0
        place = self.source.place(group)
        for piece in self.source.pieces(group, read):
            kept, y = self.target.read(place, piece.column(self.target.name))
            keys = None if self.key is None else piece.column(self.key)
            codes = part_codes(self.shares, group, start, piece.height, keys)
            yield start, piece, np.flatnonzero(kept), codes[kept], y
            start += piece.height


@dataclass(frozen=True, eq=False)
class StreamRows:
    """Training rows that are read while a network is trained on them.

    Parameters
    ----------
    cut : Cut
        The rows and how they are divided.
    design : Design
        What makes a matrix of them.
    scaling : Standardizer
        The scaling of the inputs.
    encode : callable
        Encoded targets and weights of targets (numbers of classes, or values).
    order : RowOrder
        Training rows of each group, and in which order they come.
    dtype : str
        Type of the rows.
    window : int
        Bytes that may wait to be trained on.
    fingerprint : str
        sha256 of all that decides which rows come in which order.
    """

    cut: Cut
    design: Design = field(repr=False)
    scaling: Standardizer = field(repr=False)
    encode: Callable[[Array], tuple[Array, Array]] = field(repr=False)
    order: RowOrder = field(repr=False)
    dtype: str
    window: int
    fingerprint: str

    def __len__(self) -> int:
        return len(self.order)

    def blocks(self, epoch: int, start: int = 0) -> Iterator[Block]:
        """Yield the rows of an epoch from row number `start` on, a window at a time."""
        with self.reading() as cut:
            for window in self.order.windows(epoch, start):
                X = np.empty((len(window.order), len(self.design.names)), self.dtype)
                parts = [part for *_, part in self._filled(cut, window, X)]
                Y, c = (np.concatenate([part[i] for part in parts]) for i in range(2))
                visited = window.order[window.skip :]
                del parts
                yield np.take(X, visited, axis=0), Y[visited], c[visited]

    @contextmanager
    def reading(self) -> Iterator[Cut]:
        """Provide the rows with open files of their own, for one thread."""
        cut = replace(self.cut, source=self.cut.source.reader())
        try:
            yield cut
        finally:
            cut.source.close()

    def fill(self, cut: Cut, window: Window, into: Block) -> None:
        """Write the rows of a window into arrays, in the order of the files."""
        X, Y, c = into
        for start, end, (targets, weights) in self._filled(cut, window, X):
            Y[start:end] = targets
            c[start:end] = weights

    def _filled(self, cut: Cut, window: Window, X: Array) -> Iterator[tuple[int, int, tuple[Array, Array]]]:
        """Write the rows of a window into X; yield which were written, with their targets and weights, piece by piece."""
        n = len(window.order)
        done = 0
        for group in window.groups:
            place = cut.source.place(int(group))
            for _, piece, rows, codes, y in cut.divided(int(group), self.design.columns):
                mine = codes == TRAIN
                end = done + int(np.count_nonzero(mine))
                if end == done or end > n:
                    done = end
                    continue
                take = None if end - done == piece.height else rows[mine]
                scaled(self.design, self.scaling, place, piece, take, X[done:end])
                yield done, end, self.encode(y if take is None else y[mine])
                done = end
        if done != n:
            places = ", ".join(cut.source.place(int(group)) for group in window.groups[:3])
            raise FormatError(f"{places}: the rows must stay as they were, got {done:,} and not {n:,} of them.")
