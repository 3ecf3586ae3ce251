"""Why: an option that is typed and has no effect deceives whoever typed it, so that it is an error.

In: every option of every command, in every situation in which the command works differently. Out: the option changes what
is printed or written, or the command refuses it.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from chainrule import cli
from chainrule.cli import unused
from chainrule.cli.app import whole
from chainrule.report import matplotlib

COMMANDS = typer.main.get_command(whole()).commands
QUICK = ["--epochs", "3"]

SITUATIONS = {
    "train": {
        "classes": ["wine", *QUICK],
        "values": ["diabetes", *QUICK],
        "no hidden layer": ["wine", "--hidden", "none", *QUICK],
        "plain table": ["t.csv", "--target", "price", "--preset", "plain", *QUICK],
        "table": ["t.csv", "--target", "price", "--preset", "quick.json"],
        "test rows of its own": ["parts.npz", *QUICK],
    },
    "doctor": {"values": ["diabetes", *QUICK], "test rows of its own": ["parts.npz", *QUICK]},
    "lr-find": {
        "classes": ["iris", "--steps", "10"],
        "values": ["diabetes", "--steps", "20"],
        "no hidden layer": ["iris", "--hidden", "none", "--steps", "10"],
        "table": ["t.csv", "--target", "price", "--steps", "20"],
    },
    "search": {
        "classes": ["iris", "--trials", "1", "--seeds", "1", "--method", "random", *QUICK],
        "fixed": ["parts.npz", "--trials", "1", "--seeds", "1", "--method", "random", "--space", "fixed.toml"],
    },
    "study": {"list": ["list"], "study": ["random-search", "--data", "iris", "--quick", "--seeds", "1"]},
    "evaluate": {
        "built in": ["iris-run", "iris"],
        "table": ["table-run", "t.csv"],
        "drawn": ["moons-run", "moons"],
    },
    "predict": {
        "built in": ["iris-run", "iris"],
        "table": ["table-run", "t.csv"],
        "json": ["table-run", "t.csv", "--json"],
        "lines": ["table-run", "--stdin"],
        "csv lines": ["table-run", "--stdin", "--format", "csv"],
    },
    "export": {"classes": ["iris-run", "--to", "numpy"], "table": ["table-run", "--to", "numpy"]},
    "explain": {
        "architecture": ["4-3-2"],
        "no hidden layer": ["4-2"],
        "model": ["iris-run"],
        "source": ["iris"],
        "table": ["t.csv", "--target", "price"],
        "preset": ["table"],
        "json": ["4-3-2", "--json"],
        "plan": ["4-3-2", "--plan"],
    },
    "gradcheck": {
        "architecture": ["4-3-2", "--rows", "4"],
        "no hidden layer": ["4-2", "--rows", "4"],
        "model": ["iris-run", "--rows", "4"],
        "source": ["iris", "--rows", "4"],
        "table": ["t.csv", "--target", "price", "--rows", "4"],
    },
    "compare": {"runs": ["iris-run", "moons-run"]},
    "info": {"info": []},
}
"""For each command the arguments of the situations in which its options differ."""

TABLE_ROWS = b"day,size,price,owner\n2024-01-01,2.5,28.0,3\n2024-01-02,1;5,18.0,4\n"
JSON_ROWS = b'{"day": "2024-01-01", "size": 2.5, "price": 28.0, "owner": 3}\n'
"""Rows on standard input."""

VALUES = {
    "target": "owner",
    "processes": "0",
    "rank": "1",
    "coordinator": "here:5000",
    "restarts": "2",
    "watchdog": "9",
    "task": "classification",
    "columns": "size=category",
    "drop": "size",
    "missing": "owner=3",
    "separator": ";",
    "decimal": ",",
    "hidden": "7",
    "activation": "tanh",
    "initializer": "orthogonal",
    "dropout": "0.3",
    "loss": "huber",
    "link": "exp",
    "quantiles": "0.2,0.8",
    "accumulate": "2",
    "l1": "0.1",
    "max_norm": "0.5",
    "ema_decay": "0.9",
    "keep_classes": "0,1",
    "row": "3",
    "optimizer": "sgd",
    "lr": "0.05",
    "schedule": "cosine",
    "epochs": "2",
    "batch_size": "16",
    "alpha": "0.1",
    "max_grad_norm": "0.01",
    "label_smoothing": "0.2",
    "class_weight": "balanced",
    "patience": "1",
    "test_fraction": "0.3",
    "validation_fraction": "0.3",
    "scaling": "none",
    "engine": "reference",
    "dtype": "float64",
    "seed": "3",
    "out": "elsewhere",
    "checkpoint": "kept",
    "doctor": "off",
    "suppress": "no-validation=known",
    "preset": "plain",
    "seconds": "0.01",
    "networks": "3",
    "group": "owner",
    "time": "day",
    "test": "t.csv",
    "validation": "t.csv",
    "low": "1e-5",
    "high": "1.0",
    "steps": "30",
    "picture": "curve.png",
    "space": "space.toml",
    "trials": "2",
    "time_limit": "1s",
    "method": "asha",
    "workers": "1",
    "cluster": "ray://nowhere:1",
    "seeds": "2",
    "data": "wine",
    "threshold": "0.9",
    "keep": "size",
    "head": "MeanSquaredError",
    "rows": "5",
    "entries": "3",
    "tolerance": "1e-20",
    "encoding": "utf-16",
    "to": "torch",
    "opset": "17",
    "row_format": "csv",
    "max_memory": "8MB",
    "port": "4321",
}
"""A value for each option that is no switch, other than its default and than the situations have."""

PAGES = {"doctor": "page.html", "compare": "page.html", "predict": "answers.csv", "export": "other.py"}
"""Commands whose --out is a file."""

CLASSES = {"classes", "no hidden layer", "test rows of its own", "fixed"}
"""Situations in which classes are learned."""

SEVERAL = {
    ("train", "patience"): ["--patience", "1", "--lr", "1.0", "--epochs", "30"],
    **{(command, "header"): ["--no-header"] for command in ("train", "doctor", "evaluate", "predict", "lr-find")},
}

NO_TRACE = {
    ("search", "workers"): "more processes do the same",
    ("study", "workers"): "more processes do the same",
    ("doctor", "fix"): "a training that is healthy needs none",
    ("train", "preset"): "one network is all that such a source can have, and plain says so",
    ("search", "time_limit"): "the trials are done before",
    ("train", "suppress"): "the situations have no such finding",
    ("doctor", "patience"): "it is read where train reads it, and a report holds none of its figures",
    ("doctor", "engine"): "it is read where train reads it, and a report holds none of its figures",
    ("doctor", "dtype"): "it is read where train reads it, and a report holds none of its figures",
    ("doctor", "suppress"): "the situations have no such finding",
}
"""Options that do something that these situations cannot show, with the reason."""

ONLY = {
    ("search", "fixed"): {"epochs", "patience", "dtype", "test_fraction", "space"},
    ("doctor", "test rows of its own"): {
        "test_fraction",
        "columns",
        "drop",
        "missing",
        "separator",
        "decimal",
        "target",
    },
    ("train", "no hidden layer"): {"hidden", "activation", "initializer", "batch_norm", "layer_norm", "dropout"},
}
"""Options of situations that differ from another situation in nothing else."""

NOT_WALKED = {"bench", "profile", "lab"}
"""Commands that print times, and one that serves until it is ended (tests/lab walks its options)."""


def test_every_command_and_every_option_is_walked():
    assert set(SITUATIONS) == set(COMMANDS) - NOT_WALKED
    for command in [*SITUATIONS, "lab"]:
        for option in options(command):
            assert option.is_flag or option.name in VALUES, f"{command} {option.name}"


def options(command: str) -> list:
    return [p for p in COMMANDS[command].params if p.param_type_name == "option" and p.name != "help"]


def test_every_rule_names_options_of_its_command():
    for command, rules in unused.RULES.items():
        named = {option.name for option in options(command)}
        for rule in rules:
            assert set(rule.options) <= named, (command, rule)
        flags = {option.name: option.opts for option in options(command)}
        for name in named:
            assert unused.option_flag(name) in flags[name]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table, an array file with test rows, spaces, a preset, and three runs."""
    folder = tmp_path_factory.mktemp("place")
    rng = random.Random(0)
    lines = ["day,size,kind,price,owner"]
    for i in range(80):
        size, kind = rng.uniform(1, 9), rng.choice(["cat", "dog"])
        lines.append(f"2024-{1 + i // 20:02d}-{1 + i % 20:02d},{size:.3f},{kind},{size * 10 + len(kind):.2f},{i // 10}")
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(90, 3)), generator.integers(3, size=90)
    np.savez(folder / "parts.npz", X_train=X[:60], y_train=y[:60], X_test=X[60:], y_test=y[60:])
    (folder / "space.toml").write_text("width = {low = 2, high = 5}\n")
    (folder / "fixed.toml").write_text(
        'width = {low = 2, high = 5}\nmax_iter = 3\nn_iter_no_change = 2\ndtype = "float64"\n'
    )
    (folder / "quick.json").write_text(json.dumps({"members": 2, "folds": 2, "epochs": [5, 5], "width": [8, 8]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(matplotlib, "png", lambda figure: b"")
        for source, more in (("iris", []), ("moons", []), ("t.csv", ["--target", "kind"])):
            name = "table" if source == "t.csv" else source
            assert cli.run(["train", source, *more, *QUICK, "--out", f"{name}-run", "--json"]) == 0
    return folder


def words(command: str, situation: str, option) -> list[str]:
    if (command, option.name) in SEVERAL:
        return SEVERAL[command, option.name]
    flag = option.opts[0]
    if option.is_flag:
        return [flag]
    if option.name == "task" and situation in CLASSES:
        return [flag, "regression"]
    value = PAGES[command] if option.name == "out" and command in PAGES else VALUES[option.name]
    return [flag, value]


def outcome(arguments: list[str], place: Path, folder: Path, patch, capsys) -> tuple[int, object]:
    """Run a command in a copy of the place; return its exit code and all that it left, without times."""
    folder.mkdir()
    for path in place.iterdir():
        (folder / path.name).symlink_to(path)
    patch.chdir(folder)
    capsys.readouterr()
    lines = TABLE_ROWS if "csv" in arguments else JSON_ROWS
    patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    code = cli.run(arguments)
    out, err = capsys.readouterr()
    files = {str(path.relative_to(folder)): trace(path) for path in folder.rglob("*") if not path.is_symlink()}
    return code, (scrubbed(out), [line for line in err.splitlines() if "error" in line or "Method" in line], files)


def trace(path: Path) -> str:
    """Return what a file holds besides the options themselves and times."""
    if path.is_dir() or path.suffix in (".html", ".png", ".db") or path.name in WITH_TIMES:
        return ""
    data = path.read_bytes()
    return hashlib.sha256(data if path.suffix == ".safetensors" else scrubbed(data.decode()).encode()).hexdigest()


def scrubbed(text: str) -> str:
    text = re.sub(r'"(seconds|took|overhead|started|time)": ?[\d.e-]+', "", text)
    text = re.sub(r"elsewhere|(runs|studies)/[\w.-]+", "", text)
    text = re.sub(r"(?m) \d+\.\d $", "", text)  # a column of seconds
    return re.sub(r" +", " ", re.sub(r"[\d.]+ ?(s|ms|µs)\b", "", text))


WITH_TIMES = ("config.json", "doctor.json", "records.jsonl", "lock", "manifest.json")
"""Files that hold the options themselves, or times."""

WALK = [(command, situation) for command in SITUATIONS for situation in SITUATIONS[command]]
SLOW = {"train", "doctor", "lr-find", "search", "study"}


@pytest.mark.parametrize(
    ("command", "situation"),
    [pytest.param(*each, marks=pytest.mark.slow if each[0] in SLOW else ()) for each in WALK],
    ids=lambda word: word.replace(" ", "-"),
)
def test_an_option_changes_the_result_or_is_refused(place, tmp_path, monkeypatch, capsys, command, situation):
    monkeypatch.setattr(matplotlib, "png", lambda figure: b"")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    base = [command, *SITUATIONS[command][situation]]
    code, usual = outcome(base, place, tmp_path / "usual", monkeypatch, capsys)
    assert code in (0, 1)
    if command not in ("search", "study"):
        again = outcome(base, place, tmp_path / "again", monkeypatch, capsys)
        assert again == (code, usual), difference(usual, again[1])
    silent = []
    for number, option in enumerate(options(command)):
        few = ONLY.get((command, situation))
        if (command, option.name) in NO_TRACE or option.opts[0] in base or (few and option.name not in few):
            continue
        code, seen = outcome(
            [*base, *words(command, situation, option)], place, tmp_path / str(number), monkeypatch, capsys
        )
        if code != 2 and seen == usual:
            silent.append(option.opts[0])
    assert not silent, " ".join(silent)


def difference(one, other) -> str:
    """Return what a command does differently the second time."""
    lines = [pair for pair in zip(one[0].splitlines(), other[0].splitlines(), strict=False) if pair[0] != pair[1]]
    return f"{lines} {one[1]} {[name for name in one[2] if one[2][name] != other[2].get(name)]}"
