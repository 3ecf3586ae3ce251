"""Tests of `chainrule export`: the file, the table that it prints, and what it refuses before anything is written."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pack_cases import plain_table_model, table, table_model

from chainrule import cli
from chainrule.exporters import check as module
from chainrule.exporters.registry import FORMATS
from chainrule.io import load_model, save_model


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with a model of a table."""
    monkeypatch.chdir(tmp_path)
    save_model(table_model(), "people.safetensors")
    return tmp_path


def refused(capsys, *words):
    """Run a command that must be refused; return its one line, and check that nothing was written."""
    before = sorted(Path().iterdir())
    assert cli.run(list(words)) == 2
    line, *more = capsys.readouterr().err.splitlines()
    assert not more
    assert sorted(Path().iterdir()) == before
    return line


def test_the_file_is_named_after_the_model_and_answers_as_it_does(place, capsys):
    assert cli.run(["export", "people.safetensors", "--to", "numpy"]) == 0
    out, err = capsys.readouterr()
    assert "people.py" in out
    assert "1,000" in out
    assert "µs" in out
    assert err == "writing people.py and comparing it with the model on 1,000 rows\n"
    rows = table().drop("y").to_dicts()
    written = runpy.run_path("people.py")
    model = load_model("people.safetensors")
    assert written["predict"](rows).tolist() == model.predict(rows).tolist()
    assert np.abs(written["predict_proba"](rows) - model.predict_proba(rows)).max() < 1e-6


def test_a_run_folder_is_a_model_too(place, capsys):
    assert cli.run(["train", "iris", "--epochs", "2", "--out", "runs/iris one", "--json"]) == 0
    capsys.readouterr()
    assert cli.run(["export", "runs/iris one", "--to", "numpy"]) == 0
    assert Path("iris one.py").is_file()
    capsys.readouterr()
    assert cli.run(["export", "runs/iris one", "--to", "numpy", "--out", "iris one.py", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == ["iris one.py"]
    assert found["bytes"] == Path("iris one.py").stat().st_size
    assert found["rows"] == 1000
    assert found["largest_difference"] < 1e-5
    assert found["checked"]


def test_a_file_that_was_not_named_is_not_replaced(place, capsys):
    Path("people.py").write_text("mine")
    line = refused(capsys, "export", "people.safetensors", "--to", "numpy")
    assert line == (
        "error: export: --out must be given, got 'people.py'. A file of this name is there; name it to replace it."
    )
    assert Path("people.py").read_text() == "mine"
    assert cli.run(["export", "people.safetensors", "--to", "numpy", "--out", "people.py"]) == 0
    assert Path("people.py").read_text() != "mine"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--to", "numpi"], "--to must be one of numpy, onnx, c, js, torch, got 'numpi'. Did you mean 'numpy'?"),
        (["--to", "numpy", "--int8"], "--int8 must be left out for this format, got True. It is an option of --to c."),
        (["--to", "numpy", "--opset", "18"], "--opset must be left out for this format, got 18."),
        (["--to", "numpy", "--out", "model.onnx"], "--out must be a file that ends with .py, got 'model.onnx'."),
        (["--to", "c", "--out", "model.c"], "--out must be a file that ends with .h, got 'model.c'."),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(place, capsys, words, sentence):
    assert sentence in refused(capsys, "export", "people.safetensors", *words)


def test_a_model_file_of_a_newer_version_is_refused_in_one_line(place, capsys):
    data = Path("people.safetensors").read_bytes()
    Path("newer.safetensors").write_bytes(data.replace(b'\\"format\\": 1', b'\\"format\\": 9'))
    line = refused(capsys, "export", "newer.safetensors", "--to", "numpy")
    assert line == "error: newer.safetensors: format must be at most 1, got 9. The file is from a newer chainrule."


def test_the_same_model_gives_the_same_bytes(place, capsys):
    save_model(plain_table_model(), "plain.safetensors")
    for model in ("people", "plain"):
        for name in ("one.py", "two.py"):
            assert cli.run(["export", f"{model}.safetensors", "--to", "numpy", "--out", name]) == 0
        assert Path("one.py").read_bytes() == Path("two.py").read_bytes()


def test_rows_within_rounding_and_files_that_were_not_run_are_said(place, capsys, monkeypatch):
    monkeypatch.setattr("chainrule.exporters.torch_module.find_spec", lambda name: None)
    assert cli.run(["export", "people.safetensors", "--to", "torch", "--out", "net.py"]) == 0
    out = capsys.readouterr().out
    assert "not checked: install torch" in out
    assert "net.safetensors" in out
    assert "rows checked" not in out
    made = module.Check
    monkeypatch.setattr(module, "Check", lambda *values: replace(made(*values), uncertain=2, ties=1))
    assert cli.run(["export", "people.safetensors", "--to", "numpy"]) == 0
    out = capsys.readouterr().out
    assert "2 rows differ by more than 1e-05, within the rounding of float32" in out
    assert "1 row has two classes of equal probability" in out


@pytest.mark.parametrize(("to", "option"), [("onnx", ["--opset", "17"]), ("c", ["--int8"])])
def test_an_option_of_a_format_changes_its_file(tmp_path, monkeypatch, capsys, to, option):
    pytest.importorskip(FORMATS[to].module, reason="the format needs a package")
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", "iris", "--epochs", "2", "--out", "iris", "--json"]) == 0
    suffix = FORMATS[to].suffix
    assert cli.run(["export", "iris", "--to", to]) == 0
    assert cli.run(["export", "iris", "--to", to, *option, "--out", f"other{suffix}"]) == 0
    assert Path(f"iris{suffix}").read_bytes() != Path(f"other{suffix}").read_bytes().replace(b"other", b"iris")
