"""Why: one mistyped target among a thousand must not make a regression worthless, and must not be dropped in silence.

In: a line with one or a few targets far from all others. Out: scores on clean rows, and the warning that names the row.
"""

import re
import warnings

import numpy as np
import pytest

from chainrule import NetRegressor, TableRegressor
from chainrule.data.outliers import without_wild_targets
from chainrule.errors import DataWarning, InvalidValueError
from chainrule.nn.losses import Huber
from chainrule.pipeline import Settings, build_problem

SETTINGS = {"hidden_layer_sizes": (32,), "max_iter": 40, "learning_rate_init": 0.01, "random_state": 0}
PACK = {"members": 2, "folds": 2, "epochs": [20, 20], "width": [16, 16]}


def rows(n=1000):
    X = np.random.default_rng(1).normal(size=(n, 5))
    return X, X[:, 0] + X[:, 1]


def no_weights(estimator, X, y):
    return estimator.score(X, y)


@pytest.mark.parametrize("size", [100, -100, 1e3, -1e6, 1e12])
def test_a_mistyped_target_is_named_and_left_out(size):
    X, y = rows()
    given = y.copy()
    given[3] += size
    with pytest.warns(DataWarning, match=r"NetRegressor: the target of row 4 is .* left out of the training"):
        fitted = NetRegressor(**SETTINGS).fit(X[:800], given[:800])
    assert fitted.score(X[800:], y[800:]) > 0.99


@pytest.mark.parametrize("early", [False, True])
def test_so_are_a_few_and_those_that_are_held_out(early):
    X, y = rows()
    given = np.column_stack([y, -y])
    given[[1, 5, 9], [0, 0, 1]] = 1e5
    with pytest.warns(
        DataWarning, match=r"3 targets are far from the others; the farthest, of row (2|6|10), is -?1000"
    ):
        fitted = NetRegressor(**SETTINGS, early_stopping=early).fit(X[:800], given[:800])
    assert fitted.score(X[800:], np.column_stack([y, -y])[800:]) > 0.99


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_so_are_five_among_few_rows_and_those_beside_few_different_counts(sign):
    rng = np.random.default_rng(4)
    X, y = rows(900)
    given = y.copy()
    given[[3, 100, 200, 300, 400]] += sign * 1000 * y.std()
    with pytest.warns(
        DataWarning, match=r"5 targets are far from the others; the farthest, of row \d+, is .* They are left out"
    ):
        fitted = NetRegressor(**SETTINGS).fit(X[:600], given[:600])
    assert fitted.score(X[600:], y[600:]) > 0.99
    counts = np.clip(rng.poisson(np.exp(0.7 * X[:, 0])), 0, 7) * 1.0
    given = counts.copy()
    given[5] += sign * 1e4
    with pytest.warns(DataWarning, match="the target of row 6 is"):
        fitted = NetRegressor(**SETTINGS).fit(X[:600], given[:600])
    assert fitted.score(X[600:], counts[600:]) > 0.3


@pytest.mark.parametrize(("part", "row"), [("rows", 3), ("validation", 2)])
def test_one_among_validation_rows_does_not_choose_the_epoch(part, row):
    X, y = rows(300)
    given = {"rows": y[:200].copy(), "validation": y[200:].copy()}
    given[part][row] += 1e4
    with pytest.warns(DataWarning, match="the target of one row is"):
        problem = build_problem(Settings(), (X[:200], given["rows"]), validation=(X[200:], given["validation"]))
    for name in ("rows", "validation"):
        weights = getattr(problem, name).c
        assert np.flatnonzero(weights == 0).tolist() == ([row] if name == part else [])
        assert set(weights.tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(("scoring", "columns"), [(None, 1), ("r2", 1), (no_weights, 1), (None, 2)])
def test_nor_does_one_among_those_of_an_estimator(scoring, columns):
    X, y = rows(900)
    y = y if columns == 1 else np.column_stack([y, -y])
    given = y[600:700].copy()
    given[(4,) if columns == 1 else (4, 1)] = 1e7
    net = NetRegressor(**SETTINGS, early_stopping=True, scoring=scoring)
    with pytest.warns(DataWarning, match="NetRegressor: the target of validation row 5 is 1e\\+07, .* left out"):
        net.fit(X[:600], y[:600], X_val=X[600:700], y_val=given)
    assert net.score(X[700:], y[700:]) > 0.95
    y[7] += 1e7
    with pytest.warns(DataWarning, match="NetRegressor: the target of row 8 is "):
        net.fit(X[:600], y[:600], X_val=X[600:700], y_val=y[600:700])
    assert net.score(X[700:], y[700:]) > 0.95


def test_held_out_rows_that_are_all_far_keep_their_weights():
    X, y = rows(100)
    y[85:] = 1e3
    with pytest.warns(DataWarning, match="15 targets are far"):
        NetRegressor(**SETTINGS, early_stopping=True, validation_fraction=0.1).fit(X, y, times=np.arange(100))


def test_validation_rows_with_one_value_in_other_units_are_kept():
    X, y = rows(120)
    held = np.full(20, 1000.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        problem = build_problem(Settings(), (X[:100], y[:100]), validation=(X[100:], held))
        NetRegressor(**SETTINGS, early_stopping=True).fit(X[:100], y[:100], X_val=X[100:], y_val=held)
    assert problem.rows.c.all()
    assert problem.validation.c.all()
    y[3] = 1e6
    with pytest.warns(DataWarning, match="the target of one row is"):
        problem = build_problem(Settings(), (X[:100], y[:100]), validation=(X[100:], held))
    assert np.flatnonzero(problem.rows.c == 0).tolist() == [3]
    assert problem.validation.c.all()


@pytest.mark.parametrize("shape", [(20, 3), (20,)])
def test_validation_targets_of_another_width_get_the_usual_error(shape):
    X, y = rows(120)
    with pytest.raises(InvalidValueError, match=r"validation rows: targets must be of shape \(n, 2\), got \(20,"):
        build_problem(Settings(), (X[:100], np.column_stack([y, -y])[:100]), validation=(X[100:], np.ones(shape)))


def test_validation_rows_in_other_units_are_kept():
    X, y = rows(1000)
    problem = build_problem(Settings(), (X[:990], y[:990]), validation=(X[990:], y[990:] + 1e5))
    assert problem.rows.c.all()
    assert problem.validation.c.all()


def test_a_pack_leaves_it_out_too():
    X, y = rows()
    given = y.copy()
    given[3] += 1e6
    with pytest.warns(DataWarning, match="the target of row 4 is"):
        fitted = TableRegressor(preset=PACK, seconds=None, random_state=0).fit(X[:800], given[:800])
    assert fitted.score(X[800:], y[800:]) > 0.8


def test_a_robust_loss_trains_on_all_rows():
    X, y = rows()
    y[3] += 1e3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NetRegressor(**{**SETTINGS, "max_iter": 2}, loss=Huber()).fit(X, y)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.normal(size=800),
        lambda rng: rng.lognormal(sigma=1.0, size=800),
        lambda rng: rng.standard_t(3, size=800),
        lambda rng: rng.poisson(2, size=800) * 1.0,
        lambda rng: np.repeat([0.0, 1.0], 400),
        lambda rng: np.where(rng.random(800) < 0.95, 0.0, rng.exponential(size=800)),
        lambda rng: np.where(rng.random(800) < 0.9, 0.0, rng.poisson(3, size=800)),
        lambda rng: rng.standard_t(2.5, size=800),
    ],
)
def test_skewed_targets_stay_as_they_are(draw):
    y = draw(np.random.default_rng(0))
    assert without_wild_targets("fit", y) == (None, "")


def test_the_sentence_counts_several_and_names_the_farthest():
    y = np.r_[np.arange(1000.0), [1.9e5, 2e5]]
    end = r" 200000, \d+ standard deviations from them\. They are left out of the training\."
    one = r" 200000, \d+ standard deviations from the others\. It is left out of the training\."
    first = "fit: 2 targets are far from the others; the farthest"
    assert re.match(rf"{first}, of row 1002, is{end}", without_wild_targets("fit", y)[1])
    assert re.match(rf"{first} is{end}", without_wild_targets("fit", y, in_order=False)[1])
    y = np.delete(y, 1000)
    assert re.match(rf"fit: the target of row 1001 is{one}", without_wild_targets("fit", y)[1])
    assert re.match(rf"fit: the target of one row is{one}", without_wild_targets("fit", y, in_order=False)[1])


def test_rows_of_weight_0_are_not_looked_at():
    y = np.r_[np.arange(50.0), 1e6]
    weights = np.ones(51)
    weights[-1] = 0.0
    kept, sentence = without_wild_targets("fit", y, weights)
    assert kept is weights
    assert sentence == ""


def test_the_doctor_says_as_information_which_targets_are_left_out():
    X = np.random.default_rng(0).normal(size=(300, 3))
    y = X[:, 0].copy()
    net = NetRegressor((8,), max_iter=20, random_state=0)
    assert "wild-targets" not in [each.symptom for each in net.examine(X, y).findings]
    y[7] = 1e4
    with pytest.warns(DataWarning, match="row 8"):
        report = net.examine(X, y)
    (told,) = (each for each in report.findings if each.symptom == "wild-targets")
    assert told.severity == "info"
    assert told.measured.startswith("10000 in one row")
    assert told.fix.text.startswith("They are left out of the training.")
