"""A saved model must predict from the rows that people have, and say in one line what is wrong with them.

In: models trained on frames and arrays. Out: equal predictions from every kind of rows; messages.
"""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import chainrule
from chainrule import NetClassifier, NetRegressor, load_model, save_model
from chainrule.data.matrix import as_matrix
from chainrule.errors import InvalidValueError

NAMES = ["height", "width", "depth"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module")
def named(table, folder):
    """A loaded model whose training data were a frame."""
    y = np.where(table[:, 0] > 0, "yes", "no")
    save_model(
        NetClassifier((4,), max_iter=20, random_state=0).fit(pd.DataFrame(table, columns=NAMES), y), folder / "a"
    )
    return load_model(folder / "a")


@pytest.fixture(scope="module")
def unnamed(table, folder):
    """A loaded model whose training data were an array."""
    save_model(NetRegressor((4,), max_iter=20, random_state=0).fit(table, table[:, 0] + 2), folder / "b")
    return load_model(folder / "b")


def forms(X):
    """The same rows in the forms in which people keep them."""
    shuffled = [NAMES[2], NAMES[0], NAMES[1]]
    pandas = pd.DataFrame(X, columns=NAMES)
    return {
        "lists": X.tolist(),
        "tuples": tuple(map(tuple, X.tolist())),
        "pandas": pandas,
        "pandas shuffled, with more": pandas[shuffled].assign(name="x"),
        "pandas objects": pandas.astype(object),
        "polars": pl.DataFrame(X, schema=NAMES),
        "polars shuffled, with more": pl.DataFrame(X, schema=NAMES).select(*shuffled, pl.lit("x").alias("name")),
        "sparse": csr_matrix(X),
        "numbers as text": X.astype(str).tolist(),
    }


@pytest.mark.parametrize("form", forms(np.zeros((1, 3))))
def test_every_form_of_rows_gives_the_same_predictions(named, unnamed, table, form):
    X = table[:7]
    rows = forms(X)[form]
    assert named.predict(rows).tolist() == named.predict(X).tolist()
    np.testing.assert_array_equal(named.predict_proba(rows), named.predict_proba(X))
    np.testing.assert_array_equal(named.logits(rows), named.logits(X))
    if "shuffled" not in form:
        np.testing.assert_array_equal(unnamed.predict(rows), unnamed.predict(X))


def test_a_service_answers_lists_with_plain_labels(folder):
    X, y = load_iris(return_X_y=True)
    network = NetClassifier((16,), learning_rate_init=0.01, max_iter=40, random_state=0).fit(X, y)
    chainrule.save_model(network, folder / "iris.safetensors")
    model = chainrule.load_model(folder / "iris.safetensors")

    def answer(rows: list[list[float]]) -> list[str]:
        return [str(label) for label in model.predict(rows)]

    assert answer([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]) == ["0", "2"]
    assert model.predict_proba([[5.1, 3.5, 1.4, 0.2]]).shape == (1, 3)
    assert model.score(X, y) == network.score(X, y)


def test_booleans_and_whole_numbers_beside_floats_are_numbers(named, table):
    frame = pd.DataFrame({"height": table[:3, 0], "width": [True, False, True], "depth": pd.array([1, 2, 3], "Int64")})
    X = np.column_stack([table[:3, 0], [1, 0, 1], [1, 2, 3]])
    np.testing.assert_array_equal(named.logits(frame), named.logits(X))


def test_a_float32_frame_stays_float32():
    frame = pd.DataFrame({"a": np.float32([1, 2])})
    assert as_matrix("Model", frame, ["a"]).dtype == np.float32
    X = np.ones((2, 1))
    assert as_matrix("Model", X, ["a"]) is X


BAD = {
    "missing": (lambda: pd.DataFrame({"height": [1.0], "depth": [1.0]}), "got none named 'width'."),
    "misspelt": (lambda: pd.DataFrame([[1.0] * 3], columns=["height", "widht", "depth"]), "Did you mean 'widht'?"),
    "none there": (lambda: pl.DataFrame({"a": [1.0]}), "got none named 'height', 'width', 'depth'."),
    "text": (lambda: pd.DataFrame([[1.0, "wide", 1.0]], columns=NAMES), "column 'width' must be numeric, got 'wide'"),
    "gap": (lambda: pd.DataFrame([[1.0, None, 1.0]], columns=NAMES, dtype=object), "'width' must be numeric, got None"),
    "dates": (
        lambda: pd.DataFrame({"height": [1.0], "width": pd.to_datetime(["2020-01-01"]), "depth": [1.0]}),
        "column 'width' must be numeric, got datetime64",
    ),
    "twice": (lambda: pd.DataFrame([[1.0] * 4], columns=[*NAMES, "width"]), "'width' must occur once, got it 2 times"),
    "NaN": (lambda: [[1.0, float("nan"), 1.0]], "must be finite, got nan"),
    "one row": (lambda: [1.0, 2.0, 3.0], "must be of shape (n, 3), got (3,). For one row, write [row]."),
    "ragged": (lambda: [[1.0, 2.0], [1.0]], "rows of equal length"),
    "words": (lambda: [["a", "b", "c"]], "X must be numeric, got 'a'. Encode text first."),
    "a word": (lambda: "abc", "X must be numeric"),
    "nothing": (lambda: None, "X must be"),
    "complex": (lambda: np.ones((1, 3), complex), "X must be numeric, got an array of complex128"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_rows_is_said_in_one_line(named, case):
    rows, part = BAD[case]
    for method in (named.predict, named.predict_proba, named.logits):
        with pytest.raises(InvalidValueError, match=f"^[^\n]*{re.escape(part)}[^\n]*$"):
            method(rows())


def test_many_missing_columns_take_one_line():
    with pytest.raises(InvalidValueError, match=r"^Model: .*'c0', 'c1', 'c2', 'c3', 'c4' and 59 more\.$"):
        as_matrix("Model", pl.DataFrame({"a": [1.0]}), [f"c{j}" for j in range(64)])


def test_a_model_without_names_takes_the_columns_of_a_frame_in_their_order(unnamed, table):
    X = table[:4]
    np.testing.assert_array_equal(unnamed.predict(pd.DataFrame(X, columns=["c", "b", "a"])), unnamed.predict(X))
    with pytest.raises(InvalidValueError, match="got none named 'x0', 'x1', 'x2'"):
        unnamed.predict(pd.DataFrame(table[:4, :2], columns=["c", "b"]))


def test_score_is_scikit_learns(unnamed, named, table):
    y, c = table[:, 0] + 2, np.arange(60.0)
    assert unnamed.score(table, y) == pytest.approx(r2_score(y, unnamed.predict(table)), abs=1e-12)
    expected = r2_score(y, unnamed.predict(table), sample_weight=c)
    assert unnamed.score(table, y, c) == pytest.approx(expected, abs=1e-12)
    labels = named.predict(table)
    assert named.score(pd.DataFrame(table, columns=NAMES), labels) == 1.0
    with pytest.warns(UserWarning, match=r"labels that the training rows did not have, \['maybe'\], first in row 1"):
        assert named.score(table[:2], [labels[0], "maybe"]) == 0.5
    with pytest.raises(InvalidValueError, match=r"^Model: y must be of shape \(60,\), got \(3,\)"):
        named.score(table, labels[:3])


def test_several_targets_come_as_scikit_learn_gives_them(table):
    y = np.column_stack([table[:, 0] > 0, table[:, 1] > 0]).astype(str)
    network = NetClassifier((4,), max_iter=5, random_state=0).fit(table, y)
    for ours, theirs in zip(network.model_.predict_proba(table), network.predict_proba(table), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert network.model_.score(table, network.predict(table)) == 1.0


def test_estimators_and_pipelines_of_one_step_are_saved(table, folder):
    network = NetClassifier((4,), max_iter=5, random_state=0).fit(table, table[:, 0] > 0)
    given = (network, network.model_, make_pipeline(network), make_pipeline("passthrough", network))
    for number, each in enumerate(given):
        save_model(each, folder / f"{number}")
        np.testing.assert_array_equal(load_model(folder / f"{number}").logits(table), network.model_.logits(table))


REFUSED = {
    "not fitted": (NetClassifier, r"got NetClassifier\(\)\. Call fit first\.$"),
    "other steps": (
        lambda: make_pipeline(StandardScaler(), NetClassifier()),
        r"pipeline must be the network alone, got \['StandardScaler'\]",
    ),
    "something else": (
        StandardScaler,
        r"a fitted NetClassifier, NetRegressor, TableClassifier or TableRegressor, or a model, got",
    ),
    "the path first": (lambda: "model.safetensors", r"or a model, got 'model.safetensors'\.$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_model_is_refused_and_nothing_is_written(folder, case):
    given, message = REFUSED[case]
    with pytest.raises(InvalidValueError, match=f"^save_model: [^\n]*{message}"):
        save_model(given(), folder / "none")
    assert not (folder / "none").exists()
