"""Layers: each is three pure functions, `init`, `forward`, `backward`; a network is a list of them.

In: parameters and running statistics by letter, the rows from the layer before, a context. Out: the rows for the layer
after, what the backward pass needs (visible, in `saved`), and gradients in the same letters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.nn.layers.affine import Activation, Dense, ParametricActivation, Scale
from chainrule.nn.layers.base import Context, Layer, LayerShapes, Shapes
from chainrule.nn.layers.categories import CategoryEmbedding
from chainrule.nn.layers.dropout import Dropout
from chainrule.nn.layers.embeddings import CosineEmbedding, PBLDEmbedding, PiecewiseLinearEmbedding
from chainrule.nn.layers.norms import BatchNorm, LayerNorm
from chainrule.nn.layers.parallel import Parallel, all_layers

LAYERS: Mapping[str, type[Any]] = {
    "Dense": Dense,
    "Activation": Activation,
    "BatchNorm": BatchNorm,
    "LayerNorm": LayerNorm,
    "Dropout": Dropout,
    "Parallel": Parallel,
    "CosineEmbedding": CosineEmbedding,
    "PBLDEmbedding": PBLDEmbedding,
    "PiecewiseLinearEmbedding": PiecewiseLinearEmbedding,
    "CategoryEmbedding": CategoryEmbedding,
    "Scale": Scale,
    "ParametricActivation": ParametricActivation,
}
"""Every layer by the name of its class."""

__all__ = [
    "LAYERS",
    "Activation",
    "BatchNorm",
    "CategoryEmbedding",
    "Context",
    "CosineEmbedding",
    "Dense",
    "Dropout",
    "Layer",
    "LayerNorm",
    "LayerShapes",
    "PBLDEmbedding",
    "Parallel",
    "ParametricActivation",
    "PiecewiseLinearEmbedding",
    "Scale",
    "Shapes",
    "all_layers",
]
