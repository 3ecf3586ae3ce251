"""Why: a code for missing values is repaired by one option, which the doctor finds, prints and applies.

In: tables with codes and mistyped cells. Out: printed commands, which run and give better scores; errors.
"""

import json
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from chainrule import cli
from chainrule.cli.doctor_report import show_report
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.records import Fix, Report
from chainrule.io import load_model
from chainrule.pipeline.option_names import COMMAND_LINE, Setting
from chainrule.report import matplotlib

N = 400
PLAIN = ["--target", "y", "--preset", "plain"]
FAULTS = {"code": ("-999", 12), "mistyped": ("10000", 1), "fraction": ("9999.99", 12)}


def written(path, cell, count):
    """Write a table with a cell in `count` rows of its best column."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    y = 2 * X[:, 2] + 0.5 * X[:, 0] + 0.2 * rng.normal(size=N)
    cells = [[f"{value:.4f}" for value in row] for row in X]
    for row in rng.permutation(N)[:count]:
        cells[row][2] = cell
    lines = [",".join([*row, f"{value:.4f}"]) for row, value in zip(cells, y, strict=True)]
    path.write_text("\n".join(["a,b,x3,d,y", *lines]) + "\n")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib, "png", lambda figure: b"")
    return tmp_path


def scores(line, capsys):
    assert cli.run([*line, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_doctor_repairs_strange_cells_and_prints_the_command(place, capsys, fault):
    cell, count = FAULTS[fault]
    written(place / "t.csv", cell, count)
    before = scores(["train", "t.csv", *PLAIN, "--out", "before"], capsys)
    assert cli.run(["train", "t.csv", *PLAIN, "--doctor", "fix", "--out", "fixed"]) == 0
    printed = capsys.readouterr().err
    line = shlex.split(re.search(r"better: chainrule (.*?)\n", printed)[1])
    assert line == ["train", "t.csv", "--target", "y", "--missing", f"x3={cell}", "--preset", "plain"]
    after = scores([*line, "--out", "after"], capsys)
    assert after["validation"]["rmse"] < 0.7 * before["validation"]["rmse"]
    if count > 1:
        assert after["test"]["rmse"] < 0.7 * before["test"]["rmse"]
    own = json.loads((place / "fixed" / "config.json").read_text())["options"]
    assert own["missing"] == f"x3={cell}"
    assert (place / "fixed/model.safetensors").read_bytes() == (place / "after/model.safetensors").read_bytes()
    cli.run(["doctor", "fixed", "--json"])  # with the options of the run
    assert "strange-cells" not in capsys.readouterr().out


def test_the_card_names_the_option_and_a_fix_adds_to_what_was_typed(place, capsys):
    written(place / "t.csv", "-999", 12)
    text = (place / "t.csv").read_text()
    (place / "t.csv").write_text(re.sub(r"\n-1\.[0-9]+,", r"\n-5555,", text))
    line = ["doctor", "t.csv", "--target", "y", "--json"]
    assert cli.run(line) == 1
    found = {each["symptom"]: each["fix"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert found["strange-cells"]["line"] == "--missing a=-5555,x3=-999"
    cli.run([*line, "--missing", "a=-5555", "--fix"])
    printed = json.loads(capsys.readouterr().out)["line"]
    assert printed == "chainrule train t.csv --target y --missing a=-5555,x3=-999 --preset plain"


def test_every_command_takes_it_and_a_model_remembers_it(place, capsys):
    written(place / "t.csv", "-999", 12)
    missing = ["--missing", "x3=-999.0"]
    (place / "quick.json").write_text(json.dumps({"members": 2, "folds": 2, "epochs": [5, 5], "width": [8, 8]}))
    assert cli.run(["lr-find", "t.csv", "--target", "y", *missing, "--steps", "20"]) == 0
    assert "--missing x3=-999.0" in capsys.readouterr().out
    for name, line in {"plain": [*PLAIN, "--epochs", "3"], "pack": ["--target", "y", "--preset", "quick.json"]}.items():
        scores(["train", "t.csv", *line, *missing, "--out", name], capsys)
        model = load_model(place / name / "model.safetensors")
        rows = [{"a": 0.0, "b": 0.0, "x3": cell, "d": 1.0} for cell in (-999, "-999", "-999.00", -999.0, None, "", 0.5)]
        answers = [model.predict([row])[0] for row in rows]
        assert len(set(answers[:-1])) == 1
        assert answers[-1] != answers[0]
        assert np.array_equal(model.predict(rows), answers)


def test_test_rows_need_not_have_the_value(place, capsys):
    written(place / "t.csv", "-999", 12)
    written(place / "other.csv", "0.5", 1)
    scores(["train", "t.csv", *PLAIN, "--epochs", "3", "--missing", "x3=-999", "--test", "other.csv"], capsys)


REFUSED = {
    "no pair": ("x3", "train: --missing must be NAME=VALUE, several separated by commas, got 'x3'."),
    "no value": ("x3=", "train: --missing must be NAME=VALUE"),
    "unknown column": (
        "x33=-999",
        "t.csv: column with missing values must be one of the table's, got 'x33'. Did you mean",
    ),
    "no such cell": ("x3=-998", "t.csv: missing value of column 'x3' must be the value of a cell, got '-998'."),
    "target": ("y=-999", "It is the target: rows whose target is empty are left out."),
}


@pytest.mark.parametrize("preset", ["plain", "table"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_effect_is_refused(place, capsys, case, preset):
    written(place / "t.csv", "-999", 12)
    text, expected = REFUSED[case]
    assert cli.run(["train", "t.csv", "--target", "y", "--preset", preset, "--missing", text]) == 2
    assert expected in capsys.readouterr().err
    assert not (place / "runs").exists()


def test_a_column_left_out_or_a_source_without_columns_is_refused(place, capsys):
    written(place / "t.csv", "-999", 12)
    line = ["train", "t.csv", *PLAIN, "--missing", "x3=-999,z=1,y=2"]
    assert cli.run([*line, "--drop", "x3"]) == 2
    err = capsys.readouterr().err
    assert all(part in err for part in ("It is left out (--drop).", "got 'z'", "It is the target"))
    assert cli.run(["train", "iris", "--missing", "x3=-999"]) == 2
    assert "--missing must be left out for this source" in capsys.readouterr().err


def test_the_column_of_groups_is_refused_by_name(place, capsys):
    import polars as pl

    written(place / "t.csv", "-999", 12)
    frame = pl.read_csv(place / "t.csv").with_row_index("row").with_columns(g=pl.col("row") % 9).drop("row")
    frame.write_csv(place / "g.csv")
    frame.write_parquet(place / "g.parquet", row_group_size=100)
    line = ["--target", "y", "--group", "g", "--missing", "g=3,x3=-998"]
    runs = {"g.csv": ["train", "g.csv"], "g.parquet": ["train", "g.parquet", "--max-memory", "4MB"]}
    runs["doctor"] = ["doctor", "g.csv"]
    for own in runs.values():
        assert cli.run([*own, *line]) == 2
        err = capsys.readouterr().err
        assert f"{own[1]}: column with missing values must be an input, got 'g'. It is the group (--group" in err
        assert "got '-998'" in err


def test_a_time_that_is_missing_is_refused_as_an_empty_one(place, capsys):
    written(place / "t.csv", "-999", 12)
    assert cli.run(["train", "t.csv", "--target", "y", "--time", "x3", "--missing", "x3=-999"]) == 2
    assert "time must be without gaps, got '12 missing'" in capsys.readouterr().err
    assert cli.run(["train", "t.csv", *PLAIN, "--epochs", "1", "--time", "a", "--missing", "x3=-999"]) == 0


def test_a_stream_takes_it(place, capsys):
    import polars as pl

    written(place / "t.csv", "-999", 12)
    pl.read_csv(place / "t.csv").write_parquet(place / "t.parquet", row_group_size=100)
    line = ["train", "t.parquet", "--target", "y", "--max-memory", "4MB", "--epochs", "60", "--test", "t.parquet"]
    before = scores([*line, "--out", "before"], capsys)
    after = scores([*line, "--missing", "x3=-999", "--out", "after"], capsys)
    assert after["test"]["rmse"] < 0.9 * before["test"]["rmse"]
    assert cli.run([*line, "--missing", "x3=-998"]) == 2
    assert "got '-998'" in capsys.readouterr().err


def mild(path):
    """Write a table whose worst column is of little use, with a code in it, and one target far from all others."""
    rng = np.random.default_rng(0)
    X = rng.normal(50, 10, size=(N, 3)).round(2)
    y = X[:, 0] + 0.5 * X[:, 1] + rng.normal(0, 3, N)
    X[rng.permutation(N)[:12], 2] = -999
    y[7] = 1e6
    rows = np.column_stack([X, y])
    path.write_text("a,b,c,y\n" + "\n".join(",".join(f"{cell:.2f}" for cell in row) for row in rows))


@pytest.mark.parametrize(("symptom", "told"), [("strange-cells", True), ("duplicate-feature", False)])
def test_of_a_healthy_training_a_line_says_what_the_user_can_put_right(symptom, told):
    fix = Fix("Correct these cells, or read them as missing.", (Setting("missing", (("c", "-999"),)),))
    found = make_finding(symptom, "info", "'c' is odd", meaning="", measured="-999 in 12 rows", usual="", fix=fix)
    printed = []
    show_report(SimpleNamespace(print=printed.append), Report("healthy", (found,), None, interface=COMMAND_LINE))
    line = "'c' is odd: -999 in 12 rows. Correct these cells, or read them as missing.  --missing c=-999"
    assert list(map(str, printed[1:])) == [line] * told


@pytest.mark.filterwarnings("ignore:train. the target")
def test_what_is_left_out_of_the_training_is_in_none_of_its_scores(place, capsys):
    mild(place / "mild.csv")
    summary = scores(["train", "mild.csv", *PLAIN, "--epochs", "60", "--lr", "0.01"], capsys)
    assert min(summary[name]["r2"] for name in ("train", "validation", "test")) > 0.5
