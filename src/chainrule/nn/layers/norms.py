"""Normalization over the batch and over the columns of each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.constraints import POSITIVE, SHARE, Checked, constrained
from chainrule.nn.layers.base import Context, LayerShapes
from chainrule.random import Stream


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Checked):
    """Batch normalization: standardize each column over the batch, then scale and shift it by learned γ and β.

    Training uses the batch's own mean and (biased) variance and blends them into running values; inference uses the
    running values. The gradient passes through the batch's statistics. A batch of one row has variance 0: the output is β
    and no gradient passes back. So a `Recipe` refuses batches of one row, training on a single row is refused, and a single
    row that is left over at the end of an epoch is skipped.

    Forward    (1) μ = Σᵢ Zᵢ / n    (2) σ² = Σᵢ (Zᵢ - μ)² / n    (3) s = √(σ² + ε)    (4) Ẑ = (Z - μ) / s
               (5) Y = γ ⊙ Ẑ + β    (6) μ' = m μ' + (1 - m) μ    (7) v' = m v' + (1 - m) σ²
    Backward   (8) dγ = Σᵢ dYᵢ ⊙ Ẑᵢ    (9) dβ = Σᵢ dYᵢ    (10) dẐ = dY ⊙ γ
               (11) dZ = (dẐ - Σᵢ dẐᵢ / n - Ẑ ⊙ Σᵢ (dẐᵢ ⊙ Ẑᵢ) / n) / s; in inference dZ = dẐ / s
    Shapes     Z, Ẑ, Y (n, d)   γ, β, μ, σ², s (d)
    Reference  [ioffe2015], [ng2018] 7.2

    Parameters
    ----------
    momentum : float in [0, 1), default=0.9
        Share m of the old running value that each batch keeps (PyTorch's `momentum` is the other share, 1 - m).
    epsilon : float > 0, default=1e-5
        Added to the variance, so that a constant column does not divide by zero.
    """

    momentum: float = constrained(SHARE, 0.9)
    epsilon: float = constrained(POSITIVE, 1e-5)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of γ and β, and of the running mean and variance."""
        return LayerShapes({"gamma": (d,), "beta": (d,)}, {"mean": (d,), "variance": (d,)}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return γ = 1, β = 0, running mean 0, running variance 1."""
        return {"gamma": np.ones(d), "beta": np.zeros(d)}, {"mean": np.zeros(d), "variance": np.ones(d)}

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save Ẑ and s."""
        mean, variance = buffers["mean"], buffers["variance"]
        if ctx.training:
            mean = Z.mean(axis=0)  # (1)
            variance = ((Z - mean) ** 2).mean(axis=0)  # (2)
            buffers = self._blend(buffers, mean, variance)
        s = ctx.xp.sqrt(variance + self.epsilon)  # (3)
        Zhat = (Z - mean) / s  # (4)
        Y = p["gamma"] * Zhat + p["beta"]  # (5)
        return Y, {"Zhat": Zhat, "s": s}, buffers

    def _blend(self, old: Named, mean: Array, variance: Array) -> Named:
        m = self.momentum
        return {
            "mean": m * old["mean"] + (1.0 - m) * mean,  # (6)
            "variance": m * old["variance"] + (1.0 - m) * variance,  # (7)
        }

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dZ, dγ, dβ."""
        Zhat, s = saved["Zhat"], saved["s"]
        dgamma = (dY * Zhat).sum(axis=0)  # (8)
        dbeta = dY.sum(axis=0)  # (9)
        dZhat = dY * p["gamma"]  # (10)
        if ctx.training:
            dZhat = dZhat - dZhat.mean(axis=0) - Zhat * (dZhat * Zhat).mean(axis=0)
        return dZhat / s, {"gamma": dgamma, "beta": dbeta}  # (11)


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Checked):
    """Layer normalization: standardize each row over its columns, then scale and shift by learned γ and β.

    It needs no batch, so training and inference are the same.

    Forward    (1) μᵢ = Σⱼ Zᵢⱼ / d    (2) σᵢ² = Σⱼ (Zᵢⱼ - μᵢ)² / d    (3) s = √(σ² + ε)    (4) Ẑ = (Z - μ) / s
               (5) Y = γ ⊙ Ẑ + β
    Backward   (6) dγ = Σᵢ dYᵢ ⊙ Ẑᵢ    (7) dβ = Σᵢ dYᵢ    (8) dẐ = dY ⊙ γ
               (9) dZ = (dẐ - Σⱼ dẐⱼ / d - Ẑ ⊙ Σⱼ (dẐⱼ ⊙ Ẑⱼ) / d) / s
    Shapes     Z, Ẑ, Y (n, d)   γ, β (d)   μ, σ², s (n, 1)
    Reference  [ba2016]

    Parameters
    ----------
    epsilon : float > 0, default=1e-5
        Added to the variance, so that a constant row does not divide by zero.
    """

    epsilon: float = constrained(POSITIVE, 1e-5)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of γ and β."""
        return LayerShapes({"gamma": (d,), "beta": (d,)}, {}, d)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Return γ = 1, β = 0."""
        return {"gamma": np.ones(d), "beta": np.zeros(d)}, {}

    def forward(self, p: Named, buffers: Named, Z: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save Ẑ and s."""
        mean = Z.mean(axis=1, keepdims=True)  # (1)
        variance = ((Z - mean) ** 2).mean(axis=1, keepdims=True)  # (2)
        s = ctx.xp.sqrt(variance + self.epsilon)  # (3)
        Zhat = (Z - mean) / s  # (4)
        Y = p["gamma"] * Zhat + p["beta"]  # (5)
        return Y, {"Zhat": Zhat, "s": s}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dZ, dγ, dβ."""
        Zhat, s = saved["Zhat"], saved["s"]
        dgamma = (dY * Zhat).sum(axis=0)  # (6)
        dbeta = dY.sum(axis=0)  # (7)
        dZhat = dY * p["gamma"]  # (8)
        inner = (dZhat * Zhat).mean(axis=1, keepdims=True)
        dZ = (dZhat - dZhat.mean(axis=1, keepdims=True) - Zhat * inner) / s  # (9)
        return dZ, {"gamma": dgamma, "beta": dbeta}
