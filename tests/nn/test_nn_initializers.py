"""Why: first weights must have the spread that the published rule says. In: every rule. Out: moments, bounds, defaults."""

import math

import numpy as np
import pytest
from registry import INITIALIZER_SAMPLES, flat, name

from chainrule import Activation, BatchNorm, Dense, Dropout, Net
from chainrule.errors import InvalidValueError
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.initializers import INITIALIZERS, Constant, Normal, Orthogonal, default_for, initializer
from chainrule.random import Stream

every_rule = pytest.mark.parametrize("rule", flat(INITIALIZER_SAMPLES), ids=name)
N_IN, N_OUT = 300, 200
DRAWS = N_IN * N_OUT
SIGMA = {
    "normal": 0.01,
    "xavier": math.sqrt(1 / N_IN),
    "lecun": math.sqrt(1 / N_IN),
    "he": math.sqrt(2 / N_IN),
    "glorot": math.sqrt(2 / (N_IN + N_OUT)),
}
SIGMA |= {f"{key}_uniform": SIGMA[key] for key in ("xavier", "lecun", "he", "glorot")}


@every_rule
def test_shape_dtype_and_determinism(rule):
    W = rule.draw(Stream.from_seed(1), 4, 3)
    assert W.shape == (4, 3)
    assert W.dtype == np.float64
    np.testing.assert_array_equal(W, rule.draw(Stream.from_seed(1), 4, 3))
    other = rule.draw(Stream.from_seed(2), 4, 3)
    assert (other != W).any() == (np.ptp(W) > 0)


@pytest.mark.parametrize("key", SIGMA)
def test_mean_and_variance(key):
    W = INITIALIZERS[key].draw(Stream.from_seed(0), N_IN, N_OUT)
    # five standard errors: of the mean σ/√N, of the variance σ²√(2/N) for normal draws (less for uniform ones)
    assert abs(W.mean()) < 5 * SIGMA[key] / math.sqrt(DRAWS)
    assert abs(W.var() / SIGMA[key] ** 2 - 1) < 5 * math.sqrt(2 / DRAWS)


@pytest.mark.parametrize("key", [key for key in SIGMA if key.endswith("uniform")])
def test_uniform_draws_fill_their_interval(key):
    largest = np.abs(INITIALIZERS[key].draw(Stream.from_seed(0), N_IN, N_OUT)).max() / (SIGMA[key] * math.sqrt(3))
    # none of N draws in the outer 1e-3 has probability (1 - 1e-3)^60000 = 1e-26
    assert 0.999 < largest < 1.0


@pytest.mark.parametrize("key", [key for key in SIGMA if not key.endswith("uniform")])
def test_normal_draws_have_normal_tails(key):
    W = INITIALIZERS[key].draw(Stream.from_seed(0), N_IN, N_OUT) / SIGMA[key]
    # P(|w| > 2) = 0.0455 for a normal variable, five standard deviations of a share of N
    assert abs((np.abs(W) > 2).mean() - 0.0455) < 5 * math.sqrt(0.0455 / DRAWS)


def test_symmetric_rules():
    np.testing.assert_array_equal(INITIALIZERS["zeros"].draw(Stream.from_seed(0), 2, 2), np.zeros((2, 2)))
    np.testing.assert_array_equal(Constant(0.3).draw(Stream.from_seed(0), 2, 2), np.full((2, 2), 0.3))
    np.testing.assert_array_equal(Normal(sigma=0.0).draw(Stream.from_seed(0), 2, 2), np.zeros((2, 2)))


@pytest.mark.parametrize(("n_in", "n_out"), [(7, 7), (9, 4), (4, 9), (1, 3)])
def test_orthogonal(n_in, n_out):
    W = Orthogonal(gain=2.0).draw(Stream.from_seed(0), n_in, n_out) / 2.0
    product = W.T @ W if n_in >= n_out else W @ W.T
    np.testing.assert_allclose(product, np.eye(min(n_in, n_out)), atol=1e-14)


def test_orthogonal_is_uniform_over_rotations_and_reflections():
    signs = [np.sign(np.linalg.det(Orthogonal().draw(Stream.from_seed(seed), 2, 2))) for seed in range(400)]
    # rotations and reflections are equally frequent: five standard deviations of 400 coin throws
    assert abs(sum(signs)) < 5 * math.sqrt(400)


DEFAULTS = {
    "sigmoid": "xavier",
    "tanh": "xavier",
    "identity": "xavier",
    "exp": "xavier",
    "selu": "lecun",
    **dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), "he"),
}


@pytest.mark.parametrize("key", ACTIVATIONS)
def test_net_gives_each_dense_the_rule_of_the_activation_behind_it(key):
    net = Net(3, [Dense(4), BatchNorm(), Dropout(0.1), Activation(key), Dense(2)])
    assert (net.layers[0].initializer, net.layers[4].initializer) == (DEFAULTS[key], "xavier")
    assert default_for(ACTIVATIONS[key]) == DEFAULTS[key]


def test_net_keeps_a_chosen_rule_and_looks_no_further_than_the_next_dense():
    net = Net(3, [Dense(4, initializer="zeros"), Activation("relu"), Dense(4), Dense(4), Activation("selu")])
    assert [layer.initializer for layer in net.layers if isinstance(layer, Dense)] == ["zeros", "xavier", "lecun"]


def test_lookup():
    assert initializer(Normal(sigma=0.5)) == Normal(sigma=0.5)
    with pytest.raises(InvalidValueError, match=r"got 'Xaviar'\. Did you mean 'xavier'\?"):
        initializer("Xaviar")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(sigma=-1.0), r"Normal: sigma must be in \[0, inf\), got -1\.0"),
        (lambda: Orthogonal(gain=0.0), r"Orthogonal: gain must be in \(0, inf\), got 0\.0"),
        (
            lambda: type(INITIALIZERS["he"])(distribution="gauss"),
            r"He: distribution must be one of 'normal', 'uniform', got 'gauss'",
        ),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()
