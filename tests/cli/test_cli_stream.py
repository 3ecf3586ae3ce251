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
    assert "source must be one file for this command" in capsys.readouterr().err
    assert cli.run(["doctor", "part-0.parquet", "--target", "y", "--max-memory", "8MB"]) == 2
    assert "--max-memory must be left out for this command" in capsys.readouterr().err
