"""What an exported NumPy file computes with: the NumPy exporter copies the functions that a plan needs into its file.

Each function needs NumPy and the standard library only, and the names of the mathematics in its comments.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from chainrule.arrays import Array

DAY = 86_400_000_000
"""Microseconds of a day."""


def array(dtype: str, shape: Any, text: str) -> Array:
    """Return an array from the base64 text of its little-endian bytes."""
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)


def matrix(rows: Any, names: Any, gaps: bool) -> Array:
    """Return rows as a matrix: of a frame the columns of these names, of anything else the columns in their order."""
    if hasattr(rows, "columns"):
        given = [str(name) for name in rows.columns]
        if set(names) <= set(given):
            rows = [np.asarray(rows[name], np.float64) for name in names]
        elif tuple(names) == tuple(f"x{j}" for j in range(len(given))):
            rows = [np.asarray(rows[name], np.float64) for name in rows.columns]
        else:
            absent = next(name for name in names if name not in given)
            raise ValueError(f"rows must have the columns of the training data, got none named {absent!r}")
        rows = np.column_stack(rows)
    X = np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows, np.float64)
    if X.ndim != 2 or X.shape[1] != len(names):
        raise ValueError(f"rows must be of shape (n, {len(names)}), got {X.shape}")
    if not gaps and not np.isfinite(X).all():
        raise ValueError("rows must be finite numbers, got nan or infinity")
    return X


def column(rows: Any, name: str, names: Any) -> Any:
    """Return the cells of a column; rows are dicts, lists in the order of `names`, a frame or a dict of columns."""
    if isinstance(rows, dict) or hasattr(rows, "columns"):
        if name not in (rows if isinstance(rows, dict) else rows.columns):
            raise ValueError(f"rows must have the columns of the training data, got none named {name!r}")
        cells = rows[name]
        return list(cells) if hasattr(cells, "__len__") and not isinstance(cells, str) else [cells]
    if not any(isinstance(row, dict) for row in rows):
        return [row[names.index(name)] for row in rows]
    if not any(name in row for row in rows):
        raise ValueError(f"rows must have the columns of the training data, got none named {name!r}")
    return [row.get(name) for row in rows]


def scaled(x: Array, center: float, scale: float, limit: float, gap: float) -> Array:
    """Return clip((x - center) / scale, -limit, limit), and `gap` for a gap."""
    z = np.clip((x - center) / scale, -limit, limit)
    return np.where(np.isnan(z), gap, z)


def filled(x: Array, gap: float) -> Array:
    """Return x, and `gap` for a gap."""
    return np.where(np.isnan(x), gap, x)


def part(name: str, moments: Array, origin: int) -> Array:
    """Return one part of date-times in microseconds: "days" since the origin, "month", "weekday", "day" or "hour"."""
    if name == "days":
        return (moments - origin) / DAY
    days = np.floor(moments / DAY)
    if name == "hour":
        return (moments - days * DAY) / (DAY / 24)
    if name == "weekday":
        return (days + 3) % 7 + 1
    known = np.isfinite(days)
    dates = np.where(known, days, 0).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    found = months.astype(np.int64) % 12 + 1 if name == "month" else (dates - months).astype(np.int64) + 1
    return np.where(known, found, np.nan)


def standardized(F: Array, mean: Array, scale: Array, dtype: str) -> Array:
    """Return X = (F - mean) / scale, computed in float64."""
    return ((F - mean) / scale).astype(dtype)


def quantile(x: Array, values: Array, images: Array) -> Array:
    """Return numbers mapped to a normal distribution by linear interpolation between nodes; a gap becomes 0."""
    z = np.interp(x, values, images)
    return np.where(np.isnan(z), 0.0, z)


def robust(x: Array, median: float, factor: float) -> Array:
    """Return z = u / sqrt(1 + (u / 3)^2) of u = (x - median) factor; a gap becomes 0."""
    u = (x.astype(np.float64) - median) * factor
    u = np.where(np.isnan(u), 0.0, np.clip(u, -1e9, 1e9))
    return u / np.sqrt(1.0 + (u / 3.0) ** 2)


def one_hot(x: Array, code: float, opposite: float) -> Array:
    """Return 1 where x is the code, -1 where it is the opposite one, else 0."""
    return (x == code) * 1.0 - (x == opposite) * 1.0


def below(x: Array, size: int) -> Array:
    """Return codes, 0 for those that are not below the size."""
    return np.where(x < size, x, 0.0)


def sigmoid(Z: Array) -> Array:
    """Return 1 / (1 + exp(-Z)), written in exp(-|Z|), which cannot overflow."""
    e = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1.0, e) / (1.0 + e)


def identity(Z: Array) -> Array:
    """Return Z."""
    return Z


def tanh(Z: Array) -> Array:
    """Return tanh(Z)."""
    return np.tanh(Z)


def exp(Z: Array) -> Array:
    """Return exp(Z)."""
    return np.exp(Z)


def relu(Z: Array) -> Array:
    """Return max(0, Z)."""
    return np.maximum(Z, 0.0)


def leaky_relu(Z: Array, a: float) -> Array:
    """Return Z where Z > 0, else a Z."""
    return np.where(Z > 0, Z, a * Z)


def elu(Z: Array, a: float) -> Array:
    """Return Z where Z > 0, else a (exp(Z) - 1)."""
    return np.where(Z > 0, Z, a * np.expm1(np.minimum(Z, 0.0)))


def selu(Z: Array) -> Array:
    """Return b Z where Z > 0, else b a (exp(Z) - 1)."""
    return 1.0507009873554805 * np.where(Z > 0, Z, 1.6732632423543772 * np.expm1(np.minimum(Z, 0.0)))


def gelu(Z: Array) -> Array:
    """Return Z (1 + tanh(sqrt(2 / pi) (Z + 0.044715 Z^3))) / 2."""
    return 0.5 * Z * (1.0 + np.tanh(0.7978845608028654 * (Z + 0.044715 * Z * Z * Z)))


def silu(Z: Array) -> Array:
    """Return Z sigmoid(Z)."""
    return Z * sigmoid(Z)


def softplus(Z: Array) -> Array:
    """Return log(1 + exp(Z))."""
    return np.maximum(Z, 0.0) + np.log1p(np.exp(-np.abs(Z)))


def mish(Z: Array) -> Array:
    """Return Z tanh(softplus(Z))."""
    return Z * np.tanh(softplus(Z))


def softmax(Z: Array) -> Array:
    """Return exp(Z - max Z) / sum exp(Z - max Z) of each row."""
    e = np.exp(Z - Z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_blocks(Z: Array, blocks: Any) -> Array:
    """Return the softmax of each block of columns."""
    return np.concatenate([softmax(Z[:, start:end]) for start, end in blocks], axis=1)


def mixed(Z: Array, A: Array, alpha: Array) -> Array:
    """Return Z + alpha (A - Z): the learned share of an activation."""
    return Z + alpha * (A - Z)


def normalized_rows(Z: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    """Return gamma (Z - mean) / sqrt(variance + epsilon) + beta over the columns of each row."""
    distance = Z - Z.mean(axis=1, keepdims=True)
    s = np.sqrt((distance**2).mean(axis=1, keepdims=True) + epsilon)
    return gamma * (distance / s) + beta


def cosines(A: Array, w: Array, b: Array, gamma: Array, beta: Array) -> Array:
    """Return gamma H + beta of H = [x, cos(2 pi (x w + b))] for each column x."""
    x = A[:, :, None]
    H = np.concatenate([x, np.cos(2.0 * np.pi * (x * w + b))], axis=2)
    Y = gamma * H + beta
    return Y.reshape(len(Y), Y.shape[1] * Y.shape[2])


def periodic(A: Array, w: Array, b: Array, V: Array, c: Array) -> Array:
    """Return [x, cos(2 pi x w + b) V + c] for each column x."""
    x = A[:, :, None]
    H = np.cos(2.0 * np.pi * x * w + b)
    E = np.einsum("ndm,dmu->ndu", H, V) + c
    Y = np.concatenate([x, E], axis=2)
    return Y.reshape(len(Y), Y.shape[1] * Y.shape[2])


def piecewise_linear(A: Array, edges: Array, a: Array, c: Array, P: Array) -> Array:
    """Return x a + c + F P for each column x, F being how far x has come through each bin, limited to [0, 1]."""
    x = A[:, :, None]
    bins = len(edges) - 1
    lowest = np.array([-np.inf, *np.zeros(bins - 1)], A.dtype)
    highest = np.array([*np.ones(bins - 1), np.inf], A.dtype)
    F = np.clip((x - edges[:-1].astype(A.dtype)) / np.diff(edges).astype(A.dtype), lowest, highest)
    Y = x * a + c + np.einsum("ndt,dtu->ndu", F, P)
    return Y.reshape(len(Y), Y.shape[1] * Y.shape[2])


def looked_up(C: Array, tables: Any) -> Array:
    """Return the row of each column's table that its code names; an unknown code counts as 0."""
    found = []
    for j, table in enumerate(tables):
        known = (C[:, j] >= 0) & (C[:, j] < len(table))
        found.append(table[np.where(known, C[:, j], 0).astype(np.int64)])
    return np.concatenate(found, axis=1)


def inverse_sigmoid(A: Array) -> Array:
    """Return log(A / (1 - A)), A kept off 0 and 1."""
    A = np.clip(A, np.finfo(A.dtype).tiny, 1.0 - np.finfo(A.dtype).epsneg)
    return np.log(A) - np.log1p(-A)


def inverse_softmax(A: Array) -> Array:
    """Return log A, A kept off 0."""
    return np.log(np.maximum(A, np.finfo(A.dtype).tiny))


def without(x: Array, missing: Any) -> Array:
    """Return numbers or dates with NaN for values that mean a gap."""
    return np.where(np.isin(x, missing), np.nan, x)


def is_missing(x: Array) -> Array:
    """Return 1 where a number or date is a gap, or a text, given by its counts of words, has no words."""
    return x.sum(axis=1) == 0 if x.ndim > 1 else np.isnan(x)
