"""Why: false alarms and misses come by mechanisms, and each is mended as a kind.

In: rare classes, wrong labels, doubled rows, dead and frozen networks, few held-out rows, wild targets. Out: what is said.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import PROBLEM, StubRunner, evidence, finding, plane

from chainrule import Activation, Dense
from chainrule.data.outliers import far_targets
from chainrule.doctor import examine_problem
from chainrule.doctor.diagnosis.gate import gate
from chainrule.doctor.diagnosis.screen import screen
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.remedies.rows import drop_wild_targets
from chainrule.doctor.rules.configuration import heads, settings
from chainrule.doctor.rules.data import labels, splits
from chainrule.doctor.rules.training import flow
from chainrule.doctor.trials.evaluate import leave_out_scores
from chainrule.doctor.trials.proof import is_proven_on_all_rows, seems_to_help
from chainrule.doctor.trials.reachable import Comparison, Errors, compare
from chainrule.doctor.trials.repair import judged_by_unseen
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import RowScores
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import NotApplicable, RemedyTrial
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.penalties import Penalty
from chainrule.train import TrainConfig, train


def with_targets(X, y, problem=PROBLEM, held=200):
    """The case with rows of our own: the last ones are validation rows."""
    recipe = replace(problem.recipe, net=problem.recipe.net.__class__(X.shape[1], problem.recipe.net.layers))
    parts = (Rows.of(recipe, X[:-held], y[:-held]), Rows.of(recipe, X[-held:], y[-held:]))
    return replace(problem, recipe=recipe, rows=parts[0], validation=parts[1])


# Rare classes cannot be told from chance.


@pytest.mark.parametrize("rare", [5, 15, 27, 40, 55])
def test_targets_with_few_rare_rows_are_not_called_unrelated(rare):
    rng = np.random.default_rng(rare)
    X = rng.normal(size=(1500, 4))
    y = np.zeros(1500)
    y[rng.choice(1300, rare, replace=False)] = 1.0
    with pytest.raises(NotApplicable, match="60 rows"):
        labels.misaligned_labels(with_targets(X, y), None)


@pytest.mark.parametrize("rare", [80, 150, 300, 500, 650])
def test_targets_with_enough_rare_rows_are_still_called_unrelated(rare):
    rng = np.random.default_rng(rare)
    X = rng.normal(size=(1500, 4))
    y = np.zeros(1500)
    y[rng.choice(1300, rare, replace=False)] = 1.0
    assert labels.misaligned_labels(with_targets(X, y), None).symptom == "misaligned-labels"


# Wrong labels that the network does not err beyond.


def among_noise(proven=(), left=0.6, remaining=0.6):
    network, quick = (Errors(np.full(100, share), np.full(100, share)) for share in (left, remaining))
    found = replace(evidence({}, failed=False), comparison=Comparison("boosted trees", quick, network))
    found.runner.proven = frozenset(proven)
    return found


@pytest.mark.parametrize("share", [0.15, 0.17, 0.2, 0.25, 0.3])
def test_doubtful_labels_are_information_where_the_network_errs_on_no_more_rows(share):
    as_good, worse = (
        finding("label-noise", figures={"share": share, "error": error}) for error in (share - 0.01, share + 0.05)
    )
    assert [f.severity for f in gate((as_good, worse), among_noise())] == ["info", "warning"]


@pytest.mark.parametrize("share", [0.01, 0.022, 0.05, 0.1, 0.14])
def test_few_equal_rows_with_different_labels_are_information_beside_noise(share):
    few, many = (finding("label-conflict", figures={"share": each}) for each in (share, share + 0.15))
    assert [f.severity for f in gate((few, many), among_noise())] == ["info", "warning"]
    clean = among_noise(left=0.1, remaining=0.1)
    assert gate((few,), clean)[0].severity == "warning"


@pytest.mark.parametrize("seed", range(5))
def test_the_figures_of_wrong_labels_tell_the_error_of_the_network(seed):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (1500, 2))
    y = ((X[:, 0] > 0) ^ (rng.random(1500) < 0.15)) * 1.0
    problem = with_targets(X, y, replace(PROBLEM, config=TrainConfig(10, 0.02)))
    found = labels.label_noise(problem, record_training(problem))
    assert found.figures["error"] <= found.figures["share"]
    assert labels.label_noise(problem, None).figures["error"] == 1.0


# Rows of a table that were doubled before the split.


def doubled(X, share, rng):
    again = rng.choice(len(X), int(share * len(X)), replace=False)
    return rng.permutation(np.vstack([X, X[again]]))


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.8, 1.0])
def test_rows_doubled_before_the_split_are_found_on_both_sides(share):
    rng = np.random.default_rng(0)
    X = doubled(rng.normal(size=(1000, 5)), share, rng)
    problem = with_targets(X, (X[:, 0] > 0) * 1.0, held=150)
    found = splits.duplicate_rows_across_split(problem, None)
    assert found.severity == "critical"
    rows = {
        "np": np,
        "X": problem.rows.X,
        "y": problem.rows.Y,
        "X_val": problem.validation.X,
        "y_val": problem.validation.Y,
    }
    exec(found.fix.code, rows)  # `fit` is given both parts
    own, held = ({row.tobytes() for row in rows[name]} for name in ("X", "X_val"))
    assert len(own) == len(rows["X"])
    assert not own & held
    assert (len(rows["y"]), len(rows["y_val"])) == (len(rows["X"]), len(rows["X_val"]))
    assert "X_val" not in splits.duplicate_rows_across_split(replace(problem, interface="estimator"), None).fix.code


@pytest.mark.parametrize("values", [3, 6, 10, 15, 20, 60])
def test_rows_that_are_alike_by_chance_are_not_called_copies(values):
    rng = np.random.default_rng(values)
    X = rng.integers(0, values, (1200, 2)) * 1.0
    assert splits.duplicate_rows_across_split(with_targets(X, (X[:, 0] > 1) * 1.0, held=150), None) is None

    half = with_targets(X, (X[:, 0] > 1) * 1.0, held=150)
    taken = half.validation.X.copy()
    taken[::2] = half.rows.X[: len(taken[::2])]
    found = splits.duplicate_rows_across_split(replace(half, validation=replace(half.validation, X=taken)), None)
    assert (found is not None) == (values > 20)  # among few different rows, most are alike anyway


# What is evident needs no trial.


@pytest.mark.parametrize("symptom", ["dead-units", "frozen-layer", "output-range", "wrong-loss", "vanishing-gradient"])
@pytest.mark.parametrize("confirmed", [None, False])
def test_what_is_evident_stays_a_cause_beside_noise(symptom, confirmed):
    given = finding(symptom, "critical", figures={"evident": True}, confirmed=confirmed)
    plain = finding(symptom, "warning", confirmed=confirmed)
    found = gate((given, plain), among_noise())
    assert (found[0].severity, found[0].confirmed) == ("warning", None)
    assert found[1].severity == "info"


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_a_layer_whose_units_are_all_dead_is_evident(depth):
    layers = [layer for _ in range(depth) for layer in (Dense(8), Activation("relu"))]
    problem = plane([*layers, Dense(1)], config=TrainConfig(3, 0.01))
    state = train(problem).state
    w = np.array(state.w)
    problem.recipe.net.parameters.views(w)["0.b"][...] = -1e3
    problem = replace(problem, config=TrainConfig(6, 0.01), start=replace(state, w=w))
    found = flow.dead_units(problem, record_training(problem))
    assert found.severity == "critical"
    assert found.figures["evident"]


@pytest.mark.parametrize("names", [{"*": 0.0}, {"0.*": 0.0, "2.*": 0.0}])
def test_a_network_of_which_nothing_is_trained_is_evident(names):
    problem = plane(learning_rate_multipliers=names)
    assert settings.zero_multiplier(problem, None).figures["evident"]
    part = plane(learning_rate_multipliers={"0.*": 0.0})
    assert not settings.zero_multiplier(part, None).figures["evident"]


@pytest.mark.parametrize("kind", ["relu", "sigmoid", "softplus"])
def test_an_output_that_cannot_reach_most_targets_is_evident(kind):
    problem = plane([Dense(16), Activation("relu"), Dense(1), Activation(kind)], task="sum")
    assert heads.output_range(problem, None).figures["evident"]


# Few held-out rows cannot prove a gain; all rows can.


@pytest.mark.parametrize("gain", [0.06, 0.08, 0.1, 0.15, 0.2])
def test_a_gain_that_few_rows_leave_in_doubt_is_proven_on_all(gain):
    def scores(n, less):
        spread = 0.8 * np.where(np.arange(n) % 2, 1.0, -1.0)
        return RowScores(np.full(n, 0.8) - less - spread * (less > 0), np.full(n, 0.8) - less - spread * (less > 0))

    few, many = ((scores(n, 0.0), scores(n, gain)) for n in (140, 1400))
    assert not is_proven_on_all_rows(*few, "losses", 0.05) or gain > 2.5 * 0.8 / np.sqrt(139)
    assert is_proven_on_all_rows(*many, "losses", 0.05)
    assert not is_proven_on_all_rows(*many, "losses", gain + 0.01)
    assert seems_to_help(*few, "losses", 0.05) == (gain > 0.8 / np.sqrt(139))


@pytest.mark.parametrize("remedy", ["longer", "shorter", "stronger-penalty", "larger-network", "smaller-network"])
@pytest.mark.parametrize("left", [0.1, 0.2])
def test_what_helps_most_networks_a_little_must_be_proven(remedy, left):
    helped = RemedyTrial(remedy, 20, (1.0,), (0.5,), True, 0.5)
    given = finding("undertrained", confirmed=True, trials=(helped,))
    doubtful, sure = (among_noise(proven, left, left) for proven in ((), (remedy,)))
    assert gate((given,), doubtful)[0].severity == "info"
    assert gate((given,), sure)[0].severity == "warning"


def test_screening_asks_for_a_proof_of_what_helps_most_networks():
    found = among_noise((), 0.2, 0.2)
    stub = StubRunner({"larger-network": 0.3})
    found.budget.runner = stub
    assert not screen((), found)
    stub.proven = frozenset({"larger-network"})
    assert [f.symptom for f in screen((), found)] == ["underfitting"]


def test_every_training_row_is_judged_by_a_network_trained_without_it():
    problem = replace(PROBLEM, config=TrainConfig(10, 0.02))
    scores = leave_out_scores(problem)
    assert len(scores.mistakes) == len(problem.rows)
    assert scores.mistake < 0.8
    assert leave_out_scores(problem, lambda fold: replace(fold, validation=fold.validation[:3])) is None


def test_a_fold_without_what_a_remedy_mends_is_trained_as_it_is():
    problem = plane(config=TrainConfig(5, 1e-2))
    X = problem.rows.X.copy()
    X[0, 0] = 1e4
    problem = replace(problem, rows=replace(problem.rows, X=X))
    scores = TrialRunner(problem, record_training(problem)).left_out_under("fill-strange-cells")
    assert len(scores.mistakes) == len(problem.rows)


def test_a_proof_leaves_rows_out_and_remembers_them():
    problem = plane(config=TrainConfig(5, 1e-5))
    runner = TrialRunner(problem, record_training(problem))
    spent = runner.spent
    assert runner.proves("rate*1000")
    assert runner.spent > spent
    spent = runner.spent
    assert runner.proves("rate*1000")
    assert runner.spent == spent
    assert not runner.proves("rate/10")
    assert LIMITS.general_gain > USUAL.least_gain


@pytest.mark.parametrize(
    ("remedy", "harmless", "helped"),
    [("no-penalty", True, True), ("no-penalty", False, False), ("longer", True, False)],
)
def test_what_is_peculiar_is_put_to_proof_unless_held_out_rows_speak_against_it(monkeypatch, remedy, harmless, helped):
    problem = plane(config=TrainConfig(3, 1e-2), penalty=Penalty(l2=0.1))
    runner = TrialRunner(problem, record_training(problem))
    monkeypatch.setattr(TrialRunner, "_needs_proof", lambda self, remedy: True)
    monkeypatch.setattr(TrialRunner, "proves", lambda self, remedy: True)
    monkeypatch.setattr("chainrule.doctor.trials.runner.seems_to_help", lambda *scores: False)
    monkeypatch.setattr("chainrule.doctor.trials.runner.costs_nothing", lambda fixed: harmless)
    assert runner.trial(remedy, suspected=True).helped is helped


# A network that fits its own rows worse than a model fits rows that it has not seen.


@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_few_held_out_rows_excuse_is_judged_on_its_training_rows(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(1240, 4))
    y = X @ np.array([1.0, -1.0, 0.5, 0.0]) + 3.0 * rng.standard_t(2.2, 1240)
    small = replace(plane(task="sum"), config=TrainConfig(1, 1e-7))
    problem = with_targets(X, y / y.std(), small, held=40)
    state = train(problem).state
    found = compare(problem, state)
    if found.fitted is not None:
        assert not found.matches
    without = compare(problem, state, boosted=False)
    assert without.fitted is None


# Wild targets beside few values, and more of them.


@pytest.mark.parametrize(
    "y",
    [
        np.r_[np.arange(500) % 4, 1e6],
        np.r_[np.arange(500) % 9, -1e5],
        np.r_[np.linspace(0, 1, 700), np.full(5, 1e3)],
        np.r_[np.linspace(-3, 3, 600), [900.0, 910.0, 920.0, 930.0, 940.0]],
        np.r_[np.random.default_rng(0).poisson(1.0, 800), [500.0, 600.0]],
        np.r_[np.arange(500) % 8, 100.0],
        np.r_[np.arange(595) % 5, np.array([0, 1, 1, 3, 4]) + 1234.5],
        np.r_[np.arange(985) % 4, np.full(15, 500.0)],
    ],
    ids=[
        "four values",
        "nine values",
        "five of 705",
        "five different",
        "counts",
        "eight values, near",
        "five shifted counts of 600",
        "one value, repeated",
    ],
)
def test_wild_targets_are_found_beside_few_values_and_in_small_tables(y):
    found = far_targets(y)
    assert set(np.abs(y[found.rows])) == set(np.abs(y)[np.abs(y) >= 100])


@pytest.mark.parametrize(
    "y",
    [
        np.r_[np.zeros(500), 1.0],
        np.arange(300.0),
        np.random.default_rng(0).standard_t(2.0, 2000),
        np.r_[np.arange(500) % 4, 30.0],
        np.r_[np.arange(500) % 4, 100.0],
        np.r_[np.arange(500) % 8, 50.0],
        np.r_[np.linspace(0, 1, 100), np.linspace(1000, 1010, 20)],
        np.r_[np.random.default_rng(0).poisson(0.3, 985), np.random.default_rng(1).uniform(200, 220, 15)],
        np.r_[np.arange(985) % 4, np.linspace(2000, 9000, 15)],
    ],
    ids=[
        "two values",
        "even",
        "heavy tails",
        "near",
        "four values",
        "eight values",
        "many",
        "15 beside counts",
        "spread",
    ],
)
def test_targets_that_only_spread_are_not_wild(y):
    assert far_targets(y) is None


def test_the_rows_of_such_targets_are_left_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = rng.poisson(1.0, 600) * 1.0
    y[7] = 1e6
    problem = with_targets(X, y, plane(task="sum"), held=100)
    assert len(drop_wild_targets(problem).rows) == 499
    report = examine_problem(replace(problem, config=TrainConfig(3, 0.01)), trials=False)
    assert "wild-targets" in {f.symptom for f in report.findings}


def test_binary_targets_are_no_wild_ones():
    assert drop_wild_targets(plane(loss=BinaryCrossEntropy())) is None


# A repair is judged by rows that can judge.


def spoiled(kind, problem=PROBLEM):
    held, y = problem.validation, problem.validation.Y[:, 0]
    mixed = Rows(
        np.vstack([held.X[:20], problem.rows.X[:80]]),
        np.vstack([held.Y[:20], problem.rows.Y[:80]]),
        np.ones(100, np.float32),
    )
    return {
        "none": None,
        "the first class": held[y == 0],
        "the second class": held[y == 1],
        "training rows": problem.rows[:100],
        "mostly training rows": mixed,
        "one row": held[:1],
    }[kind]


@pytest.mark.parametrize(
    "kind", ["none", "the first class", "the second class", "training rows", "mostly training rows", "one row"]
)
def test_a_repair_is_not_judged_by_validation_rows_that_cannot_judge(kind):
    judged = judged_by_unseen(replace(PROBLEM, validation=spoiled(kind)))
    assert len(np.unique(judged.validation.Y)) == 2
    assert len(judged.rows) + len(judged.validation) == len(PROBLEM.rows)
    assert not {row.tobytes() for row in judged.rows.X} & {row.tobytes() for row in judged.validation.X}


def test_a_repair_is_judged_by_the_users_validation_rows_where_they_can():
    assert judged_by_unseen(PROBLEM).validation is PROBLEM.validation
