"""Why: what the lecture says of depth, symmetry, saturation and first weights must come out when it is run.

In: small networks of the package. Out: each claim with its figure.
"""

import numpy as np
import pytest

from chainrule import Activation, Dense, Net, fit, mlp
from chainrule.nn.activations import activation
from chainrule.nn.initializers import Constant, Normal
from chainrule.nn.layers import Context
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, mean_loss

TRAINING = Context(np, training=True)


def drawn_parameters(net, seed):
    """Parameters with biases that are not zero."""
    return np.random.default_rng(seed).normal(size=net.size)


def three_layers(function):
    return Net(4, [Dense(5), Activation(function), Dense(6), Activation(function), Dense(3)])


def test_linear_layers_collapse_into_one():
    net = three_layers("identity")
    w = drawn_parameters(net, 0)
    p = net.parameters.views(w)
    W = p["0.W"] @ p["2.W"] @ p["4.W"]
    b = p["0.b"] @ p["2.W"] @ p["4.W"] + p["2.b"] @ p["4.W"] + p["4.b"]
    X = np.random.default_rng(1).normal(size=(50, 4))
    expected = X @ W + b
    error = np.abs(net(w, np.zeros(0), X) - expected).max() / np.abs(expected).max()
    assert error < 1e-14, "sums of at most 6 products, in another order: a few units of 1.1e-16"


@pytest.mark.parametrize(("function", "affine"), [("identity", True), ("relu", False), ("tanh", False)])
def test_only_a_nonlinear_activation_bends_the_function(function, affine):
    net = three_layers(function)
    w = drawn_parameters(net, 0)
    X, Y = np.random.default_rng(1).normal(size=(2, 50, 4))
    Z = net(w, np.zeros(0), np.concatenate([X, Y, (X + Y) / 2]))
    ends, middle = (Z[:50] + Z[50:100]) / 2, Z[100:]
    bend = np.abs(middle - ends).max() / np.abs(ends).max()
    assert bend < 1e-14 if affine else bend > 0.1


@pytest.mark.parametrize(("weight", "power"), [(1.5, 57.6650390625), (0.5, 0.0009765625)])
def test_ten_identity_layers_multiply_forward_and_backward(weight, power):
    net = Net(2, [Dense(2, bias=False) for _ in range(10)])
    w = np.tile(weight * np.eye(2).ravel(), 10)
    X = np.array([[1.0, -2.0], [0.5, 4.0]])
    Z, tape, _ = net.forward(w, np.zeros(0), X, TRAINING)
    dX, g = net.backward(w, tape, np.ones_like(Z), TRAINING)
    # 3^10 / 2^10 and its factors need at most 16 bits, so nothing is rounded on the way.
    np.testing.assert_array_equal(Z, power * X)
    np.testing.assert_array_equal(dX, np.full_like(X, power))
    first = net.parameters.views(g)["0.W"]
    np.testing.assert_array_equal(first, power / weight * X.sum(axis=0)[:, None] * np.ones((1, 2)))


def trained_hidden_units(rule):
    """W of the hidden layer, one column per unit, before and after 100 steps on an XOR of signs."""
    net = mlp(2, [8], 1, activation="tanh", initializer=rule)
    X = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    first = net.parameters.views(net.init(0)[0])["0.W"]
    options = {"learning_rate": 0.05, "epochs": 100, "batch_size": "full", "dtype": "float64"}
    *_, last = fit(net, X, y, loss=BinaryCrossEntropy(), **options)
    return first, net.parameters.views(last.state().w)["0.W"], last.train_loss


def spread_between_units(W):
    return float(np.ptp(W, axis=1).max())


def test_equal_first_weights_stay_equal():
    first, after, loss = trained_hidden_units(Constant(0.5))
    assert np.abs(after - first).max() > 0.1, "it did train"
    assert spread_between_units(after) < 1e-12, "eight units, one function"
    assert loss > 0.5, "log 2 = 0.69 is guessing, and one unit cannot do XOR"


def test_random_first_weights_break_the_symmetry():
    first, after, loss = trained_hidden_units("xavier")
    assert spread_between_units(after) > spread_between_units(first) > 0.5
    assert loss < 0.1


def test_sigmoid_is_flat_where_relu_passes_the_gradient():
    Z = np.array([[-10.0, 0.0, 10.0]])
    sigmoid, relu = activation("sigmoid"), activation("relu")
    slopes = sigmoid.derivative(np, Z, sigmoid.value(np, Z))
    np.testing.assert_allclose(slopes, [[4.5396e-05, 0.25, 4.5396e-05]], rtol=1e-4)
    np.testing.assert_array_equal(relu.derivative(np, Z, relu.value(np, Z))[0, [0, 2]], [0.0, 1.0])


def first_over_last_gradient(function, seed, depth=10, width=32):
    """‖dW‖ of the first hidden layer over that of the last one."""
    net = mlp(width, [width] * depth, 1, activation=function)
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(200, width)), rng.integers(0, 2, (200, 1)).astype(float)
    w, buffers = net.init(seed)
    Z, tape, _ = net.forward(w, buffers, X, TRAINING)
    dZ = mean_loss(BinaryCrossEntropy(), np, Z, Y, np.ones(200))[1]
    g = net.parameters.views(net.backward(w, tape, dZ, TRAINING)[1])
    return float(np.linalg.norm(g["0.W"]) / np.linalg.norm(g[f"{2 * (depth - 1)}.W"]))


def test_saturation_starves_the_first_layer_of_a_deep_sigmoid_network():
    sigmoid, relu = ([first_over_last_gradient(f, seed) for seed in range(10)] for f in ("sigmoid", "relu"))
    # Nine layers at the sigmoid's best slope, 1/4, with weights that keep lengths on average: 4^-9 = 4e-6.
    assert np.median(sigmoid) < 4e-6
    assert 0.1 < np.median(relu) < 10
    assert min(relu) > 1000 * max(sigmoid)


def spreads(function, rule, depth=30, width=256):
    """Variance of the inputs, then of the activations after each layer; share of |A| > 0.99 in the last."""
    net = mlp(width, [width] * depth, 1, activation=function, initializer=rule)
    X = np.random.default_rng(0).normal(size=(200, width))
    w, buffers = net.init(0)
    kept = net.forward(w, buffers, X, Context(np))[1].layers[::2]
    signals = [layer["A"] for layer in kept]
    return np.array([np.mean(A**2) for A in signals]), float((np.abs(signals[-1]) > 0.99).mean())


@pytest.mark.parametrize(("function", "rule", "low", "high"), [("relu", "he", 0.2, 5.0), ("tanh", "xavier", 1e-2, 1.0)])
def test_scaled_first_weights_carry_the_signal_through_thirty_layers(function, rule, low, high):
    size, _ = spreads(function, rule)
    # tanh's own curvature takes 2q² off a small variance q per layer, which leaves about 1/(2·30) in the end.
    assert low < size[-1] / size[0] < high


def test_small_first_weights_let_the_signal_vanish():
    for function, per_layer in (("relu", 256 * 1e-4 / 2), ("tanh", 256 * 1e-4)):
        size, _ = spreads(function, Normal(sigma=0.01))
        assert size[-1] < 1e-40
        assert np.log10(size[-1]) == pytest.approx(30 * np.log10(per_layer), rel=0.05)


def test_large_first_weights_explode_or_saturate():
    size, _ = spreads("relu", Normal(sigma=1.0))
    assert np.log10(size[-1]) == pytest.approx(30 * np.log10(256 / 2), rel=0.05)
    _, saturated = spreads("tanh", Normal(sigma=1.0))
    assert saturated > 0.8


def test_gradient_of_the_mean_is_the_mean_of_the_gradients():
    net = mlp(3, [5], 2)
    w, buffers = net.init(0)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))

    def gradient(rows):
        Z, tape, _ = net.forward(w, buffers, X[rows], TRAINING)
        dZ = mean_loss(MeanSquaredError(), np, Z, Y[rows], np.ones(len(rows)))[1]
        return net.backward(w, tape, dZ, TRAINING)[1]

    each = np.mean([gradient([i]) for i in range(7)], axis=0)
    np.testing.assert_allclose(gradient(list(range(7))), each, rtol=1e-12, atol=1e-15)


def test_output_layer_gradient_is_prediction_minus_target_times_its_inputs():
    net = mlp(3, [4], 1, activation="sigmoid")
    w, buffers = net.init(0)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(9, 3)), rng.integers(0, 2, (9, 1)).astype(float)
    Z, tape, _ = net.forward(w, buffers, X, TRAINING)
    dZ = mean_loss(BinaryCrossEntropy(), np, Z, Y, np.ones(9))[1]
    g = net.parameters.views(net.backward(w, tape, dZ, TRAINING)[1])
    p = net.parameters.views(w)
    A = 1 / (1 + np.exp(-(X @ p["0.W"] + p["0.b"])))
    a = 1 / (1 + np.exp(-(A @ p["2.W"] + p["2.b"])))
    np.testing.assert_allclose(g["2.W"], A.T @ (a - Y) / 9, rtol=1e-12)
    delta = (a - Y) @ p["2.W"].T * A * (1 - A)
    np.testing.assert_allclose(g["0.W"], X.T @ delta / 9, rtol=1e-12)
