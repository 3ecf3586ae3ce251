"""Why: a model of a table must take rows as people have them, find the columns by name, and say what is unusual.

In: the same rows as frames, dicts, lists, with columns moved, added, missing. Out: equal answers; notes; messages.
"""

import copy
import pickle
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from pack_cases import plain_table_model, regression_pack, table, table_model

from chainrule import save_model
from chainrule.engines import native
from chainrule.errors import InvalidValueError

MODELS = {"pack": table_model, "one network": plain_table_model}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def rows():
    return table().drop("y")


def forms(rows):
    """The same rows in the forms in which people keep them."""
    shuffled = rows.select(rows.columns[::-1])
    return {
        "polars": rows,
        "lazy": rows.lazy(),
        "pandas": rows.to_pandas() if _has_pyarrow() else _pandas(rows),
        "dict of lists": rows.to_dict(as_series=False),
        "dict of arrays": {name: np.array(rows[name].to_list(), object) for name in rows.columns},
        "list of dicts": rows.to_dicts(),
        "other order": shuffled,
        "other order in dicts": shuffled.to_dicts(),
        "with the target": table(),
        "with more": rows.with_columns(pl.lit("x").alias("note")),
        "without the constant": rows.drop("year"),
        "numbers as text": rows.with_columns(pl.col("age", "income").cast(pl.String)),
    }


def _has_pyarrow():
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def _pandas(rows):
    import pandas as pd

    return pd.DataFrame(rows.to_dict(as_series=False))


@pytest.mark.parametrize("form", forms(table().drop("y")))
def test_every_form_of_rows_gives_the_same_answers(model, rows, form):
    given = forms(rows)[form]
    np.testing.assert_array_equal(model.logits(given), model.logits(rows))
    assert model.predict(given).tolist() == model.predict(rows).tolist()
    np.testing.assert_array_equal(model.predict_proba(given), model.predict_proba(rows))


def test_one_row_as_a_dict_is_answered_as_among_all(model, rows):
    together = model.predict_proba(rows)
    alone = np.vstack([model.predict_proba(row) for row in rows.to_dicts()])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-6)
    assert model.predict(rows.to_dicts()[3]).shape == (1,)


def test_missing_columns_are_named_in_one_line(model, rows):
    message = r"^Model: rows must have the columns of the training data, got none named 'age', 'town'\.$"
    for given in (
        rows.drop("age", "town"),
        rows.drop("age", "town").to_dicts(),
        rows.drop("age", "town").to_dicts()[0],
    ):
        with pytest.raises(InvalidValueError, match=message):
            model.predict(given)
    with pytest.raises(InvalidValueError, match=re.escape("named 'town'. Did you mean 'twon'?")):
        model.predict(rows.rename({"town": "twon"}))


def test_what_is_unusual_is_noted(model, rows):
    notes = []
    odd = rows.with_columns(
        pl.lit("x").alias("note"),
        pl.lit("harbor").alias("town"),
        pl.lit(2030).alias("year"),
        pl.lit(1e12).alias("income"),
    )
    model.as_matrix(odd, notes)
    text = "\n".join(notes)
    assert "ignored columns that the training did not have: 'note'" in text
    assert "column 'year' was always 2023 in training and is now 2030" in text
    assert "column 'town': a category that is unknown in 90 rows, such as 'harbor'" in text
    assert re.search(r"column 'income': 90 values? .*1e\+12 in row 1 \(training: ", text)
    usual = []
    model.as_matrix(rows, usual)
    assert usual == []


def test_a_constant_that_moves_changes_nothing(model, rows):
    moved = rows.with_columns(pl.lit(2100).alias("year"))
    np.testing.assert_array_equal(model.logits(moved), model.logits(rows))


def test_gaps_and_unknown_categories_have_an_answer(model, rows):
    empty = dict.fromkeys(rows.columns)
    assert np.isfinite(model.predict_proba([empty, empty])).all()
    assert np.isfinite(model.predict_proba({**rows.to_dicts()[0], "town": "nowhere", "job": "pilot"})).all()


def test_copies_and_pickles_answer_alike(model, rows):
    expected = model.logits(rows)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.logits(rows), expected)
        np.testing.assert_array_equal(other.predict_proba(rows.to_dicts()[0]), model.predict_proba(rows.to_dicts()[0]))


def test_it_says_what_its_core_says(model, rows):
    core = model.core
    same = ("loss", "targets", "classes", "target_name", "temperature", "limits", "outputs", "trained_on")
    assert all(
        getattr(model, name) is getattr(core, name) or getattr(model, name) == getattr(core, name) for name in same
    )
    assert model.feature_names == ("age", "income", "member", "job", "town", "since")
    np.testing.assert_array_equal(model.logits(rows), core.logits(model.as_matrix(rows)))


def test_score_is_the_share_of_right_rows_or_r2(model, rows):
    y = np.array(table()["y"].to_list())
    assert model.score(rows, y) == (model.predict(rows) == y).mean()
    values = table_model(regression_pack())
    assert values.score(rows, values.predict(rows)) == 1.0
    with pytest.raises(InvalidValueError, match="y must be of shape"):
        model.score(rows, y[:3])


def test_a_regression_has_no_probabilities(rows):
    values = table_model(regression_pack())
    assert values.predict(rows).min() >= 80.0
    with pytest.raises(InvalidValueError, match="Probabilities need a classifier"):
        values.predict_proba(rows)


@pytest.mark.skipif(native.extension() is None, reason="the compiled extension is not built")
@pytest.mark.parametrize("answer", ["predict", "predict_proba", "probabilities", "logits", "scores"])
def test_one_row_takes_one_call_of_the_extension(monkeypatch, rows, answer):
    module = native.extension()
    calls = []

    class Networks:
        def __init__(self, predictors, rows):
            self.inner = module_networks(predictors, rows)

        def logits(self, X, Z):
            calls.append(len(X))
            self.inner.logits(X, Z)

    module_networks = module.Networks
    monkeypatch.setattr(module, "Networks", Networks)
    monkeypatch.setattr(native, "predictor", lambda *_: pytest.fail("a second call"))
    model = table_model()
    assert len(model.core.members) == 2
    for row in rows.to_dicts()[:3]:
        calls.clear()
        getattr(model, answer)(row)
        assert len(calls) == 1


def test_one_row_is_answered_without_polars(tmp_path, rows):
    save_model(table_model(), tmp_path / "model.safetensors")
    row = {name: value for name, value in rows.to_dicts()[0].items() if name != "since"}
    program = f"""
import datetime, sys
from chainrule import load_model
model = load_model({str(tmp_path / "model.safetensors")!r})
print(model.predict({{**{row!r}, "since": {rows["since"].to_list()[0]!r}}})[0], "polars" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1] == "False"
