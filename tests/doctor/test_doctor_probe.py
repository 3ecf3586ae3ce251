"""Why: what a rule says rests on what the probe measured and on the scale that losses are held against.

In: small networks with known outputs, gradients and losses. Out: readings, baselines, verdicts, traces.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from doctor_cases import healthy

from chainrule import Activation, Dense, Net, mlp
from chainrule.doctor.observe.probe import Probe, walk
from chainrule.doctor.observe.recorder import Recorder, record_training, single_steps
from chainrule.doctor.trials.scoring import RowScores, is_better, score_logits, score_state
from chainrule.doctor.vocabulary.targets import baseline_loss, best_constant, class_indices, row_losses
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows, choose
from chainrule.nn.layers import BatchNorm, Context, Dropout
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
    mean_loss,
)
from chainrule.nn.optimizers import SGD, Adam, GradientAccumulation
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.step import Recipe, train_step
from chainrule.random import Purpose, Stream
from chainrule.train import TrainConfig, train
from chainrule.train.problem import TrainingProblem


def problem(net=None, n=60, loss=None, seed=0, **settings):
    rng = np.random.default_rng(seed)
    net = net or mlp(3, [8, 8], 2)
    loss = loss or SoftmaxCrossEntropy()
    recipe = Recipe(net, loss, batch_size=16, dtype="float64", **settings)
    X = rng.normal(size=(n, net.inputs))
    y = (X[:, 0] > 0).astype(int) if loss.targets.are_classes and net.outputs > 1 else X[:, :1] ** 2
    rows = Rows.of(recipe, X, y)
    return TrainingProblem(recipe, rows, TrainConfig(3, 0.01), Rows.of(recipe, X[:20], y[:20]), "reference")


def test_walk_is_the_networks_own_pass():
    layers = [Dense(5), BatchNorm(), Activation("tanh"), Dropout(0.3), Dense(2)]
    given = problem(Net(3, layers))
    recipe, state, rows = given.recipe, given.recipe.start(), given.rows
    seen = walk(recipe, state, rows.X, rows.Y, rows.c)
    ctx = Context(np, True, Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, 0))
    Z, tape, _ = recipe.net.forward(state.w, state.buffers, rows.X, ctx)
    J, dZ = mean_loss(recipe.loss, np, Z, rows.Y, rows.c)
    g = recipe.net.backward(state.w, tape, dZ, ctx)[1]
    np.testing.assert_array_equal(seen.outputs[-1], Z)
    np.testing.assert_array_equal(seen.gradient, g)
    np.testing.assert_array_equal(seen.behind[-1], dZ)
    assert (seen.loss, seen.broken) == (float(J), "")


@pytest.mark.parametrize(
    ("name", "broken"),
    [("0.W", "parameter 0.W"), ("2.b", "parameter 2.b")],
)
def test_the_first_broken_tensor_is_named(name, broken):
    given = problem()
    state = given.recipe.start()
    w = state.w.copy()
    given.recipe.net.parameters.views(w)[name][...] = np.nan
    assert walk(given.recipe, replace(state, w=w), given.rows.X, given.rows.Y, given.rows.c).broken == broken


def test_an_output_that_overflows_is_named():
    given = problem(Net(3, [Dense(4), Activation("exp"), Dense(2)]))
    state = given.recipe.start()
    assert walk(given.recipe, replace(state, w=state.w * 1e4), given.rows.X, given.rows.Y, given.rows.c).broken == (
        "output of layer 1 (exp)"
    )


def test_a_reading_counts_silent_and_saturated_units():
    given = problem(Net(3, [Dense(4), Activation("relu"), Dense(4), Activation("sigmoid"), Dense(2)]))
    state = given.recipe.start()
    views = given.recipe.net.parameters.views(state.w)
    views["0.b"][:2] = -100.0
    views["2.b"][:3] = 50.0
    reading = Probe(given).read(state, 0, 0.01)
    assert reading.layers[1].silent.tolist() == [True, True, False, False]
    assert (reading.layers[3].saturation < 1e-6).tolist() == [True, True, True, False]
    assert reading.layers[1].saturation is None
    assert reading.layers[3].silent is None


@pytest.mark.parametrize("clip", [None, ClipNorm(0.01)])
def test_the_update_ratio_is_that_of_a_step(clip):
    """The step that training would take with the probed rows as its batch, from `train_step` itself."""
    given = problem(clip=clip, penalty=Penalty(l2=0.1), optimizer=Adam(), n=40)
    recipe, state = given.recipe, given.recipe.start()
    after = train_step(recipe, np, state, given.rows.X, given.rows.Y, given.rows.c, 0.02)[0]
    reading = Probe(given).read(state, 0, 0.02)
    for layer in reading.layers:
        own = [slot for slot in recipe.net.parameters.slots if slot.name.startswith(f"{layer.layer}.")]
        if own:
            part = slice(own[0].offset, own[-1].offset + own[-1].size)
            moved = np.linalg.norm(after.w[part] - state.w[part]) / np.linalg.norm(state.w[part])
            assert layer.update_ratio == pytest.approx(moved, rel=1e-9)


def test_drift_is_against_the_first_reading():
    given = problem()
    probe, state = Probe(given), given.recipe.start()
    probe.read(state, 0, 0.01)
    w = state.w.copy()
    given.recipe.net.parameters.views(w)["0.W"][...] *= 7.0
    assert probe.read(replace(state, w=w), 1, 0.01).layers[0].drift == pytest.approx(7.0)


def test_penalty_ratio():
    given = problem(penalty=Penalty(l2=3.0))
    state = given.recipe.start()
    seen = walk(given.recipe, state, given.rows.X, given.rows.Y, given.rows.c)
    expected = 3.0 * np.linalg.norm(state.w * given.recipe.decay) / np.linalg.norm(seen.gradient)
    assert Probe(given).read(state, 0, 0.01).penalty_ratio == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss", "Y", "value"),
    [
        (MeanSquaredError(), [0.0, 1.0, 5.0], np.var([0, 1, 5])),
        (MeanAbsoluteError(), [0.0, 1.0, 5.0], 5 / 3),
        (MeanSquaredError("exp"), [1.0, 2.0, 3.0], 2 / 3),
        (BinaryCrossEntropy(), [0.0, 0.0, 0.0, 1.0], -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))),
        (Poisson(), [1.0, 3.0], 2 - 2 * np.log(2)),
        (Quantile((0.25,)), [0.0, 1.0, 2.0, 3.0, 4.0], (0.75 * 1 + 0.25 * (1 + 2 + 3)) / 5),
    ],
)
def test_baseline_is_the_best_constant(loss, Y, value):
    recipe = Recipe(Net(1, [Dense(1)]), loss, dtype="float64")
    rows = Rows.of(recipe, np.zeros((len(Y), 1)), np.array(Y))
    assert baseline_loss(recipe, rows) == pytest.approx(value, rel=1e-4)


def test_baseline_of_classes_is_their_entropy():
    recipe = Recipe(Net(1, [Dense(3)]), SoftmaxCrossEntropy(), dtype="float64")
    rows = Rows.of(recipe, np.zeros((4, 1)), np.array([0, 0, 1, 2]))
    assert baseline_loss(recipe, rows) == pytest.approx(1.5 * np.log(2))


def test_every_level_has_a_constant_of_its_own():
    recipe = Recipe(Net(1, [Dense(2)]), Quantile((0.1, 0.9)), dtype="float64")
    Y = np.tile(np.linspace(0, 1, 101)[:, None], (1, 2))
    np.testing.assert_allclose(
        best_constant(recipe.loss, Rows.of(recipe, np.zeros((101, 1)), Y)), [0.1, 0.9], atol=0.03
    )


def test_heads_are_judged_together():
    recipe = Recipe(Net(1, [Dense(4)]), MultiSoftmaxCrossEntropy((2, 2)), dtype="float64")
    hot = np.array([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 1, 0]], float)
    rows = Rows.of(recipe, np.zeros((4, 1)), hot)
    assert score_logits(recipe, 50 * hot, rows, rows).mistake == 0.0
    assert score_logits(recipe, np.tile(best_constant(recipe.loss, rows), (4, 1)), rows, rows).mistake == pytest.approx(
        1.0
    )


def test_the_running_mean_is_what_is_judged():
    given = problem(ema_decay=0.9)
    state = given.recipe.start()
    other = {**state.optimizer_state, "average": np.zeros_like(state.w)}
    moved = replace(state, optimizer_state=other, step=5)
    flat = score_logits(given.recipe, np.zeros((60, 2)), given.rows, given.rows)
    assert score_state(given.recipe, moved, given.rows, given.rows).loss == pytest.approx(flat.loss)
    assert Probe(given).read(moved, 0, 0.01).loss == pytest.approx(np.log(2))


def test_an_accumulating_rule_is_read_by_its_inner_step():
    plain, summed = problem(optimizer=Adam()), problem(optimizer=GradientAccumulation(Adam(), 4))
    first, second = (Probe(c).read(c.recipe.start(), 0, 0.01).layers[0].update_ratio for c in (plain, summed))
    assert first == pytest.approx(second)


def test_no_constant_beats_hubers_baseline():
    recipe = Recipe(Net(1, [Dense(1)]), Huber(delta=0.5), dtype="float64")
    rows = Rows.of(recipe, np.zeros((50, 1)), np.random.default_rng(0).exponential(size=50))
    grid = [row_losses(recipe, np.full((50, 1), z), rows.Y).mean() for z in np.linspace(0, 5, 501)]
    assert baseline_loss(recipe, rows) <= min(grid) + 2e-3
    assert best_constant(recipe.loss, rows).shape == (1,)


def test_a_verdict_is_one_for_a_constant_and_zero_for_the_truth():
    recipe = Recipe(Net(1, [Dense(3)]), SoftmaxCrossEntropy(), dtype="float64")
    y = np.array([0, 0, 0, 1, 2, 1])
    rows = Rows.of(recipe, np.zeros((6, 1)), y)
    constant = score_logits(recipe, np.tile(best_constant(recipe.loss, rows), (6, 1)), rows, rows)
    truth = score_logits(recipe, 50.0 * np.eye(3)[y], rows, rows)
    assert (constant.loss, constant.mistake) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (truth.loss, truth.mistake) == (pytest.approx(0.0, abs=1e-12), 0.0)
    broken = score_logits(recipe, np.full((6, 3), np.nan), rows, rows)
    assert broken.loss >= USUAL.worst_share
    assert broken.mistake == 2.0


@dataclass(frozen=True)
class Cut(SoftmaxCrossEntropy):
    """A loss of the user's own that takes logits for probabilities and cuts them off at 1."""

    def predict(self, xp, Z):
        return xp.clip(Z, 0.0, 1.0)


def test_a_loss_of_ones_own_is_judged_by_what_it_predicts():
    recipe = Recipe(Net(1, [Dense(3)]), Cut(), dtype="float64")
    rows = Rows.of(recipe, np.zeros((3, 1)), np.array([0, 1, 2]))
    Z = np.array([[1.0, 2.0, 3.0], [0.5, 3.0, 1.5], [2.0, 3.0, 4.0]])
    assert score_logits(recipe, Z, rows, rows).mistakes.tolist() == [0.0, 0.0, 1.5]
    known = replace(recipe, loss=SoftmaxCrossEntropy())
    assert score_logits(known, Z, rows, rows).mistakes.tolist() == [1.5, 0.0, 0.0]


def test_codes_are_found_in_every_form_of_classes():
    recipe = Recipe(Net(1, [Dense(3)]), MeanSquaredError(), dtype="float64")
    hot = Rows.of(recipe, np.zeros((3, 1)), np.eye(3)[[2, 0, 1]])
    assert class_indices(hot).tolist() == [2, 0, 1]
    assert class_indices(Rows.of(recipe, np.zeros((2, 1)), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))) is None
    assert class_indices(Rows.of(recipe, np.zeros((1, 1)), np.array([[0.5, 0.2, 0.3]]))) is None


def wrong(share, n=400):
    mistakes = (np.arange(n) < share * n) * 2.0
    return RowScores(mistakes, mistakes)


def test_better_asks_for_size_and_for_more_than_chance():
    assert is_better(wrong(0.2), wrong(0.1)) == (True, pytest.approx(0.5))
    assert not is_better(wrong(0.2), wrong(0.195))[0]
    assert not is_better(wrong(0.2, 20), wrong(0.1, 20))[0]  # two rows of twenty
    assert not is_better(wrong(0.1), wrong(0.2))[0]
    assert is_better(wrong(0.0), wrong(0.1))[1] == -USUAL.worst_share


def test_a_lower_loss_counts_only_where_mistakes_are_no_more():
    old, new = RowScores(np.full(50, 0.9), np.zeros(50)), RowScores(np.full(50, 0.1), np.zeros(50))
    assert is_better(old, new)[0]
    assert not is_better(old, new, by_loss=False)[0]
    assert not is_better(old, RowScores(new.losses, np.ones(50)))[0]


def test_following_changes_nothing():
    given = problem(n=100)
    run = train(given)
    trace = record_training(given)
    np.testing.assert_array_equal(trace.final.w, run.state.w)
    assert [e.train_loss for e in trace.epochs] == [e.train_loss for e in run.epochs]
    assert trace.readings[0].step == 0
    assert trace.readings[-1].step == int(trace.final.step) == 21
    assert set(trace.snapshots) == {r.step for r in trace.readings}
    assert len(trace.step_losses) == len(trace.step_norms) == 2 * USUAL.window_steps
    assert trace.stopped is None


def test_where_a_run_breaks_is_found_to_the_step():
    given = problem(mlp(3, [8, 8], 1), loss=MeanSquaredError(), optimizer=SGD(), n=64)
    given = replace(given, config=TrainConfig(50, 1e6))
    trace = record_training(given)
    assert trace.diverged
    assert np.isfinite(trace.final.w).all()
    broken = trace.readings[-1]
    session = choose("reference", given.recipe)[0].compile(given.recipe, given.rows)
    losses, norms, last = single_steps(given, session, given.recipe.start(), 200)
    assert not (np.isfinite(losses[-1]) and np.isfinite(norms[-1]))
    assert broken.step == len(losses) - 1 == int(last.step)
    assert broken.nonfinite
    assert broken.layers == ()


def test_reading_gets_rarer_when_it_costs_too_much():
    given = problem()
    state = given.recipe.start()
    cheap, dear = (Recorder(Probe(given), share) for share in (1e9, 1e-9))
    for notes in (cheap, dear):
        notes.take(state, 0, 0.01)
        for epoch in range(1, 101):
            notes.epoch_ends(replace(state, step=epoch), epoch, 0.01, float(epoch))
    assert len(dear.readings) == 1
    epochs = [reading.epoch for reading in cheap.readings]
    assert epochs[:5] == [0, 1, 2, 4, 8]
    assert epochs[-1] >= 95


def test_watching_alone_costs_little():
    """Two hundredths of the training's time by its own clock, and as much again for a busy machine."""
    given = replace(healthy("digits"), config=TrainConfig(240, 1e-3))
    shares = []
    for _ in range(4):
        trace = record_training(given, thorough=False)
        shares.append(trace.probe_seconds / (trace.seconds - trace.probe_seconds))
    assert min(shares) < 2 * USUAL.overhead
    assert score_state(given.recipe, trace.final, given.rows, given.validation).mistake < 0.1
