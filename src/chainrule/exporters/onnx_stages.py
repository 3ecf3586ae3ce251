"""The networks of a plan as nodes of an ONNX graph.

Networks of equal shape are computed together: their weights are stacked along a first axis M, and one product serves all of
them. So a pack of 24 networks is a few dozen nodes, not hundreds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.onnx_activations import write_function
from chainrule.exporters.onnx_builder import GraphBuilder
from chainrule.exporters.plan import (
    Affine,
    Apply,
    Cosines,
    Lookup,
    Multiply,
    Network,
    NormalizeRows,
    Periodic,
    PiecewiseLinear,
    SideBySide,
    Stage,
)

_TURN = 2.0 * np.pi


@dataclass(frozen=True)
class Rows:
    """Rows of a group of M networks.

    Parameters
    ----------
    name : str
        The value in the graph: (n, d), or (M, n, d).
    stacked : bool
        Whether there is an axis for the networks; without it all of them have the same rows.
    """

    name: str
    stacked: bool = False


@dataclass(frozen=True)
class _Group:
    """M networks of equal shape, and the graph and dtype that they are written in."""

    graph: GraphBuilder
    size: int
    dtype: str

    def stack(self, arrays: Sequence[Array], name: str, for_rows: bool = True) -> str:
        """Return the networks' arrays as one constant; `for_rows` adds an axis that broadcasts over rows."""
        if self.size == 1:
            return self.graph.constant(arrays[0].astype(self.dtype), name)
        stacked = np.stack(arrays).astype(self.dtype)
        return self.graph.constant(stacked[:, None] if for_rows else stacked, name)

    def number(self, value: float) -> str:
        """Return a number in the networks' dtype."""
        return self.graph.constant(np.array(value, self.dtype))

    def cosine(self, U: str) -> str:
        """Return cos U; in float64 as 1 - 2 sin²(U/2), for not every runtime has that cosine."""
        if self.dtype != "float64":
            return self.graph.node("Cos", U)
        sine = self.graph.node("Sin", self.graph.node("Mul", U, self.number(0.5)))
        return self.graph.node(
            "Sub", self.number(1.0), self.graph.node("Mul", self.graph.node("Mul", sine, sine), self.number(2.0))
        )

    def axes(self, *axes: int) -> str:
        """Return axes as an operator takes them."""
        return self.graph.constant(np.array(axes, np.int64), "axes")

    @property
    def stacks(self) -> bool:
        """Whether what has met the networks' weights has an axis for them."""
        return self.size > 1


def groups(networks: Sequence[Network]) -> list[tuple[Network, ...]]:
    """Return the networks in groups of the same transform and shape, in order of their first ones."""
    found: dict[Hashable, list[Network]] = {}
    for network in networks:
        found.setdefault((network.transform, _shape(network.stages)), []).append(network)
    return [tuple(group) for group in found.values()]


def write_networks(graph: GraphBuilder, networks: Sequence[Network], X: str, dtype: str) -> Rows:
    """Return the logits of networks of one group for the rows X."""
    group = _Group(graph, len(networks), dtype)
    return _write_stages(group, Rows(X), [network.stages for network in networks])


def _shape(stages: Sequence[Stage]) -> Hashable:
    """Return what stages must have in common to be computed together."""
    return tuple(_shape_of(stage) for stage in stages)


def _shape_of(stage: Stage) -> Hashable:
    if isinstance(stage, SideBySide):
        return ("SideBySide", tuple((width, _shape(inner)) for width, inner in stage.parts))
    if isinstance(stage, Lookup):
        return ("Lookup", tuple(table.shape for table in stage.tables))
    fields: list[Hashable] = [type(stage).__name__]
    for name, value in vars(stage).items():
        shared = name == "edges"
        fields.append(value.tobytes() if shared else value.shape if isinstance(value, np.ndarray) else value)
    return tuple(fields)


def _write_stages(group: _Group, rows: Rows, networks: Sequence[Sequence[Stage]]) -> Rows:
    for stages in zip(*networks, strict=True):
        rows = _WRITERS[type(stages[0])](group, rows, stages)
    return rows


def _affine(group: _Group, rows: Rows, stages: Sequence[Affine]) -> Rows:
    W = group.stack([stage.W for stage in stages], "W", for_rows=False)
    Z = group.graph.node("MatMul", rows.name, W)
    if any(stage.b.any() for stage in stages):
        Z = group.graph.node("Add", Z, group.stack([stage.b for stage in stages], "b"))
    return Rows(Z, rows.stacked or group.stacks)


def _multiply(group: _Group, rows: Rows, stages: Sequence[Multiply]) -> Rows:
    Y = group.graph.node("Mul", rows.name, group.stack([stage.s for stage in stages], "s"))
    if any(stage.t.any() for stage in stages):
        Y = group.graph.node("Add", Y, group.stack([stage.t for stage in stages], "t"))
    return Rows(Y, rows.stacked or group.stacks)


def _normalize_rows(group: _Group, rows: Rows, stages: Sequence[NormalizeRows]) -> Rows:
    graph = group.graph
    centered = graph.node("Sub", rows.name, graph.mean(rows.name, -1))
    variance = graph.mean(graph.node("Mul", centered, centered), -1)
    deviation = graph.node("Sqrt", graph.node("Add", variance, group.number(stages[0].epsilon)))
    Y = graph.node("Mul", graph.node("Div", centered, deviation), group.stack([s.gamma for s in stages], "gamma"))
    Y = graph.node("Add", Y, group.stack([stage.beta for stage in stages], "beta"))
    return Rows(Y, rows.stacked or group.stacks)


def _apply(group: _Group, rows: Rows, stages: Sequence[Apply]) -> Rows:
    graph = group.graph
    A = write_function(graph, stages[0].function, rows.name, group.dtype, stages[0].a)
    shares = [stage.alpha for stage in stages if stage.alpha is not None]
    if not shares:
        return Rows(A, rows.stacked)
    change = graph.node("Mul", graph.node("Sub", A, rows.name), group.stack(shares, "alpha"))
    return Rows(graph.node("Add", rows.name, change), rows.stacked or group.stacks)


def _cosines(group: _Group, rows: Rows, stages: Sequence[Cosines]) -> Rows:
    graph = group.graph
    x = graph.node("Unsqueeze", rows.name, group.axes(-1))
    U = graph.node("Mul", x, group.stack([stage.w for stage in stages], "w"))
    U = graph.node("Add", U, group.stack([stage.b for stage in stages], "b"))
    waves = group.cosine(graph.node("Mul", U, group.number(_TURN)))
    parts = []
    for H, start, end in ((x, 0, 1), (waves, 1, None)):
        gamma = group.stack([stage.gamma[:, start:end] for stage in stages], "gamma")
        beta = group.stack([stage.beta[:, start:end] for stage in stages], "beta")
        parts.append(graph.node("Add", graph.node("Mul", H, gamma), beta))
    d, m = stages[0].w.shape
    return _flat(group, graph.join(parts, -1), d * (m + 1), rows.stacked or group.stacks)


def _periodic(group: _Group, rows: Rows, stages: Sequence[Periodic]) -> Rows:
    graph = group.graph
    x = _by_feature(group, rows)
    U = graph.node(
        "Mul", graph.node("Mul", x, group.number(_TURN)), group.stack([s.w[:, None] for s in stages], "w", False)
    )
    U = graph.node("Add", U, group.stack([stage.b[:, None] for stage in stages], "b", False))
    E = graph.node("MatMul", group.cosine(U), group.stack([stage.V for stage in stages], "V", False))
    E = graph.node("Add", E, group.stack([stage.c[:, None] for stage in stages], "c", False))
    stacked = rows.stacked or group.stacks
    first = x if rows.stacked or not stacked else _stacked(group, Rows(x), axes=4).name
    d, _, u = stages[0].V.shape
    return _by_row(group, graph.join([first, E], -1), d * (u + 1), stacked)


def _piecewise_linear(group: _Group, rows: Rows, stages: Sequence[PiecewiseLinear]) -> Rows:
    graph = group.graph
    edges = stages[0].edges.astype(np.float64)
    x = _by_feature(group, rows)
    start = graph.constant(edges[:-1].astype(group.dtype), "start")
    F = graph.node("Div", graph.node("Sub", x, start), graph.constant(np.diff(edges).astype(group.dtype), "width"))
    bins = len(edges) - 1
    lowest = np.array([-np.inf, *np.zeros(bins - 1)], group.dtype)
    highest = np.array([*np.ones(bins - 1), np.inf], group.dtype)
    F = graph.node("Min", graph.node("Max", F, graph.constant(lowest)), graph.constant(highest))
    Y = graph.node("Mul", x, group.stack([stage.a[:, None] for stage in stages], "a", False))
    Y = graph.node("Add", Y, group.stack([stage.c[:, None] for stage in stages], "c", False))
    Y = graph.node("Add", Y, graph.node("MatMul", F, group.stack([stage.P for stage in stages], "P", False)))
    d, _, u = stages[0].P.shape
    return _by_row(group, Y, d * u, rows.stacked or group.stacks)


def _by_feature(group: _Group, rows: Rows) -> str:
    """Return rows (…, n, d) as (…, d, n, 1), so that one product serves all features."""
    turned = group.graph.node("Transpose", rows.name, perm=[0, 2, 1] if rows.stacked else [1, 0])
    return group.graph.node("Unsqueeze", turned, group.axes(-1))


def _by_row(group: _Group, Y: str, columns: int, stacked: bool) -> Rows:
    """Return (…, d, n, u) as rows (…, n, d u)."""
    turned = group.graph.node("Transpose", Y, perm=[0, 2, 1, 3] if stacked else [1, 0, 2])
    return _flat(group, turned, columns, stacked)


def _flat(group: _Group, value: str, columns: int, stacked: bool) -> Rows:
    """Return (…, n, d, u) as rows (…, n, d u)."""
    shape = np.array([0, 0, columns] if stacked else [0, columns], np.int64)
    return Rows(group.graph.node("Reshape", value, group.graph.constant(shape, "shape")), stacked)


def _stacked(group: _Group, rows: Rows, axes: int = 3) -> Rows:
    """Return rows with an axis for the networks, where there is none."""
    if rows.stacked or not group.stacks:
        return rows
    shape = group.graph.constant(np.array([group.size, *[1] * (axes - 1)], np.int64), "shape")
    return Rows(group.graph.node("Expand", rows.name, shape), True)


def _lookup(group: _Group, rows: Rows, stages: Sequence[Lookup]) -> Rows:
    """Look all columns up in one table, in which those of columns and networks lie one below the other."""
    graph = group.graph
    units = {table.shape[1] for table in stages[0].tables}
    if len(units) > 1:
        alone = [tuple((1, (Lookup((table,)),)) for table in stage.tables) for stage in stages]
        return _side_by_side(group, rows, [SideBySide(parts) for parts in alone])
    sizes = [len(table) for table in stages[0].tables]
    first = np.array([0, *accumulate(sizes)][:-1], np.int64)
    if group.stacks:
        first = first + sum(sizes) * np.arange(group.size)[:, None, None]
    zero = graph.constant(np.array(0.0, group.dtype))
    below = graph.node("Less", rows.name, graph.constant(np.array(sizes, group.dtype), "sizes"))
    known = graph.node("And", graph.node("GreaterOrEqual", rows.name, zero), below)
    codes = graph.cast(graph.node("Where", known, rows.name, zero), np.int64)
    table = np.concatenate([table for stage in stages for table in stage.tables]).astype(group.dtype)
    places = graph.node("Add", codes, graph.constant(first, "first_row"))
    found = graph.node("Gather", graph.constant(table, "E"), places, axis=0)
    return _flat(group, found, len(sizes) * table.shape[1], rows.stacked or group.stacks)


def _side_by_side(group: _Group, rows: Rows, stages: Sequence[SideBySide]) -> Rows:
    graph = group.graph
    widths = np.array([width for width, _ in stages[0].parts], np.int64)
    pieces: tuple[str, ...] = (rows.name,)
    if len(widths) > 1:
        pieces = graph.nodes_of("Split", len(widths), rows.name, graph.constant(widths, "widths"), axis=-1)
    done = [
        _write_stages(group, Rows(piece, rows.stacked), [stage.parts[j][1] for stage in stages])
        for j, piece in enumerate(pieces)
    ]
    if any(part.stacked for part in done):
        done = [_stacked(group, part) for part in done]
    return Rows(graph.join((part.name for part in done), -1), done[0].stacked)


_WRITERS: dict[type[Any], Callable[[_Group, Rows, Any], Rows]] = {
    Affine: _affine,
    Multiply: _multiply,
    NormalizeRows: _normalize_rows,
    Apply: _apply,
    Cosines: _cosines,
    Periodic: _periodic,
    PiecewiseLinear: _piecewise_linear,
    Lookup: _lookup,
    SideBySide: _side_by_side,
}
