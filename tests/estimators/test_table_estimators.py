"""Why: the estimators of tables keep scikit-learn's contract, and take tables as people have them."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule import TableClassifier, TableRegressor, load_model, save_model
from chainrule.data import load
from chainrule.errors import DataWarning, InvalidValueError
from chainrule.tabular import Preset

SMALL = Preset(members=2, folds=2, epochs=(5, 20))
KINDS = (TableClassifier, TableRegressor)

# Folds are drawn by row: a row of weight 2 lies in one fold, two equal rows may lie in two.
EXPECTED = {
    f"check_sample_weight_equivalence_on_{rows}_data": "folds are drawn by row, so repeated rows may lie in two folds"
    for rows in ("dense", "sparse")
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::chainrule.errors.DataWarning")
@parametrize_with_checks(
    [kind(preset=SMALL, seconds=None, random_state=0) for kind in KINDS], expected_failed_checks=lambda _: EXPECTED
)
def test_scikit_learn_s_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 240
    size = rng.normal(size=n)
    color = np.array(["red", "green", "blue"])[rng.integers(0, 3, n)]
    frame = pl.DataFrame({"size": size, "color": color}).with_columns(
        pl.when(pl.Series(rng.random(n) < 0.1)).then(None).otherwise(pl.col("size")).alias("size")
    )
    value = size + 2.0 * (color == "red")
    return frame, value


def fitted(kind, frame, y, **settings):
    return kind(preset=SMALL, seconds=None, random_state=0, **settings).fit(frame, y)


@pytest.mark.parametrize("form", ["pandas", "lazy", "dicts"])
def test_every_form_of_rows_gives_the_same_model(table, form):
    frame, value = table
    same = {
        "pandas": lambda: pd.DataFrame({"size": frame["size"].to_numpy(), "color": frame["color"].to_list()}),
        "lazy": frame.lazy,
        "dicts": frame.to_dicts,
    }[form]()
    ours = fitted(TableRegressor, frame, value)
    theirs = fitted(TableRegressor, same, value)
    np.testing.assert_array_equal(ours.predict(frame), theirs.predict(same))
    np.testing.assert_array_equal(ours.predict(frame), ours.predict(same))


@pytest.mark.parametrize(
    "labels", [["no", "yes"], [0, 1], [0.0, 1.0], [False, True], ["01", "02"]], ids=lambda each: repr(each[0])
)
def test_labels_come_back_as_they_went_in(table, labels):
    frame, value = table
    y = np.array(labels)[(value > 0.5).astype(int)]
    model = fitted(TableClassifier, frame, y)
    assert model.classes_.tolist() == labels
    predicted = model.predict(frame)
    assert predicted.dtype == y.dtype
    assert (predicted == y).mean() > 0.8
    P = model.predict_proba(frame)
    np.testing.assert_allclose(P.sum(axis=1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(model.classes_[P.argmax(axis=1)], predicted)


def test_gaps_and_unknown_categories_have_a_place(table):
    frame, value = table
    model = fitted(TableRegressor, frame, value)
    assert np.isfinite(model.predict([{"size": None, "color": "violet"}, {"size": 1e9, "color": None}])).all()


def test_predictions_stay_within_the_training_targets(table):
    frame, value = table
    model = fitted(TableRegressor, frame, value)
    far = model.predict(pl.DataFrame({"size": [-1e6, 1e6], "color": ["red", "blue"]}))
    assert value.min() <= far.min()
    assert far.max() <= value.max()


def test_two_fits_of_one_seed_agree_and_another_seed_differs(table):
    frame, value = table
    first, second = (fitted(TableRegressor, frame, value) for _ in range(2))
    np.testing.assert_array_equal(first.predict(frame), second.predict(frame))
    other = clone(first).set_params(random_state=1).fit(frame, value)
    assert not np.array_equal(first.predict(frame), other.predict(frame))


def test_the_time_ends_the_training(table):
    frame, value = table
    model = TableRegressor(preset=Preset(members=1000, folds=2), seconds=1.0, random_state=0).fit(frame, value)
    assert model.run_.stopped == "the time was up"
    assert 1 <= len(model.run_.members) < 1000
    assert model.run_.seconds < 10.0


def test_a_saved_model_answers_alike(table, tmp_path):
    frame, value = table
    model = fitted(TableClassifier, frame, np.where(value > 0, "up", "down"))
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.probabilities(frame), model.predict_proba(frame))
    assert loaded.predict({"size": 3.0, "color": "red"}).tolist() == ["up"]


def test_cross_validation_works_with_frames(table):
    frame, value = table
    scores = cross_val_score(TableRegressor(preset=SMALL, seconds=None, random_state=0), frame, value, cv=3)
    assert scores.mean() > 0.5


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"seconds": 0}, "TableRegressor: seconds must be"),
        ({"preset": "tabel"}, "Did you mean 'table'?"),
        ({"drop": "size"}, "Write ['size']."),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"columns": ["size"]}, "columns must be a mapping"),
    ],
)
def test_wrong_arguments_are_named(table, settings, sentence):
    frame, value = table
    with pytest.raises(InvalidValueError) as caught:
        TableRegressor(**settings).fit(frame, value)
    assert sentence in str(caught.value)


def test_targets_that_cannot_be_learned_are_refused(table):
    frame, value = table
    for kind, y, sentence in (
        (TableClassifier, ["a"] * len(value), "at least two classes"),
        (TableClassifier, ["a", None] * (len(value) // 2), "filled in every row"),
        (TableRegressor, ["a", "b"] * (len(value) // 2), "use TableClassifier"),
        (TableRegressor, np.where(np.arange(len(value)) == 3, np.nan, value), "y must be finite"),
    ):
        with pytest.raises(InvalidValueError) as caught:
            kind().fit(frame, np.array(y, dtype=object) if isinstance(y, list) else y)
        assert sentence in str(caught.value)


def test_presets_may_be_given_as_the_parts_that_differ(table):
    frame, value = table
    model = TableRegressor(preset={"members": 2, "epochs": [3, 3]}, seconds=None, random_state=0).fit(frame, value)
    assert [member.epochs for member in model.run_.members] == [3, 3]


LEAKS = {
    "a copy": (lambda y: y, "it equals the target"),
    "another unit": (lambda y: 2.54 * y + 1.0, "it is a straight line of the target"),
    "negated": (lambda y: -y, "it is a straight line of the target"),
    "text of the number": (lambda y: [f"{value:.6f}" for value in y], "alone tells the target"),
    "a row counter": (lambda y: np.arange(len(y)), "is left out as an id: counts the rows"),
    "a saved index from 1": (lambda y: np.arange(1, len(y) + 1), "is left out as an id: counts the rows"),
    "codes that are all distinct": (lambda y: [f"k{i * 7919 % 997}" for i in range(len(y))], "is left out as an id"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_columns_that_tell_the_target_or_count_rows_are_warned_of(table, name):
    frame, value = table
    make, sentence = LEAKS[name]
    leaky = frame.with_columns(extra=pl.Series(make(value)))
    with pytest.warns(DataWarning, match="column 'extra'") as caught:
        model = fitted(TableRegressor, leaky, value)
    assert sentence in str(caught[0].message)
    assert caught[0].filename == __file__
    assert str(caught[0].message) in model.schema_.warnings


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True], [3.0, 4.0], ["01", "02"]], ids=str)
def test_a_copy_of_the_classes_is_warned_of(table, labels):
    frame, value = table
    y = np.array(labels)[(value > 0.5).astype(int)]
    leaky = frame.with_columns(code=pl.Series(np.where(value > 0.5, "A", "B")))
    with pytest.warns(DataWarning, match="column 'code' alone tells the target") as caught:
        fitted(TableClassifier, leaky, y)
    assert "drop=['code']" in str(caught[0].message)


def test_the_command_line_and_the_estimator_say_the_same(table, tmp_path):
    frame, value = table
    frame.with_columns(copy=pl.Series(value), target=pl.Series(value)).write_csv(tmp_path / "t.csv")
    data = load(tmp_path / "t.csv", "target")
    read = pl.read_csv(tmp_path / "t.csv")
    with pytest.warns(DataWarning):
        model = fitted(TableRegressor, read.drop("target"), read["target"].to_numpy())
    assert model.schema_.warnings == data.schema.warnings != ()


def test_many_warnings_are_counted(table):
    frame, value = table
    leaky = frame.with_columns(pl.Series(f"c{k}", value * k + 1.0) for k in range(1, 9))
    with pytest.warns(DataWarning) as caught:
        fitted(TableRegressor, leaky, value)
    assert [str(each.message) for each in caught][-1] == "3 more in schema_.warnings"


def test_a_clean_table_warns_of_nothing(table):
    frame, value = table
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(TableRegressor, frame, value)
    assert [str(each.message) for each in caught if each.category is DataWarning] == []


@pytest.mark.parametrize("kind", KINDS)
def test_validation_rows_are_held_out_by_every_network(table, kind):
    frame, value = table
    y = value if kind is TableRegressor else np.where(value > 0.5, "up", "down")
    model = kind(preset=SMALL, seconds=None, random_state=0)
    model.fit(frame[:180], y[:180], X_val=frame[180:], y_val=y[180:])
    for member in model.run_.members:
        np.testing.assert_array_equal(member.held_out, np.arange(180, 240))
    known = ~np.isnan(model.run_.held_out).any(axis=1)
    assert known.tolist() == [False] * 180 + [True] * 60
    with pytest.raises(InvalidValueError, match="y_val must be given"):
        model.fit(frame[:180], y[:180], X_val=frame[180:])
    with pytest.raises(InvalidValueError, match="y_val must be of shape"):
        model.fit(frame[:180], y[:180], X_val=frame[180:], y_val=y[:10])


def test_a_label_that_only_the_validation_rows_have_is_named(table):
    frame, value = table
    y = np.where(value > 0.5, "up", "down")
    with pytest.raises(InvalidValueError, match=r"y_val must be among .*sideways"):
        fitted(TableClassifier, frame, y).fit(frame, y, X_val=frame[:2], y_val=["up", "sideways"])
