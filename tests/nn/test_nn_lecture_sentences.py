"""Why: sentences of the lecture that no other test covers must be true of this package as they stand.

In: activations, layers and optimizers on values small enough to know the answer. Out: each sentence, checked.
"""

import numpy as np
import pytest

from chainrule import mlp
from chainrule.data import Standardizer
from chainrule.nn.activations import activation
from chainrule.nn.layers import Context, Dropout
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.optimizers import EmaMomentum, StepContext
from chainrule.nn.schedules import Exponential, InverseTimeDecay, Step
from chainrule.random import Stream


@pytest.mark.parametrize(("name", "low", "high"), [("sigmoid", 0.0, 1.0), ("tanh", -1.0, 1.0), ("relu", 0.0, 40.0)])
def test_activations_keep_to_their_ranges(name, low, high):
    A = activation(name).value(np, np.linspace(-40.0, 40.0, 801))
    assert A.min() == pytest.approx(low, abs=1e-12)
    assert A.max() == pytest.approx(high, abs=1e-12)


def test_inputs_of_thousands_saturate_a_sigmoid_layer_and_standardized_ones_do_not():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(0.0, 1.0, 500), rng.uniform(1000.0, 10000.0, 500)])
    net = mlp(2, [32], 1, activation="sigmoid")
    w, buffers = net.init(0)

    def flat(rows):
        """The share of the hidden units' slopes below a hundredth."""
        A = net.trace(w, buffers, rows, np.ones_like, Context(np))[1].output
        return (A * (1.0 - A) < 0.01).mean()

    assert flat(X) > 0.9
    assert flat(Standardizer.fit(X).apply(X)) < 0.05


def test_the_loss_punishes_a_confident_mistake_more_than_a_doubtful_one():
    loss = BinaryCrossEntropy()
    J = loss.rows(np, np.array([[-8.0], [-1.0], [0.0], [1.0], [8.0]]), np.ones((5, 1)))
    assert np.all(np.diff(np.ravel(J)) < 0)
    assert np.ravel(J)[0] == pytest.approx(8.0, abs=1e-3)


def test_dropout_sends_the_gradient_through_the_mask_of_the_forward_pass():
    layer = Dropout(0.4)
    ctx = Context(np, training=True, stream=Stream.from_seed(3))
    A = np.ones((20, 10))
    out, tape, *_ = layer.forward({}, {}, A, ctx)
    dA = layer.backward({}, tape, np.ones_like(A), ctx)[0]
    assert set(np.unique(out).round(12)) == {0.0, round(1 / 0.6, 12)}
    np.testing.assert_array_equal(dA, out)


def test_recent_gradients_weigh_more_and_old_ones_are_forgotten():
    beta = 0.9

    def left_of(age):
        """What an impulse of so many steps ago still has in V."""
        rule, w = EmaMomentum(beta=beta), np.zeros(1)
        memory = {letter: np.zeros(1) for letter in rule.state_names}
        for t in range(age + 1):
            g = np.ones(1) if t == 0 else np.zeros(1)
            w, memory = rule.update(w, g, memory, StepContext(np, t + 1, 0.1, np.zeros(1)))
        return float(next(iter(memory.values()))[0])

    weights = [left_of(age) for age in range(60)]
    np.testing.assert_allclose(weights, (1 - beta) * beta ** np.arange(60), rtol=1e-12)


def test_step_decay_drops_exponential_is_smooth_and_inverse_time_falls_first_fast_then_slowly():
    at = np.arange(1000)
    step, smooth, inverse = (
        np.array([s.factor(float(e), 1000) for e in at])
        for s in (Step(drop=0.5, every=200), Exponential(k=0.005), InverseTimeDecay(k=0.005))
    )
    assert list(np.flatnonzero(np.diff(step))) == [199, 399, 599, 799]
    np.testing.assert_allclose(smooth[1:] / smooth[:-1], np.exp(-0.005))
    falls = -np.diff(inverse)
    assert np.all(np.diff(falls) < 0)
    assert falls[0] > 20 * falls[-1]
