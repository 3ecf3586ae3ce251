"""Microseconds per training step of the playground's engine in node, beside scikit-learn and TensorFlow.js.

In: node, ziglang; a folder where npm installed @tensorflow/tfjs-core, -layers and two backends, if there is one. Out: lines.
`python bench/page_engine.py [FOLDER [WASM]]`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from playground.wasm_cases import NODE, answers, builder, problem_of

from chainrule.engines.native import NativeEngine

CASES = ((64, 128, 10, 32, 50), (784, 256, 10, 128, 10))
ROUNDS = 7


def case(d: int, units: int, k: int, batch: int, steps: int) -> dict[str, Any]:
    """Return a training of one hidden layer on random rows."""
    rng = np.random.default_rng(0)
    n = batch * steps
    recipe = {
        "task": "multiclass",
        "hidden": [{"units": units, "activation": "relu", "batch_norm": False, "dropout": 0}],
        "init": "auto",
        "optimizer": {"kind": "adam", "learning_rate": 0.001},
        "batch_size": batch,
        "alpha": 0,
        "l1": 0,
        "seed": 0,
    }
    data = {
        "columns": [f"x{i}" for i in range(d)],
        "target": "y",
        "X": rng.normal(size=n * d).round(3).tolist(),
        "y": rng.integers(0, k, n).astype(float).tolist(),
        "classes": [f"c{i}" for i in range(k)],
        "train": list(range(n)),
        "validation": [],
    }
    return {"recipe": recipe, "data": data, "steps": steps}


def best(epoch: Any, steps: int) -> float:
    """Return the microseconds per step of the fastest of some epochs."""
    epoch()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        epoch()
        times.append(time.perf_counter() - began)
    return 1e6 * min(times) / steps


def scikit_learn(of: dict[str, Any]) -> float:
    """Return the time of a step of scikit-learn, an epoch at a time."""
    data, recipe = of["data"], of["recipe"]
    X = np.array(data["X"], np.float32).reshape(len(data["train"]), -1)
    y = np.array(data["y"]).astype(int)
    net = MLPClassifier((recipe["hidden"][0]["units"],), batch_size=recipe["batch_size"], alpha=0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return best(lambda: net.partial_fit(X, y, classes=np.arange(len(data["classes"]))), of["steps"])


def native(of: dict[str, Any]) -> float:
    """Return the time of a step of the native engine on one thread."""
    recipe, rows, _ = problem_of(of)
    session = NativeEngine(1).compile(recipe, rows)
    rates = np.full(of["steps"], 0.001)
    return best(lambda: session.run(0, 0, rates), of["steps"])


TENSORFLOW = """
import {{ createRequire }} from "node:module";
const require = createRequire("{folder}/x.js");
const tf = require("@tensorflow/tfjs-core");
const layers = require("@tensorflow/tfjs-layers");
const wasm = require("@tensorflow/tfjs-backend-wasm");
require("@tensorflow/tfjs-backend-cpu");
wasm.setWasmPaths("{folder}/node_modules/@tensorflow/tfjs-backend-wasm/dist/");
try {{
  await tf.setBackend("{backend}");
  await tf.ready();
  const [n, d, units, k, batch] = [{n}, {d}, {units}, {k}, {batch}];
  const model = layers.sequential({{ layers: [layers.layers.dense({{ units, activation: "relu", inputShape: [d] }}),
    layers.layers.dense({{ units: k, activation: "softmax" }})] }});
  model.compile({{ optimizer: tf.train.adam(0.001), loss: "categoricalCrossentropy" }});
  const X = tf.randomNormal([n, d]);
  const Y = tf.oneHot(tf.randomUniform([n], 0, k, "int32"), k);
  const fit = () => model.fit(X, Y, {{ batchSize: batch, epochs: 1, verbose: 0, yieldEvery: "never" }});
  await fit();
  let best = Infinity;
  for (let i = 0; i < 5; i += 1) {{
    const began = performance.now();
    await fit();
    best = Math.min(best, performance.now() - began);
  }}
  console.log((1000 * best) / (n / batch));
}} catch (error) {{
  console.log(error.message.split("\\n")[0]);
}}
"""


def tensorflow(folder: str, backend: str, of: dict[str, Any]) -> str:
    """Return the time of a step of TensorFlow.js, or why it has none."""
    data, recipe = of["data"], of["recipe"]
    script = TENSORFLOW.format(
        folder=folder,
        backend=backend,
        n=len(data["train"]),
        d=len(data["columns"]),
        units=recipe["hidden"][0]["units"],
        k=len(data["classes"]),
        batch=recipe["batch_size"],
    )
    with tempfile.NamedTemporaryFile("w", suffix=".mjs") as file:
        file.write(script)
        file.flush()
        done = subprocess.run([str(NODE), file.name], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()[-200:]


def main() -> None:
    """Print a line for each engine and network."""
    folder = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as place:
        wasm = sys.argv[2] if len(sys.argv) > 2 else builder().build(Path(place))
        for shape in CASES:
            of = case(*shape)
            print(shape, "page's engine", round(answers("time", [of], str(wasm))[0], 1), flush=True)
            print(shape, "native, one thread", round(native(of), 1), flush=True)
            print(shape, "scikit-learn", round(scikit_learn(of), 1), flush=True)
            for backend in ("wasm", "cpu") if folder else ():
                print(shape, f"TensorFlow.js {backend}", tensorflow(folder, backend, of), flush=True)


if __name__ == "__main__":
    main()
