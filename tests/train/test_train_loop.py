"""Why: the loop decides which rows meet which rate in which step, and a run must be repeatable and resumable to the bit.

In: small data sets with seeds. Out: records, weights and rates against hand computation and against one another.
"""

import dataclasses
import functools
import math

import numpy as np
import pytest

import chainrule
from chainrule import Activation, BatchNorm, Dense, Dropout, Net, mlp
from chainrule.engines import Rows
from chainrule.engines.reference import ReferenceEngine
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import SGD, Adam, AdamW, GradientAccumulation
from chainrule.nn.penalties import ClipNorm, ClipValue, Penalty
from chainrule.nn.schedules import Cosine, Exponential, Plateau, ReduceOnPlateau, Step, WarmUp
from chainrule.nn.step import Recipe, Sums
from chainrule.train import TrainConfig, TrainingProblem
from chainrule.train import train as train_problem
from chainrule.train.checkpoint import checkpoint_folder
from chainrule.train.loop import iterate
from chainrule.train.records import Snapshot

fit = functools.partial(chainrule.fit, engine="reference")
EXACT = {"dtype": "float64", "batch_size": "full"}


RULE = ReduceOnPlateau(drop=0.1, patience=2)


def train(recipe, rows, config, checkpoint=None, start=None):
    return train_problem(TrainingProblem(recipe, rows, config, engine="reference", start=start), checkpoint=checkpoint)


def regression(n=12, d=3, k=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, k))


def everything():
    """A network in which every kind of state moves: weights, running statistics, masks."""
    return Net(3, [Dense(6), BatchNorm(), Activation("relu"), Dropout(0.3), Dense(2)])


def last(epochs):
    *_, final = epochs
    return final


def assert_same_state(one, other):
    """Equal to the last bit."""
    np.testing.assert_array_equal(one.w, other.w)
    np.testing.assert_array_equal(one.buffers, other.buffers)
    assert one.optimizer_state.keys() == other.optimizer_state.keys()
    for letter, vector in one.optimizer_state.items():
        np.testing.assert_array_equal(vector, other.optimizer_state[letter])
    assert int(one.step) == int(other.step)


def hand_step(X, Y, W, b, rate):
    """One step of gradient descent on the mean over rows and outputs of (XW + b - Y)², with J and ‖g‖."""
    R = X @ W + b - Y
    dW, db = 2 / R.size * X.T @ R, 2 / R.size * R.sum(axis=0)
    return W - rate * dW, b - rate * db, (R**2).mean(), math.sqrt((dW**2).sum() + (db**2).sum())


def test_first_epoch_is_one_step_of_gradient_descent():
    X, Y = regression()
    net = Net(3, [Dense(2)])
    first = net.parameters.views(net.init(0)[0])
    W, b, J, norm = hand_step(X, Y, first["0.W"], first["0.b"], 0.1)
    epoch = next(fit(net, X, Y, loss=MeanSquaredError(), optimizer=SGD(), learning_rate=0.1, **EXACT))
    after = net.parameters.views(epoch.state().w)
    np.testing.assert_allclose(after["0.W"], W, rtol=1e-13)
    np.testing.assert_allclose(after["0.b"], b, rtol=1e-13)
    assert epoch.train_loss == pytest.approx(J, rel=1e-13)
    assert epoch.train_score == pytest.approx(math.sqrt(J), rel=1e-13)
    assert epoch.gradient_norm == pytest.approx(norm, rel=1e-13)


def test_records_say_what_was_measured():
    X, Y = regression()
    X_held, Y_held = regression(n=5, seed=1)
    net = Net(3, [Dense(2)])
    options = {"optimizer": SGD(), "learning_rate": 0.1, "epochs": 3, "validation": (X_held, Y_held)}
    epochs = []
    for epoch in fit(net, X, Y, loss=MeanSquaredError(), batch_size=4, dtype="float64", **options):
        p = net.parameters.views(epoch.state().w)
        held_out = ((X_held @ p["0.W"] + p["0.b"] - Y_held) ** 2).mean()
        assert epoch.validation_loss == pytest.approx(held_out, rel=1e-13)
        assert epoch.validation_score == pytest.approx(math.sqrt(held_out), rel=1e-13)
        epochs.append(epoch)
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert {epoch.steps for epoch in epochs} == {3}
    assert {epoch.metric for epoch in epochs} == {"rmse"}
    assert all(epoch.complete and epoch.finite and epoch.seconds > 0 for epoch in epochs)
    assert {epoch.learning_rate for epoch in epochs} == {0.1}
    with pytest.raises(dataclasses.FrozenInstanceError):
        epochs[0].train_loss = 0.0


def test_record_without_validation_is_plain_data():
    X, Y = regression()
    record = next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError())).record()
    assert record["epoch"] == 1
    assert record["train_rmse"] == pytest.approx(math.sqrt(record["train_loss"]))
    assert record["validation_loss"] is None
    assert record["validation_rmse"] is None
    assert all(value is None or isinstance(value, int | float) for value in record.values())


def test_classes_score_by_accuracy():
    X, y = np.array([[-1.0], [1.0], [2.0]]), np.array([0, 1, 0])
    net = Net(1, [Dense(2, initializer="zeros")])
    epochs = list(fit(net, X, y, loss=SoftmaxCrossEntropy(), optimizer=SGD(), epochs=2, **EXACT))
    assert {epoch.metric for epoch in epochs} == {"accuracy"}
    assert epochs[0].train_loss == pytest.approx(math.log(2))
    assert epochs[0].train_score == pytest.approx(2 / 3), "equal logits: class 0"


def test_a_state_is_asked_for_before_the_next_epoch():
    X, Y = regression()
    kept = list(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), epochs=3))
    assert int(kept[-1].state().step) == 3
    with pytest.raises(InvalidValueError, match=r"Epoch: call state\(\) before the next epoch starts"):
        kept[0].state()


def test_a_state_does_not_move_with_the_training():
    X, Y = regression()
    running = fit(everything(), X, Y, loss=MeanSquaredError(), epochs=3)
    state = next(running).state()
    before = state.w.copy(), state.buffers.copy(), state.optimizer_state["m"].copy()
    list(running)
    for one, other in zip(before, (state.w, state.buffers, state.optimizer_state["m"]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("batch_size", "steps"), [("full", 1), (12, 1), (100, 1), (5, 3), (4, 3), (1, 12)])
def test_batch_sizes(batch_size, steps):
    X, Y = regression()
    epoch = last(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), batch_size=batch_size, epochs=4))
    assert (epoch.steps, int(epoch.state().step)) == (steps, 4 * steps)


def test_batch_size_zero_is_refused():
    X, Y = regression()
    with pytest.raises(InvalidValueError, match="batch_size must be a whole number in"):
        next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), batch_size=0))


def test_every_row_is_met_once_an_epoch_in_a_new_order():
    recipe = Recipe(Net(3, [Dense(2)]), MeanSquaredError(), batch_size=5, seed=3)
    orders = [recipe.order(np, 12, epoch) for epoch in range(4)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(12))
    assert len({tuple(order) for order in orders}) == 4
    np.testing.assert_array_equal(Recipe(recipe.net, recipe.loss, batch_size=12).order(np, 12, 0), np.arange(12))


def test_stochastic_epoch_is_a_step_for_each_row():
    X, Y = regression()
    net = Net(3, [Dense(2)])
    options = {"optimizer": SGD(), "learning_rate": 0.05, "batch_size": 1, "dtype": "float64", "seed": 4}
    epoch = next(fit(net, X, Y, loss=MeanSquaredError(), **options))
    p = net.parameters.views(net.init(4)[0])
    W, b, losses = p["0.W"], p["0.b"], []
    for i in Recipe(net, MeanSquaredError(), batch_size=1, seed=4).order(np, 12, 0):
        W, b, J, _ = hand_step(X[[i]], Y[[i]], W, b, 0.05)
        losses.append(J)
    np.testing.assert_allclose(net.parameters.views(epoch.state().w)["0.W"], W, rtol=1e-12)
    np.testing.assert_allclose(net.parameters.views(epoch.state().w)["0.b"], b, rtol=1e-12)
    assert epoch.train_loss == pytest.approx(np.mean(losses), rel=1e-12)


def test_every_step_drops_other_entries():
    X, Y = regression()
    options = {"loss": MeanSquaredError(), "optimizer": SGD(), "learning_rate": 1e-12, "epochs": 5} | EXACT
    nets = Net(3, [Dense(6), Dropout(0.5), Dense(2)]), Net(3, [Dense(6), Dropout(0.0), Dense(2)])
    dropped, whole = ([epoch.train_loss for epoch in fit(net, X, Y, **options)] for net in nets)
    assert np.abs(np.diff(dropped)).min() > 1e-3, "only the masks differ"
    assert np.abs(np.diff(whole)).max() < 1e-9


def test_one_seed_one_run():
    X, Y = regression(40)
    runs = [last(fit(everything(), X, Y, loss=MeanSquaredError(), epochs=3, batch_size=8, seed=s)) for s in (5, 5, 6)]
    assert_same_state(runs[0].state(), runs[1].state())
    assert dataclasses.replace(runs[0], seconds=0.0) == dataclasses.replace(runs[1], seconds=0.0)
    assert not np.array_equal(runs[0].state().w, runs[2].state().w)


def test_global_seeds_change_nothing():
    X, Y = regression(40)
    states = []
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        states.append(last(fit(everything(), X, Y, loss=MeanSquaredError(), epochs=2, batch_size=8)).state())
    assert_same_state(*states)


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize("schedule", [Cosine(), WarmUp(epochs=2, after=Exponential(k=0.3))])
def test_continuing_equals_the_uninterrupted_run(after, schedule):
    X, Y = regression(40)
    options = {"loss": MeanSquaredError(), "batch_size": 8, "schedule": schedule, "epochs": 6}
    whole = list(fit(everything(), X, Y, **options))
    part = fit(everything(), X, Y, **options)
    for _ in range(after):
        state = next(part).state()
    rest = list(fit(everything(), X, Y, **options, start=state))
    assert [epoch.number for epoch in rest] == list(range(after + 1, 7))
    assert [e.train_loss for e in rest] == [e.train_loss for e in whole[after:]]
    assert_same_state(rest[-1].state(), whole[-1].state())


@pytest.mark.parametrize("done", [1, 3])
def test_continuing_in_the_middle_of_an_epoch(done):
    X, Y = regression(40)
    recipe = Recipe(everything(), MeanSquaredError(), batch_size=8, seed=2)
    rows = Rows.of(recipe, X, Y)
    config = TrainConfig(4, 0.01, Exponential(k=0.2))
    whole = train(recipe, rows, config)
    session = ReferenceEngine().compile(recipe, rows)
    session.run(0, 0, config.rates(0, 5, 5, Plateau()))
    session.run(1, 0, config.rates(5, done, 5, Plateau()))
    assert int(session.state.step) == 5 + done
    rest = train(recipe, rows, config, start=session.state)
    assert [(epoch.number, epoch.steps) for epoch in rest.epochs] == [(2, 5 - done), (3, 5), (4, 5)]
    assert_same_state(rest.state, whole.state)


def test_continuing_under_a_plateau_rule_needs_the_past():
    X, Y = regression()
    options = {"optimizer": SGD(), "learning_rate": 1e-9, "schedule": RULE, "epochs": 6} | EXACT
    whole = list(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), **options))
    part = fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), **options)
    state = [next(part).state() for _ in range(4)][-1]
    rest = list(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), **options, start=state, past=whole[:4]))
    assert [epoch.learning_rate for epoch in rest] == [epoch.learning_rate for epoch in whole[4:]]
    assert_same_state(rest[-1].state(), whole[-1].state())


def test_a_finished_state_has_nothing_left():
    X, Y = regression()
    state = last(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), epochs=3)).state()
    assert list(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), epochs=3, start=state)) == []


def fitted(X, Y, c=None, **options):
    settings = {"loss": MeanSquaredError(), "learning_rate": 0.05, "epochs": 20, "sample_weight": c} | EXACT | options
    epoch = last(fit(mlp(3, [5], 2, activation="tanh"), X, Y, **settings))
    return epoch.state().w, epoch.train_loss


@pytest.mark.parametrize("optimizer", [SGD(), Adam()])
def test_weight_two_is_the_row_twice_and_weight_zero_is_no_row(optimizer):
    X, Y = regression()
    c = np.ones(12)
    c[[2, 7]], c[5] = 2.0, 0.0
    rows = np.repeat(np.arange(12), c.astype(int))
    w, loss = fitted(X, Y, c, optimizer=optimizer)
    expected, expected_loss = fitted(X[rows], Y[rows], optimizer=optimizer)
    assert np.abs(w - mlp(3, [5], 2, activation="tanh").init(0)[0]).max() > 0.01, "it did train"
    np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-12)
    assert loss == pytest.approx(expected_loss, rel=1e-9)


def test_only_the_ratios_of_weights_count():
    X, Y = regression()
    c = np.random.default_rng(0).uniform(0.5, 2.0, 12)
    np.testing.assert_allclose(fitted(X, Y, 8.0 * c)[0], fitted(X, Y, c)[0], rtol=1e-12)
    assert np.abs(fitted(X, Y, c)[0] - fitted(X, Y)[0]).max() > 1e-3


def test_validation_weights():
    X, Y = regression()
    held_out = (X[:2], Y[:2], np.array([3.0, 0.0]))
    weighted = next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), validation=held_out, **EXACT))
    alone = next(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), validation=(X[:1], Y[:1]), **EXACT))
    assert weighted.validation_loss == pytest.approx(alone.validation_loss, rel=1e-12)


@pytest.mark.parametrize(("norm", "steps"), [("batch", 2), ("layer", 3), (None, 3)])
def test_a_single_row_left_over_is_skipped_with_batch_norm(norm, steps):
    X, Y = regression(9)
    net = mlp(3, [4], 2, norm=norm)
    assert next(fit(net, X, Y, loss=MeanSquaredError(), batch_size=4)).steps == steps
    assert next(fit(net, X[:8], Y[:8], loss=MeanSquaredError(), batch_size=4)).steps == 2


def test_groups_freeze_and_scale():
    X, Y = regression()
    net = mlp(3, [4], 2, activation="tanh")
    first = net.init(0)[0]
    options = {"loss": MeanSquaredError(), "optimizer": SGD(), "learning_rate": 0.1} | EXACT
    free, scaled = (
        net.parameters.views(
            next(fit(net, X, Y, **options, learning_rate_multipliers=learning_rate_multipliers)).state().w - first
        )
        for learning_rate_multipliers in (None, {"0.*": 0.0, "2.b": 0.5})
    )
    assert np.abs(free["0.W"]).min() > 0
    np.testing.assert_array_equal(scaled["0.W"], 0.0)
    np.testing.assert_array_equal(scaled["0.b"], 0.0)
    np.testing.assert_array_equal(scaled["2.W"], free["2.W"])
    np.testing.assert_allclose(scaled["2.b"], 0.5 * free["2.b"], rtol=1e-9)


def test_frozen_parameters_do_not_even_decay():
    X, Y = regression()
    net = mlp(3, [4], 2)
    rules = {
        "optimizer": AdamW(weight_decay=0.1),
        "penalty": Penalty(l1=0.01, l2=0.01),
        "learning_rate_multipliers": {"0.W": 0.0},
    }
    w = last(fit(net, X, Y, loss=MeanSquaredError(), learning_rate=0.1, epochs=5, **rules, **EXACT)).state().w
    np.testing.assert_array_equal(net.parameters.views(w)["0.W"], net.parameters.views(net.init(0)[0])["0.W"])


def test_clipping_bounds_the_step():
    X, Y = regression()
    net = Net(3, [Dense(2)])
    options = {"loss": MeanSquaredError(), "optimizer": SGD(), "learning_rate": 0.1} | EXACT
    by_norm = next(fit(net, X, 100 * Y, **options, clip=ClipNorm(0.5)))
    step = by_norm.state().w - net.init(0)[0]
    assert by_norm.gradient_norm > 5, "measured before clipping"
    assert np.linalg.norm(step) == pytest.approx(0.1 * 0.5, rel=1e-12)
    by_value = next(fit(net, X, 100 * Y, **options, clip=ClipValue(0.5))).state().w - net.init(0)[0]
    assert np.abs(by_value).max() == pytest.approx(0.1 * 0.5, rel=1e-12)


class Spy:
    """A session that notes the rates it is given."""

    def __init__(self, session):
        self.session, self.rates = session, []

    @property
    def state(self):
        return self.session.state

    def run(self, epoch, first, rates, stop):
        self.rates.extend(rates)
        return self.session.run(epoch, first, rates, stop)

    def logits(self, X):
        return self.session.logits(X)


def test_schedules_set_the_rate_of_every_step():
    X, Y = regression()
    recipe = Recipe(Net(3, [Dense(2)]), MeanSquaredError(), batch_size=3)
    rows = Rows.of(recipe, X, Y)
    spy = Spy(ReferenceEngine().compile(recipe, rows))
    epochs = list(iterate(spy, recipe, rows, TrainConfig(3, 0.1, Exponential(k=0.5))))
    expected = [0.1 * math.exp(-0.5 * step / 4) for step in range(12)]
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-13)
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx(expected[3::4], rel=1e-13)


def test_step_schedule_drops_between_epochs():
    X, Y = regression()
    options = {"learning_rate": 0.1, "schedule": Step(every=2, drop=0.5), "epochs": 5, "batch_size": 3}
    rates = [epoch.learning_rate for epoch in fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), **options)]
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025])


def test_plateau_follows_the_training_loss():
    X, Y = regression()
    options = {"optimizer": SGD(), "learning_rate": 1e-9, "schedule": RULE, "epochs": 6} | EXACT
    rates = [epoch.learning_rate for epoch in fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), **options)]
    # The first loss is the best; two epochs without a gain of 1e-4 of it, then the drop.
    assert rates == pytest.approx([1e-9, 1e-9, 1e-9, 1e-10, 1e-10, 1e-11])


def test_plateau_follows_the_validation_loss_where_there_is_one():
    X, Y = regression()
    rates = {}
    for name, held_out in (("like", (X, Y)), ("opposite", (X, -10 * Y))):
        options = {"optimizer": SGD(), "learning_rate": 0.1, "schedule": RULE, "validation": held_out}
        epochs = list(fit(Net(3, [Dense(2)]), X, Y, loss=MeanSquaredError(), epochs=4, **options, **EXACT))
        assert epochs[-1].train_loss < epochs[0].train_loss
        rates[name] = epochs[-1].learning_rate
    assert rates == pytest.approx({"like": 0.1, "opposite": 0.01})


def test_max_norm_and_average_reach_the_step_and_the_validation():
    X, Y = regression()
    net, settings = mlp(3, [5], 2), {"loss": MeanSquaredError(), "epochs": 3, "learning_rate": 0.05, **EXACT}
    epochs = fit(net, X, Y, validation=(X, Y), max_weight_norm=0.7, ema_decay=0.5, **settings)
    weights = []
    for epoch in epochs:
        state = epoch.state()
        W = net.parameters.views(state.w)["0.W"]
        assert np.linalg.norm(W, axis=0).max() <= 0.7 * (1 + 1e-12)
        weights.append(state.w)
        shares = 0.5 ** np.arange(len(weights), 0, -1.0)
        mean = np.average(weights, axis=0, weights=shares)
        np.testing.assert_allclose(state.optimizer_state["average"], mean, rtol=1e-12, atol=1e-14)
        error = ((net(mean, np.zeros(0), X) - Y) ** 2).mean()
        assert epoch.validation_loss == pytest.approx(error, rel=1e-12)
    assert abs(epoch.validation_loss - ((net(state.w, np.zeros(0), X) - Y) ** 2).mean()) > 1e-6


def test_a_kept_run_goes_on_with_its_average_and_its_half_done_sum(tmp_path):
    X, Y = regression(22)
    extras = {"max_weight_norm": 1.0, "ema_decay": 0.9}
    recipe = Recipe(
        everything(), MeanSquaredError(), GradientAccumulation(Adam(), 4), batch_size=5, dtype="float64", **extras
    )
    rows = Rows.of(recipe, X, Y)
    whole = train(recipe, rows, TrainConfig(4, 0.01))
    config = TrainConfig(2, 0.01)
    # five batches an epoch, four an update: after two epochs two gradients wait
    half = train(recipe, rows, config)
    assert half.state.optimizer_state["sum"].any()
    with checkpoint_folder(tmp_path, "run") as checkpointer:
        checkpointer.save(Snapshot(half.state, Sums(), half.epochs, None))
    with checkpoint_folder(tmp_path, "run") as checkpointer:
        on = train(recipe, rows, TrainConfig(4, 0.01), checkpoint=checkpointer)
    assert_same_state(on.state, whole.state)
