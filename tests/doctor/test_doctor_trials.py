"""Why: a trial must change one thing, be repeatable, and help exactly where the thing was wrong.

In: cases with one known fault, and sound ones. Out: changed cases, trials.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import ILL, plane, runner_of

from chainrule import Activation, Dense, Net
from chainrule.doctor.remedies.apply import APPLY
from chainrule.doctor.remedies.nearest_neighbors import contradicts_neighbors
from chainrule.doctor.trials.evaluate import Outcome, as_failed, train_and_score, unseen_rows, with_held_out
from chainrule.doctor.trials.scoring import RowScores
from chainrule.engines import Rows
from chainrule.nn.initializers import Constant
from chainrule.nn.layers import BatchNorm, Dropout, LayerNorm
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import SGD, AdamW
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import ConstantSchedule, Cosine
from chainrule.nn.step import Recipe
from chainrule.train import TrainConfig
from chainrule.train.problem import TrainingProblem

SETTINGS = {
    "rate/10": lambda c: c.config.learning_rate == pytest.approx(0.001),
    "rate*100": lambda c: c.config.learning_rate == pytest.approx(1.0),
    "usual-rate": lambda c: c.config.learning_rate == pytest.approx(0.001),
    "clip": lambda c: c.recipe.clip == ClipNorm(1.0),
    "larger-batch": lambda c: c.recipe.batch_size == 64,
    "longer": lambda c: c.config.epochs == 120,
    "shorter": lambda c: c.config.epochs == 20,
    "stronger-penalty": lambda c: c.recipe.penalty == Penalty(l2=0.01),
    "larger-network": lambda c: c.recipe.net.widths == (2, 64, 64, 1),
    "smaller-network": lambda c: c.recipe.net.widths == (2, 4, 4, 1),
    "tanh": lambda c: c.recipe.net.layers[:2] == (Dense(16, initializer="xavier"), Activation("tanh")),
    "batch-norm": lambda c: isinstance(c.recipe.net.layers[1], BatchNorm),
    "standardize-inputs": lambda c: np.allclose(c.rows.X.std(axis=0), 1, atol=1e-3),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_change_changes_one_thing(name):
    problem = plane()
    changed = APPLY[name](problem)
    assert SETTINGS[name](changed)
    assert (changed.recipe.loss, changed.recipe.seed, len(changed.rows)) == (problem.recipe.loss, 0, 300)


NOTHING_TO_DO = [
    "no-clip",
    "no-penalty",
    "no-dropout",
    "unfreeze",
    "constant-schedule",
    "matching-loss",
    "no-output-activation",
    "no-hidden-softmax",
    "no-hidden-sigmoid",
    "add-bias",
    "one-activation",
    "add-nonlinearity",
    "he-init",
    "library-layers",
    "usual-settings",
    "adam",
    "smaller-batch",
    "fresh-statistics",
    "layer-norm",
    "relu",
    "class-weights",
    "standardize-targets",
    "fewer-layers",
]


@pytest.mark.parametrize("name", NOTHING_TO_DO)
def test_a_change_with_nothing_to_change_says_so(name):
    assert APPLY[name](plane()) is None


def test_changes_that_take_something_away():
    odd = plane(
        [
            Dense(8, initializer=Constant(0.1)),
            BatchNorm(momentum=0.999),
            Activation("tanh"),
            Dropout(0.5),
            Dense(1, bias=False),
        ],
        optimizer=AdamW(weight_decay=0.5),
        penalty=Penalty(l1=1.0),
        clip=ClipNorm(1e-3),
        learning_rate_multipliers={"0.*": 0.0},
        batch_size=128,
        config=TrainConfig(40, 0.01, Cosine()),
    )
    net = {
        name: APPLY[name](odd).recipe.net.layers for name in ("he-init", "no-dropout", "fresh-statistics", "add-bias")
    }
    assert net["he-init"][0] == Dense(8, initializer="xavier")
    assert not any(isinstance(layer, Dropout) for layer in net["no-dropout"])
    assert net["fresh-statistics"][1] == BatchNorm()
    assert net["add-bias"][-1].bias
    assert isinstance(APPLY["layer-norm"](odd).recipe.net.layers[1], LayerNorm)
    assert APPLY["unfreeze"](odd).recipe.learning_rate_multipliers == {}
    assert APPLY["no-clip"](odd).recipe.clip is None
    assert APPLY["smaller-batch"](odd).recipe.batch_size == 32
    assert APPLY["constant-schedule"](odd).config.schedule == ConstantSchedule()
    bare = APPLY["no-penalty"](odd).recipe
    assert (bare.penalty, bare.optimizer) == (Penalty(), AdamW(weight_decay=0.0))
    assert APPLY["usual-settings"](odd).recipe.optimizer == AdamW()


def test_sigmoids_between_layers_become_tanh_and_one_at_the_end_stays():
    sigmoid = Activation("sigmoid")
    mixed = plane([Dense(8), sigmoid, Dense(8), Activation("relu"), Dense(1), sigmoid])
    assert APPLY["no-hidden-sigmoid"](mixed).recipe.net.layers == (
        *(Dense(8, initializer="xavier"), Activation("tanh")),
        *(Dense(8, initializer="he"), Activation("relu")),
        *(Dense(1, initializer="xavier"), sigmoid),
    )


def test_changes_of_the_output():
    squashed = plane([Dense(8), Activation("relu"), Dense(1), Activation("sigmoid")])
    assert APPLY["no-output-activation"](squashed).recipe.net.layers[-1] == Dense(1, initializer="xavier")
    rng = np.random.default_rng(0)
    recipe = Recipe(Net(2, [Dense(3)]), MeanSquaredError())
    hot = Rows.of(recipe, rng.normal(size=(30, 2)), np.eye(3)[np.arange(30) % 3])
    matched = APPLY["matching-loss"](TrainingProblem(recipe, hot, TrainConfig(), hot))
    assert matched.recipe.loss == SoftmaxCrossEntropy()
    assert matched.rows.Y.tolist() == matched.validation.Y.tolist() == [0, 1, 2] * 10


def test_targets_are_standardised_on_training_rows_alone():
    problem = plane(task="sum")
    problem = replace(
        problem, rows=replace(problem.rows, Y=problem.rows.Y * 100 + 7), validation=replace(problem.validation)
    )
    changed = APPLY["standardize-targets"](problem)
    assert (changed.rows.Y.mean(), changed.rows.Y.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    expected = (problem.validation.Y - problem.rows.Y.mean()) / problem.rows.Y.std()
    np.testing.assert_allclose(changed.validation.Y, expected, atol=1e-5)


def test_linear_stacks_get_activations():
    layers = APPLY["add-nonlinearity"](plane([Dense(4), Dense(4), Activation("identity"), Dense(1)])).recipe.net.layers
    assert [type(layer).__name__ for layer in layers] == ["Dense", "Activation", "Dense", "Activation", "Dense"]


def test_rows_that_contradict_their_neighbors_are_found():
    problem = plane()
    flipped = np.zeros(300, bool)
    inside = np.abs(problem.rows.X).min(axis=1) > 0.25
    flipped[np.flatnonzero(inside)[:20]] = True
    Y = np.where(flipped[:, None], 1 - problem.rows.Y, problem.rows.Y)
    found = contradicts_neighbors(replace(problem.rows, Y=Y))
    assert (found & flipped).sum() >= 17
    assert (found & ~flipped & inside).sum() <= 3
    assert len(APPLY["drop-bad-rows"](replace(problem, rows=replace(problem.rows, Y=Y))).rows) == 300 - found.sum()


@pytest.mark.parametrize("name", ILL)
def test_the_remedy_helps_the_ill_and_not_the_healthy(name):
    trial = runner_of(ILL[name]).trial(name, suspected=True)
    assert trial.helped
    assert trial.gain > 0.3
    assert trial.changed[-1] < trial.unchanged[-1] or not np.isfinite(trial.unchanged[-1])


@pytest.mark.parametrize("name", ["rate/10", "rate*10", "clip", "longer", "batch-norm", "larger-network", "tanh"])
def test_no_remedy_helps_a_healthy_training(name):
    trial = runner_of(plane(config=TrainConfig(100, 0.01))).trial(name)
    assert not trial.helped


def test_trials_repeat_bit_for_bit():
    problem = ILL["longer"]
    first, second = (runner_of(problem).trial("rate*10") for _ in range(2))
    assert first == second


def test_without_validation_rows_a_fifth_is_held_out():
    problem = replace(plane(), validation=None)
    split = with_held_out(problem)
    assert (len(split.rows), len(split.validation)) == (240, 60)
    together = np.concatenate([split.rows.X, split.validation.X])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(problem.rows.X, axis=0))
    assert with_held_out(plane()).rows is not None


def test_the_actual_training_stands_for_the_unchanged_one():
    problem = plane()
    runner = runner_of(problem)
    ran = train_and_score(problem)
    np.testing.assert_array_equal(runner.outcome().held_out.mistakes, ran.held_out.mistakes)
    assert runner.outcome() is runner.actual


def test_a_training_that_ended_in_nan_counts_as_a_constant():
    verdict = RowScores(np.array([0.1, 3.0]), np.array([0.0, 2.0]))
    assert as_failed(verdict).losses.tolist() == [1.0, 3.0]
    problem = plane(optimizer=SGD(), task="sum", config=TrainConfig(30, 1e4))
    outcome = train_and_score(problem)
    assert outcome.diverged
    assert outcome.held_out.mistake >= 1.0


def test_a_change_that_cannot_be_made_is_no_trial():
    assert runner_of(plane(config=TrainConfig(2, 0.01))).trial("no-clip") is None


def test_validation_rows_seen_in_training_are_left_out():
    problem = plane()
    mixed = Rows(
        *(np.concatenate([a, b[:50]]) for a, b in zip(parts(problem.validation), parts(problem.rows), strict=True))
    )
    assert len(unseen_rows(replace(problem, validation=mixed))) == 200
    assert unseen_rows(replace(problem, validation=problem.rows)) is None
    assert unseen_rows(problem) is problem.validation


def test_nothing_is_judged_by_validation_rows_of_one_class():
    problem = plane()
    held = problem.validation
    of_one = held[np.flatnonzero(held.Y.reshape(len(held), -1)[:, 0] == held.Y.reshape(len(held), -1)[0, 0])]
    assert unseen_rows(replace(problem, validation=of_one)) is None


def parts(rows):
    return rows.X, rows.Y, rows.c


def shares(wrong, rows=200, loss=None):
    """A verdict with so many wrong rows, each as bad as a constant."""
    mistakes = np.where(np.arange(rows) < wrong, 1.0, 0.0)
    return RowScores(mistakes if loss is None else np.full(rows, loss), mistakes)


def runner_with(held, trained, losses, remedy="rate*10", steps=1):
    """A laboratory in which the training without and with a change came to so many mistakes, from three seeds."""
    runner = runner_of(plane())
    for seed_offset in range(3):
        for name, i in (("", 0), (remedy, 1)):
            outcome = Outcome(shares(held[i][seed_offset]), shares(trained[i], loss=losses[i]), (), steps)
            runner.outcomes[name, seed_offset, runner.limit] = outcome
    runner.outcomes["actual", 0, 0] = runner.outcomes["", 0, runner.limit]
    return runner


def test_a_small_gain_counts_where_the_network_only_now_learns_its_own_rows():
    held = ((7, 10, 9), (6, 6, 5))
    learned = runner_with(held, (8, 0), (0.04, 0.004))
    assert not learned.trial("rate*10").helped  # anything lends a hand now and then, so it must have been suspected
    trial = learned.trial("rate*10", suspected=True)
    assert trial.helped
    assert trial.gain == pytest.approx(1 - 17 / 26)


@pytest.mark.parametrize(
    ("held", "trained", "losses"),
    [
        (((7, 10, 9), (6, 6, 5)), (5, 0), (0.04, 0.004)),
        (((7, 10, 9), (6, 6, 5)), (8, 4), (0.04, 0.02)),
        (((7, 10, 9), (7, 8, 7)), (8, 0), (0.04, 0.004)),
        (((2, 3, 2), (1, 1, 0)), (8, 0), (0.04, 0.004)),
    ],
    ids=["it knew its rows", "it does not learn", "others gain nothing", "few rows say so"],
)
def test_and_does_not_count_else(held, trained, losses):
    assert not runner_with(held, trained, losses).trial("rate*10", suspected=True).helped


@pytest.mark.parametrize(
    ("remedy", "held", "trained", "losses", "helps"),
    [
        ("he-init", ((7, 7, 7), (7, 6, 7)), (8, 8), (0.04, 0.004), True),
        ("he-init", ((7, 7, 7), (7, 7, 7)), (8, 8), (0.04, 0.004), False),
        ("he-init", ((7, 7, 7), (7, 6, 7)), (8, 0), (0.04, 0.02), False),
        ("add-nonlinearity", ((7, 7, 7), (7, 6, 7)), (8, 8), (0.04, 0.004), False),
        ("matching-loss", ((7, 7, 7), (7, 6, 7)), (8, 3), (0.04, 40.0), True),
        ("matching-loss", ((7, 7, 7), (7, 6, 7)), (8, 4), (0.04, 0.0), False),
    ],
    ids=["rows learned", "others no better", "rows not learned", "more power", "mistakes count", "losses do not"],
)
def test_what_nobody_means_shows_on_training_rows(remedy, held, trained, losses, helps):
    assert runner_with(held, trained, losses, remedy).trial(remedy, suspected=True).helped is helps


SLOW = ((60, 62, 58), (56, 57, 53))
"""Mistakes on held-out rows of a training that would have come a little further."""


@pytest.mark.parametrize(("remedy", "steps"), [("longer", 200), ("usual-rate", 5000)])
def test_a_hasty_training_shows_by_a_small_gain_from_three_seeds(remedy, steps):
    runner = runner_with(SLOW, (55, 40), (0.3, 0.2), remedy, steps)
    assert not runner.trial(remedy).helped
    trial = runner.trial(remedy, suspected=True)
    assert trial.helped
    assert trial.gain == pytest.approx(14 / 180, rel=0.1)


@pytest.mark.parametrize(
    ("held", "losses", "remedy", "steps"),
    [
        (SLOW, (0.3, 0.2), "longer", 5000),
        (SLOW, (0.3, 0.2), "rate*10", 200),
        (SLOW, (0.3, 0.29), "longer", 200),
        (((60, 62, 58), (56, 57, 59)), (0.3, 0.2), "longer", 200),
    ],
    ids=["a whole course", "anything", "training rows gain nothing", "one seed loses"],
)
def test_and_by_nothing_else(held, losses, remedy, steps):
    assert not runner_with(held, (55, 40), losses, remedy, steps).trial(remedy, suspected=True).helped


@pytest.mark.parametrize(
    ("remedy", "losses", "helps"),
    [("unfreeze", (0.3, 0.2), True), ("unfreeze", (0.3, 0.29), False), ("longer", (0.3, 0.2), False)],
    ids=["training rows gain too", "they do not", "nothing peculiar"],
)
def test_half_as_much_shows_a_peculiarity_where_training_rows_gain_too(remedy, losses, helps):
    slight = ((60, 62, 58), (57, 59, 56))
    assert runner_with(slight, (55, 40), losses, remedy, 200).trial(remedy, suspected=True).helped is helps


def coins(n=120):
    """A network that learns by heart labels which say nothing."""
    problem = plane(
        [Dense(64), Activation("relu"), Dense(64), Activation("relu"), Dense(1)], n=n, config=TrainConfig(300, 0.01)
    )
    labels = (np.random.default_rng(5).random(n) < 0.5) * 1.0
    return replace(problem, rows=Rows.of(problem.recipe, problem.rows.X, labels))


def test_rows_left_out_in_turn_are_judged_by_networks_that_have_not_seen_them():
    runner = runner_of(coins())
    assert runner.actual.trained.mistake < 0.4
    assert runner.left_out.shape == (120,)
    assert 0.7 < runner.left_out.mean() < 1.4
    assert runner.unseen_mistakes is runner.actual.held_out.mistakes
    few = replace(runner.problem, validation=runner.problem.validation[:20])
    assert len(runner_of(few).unseen_mistakes) == 20 + 120


def test_rare_classes_are_judged_on_rows_left_out_where_few_are_held_out():
    problem = plane()
    y = problem.rows.Y[:, 0]
    kept = np.sort(np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:20]]))
    rare_case = replace(problem, rows=problem.rows[kept])
    held = problem.validation.Y[:, 0]
    few = np.sort(np.concatenate([np.flatnonzero(held == 0), np.flatnonzero(held == 1)[:10]]))
    scarce = replace(rare_case, validation=problem.validation[few])
    assert [len(part) for part in runner_of(rare_case).recalls()] == [(held == 1).sum(), (held == 0).sum()]
    assert [len(part) for part in runner_of(scarce).recalls()] == [30, (y == 0).sum() + (held == 0).sum()]
    assert [len(part) for part in runner_of(plane(task="sum")).recalls()] == [0, 0]


def test_class_weights_are_judged_by_classes_and_not_by_rows():
    wrong = np.array([1.0] * 6 + [0.0] * 4 + [0.0] * 90)
    freed = np.array([0.0] * 10 + [1.0] * 20 + [0.0] * 70)
    y = np.repeat([1.0, 0.0], [10, 90])[:, None]
    problem = replace(
        plane(n=100),
        rows=Rows(np.zeros((100, 2)), y, np.ones(100)),
        validation=Rows(np.zeros((100, 2)), y, np.ones(100)),
    )
    runner = runner_of(plane())
    runner.problem = problem
    for seed_offset in range(3):
        for remedy, mistakes in (("", wrong), ("class-weights", freed)):
            verdict = RowScores(mistakes, mistakes)
            runner.outcomes[remedy, seed_offset, runner.limit] = Outcome(verdict, verdict, (), 1)
    runner.outcomes["actual", 0, 0] = runner.outcomes["", 0, runner.limit]
    trial = runner.trial("class-weights")
    assert trial.helped
    assert trial.gain == pytest.approx(1 - (20 / 90) / (6 / 10))


def test_too_few_rows_show_when_half_of_them_do_much_worse():
    few = plane(n=60, config=TrainConfig(200, 0.01))
    trial = runner_of(few).more_rows()
    assert trial is not None
    assert trial.helped
    assert 0.2 < trial.gain < 1.0


def test_rows_are_not_too_few_where_half_of_them_do_as_well_or_all_of_them_do_badly():
    enough = runner_of(plane(n=800)).more_rows()
    assert enough is None or not enough.helped
    assert runner_of(plane(n=60, config=TrainConfig(1, 1e-5))).more_rows() is None


@pytest.mark.parametrize(
    ("gain", "mistakes", "losses", "share"),
    [(2.3, (0.8, 0.4), (0.9, 0.8), 0.5), (0.4, (0.8, 0.8), (0.8, 0.6), 0.25), (-0.2, (0.4, 0.5), (0.5, 0.4), -0.25)],
)
def test_a_card_says_which_share_of_the_whole_error_is_gone(gain, mistakes, losses, share):
    def outcome(mistake, loss):
        scores = RowScores(np.full(9, loss), np.full(9, mistake))
        return Outcome(scores, scores, (), 1)

    old, new = (outcome(*pair) for pair in zip(mistakes, losses, strict=True))
    assert runner_of(plane())._removed("longer", old, new, gain) == pytest.approx(share)
