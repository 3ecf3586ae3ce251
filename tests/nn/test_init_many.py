"""Networks that are drawn together are those that each seed draws alone, bit for bit."""

import numpy as np
import pytest

from chainrule import mlp
from chainrule.nn.layers import Activation, BatchNorm, CosineEmbedding, Dense, LayerNorm, Scale
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGDMomentum
from chainrule.nn.step import Recipe, starts

SEEDS = [0, 1, 7, 2**32 + 5, 2**64 - 1]
NETWORKS = {
    "relu": mlp(8, [16], 1),
    "tanh, two layers": mlp(3, [5, 4], 2, activation="tanh"),
    "batch norm, dropout": mlp(3, [7], 2, norm="batch", dropout=0.2),
    "layer norm": Net(4, [Dense(3), LayerNorm(), Activation("relu"), Dense(1)]),
    "uniform weights": mlp(5, [6], 1, initializer="he_uniform"),
    "orthogonal": mlp(5, [6], 1, initializer="orthogonal"),
    "uniform biases": Net(3, [Dense(4, bias_initializer="uniform"), BatchNorm(), Dense(1)]),
    "an embedding": Net(3, [CosineEmbedding(4), Dense(1)]),
    "a scale": Net(3, [Scale(), Dense(1)]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_first_weights_drawn_together_are_those_drawn_alone(name):
    net = NETWORKS[name]
    W, buffers = net.init_many(SEEDS)
    alone = [net.init(seed) for seed in SEEDS]
    assert W.tobytes() == np.stack([w for w, _ in alone]).tobytes()
    assert buffers.tobytes() == np.stack([b for _, b in alone]).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("decay", [None, 0.9])
def test_states_that_begin_together_are_those_that_begin_alone(dtype, decay):
    recipe = Recipe(mlp(3, [4], 1), MeanSquaredError(), SGDMomentum(), dtype=dtype, ema_decay=decay)
    for seed, state in zip(SEEDS, starts(recipe, SEEDS), strict=True):
        alone = recipe.with_seed(seed).start()
        assert state.w.tobytes() == alone.w.tobytes()
        assert state.w.dtype == alone.w.dtype
        assert state.optimizer_state.keys() == alone.optimizer_state.keys()
        assert not any(vector.any() for vector in state.optimizer_state.values())
        assert state.step == alone.step
