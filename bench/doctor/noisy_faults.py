"""Provide the faults of noisy hosts: what people do to a training that was sound on a table with noise.

In: a sound `Training`, a level, a generator. Out: faults F51 and on, by kind. The symptoms that count as naming a fault are
fixed here, before anything is run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from chainrule.arrays import Array
from doctor.fault import EVIDENCE, Fault, Impossible, fault
from doctor.faults import FAULTS
from doctor.faults_network import initial
from doctor.noisy_hosts import Training
from doctor.pieces import Negative, Uniform

Broken = Training | Impossible
_HIDDEN = ("hidden_layer_sizes", "activation", "batch_norm", "layer_norm", "dropout")


def _rate(training: Training) -> float:
    return float(training.settings.get("learning_rate_init", 1e-3))


# Settings of the training


def rate_times(training: Training, factor: float, rng: np.random.Generator) -> Broken:
    """The learning rate times a factor."""
    return training.with_settings(learning_rate_init=factor * _rate(training))


def few_large_steps(training: Training, epochs: int, rng: np.random.Generator) -> Broken:
    """All rows in each batch, and few epochs."""
    return training.with_settings(batch_size="full", max_iter=epochs)


def few_epochs(training: Training, epochs: int, rng: np.random.Generator) -> Broken:
    """Hardly any epochs."""
    return training.with_settings(max_iter=epochs)


def premature_stop(training: Training, rate: float, rng: np.random.Generator) -> Broken:
    """The first rise of a training loss that dropout makes noisy ends the run."""
    return training.with_settings(dropout=rate, early_stopping=False, n_iter_no_change=1)


def setting(training: Training, changes: Mapping[str, Any], rng: np.random.Generator) -> Broken:
    """Other settings, whatever the host."""
    return training.with_settings(**changes)


# The network


def no_hidden_layer(training: Training, level: None, rng: np.random.Generator) -> Broken:
    """A linear model."""
    return training.without_settings(*_HIDDEN).with_settings(hidden_layer_sizes=())


def deep(training: Training, level: Mapping[str, Any], rng: np.random.Generator) -> Broken:
    """Many layers of one width, with an activation; `initializer` is a rule that no setting names."""
    changes = dict(level)
    rule = changes.pop("initializer", None)
    changed = training.without_settings(*_HIDDEN).with_settings(**changes)
    return changed if rule is None else replace(changed, beyond=partial(initial, rule=rule, rng=rng))


def network(training: Training, level: tuple[str, str], rng: np.random.Generator) -> Broken:
    """A fault of the five other hosts, done to the network that the estimator makes."""
    name, strength = level
    return replace(training, beyond=partial(FAULTS[name].inject, level=strength))


def of_task(task: str, change: Callable[..., Broken]) -> Callable[..., Broken]:
    """The same change, for one task only."""

    def changed(training: Training, level: Any, rng: np.random.Generator) -> Broken:
        return change(training, level, rng) if training.task == task else Impossible(f"a {training.task}")

    return changed


def either(training: Training, level: tuple[str, tuple[str, str]], rng: np.random.Generator) -> Broken:
    """A fault of the network for the task that has it."""
    task, which = level
    return of_task(task, network)(training, which, rng)


# Rows


def raw_inputs(training: Training, level: tuple[str, str], rng: np.random.Generator) -> Broken:
    """Inputs that nobody scaled: a hundred times larger, or each column in a unit of its own."""
    kind, activation = level
    d = training.X.shape[1]
    unit = np.full(d, 100.0) if kind == "x100" else 10.0 ** rng.uniform(-2, 3, d)
    middle, spread = training.X.mean(axis=0), np.maximum(training.X.std(axis=0), 1e-6)
    changed = training.map_inputs(lambda X: unit * (X - middle) / spread)
    return changed.with_settings(scaling="none", activation=activation)


def strongest(training: Training) -> int:
    """The column most correlated with the targets."""
    X, y = training.X - training.X.mean(axis=0), training.y - training.y.mean()
    return int(np.argmax(np.abs(X.T @ y) / np.maximum(np.sqrt((X**2).sum(axis=0)), 1e-9)))


def strange_cells(training: Training, level: tuple[float, float], rng: np.random.Generator) -> Broken:
    """A code for gaps in a share of a column's cells, or one cell far from all others (share 0)."""
    share, value = level
    X, j = training.X.copy(), strongest(training)
    if len(np.unique(X[:, j])) <= 10:
        return Impossible("the column has few values")
    hit = rng.random(len(X)) < share if share else np.arange(len(X)) == rng.integers(len(X))
    X[hit, j] = value if share else X[:, j].mean() + value * X[:, j].std()
    return replace(training, X=X)


def wild_targets(training: Training, level: tuple[int, float], rng: np.random.Generator) -> Broken:
    """Some targets that many standard deviations away."""
    if training.classes:
        return Impossible("targets are classes")
    count, deviations = level
    y = training.y.astype(np.float64)
    y[rng.choice(len(y), count, replace=False)] += deviations * y.std()
    return replace(training, y=y)


def _with_column(training: Training, train: Array, test: Array) -> Training:
    X, X_test = (np.column_stack(pair) for pair in ((training.X, train), (training.X_test, test)))
    return replace(training, X=X, X_test=X_test)


def row_counter(training: Training, level: None, rng: np.random.Generator) -> Broken:
    """Rows sorted by their target, and a column that counts them."""
    order = np.argsort(training.y, kind="stable")
    n = len(order)
    ordered = replace(training, X=training.X[order], y=training.y[order])
    return _with_column(ordered, np.arange(n) * 1.0, n + np.arange(len(training.X_test)) * 1.0)


def target_copy(training: Training, noise: float, rng: np.random.Generator) -> Broken:
    """A column that is the target in another unit, but for noise of a share of its deviation."""
    parts = [y + noise * training.y.std() * rng.normal(size=len(y)) for y in (training.y, training.y_test)]
    return _with_column(training, 2.5 * parts[0] + 7.0, 2.5 * parts[1] + 7.0)


def shuffled_labels(training: Training, percent: float, rng: np.random.Generator) -> Broken:
    """A share of the targets, shuffled among themselves."""
    y = training.y.copy()
    hit = np.flatnonzero(rng.random(len(y)) < percent / 100)
    y[hit] = y[rng.permutation(hit)]
    return replace(training, y=y)


# Validation rows


def validation_differs(training: Training, kind: str, rng: np.random.Generator) -> Broken:
    """Validation rows three deviations away, standardized where the others are not, or with columns in another order."""
    given = training.with_validation()
    assert given.X_val is not None
    m, s = given.X.mean(axis=0), np.maximum(given.X.std(axis=0), 1e-6)
    if kind == "shifted":
        return replace(given, X_val=given.X_val + 3.0 * s)
    if kind == "standardized":
        alike = (np.abs(m) < 0.5) & (s > 0.5) & (s < 2.0)
        return (
            Impossible("the rows are standardized")
            if alike.mean() > 0.5
            else replace(given, X_val=(given.X_val - m) / s)
        )
    if len(m) < 2:
        return Impossible("the host has one column")
    return replace(given, X_val=np.roll(given.X_val, 1, axis=1))


def one_class(training: Training, level: None, rng: np.random.Generator) -> Broken:
    """A sorted file, split without shuffling: the validation rows are of the last class."""
    if not training.classes:
        return Impossible("targets are no classes")
    last = np.flatnonzero(training.y == training.y.max())
    held = last[: len(last) // 2]
    if len(held) < 10:
        return Impossible("the last class is rare")
    rest = np.setdiff1d(np.arange(len(training.y)), held)
    parts = {"X": training.X[rest], "y": training.y[rest], "X_val": training.X[held], "y_val": training.y[held]}
    return replace(training, **parts).without_settings("validation_fraction")


def repeated_rows(training: Training, level: tuple[str, float], rng: np.random.Generator) -> Broken:
    """Training rows among the validation rows: put there, or because rows of the table are doubled before the split."""
    kind, share = level
    if kind == "table":
        if not training.settings.get("early_stopping"):
            return Impossible("nothing is held out")
        again = rng.choice(len(training.y), round(share * len(training.y)), replace=False)
        return replace(
            training, X=np.vstack([training.X, training.X[again]]), y=np.concatenate([training.y, training.y[again]])
        )
    given = training.with_validation()
    assert given.X_val is not None
    assert given.y_val is not None
    X_val, y_val = given.X_val.copy(), given.y_val.copy()
    hit = np.flatnonzero(rng.random(len(y_val)) < share)
    take = rng.choice(len(given.y), len(hit), replace=False)
    X_val[hit], y_val[hit] = given.X[take], given.y[take]
    return replace(given, X_val=X_val, y_val=y_val)


KINDS: Mapping[str, Sequence[Fault]] = {
    "training": (
        fault(
            51,
            "learning rate too high",
            [("x100", 100.0), ("x1000", 1000.0)],
            rate_times,
            "learning-rate-too-high",
            "exploding-gradient nan-loss oscillating-loss update-ratio",
        ),
        fault(
            52,
            "learning rate too low",
            [("/300", 1 / 300)],
            rate_times,
            "learning-rate-too-low",
            "undertrained update-ratio",
        ),
        fault(
            53,
            "all rows in a batch, few epochs",
            [("15", 15)],
            few_large_steps,
            "batch-too-large",
            "undertrained learning-rate-too-low",
        ),
        fault(
            54,
            "hardly any epochs",
            [("1", 1)],
            few_epochs,
            "undertrained",
            "learning-rate-too-low batch-too-large",
        ),
        fault(
            55,
            "stopped by a noisy training loss",
            [("dropout 0.5", 0.5)],
            premature_stop,
            "stopped-too-early",
            "undertrained schedule-too-early learning-rate-too-low",
        ),
        fault(
            56,
            "penalty too strong",
            [("0.1", {"alpha": 0.1}), ("1", {"alpha": 1.0})],
            setting,
            "over-regularized",
            "underfitting",
        ),
        fault(
            57,
            "gradient cut to nothing",
            [("0.001", {"max_grad_norm": 1e-3, "optimizer": "sgd", "learning_rate_init": 0.02})],
            setting,
            "clipping-too-tight",
            "learning-rate-too-low undertrained",
        ),
    ),
    "network": (
        fault(61, "dropout too high", [("0.9", {"dropout": 0.9})], setting, "dropout-too-high", "underfitting"),
        fault(
            62,
            "no hidden layer",
            [("none", None)],
            no_hidden_layer,
            "no-hidden-layer",
            "underfitting linear-collapse",
        ),
        fault(
            63,
            "relu units dead from the start",
            [("negative", {"hidden_layer_sizes": (32, 32), "initializer": Negative(0.3)})],
            deep,
            "dead-units",
            "init-scale frozen-layer vanishing-gradient symmetric-weights",
        ),
        fault(
            64,
            "deep narrow relu",
            [("20 x 4", {"hidden_layer_sizes": (4,) * 20})],
            deep,
            "dead-units",
            "vanishing-gradient",
        ),
        fault(
            65,
            "deep network that explodes",
            [
                (
                    "12 x 32",
                    {"hidden_layer_sizes": (32,) * 12, "initializer": Uniform(1.0), "optimizer": "sgd"},
                )
            ],
            deep,
            "exploding-gradient",
            "init-scale nan-loss activation-drift wrong-initial-loss dead-units",
        ),
        fault(
            66,
            "deep sigmoid",
            [("8 x 32", {"hidden_layer_sizes": (32,) * 8, "activation": "sigmoid"})],
            deep,
            "vanishing-gradient",
            "saturated-units",
        ),
        fault(
            67,
            "output that cannot reach the targets",
            [("sigmoid", ("F22", "sigmoid")), ("relu", ("F22", "relu"))],
            of_task("regression", network),
            "output-range",
            "output-loss-mismatch doubled-activation",
        ),
        fault(
            68,
            "loss of another task",
            [
                ("squared for classes", ("classification", ("F25", "squared"))),
                ("logistic for values", ("regression", ("F25", "absolute"))),
            ],
            either,
            "wrong-loss",
            "output-loss-mismatch output-range loss-metric-disagreement",
        ),
        fault(
            69,
            "layers that do not learn",
            [
                ("first", {"learning_rate_multipliers": {"0.*": 0.0}}),
                ("all", {"learning_rate_multipliers": {"*": 0.0}}),
            ],
            setting,
            "frozen-layer",
            "wrong-gradient",
        ),
    ),
    "rows": (
        fault(
            71,
            "inputs not scaled",
            [("x100, tanh", ("x100", "tanh")), ("units, relu", ("units", "relu"))],
            raw_inputs,
            "unnormalized-inputs",
            "learning-rate-too-high saturated-units dead-units",
        ),
        fault(
            72,
            "strange cells",
            [("-999 in 3 %", (0.03, -999.0)), ("one cell of 10,000", (0.0, 1e4))],
            strange_cells,
            "strange-cells",
            "unnormalized-inputs noisy-inputs",
        ),
        fault(
            73,
            "wild targets",
            [("one, 100 deviations", (1, 100.0)), ("one, a million", (1, 1e6)), ("five, 1,000", (5, 1e3))],
            wild_targets,
            "wild-targets",
            "target-scale",
        ),
        fault(
            74, "row counter on sorted rows", [("counter", None)], row_counter, "row-counter", "target-copy", EVIDENCE
        ),
        fault(
            75,
            "copy of the target",
            [("exact", 0.0), ("nearly", 0.02)],
            target_copy,
            "target-copy",
            "row-counter",
            EVIDENCE,
        ),
        fault(
            76,
            "shuffled labels",
            [("30 %", 30.0)],
            shuffled_labels,
            "label-noise",
            "overfitting label-conflict misaligned-labels",
            lost=True,
        ),
    ),
    "validation": (
        fault(
            81,
            "validation rows differ",
            [("shifted", "shifted"), ("standardized", "standardized"), ("other order", "order")],
            validation_differs,
            "validation-differs",
            "",
            EVIDENCE,
        ),
        fault(
            82,
            "validation rows of one class",
            [("last", None)],
            one_class,
            "single-class-validation",
            "",
            EVIDENCE,
        ),
        fault(
            83,
            "rows on both sides of the split",
            [("half of the validation rows", ("given", 0.5)), ("30 % of the table", ("table", 0.3))],
            repeated_rows,
            "duplicate-rows-across-split",
            "suspicious-validation",
            EVIDENCE,
        ),
    ),
}
"""The faults by kind."""

NOISY: Mapping[str, Fault] = {fault.id: fault for faults in KINDS.values() for fault in faults}
"""F51 to F83."""

KIND_OF: Mapping[str, str] = {fault.id: kind for kind, faults in KINDS.items() for fault in faults}
"""The kind of each."""


def cases(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Host, fault and level of every case on some hosts."""
    return [(host, each.id, level) for host in names for each in NOISY.values() for level, _ in each.levels]


def broken(training: Training, name: str, level: str) -> Any:
    """The training with that fault; the training itself for no name."""
    return NOISY[name].inject(training, level) if name else training
