"""Drawn problems of the playground, the same in Python, and the way to node."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from chainrule.data import Standardizer
from chainrule.engines import Rows
from chainrule.nn import optimizers
from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.penalties import Penalty
from chainrule.nn.step import Recipe

NODE = shutil.which("node")
ENGINE = Path(chainrule.__file__).parent / "lab" / "page" / "engine"
DRIVER = Path(__file__).with_name("driver.mjs")
BUILDER = Path(__file__).parents[2] / "docs" / "tools" / "wasm.py"
ACTIVATIONS = "identity sigmoid tanh relu leaky_relu elu selu gelu silu softplus mish exp".split()  # noqa: SIM905
INITIALIZERS = "auto zeros constant normal xavier xavier_uniform lecun lecun_uniform he he_uniform glorot".split()  # noqa: SIM905
LOSSES = {"binary": BinaryCrossEntropy(), "multiclass": SoftmaxCrossEntropy(), "regression": MeanSquaredError()}


def builder() -> Any:
    """Return the module that builds the engine."""
    spec = importlib.util.spec_from_file_location("wasm_builder", BUILDER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def why_no_engine() -> str:
    """Return why the engine of the page cannot run here; empty if it can. CHAINRULE_WASM names one that was built before."""
    if NODE is None:
        return "node is not installed"
    return "" if "CHAINRULE_WASM" in os.environ else builder().why_not()


def answers(task: str, cases: Any, wasm: str = "none") -> Any:
    """Return what the page's code makes of cases, in node."""
    command = [NODE, str(DRIVER), str(ENGINE), str(wasm), task]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def numbers(text: str, dtype: str) -> np.ndarray:
    """Return an array that came as bytes."""
    return np.frombuffer(base64.b64decode(text), dtype)


def drawn_optimizer(rng: np.random.Generator) -> dict[str, Any]:
    kind = str(rng.choice([*optimizers.BY_NAME]))
    rate = float(10 ** rng.uniform(-3, -1.3 if kind in ("sgd", "ema_momentum", "adam", "adamw", "adagrad") else -2.3))
    own = {
        "sgd": {},
        "ema_momentum": {"beta": 0.8},
        "sgd_momentum": {"mu": 0.85},
        "nesterov": {"mu": 0.7},
        "rmsprop": {"rho": 0.95, "epsilon": 1e-7},
        "adagrad": {"epsilon": 1e-9},
        "adam": {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-6},
        "adamw": {"beta2": 0.99, "weight_decay": 0.1},
    }[kind]
    return {"kind": kind, "learning_rate": rate, **(own if rng.random() < 0.5 else {})}


def drawn_case(seed: int, dtype: str = "float32") -> dict[str, Any]:
    """Return a recipe and rows, as a page has them."""
    rng = np.random.default_rng(seed)
    task = str(rng.choice([*LOSSES]))
    d, n = int(rng.integers(1, 20)), int(rng.integers(20, 200))
    k = 2 if task == "binary" else int(rng.integers(3, 12))
    hidden = [
        {
            "units": int(rng.integers(1, 40)),
            "activation": str(rng.choice(ACTIVATIONS)),
            "batch_norm": bool(rng.random() < 0.3),
            "dropout": float(rng.choice([0, 0, 0.1, 0.5, 1 / 3])),
        }
        for _ in range(rng.integers(0, 4))
    ]
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-3, 4, d) + rng.normal(size=d)
    y = X[:, 0] * 3 + rng.normal(size=n) if task == "regression" else rng.integers(0, k, n).astype(float)
    held = int(rng.integers(0, n // 4))
    order = rng.permutation(n).tolist()
    recipe = {
        "task": task,
        "hidden": hidden,
        "init": str(rng.choice(INITIALIZERS)) if rng.random() < 0.5 else "auto",
        "optimizer": drawn_optimizer(rng),
        "batch_size": int(rng.integers(2, n - held + 1)) if rng.random() < 0.8 else "full",
        "alpha": float(rng.choice([0, 1e-3, 0.1])),
        "l1": float(rng.choice([0, 0, 1e-3])),
        "seed": int(rng.integers(0, 2**53)),
        "dtype": dtype,
    }
    data = {
        "columns": [f"x{i}" for i in range(d)],
        "target": "y",
        "X": X.ravel().tolist(),
        "y": y.tolist(),
        "classes": None if task == "regression" else [f"c{i}" for i in range(k)],
        "train": order[held:],
        "validation": order[:held],
    }
    return {"recipe": recipe, "data": data}


def problem_of(case: dict[str, Any]) -> tuple[Recipe, Rows, Rows | None]:
    """Return the recipe and rows of a case in Python."""
    given, data = case["recipe"], case["data"]
    d = len(data["columns"])
    loss = LOSSES[given["task"]]
    outputs = len(data["classes"]) if given["task"] == "multiclass" else 1
    rule = None if given["init"] == "auto" else given["init"]
    layers = []
    for layer in given["hidden"]:
        layers += [Dense(layer["units"], bias=not layer["batch_norm"], initializer=rule)]
        layers += [BatchNorm()] if layer["batch_norm"] else []
        layers += [Activation(layer["activation"]), *([Dropout(layer["dropout"])] if layer["dropout"] else [])]
    net = Net(d, [*layers, Dense(outputs, initializer=rule)])
    own = {name: value for name, value in given["optimizer"].items() if name not in ("kind", "learning_rate")}
    optimizer = type(optimizers.BY_NAME[given["optimizer"]["kind"]])(**own)
    train, held = np.array(data["train"]), np.array(data["validation"], int)
    size = len(train) if given["batch_size"] == "full" else given["batch_size"]
    penalty = Penalty(l1=given["l1"], l2=given["alpha"])
    recipe = Recipe(
        net, loss, optimizer, penalty, batch_size=size, seed=given["seed"], dtype=given.get("dtype", "float32")
    )
    X, y = np.array(data["X"]).reshape(-1, d), np.array(data["y"])
    inputs = Standardizer.fit(X[train], hold_constant=True)
    targets = Standardizer.fit(y[train, None]) if given["task"] == "regression" else None

    def rows(part: np.ndarray) -> Rows:
        Y = y[part].astype(int) if given["task"] == "multiclass" else y[part, None]
        return Rows.of(recipe, inputs.apply(X[part], recipe.dtype), Y if targets is None else targets.apply(Y))

    return recipe, rows(train), rows(held) if len(held) else None
