"""Why: rows are judged before anything is trained, so a wrong verdict on good rows would meet everyone.

In: healthy data sets, and the same with a known share of rows, labels or columns spoiled. Out: what the rules say of it.
"""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from doctor_cases import HEALTHY, alarms, healthy, with_layers, with_recipe, with_rows

from chainrule.data import load
from chainrule.doctor.observe import quick_models as quick
from chainrule.doctor.rules import data
from chainrule.doctor.rules.data import RULES, columns, conflicts, labels, parts, splits
from chainrule.doctor.rules.data import confident_learning as confidence
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.doctor.vocabulary.records import NotApplicable, Trace
from chainrule.engines import Rows
from chainrule.nn.layers import Dense
from chainrule.nn.losses import MeanSquaredError


def flipped(codes, share, rng, K):
    """Labels of which a share was moved to another class, and which these are."""
    wrong = rng.random(len(codes)) < share
    return np.where(wrong, (codes + rng.integers(1, K, len(codes))) % K, codes), wrong


@pytest.mark.parametrize("name", [*HEALTHY, "moons", "spirals", "iris"])
@pytest.mark.parametrize("seed", range(3))
def test_healthy_data_raises_no_alarm(name, seed):
    assert alarms(healthy(name, seed), RULES) == {}


def test_raw_pixels_between_0_and_1_raise_no_alarm():
    digits = healthy("digits")
    raw = with_rows(digits, X=(digits.rows.X - digits.rows.X.min()) / np.ptp(digits.rows.X))
    assert alarms(replace(raw, validation=None, test=None), RULES) == {}


def test_every_rule_has_a_known_symptom():
    assert [rule.symptom for rule in RULES] == [s for s in SYMPTOMS if s in {rule.symptom for rule in RULES}]


def test_the_whole_check_takes_seconds_at_most():
    # A third of a second by itself on digits; the bound leaves room for a busy machine.
    problem = healthy("digits")
    began = time.process_time()
    alarms(problem, RULES)
    assert time.process_time() - began < 2.0


# Columns


def test_missing_numbers_are_named_with_their_column():
    problem = healthy("wine")
    X = problem.rows.X.copy()
    X[3, 2], X[4, 5] = np.nan, np.inf
    finding = columns.nan_input(with_rows(problem, X=X), None)
    assert (finding.severity, finding.figures["count"]) == ("critical", 2)
    assert problem.feature_names[2] in finding.measured
    assert columns.nan_input(problem, None) is None


def test_rules_on_labels_cannot_look_at_missing_numbers():
    problem = healthy("wine")
    X = problem.rows.X.copy()
    X[3, 2] = np.nan
    assert set(alarms(with_rows(problem, X=X), RULES)) == {"nan-input"}


def test_constant_columns_are_information_unless_they_vary_elsewhere():
    problem = healthy("wine")
    X = problem.rows.X.copy()
    X[:, 4] = 0.0
    finding = columns.constant_feature(with_rows(problem, X=X), None)
    assert (finding.severity, finding.figures["count"]) == ("warning", 1)
    assert columns.constant_feature(replace(with_rows(problem, X=X), validation=None), None).severity == "info"
    assert columns.constant_feature(problem, None) is None


def test_copies_of_a_column_are_found_through_shift_and_scale():
    problem = healthy("wine")
    X = problem.rows.X.copy()
    X[:, 7] = 3.0 - 2.0 * X[:, 1]
    assert columns.duplicate_feature(with_rows(problem, X=X), None).figures["count"] == 1
    X[:, 7] += np.random.default_rng(0).normal(size=len(X)) * 0.01
    assert columns.duplicate_feature(with_rows(problem, X=X), None) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda X: 100 * X,
        lambda X: X + 50,
        lambda X: X * np.array([1000.0] + [1.0] * 12),
        lambda X: X * np.array([0.001] + [1.0] * 12),
    ],
    ids=["large", "offset", "one large", "one small"],
)
def test_inputs_off_scale_are_named(spoil):
    problem = healthy("wine")
    finding = columns.unnormalized_inputs(with_rows(problem, X=spoil(problem.rows.X)), None)
    assert finding.fix.remedy == "standardize-inputs"


def test_one_outlier_and_a_rare_indicator_are_not_named():
    problem = healthy("wine")
    X = problem.rows.X.copy()
    X[0, 0] = 40.0
    X[:, 1] = 0.0
    X[5, 1] = 1.0
    assert columns.unnormalized_inputs(with_rows(problem, X=X), None) is None


def test_inputs_scaled_twice_are_tiny():
    problem = healthy("digits")
    assert columns.tiny_inputs(with_rows(problem, X=problem.rows.X / 255), None).figures["size"] < 0.1
    assert columns.tiny_inputs(problem, None) is None


@pytest.mark.parametrize(("scale", "shift", "named"), [(10, 0, True), (0.01, 0, True), (1, 100, True), (2, 3, False)])
def test_scale_of_targets(scale, shift, named):
    problem = healthy("diabetes")
    spoiled = with_rows(problem, Y=scale * problem.rows.Y + shift)
    assert bool(columns.target_scale(spoiled, None)) == named
    assert columns.target_scale(with_recipe(spoiled, loss=MeanSquaredError("exp")), None) is None


# Splits


def test_training_rows_among_held_out_rows_are_counted():
    problem = healthy("digits")
    mixed = Rows(
        *(np.concatenate([getattr(problem.validation, n)[7:], getattr(problem.rows, n)[:7]]) for n in ("X", "Y", "c"))
    )
    finding = splits.duplicate_rows_across_split(replace(problem, validation=mixed), None)
    arrays = {"X": problem.rows.X, "y": problem.rows.Y, "X_val": mixed.X, "y_val": mixed.Y}
    exec(finding.fix.code, arrays)
    cleaned = Rows(arrays["X_val"], arrays["y_val"], np.ones(len(arrays["y_val"]), np.float32))
    assert 0 < len(cleaned) < len(mixed)
    tested = splits.duplicate_rows_across_split(replace(problem, validation=None, test=mixed), None)
    arrays |= {"X_test": mixed.X, "y_test": mixed.Y}
    exec(tested.fix.code, arrays)
    assert (arrays["y_test"] == cleaned.Y).all()
    assert splits.duplicate_rows_across_split(replace(problem, validation=cleaned, test=None), None) is None
    assert (finding.severity, finding.figures["rows"]) == ("warning", 7)
    same = splits.duplicate_rows_across_split(replace(problem, validation=problem.rows), None)
    assert (same.severity, same.figures["share"]) == ("critical", 1.0)
    assert splits.duplicate_rows_across_split(replace(problem, validation=None, test=None).__class__(
        problem.recipe, problem.rows, problem.config, problem.validation), None) is None  # fmt: skip


@pytest.mark.parametrize("name", ["digits", "circles", "diabetes"])
def test_one_wild_cell_does_not_put_validation_rows_on_another_scale(name):
    problem = healthy(name)
    X = problem.validation.X.copy()
    X[3, int(np.argmax(X.std(axis=0)))] = 1e5
    spoiled = replace(problem, validation=replace(problem.validation, X=X))
    assert parts.validation_differs(spoiled, None) is None
    assert (
        parts.validation_differs(replace(problem, validation=replace(problem.validation, X=X + 9.0)), None) is not None
    )


def test_rows_of_few_values_repeat_by_chance():
    rng = np.random.default_rng(0)
    problem = healthy("circles")
    X = rng.integers(0, 4, (300, 2)).astype(np.float32)
    rows, held = (
        Rows(X[part], np.zeros((150, 1), np.float32), np.ones(150, np.float32))
        for part in (slice(150), slice(150, 300))
    )
    assert splits.duplicate_rows_across_split(replace(problem, rows=rows, validation=held, test=None), None) is None


def test_without_held_out_rows_nothing_can_be_said_of_them():
    alone = replace(healthy("circles"), validation=None, test=None)
    for rule in (splits.duplicate_rows_across_split, splits.statistics_leakage):
        with pytest.raises(NotApplicable):
            rule(alone, None)


def test_row_hashes_agree_exactly_where_rounded_rows_do(rng):
    X = rng.integers(0, 5, (2000, 3)) * 1.0
    _, by_hash = np.unique(splits.row_hashes(X, np.ones(3)), return_inverse=True)
    _, by_row = np.unique(X, axis=0, return_inverse=True)
    assert len(np.unique(np.stack([by_hash, by_row.ravel()]), axis=1).T) == by_hash.max() + 1 == by_row.max() + 1
    assert np.array_equal(splits.row_hashes(X, np.ones(3)), splits.row_hashes(X + 1e-7, np.ones(3)))


@pytest.mark.parametrize("kind", ["standardized", "unit"])
@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_scaling_fitted_on_all_rows_is_seen(kind, name):
    problem, X = healthy(name), load(name).X
    low, width = (X.mean(0), X.std(0)) if kind == "standardized" else (X.min(0), np.ptp(X, axis=0))
    Z = ((X - low) / np.where(width > 0, width, 1)).astype(np.float32)
    n = len(Z) * 7 // 10
    rows, held = (Rows(part, problem.rows.Y[:1].repeat(len(part), 0), np.ones(len(part))) for part in (Z[:n], Z[n:]))
    leaking = replace(problem, rows=rows, validation=held, test=None)
    finding = splits.statistics_leakage(leaking, None)
    if name == "breast_cancer" or kind == "standardized":
        assert finding.figures["together"] < finding.figures["training"]
    clean = (X - X[:n].mean(0)) / np.where(X[:n].std(0) > 0, X[:n].std(0), 1)
    held = replace(held, X=clean[n:].astype(np.float32))
    fair = replace(problem, rows=replace(rows, X=clean[:n].astype(np.float32)), validation=held, test=None)
    assert splits.statistics_leakage(fair, None) is None


def test_moments_of_two_parts_join_to_those_of_all(rng):
    X = rng.normal(size=(9000, 3)) + 5.0
    joined, whole = splits.Moments.of(X[:20]).join(splits.Moments.of(X[20:])), splits.Moments.of(X)
    for name in ("n", "mean", "squares", "low", "high"):
        assert np.allclose(getattr(joined, name), getattr(whole, name), rtol=1e-12)
    assert np.allclose(whole.squares, 9000 * X.var(axis=0), rtol=1e-12)


# Labels


def imbalanced(share):
    """Digits with a share of the zeros only."""
    problem = healthy("digits")
    kept = (problem.rows.Y != 0) | (np.random.default_rng(0).random(len(problem.rows)) < share)
    return with_rows(problem, take=kept)


def trace_of(problem, w):
    state = replace(problem.recipe.start(), w=w)
    return Trace((), (), np.zeros(0), np.zeros(0), {}, 2.3, state)


def test_imbalance_is_information_until_a_training_shows_that_it_hurts():
    problem = imbalanced(0.05)
    assert labels.class_imbalance(problem, None).severity == "info"
    assert labels.class_imbalance(healthy("digits"), None) is None
    bare = with_layers(problem, Dense(10))
    blind = bare.recipe.net.parameters.pack(
        np, {"0.W": np.zeros((64, 10)), "0.b": np.eye(10)[3]}, np.zeros(0, np.float32)
    )
    finding = labels.class_imbalance(bare, trace_of(bare, blind))
    assert (finding.severity, finding.figures["recall"]) == ("critical", 0.0)
    seeing = np.linalg.lstsq(np.hstack([problem.rows.X, np.ones((len(problem.rows), 1))]), np.eye(10)[problem.rows.Y])[
        0
    ]
    named = {"0.W": seeing[:-1], "0.b": seeing[-1] + 0.3 * np.eye(10)[0]}
    good = bare.recipe.net.parameters.pack(np, named, np.zeros(0, np.float32))
    assert labels.class_imbalance(bare, trace_of(bare, good)).severity == "info"


def test_weights_that_make_up_for_imbalance_are_counted():
    problem = imbalanced(0.05)
    counts = np.bincount(problem.rows.Y)
    weighted = replace(problem, rows=replace(problem.rows, c=(1.0 / counts)[problem.rows.Y]))
    assert labels.class_imbalance(weighted, None) is None


def test_equal_rows_with_different_labels_are_counted():
    problem = healthy("digits")
    take = np.flatnonzero(problem.rows.Y == 3)[:30]
    Y = np.concatenate([problem.rows.Y, np.full(30, 5)])
    spoiled = with_rows(problem, X=np.vstack([problem.rows.X, problem.rows.X[take]]), Y=Y)
    finding = conflicts.label_conflict(spoiled, None)
    assert (finding.severity, finding.figures["rows"]) == ("warning", 60)
    agreeing = with_rows(
        problem, X=np.vstack([problem.rows.X, problem.rows.X[take]]), Y=np.concatenate([problem.rows.Y, np.full(30, 3)])
    )
    assert conflicts.label_conflict(agreeing, None) is None


def tabular(kinds, n, noise, rng):
    """Rows of columns with a few values each, and labels that the first two columns predict up to noise."""
    X = rng.integers(0, kinds, (n, 4))
    return X, (((X[:, 0] + X[:, 1]) > kinds - 1) ^ (rng.random(n) < noise)).astype(np.float32)[:, None]


@pytest.mark.parametrize("kinds", [2, 4, 7])
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_conflicts_among_few_values_are_natural(kinds, noise, seed):
    problem = healthy("circles")
    X, Y = tabular(kinds, 600, noise, np.random.default_rng(seed))
    finding = conflicts.label_conflict(with_rows(problem, X=X, Y=Y), None)
    assert finding is None or finding.severity == "info"


@pytest.mark.parametrize("copied", [0.03, 0.2, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_copies_with_the_other_label_are_found_among_any_noise(copied, noise, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(600, 4))
    y = ((X[:, 0] > 0) ^ (rng.random(600) < noise)).astype(np.float32)[:, None]
    again = rng.permutation(600)[: round(600 * copied)]
    spoiled = with_rows(healthy("circles"), X=np.vstack([X, X[again]]), Y=np.vstack([y, 1 - y[again]]))
    finding = conflicts.label_conflict(spoiled, None)
    assert (finding.severity, finding.figures["rows"]) == ("warning", 2 * len(again))


@pytest.mark.parametrize("kinds", [7, 12])
@pytest.mark.parametrize("noise", [0.02, 0.1, 0.2])
def test_copies_with_the_other_label_are_found_among_few_values(kinds, noise, rng):
    X, Y = tabular(kinds, 600, noise, rng)
    again = np.flatnonzero(rng.random(600) < 0.4)
    spoiled = with_rows(healthy("circles"), X=np.vstack([X, X[again]]), Y=np.vstack([Y, 1 - Y[again]]))
    assert conflicts.label_conflict(spoiled, None).severity == "warning"


def test_a_table_repeated_with_the_same_and_with_other_labels_is_found(rng):
    X = rng.normal(size=(400, 4))
    y = ((X[:, 0] > 0) ^ (rng.random(400) < 0.1)).astype(np.float32)[:, None]
    spoiled = with_rows(healthy("circles"), X=np.vstack([X, X, X]), Y=np.vstack([y, y, 1 - y]))
    assert conflicts.label_conflict(spoiled, None).severity == "warning"


@pytest.mark.parametrize("seed", range(20))
def test_noise_passes_for_a_conflict_less_often_than_its_bound_says(seed):
    rng = np.random.default_rng(seed)
    p = rng.random((150, 1)).repeat(3, axis=0)
    X, y = np.hstack([p, rng.normal(size=(150, 2)).repeat(3, axis=0)]), (rng.random((450, 1)) < p).astype(np.float32)
    finding = conflicts.label_conflict(with_rows(healthy("circles"), X=X, Y=y), None)
    assert finding.severity == "info"


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "moons", "circles"])
@pytest.mark.parametrize("share", [0.1, 0.2])
def test_wrong_labels_are_found(name, share, rng):
    problem = healthy(name, seed=1)
    codes = labels.class_codes(problem, problem.rows)
    spoiled, wrong = flipped(codes, share, rng, max(2, problem.recipe.net.outputs))
    noisy = with_rows(problem, Y=spoiled if problem.rows.Y.ndim == 1 else spoiled[:, None].astype(np.float32))
    finding = labels.label_noise(noisy, None)
    assert finding.figures["share"] == pytest.approx(share, abs=0.1)
    # Of the twenty most doubtful rows nearly all are rows that were spoiled.
    assert wrong[data.suspicious_rows(noisy)[:20]].mean() > 0.8


def test_wrong_labels_of_a_single_class_are_found(rng):
    problem = healthy("digits")
    wrong = (problem.rows.Y == 3) & (rng.random(len(problem.rows)) < 0.4)
    finding = labels.label_noise(
        with_rows(problem, Y=np.where(wrong, rng.integers(0, 10, len(wrong)), problem.rows.Y)), None
    )
    assert finding.figures["label"] == 3
    assert finding.figures["label_error"] == pytest.approx(0.4, abs=0.2)


@pytest.mark.parametrize("distance", [1.0, 1.5, 2.0, 3.0])
def test_classes_that_overlap_are_no_label_noise(distance):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, 1000)
        X = rng.normal(size=(1000, 5)) + distance * y[:, None] * np.eye(5)[0]
        P = quick.shares(quick.Folds.of(X).predict(quick.one_hot(y, 2)))
        assert not confidence.doubts(P, y).noisy


def test_thresholds_of_doubt_are_those_of_the_paper():
    P = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6]])
    # t = ((0.9 + 0.7 + 0.2) / 3, 0.6): row 2, labeled 0, reaches t₁; row 3 does too, and is labeled so.
    assert confidence.in_doubt(P, np.array([0, 0, 0, 1])).tolist() == [2]


@pytest.mark.parametrize("name", ["digits", "circles", "diabetes"])
def test_shuffled_rows_are_found(name, rng):
    problem = healthy(name)
    assert (
        labels.misaligned_labels(with_rows(problem, X=rng.permutation(problem.rows.X)), None).symptom
        == "misaligned-labels"
    )
    assert labels.misaligned_labels(problem, None) is None


def test_few_rows_say_nothing_about_chance():
    with pytest.raises(NotApplicable, match="100 rows"):
        labels.misaligned_labels(with_rows(healthy("wine"), take=slice(90)), None)


@pytest.mark.parametrize(("n", "severity"), [(150, "info"), (1500, "warning")])
def test_few_rows_cannot_rule_out_that_inputs_predict_their_targets(rng, n, severity):
    problem = healthy("digits")
    unrelated = with_rows(problem, X=rng.permutation(problem.rows.X), take=slice(n))
    assert labels.misaligned_labels(unrelated, None).severity == severity


def test_noisy_rows_stand_out(rng):
    # Columns that repeat three hidden ones; a quarter of the rows is drowned in noise.
    hidden = rng.normal(size=(800, 3))
    y = (hidden[:, 0] > 0).astype(np.float32)[:, None]
    X = hidden @ rng.normal(size=(3, 12)) + 0.1 * rng.normal(size=(800, 12))
    problem = with_rows(healthy("circles"), X=X, Y=y)
    assert labels.noisy_inputs(problem, None) is None
    X[::4] = rng.normal(size=(200, 12)) * 3
    finding = labels.noisy_inputs(with_rows(problem, X=X, Y=y), None)
    assert 0.05 < finding.figures["share"] <= 0.25
    assert finding.figures["error"] > 0.3


def test_few_rows_are_too_few(rng):
    problem = healthy("digits")
    assert (
        labels.too_little_data(with_rows(problem, take=rng.permutation(len(problem.rows))[:25]), None).severity
        == "warning"
    )
    some = labels.too_little_data(with_rows(problem, take=rng.permutation(len(problem.rows))[:150]), None)
    assert (some.severity, some.figures["rows"]) == ("info", 150)
    assert labels.too_little_data(problem, None) is None


def test_out_of_fold_predictions_do_not_see_their_own_row(rng):
    # Targets that are pure noise cannot be predicted from other rows: the error is not below their variance.
    X, y = rng.normal(size=(400, 3)), rng.normal(size=(400, 1))
    assert ((quick.Folds.of(X).predict(y) - y) ** 2).mean() > 0.95 * y.var()


def test_ridge_predictions_are_those_of_the_normal_equations(rng):
    X, y = rng.normal(size=(60, 2)), rng.normal(size=(60, 1))
    folds = quick.Folds.of(X)
    out = folds.part == 1
    F = folds.features[~out]
    candidates = [
        folds.features[out] @ np.linalg.lstsq(
            np.vstack([F, math.sqrt(k * np.trace(F.T @ F) / F.shape[1]) * np.eye(F.shape[1])]),
            np.vstack([y[~out], np.zeros((F.shape[1], 1))]),
        )[0]
        for k in (1e-3, 1e-2, 1e-1)
    ]  # fmt: skip
    assert min(np.abs(folds.predict(y)[out] - P).max() for P in candidates) < 1e-6


def test_the_nearest_neighbor_is_another_row(rng):
    X = rng.normal(size=(50, 3))
    D = np.linalg.norm(X[:, None] - X[None], axis=2) + 1e9 * np.eye(50)
    standard = (X - X.mean(0)) / X.std(0)
    D = np.linalg.norm(standard[:, None] - standard[None], axis=2) + 1e9 * np.eye(50)
    assert np.array_equal(quick.neighbor(X), D.argmin(axis=1))
