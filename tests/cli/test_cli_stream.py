"""Why: one command trains on files larger than memory, and the same command resumes it.

In: Parquet files by a pattern, limits, options that do not go with them. Out: a run folder as any other, or one line.
"""

import json

import numpy as np
import polars as pl
import pytest

from chainrule import cli
from chainrule.io import load_model
from chainrule.report import matplotlib

N = 3000
TRAIN = ["train", "part-*.parquet", "--target", "y", "--drop", "z", "--max-memory", "2MB", "--epochs", "3"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    size = rng.normal(size=N)
    kind = rng.choice(["a", "b"], N)
    frame = pl.DataFrame({"size": size, "kind": kind, "who": rng.integers(0, 40, N), "z": size * 2})
    frame = frame.with_columns(y=np.where(size + (kind == "a") > 0, "yes", "no"))
    for k in range(3):
        frame[k * 1000 : (k + 1) * 1000].write_parquet(tmp_path / f"part-{k}.parquet", row_group_size=200)
    (tmp_path / "t.csv").write_text("a,y\n1,2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib, "png", lambda figure: b"")
    return tmp_path


def test_a_pattern_is_trained_and_its_model_predicts_plain_rows(place, capsys):
    assert cli.run([*TRAIN, "--out", "run", "--checkpoint", "kept"]) == 0
    out, err = capsys.readouterr()
    assert "at most 2 MB of rows in memory" in err
    assert "classification: 'y' has 2 distinct texts" in err
    assert "Preset plain: the preset for tables needs all rows in memory." in err
    assert "accuracy" in out
    assert {path.name for path in (place / "run").iterdir()} >= {"model.safetensors", "config.json", "run.jsonl"}
    model = load_model(place / "run" / "model.safetensors")
    assert model.predict([{"size": 3.0, "kind": "a", "who": 1}]).tolist() == ["yes"]
    assert cli.run(["evaluate", "run", "part-0.parquet", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.7
    saved = (place / "run" / "model.safetensors").read_bytes()
    assert cli.run([*TRAIN, "--out", "run", "--checkpoint", "kept"]) == 0
    assert (place / "run" / "model.safetensors").read_bytes() == saved


def test_the_data_may_be_named_by_an_option_and_held_out_by_a_key(place, capsys):
    line = ["train", "--data", "part-*.parquet", "--target", "z", "--drop", "y", "--group", "who", "--epochs", "2"]
    assert cli.run([*line, "--json", "--out", "run"]) == 0
    assert json.loads(capsys.readouterr().out)["test"]["r2"] > 0.5


def test_rows_of_their_own_choose_and_score(place, capsys):
    line = ["train", "part-[01].parquet", "--target", "y", "--validation", "part-2.parquet", "--epochs", "2", "--json"]
    assert cli.run([*line, "--drop", "z", "--out", "run", "--max-memory", "4MB"]) == 0
    assert "validation" in json.loads(capsys.readouterr().out)


REFUSED = {
    "nothing matches": (["none-*.parquet"], "SOURCE must be a pattern that matches files"),
    "no target": (["part-*.parquet", "--target", "Y"], "--target must be the name of a column"),
    "preset": (["part-*.parquet", "--preset", "table"], "--preset must be plain for streamed rows"),
    "seconds": (["part-*.parquet", "--seconds", "3"], "--seconds must be left out"),
    "doctor": (["part-*.parquet", "--doctor", "fix"], "--doctor must be off or watch"),
    "time": (["part-*.parquet", "--time", "who"], "--time must be left out for streamed rows"),
    "engine": (["part-*.parquet", "--engine", "jax"], "--engine must be auto, native or reference"),
    "memory": (["part-*.parquet", "--max-memory", "lots"], "--max-memory must be a size"),
    "text": (["*.csv"], "SOURCE must be Parquet files, to be streamed"),
    "one table": (["t.csv", "--max-memory", "8MB"], "--max-memory must be left out for this source"),
    "built in": (["iris", "--max-memory", "8MB"], "--max-memory must be left out for this source"),
    "twice": (["iris", "--data", "part-*.parquet"], "--data must be left out beside SOURCE"),
    "no source": ([], "SOURCE must be given"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_streamed_rows_is_refused_in_one_line(place, capsys, name):
    words, message = REFUSED[name]
    target = [] if "--target" in words or name in ("built in", "twice") else ["--target", "y"]
    assert cli.run(["train", *words, *target, *(["--epochs", "1"] if name != "preset" else [])]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert not (place / "runs").exists()


def test_other_commands_say_that_they_do_not_stream(place, capsys):
    assert cli.run(["doctor", "part-*.parquet", "--target", "y"]) == 2
    err = capsys.readouterr().err
    assert "source must be one file for this command" in err
    assert "give it a sample, such as one of the files (part-0.parquet)" in err
    assert cli.run(["doctor", "part-0.parquet", "--target", "y", "--max-memory", "8MB"]) == 2
    assert "--max-memory must be left out for this command" in capsys.readouterr().err


MODELS = {
    "two classes": ["--target", "y", "--drop", "z"],
    "values": ["--target", "z", "--drop", "y"],
    "three classes": ["--target", "level", "--drop", "z,y"],
    "numbers": ["--target", "z", "--drop", "y,kind,level"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(1)
    n = 1200
    frame = pl.DataFrame({"size": rng.normal(size=n), "kind": rng.choice(["a", "b"], n), "z": rng.normal(size=n)})
    frame = frame.with_columns(
        y=np.where(frame["size"].to_numpy() + rng.normal(size=n) > 0, "yes", "no"),
        level=pl.Series(np.digitize(frame["size"].to_numpy() + rng.normal(size=n) / 3, [-0.5, 0.5])),
    )
    frame = frame.with_columns(z=pl.when(pl.int_range(n) % 50 == 7).then(None).otherwise(pl.col("z") + pl.col("size")))
    frame.write_parquet(folder / "whole.parquet")
    for k in range(3):
        frame[k * 400 : (k + 1) * 400].write_parquet(folder / f"part-{k}.parquet", row_group_size=130)
    for name, words in MODELS.items():
        command = ["train", f"{folder}/part-0.parquet", *words, "--epochs", "3", "--out", f"{folder}/{name}"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(matplotlib, "png", lambda figure: b"")
            assert cli.run(command) == 0
    return folder


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("how", ["pattern", "data", "one file"])
def test_streamed_rows_are_scored_as_in_memory(trained, capsys, monkeypatch, name, how):
    monkeypatch.chdir(trained)
    source = {"pattern": ["part-*.parquet"], "data": ["--data", "part-*.parquet", "--max-memory", "3MB"]}
    given = source.get(how, ["whole.parquet", "--max-memory", "2MB"])
    threshold = ["--threshold", "0.3"] if name == "two classes" and how != "data" else []
    capsys.readouterr()
    found, notes = [], []
    for words in (given, ["whole.parquet"]):
        assert cli.run(["evaluate", name, *words, *threshold, "--json"]) == 0
        out, err = capsys.readouterr()
        found.append(json.loads(out))
        notes.append(err)
    assert list(found[0]) == list(found[1])
    for key, value in found[1].items():
        close = 1e-6 if key == "loss" else 1e-9  # (in memory, losses are averaged in float32)
        assert found[0][key] == pytest.approx(value, rel=close, abs=close), key
    assert ("have no target" in notes[0]) == ("have no target" in notes[1])
    assert cli.run(["evaluate", name, *given]) == 0
    table = capsys.readouterr().out
    assert cli.run(["evaluate", name, "whole.parquet"]) == 0
    assert table == capsys.readouterr().out


ANSWERS = {
    "two classes": ["--probabilities", "--threshold", "0.7"],
    "values": ["--keep", "kind,size"],
    "three classes": [],
    "numbers": ["--keep", "y"],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_streamed_rows_are_answered_as_in_memory(trained, capsys, monkeypatch, name):
    monkeypatch.chdir(trained)
    capsys.readouterr()
    assert cli.run(["predict", name, "whole.parquet", *ANSWERS[name]]) == 0
    expected = capsys.readouterr().out
    assert expected.count("\n") == 1201
    assert cli.run(["predict", name, "part-*.parquet", *ANSWERS[name]]) == 0
    assert capsys.readouterr().out == expected
    assert cli.run(["predict", name, "--data", "part-*.parquet", "--out", f"{name}.csv", *ANSWERS[name]]) == 0
    assert (trained / f"{name}.csv").read_text() == expected


NOT_READ = {
    "text": (["predict", "values", "*.csv"], "SOURCE must be Parquet files, to be streamed"),
    "nothing": (["predict", "values", "none-*.parquet"], "SOURCE must be a pattern that matches files"),
    "json": (
        ["predict", "values", "part-*.parquet", "--json"],
        "--json must be left out for rows that are read in parts",
    ),
    "decimal": (["evaluate", "values", "part-*.parquet", "--decimal", ","], "--decimal must be left out"),
    "twice": (["evaluate", "values", "whole.parquet", "--data", "part-*.parquet"], "--data must be left out"),
    "none": (["evaluate", "values"], "SOURCE must be given"),
    "memory": (["predict", "values", "part-*.parquet", "--max-memory", "lots"], "--max-memory must be a size"),
    "kept": (["predict", "values", "part-*.parquet", "--keep", "sizes"], "--keep must be names of columns"),
    "built in": (
        ["evaluate", "values", "iris", "--max-memory", "1GB"],
        "--max-memory must be left out for this source",
    ),
    "lines": (["predict", "values", "--stdin", "--max-memory", "1GB"], "--max-memory must be left out with --stdin"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_rows_that_cannot_be_read_in_parts_are_refused(trained, capsys, monkeypatch, name):
    monkeypatch.chdir(trained)
    words, message = NOT_READ[name]
    capsys.readouterr()
    (trained / "t.csv").write_text("size,z\n1,2\n")
    assert cli.run(words) == 2
    assert message in capsys.readouterr().err


def test_a_fault_in_the_middle_leaves_no_file_of_answers(trained, tmp_path, monkeypatch, capsys):
    frame = pl.read_parquet(trained / "whole.parquet")
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=200)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    (tmp_path / "b.parquet").write_bytes(data)
    data[4:60] = b"\xff" * 56  # (the first page says what it is)
    (tmp_path / "b.parquet").write_bytes(data)
    out = tmp_path / "answers.csv"
    assert cli.run(["predict", str(trained / "values"), f"{tmp_path}/*.parquet", "--out", str(out)]) == 2
    assert "b.parquet, row group" in capsys.readouterr().err
    assert not out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.parquet", "b.parquet"]


def test_the_area_under_the_curve_of_many_rows_is_that_of_a_sample(trained):
    from chainrule.pipeline.evaluation.running import RunningScores

    model = load_model(trained / "two classes" / "model.safetensors").core
    rng = np.random.default_rng(0)
    whole, little = (RunningScores(model, None, memory) for memory in (10**9, 30_000))
    for _ in range(20):
        X = rng.normal(size=(1000, model.net.inputs))
        y = np.where(X[:, 0] + rng.normal(size=1000) > 0, "yes", "no")
        whole.add(X, y)
        little.add(X, y)
    assert whole.sampled == 0
    assert 300 < little.sampled <= 1250
    one, other = whole.summary(), little.summary()
    assert abs(one.pop("roc_auc") - other.pop("roc_auc")) < 0.05
    assert one == other
