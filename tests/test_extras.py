"""Why: whoever lacks an optional package must read in one line how it is installed.

In: every extra of the project, with its packages hidden. Out: one line that names `pip install 'chainrule[extra]'`.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars
import pytest

from chainrule import NetClassifier, TableClassifier, cli, fit, mlp, open_dataset
from chainrule.bench.peers import Skipped, need
from chainrule.callbacks.mlflow import MLflowLogger
from chainrule.callbacks.tensorboard import TensorBoardLogger
from chainrule.data.table import read_file
from chainrule.errors import ChainruleError
from chainrule.search import SearchBudget, search

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "tools"))
sys.path.append(str(ROOT))

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
NOT_OURS = {"test": "its packages run the tests"}
X, y = np.zeros((8, 2)), np.array([0, 1] * 4)


def hide(monkeypatch, *packages):
    """Forbid the import of packages, as Python itself does it, those that are loaded too."""
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        monkeypatch.delitem(sys.modules, name)
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)


def workbook(folder):
    """Write a file that is read as a workbook."""
    (folder / "t.xlsx").write_bytes(b"PK\x03\x04" + bytes(30))
    return str(folder / "t.xlsx")


def parquet(folder):
    """Write a Parquet file."""
    polars.DataFrame({"x": [1.0, 2.0], "y": [0, 1]}).write_parquet(folder / "t.parquet")
    return str(folder / "t.parquet")


def hidden_jax(monkeypatch):
    import chainrule.engines.jax as engine

    engine._jax.cache_clear()
    hide(monkeypatch, "jax")


def onnx_of(estimator):
    from chainrule.exporters.lower import lower
    from chainrule.exporters.registry import ExportOptions, exporter

    exporter("onnx").write(lower(estimator.model_), ExportOptions())


def converters():
    from chainrule.sklearn_onnx import register

    register()


def from_latex(folder):
    import equations

    equations.mathml('<div class="arithmatex">\\[x\\]</div>')


PYTHON = {
    "jax": ("jax", lambda folder: list(fit(mlp(2, [2], 1), X, y, loss="binary_cross_entropy", engine="jax"))),
    "jax of an estimator": ("jax", lambda folder: NetClassifier(engine="jax").fit(X, y)),
    "excel": ("fastexcel", lambda folder: read_file(Path(workbook(folder)))),
    "parquet": ("pyarrow", lambda folder: open_dataset(parquet(folder), "y")),
    "search": ("optuna", lambda folder: search("iris", out=folder / "s", budget=SearchBudget("tpe", trials=1))),
    "tensorboard": ("tensorboard", lambda folder: NetClassifier(callbacks=[TensorBoardLogger(folder)]).fit(X, y)),
    "mlflow": ("mlflow", lambda folder: NetClassifier(callbacks=[MLflowLogger()]).fit(X, y)),
    "cluster": ("ray", lambda folder: TableClassifier(cluster="local").fit(X, y)),
    "docs": ("latex2mathml", from_latex),
    "onnx": ("onnx", lambda folder: onnx_of(NetClassifier((2,), max_iter=1, engine="reference").fit(X, y))),
    "onnx, scikit-learn": ("skl2onnx", lambda folder: converters()),
    "bench, torch": ("torch", lambda folder: need("torch")),
    "bench, keras": ("keras", lambda folder: need("keras")),
    "bench, optax": ("optax", lambda folder: need("optax")),
}
COMMANDS = {
    "jax": ("jax", ["train", "iris", "--engine", "jax"]),
    "jax, lr-find": ("jax", ["lr-find", "iris", "--engine", "jax"]),
    "excel": ("fastexcel", ["train", "t.xlsx", "--target", "y"]),
    "excel, plain": ("fastexcel", ["train", "t.xlsx", "--target", "y", "--preset", "plain"]),
    "parquet": ("pyarrow", ["train", "t.parquet", "--target", "y", "--max-memory", "8MB"]),
    "search": ("optuna", ["search", "iris", "--method", "tpe"]),
    "cluster": ("ray", ["search", "iris", "--method", "random", "--cluster", "local"]),
    "cluster, one network": ("ray", ["train", "iris", "--cluster", "local", "--workers", "2"]),
    "cluster, a pack": ("ray", ["train", "t.xlsx", "--target", "y", "--cluster", "local"]),
    "lab": ("starlette", ["lab", "iris"]),
    "lab, server": ("uvicorn", ["lab"]),
}


def extra_of(name):
    return name.split(",")[0].split(" ")[0]


@pytest.mark.parametrize(("name", "package", "call"), [(name, *each) for name, each in PYTHON.items()], ids=PYTHON)
def test_python_names_the_extra_in_one_line(tmp_path, monkeypatch, name, package, call):
    hidden_jax(monkeypatch) if package == "jax" else hide(monkeypatch, package)
    with pytest.raises((ChainruleError, Skipped)) as caught:
        call(tmp_path)
    assert f"pip install 'chainrule[{extra_of(name)}]'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "package", "words"), [(name, *each) for name, each in COMMANDS.items()], ids=COMMANDS)
def test_a_command_names_the_extra_in_one_line(tmp_path, monkeypatch, capsys, name, package, words):
    monkeypatch.chdir(tmp_path)
    workbook(tmp_path)
    parquet(tmp_path)
    hidden_jax(monkeypatch) if package == "jax" else hide(monkeypatch, package)
    assert cli.run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"pip install 'chainrule[{extra_of(name)}]'" in err
    assert not (tmp_path / "runs").exists()


def test_a_search_without_optuna_draws_at_random_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hide(monkeypatch, "optuna")
    few = ["--trials", "1", "--seeds", "1", "--epochs", "2", "--workers", "1", "--out", "found"]
    assert cli.run(["search", "iris", *few]) == 0
    out, err = capsys.readouterr()
    assert "(random)" in out
    assert "Method random: method tpe needs optuna, pip install 'chainrule[search]'" in err.splitlines()


def test_info_says_how_each_absent_package_is_installed(monkeypatch, capsys):
    hide(monkeypatch, "jax", "onnx", "onnxruntime", "fastexcel", "optuna", "ray", "tensorboard", "mlflow")
    assert cli.run(["info", "--json"]) == 0
    packages = json.loads(capsys.readouterr().out)["packages"]
    for extra in ("jax", "onnx", "excel", "search", "cluster", "tensorboard", "mlflow"):
        assert any(f"pip install 'chainrule[{extra}]'" in version for version in packages.values())
    assert cli.run(["info"]) == 0
    assert "pip install 'chainrule[search]'" in capsys.readouterr().out


def test_a_peer_that_is_absent_is_skipped_with_the_extra(tmp_path, monkeypatch, capsys):
    hide(monkeypatch, "torch")
    assert cli.run(["bench", "--quick", "--workload", "64-128-10", "--peers", "torch", "--repeats", "1"]) == 0
    assert "pip install 'chainrule[bench]'" in capsys.readouterr().out


def test_a_peer_on_tables_that_is_absent_is_skipped_with_the_extra(monkeypatch):
    from types import SimpleNamespace

    from bench.tables import fit as fits

    def lightgbm(problem):
        raise ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")

    problem = SimpleNamespace(train=SimpleNamespace(height=1, width=1))
    monkeypatch.setattr(fits, "build", lambda *rest, **more: (problem, y))
    monkeypatch.setattr(fits, "PEERS", {"lightgbm": SimpleNamespace(run=lightgbm, packages=())})
    table = next(iter(fits.TABLES))
    assert "pip install 'chainrule[tables]'" in fits.fit(table, 0, "lightgbm", 1.0, 1, {})["absent"]


def test_every_extra_is_tried():
    tried = {extra_of(name) for name in (*PYTHON, *COMMANDS)} | {"bench", "tables"}
    assert tried == set(EXTRAS) - set(NOT_OURS)
