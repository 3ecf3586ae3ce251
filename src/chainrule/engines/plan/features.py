"""Groups of features: the embeddings at the input of a network, as flat tables.

In: the first layer of a network. Out: one group for each embedding, with the place of its columns and its numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.activations import ACTIVATIONS, activation
from chainrule.nn.layers import (
    Activation,
    CategoryEmbedding,
    CosineEmbedding,
    Layer,
    Parallel,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
)

MOST_BINS = 256
"""Bins of a piecewise linear embedding that compiled kernels have room for."""


class FeatureKind(Enum):
    """What becomes of a feature, each with the layer that does it."""

    IDENTITY = Activation
    SCALE = Scale
    COSINE = CosineEmbedding
    PBLD = PBLDEmbedding
    PIECEWISE_LINEAR = PiecewiseLinearEmbedding
    CATEGORY = CategoryEmbedding


_EMBEDDINGS = {kind.value for kind in FeatureKind}


@dataclass(frozen=True)
class FeatureGroup:
    """Consecutive features that one layer maps: `count` columns from `input` on, each to `width` columns from `output` on.

    `offsets` and `multipliers` (of the learning rate) belong to the layer's parameters, in the order of its shapes; there
    are `size` numbers in all.
    """

    layer: Layer
    input: int
    count: int
    output: int
    width: int
    offsets: tuple[int, ...] = ()
    multipliers: tuple[float, ...] = ()
    size: int = 0

    @property
    def kind(self) -> FeatureKind:
        """The kind that belongs to the layer."""
        return FeatureKind(type(self.layer))

    @property
    def text(self) -> str:
        """The group in words, such as "8 cosine"."""
        return f"{self.count} {self.kind.name.lower().replace('_', ' ')}"

    def fields(self) -> dict[str, Any]:
        """Return the values of `FeatureGroup` in native/plan.hpp, by name."""
        return {
            "kind": self.kind,
            "input": self.input,
            "count": self.count,
            "output": self.output,
            "width": self.width,
            "frequencies": getattr(self.layer, "frequencies", 0),
            "offsets": self.offsets,
            "multipliers": self.multipliers,
            "sizes": getattr(self.layer, "sizes", ()),
            "edges": getattr(self.layer, "edges", ()),
        }


def embeds(layer: Layer) -> bool:
    """Check whether a layer works on each feature by itself, which as the first layer makes it a stage of groups."""
    return type(layer) is Parallel or (type(layer) in _EMBEDDINGS and type(layer) not in (Activation, Scale))


def embedding_faults(layer: Layer, i: int) -> Iterator[str]:
    """Say why an embedding cannot be the stage of layer i."""
    if i > 0:
        yield f"Layer {i} is a {type(layer).__name__}, which must be the first layer."
    for _, inner in _branches(layer, 0):
        if type(inner) not in _EMBEDDINGS:
            yield f"Layer {i} has a branch that is no embedding: {inner!r}."
        elif isinstance(inner, Activation) and not _passes(inner):
            yield f"Layer {i} has a branch with an activation other than the identity: {inner!r}."
        elif isinstance(inner, PiecewiseLinearEmbedding) and inner.bins > MOST_BINS:
            yield f"Layer {i} has a piecewise linear embedding of more than {MOST_BINS} bins."


def feature_groups(
    layer: Layer, inputs: int, offsets: Mapping[str, int], multipliers: Array
) -> tuple[FeatureGroup, ...]:
    """Return the groups of a first layer: one for each branch.

    `offsets` say where each of the network's parameters begins, by name; `multipliers` has an entry for each number.
    """
    branches = _branches(layer, inputs)
    starts = accumulate((width for width, _ in branches), initial=0)
    groups: list[FeatureGroup] = []
    output = 0
    for j, ((width, inner), start) in enumerate(zip(branches, starts, strict=False)):
        prefix = f"0.{j}_" if type(layer) is Parallel else "0."
        shapes = inner.shapes(width)
        places = tuple(offsets[prefix + letter] for letter in shapes.parameters)
        group = FeatureGroup(
            inner,
            start,
            width,
            output,
            shapes.outputs // width,
            places,
            tuple(float(multipliers[place]) for place in places),
            sum(int(np.prod(shape)) for shape in shapes.parameters.values()),
        )
        groups.append(group)
        output += shapes.outputs
    return tuple(groups)


def _branches(layer: Layer, inputs: int) -> tuple[tuple[int, Layer], ...]:
    return layer.branches if isinstance(layer, Parallel) else ((inputs, layer),)


def _passes(layer: Activation) -> bool:
    return type(activation(layer.function)) is type(ACTIVATIONS["identity"])
