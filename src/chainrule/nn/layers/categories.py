"""Embedding of categories: a learned vector for every value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from chainrule.arrays import Array, Named, scatter_add
from chainrule.constraints import COUNT, Checked, Each, constrained, validate
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.layers.base import Context, LayerShapes
from chainrule.random import Stream


@dataclass(frozen=True)
class CategoryEmbedding(Checked):
    """Learned vector for every category: each column of codes is replaced by the rows of its table.

    The tables of all columns stand below each other in E; column j's starts at row oⱼ. Codes are whole numbers, stored as
    floats; a code that is not in 0 .. size - 1 counts as 0, the place of what is unknown. Codes get no gradient.

    Forward    (1) Rᵢⱼ = oⱼ + Cᵢⱼ    (2) Yᵢⱼ = E[Rᵢⱼ]
    Backward   (3) dE[r] = Σ over Rᵢⱼ = r of dYᵢⱼ    (4) dC = 0
    Shapes     C, R (n, d)   o (d)   E (N, u)   Y (n, k)
    Reference  [guo2016]

    Parameters
    ----------
    sizes : sequence of int
        Number of codes of each column, >= 1; one for each column of the input.
    units : int >= 1, default=8
        Length u of each vector.

    Raises
    ------
    InvalidValueError
        For wrong sizes; by `shapes`, for an input with another number of columns.

    Examples
    --------
    >>> layer = CategoryEmbedding((3, 5), units=2)
    >>> layer.shapes(2).parameters, layer.shapes(2).outputs
    ({'E': (8, 2)}, 4)
    """

    sizes: tuple[int, ...] = constrained(Each(COUNT))
    units: int = constrained(COUNT, 8)

    def __post_init__(self) -> None:
        if isinstance(self.sizes, Iterable):
            object.__setattr__(self, "sizes", tuple(self.sizes))
        validate(self)
        object.__setattr__(self, "sizes", tuple(int(size) for size in self.sizes))

    @property
    def offsets(self) -> tuple[int, ...]:
        """Row of E at which the table of each column starts."""
        return tuple(accumulate(self.sizes, initial=0))[:-1]

    def shapes(self, d: int) -> LayerShapes:
        """Return the shape of E."""
        if len(self.sizes) != d:
            raise InvalidValueError(
                must_be("CategoryEmbedding", "sizes", f"one for each of the {d} columns", self.sizes)
            )
        return LayerShapes({"E": (sum(self.sizes), self.units)}, {}, d * self.units)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw E from N(0, 1/u), so that each vector has a squared length of 1 on average, as a one-hot row has."""
        entries = sum(self.sizes) * self.units
        return {"E": stream.normal(entries).reshape(-1, self.units) / np.sqrt(self.units)}, {}

    def forward(self, p: Named, buffers: Named, C: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save the rows R of E (integers)."""
        sizes = np.array(self.sizes, dtype=np.int32)
        known = (C >= 0) & (sizes > C)
        codes = ctx.xp.where(known, C, 0).astype(np.int32)
        R = codes + np.array(self.offsets, dtype=np.int32)  # (1)
        Y = p["E"][R]  # (2)
        return Y.reshape(len(C), len(self.sizes) * self.units), {"R": R}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dC (zeros) and dE."""
        R = saved["R"]
        dE = scatter_add(ctx.xp, R.reshape(-1), dY.reshape(-1, self.units), sum(self.sizes))  # (3)
        dC = ctx.xp.zeros(R.shape, dtype=dY.dtype)  # (4)
        return dC, {"E": dE}
