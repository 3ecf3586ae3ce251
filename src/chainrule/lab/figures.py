"""What the page's strips show of each layer, and what one row becomes on its way through the network.

The layers of the page are blocks: an affine map with the norm, activation and dropout behind it. All numbers come from the
layers' own functions, on a few training rows.

In: a training problem, a state. Out: figures of blocks, as plain data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.probe import walk
from chainrule.doctor.vocabulary.network import largest_slope, silences
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.nn.activations import activation
from chainrule.nn.layers import Activation, Context, Dense
from chainrule.nn.losses import mean_loss
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe, State

BINS = 20
"""Bars of a histogram."""

_MOST_ROWS = 256
_FEWEST_ROWS = 64
_NUMBERS = 10_000_000
"""Products of a weight and a row that one look at all layers may take about."""


@dataclass(frozen=True)
class Block:
    """Some layers of a network in order: an affine map, and what follows it up to the next.

    Parameters
    ----------
    name : str
        "hidden 1", ..., "output".
    kind : str
        Name of the activation; "linear" without one.
    units : int
        Width of what it gives.
    affine : int
        Position of the affine map.
    before : int
        Position of the layer that gives Z: the norm, or the affine map.
    last : int
        Position of the layer that gives A: the activation, or the same.
    end : int
        Position behind its last layer.
    """

    name: str
    kind: str
    units: int
    affine: int
    before: int
    last: int
    end: int


def blocks_of(net: Net) -> tuple[Block, ...]:
    """Return the blocks of a network.

    >>> from chainrule import mlp
    >>> [(block.name, block.kind, block.units) for block in blocks_of(mlp(2, [8], 3))]
    [('hidden 1', 'relu', 8), ('output', 'linear', 3)]
    """
    starts = [i for i, layer in enumerate(net.layers) if isinstance(layer, Dense)]
    ends = [*starts[1:], len(net.layers)]
    blocks = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1):
        active = next((i for i in range(start, end) if isinstance(net.layers[i], Activation)), None)
        before = end - 1 if active is None else active - 1
        layer = None if active is None else net.layers[active]
        name = "output" if end == len(net.layers) else f"hidden {number}"
        kind = str(layer.function) if isinstance(layer, Activation) else "linear"
        last = before if active is None else active
        blocks.append(Block(name, kind, net.widths[start + 1], start, before, last, end))
    return tuple(blocks)


def probed(problem_rows: Rows, net: Net) -> Rows:
    """Return the training rows on which layers are measured: fewer for a large network."""
    count = int(np.clip(_NUMBERS // max(net.size, 1), _FEWEST_ROWS, _MOST_ROWS))
    n = len(problem_rows)
    return problem_rows[np.linspace(0, n - 1, min(n, count)).astype(np.int64)]


def layer_figures(recipe: Recipe, state: State, rows: Rows, moved: Array | None) -> list[dict[str, Any]]:
    """Return the figures of each block in the training pass over some rows.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    state : State
        The numbers now.
    rows : Rows
        The rows to measure on, as `probed` gives them.
    moved : array of shape (P,) or None
        What the last step added to the parameters; None before the first.

    Returns
    -------
    list of dict
        One for each block, in order.
    """
    seen = walk(recipe, state, rows.X, rows.Y, rows.c)
    with np.errstate(all="ignore"):
        return [_block(recipe.net, block, state, seen.outputs, seen.gradient, moved) for block in blocks_of(recipe.net)]


def _block(
    net: Net, block: Block, state: State, outputs: Sequence[Array], gradient: Array, moved: Array | None
) -> dict[str, Any]:
    A = outputs[block.last].astype(np.float64)
    layer = net.layers[block.last]
    slots = [slot for slot in net.parameters.slots if block.affine <= int(slot.name.split(".")[0]) < block.end]
    part = slice(slots[0].offset, slots[-1].offset + slots[-1].size)
    weight_norm = _norm(state.w[part])
    change = None if moved is None else _norm(moved[part])
    return {
        "name": block.name,
        "kind": block.kind,
        "units": block.units,
        "activation_mean": float(A.mean()),
        "activation_std": float(A.std()),
        "histogram": histogram(A),
        "dead": float((A == 0).all(axis=0).mean()) if silences(layer) else None,
        "saturated": _saturated(layer, outputs[block.before]),
        "gradient_norm": _norm(gradient[part]),
        "weight_norm": weight_norm,
        "update_ratio": None if change is None or weight_norm == 0 else change / weight_norm,
    }


def histogram(A: Array) -> dict[str, list[float]]:
    """Return the counts of numbers in `BINS` bars between the smallest and the largest; zeros where one is not finite.

    >>> histogram(np.array([0.0, 1.0]))["counts"][::19]
    [1.0, 1.0]
    """
    low, high = (float(A.min()), float(A.max())) if A.size and np.isfinite(A).all() else (0.0, 0.0)
    if not low < high or not np.isfinite(high - low):
        counts = [0.0] * BINS
        counts[BINS // 2] = float(np.isfinite(A).all()) * A.size
        return {"edges": np.linspace(low - 0.5, low + 0.5, BINS + 1).tolist(), "counts": counts}
    found, edges = np.histogram(A, BINS, (low, high))
    return {"edges": edges.tolist(), "counts": found.astype(float).tolist()}


def _saturated(layer: Any, Z: Array) -> float | None:
    """Return the share of units whose mean slope is nearly zero, for functions that flatten on both sides."""
    largest = largest_slope(layer)
    if largest is None or not isinstance(layer, Activation):
        return None
    function = activation(layer.function)
    slope = np.broadcast_to(function.derivative(np, Z, function.value(np, Z)), Z.shape)
    return float((np.asarray(slope).mean(axis=0) / largest < USUAL.saturated_slope).mean())


def _norm(vector: Array) -> float:
    return float(np.linalg.norm(vector.astype(np.float64)))


def row_figures(recipe: Recipe, state: State, rows: Rows, index: int) -> dict[str, Any]:
    """Return what one training row becomes in each block, and the gradients that come back, in float64 and inference.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    state : State
        The numbers now.
    rows : Rows
        The training rows.
    index : int
        Number of the row.

    Returns
    -------
    dict
        The row's loss and target; for each block Z, A and dZ.
    """
    net, loss = recipe.net, recipe.loss
    one = rows[np.array([index])]
    w = recipe.weights(state).astype(np.float64)
    buffers = state.buffers.astype(np.float64)
    X = one.X.astype(np.float64)
    Y = one.Y if one.Y.dtype.kind in "iu" else one.Y.astype(np.float64)
    with np.errstate(all="ignore"):
        traces = net.trace(w, buffers, X, lambda Z: mean_loss(loss, np, Z, Y, np.ones(1))[1], Context(np))
        J = mean_loss(loss, np, traces[-1].output, Y, np.ones(1))[0]
    layers = [
        {
            "name": block.name,
            "kind": block.kind,
            "shape": [net.widths[block.affine], block.units],
            "Z": traces[block.before].output[0],
            "A": traces[block.last].output[0],
            "dZ": traces[block.before].gradient[0],
        }
        for block in blocks_of(net)
    ]
    target = Y[0] if Y.ndim == 1 or Y.shape[1] > 1 else Y[0, 0]
    return {"index": index, "loss": float(J), "target": target, "x": X[0], "layers": layers}
