"""Why: one line searches, and the line that it prints trains the very model that it found.

In: command lines. Out: tables, JSON, a page, a model that is the same bit by bit.
"""

import io
import json
import re
import shlex
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from chainrule import cli
from chainrule.cli.search import seconds, status_table, train_line
from chainrule.data import load
from chainrule.errors import InvalidValueError
from chainrule.io import load_model
from chainrule.pipeline import Settings
from chainrule.search import RungScore, SearchBudget, SearchStatus, Trial
from chainrule.search import search as run_python_search
from chainrule.search.spec import plan_search

SMALL = ["--method", "random", "--trials", "3", "--epochs", "6", "--seeds", "2", "--workers", "1"]


@pytest.mark.slow
def test_the_line_trains_the_same_model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = tmp_path / "space.toml"
    space.write_text(
        'width = {low = 4, high = 30}\nlearning_rate_init = {low = 1e-3, high = 0.1, log = true}\nschedule = "cosine"\n'
        "batch_norm = {choices = [true]}\nbatch_size = {choices = [16, 32]}\ntol = {choices = [1e-4]}\n"
    )
    assert cli.run(["search", "wine", "--space", "space.toml", *SMALL, "--seed", "5", "--out", "found", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trials"] == told["complete"] == 3
    assert told["test"]["seeds"] == 2
    assert told["best"]["values"].keys() == {"width", "learning_rate_init", "batch_norm", "batch_size", "tol"}
    assert told["without_option"] == {}
    words = shlex.split(told["train"])
    assert words[:3] == ["chainrule", "train", "wine"]
    assert {"--batch-norm", "--schedule", "--hidden", "--lr", "--seed"} <= set(words)
    assert cli.run([*words[1:], "--out", "again", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["test"]["accuracy"] == told["finals"][0]["test"]["accuracy"]
    one, other = load_model(tmp_path / "found/model.safetensors"), load_model(tmp_path / "again/model.safetensors")
    np.testing.assert_array_equal(one.w, other.w)
    page = (tmp_path / "found/search.html").read_text()
    assert told["train"] in page
    assert "Parallel coordinates" in page


def test_the_same_line_finds_its_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["search", "iris", *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "3 trials (random)" in shown
    assert "chainrule train iris" in shown
    assert re.search(r"best: trial \d, test accuracy \d\.\d{4} ± \d\.\d{4} over 2 seeds", shown)
    assert cli.run(["search", "iris", *SMALL, "--json"]) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1
    assert cli.run(["search", "iris", *SMALL, "--seed", "1", "--json"]) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--method", "grid"], "search: --method must be one of 'tpe', 'random', 'asha', got 'grid'."),
        (["--time", "soon"], "search: --time must be a time such as 90s, 10m or 2h, got 'soon'."),
        (["--trials", "0"], "search: --trials must be a whole number in [1, 1000000] or None, got 0."),
        (["--space", "none.toml"], "search: --space must be an existing .toml file, got 'none.toml'."),
        (["--validation-fraction", "0"], "search: --validation-fraction must be in (0, 1), got 0.0."),
        (["--cluster", "ray://head:10001"], "search: "),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, monkeypatch, options, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert cli.run(["search", "iris", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {told}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("source", "line", "sentence"),
    [
        ("iris", 'loss = {choices = ["squared_error", "huber"]}', "loss must be left out for a classification"),
        ("iris", 'loss = "poisson"', "loss must be left out for a classification"),
        ("diabetes", "label_smoothing = {low = 0.0, high = 0.2}", "label_smoothing must be left out for a regression"),
        ("diabetes", "label_smoothing = 0.1", "label_smoothing must be left out for a regression"),
        ("iris", "label_smoothing = {choices = [0.0, 0.1]}", ""),
        ("diabetes", 'loss = {choices = ["squared_error", "huber"]}', ""),
    ],
)
def test_a_space_of_settings_without_effect_is_refused(source, line, sentence):
    space = tomllib.loads(f"{line}\nwidth = {{low = 2, high = 4}}")
    if not sentence:
        assert plan_search(source, space, Settings(early_stopping=True), SearchBudget("random")).space.dimensions
        return
    with pytest.raises(InvalidValueError, match=sentence):
        plan_search(source, space, Settings(early_stopping=True), SearchBudget("random"))


def test_seconds():
    assert [seconds(text) for text in ("90", "90s", "10m", "1.5h")] == [90, 90, 600, 5400]
    for text in ("0", "m", "-1", "1d"):
        with pytest.raises(InvalidValueError, match="--time must be"):
            seconds(text)


def test_lines_say_what_differs():
    settings = Settings(hidden_layer_sizes=(), batch_size="full", dropout=0.25, l1_alpha=0.5)
    line, rest = train_line("a b.csv", settings, {"target": "y", "test_fraction": 0.2, "validation_fraction": 0.3})
    words = shlex.split(line)
    assert words[:3] == ["chainrule", "train", "a b.csv"]
    assert words[words.index("--hidden") + 1] == "none"
    assert words[words.index("--batch-size") + 1] == "full"
    assert words[words.index("--validation-fraction") + 1] == "0.3"
    assert "--test-fraction" not in words
    assert "--patience" not in words
    for patience, text in ((20, "20"), (None, "0")):
        assert f"--patience {text}" in train_line("a.csv", Settings(n_iter_no_change=patience), {})[0]
    assert ("--l1-alpha" in words) != ("l1_alpha" in rest)


@pytest.mark.parametrize(("width", "apart"), [(80, False), (160, True)])
def test_no_setting_is_cut_off(width, apart):
    values = {
        "learning_rate_init": 0.00905304,
        "width": 95,
        "depth": 2,
        "dropout": 0.27644,
        "batch_norm": True,
        "batch_size": 16,
        "activation": "leaky_relu",
        "alpha": 0.000836158,
    }
    trial = Trial(3, values, "complete", (RungScore(100, 0.9875, 0.0625, 87, 77, 0.5),))
    console = Console(width=width, file=io.StringIO())
    console.print(status_table(SearchStatus((trial,), frozenset(), 1, "accuracy", 2.0)))
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    words = re.findall(r"[\w.]+", text)
    assert {"3", "0.9875", "0.0625", "87", "complete"} <= set(words)
    assert {"0.009053", "95", "2", "0.2764", "true", "16", "leaky_relu", "0.0008362"} <= set(words)
    assert ("learning_rate_init" in words) == (not apart)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "y"}, "target must be left out for a data set"),
        ({"task": "regression"}, "task must be left out for a data set"),
        ({"test_fraction": 0.3}, "test_fraction must be left out for this source"),
        ({"workers": 3, "executor": lambda data: None}, "workers must be left out beside an executor"),
    ],
)
def test_arguments_of_python_without_effect_are_refused(tmp_path, options, sentence):
    data = load("iris")
    data = replace(data, test=data.rows(slice(20)))
    with pytest.raises(InvalidValueError, match=sentence):
        run_python_search(data, out=tmp_path / "out", budget=SearchBudget("random", trials=1), **options)
    assert not (tmp_path / "out").exists()


def test_a_search_trains_as_long_as_train_does_by_default():
    budget = SearchBudget("random", trials=1)
    for name, expected in (("moons", 286), ("iris", 500), ("wine", 500), ("breast_cancer", 154), ("digits", 100)):
        spec = plan_search(name, None, Settings(), budget)
        assert (spec.base.max_iter, spec.rungs) == (expected, (expected,)), name
    assert plan_search("moons", {"width": {"low": 4, "high": 8}, "max_iter": 7}, Settings(), budget).rungs == (7,)


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "shown"), [((), False), (("--epochs", "6"), True)])
def test_the_line_names_epochs_only_where_train_would_take_others(capsys, tmp_path, monkeypatch, epochs, shown):
    monkeypatch.chdir(tmp_path)
    common = ["--method", "random", "--trials", "1", "--seeds", "1", "--workers", "1", "--json"]
    assert cli.run(["search", "circles", *common, *epochs]) == 0
    words = shlex.split(json.loads(capsys.readouterr().out)["train"])
    assert ("--epochs" in words) is shown
