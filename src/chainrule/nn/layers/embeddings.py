"""Embeddings of numbers: each feature becomes several columns that the layers after can combine.

A dense network learns smooth functions of its inputs first and sharp ones late. Periodic and piecewise linear columns
give it the sharp ones from the start. Inside, arrays lie feature by feature, (d, n, ·), so that one batched product
serves all features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.constraints import COUNT, POSITIVE, Ascending, Checked, constrained, validate
from chainrule.nn.layers.base import Context, LayerShapes
from chainrule.random import Stream

_TURN = 2.0 * np.pi
_STANDARD = NormalDist()
_BINS = 48


def normal_edges(bins: int) -> tuple[float, ...]:
    """Return the edges of bins that hold equal shares of a standard normal feature, to four digits.

    The outer bins reach to infinity, where a bin has no width, so their outer edges stand at the quarter of their share.

    Parameters
    ----------
    bins : int >= 1
        Number T of bins.

    Returns
    -------
    tuple of float
        T + 1 edges in ascending order, symmetric around 0.

    Examples
    --------
    >>> normal_edges(4)
    (-1.5341, -0.6745, 0.0, 0.6745, 1.5341)
    """
    shares = [0.25 / bins, *(t / bins for t in range(1, bins)), 1.0 - 0.25 / bins]
    return tuple(round(_STANDARD.inv_cdf(share), 4) + 0.0 for share in shares)


@dataclass(frozen=True)
class CosineEmbedding(Checked):
    """Cosine embedding: each feature together with cosines of it, at learned frequencies, scaled and shifted.

    With γ = β = 0 at the start the layer gives zeros, and training takes in each column as far as it helps. Use an
    affine layer behind it.

    Forward    (1) U = 2π (A w + b)    (2) H = [A, cos U]    (3) Y = γ ⊙ H + β
    Backward   (4) dγ = Σᵢ dYᵢ ⊙ Hᵢ    (5) dβ = Σᵢ dYᵢ    (6) dH = dY ⊙ γ    (7) dU = -2π sin U ⊙ dH₁
               (8) dw = Σᵢ Aᵢ dUᵢ    (9) db = Σᵢ dUᵢ    (10) dA = dH₀ + Σₘ dU ⊙ w
    Shapes     A (n, d)   w, b (d, m)   U (n, d, m)   γ, β (d, m + 1)   H (n, d, m + 1)   Y (n, k)
    Reference  [gorishniy2022]; the sum under the cosine as in [holzmuller2024]

    Parameters
    ----------
    frequencies : int >= 1, default=16
        Number m of cosines for each feature.
    scale : float > 0, default=1.0
        Standard deviation of the first frequencies w, which are drawn from a normal distribution cut off at 3 of it. For
        features of standard deviation 1; larger values fit finer detail.

    Examples
    --------
    >>> CosineEmbedding(4).shapes(3).outputs
    15
    """

    frequencies: int = constrained(COUNT, 16)
    scale: float = constrained(POSITIVE, 1.0)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of w, b, γ and β."""
        m = self.frequencies
        shapes = {"w": (d, m), "b": (d, m), "gamma": (d, m + 1), "beta": (d, m + 1)}
        return LayerShapes(shapes, {}, d * (m + 1))

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw w; b, γ and β are zero."""
        m = self.frequencies
        w = self.scale * _truncated_normal(stream, d * m).reshape(d, m)
        return {"w": w, "b": np.zeros((d, m)), "gamma": np.zeros((d, m + 1)), "beta": np.zeros((d, m + 1))}, {}

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save H and U, feature by feature."""
        x = _by_feature(A, A.shape[1])
        U = _TURN * (x * p["w"][:, None] + p["b"][:, None])  # (1)
        H = ctx.xp.concatenate([x, ctx.xp.cos(U)], axis=2)  # (2)
        Y = p["gamma"][:, None] * H + p["beta"][:, None]  # (3)
        return _by_row(Y), {"H": H, "U": U}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA and the gradients of w, b, γ and β."""
        H, U = saved["H"], saved["U"]
        dY = _by_feature(dY, len(H))
        dgamma = (dY * H).sum(axis=1)  # (4)
        dbeta = dY.sum(axis=1)  # (5)
        dH = dY * p["gamma"][:, None]  # (6)
        dU = -_TURN * ctx.xp.sin(U) * dH[:, :, 1:]  # (7)
        dw = (H[:, :, :1] * dU).sum(axis=1)  # (8)
        db = dU.sum(axis=1)  # (9)
        dA = dH[:, :, :1] + dU @ p["w"][:, :, None]  # (10)
        return _by_row(dA), {"w": dw, "b": db, "gamma": dgamma, "beta": dbeta}


@dataclass(frozen=True)
class PBLDEmbedding(Checked):
    """Periodic embedding (periodic, bias, linear, dense link): each feature and an affine map of cosines of it.

    Forward    (1) U = 2π A w + b    (2) H = cos U    (3) E = H V + c    (4) Y = [A, E]
    Backward   (5) dV = Σᵢ Hᵢᵀ dEᵢ    (6) dc = Σᵢ dEᵢ    (7) dH = dE Vᵀ    (8) dU = -sin U ⊙ dH
               (9) dw = 2π Σᵢ Aᵢ dUᵢ    (10) db = Σᵢ dUᵢ    (11) dA = dY₀ + 2π Σₘ dU ⊙ w
    Shapes     A (n, d)   w, b (d, m)   U, H (n, d, m)   V (d, m, u)   c (d, u)   E (n, d, u)   Y (n, k)
    Reference  [holzmuller2024]

    Parameters
    ----------
    frequencies : int >= 1, default=16
        Number m of cosines for each feature.
    units : int >= 1, default=3
        Number u of sums of the cosines for each feature; the feature itself is one more column.
    scale : float > 0, default=0.1
        Standard deviation of the first frequencies w, for features of standard deviation 1.

    Examples
    --------
    >>> PBLDEmbedding(units=3).shapes(5).outputs
    20
    """

    frequencies: int = constrained(COUNT, 16)
    units: int = constrained(COUNT, 3)
    scale: float = constrained(POSITIVE, 0.1)

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of w, b, V and c."""
        m, u = self.frequencies, self.units
        return LayerShapes({"w": (d, m), "b": (d, m), "V": (d, m, u), "c": (d, u)}, {}, d * (u + 1))

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw w from N(0, scale²), b uniformly from [-π, π], V and c uniformly from [-1/√m, 1/√m]."""
        m, u = self.frequencies, self.units
        bound = 1.0 / np.sqrt(m)
        return {
            "w": self.scale * stream.fold(0).normal(d * m).reshape(d, m),
            "b": _uniform(stream.fold(1), np.pi, (d, m)),
            "V": _uniform(stream.fold(2), bound, (d, m, u)),
            "c": _uniform(stream.fold(3), bound, (d, u)),
        }, {}

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save A, U and H, the last two feature by feature."""
        x = _by_feature(A, A.shape[1])
        U = _TURN * x * p["w"][:, None] + p["b"][:, None]  # (1)
        H = ctx.xp.cos(U)  # (2)
        E = H @ p["V"] + p["c"][:, None]  # (3)
        Y = ctx.xp.concatenate([x, E], axis=2)  # (4)
        return _by_row(Y), {"A": A, "U": U, "H": H}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA and the gradients of w, b, V and c."""
        U, H = saved["U"], saved["H"]
        x = _by_feature(saved["A"], len(H))
        dY = _by_feature(dY, len(H))
        dE = dY[:, :, 1:]
        dV = H.swapaxes(1, 2) @ dE  # (5)
        dc = dE.sum(axis=1)  # (6)
        dH = dE @ p["V"].swapaxes(1, 2)  # (7)
        dU = -ctx.xp.sin(U) * dH  # (8)
        dw = _TURN * (x * dU).sum(axis=1)  # (9)
        db = dU.sum(axis=1)  # (10)
        dA = dY[:, :, :1] + _TURN * (dU @ p["w"][:, :, None])  # (11)
        return _by_row(dA), {"w": dw, "b": db, "V": dV, "c": dc}


@dataclass(frozen=True)
class PiecewiseLinearEmbedding(Checked):
    """Piecewise linear embedding: a straight line for each feature and unit, and a learned change of slope in every bin.

    F holds how far a value has come through each bin: 1 in the bins below it, 0 in the bins above. The first bin is not
    limited below and the last one not above, so that values outside the edges are extrapolated.

    Forward    (1) Fₜ = (A - qₜ₋₁) / (qₜ - qₜ₋₁), limited to [0, 1]    (2) Y = A a + c + F P
    Backward   (3) dP = Σᵢ Fᵢᵀ dYᵢ    (4) da = Σᵢ Aᵢ dYᵢ    (5) dc = Σᵢ dYᵢ    (6) dF = dY Pᵀ
               (7) dA = Σⱼ dY ⊙ a + dFₜ / (qₜ - qₜ₋₁), in the bin t of A
    Shapes     A (n, d)   q (T + 1)   F (n, d, T)   a, c (d, u)   P (d, T, u)   Y (n, k)
    Reference  [gorishniy2022]

    Parameters
    ----------
    edges : sequence of float, default=48 bins for standard normal features
        The T + 1 edges q of the bins in ascending order, the same for all features. The default suits features that were
        mapped to a normal distribution: each bin holds the same share of the rows.
    units : int >= 1, default=12
        Number u of columns for each feature.

    Examples
    --------
    >>> PiecewiseLinearEmbedding((-1.0, 0.0, 1.0), units=4).shapes(3).parameters
    {'a': (3, 4), 'c': (3, 4), 'P': (3, 2, 4)}
    """

    edges: tuple[float, ...] = constrained(Ascending(), normal_edges(_BINS))
    units: int = constrained(COUNT, 12)

    def __post_init__(self) -> None:
        if isinstance(self.edges, Iterable):
            object.__setattr__(self, "edges", tuple(self.edges))
        validate(self)
        object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))

    def __repr__(self) -> str:
        """Return the call that gives this layer; the usual edges are left out."""
        usual = self.edges == type(self)().edges
        return f"PiecewiseLinearEmbedding({'' if usual else f'edges={self.edges}, '}units={self.units})"

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    def shapes(self, d: int) -> LayerShapes:
        """Return the shapes of a, c and P."""
        u = self.units
        return LayerShapes({"a": (d, u), "c": (d, u), "P": (d, self.bins, u)}, {}, d * u)

    def init(self, stream: Stream, d: int) -> tuple[Named, Named]:
        """Draw a and c uniformly from [-1/√u, 1/√u]; P is zero, so that the first functions are straight lines."""
        u = self.units
        bound = 1.0 / np.sqrt(u)
        a = _uniform(stream.fold(0), bound, (d, u))
        c = _uniform(stream.fold(1), bound, (d, u))
        return {"a": a, "c": c, "P": np.zeros((d, self.bins, u))}, {}

    def forward(self, p: Named, buffers: Named, A: Array, ctx: Context) -> tuple[Array, Named, Named]:
        """Return Y; save A and F, the latter feature by feature."""
        x = _by_feature(A, A.shape[1])
        start, width = self._bins(x.dtype)
        lowest = np.array([-np.inf, *np.zeros(self.bins - 1)], dtype=x.dtype)
        highest = np.array([*np.ones(self.bins - 1), np.inf], dtype=x.dtype)
        F = ctx.xp.clip((x - start) / width, lowest, highest)  # (1)
        Y = x * p["a"][:, None] + p["c"][:, None] + F @ p["P"]  # (2)
        return _by_row(Y), {"A": A, "F": F}, buffers

    def backward(self, p: Named, saved: Named, dY: Array, ctx: Context) -> tuple[Array, Named]:
        """Return dA and the gradients of a, c and P."""
        F = saved["F"]
        x = _by_feature(saved["A"], len(F))
        dY = _by_feature(dY, len(F))
        start, width = self._bins(x.dtype)
        dP = F.swapaxes(1, 2) @ dY  # (3)
        da = (x * dY).sum(axis=1)  # (4)
        dc = dY.sum(axis=1)  # (5)
        dF = dY @ p["P"].swapaxes(1, 2)  # (6)
        below = np.array([-np.inf, *start[1:]], dtype=x.dtype)
        above = np.array([*start[1:], np.inf], dtype=x.dtype)
        slope = ctx.xp.where((x >= below) & (x < above), dF / width, 0.0)
        dA = dY @ p["a"][:, :, None] + slope.sum(axis=2, keepdims=True)  # (7)
        return _by_row(dA), {"a": da, "c": dc, "P": dP}

    def _bins(self, dtype: Any) -> tuple[Array, Array]:
        """Return the lower edge and the width of every bin."""
        edges = np.array(self.edges)
        return edges[:-1].astype(dtype), np.diff(edges).astype(dtype)


def _by_feature(A: Array, d: int) -> Array:
    """Return rows (n, d k) as (d, n, k)."""
    return A.reshape(len(A), d, A.shape[1] // d).swapaxes(0, 1)


def _by_row(Y: Array) -> Array:
    """Return (d, n, k) as rows (n, d k)."""
    return Y.swapaxes(0, 1).reshape(Y.shape[1], Y.shape[0] * Y.shape[2])


def _uniform(stream: Stream, bound: float, shape: tuple[int, ...]) -> Array:
    """Draw from the uniform distribution on [-bound, bound]."""
    return (bound * (2.0 * stream.uniform(int(np.prod(shape))) - 1.0)).reshape(shape)


def _truncated_normal(stream: Stream, n: int) -> Array:
    """Draw n standard normal numbers, cut off at ±3."""
    lowest = _STANDARD.cdf(-3.0)
    shares = lowest + (1.0 - 2.0 * lowest) * stream.uniform(n)
    return np.array([_STANDARD.inv_cdf(float(share)) for share in shares])
