"""Tests of the NumPy file: it answers as the model does, whatever the model is made of."""

import ast
import datetime as dt
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from export_models import draw_model
from pack_cases import plain_table_model, table, table_model

import chainrule
from chainrule.data.table import describe
from chainrule.exporters.draw import draw_rows
from chainrule.exporters.evaluate import features
from chainrule.exporters.lower import _input, _table_features, lower
from chainrule.exporters.numpy_source import source
from chainrule.exporters.plan import Standardize

SEEDS = int(os.environ.get("CHAINRULE_EXPORT_SEEDS", "60"))


def written(model, folder):
    """Export a model and return the module's names."""
    done = chainrule.export(model, folder / "model.py", "numpy")
    assert done.check.difference <= 1e-5
    assert done.check.uncertain <= 20
    names = {}
    exec(compile((folder / "model.py").read_text(), "model.py", "exec"), names)
    return names


@pytest.mark.parametrize("seed", range(12))
def test_a_file_answers_as_its_model_does(tmp_path, seed):
    written(draw_model(seed), tmp_path)


@pytest.mark.slow
def test_many_files_answer_as_their_models_do(tmp_path):
    for seed in range(12, SEEDS):
        written(draw_model(seed), tmp_path)


@pytest.mark.parametrize("kind", ["matrix", "table plain", "table pack", "pack"])
@pytest.mark.parametrize("task", ["classes", "binary", "labels", "several", "values", "quantiles"])
def test_answers_have_the_shape_and_type_of_the_models(tmp_path, kind, task):
    model = draw_model(5, kind, task)
    names = written(model, tmp_path)
    rows = draw_rows(lower(model), 20, 3)[:5]
    mine, theirs = names["predict"](rows), model.predict(rows)
    assert mine.shape == theirs.shape
    assert mine.dtype.kind == theirs.dtype.kind
    if task in ("classes", "binary", "labels", "several"):
        P, theirs = names["predict_proba"](rows), model.predict_proba(rows)
        assert [p.shape for p in P] == [p.shape for p in theirs]
    if task == "quantiles":
        assert names["predict_quantiles"](rows).shape == model.predict_quantiles(rows).shape


def test_a_file_runs_with_numpy_alone(tmp_path):
    chainrule.export(table_model(), tmp_path / "people.py", "numpy")
    program = (
        "import sys, people\n"
        "print(people.predict([{'age': 30, 'income': 20000.0, 'member': True, 'job': 'clerk', 'town': 'town 3',"
        " 'since': '2012-05-11'}]))\n"
        "assert not {'chainrule', 'polars', 'sklearn', 'pandas'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() in ("['no']", "['yes']")


def test_rows_come_in_every_form(tmp_path):
    model = table_model()
    names = written(model, tmp_path)
    frame = table().drop("y", "year")
    rows = frame.to_dicts()
    expected = model.predict(rows).tolist()
    forms = {
        "dicts": rows,
        "polars": frame,
        "pandas": frame.to_pandas() if pandas_is_there() else frame,
        "columns": frame.to_dict(as_series=False),
        "lists": [list(row) for row in frame.iter_rows()],
    }
    for name, form in forms.items():
        assert names["predict"](form).tolist() == expected, name
    assert names["predict"](rows[0]).tolist() == expected[:1]


def pandas_is_there():
    """Check whether pandas and its way from polars are installed."""
    try:
        import pandas  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def test_a_missing_column_and_a_wrong_cell_are_named(tmp_path):
    names = written(plain_table_model(), tmp_path)
    row = table().drop("y").to_dicts()[0]
    with pytest.raises(ValueError, match="none named 'income'"):
        names["predict"]([{key: value for key, value in row.items() if key != "income"}])
    with pytest.raises(ValueError, match="column 'income' must be numeric, got 'a lot'"):
        names["predict"]([{**row, "income": "a lot"}])
    with pytest.raises(ValueError, match="column 'since' must hold dates, got 'soon'"):
        names["predict"]([{**row, "since": "soon"}])


def test_a_matrix_of_another_width_and_cells_that_are_not_finite_are_refused(tmp_path):
    names = written(draw_model(0, "matrix"), tmp_path)
    d = len(names["COLUMNS"])
    with pytest.raises(ValueError, match="must be of shape"):
        names["predict"](np.zeros((2, d + 1)))
    with pytest.raises(ValueError, match="must be finite"):
        names["predict"](np.full((1, d), np.nan))


CELLS = {
    "age": [30, 30.0, "30", " 30 ", "", None, float("nan"), "NA", "?", np.int64(41), True, "1e1", "inf", "+7", "soon"],
    "job": ["clerk", " clerk", "smith\t", "", None, "n/a", "Clerk", 3, 3.0, True, "-"],
    "member": [True, False, "true", "TRUE", "False", "1", "0", 1, 0, 1.0, "yes", None, "", " false "],
    "town": ["town 3", "TOWN 3", None, "nowhere", "town 3 ", "?"],
    "since": [dt.date(2012, 5, 11), dt.datetime(2012, 5, 11, 23, 59), "2012-05-11", " 2012-05-11 ", None, ""],
}
"""Cells of each kind of column, as people have them."""


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("make", [table_model, plain_table_model])
def test_cells_are_read_as_the_model_reads_them(tmp_path, make, name):
    model = make()
    names = written(model, tmp_path)
    row = table().drop("y").to_dicts()[0]
    for cell in CELLS[name]:
        rows = [{**row, name: cell}]
        assert np.abs(names["predict_proba"](rows) - model.predict_proba(rows)).max() < 1e-6, cell


def test_numbers_and_dates_are_read_as_they_were_written_in_training(tmp_path):
    n = 40
    frame = pl.DataFrame(
        {
            "euro": [f"{k * 37 + 1000:,}".replace(",", ".") + f",{k:02d} EUR" for k in range(n)],
            "share": [f"{k * 2.5:.1f}%" for k in range(n)],
            "day": [f"{k % 28 + 1:02d}.03.{2000 + k}" for k in range(n)],
            "clock": [f"{k % 12 + 1}:{k:02d} PM" for k in range(n)],
            "named": [f"{k % 28 + 1} Mar {2000 + k}" for k in range(n)],
            "moment": [f"2020-01-{k % 28 + 1:02d}T10:{k:02d}:05.5+02:00" for k in range(n)],
        }
    )
    schema = describe("table", frame, None)
    assert [column.kind for column in schema.columns] == ["number", "number", "date", "date", "date", "date"]
    plan = replace(
        lower(draw_model(0, "matrix")),
        inputs=tuple(_input(column) for column in schema.used),
        features=_table_features(schema, False),
        transforms=(Standardize(np.zeros(1), np.ones(1)),),
    )
    assert np.allclose(features(plan, frame.to_dicts()), schema.design("table", frame), rtol=1e-15)


def test_the_text_is_readable_and_names_what_it_takes():
    text = source(lower(table_model()))
    head = ast.get_docstring(ast.parse(text))
    assert "age: a number; None or NaN is a gap" in head
    assert "one of the classes no, yes" in head
    assert "# Z = A W + b" in text
    assert max(len(line) for line in text.splitlines() if "LEVELS" not in line and "np.array" not in line) < 200


@pytest.mark.parametrize(
    "name", ['"""', "\\", "line\nbreak", "caf\u00e9 \u65e5\u672c", "\ud800", "{x}", "def", "x'y", "#"]
)
def test_names_of_any_letters_leave_the_file_a_program(tmp_path, name):
    model = draw_model(0, "matrix", "classes")
    labels = np.array([name, *(f"{k}" for k in range(len(model.classes) - 1))])
    model = replace(
        model, feature_names=tuple(f"{name}{j}" for j in range(model.net.inputs)), target_name=name, classes=labels
    )
    names = written(model, tmp_path)
    assert names["CLASSES"].tolist() == labels.tolist()
    assert names["COLUMNS"] == model.feature_names
