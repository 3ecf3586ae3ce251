"""Provide the noisy hosts: tables on which much of the error is noise, with settings that sensible people choose.

In: the name of a host, the name of settings, a seed. Out: a `Training`: an estimator's settings and raw rows; the network
that it trains as a `Subject`; errors and scores on test rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import NetClassifier, NetRegressor
from chainrule.arrays import Array
from chainrule.data import split
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.nn.step import State
from chainrule.train.problem import TrainingProblem
from doctor.hosts import Subject

ROWS = 2500
"""Rows of a host; at most 1500 of them train, the others test."""

HELD_OUT = 0.2
"""Share of the training rows that are given as validation rows where a fault needs such."""

SURE = 0.02
"""The least probability that outputs trained by a loss for continuous values are taken for."""

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

Table = tuple[Array, Array, str]
"""Inputs, targets, task."""


@dataclass(frozen=True, eq=False)
class Training:
    """An estimator about to be trained, and the rows by which it will be judged.

    Rows are in the user's units. `X_val` and `y_val` are validation rows of the user, or None where the estimator holds
    out its own. `beyond` are fault and level (of `faults.py`) that change the network in a way no setting can.
    """

    host: str
    name: str
    seed: int
    task: str
    settings: Mapping[str, Any]
    X: Array = field(repr=False)
    y: Array = field(repr=False)
    X_test: Array = field(repr=False)
    y_test: Array = field(repr=False)
    X_val: Array | None = field(default=None, repr=False)
    y_val: Array | None = field(default=None, repr=False)
    beyond: tuple[str, str] | None = None

    @property
    def classes(self) -> int:
        """Number of classes; 0 for regression."""
        return 0 if self.task == "regression" else int(self.y.max()) + 1

    @property
    def rows(self) -> dict[str, Array | None]:
        """The arguments of `fit` and `examine`."""
        held_out = {} if self.X_val is None else {"X_val": self.X_val, "y_val": self.y_val}
        return {"X": self.X, "y": self.y, **held_out}

    def with_settings(self, **changes: Any) -> Training:
        """Return the same with settings replaced."""
        return replace(self, settings={**self.settings, **changes})

    def without_settings(self, *names: str) -> Training:
        """Return the same with some settings at their defaults."""
        return replace(self, settings={name: value for name, value in self.settings.items() if name not in names})

    def map_inputs(self, change: Callable[[Array], Array]) -> Training:
        """Return the same with a change of the inputs of every part."""
        X_val = None if self.X_val is None else change(self.X_val)
        return replace(self, X=change(self.X), X_test=change(self.X_test), X_val=X_val)

    def with_validation(self) -> Training:
        """Return the same with validation rows given by the user."""
        if self.X_val is not None:
            return self
        rest, held = split(self.y if self.classes else len(self.y), HELD_OUT, self.seed, stratify=bool(self.classes))
        given = replace(self, X=self.X[rest], y=self.y[rest], X_val=self.X[held], y_val=self.y[held])
        return given.without_settings("validation_fraction")


def toys(seed: int, stream: int = 77) -> Mapping[str, Callable[[], Table]]:
    """Noisy toys whose best possible error is known; another stream has other rows."""
    rng = np.random.default_rng([seed, stream])
    n = ROWS

    def classes(X: Array, p: Array) -> Table:
        return X, (rng.random(len(X)) < p).astype(int), "classification"

    def values(X: Array, mean: Array, noise: Array) -> Table:
        return X, mean + noise, "regression"

    def moons(noise: float) -> Table:
        angle, y = rng.uniform(0, np.pi, n), np.arange(n) % 2
        X = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(y, -1, 1)[:, None] + np.outer(y, [1.0, 0.5])
        return X + rng.normal(0, noise, X.shape), y, "classification"

    def rings(noise: float) -> Table:
        angle, y = rng.uniform(0, 2 * np.pi, n), np.arange(n) % 2
        X = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(y, 0.5, 1.0)[:, None]
        return X + rng.normal(0, noise, X.shape), y, "classification"

    def clouds() -> Table:
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


@lru_cache(maxsize=64)
def rows_of(host: str, seed: int) -> Table | None:
    """The rows of a host in an order that depends on the seed; None where it cannot be had."""
    rng = np.random.default_rng([seed, 78])
    drawn = _all_toys(seed)
    if host in drawn:
        X, y, task = drawn[host]()
    else:
        table = _all_tables()[host]
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


def _sets() -> Mapping[str, Any]:
    from doctor.host_sets import SETS

    return SETS


def _toys_of(of: Any, seed: int) -> dict[str, Callable[[], Table]]:
    """The toys of a set of hosts by name."""
    return {name + of.suffix: draw for name, draw in toys(seed, of.stream).items()}


def _all_toys(seed: int) -> dict[str, Callable[[], Table]]:
    """The toys of the halves and of every set."""
    return dict(toys(seed)) | {name: draw for of in _sets().values() for name, draw in _toys_of(of, seed).items()}


def _all_tables() -> dict[str, Any]:
    """The tables of the halves and of every set."""
    return _tables() | {name: table for of in _sets().values() for name, table in of.tables.items()}


def hosts(half: str) -> list[str]:
    """Names of the hosts of a half; those with even places in the list of names tune. Other sets are in neither."""
    if half in _sets():
        of = _sets()[half]
        return sorted([*_toys_of(of, 0), *of.tables])
    names = sorted([*toys(0), *_tables()])
    return {"tune": names[::2], "test": names[1::2], "all": names}[half]


def make(host: str, settings: str, seed: int) -> Training | None:
    """The sound training; None where the host cannot be had.

    Classes that no training row has are left out of the test rows, and the others are numbered anew.
    """
    found = rows_of(host, seed)
    if found is None:
        return None
    X, y, task = found
    n = min(1500, int(0.7 * len(X)))
    y_train, X_test, y_test = y[:n], X[n:], y[n:]
    if task == "classification":
        known = np.unique(y_train)
        seen = np.isin(y_test, known)
        X_test, y_test, y_train = X_test[seen], np.searchsorted(known, y_test[seen]), np.searchsorted(known, y_train)
    return Training(host, settings, seed, task, SETTINGS[settings], X[:n], y_train, X_test, y_test)


def estimator(training: Training) -> Any:
    """The estimator with these settings."""
    kind = NetClassifier if training.task == "classification" else NetRegressor
    return kind(**training.settings, random_state=training.seed)


def subject_of(training: Training, problem: TrainingProblem) -> Subject:
    """The network that an estimator would train, as the faults and the detectors of the benchmark take it."""
    assert problem.inputs is not None
    assert problem.target is not None
    test = problem.test
    if test is None:
        encoded = problem.target.encode(training.y_test)
        test = Rows.of(problem.recipe, problem.inputs.apply(training.X_test), encoded)
    labels = training.y_test if training.classes else None
    parts = (problem.recipe, problem.rows, problem.config, problem.validation, test, labels, problem.engine)
    return Subject(training.host, training.seed, *parts)


# Errors and scores


def constant_error(training: Training) -> float:
    """The mean error of the best constant prediction of the test rows."""
    return float(constant_losses(training).mean())


def constant_losses(training: Training) -> Array:
    """The error of the best constant prediction by test row."""
    y = training.y_test
    if training.task == "regression":
        return np.asarray((y - y.mean()) ** 2)
    shares = np.bincount(y) / len(y)
    return np.asarray(-np.log(shares[y]))


def judged(training: Training, net: Any, X: Array | None = None) -> tuple[Array, float]:
    """Errors of an estimator by test row, as shares of a constant's mean error; score (accuracy or R²).

    `X` are the test rows where the estimator takes other columns.
    """
    X, y = training.X_test if X is None else X, training.y_test
    predicted = net.predict(X)
    if training.task == "regression":
        residuals = np.nan_to_num(predicted - y, nan=1e6)
        return residuals**2 / constant_error(training), r2(residuals, y)
    P = np.zeros((len(X), max(training.classes, int(y.max()) + 1)))
    P[:, np.asarray(net.classes_, int)] = net.predict_proba(X)
    return log_losses(P, y) / constant_error(training), float((predicted == y).mean())


def judged_subject(subject: Subject, state: State) -> tuple[Array, float]:
    """The same of a network."""
    with np.errstate(all="ignore"):
        Z = logits(subject.recipe.net, state.w, state.buffers, subject.test.X).astype(np.float64)
        P = np.asarray(subject.recipe.loss.predict(np, Z))
    if subject.labels is None:
        y = subject.test.Y[:, 0].astype(np.float64)
        residuals = np.nan_to_num(P[:, 0] - y, nan=1e6, posinf=1e6, neginf=-1e6)
        return residuals**2 / float(((y - y.mean()) ** 2).mean()), r2(residuals, y)
    y = subject.labels
    P = np.clip(np.nan_to_num(P), 0.0 if subject.recipe.loss.targets.are_classes else SURE, 1.0)
    P = np.column_stack([1.0 - P[:, 0], P[:, 0]]) if P.shape[1] == 1 else P / np.maximum(P.sum(1, keepdims=True), 1e-9)
    constant = float(-np.log((np.bincount(y) / len(y))[y]).mean())
    return log_losses(P, y) / constant, float((np.argmax(P, axis=1) == y).mean())


def r2(residuals: Array, y: Array) -> float:
    """1 - Σ r² / Σ (y - ȳ)², no less than -1."""
    return float(max(-1.0, 1.0 - (residuals**2).sum() / ((y - y.mean()) ** 2).sum()))


def log_losses(P: Array, y: Array) -> Array:
    """Minus the logarithm of the probability of the class that is right, by row."""
    return np.asarray(-np.log(np.clip(P[np.arange(len(y)), y], 1e-6, 1.0)))
