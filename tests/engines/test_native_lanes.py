"""Small networks that share the lanes of vectors end with the bits that each gives by itself."""

from dataclasses import replace

import numpy as np
import pytest

from chainrule import mlp
from chainrule.engines import Rows
from chainrule.engines.native import Block, NativeSession, extension, run_blocks
from chainrule.nn import losses, optimizers
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.nn.step import Recipe

pytestmark = pytest.mark.skipif(extension() is None, reason="the extension is not built")

EPOCHS = 3
ROWS = 70
LOSSES = {
    "softmax": (losses.SoftmaxCrossEntropy(label_smoothing=0.1), 3),
    "softmax, two classes": (losses.SoftmaxCrossEntropy(), 2),
    "binary": (losses.BinaryCrossEntropy(), 2),
    "squares": (losses.MeanSquaredError(), 1),
    "squares of many columns": (losses.MeanSquaredError(), 19),
    "absolute": (losses.MeanAbsoluteError(), 2),
    "huber": (losses.Huber(delta=0.5), 3),
    "poisson": (losses.Poisson(), 1),
}
OPTIMIZERS = [
    optimizers.SGD(),
    optimizers.EmaMomentum(),
    optimizers.SGDMomentum(),
    optimizers.Nesterov(),
    optimizers.RMSProp(),
    optimizers.AdaGrad(),
    optimizers.Adam(),
    optimizers.AdamW(weight_decay=0.1),
]


@pytest.fixture(params=extension().isas() if extension() is not None else ())
def isa(request, monkeypatch):
    """Every instruction set of this processor."""
    monkeypatch.setenv("CHAINRULE_ISA", request.param)
    return request.param


def targets(loss, rng, k):
    if isinstance(loss, losses.SoftmaxCrossEntropy):
        return rng.integers(k, size=ROWS)
    if isinstance(loss, losses.BinaryCrossEntropy):
        return rng.integers(2, size=(ROWS, k)).astype(float)
    return rng.poisson(2.0, size=(ROWS, k)).astype(float)


def sessions(recipe, count, folds=False, weights=True):
    """As many sessions that differ in their seeds, and with `folds` in their rows."""
    rng = np.random.default_rng(0)
    net, loss = recipe.net, recipe.loss
    X, y, c = rng.normal(size=(ROWS, net.inputs)), targets(loss, rng, net.outputs), rng.uniform(0, 2, ROWS)
    c[::7] = 0
    found = []
    for seed in range(count):
        one = replace(recipe, seed=seed)
        rows = Rows.of(one, X, y, c if weights else None)
        found.append(NativeSession(one, rows[np.arange(ROWS) != seed] if folds else rows, threads=1))
    return found


def blocks(each, epoch=0, rates=0.01):
    made = []
    for i, session in enumerate(each):
        block = Block(session, EPOCHS, np.ones((4, session.recipe.net.inputs), session.recipe.dtype))
        block.plan(epoch, np.full(EPOCHS * session._batches, rates * (i + 1)), EPOCHS, 60.0)
        made.append(block)
    return made


def bits(block, session):
    state, last = block.state(EPOCHS - 1), session.state
    vectors = [*state.optimizer_state.values(), *last.optimizer_state.values()]
    arrays = [block.figures[:, :5], state.w, last.w, *vectors, block.all_logits(EPOCHS)]
    return [array.tobytes() for array in arrays], last.step


def same_as_alone(recipe, count=5, threads=1, **rows):
    """Run two blocks of every session, together and each by itself, and compare all that they give."""
    together, alone = sessions(recipe, count, **rows), sessions(recipe, count, **rows)
    for epoch in (0, EPOCHS):
        shared, single = blocks(together, epoch), blocks(alone, epoch)
        assert run_blocks(shared, threads=threads) == [EPOCHS] * count
        for block in single:
            run_blocks([block])
        for pair in zip(zip(shared, together, strict=True), zip(single, alone, strict=True), strict=True):
            assert bits(*pair[0]) == bits(*pair[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(isa, name, dtype):
    loss, k = LOSSES[name]
    same_as_alone(Recipe(mlp(5, [6], k), loss, batch_size=32, dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda each: type(each).__name__)
def test_every_optimizer(isa, optimizer, dtype):
    same_as_alone(Recipe(mlp(3, [4, 3], 1), losses.MeanSquaredError(), optimizer, batch_size=16, dtype=dtype))


@pytest.mark.parametrize(
    "activation",
    ["sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "mish", "identity"],
)
def test_every_activation(isa, activation):
    for dtype in ("float32", "float64"):
        net = mlp(3, [5, 4], 2, activation=activation)
        same_as_alone(Recipe(net, losses.SoftmaxCrossEntropy(), batch_size=25, dtype=dtype))


@pytest.mark.parametrize("batch", [1, 7, 64, ROWS])
@pytest.mark.parametrize("count", [2, 3, 9])
def test_any_batch_and_any_number_of_networks(count, batch):
    recipe = Recipe(mlp(18, [17], 1), losses.MeanSquaredError(), batch_size=batch)
    same_as_alone(recipe, count, threads=2, weights=False)


def test_penalties_and_clipped_values():
    same_as_alone(
        Recipe(mlp(3, [4], 1), losses.MeanSquaredError(), penalty=Penalty(l1=0.01, l2=0.1), clip=ClipValue(0.05))
    )


def test_folds_have_rows_of_their_own():
    same_as_alone(Recipe(mlp(3, [4], 1), losses.MeanSquaredError(), batch_size=8), folds=True)


@pytest.mark.parametrize(
    "change",
    [
        {"clip": ClipNorm(0.1)},
        {"ema_decay": 0.9},
        {"max_weight_norm": 0.5},
        {"net": mlp(3, [4], 1, norm="batch")},
        {"net": mlp(3, [4], 1, norm="layer")},
        {"net": mlp(3, [4], 1, dropout=0.3)},
        {"net": mlp(3, [150], 1)},
        {"optimizer": optimizers.GradientAccumulation(optimizers.Adam(), steps=2)},
        {"loss": losses.Quantile(levels=(0.1, 0.5)), "net": mlp(3, [4], 2)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_has_no_lanes_runs_by_itself_in_the_same_call(change):
    recipe = Recipe(mlp(3, [4], 1), losses.MeanSquaredError(), batch_size=8)
    same_as_alone(replace(recipe, **change), threads=2)


def test_a_network_that_diverges_ends_and_the_others_go_on():
    recipe = Recipe(mlp(3, [4], 1), losses.MeanSquaredError(), optimizers.SGD(), batch_size=8)
    together, alone = sessions(recipe, 4), sessions(recipe, 4)
    done = []
    for each, call in ((together, run_blocks), (alone, lambda made: [run_blocks([one])[0] for one in made])):
        made = blocks(each)
        made[1].plan(0, np.full(EPOCHS * each[1]._batches, 1e30), EPOCHS, 60.0)
        with np.errstate(all="ignore"):
            done.append(call(made))
    assert done[0] == done[1]
    assert done[0][1] < EPOCHS == done[0][0]
    for one, other in zip(together, alone, strict=True):
        assert one.state.w.tobytes() == other.state.w.tobytes()
        assert one.state.step == other.state.step


def test_two_blocks_of_one_session_run_one_after_the_other():
    recipe = Recipe(mlp(3, [4], 1), losses.MeanSquaredError(), batch_size=8)
    first, second = sessions(recipe, 2)
    made = blocks([first, first, second])
    assert run_blocks(made) == [EPOCHS] * 3
    assert first.state.step == 2 * second.state.step


def test_a_stop_ends_all_between_two_batches():
    recipe = Recipe(mlp(3, [4], 1), losses.MeanSquaredError(), batch_size=8)
    each = sessions(recipe, 3)
    made = blocks(each)
    assert run_blocks(made, stop=lambda: True) == [1, 1, 1]
    assert {session.state.step for session in each} == {1}
