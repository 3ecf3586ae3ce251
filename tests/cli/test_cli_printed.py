"""Why: a command that a command prints is there to be pasted, whatever the files, folders and columns are called.

In: every command that prints another one, on names with spaces, quotes, `$`, brackets and a leading dash. Out: the shell
takes the printed command apart into words that the parser accepts, and it ends as it should.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from chainrule import cli
from chainrule.cli.doctor_report import command_line
from chainrule.cli.options import TrainOptions
from chainrule.cli.search import train_line
from chainrule.data.table.shell import listed
from chainrule.pipeline import Settings

FILES = ["-a $HOME 'b' \"c\" [d].csv", "--out.csv", "`ls`; {x} & (y)|*?.csv", "ü\\n!#~.csv", "[bold] %s.csv"]
COLUMNS = ["-x", "$HOME 'q' \"r\"", "[red], a=b", "--lr", "# no comment"]
NAMES = list(zip(FILES, COLUMNS, strict=True))
FEW = ["--epochs", "2"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(file: str, target: str) -> None:
    """Write a table with the target, two numbers, a column of dates and one of numbers that are an id."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    days = pl.Series(f"day {target}", [f"2024-01-{1 + i % 28:02d}" for i in range(60)])
    frame = pl.DataFrame({"one": x[:, 0], "two": x[:, 1], target: 100.0 * x[:, 0] + rng.normal(size=60)})
    frame.with_columns(days).write_csv(file, separator=";")


def run(*words: str) -> int:
    return cli.run(list(words))


def given(file: str) -> str:
    """Return a file as a careful user types it."""
    return f"./{file}"


def printed(text: str, start: str = "chainrule ") -> list[str]:
    """Return the words of the last line that begins with a command, as a shell reads them."""
    lines = [line[line.index(start) :] for line in text.splitlines() if start in line]
    assert lines, text
    return shlex.split(lines[-1])


@pytest.mark.parametrize(("file", "target"), NAMES)
def test_the_line_of_lr_find_trains(place, capsys, file, target):
    table(file, target)
    typed = [
        f"--target={target}",
        "--separator",
        ";",
        "--drop",
        f'"day {target}"'.replace('"r"', '""r""'),
        "--seed",
        "7",
    ]
    assert run("lr-find", given(file), *typed, "--hidden", "4", "--steps", "30", "--low", "1e-6", "--high", "0.1") == 0
    words = printed(capsys.readouterr().out)
    assert words[:2] == ["chainrule", "train"]
    assert {"--seed", "--separator", "--drop", "--hidden", "--lr", "--preset"} <= set(words)
    assert run(*words[1:], *FEW, "--out", "run", "--json") == 0
    assert (place / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(("file", "target"), NAMES[:2])
def test_the_line_of_a_run_that_went_wrong_examines_it(place, capsys, file, target):
    table(file, target)
    folder = file.removesuffix(".csv")
    typed = [
        f"--target={target}",
        "--preset",
        "plain",
        "--lr",
        "1e-9",
        "--suppress",
        "no-validation=that is 'known' $1",
    ]
    assert run("train", given(file), *typed, "--epochs", "30", f"--out={folder}") == 0
    line = re.search(r"Run `(.*)` to test remedies\.", capsys.readouterr().out)
    assert line is not None
    words = shlex.split(line[1])
    assert words == ["chainrule", "doctor", f"./{folder}", "--suppress", "no-validation=that is 'known' $1"]
    assert run(*words[1:], *FEW) in (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "target"), NAMES[2:4])
def test_the_line_of_the_doctor_trains_better(place, capsys, file, target):
    table(file, target)
    typed = [f"--target={target}", "--lr", "1e-9", "--epochs", "20", "--seed", "3", "--separator", ";"]
    run("doctor", given(file), *typed, "--fix")
    words = printed(capsys.readouterr().out, "chainrule train")
    assert {"--seed", "--separator", "--preset"} <= set(words)
    assert run(*words[1:], "--out", "run", "--json") == 0


@pytest.mark.slow
@pytest.mark.parametrize(("file", "target"), [NAMES[0], NAMES[2]])
def test_the_line_of_a_search_trains(place, capsys, file, target):
    table(file, target)
    typed = [
        f"--target={target}",
        "--seed",
        "2",
        "--test-fraction",
        "0.3",
        "--engine",
        "reference",
        "--dtype",
        "float64",
    ]
    few = ["--trials", "1", "--seeds", "1", "--method", "random", "--workers", "1", *FEW]
    assert run("search", given(file), *typed, *few, "--out", "found") == 0
    words = printed(capsys.readouterr().out)
    assert {"--seed", "--test-fraction", "--engine", "--dtype", "--preset"} <= set(words)
    assert run(*words[1:], "--out", "run", "--json") == 0
    assert "chainrule train" in (place / "found" / "search.html").read_text()


@pytest.mark.parametrize("name", [file.replace(".csv", ".json") for file in FILES])
def test_the_line_of_a_preset_prints_it_as_json(place, capsys, name):
    Path(name).write_text('{"members": 2}')
    assert run("explain", given(name)) == 0
    out = capsys.readouterr().out
    words = shlex.split(re.search(r"chainrule explain .* > mine\.json", out)[0])
    assert run(*words[1 : words.index(">")]) == 0
    Path("mine.json").write_text(capsys.readouterr().out)
    assert run("explain", "mine.json") == 0


@pytest.mark.parametrize(("file", "target"), NAMES)
def test_options_that_messages_name_are_taken(place, capsys, file, target):
    table(file, target)
    assert run("train", given(file)) == 2
    named = re.search(r"Name one, as (.*?)\. Columns", capsys.readouterr().err)[1]
    (option,) = shlex.split(named.replace("--target=", "--target ", 1).replace("--target ", "", 1))
    assert option == f"day {target}"
    columns = {f"{target} id": range(1, 61), "x": [0.1, 0.7] * 30, "z": [0.5, 1.25, 2.0] * 20}
    pl.DataFrame(columns).write_csv("t.csv")
    run("train", "t.csv", "--target", "x", *FEW, "--out", "run")
    named = re.search(r"(?:Use |\()('?--columns.*?)(?: to keep it|, columns=)", capsys.readouterr().err)[1]
    words = shlex.split(named)
    assert run("train", "t.csv", "--target", "x", *FEW, *words, "--out", "other", "--json") == 0
    (pair,) = listed(words[-1].removeprefix("--columns="))
    assert pair == f"{target} id=number"


@pytest.mark.parametrize(("file", "target"), NAMES)
def test_every_option_of_a_training_is_in_its_line(file, target):
    options = TrainOptions(
        target=target,
        task="regression",
        columns=f"{target}=number",
        drop=target,
        separator=";",
        decimal=",",
        class_weight="balanced",
        seed=5,
        test_fraction=0.1,
        dtype="float64",
    )
    words = shlex.split(command_line(file, options))
    assert words[2] == (f"./{file}" if file.startswith("-") else file)
    text = " ".join(words)
    for name in ("--target", "--task", "--columns", "--drop", "--separator", "--decimal", "--class-weight", "--seed"):
        assert name in text
    line, _ = train_line(file, Settings(), {"target": target})
    assert shlex.split(line)[2] == words[2]
    assert shlex.split(line)[-2:] == ["--preset", "plain"]
