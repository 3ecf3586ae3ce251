"""Why: more networks fail by their rows than by their mathematics.

In: healthy subjects. Out: faults F1 to F11, F27 and F38 to F40: what is wrong with labels, inputs, targets and parts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows
from doctor.fault import EVIDENCE, Fault, Impossible, Outcome, Prevented, fault
from doctor.hosts import Subject

OURS = ("rows", "validation")
"""The parts that a user has; test rows stay clean."""


def codes(rows: Rows) -> Array:
    """Classes (n) as whole numbers, of either form of targets."""
    return rows.Y if rows.Y.ndim == 1 else rows.Y[:, 0].astype(np.int64)


def as_targets(rows: Rows, y: Array) -> Array:
    """Classes in the form of the targets of some rows."""
    return y if rows.Y.ndim == 1 else y.astype(rows.Y.dtype)[:, None]


def _regression(subject: Subject) -> bool:
    return subject.labels is None


def _each(subject: Subject, change: object, parts: tuple[str, ...] = OURS) -> Subject:
    """One part after another through change(rows) -> X, Y."""
    for part in parts:
        rows = getattr(subject, part)
        if rows is not None:
            subject = subject.with_rows(part, *change(rows))  # type: ignore[operator]
    return subject


def label_noise(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Relabels a share of every class uniformly to the others."""
    if _regression(subject):
        return Impossible("targets are no classes")

    def change(rows: Rows) -> tuple[Array, Array]:
        y = codes(rows).copy()
        hit = rng.random(len(y)) < percent / 100
        y[hit] = (y[hit] + rng.integers(1, subject.classes, hit.sum())) % subject.classes
        return rows.X, as_targets(rows, y)

    return _each(subject, change)


def class_noise(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Relabels a share of the most frequent class uniformly to the others."""
    if _regression(subject):
        return Impossible("targets are no classes")

    def change(rows: Rows) -> tuple[Array, Array]:
        y = codes(rows).copy()
        hit = (y == np.argmax(np.bincount(y))) & (rng.random(len(y)) < percent / 100)
        y[hit] = (y[hit] + rng.integers(1, subject.classes, hit.sum())) % subject.classes
        return rows.X, as_targets(rows, y)

    return _each(subject, change)


def _labels(subject: Subject, level: tuple[str, float], rng: np.random.Generator) -> Outcome:
    return (class_noise if level[0] == "class" else label_noise)(subject, level[1], rng)


def target_noise(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Adds normal noise of a share of the targets' deviation."""
    if not _regression(subject):
        return Impossible("targets are classes")
    return _each(subject, lambda rows: (rows.X, rows.Y + percent / 100 * rows.Y.std() * rng.normal(size=rows.Y.shape)))


def misaligned(subject: Subject, part: str, rng: np.random.Generator) -> Outcome:
    """Shuffles the inputs and leaves the targets: of all rows, or shifts half of them by one."""

    def change(rows: Rows) -> tuple[Array, Array]:
        order = np.arange(len(rows))
        if part == "all":
            order = rng.permutation(len(rows))
        else:
            order[: len(rows) // 2] = np.roll(order[: len(rows) // 2], 1)
        return rows.X[order], rows.Y

    return _each(subject, change)


def too_little(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Deletes a share of every class's training rows, and as large a share of the validation rows."""

    def change(rows: Rows) -> tuple[Array, Array]:
        y = np.zeros(len(rows), int) if _regression(subject) else codes(rows)
        keep = [rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
        take = np.sort(np.concatenate([i[: max(1, round(len(i) * (1 - percent / 100)))] for i in keep]))
        return rows.X[take], rows.Y[take]

    return _each(subject, change)


def imbalance(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Keeps a share of the upper half of the classes only."""
    if _regression(subject):
        return Impossible("targets are no classes")

    def change(rows: Rows) -> tuple[Array, Array]:
        y = codes(rows)
        rare = y >= subject.classes / 2
        take = ~rare | (rng.random(len(y)) < percent / 100)
        for c in np.unique(y[rare]):
            take[np.flatnonzero(y == c)[:1]] = True
        return rows.X[take], rows.Y[take]

    return _each(subject, change)


def input_noise(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Adds normal noise of a share of each row's own deviation to that share of the rows (to all above 100 %)."""

    def change(rows: Rows) -> tuple[Array, Array]:
        hit = rng.random(len(rows)) < percent / 100
        sigma = percent / 100 * np.maximum(rows.X.std(axis=1, keepdims=True), 0.1)
        return rows.X + hit[:, None] * sigma * rng.normal(size=rows.X.shape), rows.Y

    return _each(subject, change)


def overlap(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """Doubles a share of the largest class's rows under the label of the second largest."""
    if _regression(subject):
        return Impossible("targets are no classes")

    def change(rows: Rows) -> tuple[Array, Array]:
        y = codes(rows)
        largest, second = np.argsort(np.bincount(y, minlength=subject.classes), kind="stable")[::-1][:2]
        pool = rng.permutation(np.flatnonzero(y == largest))
        again = pool[: round(len(pool) * percent / 100)]
        doubled = np.concatenate([y, np.full(len(again), second)])
        return np.concatenate([rows.X, rows.X[again]]), as_targets(rows, doubled)

    return _each(subject, change)


def raw_inputs(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """Inputs in the units of the world: a hundred times larger, as bytes, or each column in a unit of its own."""
    X = subject.rows.X
    d = X.shape[1]
    if kind == "x100":
        return subject.map_inputs(lambda A: A * 100.0)
    if kind == "bytes":
        low, span = X.min(axis=0), np.maximum(np.ptp(X, axis=0), 1e-6)
        return subject.map_inputs(lambda A: 255.0 * (A - low) / span)
    unit, offset = 10.0 ** rng.uniform(-2, 3, d), rng.uniform(0, 5, d)
    return subject.map_inputs(lambda A: unit * (A + offset))


def tiny_inputs(subject: Subject, divisor: float, rng: np.random.Generator) -> Outcome:
    """Scaled to [0, 1] and divided by the range once more."""
    X = subject.rows.X
    low, span = X.min(axis=0), np.maximum(np.ptp(X, axis=0), 1e-6)
    return subject.map_inputs(lambda A: (A - low) / span / divisor)


def large_targets(subject: Subject, factor: float, rng: np.random.Generator) -> Outcome:
    """Targets in a unit that makes them large, with a mean far from zero for the larger factor."""
    if not _regression(subject):
        return Impossible("targets are classes")
    return subject.map_targets(lambda Y: factor * (Y + (2.0 if factor > 100 else 0.0)))


def bad_columns(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """Some entries are NaN or infinite, or some columns hold one value."""
    if kind in ("nan", "inf"):
        X = subject.rows.X.copy()
        X[rng.integers(0, len(X), 5), rng.integers(0, X.shape[1], 5)] = np.nan if kind == "nan" else np.inf
        return subject.with_rows("rows", X, subject.rows.Y)
    columns = rng.choice(subject.rows.X.shape[1], max(1, subject.rows.X.shape[1] // 2), replace=False)

    def constant(A: Array) -> Array:
        A = A.copy()
        A[:, columns] = 3.0
        return A

    return subject.map_inputs(constant)


def flat_targets(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """Targets (n) where the network says (n, 1), which elsewhere broadcasts to (n, n)."""
    if subject.rows.Y.ndim == 1:
        return Impossible("targets of exclusive classes are (n) as they should be")
    stored = Rows.of(subject.recipe, subject.rows.X, subject.rows.Y[:, 0]).Y
    return Prevented(f"Accepted and made right: targets of shape ({len(stored)},) are stored as {stored.shape}.")


def no_validation(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """Nothing held out."""
    return replace(subject, validation=None)


def validation_in_training(subject: Subject, percent: float, rng: np.random.Generator) -> Outcome:
    """A share of the validation rows are training rows."""
    assert subject.validation is not None
    n = len(subject.validation)
    hit = np.flatnonzero(rng.random(n) < percent / 100)
    take = rng.choice(len(subject.rows), len(hit), replace=len(hit) > len(subject.rows))
    X, Y = subject.validation.X.copy(), subject.validation.Y.copy()
    X[hit], Y[hit] = subject.rows.X[take], subject.rows.Y[take]
    return subject.with_rows("validation", X, Y)


def leaking_scaler(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """Mean and deviation are those of training and validation rows together."""
    assert subject.validation is not None
    both = np.concatenate([subject.rows.X, subject.validation.X]).astype(np.float64)
    mean, scale = both.mean(axis=0), np.maximum(both.std(axis=0), 1e-6)
    return subject.map_inputs(lambda A: (A - mean) / scale)


FAULTS: tuple[Fault, ...] = (
    fault(
        1,
        "wrong labels",
        [("20 % of all", ("all", 20)), ("40 % of all", ("all", 40)), ("60 % of one class", ("class", 60))],
        _labels,
        "label-noise",
        "overfitting label-conflict",
        lost=True,
    ),
    fault(
        2,
        "noisy targets",
        [("100 %", 100), ("200 %", 200)],
        target_noise,
        "label-noise",
        "overfitting underfitting",
        lost=True,
    ),
    fault(
        3,
        "inputs and labels misaligned",
        [("all", "all"), ("half", "half")],
        misaligned,
        "misaligned-labels",
        "label-noise input-ignored",
        lost=True,
    ),
    fault(4, "rows missing", [("80 %", 80), ("97 %", 97)], too_little, "too-little-data", "overfitting", lost=True),
    fault(5, "classes unequal", [("keep 10 %", 10), ("keep 2 %", 2)], imbalance, "class-imbalance", lost=True),
    fault(
        6,
        "noise in inputs",
        [("100 %", 100), ("300 %", 300)],
        input_noise,
        "noisy-inputs",
        "underfitting overfitting",
        lost=True,
    ),
    fault(7, "classes overlap", [("25 %", 25), ("75 %", 75)], overlap, "label-conflict", "label-noise", lost=True),
    fault(
        8,
        "inputs not scaled",
        [("x100", "x100"), ("bytes", "bytes"), ("units", "units")],
        raw_inputs,
        "unnormalized-inputs",
        "learning-rate-too-high saturated-units dead-units",
    ),
    fault(
        9,
        "inputs scaled twice",
        [("/16", 16.0), ("/255", 255.0)],
        tiny_inputs,
        "tiny-inputs",
        "unnormalized-inputs learning-rate-too-low",
    ),
    fault(
        10,
        "targets not scaled",
        [("x10", 10.0), ("x1000 + mean", 1000.0)],
        large_targets,
        "target-scale",
        "exploding-gradient learning-rate-too-high wrong-initial-loss learning-rate-too-low",
    ),
    fault(
        11,
        "NaN, infinite or constant inputs",
        [("nan", "nan"), ("inf", "inf"), ("constant", "constant")],
        bad_columns,
        "constant-feature",
        "nan-input",
        lost=True,
    ),
    fault(27, "targets (n) against (n, 1)", [("flat", None)], flat_targets, "wrong-loss"),
    fault(38, "no validation rows", [("none", None)], no_validation, "no-validation", harm=EVIDENCE),
    fault(
        39,
        "validation rows from training",
        [("20 %", 20), ("100 %", 100)],
        validation_in_training,
        "duplicate-rows-across-split",
        "suspicious-validation",
        harm=EVIDENCE,
    ),
    fault(40, "scaler saw validation rows", [("both", None)], leaking_scaler, "statistics-leakage", harm=EVIDENCE),
)
"""Faults of the rows."""
