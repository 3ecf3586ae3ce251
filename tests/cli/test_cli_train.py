"""Why: the first command that a newcomer types must train, say how good the network is, and leave a run folder.

In: `chainrule train` on built-in data and on files. Out: its table or JSON, the folder's content, the promised accuracy.
"""

import json
import re
import statistics
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from chainrule import cli
from chainrule.io import load_model

FILES = {"model.safetensors", "run.jsonl", "learning-curve.svg", "config.json", "report.html", "doctor.json"}


@pytest.fixture(autouse=True)
def _inside_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chainrule(capsys):
    """Runs the command line in this process; gives exit code, standard output, standard error."""

    def call(*arguments):
        code = cli.run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def short(source, *options):
    return ("train", source, "--epochs", 3, "--engine", "reference", *options)


def flowers(path, n=90):
    """Three kinds with text labels, their means ten standard deviations apart."""
    rng = np.random.default_rng(0)
    kinds = np.array(["ash", "beech", "=elm"])[np.arange(n) % 3]
    height = 10.0 * (np.arange(n) % 3) + rng.normal(size=n)
    table = pl.DataFrame({"height": height, "kind": kinds, "width": rng.normal(size=n)})
    table.write_csv(path) if path.suffix == ".csv" else table.write_parquet(path)


def test_train_ends_with_figures_a_confusion_table_and_the_folder(chainrule):
    code, out, err = chainrule(*short("digits"))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.split()[:1] in (["train"], ["validation"], ["test"])]
    for part in ("train", "validation", "test"):
        _, loss, *scores = next(line for line in out.splitlines() if line.strip().startswith(part + " ")).split()
        assert float(loss) > 0
        assert len(scores) == 4
        assert all(0.8 < float(score) <= 1 for score in scores)
    assert "true class (rows) by predicted class (columns)" in out
    assert re.search(r"^Trained 3 epochs in 0\.\d\d s \(reference engine\)\. Best epoch: 3\.$", out, re.MULTILINE)
    assert str(Path("runs/digits-1")) in out
    assert "epoch" in err
    assert "accuracy" not in err.replace("loss", "") or "|" in err


def test_json_is_one_object_alone_on_standard_output(chainrule):
    code, out, err = chainrule(*short("digits", "--json"))
    assert code == 0
    assert out.count("\n") == 1
    result = json.loads(out)
    for part in ("train", "validation", "test"):
        assert set(result[part]) == {"loss", "accuracy", "balanced_accuracy", "f1", "roc_auc"}
    assert result["engine"] == "reference"
    assert result["epochs"] == 3
    assert result["parameters"] == 64 * 100 + 100 + 100 * 10 + 10
    assert 0 < result["seconds"] < 60
    assert Path(result["model"]) == Path(result["run"]) / "model.safetensors"
    assert Path(result["model"]).is_file()
    assert err == ""


def test_run_folder_holds_model_log_curve_and_settings(chainrule):
    result = json.loads(chainrule(*short("digits", "--json", "--seed", 3))[1])
    folder = Path(result["run"])
    assert {path.name for path in folder.iterdir()} == FILES
    records = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert all(record["train_loss"] > 0 and 0 <= record["validation_accuracy"] <= 1 for record in records)
    assert ElementTree.parse(folder / "learning-curve.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["seed"] == 3
    assert config["settings"]["source"] == "digits"
    assert config["settings"]["scaling"] == "shared"
    assert config["result"]["test"] == result["test"]
    assert load_model(folder / "model.safetensors").net.size == result["parameters"]


def test_equal_runs_give_equal_models_in_folders_with_rising_numbers(chainrule):
    first, second = (json.loads(chainrule(*short("iris", "--json"))[1]) for _ in range(2))
    other = json.loads(chainrule(*short("iris", "--json", "--seed", 1))[1])
    assert [Path(run["run"]).name for run in (first, second, other)] == ["iris-1", "iris-2", "iris-3"]
    assert Path(first["model"]).read_bytes() == Path(second["model"]).read_bytes()
    assert Path(first["model"]).read_bytes() != Path(other["model"]).read_bytes()


def test_out_may_be_new_or_empty(chainrule, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("new/deep", "empty"):
        assert chainrule(*short("iris", "--out", place))[0] == 0
        assert {path.name for path in Path(place).iterdir()} == FILES
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["trees.csv", "trees.parquet"])
def test_text_labels_from_tables(chainrule, tmp_path, name):
    flowers(tmp_path / name)
    options = ("--target", "kind", "--epochs", 60, "--lr", 0.02, "--engine", "reference", "--json")
    code, out, _ = chainrule("train", name, *options)
    assert code == 0
    result = json.loads(out)
    assert result["test"]["accuracy"] == 1.0
    model = load_model(result["model"])
    assert model.classes.tolist() == ["=elm", "ash", "beech"]
    assert model.feature_names == ("height", "width")
    assert model.target_name == "kind"


def test_regression_reports_error_in_the_targets_unit(chainrule):
    code, out, _ = chainrule("train", "diabetes", "--epochs", 20, "--engine", "reference", "--json")
    assert code == 0
    result = json.loads(out)
    assert set(result["test"]) == {"loss", "rmse", "mae", "r2"}
    assert 40 < result["test"]["rmse"] < 70
    assert 0.3 < result["train"]["r2"] < 0.9


def test_regression_table_has_no_confusion(chainrule):
    out = chainrule(*short("diabetes"))[1]
    assert "rmse" in out
    assert "predicted" not in out


def test_many_classes_have_no_confusion_table(chainrule, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "many.npz", X=rng.normal(size=(300, 2)), y=np.arange(300) % 15)
    code, out, _ = chainrule(*short("many.npz"))
    assert code == 0
    assert "predicted" not in out


def test_lr_find_takes_the_suggestion(chainrule):
    code, out, err = chainrule(*short("iris", "--lr", "find", "--out", "found"))
    assert code == 0
    rate = json.loads(Path("found/config.json").read_text())["settings"]["learning_rate_init"]
    assert 1e-5 < rate < 10
    assert rate != 0.001
    assert f"learning rate {rate:.2g} (range test)" in err
    assert "range test" not in out


def test_every_option_reaches_the_settings(chainrule):
    options = {
        "--hidden": "12,7",
        "--activation": "tanh",
        "--initializer": "orthogonal",
        "--dropout": 0.1,
        "--optimizer": "nesterov",
        "--lr": 0.02,
        "--schedule": "cosine",
        "--batch-size": "full",
        "--alpha": 0.01,
        "--max-grad-norm": 2.5,
        "--label-smoothing": 0.05,
        "--patience": 7,
        "--scaling": "none",
        "--dtype": "float64",
        "--class-weight": "balanced",
    }
    flat = [item for pair in options.items() for item in pair]
    assert chainrule(*short("wine", *flat, "--layer-norm", "--out", "run"))[0] == 0
    settings = json.loads(Path("run/config.json").read_text())["settings"]
    expected = {
        "hidden_layer_sizes": [12, 7],
        "activation": "tanh",
        "initializer": "orthogonal",
        "dropout": 0.1,
        "optimizer": "nesterov",
        "learning_rate_init": 0.02,
        "schedule": "cosine",
        "batch_size": "full",
        "alpha": 0.01,
        "max_grad_norm": 2.5,
        "label_smoothing": 0.05,
        "n_iter_no_change": 7,
        "scaling": "none",
        "dtype": "float64",
        "layer_norm": True,
        "batch_norm": False,
        "max_iter": 3,
    }
    assert {name: settings[name] for name in expected} == expected
    model = load_model("run/model.safetensors")
    assert model.w.dtype == np.float64
    assert [type(layer).__name__ for layer in model.net.layers[:4]] == ["Dense", "LayerNorm", "Activation", "Dropout"]
    assert model.net.widths[1] == 12


def test_patience_ends_a_run_and_the_best_epoch_is_kept(chainrule):
    arguments = ("train", "iris", "--epochs", 400, "--patience", 5, "--lr", 0.05, "--engine", "reference", "--json")
    result = json.loads(chainrule(*arguments)[1])
    assert result["epochs"] < 400
    assert result["stopped"] == "stopped early: validation loss did not improve for 5 epochs"
    records = [json.loads(line) for line in Path(result["run"], "run.jsonl").read_text().splitlines()]
    losses = [record["validation_loss"] for record in records]
    assert result["best_epoch"] == 1 + losses.index(min(losses))
    assert result["validation"]["loss"] == pytest.approx(min(losses), rel=1e-5)  # float32 sums in another order


def test_without_held_out_rows_the_last_epoch_counts(chainrule):
    shares = ("--validation-fraction", 0, "--test-fraction", 0, "--json")
    result = json.loads(chainrule(*short("iris", *shares))[1])
    assert result["best_epoch"] is None
    assert "test" not in result
    assert "validation" not in result


def test_diverged_run_is_a_failed_check_that_leaves_its_log(chainrule):
    arguments = ("train", "diabetes", "--optimizer", "sgd", "--lr", 1e30, "--epochs", 3, "--engine", "reference")
    with np.errstate(all="ignore"):
        code, out, _ = chainrule(*arguments, "--json")
    assert code == 1
    result = json.loads(out)
    assert result["stopped"].startswith("diverged")
    assert {path.name for path in Path(result["run"]).iterdir()} == FILES
    assert json.loads(Path(result["run"], "run.jsonl").read_text().splitlines()[0])["train_loss"] is None


@pytest.mark.slow
def test_digits_ten_classes_by_the_defaults_reach_the_promised_accuracy(chainrule):
    runs = [json.loads(chainrule("train", "digits", "--seed", seed, "--json")[1]) for seed in range(5)]
    assert statistics.median(run["test"]["accuracy"] for run in runs) >= 0.97
    assert min(run["test"]["accuracy"] for run in runs) >= 0.95
