"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.arrays import Array, Named
from chainrule.constraints import Checked, Interval, constrained
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.layers.base import Context, LayerShapes
from chainrule.random import Stream


@dataclass(frozen=True)
class Dropout(Checked):
    """Dropout: set each entry to zero with probability `rate` in training and scale the rest up.

    Inference then needs no change (inverted dropout).

    Forward    (1) M = [u >= rate]    (2) Y = A ⊙ M / (1 - rate)
    Backward   (3) dA = dY ⊙ M / (1 - rate)
    Shapes     A, M, Y (n, d)
    Reference  [srivastava2014]; `rate` is 1 - keep_prob of [ng2018]

    Parameters
    ----------
    rate : float in [0, 1), default=0.5
        Probability of dropping an entry; 0.1 to 0.5 is usual for hidden layers.
    """

    rate: float = constrained(Interval(0, 1, "[)", why="rate is the fraction dropped."), 0.5)

    def shapes(self, d: int) -> LayerShapes:
        """Return no parameters: there is nothing to learn."""
        return LayerShapes({}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return nothing: there is nothing to draw."""
        return {}, {}

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save the mask M (booleans) in training, nothing in inference."""
        if not ctx.training or self.rate == 0.0:
            return A, {}, buffers
        if ctx.stream is None:
            raise InvalidValueError(must_be("Dropout", "stream", "given in training", None, "Masks need a source."))
        M = ctx.stream.keep(ctx.xp, A.shape, self.rate)  # (1)
        Y = ctx.xp.where(M, A * (1.0 / (1.0 - self.rate)), 0.0)  # (2)
        return Y, {"M": M}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA."""
        if "M" not in saved:
            return dY, {}
        dA = ctx.xp.where(saved["M"], dY * (1.0 / (1.0 - self.rate)), 0.0)  # (3)
        return dA, {}
