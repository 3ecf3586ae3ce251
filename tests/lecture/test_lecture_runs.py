"""Why: the lecture's own experiments, digits, circles and caching, must give on this package what it promises.

In: its data, splits and settings. Out: accuracies, costs, and bytes on the tape.
"""

import functools

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_circles
from sklearn.model_selection import train_test_split

from chainrule import fit, mlp
from chainrule.data import Standardizer
from chainrule.engines.reference import logits
from chainrule.nn.layers import Context
from chainrule.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, mean_loss
from chainrule.nn.optimizers import Adam
from chainrule.random import Purpose, Stream


@functools.cache
def digits(*classes):
    """Standardized training and test rows, split as in the lecture."""
    X, y = load_digits(return_X_y=True)
    chosen = np.isin(y, classes)
    X, X_test, y, y_test = train_test_split(X[chosen], y[chosen], test_size=0.2, random_state=42, stratify=y[chosen])
    scale = Standardizer.fit(X)
    return scale.apply(X), y, scale.apply(X_test), y_test


def zero_against_one(seed, **advanced):
    """Training loss of the last epoch, training and test accuracy of 64-32-16-1 after 1000 full-batch epochs."""
    X, y, X_test, y_test = digits(0, 1)
    net = mlp(64, [32, 16], 1, **advanced)
    *_, last = fit(net, X, y, loss=BinaryCrossEntropy(), learning_rate=1e-3, epochs=1000, batch_size="full", seed=seed)
    state = last.state()

    def accuracy(X, y):
        return float(((logits(net, state.w, state.buffers, X)[:, 0] > 0) == y).mean())

    return last.train_loss, accuracy(X, y), accuracy(X_test, y_test)


def test_the_split_is_the_lectures():
    X, _, X_test, _ = digits(0, 1)
    assert (X.shape, X_test.shape) == ((288, 64), (72, 64))


@pytest.mark.parametrize("advanced", [{}, {"norm": "batch", "dropout": 0.2}], ids=["basic", "advanced"])
def test_zero_against_one(advanced):
    loss, train, test = zero_against_one(0, **advanced)
    assert loss < 0.01
    assert train == 1.0
    assert test >= 71 / 72, "at most one of the 72 test digits wrong"


def test_ten_digits_reach_the_promised_accuracy():
    X, y, X_test, y_test = digits(*range(10))
    net = mlp(64, [64], 10)
    *_, last = fit(net, X, y, loss=SoftmaxCrossEntropy(), learning_rate=3e-3, epochs=30, seed=0)
    state = last.state()
    assert float((logits(net, state.w, state.buffers, X_test).argmax(axis=1) == y_test).mean()) > 0.95


def circles_costs(beta1, beta2, seed=0):
    """Cost of every epoch of 2-16-8-1 on the noisy rings."""
    X, y = make_circles(n_samples=300, noise=0.15, factor=0.3, random_state=42)
    rule = Adam(beta1=beta1, beta2=beta2)
    options = {"optimizer": rule, "learning_rate": 0.01, "epochs": 500, "batch_size": "full", "seed": seed}
    return [epoch.train_loss for epoch in fit(mlp(2, [16, 8], 1), X, y, loss=BinaryCrossEntropy(), **options)]


@pytest.mark.parametrize(("beta1", "beta2"), [(0.9, 0.999), (0.8, 0.99)])
def test_both_adams_learn_the_circles(beta1, beta2):
    costs = circles_costs(beta1, beta2)
    assert 0.5 < costs[0] < 1.2
    assert costs[-1] < 0.05


def tapes(cache_every):
    """Bytes kept and gradient of a 10-layer network with batch norm and dropout on 512 rows."""
    net = mlp(64, [64] * 10, 1, norm="batch", dropout=0.2)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(512, 64)), rng.integers(0, 2, (512, 1)).astype(float)
    w, buffers = net.init(0)
    ctx = Context(np, training=True, stream=Stream.from_seed(0).fold(Purpose.DROPOUT, 0))
    Z, tape, _ = net.forward(w, buffers, X, ctx, cache_every)
    dZ = mean_loss(BinaryCrossEntropy(), np, Z, Y, np.ones(512))[1]
    return tape.nbytes, net.backward(w, tape, dZ, ctx)[1]


@pytest.mark.parametrize(("cache_every", "at_most"), [(2, 0.9), (4, 0.5), (8, 0.25), (41, 0.05)])
def test_recomputing_saves_tape_and_changes_no_gradient(cache_every, at_most):
    kept, g = tapes(1)
    fewer, again = tapes(cache_every)
    np.testing.assert_array_equal(again, g)
    assert fewer < at_most * kept
