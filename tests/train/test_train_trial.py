"""Why: two trials from one state must differ by nothing but what was changed. In: small runs. Out: the steps that the loop
takes, and what comes of states and rates that do not fit.
"""

from dataclasses import replace

import numpy as np
import pytest

from chainrule import mlp
from chainrule.engines import ENGINES, Rows, available
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.optimizers import SGD, Adam, EmaMomentum, GradientAccumulation
from chainrule.nn.schedules import Cosine
from chainrule.nn.step import Recipe
from chainrule.train import TrainConfig
from chainrule.train.loop import iterate
from chainrule.train.trial import steps

COURSE = TrainConfig(5, 0.02, Cosine())


@pytest.fixture(params=["reference", "native"], name="engine")
def _engine(request):
    if available(request.param):
        pytest.skip(f"{request.param}: {available(request.param)}")
    return request.param


def setting(**changes):
    net = mlp(3, [6], 2, norm="batch", dropout=0.2)
    recipe = Recipe(net, MeanSquaredError(), Adam(), batch_size=5, seed=3, dtype="float64", **changes)
    rng = np.random.default_rng(0)
    return recipe, Rows.of(recipe, rng.normal(size=(17, 3)), rng.normal(size=(17, 2)))


def test_steps_are_those_of_the_run(engine):
    recipe, rows = setting(ema_decay=0.9)
    session = ENGINES[engine]().compile(recipe, rows)
    epochs = iterate(session, recipe, rows, COURSE)
    next(epochs)
    taken = session.state
    second = next(epochs)
    losses, after = steps(recipe, rows, COURSE, taken, 4, engine)
    assert losses.shape == (4,)
    sizes = np.array([5, 5, 5, 2])
    assert (losses * sizes).sum() / 17 == pytest.approx(second.train_loss, rel=1e-12)
    np.testing.assert_array_equal(after.w, session.state.w)
    np.testing.assert_array_equal(after.optimizer_state["average"], session.state.optimizer_state["average"])
    assert (int(taken.step), int(after.step)) == (4, 8)


def test_more_steps_than_an_epoch_and_than_the_course(engine):
    recipe, rows = setting()
    whole, end = steps(recipe, rows, COURSE, recipe.start(), 25, engine)
    first, middle = steps(recipe, rows, COURSE, recipe.start(), 11, engine)
    rest, same = steps(recipe, rows, COURSE, middle, 14, engine)
    np.testing.assert_array_equal(whole, np.concatenate([first, rest]))
    np.testing.assert_array_equal(end.w, same.w)


def test_the_rate_is_the_course_s():
    recipe, rows = setting()
    state = recipe.start()
    losses, _ = steps(recipe, rows, TrainConfig(5, 1e-12), state, 3, "reference")
    other, _ = steps(recipe, rows, TrainConfig(5, 1.0), state, 3, "reference")
    assert losses[0] == other[0]
    assert losses[1] != other[1]


@pytest.mark.parametrize(
    "change", [{"optimizer": EmaMomentum()}, {"ema_decay": 0.5}, {"optimizer": GradientAccumulation(Adam(), 2)}]
)
def test_another_recipe_takes_up_the_state(engine, change):
    recipe, rows = setting()
    _, state = steps(recipe, rows, COURSE, recipe.start(), 6, engine)
    other = replace(recipe, **change)
    losses, after = steps(other, rows, COURSE, state, 2, engine)
    assert np.isfinite(losses).all()
    assert losses[0] == steps(recipe, rows, COURSE, state, 1, engine)[0][0]
    assert set(after.optimizer_state) == set(other.optimizer_state)


def test_the_state_given_is_not_changed(engine):
    recipe, rows = setting()
    state = recipe.start()
    steps(recipe, rows, COURSE, state, 3, engine)
    np.testing.assert_array_equal(state.w, recipe.start().w)
    assert not any(vector.any() for vector in state.optimizer_state.values())


def test_losses_that_are_no_numbers_are_given_as_they_are(engine):
    recipe, rows = setting()
    recipe = replace(recipe, optimizer=SGD(), net=mlp(3, [6], 2), dtype="float32")
    rows = Rows.of(recipe, rows.X, rows.Y)
    losses, after = steps(recipe, rows, TrainConfig(5, 1e12), recipe.start(), 12, engine)
    assert np.isfinite(losses[0])
    assert not np.isfinite(losses[-1])
    assert int(after.step) == 12
