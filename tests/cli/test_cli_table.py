"""Why: `chainrule train FILE --target y` takes a table as it is, says what it did, and leaves a folder that others can use.

In: small tables of every kind. Out: exit codes, lines on both streams, run folders.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from chainrule import cli

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


@pytest.mark.parametrize("option", ["--seconds", "--group", "--time"])
def test_options_for_tables_are_refused_where_there_is_none(place, capsys, option):
    assert cli.run(["train", "moons", option, "3"]) == 2
    assert f"{option} must be left out here." in capsys.readouterr().err
