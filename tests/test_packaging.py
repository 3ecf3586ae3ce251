"""Why: the core must work where only the core is installed.

In: interpreters in which optional or heavy packages cannot be imported. Out: the modules that need none of them.
"""

import os
import pkgutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import chainrule

ROOT = Path(__file__).parent.parent
OPTIONAL = (
    "jax",
    "jaxlib",
    "optax",
    "pandas",
    "hypothesis",
    "pytest",
    "pyarrow",
    "torch",
    "onnx",
    "onnxruntime",
    "skl2onnx",
    "ray",
    "optuna",
)

NEED_ONNX = (
    *(f"chainrule.exporters.onnx_{part}" for part in ("activations", "builder", "features", "graph", "outputs")),
    *(f"chainrule.exporters.onnx_{part}" for part in ("stages", "transforms")),
    "chainrule.sklearn_onnx",
)
"""Modules that build graphs; `onnx_format` imports them where onnx is installed, and says how to install it where not."""

BLOCKED = f"""
import sys


class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {OPTIONAL!r} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)


sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def interpreter(program, cwd):
    environment = os.environ | {"PYTHONPATH": str(Path(chainrule.__file__).parent.parent)}
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=300, check=False)


@pytest.mark.slow
def test_every_module_imports_without_the_optional_packages(tmp_path):
    names = [
        name
        for _, name, _ in pkgutil.walk_packages(chainrule.__path__, "chainrule.")
        if not name.rsplit(".", 1)[-1].startswith("_") and name not in NEED_ONNX
    ]
    assert {"chainrule.engines.jax", "chainrule.exporters.onnx_format"} <= {*names}
    done = interpreter(BLOCKED + "import pandas", tmp_path)
    assert "No module named 'pandas'" in done.stderr, "the guard works"
    program = BLOCKED + f"import importlib\nfor name in {names!r}:\n    importlib.import_module(name)\nprint('all')"
    done = interpreter(program, tmp_path)
    assert done.stdout == "all\n", done.stderr


def test_main_job_runs_without_the_optional_packages(tmp_path):
    program = BLOCKED + (
        "from chainrule.cli import run\n"
        "assert run(['train', 'iris', '--epochs', '2', '--engine', 'reference', '--json']) == 0\n"
        "assert run(['predict', 'runs/iris-1', 'iris', '--out', 'answers.csv']) == 0\n"
        "assert run(['gradcheck', '3-2-1', '--json']) == 0\n"
    )
    done = interpreter(program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "answers.csv").read_text().count("\n") == 151


def test_jax_engine_that_is_not_there_is_named(tmp_path):
    program = BLOCKED + "from chainrule.cli import run\nraise SystemExit(run(['train', 'iris', '--engine', 'jax']))"
    done = interpreter(program, tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "engine 'jax' is not available. Install it with: pip install 'chainrule[jax]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_service_needs_only_numpy_and_safetensors(tmp_path):
    import polars as pl

    from chainrule import NetClassifier, TableClassifier, save_model

    rows = {"size": [0.0, 1.0, 0.1, 0.9] * 20, "color": ["red", "blue", "red", "green"] * 20}
    X, y = [[each] for each in rows["size"]], ["no", "yes"] * 40
    save_model(NetClassifier((4,), learning_rate_init=0.05, random_state=0).fit(X, y), tmp_path / "plain.safetensors")
    preset = {"members": 2, "folds": 2, "epochs": [20, 20], "width": [8, 8]}
    table = TableClassifier(preset=preset, seconds=None, random_state=0).fit(pl.DataFrame(rows), y)
    save_model(table, tmp_path / "table.safetensors")
    hidden = (*OPTIONAL, "sklearn", "scipy", "polars", "matplotlib", "rich", "typer", "threadpoolctl")
    program = BLOCKED.replace(repr(OPTIONAL), repr(hidden)) + (
        "from chainrule import load_model\n"
        "print(load_model('plain.safetensors').predict([[0.0], [1.0]]))\n"
        "print(load_model('table.safetensors').predict({'size': 1.0, 'color': 'blue'}))\n"
    )
    done = interpreter(program, tmp_path)
    assert done.stdout == "['no' 'yes']\n['yes']\n", done.stderr


def test_types_are_shipped():
    assert (Path(chainrule.__file__).parent / "py.typed").is_file()


def test_public_names_are_there():
    for name in chainrule.__all__:
        assert getattr(chainrule, name).__name__.rsplit(".", 1)[-1] == name
    with pytest.raises(AttributeError, match=r"no attribute 'NetClasifier'. Did you mean 'NetClassifier'\?$"):
        chainrule.NetClasifier  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'xyzzy'$"):
        chainrule.xyzzy  # noqa: B018
    assert not hasattr(chainrule, "__wrapped__")


def test_tab_completion_shows_what_there_is_and_nothing_else(tmp_path):
    program = (
        "import sys, chainrule\n"
        "names = dir(chainrule)\n"
        "assert set(chainrule.__all__) | {'__version__', 'sklearn', 'search', 'io'} <= set(names)\n"
        "assert not {'Any', 'TYPE_CHECKING', 'annotations', 'import_module'} & set(names), names\n"
        "assert all(hasattr(chainrule, name) for name in names if name != 'cli')\n"
        "print('all')\n"
    )
    done = interpreter(program, tmp_path)
    assert done.stdout == "all\n", done.stderr


def test_modules_have_short_names(tmp_path):
    program = (
        "from chainrule import losses, optimizers, schedules, layers, data\n"
        "import chainrule, sys\n"
        "assert 'sklearn' not in sys.modules and 'polars' not in sys.modules\n"
        "assert chainrule.losses.SoftmaxCrossEntropy() == losses.SoftmaxCrossEntropy()\n"
        "from chainrule.train import fit\n"
        "assert chainrule.fit is fit and chainrule.train.fit is fit\n"
        "print(chainrule.optimizers.Adam().__class__.__module__, layers.Dense is chainrule.Dense)\n"
    )
    done = interpreter(program, tmp_path)
    assert done.stdout == "chainrule.nn.optimizers True\n", done.stderr


def test_metadata_agree_with_the_code():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == chainrule.__version__
    assert project["scripts"] == {"chainrule": "chainrule.cli:main"}
    for requirement in project["dependencies"]:
        assert metadata.version(requirement.split(">=")[0])
