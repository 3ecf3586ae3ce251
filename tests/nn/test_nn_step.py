"""Why: one training step is what every engine is held against. In: recipes and small batches. Out: the step by hand."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import LOSS_SAMPLES, OPTIMIZER_SAMPLES, flat, name

from chainrule import Activation, BatchNorm, Dense, Dropout, Net, mlp
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import Context
from chainrule.nn.losses import MeanSquaredError, MultiSoftmaxCrossEntropy, Quantile, SoftmaxCrossEntropy, mean_loss
from chainrule.nn.optimizers import SGD, Adam, AdamW, EmaMomentum, GradientAccumulation
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.nn.step import Recipe, State, Sums, loss_and_gradient, measure, train_step

LINE = Recipe(Net(1, [Dense(1)]), MeanSquaredError(), SGD(), dtype="float64")
X, Y = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])


def step(recipe, w, c=(1.0, 1.0), rate=0.1):
    state = State(np.array(w), np.zeros(0), {}, 0)
    return train_step(recipe, np, state, X, Y, np.array(c), rate)


def test_step_by_hand():
    state, sums = step(LINE, [1.0, 1.0])
    # Z = (2, 3), errors (-1, -2), J = 5/2, dZ = (-1, -2), dW = -1 - 4 = -5, db = -3
    np.testing.assert_allclose(state.w, [1.5, 1.3], rtol=1e-14)
    assert state.step == 1
    assert (sums.mean_loss, sums.mean_score, sums.weight, sums.steps) == (2.5, 2.5, 2.0, 1)
    assert sums.mean_norm == pytest.approx(math.sqrt(34.0), rel=1e-14)


def test_weighted_step_by_hand():
    state, sums = step(LINE, [1.0, 1.0], c=(3.0, 1.0))
    # J = (3·1 + 4) / 4, dZ = (3/4·2·(-1), 1/4·2·(-2)) = (-1.5, -1), dW = -3.5, db = -2.5
    np.testing.assert_allclose(state.w, [1.35, 1.25], rtol=1e-14)
    assert (sums.loss, sums.score, sums.weight) == (7.0, 7.0, 4.0)


def test_penalty_clip_and_groups_by_hand():
    recipe = replace(LINE, penalty=Penalty(l2=1.0))
    # dW = -5 + 1 = -4, db untouched; the norm counts the penalty, the loss does not
    state, sums = step(recipe, [1.0, 1.0])
    np.testing.assert_allclose(state.w, [1.4, 1.3], rtol=1e-14)
    assert (sums.mean_loss, sums.norm) == (2.5, 5.0)
    # ‖(-4, -3)‖ = 5, cut to 1: (-.8, -.6); the norm is the one before clipping
    state, sums = step(replace(recipe, clip=ClipNorm(1.0)), [1.0, 1.0])
    np.testing.assert_allclose(state.w, [1.08, 1.06], rtol=1e-14)
    assert sums.norm == 5.0
    np.testing.assert_allclose(step(replace(recipe, clip=ClipValue(3.5)), [1.0, 1.0])[0].w, [1.35, 1.3], rtol=1e-14)
    state, _ = step(replace(recipe, learning_rate_multipliers={"*.W": 0.0, "*.b": 2.0}), [1.0, 1.0])
    np.testing.assert_allclose(state.w, [1.0, 1.6], rtol=1e-14)


def test_max_norm_by_hand():
    # without the bound W = 1.5, b = 1.3; the column (1.5) is cut to 1.2, the bias is free
    np.testing.assert_allclose(step(replace(LINE, max_weight_norm=1.2), [1.0, 1.0])[0].w, [1.2, 1.3], rtol=1e-14)
    np.testing.assert_allclose(step(replace(LINE, max_weight_norm=1.6), [1.0, 1.0])[0].w, [1.5, 1.3], rtol=1e-14)
    still = replace(LINE, max_weight_norm=0.5, learning_rate_multipliers={"*.W": 0.0})
    np.testing.assert_allclose(step(still, [1.0, 1.0])[0].w, [1.0, 1.3], rtol=1e-14)


def test_average_by_hand():
    recipe = replace(LINE, ema_decay=0.5, max_weight_norm=1.4)
    first, _ = train_step(recipe, np, replace(recipe.start(), w=np.ones(2)), X, Y, np.ones(2), 0.1)
    np.testing.assert_allclose(first.optimizer_state["average"], first.w, rtol=1e-14)
    second, _ = train_step(recipe, np, first, X, Y, np.ones(2), 0.1)
    # shares 1/2 and 1/4 of the later and the earlier, divided by their sum: 2/3 and 1/3; after the bound
    np.testing.assert_allclose(second.optimizer_state["average"], (2 * second.w + first.w) / 3, rtol=1e-14)
    assert second.w[0] == pytest.approx(1.4)
    assert second.w[1] != first.w[1]


def test_weights_for_inference_are_the_average_once_there_is_one():
    recipe = replace(LINE, ema_decay=0.5, optimizer=EmaMomentum())
    start = recipe.start()
    assert set(start.optimizer_state) == set(recipe.state_names) == {"V", "average"}
    assert recipe.weights(start) is start.w
    after, _ = train_step(recipe, np, start, X, Y, np.ones(2), 0.1)
    assert set(after.optimizer_state) == {"V", "average"}
    assert recipe.weights(after) is after.optimizer_state["average"]
    assert replace(recipe, ema_decay=None).weights(after) is after.w


@pytest.mark.parametrize("rule", [SGD(), AdamW()], ids=name)
def test_accumulated_batches_are_the_large_batch(rule, rng):
    net = Net(4, [Dense(8), Activation("tanh"), Dense(3)])
    large = Recipe(net, SoftmaxCrossEntropy(), rule, Penalty(l1=1e-3, l2=1e-2), dtype="float64", ema_decay=0.9)
    small = replace(large, optimizer=GradientAccumulation(rule, 4))
    features, targets, c = rng.normal(size=(3, 16, 4)), rng.integers(0, 3, (3, 16)), np.ones(16)
    one = other = large.start()
    other = small.start()
    for A, y in zip(features, targets, strict=True):
        one, _ = train_step(large, np, one, A, y, c, 0.1)
        for part in np.split(np.arange(16), 4):
            other, _ = train_step(small, np, other, A[part], y[part], c[part], 0.1)
        np.testing.assert_allclose(other.w, one.w, rtol=1e-11, atol=1e-13)
    assert (one.step, other.step) == (3, 12)
    assert not other.optimizer_state["sum"].any()


def test_adopting_a_state_of_another_recipe():
    ema_decay, plain = replace(LINE, ema_decay=0.9, optimizer=Adam()), replace(LINE, optimizer=EmaMomentum())
    state = State(np.array([1.0, 2.0]), np.zeros(0), {"V": np.array([3.0, 4.0])}, 7)
    adopted = ema_decay.adopt(state)
    assert {letter: v.tolist() for letter, v in adopted.optimizer_state.items()} == {
        "m": [0, 0],
        "v": [0, 0],
        "average": [1, 2],
    }
    assert (adopted.step, adopted.w.tolist()) == (7, [1, 2])
    assert plain.adopt(adopted).optimizer_state["V"].tolist() == [0, 0]
    np.testing.assert_array_equal(plain.adopt(state).optimizer_state["V"], [3.0, 4.0])


def test_the_first_step_is_number_one():
    recipe = replace(LINE, optimizer=Adam(epsilon=1e-12))
    state = State(np.array([1.0, 1.0]), np.zeros(0), {"m": np.zeros(2), "v": np.zeros(2)}, 0)
    # both gradients are negative, and at t = 1 the corrected moments give exactly g / |g|
    state, _ = train_step(recipe, np, state, X, Y, np.ones(2), 0.1)
    np.testing.assert_allclose(state.w, [1.1, 1.1], rtol=1e-11)
    # once more with t = 2: m̂ = (.09 g₁ + .1 g₂) / .19, v̂ = (.000999 g₁² + .001 g₂²) / .001999; Z = (2.2, 3.3)
    g1, g2 = np.array([-5.0, -3.0]), np.array([-0.8 - 3.4, -0.8 - 1.7])
    mean, square = (0.09 * g1 + 0.1 * g2) / 0.19, (0.000999 * g1**2 + 0.001 * g2**2) / 0.001999
    state, _ = train_step(recipe, np, state, X, Y, np.ones(2), 0.1)
    np.testing.assert_allclose(state.w, 1.1 - 0.1 * mean / np.sqrt(square), rtol=1e-11)


def test_running_statistics_move_on():
    recipe = replace(LINE, net=Net(1, [BatchNorm(momentum=0.5), Dense(1)]))
    state, _ = train_step(recipe, np, recipe.start(), X, Y, np.ones(2), 0.1)
    # rows 1 and 2: mean 1.5, biased variance 1/4; half of 0 and 1.5, half of 1 and 1/4
    np.testing.assert_array_equal(state.buffers, [0.75, 0.625])


def test_a_batch_without_weight_moves_nothing():
    state, sums = step(LINE, [1.0, 1.0], c=(0.0, 0.0))
    np.testing.assert_array_equal(state.w, [1.0, 1.0])
    assert (sums.loss, sums.weight, sums.norm) == (0.0, 0.0, 0.0)
    assert math.isnan(sums.mean_loss)


def test_sums_add_up():
    total = Sums(1.0, 2.0, 4.0, 3.0, 1) + Sums(3.0, 0.0, 4.0, 1.0, 1)
    assert total == Sums(4.0, 2.0, 8.0, 4.0, 2)
    assert (total.mean_loss, total.mean_score, total.mean_norm) == (0.5, 0.25, 2.0)
    assert all(math.isnan(value) for value in (Sums().mean_loss, Sums().mean_score, Sums().mean_norm))


def test_measure_counts_no_step():
    sums = measure(LINE, np, np.array([[2.0], [3.0]]), Y, np.array([1.0, 3.0]))
    assert sums == Sums(13.0, 13.0, 4.0, 0.0, 0)  # 1·1 + 3·4


def rich(loss, optimizer, dtype="float64"):
    """Everything at once; no bias before batch norm, since its gradient is pure rounding, which Adam would amplify."""
    net = Net(4, [Dense(8, bias=False), BatchNorm(), Activation("relu"), Dropout(0.3), Dense(3)])
    extras = {"penalty": Penalty(l1=1e-3, l2=1e-2), "clip": ClipNorm(0.5), "learning_rate_multipliers": {"0.*": 0.5}}
    return Recipe(net, loss, optimizer, batch_size=16, seed=3, dtype=dtype, **extras)


def rows(sample, rng, dtype):
    targets = sample.targets(rng, 16, 3)
    return rng.normal(size=(16, 4)).astype(dtype), targets if targets.dtype.kind == "i" else targets.astype(dtype)


@pytest.mark.parametrize("optimizer", [samples[0] for samples in OPTIMIZER_SAMPLES.values()], ids=name)
@pytest.mark.usefixtures("x64")
def test_float32_stays_float32_and_jitted_jax_agrees(optimizer, rng):
    recipe = rich(SoftmaxCrossEntropy(), optimizer, "float32")
    features, targets = rows(LOSS_SAMPLES["SoftmaxCrossEntropy"][0], rng, np.float32)
    c = rng.random(16).astype(np.float32)
    here = there = recipe.start()
    jitted = jax.jit(
        lambda w, b, memory, step, rate: _step(recipe, State(w, b, memory, step), features, targets, c, rate)
    )
    for _ in range(3):
        here, sums = train_step(recipe, np, here, features, targets, c, 0.01)
        there = State(*jitted(there.w, there.buffers, there.optimizer_state, there.step, 0.01))
        for a, b in zip(jax.tree.leaves(_numbers(here)), jax.tree.leaves(_numbers(there)), strict=True):
            assert a.dtype == b.dtype == np.float32
            # some tens of roundings of 6e-8, of which dividing by a small √v may lose another two digits
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert {np.asarray(v).dtype for v in (sums.loss, sums.weight, sums.norm)} == {np.dtype(np.float32)}


def _step(recipe, state, features, targets, c, rate):
    new, _ = train_step(recipe, jnp, state, features, targets, c, rate)
    return new.w, new.buffers, new.optimizer_state, new.step


def _numbers(state):
    return state.w, state.buffers, dict(state.optimizer_state)


@pytest.mark.parametrize("sample", flat(LOSS_SAMPLES), ids=name)
def test_fifty_steps_lower_every_loss(sample, rng):
    recipe = replace(rich(sample.loss, AdamW()), net=mlp(4, [16], 3), learning_rate_multipliers={})
    features, targets = rows(sample, rng, np.float64)
    state, losses = recipe.start(), []
    for _ in range(50):
        state, sums = train_step(recipe, np, state, features, targets, np.ones(16), 0.01)
        losses.append(sums.mean_loss)
    assert losses[-1] < 0.9 * losses[0] or losses[-1] < losses[0] - 0.3


@pytest.mark.parametrize("every", [2, 4])
def test_recomputation_gives_the_same_step(every, rng):
    recipe = rich(MeanSquaredError(), AdamW())
    features, targets = rows(LOSS_SAMPLES["MeanSquaredError"][0], rng, np.float64)
    one, other = (
        train_step(r, np, r.start(), features, targets, np.ones(16), 0.01)[0]
        for r in (recipe, replace(recipe, cache_every=every))
    )
    np.testing.assert_array_equal(one.w, other.w)
    np.testing.assert_array_equal(one.buffers, other.buffers)


def test_masks_follow_seed_and_step(rng):
    recipe = Recipe(Net(50, [Dropout(0.5), Dense(1)]), MeanSquaredError(), SGD(), dtype="float64")
    features, targets = rng.normal(size=(4, 50)), np.zeros((4, 1))

    def after(recipe, number):
        state = replace(recipe.start(), w=np.ones(51), step=number)
        return train_step(recipe, np, state, features, targets, np.ones(4), 0.1)[0].w

    np.testing.assert_array_equal(after(recipe, 7), after(recipe, 7))
    assert (after(recipe, 7) != after(recipe, 8)).any()
    assert (after(recipe, 7) != after(replace(recipe, seed=1), 7)).any()


def test_start():
    recipe = rich(MeanSquaredError(), AdamW(), "float32")
    state = recipe.start()
    w, buffers = recipe.net.init(3)
    np.testing.assert_array_equal(state.w, w.astype(np.float32))
    np.testing.assert_array_equal(state.buffers, buffers.astype(np.float32))
    assert {letter: (v.dtype, v.shape, v.any()) for letter, v in state.optimizer_state.items()} == {
        letter: (np.dtype(np.float32), w.shape, False) for letter in ("m", "v")
    }
    assert state.step == 0


def test_batches_cover_the_rows():
    recipe = replace(LINE, batch_size=4)
    assert recipe.batches(10) == [(0, 4), (4, 8), (8, 10)]
    assert recipe.batches(9) == [(0, 4), (4, 8), (8, 9)]
    assert recipe.batches(3) == [(0, 3)]


def test_batch_norm_skips_a_single_row_left_over():
    recipe = replace(LINE, batch_size=4, net=Net(1, [BatchNorm(), Dense(1)]))
    assert recipe.batches(9) == [(0, 4), (4, 8)]
    assert recipe.batches(10) == [(0, 4), (4, 8), (8, 10)]
    assert recipe.batches(1) == [(0, 1)]


def test_order():
    recipe = replace(LINE, batch_size=4, seed=9)
    np.testing.assert_array_equal(recipe.order(np, 4, 0), np.arange(4))
    first, second = recipe.order(np, 50, 0), recipe.order(np, 50, 1)
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    assert (first != second).any()
    assert (first != replace(recipe, seed=8).order(np, 50, 0)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, r"Recipe: batch_size must be a whole number in \[1, inf\), got 0"),
        ({"seed": -1}, r"Recipe: seed must be a whole number in \[0, "),
        ({"seed": 2**64}, r"Recipe: seed must be"),
        ({"dtype": "float16"}, r"Recipe: dtype must be one of 'float32', 'float64', got 'float16'"),
        ({"cache_every": 0}, r"Recipe: cache_every must be a whole number"),
        ({"max_weight_norm": 0.0}, r"Recipe: max_weight_norm must be in \(0, inf\) or None, got 0\.0"),
        ({"ema_decay": 1.0}, r"Recipe: ema_decay must be in \[0, 1\) or None, got 1\.0\. It is the share kept\."),
        (
            {"loss": Quantile((0.1, 0.9))},
            r"Recipe: net must be of a multiple of 2 outputs, one for each level of each target, got 1\.",
        ),
        ({"loss": MultiSoftmaxCrossEntropy((2, 3))}, r"Recipe: net must be of 5 outputs, the sum of \(2, 3\), got 1\."),
    ],
)
def test_wrong_recipes(change, message):
    with pytest.raises(InvalidValueError, match=message):
        replace(LINE, **change)


def test_loss_and_gradient_are_those_of_the_three_passes(rng):
    net = Net(3, [Dense(4), Activation("tanh"), Dense(2)])
    w, buffers = net.init(0)
    X, y, c = rng.normal(size=(5, 3)), rng.integers(0, 2, 5), rng.random(5)
    loss, penalty, ctx = SoftmaxCrossEntropy(), Penalty(l1=0.1, l2=0.3), Context(np, training=True)
    Z, tape, _ = net.forward(w, buffers, X, ctx)
    J, dZ = mean_loss(loss, np, Z, y, c)
    dX, g = net.backward(w, tape, dZ, ctx)
    plain = loss_and_gradient(net, loss, w, buffers, X, y, c, ctx)
    assert plain.loss == J
    for found, expected in ((plain.gradient, g), (plain.inputs, dX), (plain.logits, Z)):
        np.testing.assert_array_equal(found, expected)
    penalized = loss_and_gradient(net, loss, w, buffers, X, y, c, ctx, penalty)
    assert penalized.loss == J + penalty.value(np, w, net.decay)
    np.testing.assert_array_equal(penalized.gradient, g + penalty.gradient(np, w, net.decay))
