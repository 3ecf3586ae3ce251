"""Why: `chainrule train FILE --target y` takes a table as it is, says what it did, and leaves a folder that others can use.

In: small tables of every kind. Out: exit codes, lines on both streams, run folders.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule import cli
from chainrule.data import load
from chainrule.io import load_model

QUICK = {"members": 2, "folds": 2, "epochs": [20, 20], "width": [32, 32]}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a small table of every kind of column, and a preset that trains in a second."""
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    lines = ["id,day,size,kind,price,owner"]
    for i in range(200):
        size = rng.uniform(1, 9)
        kind = rng.choice(["cat", "dog", "NA"])
        cell = "?" if i % 11 == 0 else f"{size:.3f}"
        lines.append(
            f"{i + 1},2024-{1 + i // 20:02d}-{1 + i % 20:02d},{cell},{kind},{size * 10 + 5 * (kind == 'dog'):.2f},{i // 10}"
        )
    Path("pets.csv").write_text("\n".join(lines) + "\n")
    Path("quick.json").write_text(json.dumps(QUICK))
    return tmp_path


def train(*arguments: str) -> int:
    return cli.run(["train", "pets.csv", "--preset", "quick.json", *arguments])


def test_a_table_is_read_trained_compared_and_kept(place, capsys):
    assert train("--target", "price") == 0
    out, err = capsys.readouterr()
    assert "Read pets.csv: 200 rows" in err
    assert "regression: 'price' has" in err
    assert "add --time day" in err
    for word in ("chainrule", "constant", "linear", "boosted trees", "RMSE", "size"):
        assert word in out
    folder = Path("runs/pets-1")
    assert sorted(file.name for file in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "networks.jsonl",
        "preset.json",
        "report.html",
    ]
    assert json.loads((folder / "preset.json").read_text())["members"] == 2
    assert len((folder / "networks.jsonl").read_text().splitlines()) == 2
    assert "boosted trees" in (folder / "report.html").read_text()


def test_json_is_one_object(place, capsys):
    assert train("--target", "kind", "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["task"] == "classification"
    assert set(plain["scores"]) == {"chainrule", "constant", "linear", "boosted trees"}
    known = sum(line.split(",")[3] != "NA" for line in Path("pets.csv").read_text().splitlines()[1:])
    assert sum(plain["rows"].values()) == known < 200
    assert plain["networks"] == 2


def test_groups_and_times_split_the_rows(place, capsys):
    assert train("--target", "price", "--group", "owner", "--json") == 0
    grouped = json.loads(capsys.readouterr().out)
    assert grouped["rows"]["test"] % 10 == 0
    assert "owner" not in grouped["importances"]
    assert train("--target", "price", "--time", "day", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"training": 160, "test": 40}


def test_test_rows_of_a_file_and_none_at_all(place, capsys):
    lines = Path("pets.csv").read_text().splitlines()
    Path("new.csv").write_text("\n".join([lines[0], *lines[1:31]]) + "\n")
    assert train("--target", "price", "--test", "new.csv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"training": 200, "test": 30}
    assert train("--target", "price", "--test-fraction", "0", "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["scored_on"], plain["rows"]) == ("held-out", {"training": 200})


def test_the_saved_model_predicts_from_the_file(place, capsys):
    assert train("--target", "price", "--out", "m") == 0
    capsys.readouterr()
    assert cli.run(["predict", "m", "pets.csv", "--keep", "id"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "id,price"
    assert len(lines) == 201


def test_a_copy_of_the_target_is_warned_of(place, capsys):
    lines = Path("pets.csv").read_text().splitlines()
    Path("leak.csv").write_text(
        "\n".join([lines[0] + ",copy", *(f"{line},{line.split(',')[4]}" for line in lines[1:])]) + "\n"
    )
    assert cli.run(["train", "leak.csv", "--preset", "quick.json", "--target", "price", "--json"]) == 0
    assert any("copy" in warning for warning in json.loads(capsys.readouterr().out)["warnings"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "price", "--hidden", "8"], "--hidden must be left out with --preset quick.json."),
        (["--target", "price", "--doctor", "advise"], "--doctor must be left out with --preset quick.json."),
        (["--target", "price", "--group", "owned"], "Did you mean 'owner'?"),
        (["--target", "price", "--group", "owner", "--time", "day"], "--time must be left out beside --group"),
        (["--target", "price", "--seconds", "0"], "--seconds must be above 0"),
        (["--target", "price", "--test", "none.csv"], "This path does not exist."),
        (["--target", "pice"], "Did you mean 'price'?"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(place, capsys, arguments, sentence):
    assert train(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert not Path("runs").exists()


def test_an_option_of_one_network_chooses_the_plain_preset_and_says_so(place, capsys):
    assert cli.run(["train", "pets.csv", "--target", "price", "--epochs", "2", "--out", "plain"]) == 0
    err = capsys.readouterr().err
    assert "Preset plain: --epochs is an option of one network." in err
    assert cli.run(["predict", "plain", "pets.csv"]) == 0


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("--seconds", "--seconds must be left out here."),
        ("--group", "--group must be left out for this source"),
        ("--time", "--time must be left out for this source"),
    ],
)
def test_options_for_tables_are_refused_where_there_is_none(place, capsys, option, sentence):
    assert cli.run(["train", "moons", option, "3"]) == 2
    assert sentence in capsys.readouterr().err


PLAIN = ("--preset", "plain", "--epochs", "2", "--doctor", "off")
PRESETS = {"plain": PLAIN, "table": ("--preset", "quick.json")}


def rows_of(capsys, preset, *arguments):
    """Train with one of the presets; return the number of rows that the run folder's model was trained or chosen on."""
    assert cli.run(["train", *arguments, *PRESETS[preset], "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    model = load_model(Path(plain["run"]) / "model.safetensors")
    return plain, model, len(model.trained_on.hashes)


def write_part(name, start, end, extra=""):
    lines = Path("pets.csv").read_text().splitlines()
    Path(name).write_text("\n".join([lines[0], *lines[1 + start : 1 + end], *([extra] if extra else [])]) + "\n")


@pytest.mark.parametrize("preset", PRESETS)
def test_groups_are_no_input_and_stay_together(place, capsys, preset):
    _, model, known = rows_of(capsys, preset, "pets.csv", "--target", "price", "--group", "owner")
    assert "owner" not in model.feature_names
    assert known % 10 == 0
    assert 100 <= known < 200


@pytest.mark.parametrize("preset", PRESETS)
def test_times_hold_out_the_latest_rows(place, capsys, preset):
    plain, model, known = rows_of(capsys, preset, "pets.csv", "--target", "price", "--time", "day")
    assert "day" in model.feature_names
    assert known == 160
    lines = Path("pets.csv").read_text().splitlines()
    Path("early.csv").write_text("\n".join(lines[:161]) + "\n")
    assert cli.run(["evaluate", plain["run"], "early.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained_on"] == 1.0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("target", ["price", "kind"])
def test_validation_and_test_rows_come_from_files(place, capsys, preset, target):
    write_part("first.csv", 0, 120)
    write_part("second.csv", 120, 160)
    write_part("third.csv", 160, 200)
    kept = (
        [
            sum(line.split(",")[3] != "NA" for line in Path(name).read_text().splitlines()[1:])
            for name in ("first.csv", "second.csv", "third.csv")
        ]
        if target == "kind"
        else [120, 40, 40]
    )
    files = ("--validation", "second.csv", "--test", "third.csv")
    plain, _, known = rows_of(capsys, preset, "first.csv", "--target", target, *files)
    assert known == kept[0] + kept[1]
    assert cli.run(["evaluate", plain["run"], "third.csv", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    scores = plain["test"] if preset == "plain" else plain["scores"]["chainrule"]
    figure = "rmse" if target == "price" else "accuracy"
    assert again["rows"] == kept[2]
    assert again[figure] == pytest.approx(scores[figure], rel=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_validation_rows_choose_the_epoch(place, capsys, preset):
    write_part("first.csv", 0, 120)
    write_part("second.csv", 120, 160)
    write_part("other.csv", 100, 120)
    common = ("first.csv", "--target", "price", "--test-fraction", "0", "--validation")
    plain, _, _ = rows_of(capsys, preset, *common, "second.csv")
    if preset == "plain":
        assert set(plain) >= {"train", "validation"}
        assert cli.run(["evaluate", plain["run"], "second.csv", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(plain["validation"]["loss"], rel=1e-5)
    else:
        assert plain["rows"] == {"training": 120, "validation": 40}
        assert plain["scored_on"] == "held-out"
    other, _, _ = rows_of(capsys, preset, *common, "other.csv")
    mine, theirs = (each["validation"] if preset == "plain" else each["scores"] for each in (plain, other))
    assert mine != theirs


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--group", "owned"], "Did you mean 'owner'?"),
        (["--group", "owner", "--time", "day"], "--time must be left out beside --group"),
        (["--test", "none.csv"], "This path does not exist."),
        (["--validation", "none.csv"], "This path does not exist."),
        (["--test", "pets.csv", "--test-fraction", "0.3"], "--test-fraction must be left out beside --test"),
        (["--time", "price"], "--time must be another column than the target"),
        (["--group", "owner", "--test", "pets.csv", "--validation", "pets.csv"], "left out where no rows are drawn"),
        (["--test", "short.csv"], "'size'"),
    ],
)
def test_parts_that_contradict_are_refused_by_both_presets(place, capsys, preset, arguments, sentence):
    Path("short.csv").write_text("kind,price\ncat,3\ndog,4\n")
    assert cli.run(["train", "pets.csv", "--target", "price", *PRESETS[preset], *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("runs").exists()


def test_labels_of_a_part_are_those_of_the_training(place, capsys):
    lines = ["a,b,y", *(f"{i},{i * i % 17},{i % 2}" for i in range(60))]
    Path("train.csv").write_text("\n".join(lines) + "\n")
    pl.DataFrame({"a": [1.0, 2.0], "b": [1, 4], "y": [1.0, 0.0]}).write_parquet("test.parquet")
    assert cli.run(["train", "train.csv", "--target", "y", *PLAIN, "--test", "test.parquet", "--json"]) == 0
    capsys.readouterr()
    Path("odd.csv").write_text("a,b,y\n1,2,7\n2,4,0\n")
    assert cli.run(["train", "train.csv", "--target", "y", *PLAIN, "--validation", "odd.csv"]) == 2
    assert "labels must be among" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["moons", "rows.npz"])
def test_parts_of_other_sources_come_from_files_too(place, capsys, source):
    data = load("moons")
    np.savez("rows.npz", X=data.X, y=data.y)
    np.savez("part.npz", X=data.X[:30], y=data.y[:30])
    np.savez("wide.npz", X=np.ones((4, 3)), y=[0, 1, 0, 1])
    arguments = ["train", source, "--epochs", "2", "--doctor", "off"]
    assert cli.run([*arguments, "--test", "part.npz", "--out", "m", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["test"]
    assert cli.run(["evaluate", "m", "part.npz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == scores["accuracy"]
    assert cli.run([*arguments, "--validation", "wide.npz"]) == 2
    assert "columns must be 2" in capsys.readouterr().err


def test_the_doctor_repeats_a_run_with_its_parts(place, capsys):
    write_part("first.csv", 0, 150)
    write_part("second.csv", 150, 200)
    common = ("first.csv", "--target", "price", "--group", "owner", "--validation", "second.csv", "--out", "m")
    assert cli.run(["train", *common, *PLAIN]) == 0
    assert json.loads(Path("m/config.json").read_text())["options"]["group"] == "owner"
    assert cli.run(["doctor", "m", "--json"]) in (0, 1)
    capsys.readouterr()
    assert cli.run(["doctor", "m", "--group", "nobody"]) == 2
    assert "--group must be the name of a column" in capsys.readouterr().err


def test_a_file_without_names_or_of_another_encoding_is_read_as_asked(place, capsys):
    text = "größe,2019,2020\n" + "".join(f"{'äöü'[i % 3]},{i * 7 % 13},{i * 2 % 31}\n" for i in range(60))
    Path("names.csv").write_bytes(text.encode("cp850"))
    form = ("--encoding", "cp850", "--header")
    assert cli.run(["train", "names.csv", "--target", "2020", *PLAIN, *form, "--out", "m"]) == 0
    config = json.loads(Path("m/config.json").read_text())["options"]
    assert (config["encoding"], config["header"]) == ("cp850", True)
    assert load_model("m/model.safetensors").feature_names == ("größe", "2019")
    assert cli.run(["predict", "m", "names.csv", *form]) == 0
    assert cli.run(["evaluate", "m", "names.csv", *form, "--json"]) == 0
    Path("bare.csv").write_text("".join(f"{'abc'[i % 3]},{i * 7 % 13},{i * 2 % 31}\n" for i in range(60)))
    for preset in PRESETS:
        where = f"bare-{preset}"
        bare = ("bare.csv", "--target", "x3", *PRESETS[preset], "--no-header", "--out", where)
        assert cli.run(["train", *bare]) == 0
        assert load_model(Path(where) / "model.safetensors").feature_names == ("x1", "x2")
    for command in ("predict", "evaluate"):
        assert cli.run([command, "bare-plain", "bare.csv", "--no-header"]) == 0
    assert cli.run(["lr-find", "bare.csv", "--target", "x3", "--no-header"]) == 0
    assert "--no-header" in capsys.readouterr().out
