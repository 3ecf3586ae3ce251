"""Why: class weights, labels and scorers that an estimator does not expect once ended in a raw error or a false warning.

In: every estimator with them. Out: our own error that names what is allowed, or the label and its row; else silence.
"""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import make_scorer, mean_absolute_error

from chainrule import NetClassifier, NetRegressor, TableClassifier
from chainrule.data import Parts, load
from chainrule.errors import InvalidValueError
from chainrule.pipeline import Settings, build_problem, evaluate

N = 60
X = np.random.default_rng(0).normal(size=(N, 2))
Y = np.arange(N) % 2
WORDS = np.array(["no", "yes"])[Y]


def net(**options):
    return NetClassifier((3,), **{"max_iter": 1, "random_state": 0, **options})


NOT_WEIGHTS = {
    "array": np.array([1.0, 5.0]),
    "list": [1.0, 5.0],
    "tuple": (1.0, 5.0),
    "number": 5.0,
    "whole number": 2,
    "set": {0, 1},
    "series": pd.Series([1.0, 5.0]),
    "polars series": pl.Series([1.0, 5.0]),
    "list of dicts": [{0: 1.0, 1: 2.0}],
    "another word": "Balanced",
    "flag": True,
    "function": len,
}


@pytest.mark.parametrize("fit", ["fit", "partial_fit", "examine"])
@pytest.mark.parametrize("name", list(NOT_WEIGHTS))
def test_class_weights_are_a_mapping(name, fit):
    allowed = r"class_weight must be 'balanced', a mapping of labels to weights, or None, got"
    with pytest.raises(InvalidValueError, match=allowed):
        getattr(net(class_weight=NOT_WEIGHTS[name]), fit)(X, Y)


@pytest.mark.parametrize(
    "value", ["5", None, [1], (), {}, np.nan, np.inf, -1, -1e-9, 1j, True, np.array([1.0, 2.0])], ids=str
)
def test_each_class_weight_is_a_number(value):
    with pytest.raises(InvalidValueError, match=r"class_weight\[1\] must be a finite number >= 0, got"):
        net(class_weight={0: 1.0, 1: value}).fit(X, Y)


@pytest.mark.parametrize("unknown", [2, "1", "yes", None, (0, 1), 0.5])
def test_weights_of_unknown_classes_are_refused(unknown):
    with pytest.raises(InvalidValueError, match=r"class_weight must be for labels among \[0, 1\], got"):
        net(class_weight={0: 1.0, unknown: 2.0}).fit(X, Y)


@pytest.mark.parametrize(
    "weight", [None, "balanced", {}, {0: 2}, {0: np.float32(2), 1: 1}, {False: 1.0, True: 2.0}], ids=str
)
def test_right_class_weights_are_taken(weight):
    assert net(class_weight=weight).fit(X, Y).predict(X).shape == (N,)


@pytest.mark.parametrize(
    "weight", [{0: 1.0}, [{0: 1.0}], "heavy", 3.0, np.ones(2), [1.0, 2.0], [{0: 1.0}, {7: 1.0}]], ids=str
)
def test_class_weights_of_several_targets_are_a_list_of_mappings(weight):
    targets = np.column_stack([np.arange(N) % 2, np.arange(N) % 3])
    with pytest.raises(InvalidValueError, match="class_weight must be"):
        net(class_weight=weight).fit(X, targets)


@pytest.mark.parametrize("name", list(NOT_WEIGHTS))
def test_problems_check_class_weights_too(name):
    with pytest.raises(InvalidValueError, match="class_weight must be"):
        build_problem(Settings(), (X, Y), class_weight=NOT_WEIGHTS[name])


# ---- scorers


FRAMES = {
    "pandas": pd.DataFrame(X, columns=["a", "b"]),
    "polars": pl.DataFrame({"a": X[:, 0], "b": X[:, 1]}),
}


def _by_accuracy(estimator, X, y):
    return float((estimator.predict(X) == y).mean())


SCORERS = {
    "classifier": ["accuracy", "f1", "neg_log_loss", "roc_auc", _by_accuracy],
    "regressor": ["r2", "neg_mean_absolute_error", make_scorer(mean_absolute_error, greater_is_better=False)],
}


@pytest.mark.parametrize("kind", list(FRAMES))
@pytest.mark.parametrize("held_out", ["own", "given"])
@pytest.mark.parametrize(
    ("make", "scoring"),
    [(kind, scoring) for kind, each in SCORERS.items() for scoring in each],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_scoring_a_frame_warns_of_nothing(kind, held_out, make, scoring):
    frame = FRAMES[kind]
    y = Y if make == "classifier" else X[:, 0]
    options = {"max_iter": 2, "scoring": scoring, "random_state": 0, "early_stopping": held_out == "own"}
    network = (NetClassifier if make == "classifier" else NetRegressor)((3,), **options)
    rows = {} if held_out == "own" else {"X_val": frame, "y_val": y}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        network.fit(frame, y, **rows)
    assert [str(w.message) for w in told] == []
    assert len(network.validation_scores_) == 2
    assert list(network.feature_names_in_) == ["a", "b"]


# ---- labels that training did not have


def _rows_with(label):
    y = WORDS.copy().astype(object)
    y[7] = label
    return y.astype(str)


UNKNOWN = r"labels must be among \['no', 'yes'\], got \['maybe'\]. The first is in row 7"


def test_a_class_that_only_the_validation_rows_have_is_named_with_its_row():
    with pytest.raises(InvalidValueError, match=UNKNOWN):
        net().fit(X, WORDS, X_val=X, y_val=_rows_with("maybe"))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_class_that_only_a_later_part_has_is_named_with_part_and_row(part):
    iris = load("iris")
    known = iris.y != "virginica"
    train, rest = replace(iris, X=iris.X[known], y=iris.y[known]), iris
    row = int(np.argmin(known))
    parts = Parts(train, rest if part == "validation" else None, rest if part == "test" else None)
    match = rf"{part} rows: labels must be among .*, got \['virginica'\]. The first is in row {row}"
    with pytest.raises(InvalidValueError, match=match):
        build_problem(Settings(), parts)


def test_evaluating_an_unknown_class_names_its_row():
    model = net().fit(X, WORDS).model_
    with pytest.raises(InvalidValueError, match=UNKNOWN):
        evaluate(model, X, _rows_with("maybe"))


@pytest.mark.parametrize("rows", ["array", "sparse", "frame", "model", "weighted"])
def test_scoring_an_unknown_class_counts_it_as_wrong_and_says_so(rows):
    network = net().fit(X, WORDS)
    y = network.predict(X).astype("U8")
    y[7] = "maybe"
    given = {"sparse": csr_array(X), "frame": pd.DataFrame(X)}.get(rows, X)
    scored = network.model_ if rows == "model" else network
    c = np.ones(N) if rows == "weighted" else None
    with pytest.warns(
        UserWarning, match=r"y has labels that the training rows did not have, \['maybe'\], first in row 7"
    ):
        assert scored.score(given, y, c) == pytest.approx(1 - 1 / N)


def test_scoring_several_targets_names_the_unknown_one():
    targets = np.column_stack([WORDS, WORDS[::-1]])
    network = net().fit(X, targets)
    y = targets.astype("U8")
    y[3, 1] = "maybe"
    with pytest.warns(UserWarning, match=r"\['maybe'\], first in row 3"):
        network.model_.score(X, y)


def test_known_classes_are_scored_in_silence():
    network = net().fit(X, WORDS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert network.score(X, network.predict(X)) == 1.0
        assert network.model_.score(X[:3], network.predict(X[:3])) == 1.0


@pytest.mark.slow
def test_a_table_classifier_names_unknown_classes_too():
    frame = FRAMES["polars"]
    table = TableClassifier(seconds=1, random_state=0).fit(frame, WORDS)
    y = table.predict(frame).astype("U8")
    y[7] = "maybe"
    with pytest.warns(UserWarning, match=r"\['maybe'\], first in row 7"):
        assert table.score(frame, y) == pytest.approx(1 - 1 / N)


# ---- numbers beyond the range


@pytest.mark.parametrize("value", [1e151, -1e200, 1.7e308, 1e154, 3e160])
@pytest.mark.parametrize("make", [NetClassifier, NetRegressor])
def test_training_rows_whose_squares_overflow_are_named(make, value):
    rows = X.copy()
    rows[11, 1] = value
    with pytest.raises(InvalidValueError, match=r"X must be at most 1e\+150 in size, got .* at row 11, column 1"):
        make((3,), max_iter=1).fit(rows, Y)


@pytest.mark.parametrize("value", [1e151, -1e200, 1.7e308, 1e154, 3e160])
def test_targets_whose_squares_overflow_are_named(value):
    y = X[:, 0].copy()
    y[11] = value
    with pytest.raises(InvalidValueError, match=r"must be at most 1e\+150 in size, got .* at row 11"):
        NetRegressor((3,), max_iter=1).fit(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
@pytest.mark.parametrize("unit", [1e149, 1e100, 1e40, 1e-40, 1e-160])
def test_targets_of_any_unit_are_learned_alike(loss, unit):
    y = X[:, 0] + X[:, 1]
    options = {"max_iter": 3, "random_state": 0, "loss": loss, "dtype": "float64"}
    plain, other = (NetRegressor((3,), **options).fit(X, y * u) for u in (1.0, unit))
    np.testing.assert_allclose(other.predict(X) / unit, plain.predict(X), rtol=1e-6)
    assert np.isfinite(other.loss_curve_).all()


@pytest.mark.parametrize(
    ("value", "name"), [(1e39, "X"), (-1e100, "X"), (3.5e38, "X"), (1e39, "y"), (-4e38, "y"), (1e60, "sample_weight")]
)
def test_numbers_that_float32_cannot_hold_are_named(value, name):
    given = {"X": X.copy(), "y": X[:, 0].copy(), "sample_weight": np.ones(N)}
    given[name][(9, 1) if name == "X" else 9] = value
    network = NetRegressor((3,), max_iter=1, scaling="none", dtype="float32", loss="poisson" if name == "y" else None)
    if name == "y":
        given["y"] = np.abs(given["y"])
    with pytest.raises(
        InvalidValueError, match=rf"{name} must be within .*float32.* in row 9|within 3\.4e\+38 standard .* at row 9"
    ):
        network.fit(**given)
