"""Why: branches must not see each other's columns, numbers or random bits.

In: small layers side by side. Out: numbers worked by hand.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import ACTIVATION_SAMPLES, flat

from chainrule import Activation, BatchNorm, Dense, Dropout, Net
from chainrule.errors import InvalidValueError
from chainrule.nn.data_init import standardized_init
from chainrule.nn.layers import (
    CategoryEmbedding,
    Context,
    CosineEmbedding,
    Parallel,
    ParametricActivation,
    Scale,
    all_layers,
)
from chainrule.nn.spec import decode, encode
from chainrule.random import Stream

HERE = Context(np)


def test_parallel_by_hand():
    layer = Parallel([(2, Scale()), (1, Dense(2)), (1, Activation("identity"))])
    p = {"0_s": np.array([2.0, -1.0]), "1_W": np.array([[3.0, 4.0]]), "1_b": np.array([0.0, 1.0])}
    X = np.array([[1.0, 2.0, 3.0, 4.0]])
    Y, saved, _ = layer.forward(p, {}, X, HERE)
    np.testing.assert_array_equal(Y, [[2.0, -2.0, 9.0, 13.0, 4.0]])
    assert set(saved) == {"0_A", "1_A"}
    dA, g = layer.backward(p, saved, np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), HERE)
    # scale: (1·2, 2·(-1)); dense: 3·3 + 4·4; identity: 5
    np.testing.assert_array_equal(dA, [[2.0, -2.0, 25.0, 5.0]])
    np.testing.assert_array_equal(g["0_s"], [1.0, 4.0])
    np.testing.assert_array_equal(g["1_W"], [[9.0, 12.0]])
    np.testing.assert_array_equal(g["1_b"], [3.0, 4.0])


def test_names_in_a_network_and_what_decays():
    inner = Parallel([(1, CosineEmbedding(2)), (2, BatchNorm()), (1, Parallel([(1, Dense(2))]))])
    net = Net(4, [inner, Dense(1)])
    cosine = ("0.0_w", "0.0_b", "0.0_gamma", "0.0_beta")
    assert net.parameters.names == (*cosine, "0.1_gamma", "0.1_beta", "0.2_0_W", "0.2_0_b", "1.W", "1.b")
    assert net.buffers.names == ("0.1_mean", "0.1_variance")
    assert net.decay.sum() == net.layer_shapes[1].parameters["W"][0]
    assert net.multipliers({"0.0_*": 0.1})[: 2 + 2 + 3 + 3].tolist() == [0.1] * 10


def test_branches_draw_from_streams_of_their_own():
    stream = Stream.from_seed(3)
    layer = Parallel([(4, Dense(4)), (4, Dense(4))])
    p = layer.init(stream, 8)[0]
    assert not np.array_equal(p["0_W"], p["1_W"])
    np.testing.assert_array_equal(p["1_W"], Dense(4).init(stream.fold(1), 4)[0]["W"])
    twin = Parallel([(50, Dropout(0.5)), (50, Dropout(0.5))])
    ctx = Context(np, True, stream)
    saved = twin.forward({}, {}, np.ones((4, 100)), ctx)[1]
    assert not np.array_equal(saved["0_M"], saved["1_M"])
    np.testing.assert_array_equal(saved["1_M"], stream.fold(1).keep(np, (4, 50), 0.5))


def test_batch_norm_in_a_branch_keeps_its_statistics():
    layer = Parallel([(1, Activation("relu")), (1, BatchNorm(momentum=0.5))])
    p, buffers = layer.init(Stream.from_seed(0), 2)
    new = layer.forward(p, buffers, np.array([[1.0, 2.0], [1.0, 6.0]]), Context(np, True))[2]
    # mean 4 and variance 4, blended by halves with 0 and 1
    assert {name: value.tolist() for name, value in new.items()} == {"1_mean": [2.0], "1_variance": [2.5]}


def test_a_dense_branch_gets_xavier_and_all_survive_json():
    net = Net(
        3, [Parallel([[2, Dense(2)], [1, CategoryEmbedding([4])]]), Dense(2), ParametricActivation("relu"), Dense(1)]
    )
    assert net.layers[0].branches[0][1].initializer == "xavier"
    assert net.layers[1].initializer == "he"
    assert decode(json.loads(json.dumps(encode(net)))) == net
    assert eval(repr(net.layers[0])) == net.layers[0]


def test_all_layers_goes_into_the_branches():
    layer = Parallel([(1, Scale()), (1, Parallel([(1, BatchNorm())]))])
    assert [type(each).__name__ for each in all_layers([layer, Dense(1)])] == [
        *("Parallel", "Scale", "Parallel", "BatchNorm"),
        "Dense",
    ]


def test_a_body_with_the_same_branches_is_inherited_and_another_is_not():
    def net(function="tanh", sizes=(3, 2), outputs=1):
        branches = [(1, ParametricActivation(function)), (2, CategoryEmbedding(sizes, 2))]
        return Net(3, [Parallel(branches), Dense(outputs)])

    w, buffers = net().init(1)
    taken, _ = net(outputs=2).inherit(0, net(), w, buffers)
    np.testing.assert_array_equal(net(outputs=2).parameters.views(taken)["0.1_E"], net().parameters.views(w)["0.1_E"])
    for other in (net(function="relu"), net(sizes=(2, 3))):
        with pytest.raises(InvalidValueError, match=r"^Net: source\.layers\[0\] must be"):
            other.inherit(0, net(), w, buffers)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Parallel([]), r"Parallel: branches must be a list of \(width, layer\) pairs, got \[\]\."),
        (lambda: Parallel(3), r"Parallel: branches must be a list of \(width, layer\) pairs, got 3\."),
        (lambda: Parallel([Dense(1)]), r"Parallel: branches\[0\] must be a \(width, layer\) pair, got Dense"),
        (
            lambda: Parallel([(0, Scale())]),
            r"Parallel: branches\[0\] must be of a width .* got 0\. Leave an empty branch",
        ),
        (lambda: Parallel([(1, Scale)]), r"Parallel: branches\[0\] must be a pair with a layer, got <class"),
        (lambda: Parallel([(1, "relu")]), r"Parallel: branches\[0\] must be a pair with a layer, got 'relu'"),
        (
            lambda: Net(4, [Parallel([(2, Scale()), (1, Scale())])]),
            r"Net: layers\[0\] must fit the 4 columns that it gets\. Parallel: .* add up to 3\.",
        ),
    ],
)
def test_wrong_branches(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


def test_scale_by_hand():
    A, p = np.array([[1.0, 2.0], [3.0, -1.0]]), {"s": np.array([2.0, 0.5])}
    Y, saved, _ = Scale().forward(p, {}, A, HERE)
    np.testing.assert_array_equal(Y, [[2.0, 1.0], [6.0, -0.5]])
    dA, g = Scale().backward(p, saved, np.array([[1.0, 1.0], [2.0, 4.0]]), HERE)
    np.testing.assert_array_equal(dA, [[2.0, 0.5], [4.0, 2.0]])
    np.testing.assert_array_equal(g["s"], [1 + 6, 2 - 4])
    np.testing.assert_array_equal(Scale().init(Stream.from_seed(0), 3)[0]["s"], np.ones(3))


def test_parametric_activation_by_hand():
    Z, p = np.array([[-2.0, -2.0, -2.0, 3.0]]), {"alpha": np.array([1.0, 0.0, 0.25, 0.5])}
    layer = ParametricActivation("relu")
    # relu, identity, three quarters of the identity; above 0 both agree
    Y, saved, _ = layer.forward(p, {}, Z, HERE)
    np.testing.assert_array_equal(Y, [[0.0, -2.0, -1.5, 3.0]])
    dZ, g = layer.backward(p, saved, np.full((1, 4), 2.0), HERE)
    np.testing.assert_array_equal(dZ, [[0.0, 2.0, 1.5, 2.0]])
    # relu(Z) - Z = 2, 2, 2, 0
    np.testing.assert_array_equal(g["alpha"], [4.0, 4.0, 4.0, 0.0])


def test_parametric_activation_starts_as_the_activation(rng):
    Z = rng.normal(size=(4, 3))
    p = ParametricActivation("gelu").init(Stream.from_seed(0), 3)[0]
    Y = ParametricActivation("gelu").forward(p, {}, Z, HERE)[0]
    np.testing.assert_allclose(Y, Activation("gelu").forward({}, {}, Z, HERE)[0], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("function", flat(ACTIVATION_SAMPLES), ids=str)
@pytest.mark.usefixtures("x64")
def test_parametric_activation_with_every_function_equals_jax(function, rng):
    layer, Z, dY = ParametricActivation(function), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    p = {"alpha": rng.normal(size=3)}
    dZ, g = layer.backward(p, layer.forward(p, {}, Z, HERE)[1], dY, HERE)
    pull = jax.vjp(lambda alpha, Z: layer.forward({"alpha": alpha}, {}, Z, Context(jnp))[0], p["alpha"], Z)[1]
    for hand, oracle in zip((g["alpha"], dZ), pull(dY), strict=True):
        np.testing.assert_allclose(hand, oracle, rtol=1e-11, atol=1e-12)


def test_first_weights_fitted_to_the_data_by_hand():
    net = Net(1, [Dense(2), Activation("relu"), Dense(1)])
    w = np.array([3.0, -0.5, 0.0, 10.0, 2.0, 4.0, 7.0])
    fitted = net.parameters.views(standardized_init(net, w, np.zeros(0), np.array([[2.0], [-2.0]])))
    # Z = ±6, ∓1: standard deviations 6 and 1, so W = 1/2, -1/2
    np.testing.assert_array_equal(fitted["0.W"], [[0.5, -0.5]])
    np.testing.assert_array_equal(fitted["0.b"], [0.0, 10.0])
    # A = relu(±1), relu(∓1 + 10) = (1, 9), (0, 11); A W = 2 + 36, 0 + 44: deviations 3
    np.testing.assert_allclose(fitted["2.W"], [[2 / 3], [4 / 3]], rtol=1e-15)
    np.testing.assert_array_equal(fitted["2.b"], [7.0])


def test_first_weights_of_every_unit_have_standard_deviation_one_and_zeros_stay(rng):
    net = Net(4, [Dense(8), BatchNorm(), ParametricActivation("tanh"), Dense(3)])
    w, buffers = net.init(0)
    before, X = w.copy(), rng.normal(3.0, 5.0, (200, 4))
    fitted = standardized_init(net, w, buffers, X)
    np.testing.assert_array_equal(w, before)
    np.testing.assert_allclose(net(fitted, buffers, X).std(axis=0), np.ones(3), rtol=1e-12)
    assert standardized_init(net, w.astype(np.float32), buffers, X).dtype == np.float32
    constant = standardized_init(Net(1, [Dense(2)]), np.array([0.3, 0.7, 0.0, 0.0]), np.zeros(0), np.full((7, 1), 0.1))
    np.testing.assert_array_equal(constant, [0.3, 0.7, 0.0, 0.0])
    silent = Net(4, [CosineEmbedding(2), Dense(3)])
    w, buffers = silent.init(0)
    np.testing.assert_array_equal(standardized_init(silent, w, buffers, X), w)
