"""Why: on most tables much of the error is noise, and a doctor is of use only if it is silent about sound networks there.

In: noisy toys and real tables, settings that sensible people choose. Out: one line of JSON for each network and way of
asking, and the share of sound networks that are called ill.

    python bench/doctor/noise.py [--half tune|test] [--modes examine watch] [--seeds 1] [--out FILE]

Hosts with even places in the list of names tune, the others test. The tables need the extra `tables`, two of them the
folder CHAINRULE_DATA; hosts that cannot be had are left out. A network is sound if its error on test rows is within `SOUND`
(a share of a constant's error), or two standard errors, of the best of all settings on that host and seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
_HERE = Path(__file__).resolve()
sys.path[:1] = [str(_HERE.parents[1]), str(_HERE.parents[2])]

import numpy as np  # noqa: E402  (the threads are set first)

from chainrule import NetClassifier, NetRegressor  # noqa: E402
from chainrule.arrays import Array  # noqa: E402
from chainrule.doctor import DoctorMonitor  # noqa: E402
from doctor.kill import wilson  # noqa: E402

SOUND = 0.05
ROWS = 2500
"""Rows of a host; at most 1500 of them train, the others test."""

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "adam": {"hidden_layer_sizes": (32,), "learning_rate_init": 3e-3, "early_stopping": True, "max_iter": 60},
    "dropout": {"hidden_layer_sizes": (64, 64), "dropout": 0.1, "early_stopping": True, "max_iter": 60},
    "tanh": {
        "hidden_layer_sizes": (32, 32),
        "activation": "tanh",
        "learning_rate_init": 2e-3,
        "early_stopping": True,
        "max_iter": 60,
    },
    "batch norm": {
        "hidden_layer_sizes": (48,),
        "batch_norm": True,
        "learning_rate_init": 3e-3,
        "early_stopping": True,
        "max_iter": 60,
    },
    "sgd": {
        "hidden_layer_sizes": (32,),
        "optimizer": "sgd",
        "learning_rate_init": 0.02,
        "early_stopping": True,
        "max_iter": 80,
    },
    "short": {"hidden_layer_sizes": (32,), "max_iter": 20, "alpha": 1e-3},
    "gelu": {
        "hidden_layer_sizes": (48, 24),
        "activation": "gelu",
        "early_stopping": True,
        "schedule": "cosine",
        "max_iter": 40,
    },
    "defaults": {},
}
"""Settings of the estimators; what is not named has its default."""

Rows = tuple[Array, Array, str]


def toys(seed: int) -> Mapping[str, Callable[[], Rows]]:
    """Noisy toys whose best possible error is known."""
    rng = np.random.default_rng([seed, 77])
    n = ROWS

    def classes(X: Array, p: Array) -> Rows:
        return X, (rng.random(len(X)) < p).astype(int), "classification"

    def values(X: Array, mean: Array, noise: Array) -> Rows:
        return X, mean + noise, "regression"

    def moons(noise: float) -> Rows:
        angle, y = rng.uniform(0, np.pi, n), np.arange(n) % 2
        X = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(y, -1, 1)[:, None] + np.outer(y, [1.0, 0.5])
        return X + rng.normal(0, noise, X.shape), y, "classification"

    def rings(noise: float) -> Rows:
        angle, y = rng.uniform(0, 2 * np.pi, n), np.arange(n) % 2
        X = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(y, 0.5, 1.0)[:, None]
        return X + rng.normal(0, noise, X.shape), y, "classification"

    def clouds() -> Rows:
        y = np.arange(n) % 3
        centers = np.array([[0.0, 1.0], [1.0, -0.6], [-1.0, -0.6]])
        return 1.2 * centers[y] + rng.normal(size=(n, 2)), y, "classification"

    U, N = (lambda d: rng.uniform(-1, 1, (n, d))), (lambda d: rng.normal(size=(n, d)))
    sigmoid = lambda z: 1.0 / (1.0 + np.exp(-z))  # noqa: E731
    return {
        "moons": lambda: moons(0.45),
        "rings": lambda: rings(0.25),
        "clouds": clouds,
        "xor": lambda: (lambda X: classes(X, np.where(X[:, 0] * X[:, 1] > 0, 0.85, 0.15)))(U(2)),
        "logistic": lambda: (lambda X: classes(X, sigmoid(X[:, 0] + 0.8 * X[:, 1])))(N(6)),
        "rare": lambda: (lambda X: classes(X, sigmoid(0.5 * X[:, 0] + 0.3 * X[:, 1] * X[:, 2] - 2)))(N(10)),
        "sine": lambda: (lambda X: values(X, np.sin(6 * X[:, 0]), rng.normal(0, 0.7, n)))(U(1)),
        "line": lambda: (lambda X: values(X, X @ np.linspace(-1, 1, 8), rng.normal(0, 3, n)))(N(8)),
        "friedman": lambda: (
            lambda X: values(X, 5 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 5 * X[:, 2] ** 2, rng.normal(0, 2, n))
        )(U(8)),
        "weak": lambda: (lambda X: values(X, 0.3 * X[:, 0] + 0.2 * np.abs(X[:, 1]), rng.normal(0, 1, n)))(N(12)),
        "heavy tails": lambda: (lambda X: values(X, X[:, 0] * X[:, 1], rng.standard_t(2.5, n)))(N(5)),
        "counts": lambda: (lambda X: (X, rng.poisson(np.exp(0.3 * X[:, 0] - 0.2 * X[:, 1])) * 1.0, "regression"))(N(4)),
    }


@lru_cache(maxsize=4)
def rows_of(host: str, seed: int) -> Rows | None:
    """The rows of a host in an order that depends on the seed; None where it cannot be had."""
    rng = np.random.default_rng([seed, 78])
    drawn = toys(seed)
    if host in drawn:
        X, y, task = drawn[host]()
    else:
        table = _tables()[host]
        from bench.tables.tables import available, write_csv
        from chainrule.data import load

        if not available(table):
            return None
        folder = Path(os.environ.get("TMPDIR", "/tmp")) / "chainrule-noise"
        path = folder / f"{host}.csv"
        data = load(path if path.exists() else write_csv(table, folder), table.target, task=table.task)
        X, y, task = np.asarray(data.X, np.float64), np.asarray(data.y), table.task
        y = np.unique(y, return_inverse=True)[1] if task == "classification" else y
    take = rng.permutation(len(X))[:ROWS]
    return X[take], y[take], task


def _tables() -> dict[str, Any]:
    from bench.tables.tables import TABLES

    return dict(TABLES)


def hosts(half: str) -> list[str]:
    """Names of the hosts of a half."""
    names = sorted([*toys(0), *_tables()])
    return {"tune": names[::2], "test": names[1::2], "all": names}[half]


def asked(task: tuple[str, str, int, str]) -> dict[str, Any]:
    """What the doctor says of one network, asked in one way, and the network's error on test rows."""
    host, settings, seed, mode = task
    found = rows_of(host, seed)
    line: dict[str, Any] = {"host": host, "settings": settings, "seed": seed, "mode": mode}
    if found is None:
        return line | {"absent": True}
    X, y, kind = found
    n = min(1500, int(0.7 * len(X)))
    reports: list[Any] = []
    make = NetClassifier if kind == "classification" else NetRegressor
    net = make(**SETTINGS[settings], random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        began = time.perf_counter()
        net.set_params(callbacks=[DoctorMonitor(on_report=reports.append)]).fit(X[:n], y[:n])
        trained = time.perf_counter() - began
        if mode == "examine":
            reports = [net.set_params(callbacks=[]).examine(X[:n], y[:n])]
    report = reports[0]
    loss, constant = errors(net, X[n:], y[n:], y[:n], kind)
    return line | {
        "verdict": report.verdict,
        "findings": [[f.symptom, f.severity, f.confirmed, f.measured[:160]] for f in report.findings],
        "error": float(loss.mean() / constant),
        "noise": float(loss.std() / np.sqrt(len(loss)) / constant),
        "seconds": round(report.seconds, 3),
        "trainings": round(report.seconds / max(trained, 1e-3), 1),
    }


def errors(net: Any, X: Array, y: Array, y_train: Array, task: str) -> tuple[Array, float]:
    """Errors by row (log loss, squared error), and a constant's mean."""
    if task == "regression":
        return (net.predict(X) - y) ** 2, float(((y - y_train.mean()) ** 2).mean())
    P = np.clip(net.predict_proba(X), 1e-6, 1.0)
    shares = np.bincount(y_train, minlength=P.shape[1]) / len(y_train)
    place = {label: k for k, label in enumerate(net.classes_)}
    codes = np.array([place.get(label, 0) for label in y])
    return -np.log(P[np.arange(len(y)), codes]), float(-np.log(np.maximum(shares[y], 1e-3)).mean())


def sound(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The networks about as good as the best of their host and seed."""
    groups = defaultdict(list)
    for line in lines:
        if "error" in line:
            groups[line["host"], line["seed"]].append(line)
    for group in groups.values():
        best = min(line["error"] for line in group)
        yield from (line for line in group if line["error"] <= best + max(SOUND, 2 * line["noise"]))


def summarize(lines: list[dict[str, Any]]) -> str:
    """The share of false alarms by mode, with the symptoms that cause them."""
    kept = list(sound(lines))
    text = []
    for mode in sorted({line["mode"] for line in kept}):
        mine = [line for line in kept if line["mode"] == mode]
        alarms = [line for line in mine if line["verdict"] == "ill"]
        low, high = wilson(len(alarms), len(mine))
        share = f"{100 * len(alarms) / len(mine):.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        work = sorted(line["trainings"] for line in mine)
        cost = f"cost in trainings: median {work[len(work) // 2]}, 90 % quantile {work[int(0.9 * len(work))]}"
        tables = len({line["host"] for line in mine})
        text.append(
            f"{mode}: {len(alarms)} of {len(mine)} sound networks on {tables} hosts called ill, {share}; {cost}"
        )
        text += [f"  {line['host']} / {line['settings']}: {_said(line)}" for line in alarms]
    return "\n".join(text)


def _said(line: dict[str, Any]) -> str:
    return ", ".join(finding[0] for finding in line["findings"] if finding[1] != "info")


def main() -> int:
    """Ask about every network that is not asked about yet, then say the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--half", choices=("tune", "test", "all"), default="tune")
    parser.add_argument("--modes", nargs="+", choices=("examine", "watch"), default=["examine", "watch"])
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after; 0 is never")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results/raw/noise.jsonl")
    options = parser.parse_args()
    done = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    known = {(line["host"], line["settings"], line["seed"], line["mode"]) for line in done}
    wanted = [
        (host, settings, seed, mode)
        for seed in range(options.seeds)
        for mode in options.modes
        for host in hosts(options.half)
        for settings in options.settings
    ]
    todo = [task for task in wanted if task not in known]
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with multiprocessing.Pool(options.processes) as pool, options.out.open("a") as file:
        for line in pool.imap_unordered(asked, todo, chunksize=len(options.settings)):
            done.append(line)
            file.write(json.dumps(line) + "\n")
            file.flush()
            if time.monotonic() > until:
                pool.terminate()
                break
    chosen = set(wanted)
    print(summarize([line for line in done if (line["host"], line["settings"], line["seed"], line["mode"]) in chosen]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
