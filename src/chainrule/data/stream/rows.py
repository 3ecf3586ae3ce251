"""The training rows of a stream as blocks that a network takes, in the order of an epoch, from any row on.

In: a source, its design, scaling, target and shares. Out: blocks (X, Y, c) in the order of the visit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.scaling import Standardizer
from chainrule.data.stream.design import Design, scaled
from chainrule.data.stream.order import RowOrder
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
        for window in self.order.windows(epoch, start):
            X: Array | None = None
            Y: Any = None
            c: Any = None
            n = len(window.order)
            place = np.empty(n, np.int64)
            place[window.order] = np.arange(n) - window.skip
            done = 0
            for group in window.groups:
                for x, y, weight in self._group(int(group)):
                    to = place[done : done + len(x)]
                    if len(to) < len(x):
                        raise FormatError(f"{self.cut.source.place(int(group))}: the rows must stay as they were.")
                    done += len(x)
                    if X is None:
                        X = np.empty((n - window.skip, *x.shape[1:]), x.dtype)
                        Y = np.empty((n - window.skip, *y.shape[1:]), y.dtype)
                        c = np.empty(n - window.skip, weight.dtype)
                    wanted = slice(None) if not window.skip else to >= 0
                    X[to[wanted]] = x[wanted]
                    Y[to[wanted]] = y[wanted]
                    c[to[wanted]] = weight[wanted]
            if X is None or done < n:
                raise FormatError(f"{self.cut.source.place(int(group))}: the rows must stay as they were, got fewer.")
            block = (X, Y, c)
            X = Y = c = None
            yield block
            del block

    def _group(self, group: int) -> Iterator[Block]:
        """Yield the training rows of a group, a piece at a time."""
        place = self.cut.source.place(group)
        for _, piece, rows, codes, y in self.cut.divided(group, self.design.columns):
            mine = codes == TRAIN
            if not mine.any():
                continue
            take = None if len(rows) == piece.height and mine.all() else rows[mine]
            x = scaled(self.design, self.scaling, place, piece, self.dtype, take)
            Y, c = self.encode(y if take is None else y[mine])
            yield x, np.ascontiguousarray(Y), c

    def close(self) -> None:
        """Close the files."""
        self.cut.source.close()
