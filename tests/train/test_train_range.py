"""Why: the learning-rate range test must leave no trace in what it tested, and suggest a rate that trains.

In: sessions fresh and in the middle of a training, hand-made curves. Out: states to the bit, suggestions, errors.
"""

import numpy as np
import pytest

from chainrule import Activation, BatchNorm, Dense, Dropout, Net, fit, mlp
from chainrule.engines import Rows
from chainrule.engines.reference import ReferenceEngine
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.optimizers import SGD, Adam
from chainrule.nn.step import Recipe
from chainrule.train import RangeTest, range_test
from chainrule.train.range_test import valley


def session(net=None, optimizer=None, batch_size=8):
    """A session with every kind of state: weights, memory, running statistics, masks, shuffles."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    net = net or Net(3, [Dense(6), BatchNorm(), Activation("relu"), Dropout(0.2), Dense(1)])
    recipe = Recipe(net, MeanSquaredError(), optimizer or Adam(), batch_size=batch_size)
    rows = Rows.of(recipe, X, X @ [1.0, -2.0, 0.5])
    return ReferenceEngine().compile(recipe, rows), recipe, rows


def copy(state):
    return [
        state.w.copy(),
        state.buffers.copy(),
        *(v.copy() for v in state.optimizer_state.values()),
        np.array(state.step),
    ]


def assert_bitwise(before, after):
    for one, other in zip(before, after, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("steps", [0, 5, 7], ids=["fresh", "after an epoch", "within an epoch"])
def test_everything_is_as_it_was(steps):
    tested, recipe, rows = session()
    for done in range(steps):
        tested.run(*divmod(done, 5), np.array([0.01]))
    before = copy(tested.state)
    result = range_test(tested, recipe, rows, RangeTest(high=1e4))
    assert len(result.rates) >= 10
    assert_bitwise(before, copy(tested.state))
    untouched = session()[0]
    for done in range(steps):
        untouched.run(*divmod(done, 5), np.array([0.01]))
    for trained in (tested, untouched):
        trained.run(*divmod(steps, 5), np.array([0.01]))
    assert_bitwise(copy(untouched.state), copy(tested.state))


def test_everything_is_as_it_was_after_an_error():
    tested, recipe, rows = session(optimizer=SGD())
    before = copy(tested.state)
    with pytest.raises(InvalidValueError, match="low must be a rate at which the network trains, got 1e\\+30"):
        range_test(tested, recipe, rows, RangeTest(low=1e30, high=1e35))
    assert_bitwise(before, copy(tested.state))


def test_rates_rise_by_one_factor_and_the_loss_is_smoothed():
    settings = RangeTest(low=1e-6, high=1e-3, steps=40, smoothing=0.8)
    result = range_test(*session(), settings)
    assert len(result.rates) == len(result.losses) == len(result.smoothed) == 40
    np.testing.assert_allclose(result.rates[[0, -1]], [1e-6, 1e-3])
    np.testing.assert_allclose(result.rates[1:] / result.rates[:-1], 1000 ** (1 / 39))
    weights = 0.8 ** np.arange(40)
    mean = [np.sum(weights[: i + 1][::-1] * result.losses[: i + 1]) / weights[: i + 1].sum() for i in range(40)]
    np.testing.assert_allclose(result.smoothed, mean, rtol=1e-12)


def test_the_losses_are_those_of_training_at_these_rates():
    tested, recipe, rows = session()
    result = range_test(tested, recipe, rows, RangeTest(steps=12, high=0.01))
    losses = [tested.run(*divmod(i, 5), np.array([rate])).mean_loss for i, rate in enumerate(result.rates)]
    np.testing.assert_array_equal(result.losses, losses)


def test_it_ends_where_the_loss_explodes():
    result = range_test(*session(Net(3, [Dense(1)]), SGD(), 40), RangeTest(1e-4, 1e4, 100, give_up=2.0))
    assert len(result.rates) < 100
    assert np.isfinite(result.losses).all()
    assert (result.smoothed[1:] <= 2.0 * np.minimum.accumulate(result.smoothed)[:-1]).all()


def loss_at(factor):
    """Training loss after 10 epochs at a multiple of the suggested rate, on a smooth problem."""
    net = mlp(3, [16], 1)
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = np.sin(X @ [1.0, -2.0, 0.5])
    recipe = Recipe(net, MeanSquaredError(), batch_size=20)
    rows = Rows.of(recipe, X, y)
    rate = factor * range_test(ReferenceEngine().compile(recipe, rows), recipe, rows).suggestion
    *_, last = fit(net, X, y, loss=MeanSquaredError(), learning_rate=rate, epochs=10, batch_size=20)
    return last.train_loss


def test_the_suggestion_trains_and_is_not_ten_times_too_low_or_high():
    assert loss_at(1.0) < 0.5 * loss_at(0.01)
    assert loss_at(1.0) < 1.5 * min(loss_at(10.0), loss_at(0.1))


def test_valley_of_a_straight_decline():
    rates = 10.0 ** np.arange(-9, 0)
    # Nine points fall throughout: first 0, last 8; a third is 8/3, so 2, and a sixth more, 1.33, so 1.
    assert valley(rates, np.arange(9.0)[::-1]) == rates[3]


def test_valley_takes_the_longest_decline():
    rates = np.arange(1.0, 13.0)
    # 9 8 7.5 6.5 5.5 4.5 3.5 at positions 0 to 8, past two dips: 0 + int(8/3) + int(8/6) = 3.
    assert valley(rates, np.array([9, 8, 2, 7.5, 1, 6.5, 5.5, 4.5, 3.5, 20, 19, 18.0])) == rates[3]
    # 4 3 2 is shorter than the decline behind it, at positions 3 to 11: 3 + 2 + 1.
    assert valley(rates, np.array([4, 3, 2, 30, 29, 28, 27, 26, 25, 24, 23, 22.0])) == rates[6]


def test_valley_leaves_out_the_ends_of_long_curves():
    rates = np.arange(100.0)
    losses = np.concatenate([np.full(10, 50.0) - np.arange(10), np.full(20, 60.0), np.arange(60.0)[::-1], np.zeros(10)])
    # Kept are positions 10 to 94. 60 59 ... 0 runs from 29 to 89: 29 + 20 + 10.
    assert valley(rates, losses) == 59.0


def test_valley_of_fewer_losses_than_rates():
    rates = np.arange(1.0, 101.0)
    assert valley(rates, np.arange(9.0)[::-1]) == 4.0


def test_wrong_settings():
    with pytest.raises(InvalidValueError, match=r"low must be below high=0\.001, got 0\.1"):
        range_test(*session(), RangeTest(low=0.1, high=1e-3))
    with pytest.raises(InvalidValueError, match=r"low must be in \(0, inf\), got 0"):
        RangeTest(low=0.0)


def test_smoothing_is_a_share():
    unsmoothed = range_test(*session(), RangeTest(smoothing=0.0, high=0.01, give_up=1e9))
    np.testing.assert_array_equal(unsmoothed.smoothed, unsmoothed.losses)
    for share in (1.0, 2.0):
        with pytest.raises(InvalidValueError, match=r"smoothing must be in \[0, 1\)"):
            RangeTest(smoothing=share)


@pytest.mark.parametrize("steps", [1, 9])
def test_too_few_steps_are_refused(steps):
    with pytest.raises(InvalidValueError, match="steps must be a whole number in"):
        RangeTest(steps=steps)
