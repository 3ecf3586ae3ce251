"""Why: a few commands on the pages take hours, change the machine, or need what a test does not have.

In: nothing. Out: each such command, why it is not run as it stands, and what runs in its place. Every other command runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "docs" / "tools"))

import snippets

Instead = snippets.Instead

INSTALLS = "it installs packages; that its extras exist is checked, and .ci/run installs from scratch"
HOURS = "it measures for minutes or hours; that the script and its options exist is checked"

CLUSTER = "it needs several machines; tests/cli/test_cli_distributed.py runs several processes on one"

QUICK_SEARCH = "chainrule search iris --trials 2 --seeds 1 --epochs 2 --method random --out found"

REPLACED = {
    "pip install 'chainrule[lab]'": Instead(INSTALLS),
    "chainrule lab iris --hidden 16": Instead(
        "it serves until it is ended; tests/lab/test_lab_command.py starts and ends it"
    ),
    "pip install .": Instead(INSTALLS),
    "pip install '.[jax]'": Instead(INSTALLS),
    "pip install '.[bench]'": Instead(INSTALLS),
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]'": Instead(INSTALLS),
    ".venv/bin/pip install pre-commit && .venv/bin/pre-commit install": Instead(INSTALLS),
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/chainrule train digits": Instead(
        ".ci/run runs it in a fresh environment", ("chainrule train digits --epochs 2",)
    ),
    "python3 -m venv .venv-test && .venv-test/bin/pip install -q '.[test]' && .venv-test/bin/python -m pytest": Instead(
        ".ci/run runs it in a fresh environment"
    ),
    ".venv/bin/python -m pytest": Instead("it runs all tests"),
    ".venv/bin/python -m pytest -m slow": Instead("it runs all slow tests"),
    ".venv/bin/python -m pytest -n 0 tests/nn/test_nn_layers.py -k dense": Instead("it runs other tests"),
    ".venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy": Instead(".ci/run runs it"),
    ".ci/run": Instead("it runs all tests"),
    "MODEL=run/model.safetensors uvicorn service:app --port 8000 --timeout-graceful-shutdown 10": Instead(
        "it runs until it is ended; tests/documentation/test_serve.py starts and ends it"
    ),
    "pip wheel --wheel-dir wheels . starlette uvicorn &&  "
    "podman build --file docs/examples/Containerfile --tag predict . &&  podman run --publish 8000:8000 predict": Instead(
        "it builds and starts an image; tests/documentation/test_serve.py checks the file"
    ),
    "tail -f orders.jsonl | chainrule predict run --stdin --probabilities": Instead(
        "it reads from another program; tests/cli/test_cli_predict_lines.py runs it"
    ),
    "export CHAINRULE_DATA=...": Instead("it changes the environment"),
    "export RAY_AUTH_MODE=token": Instead("it changes the environment"),
    "chainrule search digits": Instead("it trains for a minute", (QUICK_SEARCH,)),
    "chainrule search train.parquet --target y --trials 500 --workers 64 --cluster head:6379 --out /shared/search": Instead(
        "it needs a cluster; tests/search/test_search_ray.py runs one", (QUICK_SEARCH,)
    ),
    "chainrule doctor digits --lr 1e-6 --epochs 20": Instead(
        "it finds a problem, which is exit code 1", ("chainrule doctor digits --lr 1e-6 --epochs 4",), 1
    ),
    "chainrule doctor runs/digits-1 --json | jq -r '.verdict, .findings[0].symptom'": Instead(
        "jq is another program", ("chainrule train digits --epochs 4 --out runs/digits-1",)
    ),
    "chainrule bench": Instead(HOURS, ("chainrule profile 4-3-2 --seconds 0.01",)),
    "chainrule bench --workload 64-128-10 --peers torch,jax-scan": Instead("the peers are other packages"),
    "chainrule bench --quick": Instead(HOURS),
    "chainrule profile 784-256-128-10 --batch-size 128 --batch-norm --dropout 0.2": Instead(
        "it measures for seconds",
        ("chainrule profile 784-256-128-10 --batch-size 128 --batch-norm --dropout 0.2 --seconds 0.01",),
    ),
    "srun -N 4 chainrule train big.parquet --target y --preset plain --distributed --checkpoint /shared/kept": Instead(
        CLUSTER
    ),
    "chainrule train big.parquet --target y --preset plain --coordinator 10.0.0.1:5000 --processes 2 --rank 1": Instead(
        CLUSTER
    ),
    "chainrule train big.parquet --target y --preset plain --cluster head:6379 --workers 4 "
    "--checkpoint /shared/kept": Instead("it needs a cluster; tests/cli/test_cli_cluster.py runs one"),
    "chainrule train big.parquet --target y --cluster head:6379 --networks 64": Instead(
        "it needs a cluster; tests/cli/test_cli_cluster.py runs one"
    ),
    "chainrule train digits --epochs 5 --processes 2 --checkpoint kept": Instead(
        "it starts processes that load JAX; tests/cli/test_cli_distributed.py runs them",
        ("chainrule train digits --epochs 2 --checkpoint kept",),
    ),
    "chainrule study papers --seeds 1": Instead(HOURS, ("chainrule study list",)),
    "chainrule study ioffe2015": Instead(HOURS),
    "chainrule study papers --quick": Instead(HOURS),
    "python bench/time_to_accuracy.py": Instead(HOURS),
    "python bench/gpu.py": Instead(HOURS),
    "python bench/mnist.py": Instead(HOURS),
    "python bench/lab_frames.py": Instead("it needs MNIST and Chromium, and measures for two minutes"),
    "python bench/page_engine.py": Instead("it needs node and ziglang, and measures for a minute"),
    "python docs/tools/wasm.py build/wasm": Instead("it needs ziglang; tests/playground/test_wasm_engine.py builds"),
    "python -m pytest -m 'slow or not slow' tests/playground -k wasm": Instead("it runs other tests"),
    "python bench/doctor/run.py --quick": Instead(HOURS),
    "python bench/doctor/run.py --half test --seeds 20 --repair-seeds 2 --page docs/measured/doctor-benchmark.md": Instead(
        HOURS
    ),
    "python -m bench.tables run --peers chainrule,hist_boosting,lightgbm,catboost,sklearn_mlp --seeds 0,1,2 "
    "--out results": Instead(HOURS),
    "python -m bench.tables report results": Instead("it needs the results of hours"),
    "python -m pytest -n 0 tests/lecture/test_lecture_depth.py tests/lecture/test_lecture_descent.py "
    "tests/lecture/test_lecture_network.py tests/lecture/test_lecture_runs.py": Instead("it runs other tests"),
}
