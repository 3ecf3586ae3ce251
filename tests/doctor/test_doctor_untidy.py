"""Why: real tables hold codes, typing errors and columns that should not be there; each must be named, and tidy ones spared.

In: healthy data sets, and the same with one value, column or part spoiled. Out: what the rules say, and trials.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_cases import HEALTHY, healthy, with_rows

from chainrule import NetClassifier, NetRegressor
from chainrule.data import Standardizer
from chainrule.data.outliers import wild_cells
from chainrule.doctor.remedies.alignment import shifted_columns
from chainrule.doctor.remedies.apply import APPLY
from chainrule.doctor.rules.data import parts, untidy

NETS = {"hidden_layer_sizes": (32,), "max_iter": 40, "learning_rate_init": 0.01, "random_state": 0}


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def ill(report):
    return [finding.symptom for finding in report.findings if finding.severity != "info"]


# Single values


@pytest.mark.parametrize("code", [-999.0, 999.0, -9999.0, 99999.0, -1e6, 1e30])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.15])
def test_a_code_for_a_gap_is_found(code, share):
    x = normal(1000, 1)[:, 0]
    rows = np.random.default_rng(1).permutation(1000)[: int(share * 1000)]
    x[rows] = code
    found = wild_cells(x)
    assert sorted(found.rows) == sorted(rows)
    assert found.value == code


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_it_does_not_matter_in_which_unit_a_column_is(scale):
    x = normal(500, 1)[:, 0]
    x[7] = 10_000
    assert wild_cells(scale * x + scale).rows.tolist() == [7]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(size=2000),
        lambda rng: rng.standard_t(3, size=2000),
        lambda rng: rng.lognormal(sigma=1.0, size=2000),
        lambda rng: rng.poisson(0.3, size=2000),
        lambda rng: rng.integers(0, 2, 2000),
        lambda rng: (rng.random(2000) < 0.01) * 1.0,
        lambda rng: np.where(rng.random(2000) < 0.9, 0.0, rng.exponential(size=2000)),
        lambda rng: rng.uniform(size=2000) ** 8,
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_wide_and_skewed_columns_are_left_alone(draw, seed):
    assert wild_cells(draw(np.random.default_rng(seed))) is None


def test_the_card_names_column_value_and_share_in_the_users_units():
    rng = np.random.default_rng(0)
    X = rng.normal(50, 10, size=(800, 3))
    y = X[:, 1] > 50
    X[rng.permutation(800)[:24], 1] = -999
    report = NetClassifier(**NETS).examine(X, y)
    found = next(finding for finding in report.findings if finding.symptom == "strange-cells")
    assert "-999" in found.measured
    assert "'x1'" in found.title
    assert "3 %" in found.measured
    before = np.median(X[X[:, 1] > -999, 1])
    exec(found.fix.code, {"np": np, "X": X})  # the card's line, as it is printed
    assert X[:, 1].min() > 0
    assert np.median(X[:, 1]) == pytest.approx(before, abs=1.0)
    again = NetClassifier(**NETS).examine(X, y)
    assert "strange-cells" not in [finding.symptom for finding in again.findings]
    assert [trial.remedy for trial in found.trials] == ["fill-strange-cells"]


def test_filling_strange_cells_helps():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = X[:, 0] + X[:, 1]
    X[rng.permutation(600)[:12], 0] = 1e4
    report = NetRegressor(**NETS).examine(X, y)
    assert report.findings[0].symptom == "strange-cells"
    assert report.findings[0].confirmed


@pytest.mark.parametrize("size", [100, -300, 1e3, 1e6, -1e9])
def test_a_mistyped_target_is_named_with_its_size(size):
    X = normal(1000, 5)
    y = X[:, 0] + X[:, 1]
    y[3] += size
    problem = with_rows(healthy("diabetes"), X=np.zeros((1000, 10)), Y=y[:, None].astype(np.float32))
    found = untidy.wild_targets(replace(problem, target=None), None)
    assert found.figures["rows"] == 1
    assert found.figures["value"] == pytest.approx(y[3], rel=1e-6)
    assert found.fix.remedy == "drop-wild-targets"


def test_dropping_wild_targets_scales_the_others_anew():
    y = np.r_[normal(99, 1)[:, 0], 1e5].astype(np.float32)[:, None]
    problem = with_rows(healthy("diabetes"), X=np.zeros((100, 10)), Y=y)
    changed = APPLY["drop-wild-targets"](problem)
    assert len(changed.rows) == 99
    assert changed.rows.Y.std() == pytest.approx(1.0, abs=1e-3)
    assert APPLY["drop-wild-targets"](changed) is None


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_tables_hold_nothing_strange(name):
    problem = healthy(name)
    for rule in (
        untidy.wild_targets,
        untidy.row_counter,
        untidy.target_copy,
        parts.validation_differs,
        parts.single_class,
    ):
        try:
            assert rule(problem, None) is None, rule
        except untidy.NotApplicable:
            continue


# Columns


@pytest.mark.parametrize(
    "count",
    [
        np.arange,
        lambda n: np.arange(1, n + 1)[::-1],
        lambda n: 1000 + 2 * np.arange(n),
        lambda n: np.random.default_rng(0).permutation(n),
        lambda n: np.sort(np.random.default_rng(0).permutation(int(1.25 * n))[:n]),
        lambda n: np.arange(n) / n,
    ],
)
def test_a_column_that_counts_rows_is_found_scaled_or_not(count):
    x = count(400).astype(np.float32)
    for each in (x, (x - x.mean()) / x.std()):
        assert untidy.counts_rows(each)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(size=400),
        lambda rng: rng.uniform(size=400),
        lambda rng: rng.integers(0, 400, 400),
        lambda rng: rng.permutation(100_000)[:400],
        lambda rng: np.arange(400) // 2,
    ],
)
def test_other_columns_do_not_count_rows(draw):
    assert not untidy.counts_rows(draw(np.random.default_rng(0)))


def test_a_counter_of_sorted_rows_is_a_warning_and_of_shuffled_ones_information():
    y = np.repeat([0, 1], 200)
    noise = normal(400, 3)
    told = NetClassifier(**NETS).examine(np.c_[np.arange(1, 401), noise], y)
    assert ill(told) == ["row-counter"]
    order = np.random.default_rng(0).permutation(400)
    X = np.c_[np.arange(1, 401), noise + 2 * y[order][:, None]]
    beside = NetClassifier(**NETS).examine(X, y[order])
    assert ("row-counter", "info") in [(finding.symptom, finding.severity) for finding in beside.findings]


@pytest.mark.parametrize(
    "copy", [lambda y: y, lambda y: 3 - 2 * y, lambda y: np.where(y == 1, 7.5, -3), lambda y: y * 1e6]
)
def test_a_copy_of_the_classes_is_named(copy):
    y = np.arange(400) % 2
    report = NetClassifier(**NETS).examine(np.c_[normal(400, 3), copy(y)], y)
    assert ill(report) == ["target-copy"]
    assert "'x3'" in report.findings[0].title


@pytest.mark.parametrize("copy", [lambda y: y, lambda y: -y / 1000, lambda y: 40 + 9 / 5 * y])
def test_a_straight_line_of_the_target_is_named(copy):
    y = 100 * normal(400, 1)[:, 0] ** 3
    report = NetRegressor(**NETS).examine(np.c_[normal(400, 3, 1), copy(y)], y)
    assert "target-copy" in ill(report)


def beside_noise(classes, noise):
    """What is found where a column is the target with noise of so many of its deviations."""
    y = np.arange(400) % 2 if classes else normal(400, 1)[:, 0]
    column = y + noise * y.std() * normal(400, 1, 2)[:, 0]
    X = np.c_[normal(400, 9, 1), column].astype(np.float32)
    problem = replace(healthy("circles" if classes else "diabetes"), feature_names=())
    return untidy.target_copy(with_rows(problem, X=X, Y=y.astype(np.float32)[:, None]), None)


@pytest.mark.parametrize("noise", [0.002, 0.004, 0.01, 0.02, 0.025])
@pytest.mark.parametrize("classes", [True, False])
def test_a_column_that_is_nearly_the_target_is_named(classes, noise):
    found = beside_noise(classes, noise)
    assert "column 9" in found.title
    assert "but for" in found.measured
    assert "but for" not in beside_noise(classes, 0.0).measured


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("classes", [True, False])
def test_a_column_that_says_much_of_the_target_is_no_copy(classes, noise):
    assert beside_noise(classes, noise) is None


# Parts


PARTS = {
    "not scaled": lambda S, X: X,
    "in other columns": lambda S, X: S[:, ::-1],
    "rotated columns": lambda S, X: np.roll(S, 1, axis=1),
    "shifted": lambda S, X: S + 3,
    "scaled twice": lambda S, X: (S - 50) / 20,
    "in other units": lambda S, X: 1000 * S,
}


@pytest.mark.parametrize("name", PARTS)
def test_validation_rows_that_differ_are_named_and_not_called_overfitting(name):
    rng = np.random.default_rng(0)
    X = 50 + 20 * rng.normal(size=(800, 4))
    y = (X[:, 0] + X[:, 1] > 100).astype(int)
    S = (X - X[:600].mean(axis=0)) / X[:600].std(axis=0)
    report = NetClassifier(**NETS).examine(S[:600], y[:600], X_val=PARTS[name](S[600:], X[600:]), y_val=y[600:])
    assert ill(report) == ["validation-differs"]
    assert [trial.remedy for trial in report.findings[0].trials] == ["align-validation"]


@pytest.mark.parametrize("seed", range(5))
def test_parts_that_differ_by_chance_are_spared(seed):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.normal(size=(300, 3)), rng.random((300, 5)) < 0.02]
    y = X[:, 0] + 0.5 * rng.normal(size=300)
    scaled = Standardizer.fit(X[:240]).apply(X)
    problem = with_rows(healthy("diabetes"), X=scaled[:240], Y=y[:240, None])
    held = replace(problem.rows, X=scaled[240:].astype(np.float32), Y=y[240:, None], c=np.ones(60, np.float32))
    assert parts.validation_differs(replace(problem, validation=held), None) is None


def test_validation_rows_of_one_class_are_named():
    y = np.repeat([0, 1, 2], 100)
    X = normal(300, 4) + y[:, None]
    report = NetClassifier(**NETS).examine(X[:240], y[:240], X_val=X[240:], y_val=y[240:])
    assert "single-class-validation" in ill(report)
    found = next(finding for finding in report.findings if finding.symptom == "single-class-validation")
    assert "of class 2" in found.measured


# Few rows


XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("settings", "symptoms"),
    [
        ({}, []),
        ({"activation": "tanh"}, []),
        ({"learning_rate_init": 1e-6}, ["learning-rate-too-low"]),
        ({"activation": "identity"}, ["linear-collapse"]),
        ({"optimizer": "sgd", "learning_rate_init": 100.0}, ["learning-rate-too-high"]),
    ],
)
def test_xor_is_judged_by_its_own_loss(settings, symptoms):
    usual = {"hidden_layer_sizes": (8,), "max_iter": 500, "learning_rate_init": 0.05, "random_state": 0}
    report = NetClassifier(**{**usual, **settings}).examine(*XOR)
    assert ill(report) == symptoms
    assert report.notes[0] == "4 rows are too few to hold some out: the loss on the training rows decides."


@pytest.mark.parametrize("standardized", [True, False])
def test_a_column_of_few_values_differs_where_most_are_others(standardized):
    X, X_held = (np.random.default_rng(seed).integers(0, 3, (100, 2)) * 1.0 for seed in (0, 1))
    X_held = (X_held - X.mean(axis=0)) / X.std(axis=0) if standardized else X_held
    differ = shifted_columns(X, X_held)[1]
    assert differ.all() == differ.any() == standardized


def test_a_column_of_other_values_is_named_with_one_of_them():
    rng = np.random.default_rng(0)
    problem = healthy("wine")
    X, X_held = (rng.integers(1, 4, (len(part), 2)) * 1.0 for part in (problem.rows, problem.validation))
    problem = replace(
        problem, rows=replace(problem.rows, X=X), validation=replace(problem.validation, X=X_held + 0.5), inputs=None
    )
    found = parts.validation_differs(problem, None)
    assert found.title == "The validation rows have other values than the training rows"
    assert (
        "has few values in the training rows, and most of its validation values are others, such as" in found.measured
    )
