"""The transforms of a plan as nodes of an ONNX graph: from features to the rows of a network.

Everything is computed in float64 in the order of `data.transforms`, so that rows agree to the last bit.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.data.row_transform import CLIP, FAR, one_hot_columns
from chainrule.data.transforms import FeatureTransform
from chainrule.exporters.onnx_builder import GraphBuilder
from chainrule.exporters.plan import Standardize, Transform


def write_transform(graph: GraphBuilder, transform: Transform, features: str, width: int, dtype: str) -> str:
    """Return the rows of networks, in the plan's dtype; `features` has `width` columns."""
    if isinstance(transform, Standardize):
        doubles = graph.cast(features, np.float64)
        centered = graph.node("Sub", doubles, graph.constant(transform.mean.astype(np.float64), "mean"))
        scaled = graph.node("Div", centered, graph.constant(transform.scale.astype(np.float64), "scale"))
        return graph.cast(scaled, dtype)
    parts = [
        _scaled_numbers(graph, transform, features, width, dtype),
        _one_hot(graph, transform, features, width, dtype),
        _indicators(graph, transform, features, width, dtype),
        _codes(graph, transform, features, width, dtype),
    ]
    return graph.join(part for part in parts if part)


def _scaled_numbers(graph: GraphBuilder, transform: FeatureTransform, features: str, width: int, dtype: str) -> str:
    if not transform.numbers:
        return ""
    x = graph.cast(graph.columns(features, transform.numbers, width), np.float64)
    z = _robust(graph, transform.nodes, x) if transform.method == "robust" else _quantile(graph, transform.nodes, x)
    filled = graph.node("Where", graph.node("IsNaN", x), graph.constant(np.array(0.0)), z)
    return graph.cast(filled, dtype)


def _robust(graph: GraphBuilder, nodes: Array, x: str) -> str:
    """Return v / √(1 + (v / 3)²) with v = (x - median) · factor."""
    v = graph.node("Sub", x, graph.constant(nodes[0, :, 0], "median"))
    v = graph.node("Mul", v, graph.constant(nodes[1, :, 0], "factor"))
    v = graph.node("Max", graph.node("Min", v, graph.constant(np.array(FAR))), graph.constant(np.array(-FAR)))
    t = graph.node("Div", v, graph.constant(np.array(CLIP)))
    root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", t, t), graph.constant(np.array(1.0))))
    return graph.node("Div", v, root)


def _quantile(graph: GraphBuilder, nodes: Array, x: str) -> str:
    """Return the piecewise linear map of each column, found by a binary search of all columns at once.

    The nodes of a column fill a power of two with infinity, so that each step of the search is one comparison of all
    cells: ten steps for a thousand nodes.
    """
    values, images, slopes = _padded_nodes(nodes)
    columns, size = values.shape
    place = graph.constant(np.arange(columns, dtype=np.int64) * size, "first_node")
    flat = graph.constant(values.ravel(), "nodes")
    step = size // 2
    while step:
        next_place = graph.node("Add", place, graph.constant(np.array(step, np.int64), "step"))
        reached = graph.node("LessOrEqual", graph.node("Gather", flat, next_place, axis=0), x)
        place = graph.node("Where", reached, next_place, place)
        step //= 2
    kept = graph.node("Max", x, graph.constant(np.ascontiguousarray(values[:, 0]), "lowest"))
    return _line(graph, (flat, images, slopes), place, kept)


def _line(graph: GraphBuilder, nodes: tuple[str, Array, Array], place: str, x: str) -> str:
    """Return slope · (x - node) + image at a place."""
    flat, images, slopes = nodes
    beyond = graph.node("Sub", x, graph.node("Gather", flat, place, axis=0))
    slope = graph.node("Gather", graph.constant(slopes.ravel(), "slopes"), place, axis=0)
    image = graph.node("Gather", graph.constant(images.ravel(), "images"), place, axis=0)
    return graph.node("Add", graph.node("Mul", slope, beyond), image)


def _padded_nodes(nodes: Array) -> tuple[Array, Array, Array]:
    """Return values, images and slopes (p, a power of two); the slope is 0 at the last value and from it on."""
    _, columns, length = nodes.shape
    size = 2 ** max(1, math.ceil(math.log2(max(length, 2))))
    values = np.full((columns, size), np.inf)
    images = np.zeros((columns, size))
    slopes = np.zeros((columns, size))
    values[:, :length] = nodes[0]
    images[:, :length] = nodes[1]
    width = np.diff(nodes[0], axis=1)
    np.divide(np.diff(nodes[1], axis=1), width, out=slopes[:, : length - 1], where=width > 0)
    return values, images, slopes


def _one_hot(graph: GraphBuilder, transform: FeatureTransform, features: str, width: int, dtype: str) -> str:
    columns: list[int] = []
    codes: list[int] = []
    opposites: list[int] = []
    for j, own in transform.one_hot:
        for code in own[: one_hot_columns(own)]:
            columns.append(j)
            codes.append(code)
            opposites.append(own[1] if len(own) == 2 else -1)
    if not columns:
        return ""
    cells = graph.cast(graph.columns(features, columns, width), np.float64)
    hot = graph.cast(graph.node("Equal", cells, graph.constant(np.array(codes, np.float64))), dtype)
    if max(opposites) < 0:
        return hot
    against = graph.node("Equal", cells, graph.constant(np.array(opposites, np.float64)))
    return graph.node("Sub", hot, graph.cast(against, dtype))


def _indicators(graph: GraphBuilder, transform: FeatureTransform, features: str, width: int, dtype: str) -> str:
    if not transform.gaps:
        return ""
    cells = graph.columns(features, transform.gaps, width)
    return graph.cast(graph.node("IsNaN", cells), dtype)


def _codes(graph: GraphBuilder, transform: FeatureTransform, features: str, width: int, dtype: str) -> str:
    if not transform.codes:
        return ""
    cells = graph.cast(graph.columns(features, [j for j, _ in transform.codes], width), np.float64)
    sizes = graph.constant(np.array([size for _, size in transform.codes], np.float64))
    known = graph.node("Less", cells, sizes)
    return graph.cast(graph.node("Where", known, cells, graph.constant(np.array(0.0))), dtype)
