"""Why: the lecture prints a network whose gradient is wrong with batch norm on; a gradient check must say so, and say where.

In: that network's equations (columns are examples), rebuilt here with each departure as a switch. Out: its relative errors
against central differences, and the same network in this package, which passes.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from chainrule import Activation, BatchNorm, Dense, Net, fit
from chainrule.nn.gradcheck import gradcheck
from chainrule.nn.layers import Context
from chainrule.nn.losses import BinaryCrossEntropy, mean_loss
from chainrule.nn.step import State

DIMS, EXAMPLES, EPSILON = (5, 4, 3, 1), 16, 1e-5
SEEDS = range(20)


def sigmoid(Z):
    return 1 / (1 + np.exp(-Z))


@dataclass(frozen=True)
class Printed:
    """Hidden layers W A + b, batch norm, relu; sigmoid output; no dropout. The switches mend one fault each."""

    batch_norm: bool = True
    slope_where_relu_was: bool = False
    mean_in_gamma_and_beta: bool = False

    def forward(self, P, X):
        """Predictions (1, m), and of each hidden layer: input, Z, normalized Z, deviation, what relu saw."""
        A, kept = X, []
        for layer in (1, 2):
            Z = P[f"W{layer}"] @ A + P[f"b{layer}"]
            deviation = np.sqrt(Z.var(axis=1, keepdims=True) + EPSILON)
            Zhat = (Z - Z.mean(axis=1, keepdims=True)) / deviation
            seen = P[f"gamma{layer}"] * Zhat + P[f"beta{layer}"] if self.batch_norm else Z
            kept.append((A, Z, Zhat, deviation, seen))
            A = np.maximum(seen, 0)
        return sigmoid(P["W3"] @ A + P["b3"]), A, kept

    def cost(self, P, X, Y):
        prediction = self.forward(P, X)[0]
        return -np.mean(Y * np.log(prediction) + (1 - Y) * np.log(1 - prediction))

    def gradients(self, P, X, Y):
        """As printed: 1/m in every dW and db, none in dγ and dβ; relu's slope at Z."""
        m = X.shape[1]
        prediction, A, kept = self.forward(P, X)
        dZ = prediction - Y
        g = {"W3": dZ @ A.T / m, "b3": dZ.sum(axis=1, keepdims=True) / m}
        dA = P["W3"].T @ dZ
        for layer in (2, 1):
            A, Z, Zhat, deviation, seen = kept[layer - 1]
            dZ = dA * ((seen if self.slope_where_relu_was else Z) > 0)
            if self.batch_norm:
                share = 1 / m if self.mean_in_gamma_and_beta else 1
                g[f"gamma{layer}"] = share * (dZ * Zhat).sum(axis=1, keepdims=True)
                g[f"beta{layer}"] = share * dZ.sum(axis=1, keepdims=True)
                dZhat = dZ * P[f"gamma{layer}"]
                along = Zhat * (dZhat * Zhat).mean(axis=1, keepdims=True)
                dZ = (dZhat - dZhat.mean(axis=1, keepdims=True) - along) / deviation
            g[f"W{layer}"] = dZ @ A.T / m
            g[f"b{layer}"] = dZ.sum(axis=1, keepdims=True) / m
            dA = P[f"W{layer}"].T @ dZ
        return g


def problem(seed):
    """Parameters by the lecture's rule, but biases not zero (see `test_rows_can_sit_on_the_kink`), and 16 examples."""
    rng = np.random.default_rng(seed)
    P = {}
    for layer, (d, k) in enumerate(pairwise(DIMS), start=1):
        P[f"W{layer}"] = rng.normal(size=(k, d)) * np.sqrt(2 / d)
        P[f"b{layer}"] = 0.1 * rng.normal(size=(k, 1))
        P |= {f"gamma{layer}": np.ones((k, 1)), f"beta{layer}": np.zeros((k, 1))} if layer < 3 else {}
    return P, rng.normal(size=(5, EXAMPLES)), rng.integers(0, 2, (1, EXAMPLES)).astype(float)


def differences(cost, P, name, h=1e-5):
    """Central differences of the cost in every entry of one array."""
    slopes = np.empty_like(P[name])
    for entry in np.ndindex(slopes.shape):
        up, down = P[name].copy(), P[name].copy()
        up[entry] += h
        down[entry] -= h
        slopes[entry] = (cost({**P, name: up}) - cost({**P, name: down})) / (2 * h)
    return slopes


def compare(network, seed):
    """By array: relative error ‖a - n‖ / (‖a‖ + ‖n‖), and the ratio of lengths ‖a‖ / ‖n‖."""
    P, X, Y = problem(seed)
    found = {}
    for name, a in network.gradients(P, X, Y).items():
        if network.batch_norm and name in ("b1", "b2"):
            continue  # Batch norm takes the mean off again: the gradient is 0 and has no relative error.
        n = differences(lambda Q: network.cost(Q, X, Y), P, name)
        a_length, n_length = np.linalg.norm(a), np.linalg.norm(n)
        found[name] = (np.linalg.norm(a - n) / (a_length + n_length), a_length / n_length)
    return found


def errors(network):
    """Relative errors by array, one for each seed."""
    found = [compare(network, seed) for seed in SEEDS]
    return {name: np.array([result[name][0] for result in found]) for name in found[0]}


def test_printed_network_passes_without_batch_norm():
    for name, error in errors(Printed(batch_norm=False)).items():
        assert error.max() < 1e-7, name


def test_printed_network_fails_with_batch_norm():
    error = errors(Printed())
    assert error["W3"].max() < 1e-9, "behind the last batch norm all is well"
    assert error["W1"].min() > 0.05
    assert 0.3 < np.median(error["W1"]) < 0.6, "tens of percent"
    assert np.median(error["W2"]) > 0.1
    assert min(error[name].min() for name in ("gamma1", "gamma2", "beta1", "beta2")) > 0.1


def test_mending_the_slope_leaves_gamma_and_beta_too_large_by_the_number_of_examples():
    network = Printed(slope_where_relu_was=True)
    for name, (error, ratio) in compare(network, seed=0).items():
        if name[:-1] in ("gamma", "beta"):
            assert ratio == pytest.approx(EXAMPLES, rel=1e-6)
            assert error == pytest.approx((EXAMPLES - 1) / (EXAMPLES + 1), rel=1e-6)
        else:
            assert error < 1e-7, name


def test_mending_the_mean_leaves_the_weights_wrong():
    error = errors(Printed(mean_in_gamma_and_beta=True))
    assert np.median(error["W1"]) > 0.3
    assert np.median(error["gamma1"]) > 0.05


def test_mending_both_passes():
    for name, error in errors(Printed(slope_where_relu_was=True, mean_in_gamma_and_beta=True)).items():
        assert error.max() < 1e-7, name


def ours(batch_norm):
    """The same network in this package: layers and names by which the printed parameters are found."""
    norm = [BatchNorm(epsilon=EPSILON)] if batch_norm else []
    hidden = [layer for units in DIMS[1:3] for layer in (Dense(units), *norm, Activation("relu"))]
    return Net(5, [*hidden, Dense(1)])


def flat(net, P):
    """Printed parameters as our flat vector: weights transposed, columns as vectors."""
    per_layer = 3 if any(isinstance(layer, BatchNorm) for layer in net.layers) else 2
    arrays = {}
    for slot in net.parameters.slots:
        index, letter = slot.name.split(".")
        arrays[slot.name] = P[f"{letter}{int(index) // per_layer + 1}"].T.reshape(slot.shape)
    return net.parameters.pack(np, arrays, np.zeros(0))


@pytest.mark.parametrize("batch_norm", [True, False])
def test_ours_passes_on_the_same_network(batch_norm):
    net = ours(batch_norm)
    for seed in SEEDS[:8]:
        P, X, Y = problem(seed)
        report = gradcheck(net, BinaryCrossEntropy(), X.T, Y.T, w=flat(net, P))
        assert report.passed(1e-7), f"seed {seed}: {report.worst}"


@pytest.mark.parametrize("batch_norm", [True, False])
def test_ours_has_the_mended_gradients(batch_norm):
    net, (P, X, Y) = ours(batch_norm), problem(0)
    network = Printed(batch_norm, slope_where_relu_was=True, mean_in_gamma_and_beta=True)
    w, buffers, ctx = flat(net, P), net.init(0)[1], Context(np, training=True)
    Z, tape, _ = net.forward(w, buffers, X.T, ctx)
    np.testing.assert_allclose(sigmoid(Z).T, network.forward(P, X)[0], rtol=1e-12)
    g = net.backward(w, tape, mean_loss(BinaryCrossEntropy(), np, Z, Y.T, np.ones(EXAMPLES))[1], ctx)[1]
    np.testing.assert_allclose(g, flat(net, network.gradients(P, X, Y)), rtol=1e-9, atol=1e-15)


def printed_training(network, P, X, Y, steps):
    """The printed Adam on what the printed network hands it: W and b, never γ and β."""
    handed = [name for name in P if name[0] in "Wb" and not name.startswith("beta")]
    m, v = ({name: np.zeros_like(P[name]) for name in handed} for _ in range(2))
    for t in range(1, steps + 1):
        g = network.gradients(P, X, Y)
        for name in handed:
            m[name] = 0.9 * m[name] + 0.1 * g[name]
            v[name] = 0.999 * v[name] + 0.001 * g[name] ** 2
            step = 0.001 * (m[name] / (1 - 0.9**t)) / (np.sqrt(v[name] / (1 - 0.999**t)) + 1e-8)
            P = {**P, name: P[name] - step}
    return P


def trained(net, P, X, Y, steps):
    """Our parameters by name after full-batch steps of Adam from the printed ones."""
    zeros = np.zeros(net.size)
    start = State(flat(net, P), net.init(0)[1], {"m": zeros, "v": zeros}, 0)
    options = {"epochs": steps, "batch_size": "full", "dtype": "float64", "start": start}
    *_, last = fit(net, X.T, Y.T, loss=BinaryCrossEntropy(), **options)
    return last.state().w


def test_without_batch_norm_both_train_alike():
    net, (P, X, Y) = ours(batch_norm=False), problem(3)
    expected = flat(net, printed_training(Printed(batch_norm=False), P, X, Y, steps=200))
    assert np.abs(expected - flat(net, P)).max() > 0.05, "it did train"
    # Adam divides by the root of a mean square: rounding grows where a gradient is near 0, so not to the last bit.
    np.testing.assert_allclose(trained(net, P, X, Y, steps=200), expected, rtol=1e-9, atol=1e-9)


def test_only_ours_trains_gamma_and_beta():
    net, (P, X, Y) = ours(batch_norm=True), problem(3)
    after = printed_training(Printed(), P, X, Y, steps=50)
    ours_after = net.parameters.views(trained(net, P, X, Y, steps=50))
    for name, mine in {"gamma1": "1.gamma", "gamma2": "4.gamma", "beta1": "1.beta", "beta2": "4.beta"}.items():
        np.testing.assert_array_equal(after[name], P[name])
        assert (ours_after[mine] != P[name].ravel()).all()


def test_rows_can_sit_on_the_kink():
    """With b = 0 a row whose first units are all off has Z₂ = 0 exactly, where relu has no derivative to compare with."""
    network = Printed(batch_norm=False)
    P, X, Y = problem(0)
    P = {name: 0 * array if name.startswith("b") else array for name, array in P.items()}
    P["W1"], X, Y = -np.abs(P["W1"]), np.abs(X), np.ones_like(Y)
    a, n = network.gradients(P, X, Y)["b2"], differences(lambda Q: network.cost(Q, X, Y), P, "b2")
    np.testing.assert_array_equal(a, 0.0)
    assert np.abs(n).max() > 0.01, "differences see half of the slope on the far side"
