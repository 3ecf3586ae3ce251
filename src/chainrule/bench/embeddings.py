"""What embeddings cost: the parameters and the time of a training step behind each, in one small network for tables.

In: how long to measure. Out: a `LayerCost` for each embedding, for `Parallel`, and for none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.bench.measure import MeasureSettings, calibrate, interleave
from chainrule.bench.workloads import LEARNING_RATE
from chainrule.engines import Rows, choose
from chainrule.nn.layers import (
    Activation,
    CategoryEmbedding,
    CosineEmbedding,
    Dense,
    Layer,
    Parallel,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
)
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

COLUMNS = 16
"""Columns of the rows."""

WIDTH = 128
"""Units of the two hidden layers behind the embedding, as in the preset for tables."""

BATCH = 128
_BATCHES = 8
_LEVELS = 32

LAYERS: Mapping[str, Layer] = {
    "none": Activation("identity"),
    "CosineEmbedding": CosineEmbedding(),
    "PBLDEmbedding": PBLDEmbedding(),
    "PiecewiseLinearEmbedding": PiecewiseLinearEmbedding(),
    "CategoryEmbedding": CategoryEmbedding((_LEVELS,) * COLUMNS),
    "Parallel": Parallel(
        [
            (COLUMNS // 2, PiecewiseLinearEmbedding()),
            (COLUMNS // 4, Activation("identity")),
            (COLUMNS // 4, CategoryEmbedding((_LEVELS,) * (COLUMNS // 4))),
        ]
    ),
}
"""First layers by the name of their row in the table; `Parallel` is half numbers, a quarter flags, a quarter codes."""


@dataclass(frozen=True)
class LayerCost:
    """What a network with one first layer costs.

    Parameters
    ----------
    name : str
        The layer.
    outputs : int
        Its columns.
    parameters, network : int
        Its parameters, and those of the whole network.
    seconds : tuple of float
        Seconds of a training step, one figure for each repeat.
    """

    name: str
    outputs: int
    parameters: int
    network: int
    seconds: tuple[float, ...]


def costs(engine: str, settings: MeasureSettings) -> tuple[LayerCost, ...]:
    """Time a step behind each layer; repeats take turns.

    Parameters
    ----------
    engine : str
        The engine that trains.
    settings : MeasureSettings
        Number and length of the repeats.

    Returns
    -------
    tuple of LayerCost
    """
    runs = {name: _trainer(layer, engine) for name, layer in LAYERS.items()}
    units = {name: calibrate(run, settings.seconds)[0] for name, run in runs.items()}

    def once(name: str) -> Callable[[], float]:
        return lambda: runs[name](units[name]) / (units[name] * _BATCHES)

    taken = interleave({name: once(name) for name in runs}, settings.repeats)
    return tuple(_cost(name, layer, taken[name]) for name, layer in LAYERS.items())


def network(layer: Layer) -> Net:
    """Return the network behind a first layer."""
    hidden: list[Layer] = [Dense(WIDTH), Activation("relu"), Dense(WIDTH), Activation("relu"), Dense(1)]
    return Net(COLUMNS, [layer, *hidden])


def _cost(name: str, layer: Layer, seconds: list[float]) -> LayerCost:
    shapes = layer.shapes(COLUMNS)
    own = sum(int(np.prod(shape)) for shape in shapes.parameters.values())
    return LayerCost(name, shapes.outputs, own, network(layer).size, tuple(seconds))


def _trainer(layer: Layer, engine: str) -> Callable[[int], float]:
    """Return what trains a number of epochs and says how many seconds they took."""
    recipe = Recipe(network(layer), MeanSquaredError(), batch_size=BATCH)
    X = _rows(layer)
    session: Any = choose(engine, recipe)[0].compile(recipe, Rows.of(recipe, X, X[:, :1]))
    rates = np.full(_BATCHES, LEARNING_RATE)

    def run(epochs: int) -> float:
        began = time.perf_counter()
        for epoch in range(epochs):
            session.run(epoch, 0, rates)
        return time.perf_counter() - began

    return run


def _rows(layer: Layer) -> Array:
    """Return standard normal rows, with codes where the layer takes codes."""
    generator = np.random.default_rng(0)
    X = generator.standard_normal((BATCH * _BATCHES, COLUMNS), np.float32)
    start = 0
    for width, part in layer.branches if isinstance(layer, Parallel) else ((COLUMNS, layer),):
        if isinstance(part, CategoryEmbedding):
            X[:, start : start + width] = generator.integers(_LEVELS, size=(len(X), width))
        start += width
    return X


def markdown(found: tuple[LayerCost, ...]) -> str:
    """Return the costs as a table for a page.

    Parameters
    ----------
    found : tuple of LayerCost
        What `costs` returned.

    Returns
    -------
    str
    """
    return "\n".join(_lines(found)) + "\n"


def _lines(found: tuple[LayerCost, ...]) -> Iterator[str]:
    base = statistics.median(found[0].seconds)
    yield "| first layer | columns | its parameters | of the network | µs per step | times none |"
    yield "|---|---:|---:|---:|---:|---:|"
    for cost in found:
        step = statistics.median(cost.seconds)
        figures = f"{cost.outputs} | {cost.parameters:,} | {cost.network:,} | {1e6 * step:.3g} | {step / base:.2f}"
        yield f"| {cost.name} | {figures} |"


def plain(found: tuple[LayerCost, ...]) -> list[dict[str, Any]]:
    """Return the costs as plain data.

    Parameters
    ----------
    found : tuple of LayerCost
        What `costs` returned.

    Returns
    -------
    list of dict
    """
    return [vars(cost) | {"seconds": list(cost.seconds)} for cost in found]
