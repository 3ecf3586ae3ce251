"""The functions that an exported module may contain, each with its equation; a module has those that it calls."""

from __future__ import annotations

import re
from collections.abc import Iterable

from chainrule.exporters.js_cells import CELL_FUNCTIONS

_FLOATS = """\
/** @param {string} text base64 of little-endian numbers */
function bytes(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
}
"""

_AFFINE = """\
/** Z = A W + b. W is stored column by column; four sums at a time share what they read of A. */
function affine(A, W, b) {
  const d = A.length, k = b.length, Z = new Real(k);
  let j = 0;
  for (; j + 4 <= k; j += 4) {
    let s0 = b[j], s1 = b[j + 1], s2 = b[j + 2], s3 = b[j + 3];
    const w0 = j * d, w1 = w0 + d, w2 = w1 + d, w3 = w2 + d;
    for (let i = 0; i < d; i++) {
      const a = A[i];
      s0 += a * W[w0 + i];
      s1 += a * W[w1 + i];
      s2 += a * W[w2 + i];
      s3 += a * W[w3 + i];
    }
    Z[j] = s0;
    Z[j + 1] = s1;
    Z[j + 2] = s2;
    Z[j + 3] = s3;
  }
  for (; j < k; j++) {
    let sum = b[j];
    for (let i = 0; i < d; i++) sum += A[i] * W[j * d + i];
    Z[j] = sum;
  }
  return Z;
}
"""

_NORMALIZE = """\
/** Y = gamma * (Z - mean) / sqrt(variance + epsilon) + beta, mean and variance over the columns, in place. */
function normalize(Z, gamma, beta, epsilon) {
  const d = Z.length;
  let mean = 0, variance = 0;
  for (let i = 0; i < d; i++) mean += Z[i];
  mean /= d;
  for (let i = 0; i < d; i++) variance += (Z[i] - mean) ** 2;
  const scale = Math.sqrt(variance / d + epsilon);
  for (let i = 0; i < d; i++) Z[i] = gamma[i] * ((Z[i] - mean) / scale) + beta[i];
}
"""

_COSINES = """\
/** H = [x, cos(2 pi (x w + b))], Y = gamma * H + beta, feature by feature. */
function cosines(x, w, b, gamma, beta) {
  const Y = new Real(gamma.length), m = w.length / x.length;
  for (let i = 0, at = 0, to = 0; i < x.length; i++) {
    Y[to] = gamma[to] * x[i] + beta[to];
    to++;
    for (let t = 0; t < m; t++, at++, to++) {
      const U = round(TURN * round(round(x[i] * w[at]) + b[at]));
      Y[to] = gamma[to] * Math.cos(U) + beta[to];
    }
  }
  return Y;
}
"""

_PERIODIC = """\
/** Y = [x, cos(2 pi x w + b) V + c], feature by feature. */
function periodic(x, w, b, V, c) {
  const d = x.length, m = w.length / d, u = c.length / d, Y = new Real(d + c.length), sums = new Float64Array(u);
  for (let i = 0, at = 0, to = 0; i < d; i++) {
    Y[to++] = x[i];
    for (let j = 0; j < u; j++) sums[j] = c[i * u + j];
    for (let t = 0; t < m; t++, at++) {
      const H = Math.cos(round(round(round(TURN * x[i]) * w[at]) + b[at]));
      for (let j = 0; j < u; j++) sums[j] += H * V[at * u + j];
    }
    for (let j = 0; j < u; j++) Y[to++] = sums[j];
  }
  return Y;
}
"""

_PIECEWISE = """\
/** Y = x a + c + F P, feature by feature; F_t = (x - q_t) / width_t limited to [0, 1], the first bin not below and the
 * last one not above. */
function piecewise(x, q, width, a, c, P) {
  const d = x.length, T = q.length, u = c.length / d, Y = new Real(c.length), sums = new Float64Array(u);
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < u; j++) sums[j] = x[i] * a[i * u + j] + c[i * u + j];
    for (let t = 0; t < T; t++) {
      let F = (x[i] - q[t]) / width[t];
      if (t > 0 && F <= 0) break;
      if (t < T - 1 && F > 1) F = 1;
      for (let j = 0; j < u; j++) sums[j] += F * P[(i * T + t) * u + j];
    }
    for (let j = 0; j < u; j++) Y[i * u + j] = sums[j];
  }
  return Y;
}
"""

_LOOKUP = """\
/** The rows of the tables that codes name, one beside the other; a code outside of a table counts as 0. */
function lookup(codes, tables, units) {
  return join(tables.map((table, i) => {
    const row = codes[i] >= 0 && codes[i] < table.length / units[i] ? Math.trunc(codes[i]) : 0;
    return table.subarray(row * units[i], (row + 1) * units[i]);
  }));
}
"""

_JOIN = """\
/** Columns one beside the other. */
function join(parts) {
  const Y = new Real(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    Y.set(part, at);
    at += part.length;
  }
  return Y;
}
"""

_STANDARDIZE = """\
/** X = (F - mean) / scale. */
function standardize(F, mean, scale) {
  const X = new Real(mean.length);
  for (let i = 0; i < X.length; i++) X[i] = (F[i] - mean[i]) / scale[i];
  return X;
}
"""

_QUANTILE = """\
/** z between the nodes of a column's quantile map, the ends beyond them, 0 for a gap. */
function quantile(x, value, image) {
  let low = 0, high = value.length - 1;
  if (Number.isNaN(x)) return 0;
  if (x >= value[high]) return image[high];
  if (x < value[0]) return image[0];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (value[middle] <= x) low = middle;
    else high = middle;
  }
  return ((image[high] - image[low]) / (value[high] - value[low])) * (x - value[low]) + image[low];
}
"""

_ROBUST = """\
/** u = (x - median) * factor, z = u / sqrt(1 + (u / 3)^2), 0 for a gap. */
function robust(x, median, factor) {
  const u = Math.min(Math.max((x - median) * factor, -1e9), 1e9);
  return Number.isNaN(u) ? 0 : u / Math.sqrt(1 + (u / 3) ** 2);
}
"""

_SOFTMAX = """\
/** P = exp(Z - max) / sum over the columns from start to end, in place. */
function softmax(Z, start, end) {
  let most = -Infinity, sum = 0;
  for (let j = start; j < end; j++) most = Math.max(most, Z[j]);
  for (let j = start; j < end; j++) sum += Z[j] = Math.exp(round(Z[j] - most));
  for (let j = start; j < end; j++) Z[j] /= sum;
}
"""

_ARGMAX = """\
/** Place of the largest number, the first of equals, counted from start. */
function argmax(P, start, end) {
  let best = start;
  for (let j = start + 1; j < end; j++) if (P[j] > P[best]) best = j;
  return best - start;
}
"""


def _scalar(name: str, equation: str, body: str, arguments: str = "z") -> str:
    return f"/** {equation} */\nfunction {name}({arguments}) {{\n  {body}\n}}\n"


FUNCTIONS = {
    "bytes": _FLOATS,
    "floats": "const floats = (text) => new Float32Array(bytes(text));\n",
    "doubles": "const doubles = (text) => new Float64Array(bytes(text));\n",
    **CELL_FUNCTIONS,
    "standardize": _STANDARDIZE,
    "quantile": _QUANTILE,
    "robust": _ROBUST,
    "join": _JOIN,
    "affine": _AFFINE,
    "normalize": _NORMALIZE,
    "cosines": _COSINES,
    "periodic": _PERIODIC,
    "piecewise": _PIECEWISE,
    "lookup": _LOOKUP,
    "sigmoid": _scalar(
        "sigmoid", "1 / (1 + exp(-z))", "const e = Math.exp(-Math.abs(z));\n  return (z >= 0 ? 1 : e) / (1 + e);"
    ),
    "tanh": _scalar("tanh", "tanh(z)", "return Math.tanh(z);"),
    "relu": _scalar("relu", "max(0, z)", "return z > 0 ? z : 0;"),
    "leaky_relu": _scalar("leaky_relu", "z where z > 0, else a z", "return z > 0 ? z : a * z;", "z, a"),
    "elu": _scalar("elu", "z where z > 0, else a (exp(z) - 1)", "return z > 0 ? z : a * Math.expm1(z);", "z, a"),
    "selu": _scalar(
        "selu",
        "lambda z where z > 0, else lambda a (exp(z) - 1)",
        "return 1.0507009873554805 * (z > 0 ? z : 1.6732632423543772 * Math.expm1(z));",
    ),
    "gelu": _scalar(
        "gelu",
        "z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2",
        "return 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z * z * z)));",
    ),
    "silu": _scalar("silu", "z sigmoid(z)", "return z * sigmoid(z);"),
    "softplus": _scalar(
        "softplus",
        "log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|))",
        "return Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));",
    ),
    "mish": _scalar("mish", "z tanh(softplus(z))", "return z * Math.tanh(softplus(z));"),
    "exp": _scalar("exp", "exp(z)", "return Math.exp(z);"),
    "softmax": _SOFTMAX,
    "argmax": _ARGMAX,
}
"""Every function by name, each after those that it calls."""

_CALL = re.compile(r"(?<![.\w])(\w+)\(")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_OWNERS = {"strip": "label", "isGap": "label"}


def needed(used: Iterable[str]) -> list[str]:
    """Return the functions that a module needs, in their order.

    >>> needed(["mish", "floats"])
    ['bytes', 'floats', 'softplus', 'mish']
    """
    found = set(used)
    for name in reversed(FUNCTIONS):
        if name in found:
            body = _COMMENT.sub("", FUNCTIONS[name])
            calls = {_OWNERS.get(call, call) for call in _CALL.findall(body)}
            found |= calls & set(FUNCTIONS)
    return [name for name in FUNCTIONS if name in found]


def runtime_text(used: Iterable[str]) -> str:
    """Return the text of the functions that a module needs."""
    return "\n".join(FUNCTIONS[name] for name in needed(used))
