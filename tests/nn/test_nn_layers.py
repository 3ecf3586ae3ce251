"""Why: every layer keeps the contract, and its numbers are those worked by hand.

In: samples of every layer, small matrices. Out: shapes, purity, dtypes, statistics and masks that are checked one by one.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import LAYER_SAMPLES, fitted, flat, name

from chainrule import Activation, BatchNorm, Dense, Dropout, LayerNorm
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import LAYERS, Context, all_layers
from chainrule.random import Stream

N, D = 6, 5
SAMPLES = [fitted(layer, D) for layer in flat(LAYER_SAMPLES)]
every_layer = pytest.mark.parametrize("layer", SAMPLES, ids=name)
both_modes = pytest.mark.parametrize("training", [True, False])


def context(xp=np, training=True):
    return Context(xp, training, Stream.from_seed(1))


def start(layer, rng, dtype=np.float64):
    """Parameters and buffers away from their first values, rows, a gradient from above."""
    p, b = layer.init(Stream.from_seed(0), D)
    p = {k: (v + 0.1 * rng.normal(size=v.shape)).astype(dtype) for k, v in p.items()}
    b = {k: (v + 0.1 * rng.random(v.shape)).astype(dtype) for k, v in b.items()}
    dY = rng.normal(size=(N, layer.shapes(D).outputs)).astype(dtype)
    return p, b, rng.normal(size=(N, D)).astype(dtype), dY


def run(layer, p, b, X, dY, ctx):
    """Forward and backward: Y, new buffers, dX, gradients, saved."""
    Y, saved, new = layer.forward(p, b, X, ctx)
    dX, g = layer.backward(p, saved, dY, ctx)
    return {"Y": Y, "dX": dX, **{f"new {k}": v for k, v in new.items()}, **{f"d{k}": v for k, v in g.items()}}


@every_layer
def test_init_has_the_shapes_of_frame(layer):
    frame = layer.shapes(D)
    p, b = layer.init(Stream.from_seed(0), D)
    assert {k: v.shape for k, v in p.items()} == dict(frame.parameters)
    assert {k: v.shape for k, v in b.items()} == dict(frame.buffers)
    assert all(v.dtype == np.float64 for v in [*p.values(), *b.values()])


@both_modes
@every_layer
def test_outputs_and_gradients_have_the_shapes_of_frame(layer, training, rng):
    frame = layer.shapes(D)
    out = run(layer, *start(layer, rng), context(training=training))
    assert out["Y"].shape == (N, frame.outputs)
    assert out["dX"].shape == (N, D)
    assert {k[1:]: v.shape for k, v in out.items() if k.startswith("d") and k != "dX"} == dict(frame.parameters)
    assert {k[4:]: v.shape for k, v in out.items() if k.startswith("new ")} == dict(frame.buffers)


@both_modes
@every_layer
def test_pure_on_read_only_arrays_twice(layer, training, rng):
    p, b, X, dY = start(layer, rng)
    for array in [*p.values(), *b.values(), X, dY]:
        array.flags.writeable = False
    first = run(layer, p, b, X, dY, context(training=training))
    for key, value in run(layer, p, b, X, dY, context(training=training)).items():
        np.testing.assert_array_equal(value, first[key], err_msg=key)


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.usefixtures("x64")
@both_modes
@every_layer
def test_float32_stays_float32(layer, xp, training, rng):
    def out(*values):
        return run(layer, *values, context(xp, training))

    values = start(layer, rng, np.float32)
    # of JAX the dtypes alone, which need no compilation
    found = out(*values) if xp is np else jax.eval_shape(out, *values)
    for key, value in found.items():
        assert value.dtype == np.float32, key


@pytest.mark.usefixtures("x64")
@both_modes
@every_layer
def test_numpy_and_jitted_jax_agree(layer, training, rng):
    values = start(layer, rng)
    here = run(layer, *values, context(training=training))
    there = jax.jit(lambda *v: run(layer, *v, context(jnp, training)))(*values)
    for key, value in here.items():
        # a dozen roundings of 1.1e-16, on entries around 1
        np.testing.assert_allclose(value, there[key], rtol=1e-13, atol=1e-14, err_msg=key)


@both_modes
def test_only_batch_norm_in_training_changes_buffers(training, rng):
    for layer in SAMPLES:
        p, b, X, _ = start(layer, rng)
        new = layer.forward(p, b, X, context(training=training))[2]
        changed = any((new[k] != b[k]).any() for k in b)
        assert changed == (training and any(isinstance(inner, BatchNorm) for inner in all_layers([layer])))


def test_dense_by_hand():
    p = {"W": np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.5]]), "b": np.array([0.5, -1.0, 0.0])}
    A = np.array([[1.0, 2.0], [3.0, -1.0]])
    Z, saved, _ = Dense(3).forward(p, {}, A, context())
    # row 1: 1·1 + 2·2 + .5 = 5.5   1·0 + 2·1 - 1 = 1   1·(-1) + 2·.5 + 0 = 0
    # row 2: 3·1 - 1·2 + .5 = 1.5   3·0 - 1·1 - 1 = -2  3·(-1) - 1·.5 + 0 = -3.5
    np.testing.assert_array_equal(Z, [[5.5, 1.0, 0.0], [1.5, -2.0, -3.5]])
    dA, g = Dense(3).backward(p, saved, np.array([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]]), context())
    # dW = Aᵀ dZ: [1·1 + 3·0, 1·0 - 3·1, 1·2 + 3·1], [2·1 - 1·0, 2·0 + 1·1, 2·2 - 1·1]; db: column sums
    np.testing.assert_array_equal(g["W"], [[1.0, -3.0, 5.0], [2.0, 1.0, 3.0]])
    np.testing.assert_array_equal(g["b"], [1.0, -1.0, 3.0])
    # dA = dZ Wᵀ: row 1: 1·1 + 2·(-1) = -1, 1·2 + 2·.5 = 3   row 2: -1·0 + 1·(-1) = -1, -1·1 + 1·.5 = -.5
    np.testing.assert_array_equal(dA, [[-1.0, 3.0], [-1.0, -0.5]])


def test_dense_without_bias():
    p, _ = Dense(3, bias=False).init(Stream.from_seed(0), 2)
    assert set(p) == {"W"}
    np.testing.assert_array_equal(Dense(3, bias=False).forward(p, {}, np.eye(2), context())[0], p["W"])


def test_dense_starts_with_its_initialiser_and_b_zero():
    stream = Stream.from_seed(0)
    p, _ = Dense(3, initializer="constant").init(stream, 2)
    np.testing.assert_array_equal(p["W"], np.full((2, 3), 0.01))
    np.testing.assert_array_equal(p["b"], np.zeros(3))
    bare, named = Dense(3).init(stream, 2)[0], Dense(3, initializer="xavier").init(stream, 2)[0]
    np.testing.assert_array_equal(bare["W"], named["W"])


def test_activation_by_hand():
    Z = np.array([[-2.0, 3.0], [0.0, 0.5]])
    A, saved, _ = Activation("relu").forward({}, {}, Z, context())
    np.testing.assert_array_equal(A, [[0.0, 3.0], [0.0, 0.5]])
    # slope 0, 1, 0 (at zero), 1
    np.testing.assert_array_equal(
        Activation("relu").backward({}, saved, np.full((2, 2), 7.0), context())[0], [[0, 7]] * 2
    )


@pytest.mark.parametrize(("function", "kept"), [("tanh", {"A"}), ("gelu", {"Z"}), ("identity", set())])
def test_activation_saves_what_its_slope_reads(function, kept):
    assert set(Activation(function).forward({}, {}, np.ones((1, 1)), context())[1]) == kept


def test_batch_norm_by_hand():
    layer = BatchNorm(momentum=0.75, epsilon=1.0)
    p = {"gamma": np.array([2.0]), "beta": np.array([1.0])}
    Z = np.array([[1.0], [1.0], [1.0 + 2 * np.sqrt(6.0)], [1.0 + 2 * np.sqrt(6.0)]])
    Y, saved, new = layer.forward(p, {"mean": np.array([4.0]), "variance": np.array([8.0])}, Z, context())
    # μ = 1 + √6, deviations ∓√6, σ² = 6, s = √7, Ẑ = ∓√(6/7), Y = 1 ∓ 2√(6/7)
    z = np.sqrt(6 / 7)
    np.testing.assert_allclose(Y, [[1 - 2 * z], [1 - 2 * z], [1 + 2 * z], [1 + 2 * z]], rtol=1e-14)
    # running: .75·4 + .25 (1 + √6) and .75·8 + .25·6 (biased variance: 24 / 4, not 24 / 3)
    np.testing.assert_allclose(new["mean"], [3.25 + 0.25 * np.sqrt(6.0)], rtol=1e-14)
    np.testing.assert_allclose(new["variance"], [7.5], rtol=1e-14)
    dZ, g = layer.backward(p, saved, np.array([[1.0], [0.0], [0.0], [0.0]]), context())
    # dγ = -z, dβ = 1; dẐ = (2, 0, 0, 0), its mean 1/2, mean of dẐ Ẑ = -z/2
    # dZ = (dẐ - 1/2 + Ẑ z/2) / √7 with Ẑ z = ∓6/7: (3/2 - 3/7, -1/2 - 3/7, -1/2 + 3/7, -1/2 + 3/7) / √7
    np.testing.assert_allclose(g["gamma"], [-z], rtol=1e-14)
    np.testing.assert_allclose(g["beta"], [1.0], rtol=1e-14)
    np.testing.assert_allclose(dZ[:, 0], np.array([15 / 14, -13 / 14, -1 / 14, -1 / 14]) / np.sqrt(7.0), rtol=1e-13)


def test_batch_norm_uses_running_values_in_inference():
    layer, p = BatchNorm(epsilon=1.0), {"gamma": np.array([3.0]), "beta": np.array([-1.0])}
    Y, saved, _ = layer.forward(
        p, {"mean": np.array([1.0]), "variance": np.array([3.0])}, np.array([[5.0]]), context(training=False)
    )
    # s = √(3 + 1) = 2, Ẑ = (5 - 1) / 2 = 2, Y = 3·2 - 1; backward: dẐ = 3, dZ = 3 / 2
    np.testing.assert_array_equal(Y, [[5.0]])
    np.testing.assert_array_equal(layer.backward(p, saved, np.ones((1, 1)), context(training=False))[0], [[1.5]])


def test_batch_norm_running_values_converge_to_the_data(rng):
    layer, X = BatchNorm(), rng.normal(3.0, 2.0, (50, D))
    p, b = layer.init(Stream.from_seed(0), D)
    for _ in range(400):
        b = layer.forward(p, b, X, context())[2]
    # what is left of the first values: 0.9⁴⁰⁰ = 5e-19
    np.testing.assert_allclose(b["mean"], X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(b["variance"], X.var(axis=0), rtol=1e-12)


def test_batch_norm_of_one_row_is_beta_and_passes_no_gradient(rng):
    layer = BatchNorm()
    p, b, X, dY = start(layer, rng)
    Y, saved, _ = layer.forward(p, b, X[:1], context())
    dX, g = layer.backward(p, saved, dY[:1], context())
    np.testing.assert_array_equal(Y, p["beta"][None])
    np.testing.assert_array_equal(dX, np.zeros((1, D)))
    np.testing.assert_array_equal(g["gamma"], np.zeros(D))


def test_batch_norm_of_a_constant_column_is_finite(rng):
    layer = BatchNorm()
    p, b, X, dY = start(layer, rng)
    out = run(layer, p, b, np.full_like(X, 1e4), dY, context())
    assert all(np.isfinite(value).all() for value in out.values())
    np.testing.assert_array_equal(out["Y"], np.broadcast_to(p["beta"], (N, D)))


def test_layer_norm_by_hand():
    layer = LayerNorm(epsilon=1.0)
    p = {"gamma": np.array([1.0, 2.0]), "beta": np.array([0.0, 1.0])}
    a = np.sqrt(3.0)
    Y, saved, _ = layer.forward(p, {}, np.array([[5.0 - a, 5.0 + a]]), context())
    # μ = 5, σ² = 3, s = 2, Ẑ = ∓√3/2
    np.testing.assert_allclose(Y, [[-a / 2, 1 + a]], rtol=1e-14)
    dZ, g = layer.backward(p, saved, np.array([[1.0, 1.0]]), context())
    # dẐ = (1, 2), mean 3/2; mean of dẐ Ẑ = (-√3/2 + √3) / 2 = √3/4; Ẑ times that = ∓3/8
    # dZ = (1 - 3/2 + 3/8, 2 - 3/2 - 3/8) / 2 = ∓1/16
    np.testing.assert_allclose(g["gamma"], [-a / 2, a / 2], rtol=1e-14)
    np.testing.assert_array_equal(g["beta"], [1.0, 1.0])
    np.testing.assert_allclose(dZ, [[-1 / 16, 1 / 16]], rtol=1e-13)


def test_layer_norm_looks_at_each_row_alone(rng):
    layer = LayerNorm()
    p, b, X, _ = start(layer, rng)
    whole = layer.forward(p, b, X, context())[0]
    for i in range(N):
        np.testing.assert_array_equal(whole[i : i + 1], layer.forward(p, b, X[i : i + 1], context())[0])


def test_dropout_by_hand():
    A, layer = np.array([[1.0, -2.0, 3.0, 4.0]]), Dropout(0.75)
    Y, saved, _ = layer.forward({}, {}, A, context())
    M = saved["M"]
    # kept entries are divided by 1 - 3/4 = 1/4
    np.testing.assert_array_equal(Y, np.where(M, 4 * A, 0.0))
    np.testing.assert_array_equal(layer.backward({}, saved, np.ones((1, 4)), context())[0], np.where(M, 4.0, 0.0))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_share_and_mean(rate):
    n = 200_000
    Y, saved, _ = Dropout(rate).forward({}, {}, np.ones((n // 10, 10)), context())
    # five standard deviations of a share of n Bernoulli draws; the mean of Y is the share kept / (1 - rate)
    bound = 5 * np.sqrt(rate * (1 - rate) / n)
    assert abs((~saved["M"]).mean() - rate) < bound
    assert abs(Y.mean() - 1.0) < bound / (1 - rate)
    assert set(np.unique(Y)) == {0.0, 1.0 / (1.0 - rate)}


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_dropout_is_the_identity_in_inference_and_at_rate_zero(rate, training, rng):
    A = rng.normal(size=(3, 4))
    Y, saved, _ = Dropout(rate).forward({}, {}, A, Context(np, training))
    assert Y is A
    assert saved == {}
    assert Dropout(rate).backward({}, saved, A, Context(np, training))[0] is A


def test_dropout_without_a_stream_is_an_error():
    with pytest.raises(InvalidValueError, match=r"^Dropout: stream must be given in training, got None\. Masks need"):
        Dropout(0.5).forward({}, {}, np.ones((1, 1)), Context(np, training=True))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_is_bit_identical_in_numpy_and_jitted_jax(rate, rng):
    A = rng.normal(size=(64, 33)).astype(np.float32)

    @jax.jit
    def masked(A, step):
        return Dropout(rate).forward({}, {}, A, Context(jnp, True, Stream.from_seed(5).fold(3, step)))[0]

    for step in (0, 1, 2**31 - 1):
        here = Dropout(rate).forward({}, {}, A, Context(np, True, Stream.from_seed(5).fold(3, step)))[0]
        np.testing.assert_array_equal(here, masked(A, step))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), r"Dense: units must be a whole number in \[1, inf\), got 0\."),
        (lambda: Dense(2.5), r"Dense: units must be a whole number in \[1, inf\), got 2\.5\."),
        (lambda: Dense(2, bias=1), r"Dense: bias must be one of True, False, got 1\."),
        (lambda: Dense(2, initializer="hee"), r"Dense: initializer must be .*, got 'hee'\. Did you mean 'he'\?"),
        (lambda: Activation("rellu"), r"Activation: function must be .*, got 'rellu'\. Did you mean 'relu'\?"),
        (lambda: BatchNorm(momentum=1.0), r"BatchNorm: momentum must be in \[0, 1\), got 1\.0\."),
        (lambda: BatchNorm(epsilon=0.0), r"BatchNorm: epsilon must be in \(0, inf\), got 0\.0\."),
        (lambda: LayerNorm(epsilon=-1.0), r"LayerNorm: epsilon must be in \(0, inf\), got -1\.0\."),
        (lambda: Dropout(1.0), r"Dropout: rate must be in \[0, 1\), got 1\.0\. rate is the fraction dropped\."),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


def test_every_layer_says_what_it_is():
    assert all(key == kind.__name__ for key, kind in LAYERS.items())


def test_a_uniform_bias_lies_within_its_bounds_and_leaves_w_as_it_was():
    stream = Stream.from_seed(3)
    plain, _ = Dense(400).init(stream, 16)
    drawn, _ = Dense(400, bias_initializer="uniform").init(stream, 16)
    np.testing.assert_array_equal(drawn["W"], plain["W"])
    assert abs(drawn["b"]).max() <= 0.25
    assert drawn["b"].std() == pytest.approx(0.25 / 3**0.5, rel=0.1)
    assert not plain["b"].any()
