# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN202, ANN204, ANN205
"""What an exported PyTorch file computes with: the exporter copies the classes that a plan needs into its file.

It is never imported by this package, which does not need PyTorch.
"""

import json

import torch
from torch import nn

DTYPES = {"F32": torch.float32, "F64": torch.float64}


def state_of(data):
    """Return the tensors of a .safetensors file, given its bytes, as `safetensors.torch.load` does."""
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            kind = DTYPES[entry["dtype"]]
            held = (
                torch.frombuffer(bytearray(data[start:end]), dtype=kind) if end > start else torch.empty(0, dtype=kind)
            )
            found[name] = held.reshape(entry["shape"])
    return found


class Standardize(nn.Module):
    """X = (F - mean) / scale, in float64."""

    def __init__(self, d, dtype):
        """Take the number of columns and the type of the result."""
        super().__init__()
        self.dtype = dtype
        self.register_buffer("mean", torch.zeros(d, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(d, dtype=torch.float64))

    def forward(self, F):
        """Return X."""
        return ((F - self.mean) / self.scale).to(self.dtype)


class FeatureTransform(nn.Module):
    """Numbers by quantiles or robustly scaled, then one-hot columns, indicators of gaps, and codes."""

    def __init__(self, method, numbers, hot, gaps, codes, nodes, dtype):
        """Take the columns of each part; nodes is how many the quantiles have."""
        super().__init__()
        self.method, self.numbers, self.hot, self.gaps, self.codes = method, numbers, hot, gaps, codes
        self.dtype = dtype
        self.register_buffer("nodes", torch.zeros(2, len(numbers), nodes, dtype=torch.float64))

    def forward(self, F):
        """Return the rows that a network takes."""
        F = F.double()
        scale = self.quantile if self.method == "quantile" else self.robust
        columns = [scale(F[:, j].contiguous(), *self.nodes[:, i]) for i, j in enumerate(self.numbers)]
        columns += [(F[:, j] == code).double() - (F[:, j] == opposite).double() for j, code, opposite in self.hot]
        columns += [torch.isnan(F[:, j]).double() for j in self.gaps]
        columns += [torch.where(F[:, j] < size, F[:, j], 0.0) for j, size in self.codes]
        return torch.stack(columns, 1).to(self.dtype)

    @staticmethod
    def quantile(x, values, images):
        """Interpolate linearly between nodes; a gap becomes 0."""
        last = len(values) - 1
        k = torch.searchsorted(values, x, right=True) - 1
        low = k.clamp(0, last)
        high = (low + 1).clamp(0, last)
        z = images[low] + (images[high] - images[low]) / (values[high] - values[low]) * (x - values[low])
        z = torch.where(k < 0, images[0], torch.where(k >= last, images[last], z))
        return torch.where(torch.isnan(x), 0.0, z)

    @staticmethod
    def robust(x, median, factor):
        """Return u / sqrt(1 + (u / 3)^2) of u = (x - median) factor; a gap becomes 0."""
        u = ((x - median) * factor).clamp(-1e9, 1e9)
        u = torch.where(torch.isnan(u), 0.0, u)
        return u / torch.sqrt(1.0 + (u / 3.0) ** 2)


class Multiply(nn.Module):
    """Y = A s + t."""

    def __init__(self, d):
        """Take the number of columns."""
        super().__init__()
        self.s = nn.Parameter(torch.ones(d))
        self.t = nn.Parameter(torch.zeros(d))

    def forward(self, A):
        """Return Y."""
        return A * self.s + self.t


class Exp(nn.Module):
    """exp(Z)."""

    def forward(self, Z):
        """Return exp(Z)."""
        return torch.exp(Z)


class Mixed(nn.Module):
    """Y = Z + alpha (g(Z) - Z): an activation g with a learned share for each column."""

    def __init__(self, g, d):
        """Take the activation and the number of columns."""
        super().__init__()
        self.g = g
        self.alpha = nn.Parameter(torch.ones(d))

    def forward(self, Z):
        """Return Y."""
        return Z + self.alpha * (self.g(Z) - Z)


class Cosines(nn.Module):
    """Y = gamma H + beta of H = [x, cos(2 pi (x w + b))] for each column x."""

    def __init__(self, d, m):
        """Take the number of columns and of frequencies."""
        super().__init__()
        self.w = nn.Parameter(torch.zeros(d, m))
        self.b = nn.Parameter(torch.zeros(d, m))
        self.gamma = nn.Parameter(torch.zeros(d, m + 1))
        self.beta = nn.Parameter(torch.zeros(d, m + 1))

    def forward(self, A):
        """Return Y."""
        x = A[:, :, None]
        H = torch.cat([x, torch.cos(2.0 * torch.pi * (x * self.w + self.b))], 2)
        return (self.gamma * H + self.beta).flatten(1)


class Periodic(nn.Module):
    """Y = [x, cos(2 pi x w + b) V + c] for each column x."""

    def __init__(self, d, m, u):
        """Take the number of columns, of frequencies, and of sums."""
        super().__init__()
        self.w = nn.Parameter(torch.zeros(d, m))
        self.b = nn.Parameter(torch.zeros(d, m))
        self.V = nn.Parameter(torch.zeros(d, m, u))
        self.c = nn.Parameter(torch.zeros(d, u))

    def forward(self, A):
        """Return Y."""
        x = A[:, :, None]
        H = torch.cos(2.0 * torch.pi * x * self.w + self.b)
        return torch.cat([x, torch.einsum("ndm,dmu->ndu", H, self.V) + self.c], 2).flatten(1)


class PiecewiseLinear(nn.Module):
    """Y = x a + c + F P for each column x, F being how far x has come through each bin, limited to [0, 1]."""

    def __init__(self, d, bins, u):
        """Take the number of columns, of bins, and of results for each column."""
        super().__init__()
        self.register_buffer("edges", torch.arange(bins + 1, dtype=torch.float64))
        self.a = nn.Parameter(torch.zeros(d, u))
        self.c = nn.Parameter(torch.zeros(d, u))
        self.P = nn.Parameter(torch.zeros(d, bins, u))

    def forward(self, A):
        """Return Y."""
        x = A[:, :, None]
        F = (x - self.edges[:-1].to(x.dtype)) / self.edges.diff().to(x.dtype)
        low, high = torch.zeros_like(F[0, 0]), torch.ones_like(F[0, 0])
        low[0], high[-1] = -torch.inf, torch.inf
        F = torch.minimum(torch.maximum(F, low), high)
        return (x * self.a + self.c + torch.einsum("ndt,dtu->ndu", F, self.P)).flatten(1)


class Lookup(nn.Module):
    """The row of each column's table that its code names; an unknown code counts as 0."""

    def __init__(self, sizes, u):
        """Take the number of codes of each column, and the length of a row."""
        super().__init__()
        self.tables = nn.ModuleList([nn.Embedding(size, u) for size in sizes])

    def forward(self, C):
        """Return the rows side by side."""
        found = []
        for j, table in enumerate(self.tables):
            known = (C[:, j] >= 0) & (C[:, j] < table.num_embeddings)
            found.append(table(torch.where(known, C[:, j], 0.0).long()))
        return torch.cat(found, 1)


class SideBySide(nn.Module):
    """Consecutive parts of the columns, each through modules of its own."""

    def __init__(self, *parts):
        """Take pairs of a width and a module."""
        super().__init__()
        self.widths = [width for width, _ in parts]
        self.parts = nn.ModuleList([part for _, part in parts])

    def forward(self, A):
        """Return the results side by side."""
        return torch.cat([part(x) for part, x in zip(self.parts, A.split(self.widths, 1), strict=True)], 1)


def softmax_blocks(Z, blocks):
    """Return the softmax of each block of columns."""
    return torch.cat([torch.softmax(Z[:, start:end], 1) for start, end in blocks], 1)


def inverse_sigmoid(A):
    """Return log(A / (1 - A)), A kept off 0 and 1."""
    A = A.clamp(torch.finfo(A.dtype).tiny, 1.0 - torch.finfo(A.dtype).eps / 2.0)
    return torch.log(A) - torch.log1p(-A)


def inverse_softmax(A):
    """Return log A, A kept off 0."""
    return torch.log(A.clamp(min=torch.finfo(A.dtype).tiny))
