"""The rows that a training of the lab learns: the table of the command line, or rows that the page sends.

In: a table's problem, or arrays of a stranger. Out: a training problem for each recipe; a sample of the rows to draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.lab.recipe import LabRecipe
from chainrule.nn.losses import TargetKind
from chainrule.pipeline import Settings, build_problem
from chainrule.pipeline.option_names import ESTIMATOR
from chainrule.pipeline.targets import classification
from chainrule.train import TrainingProblem

MOST_DRAWN = 5000
"""Rows of a table that the page gets to draw."""

_DRAWN_NUMBERS = 1_000_000
"""Numbers of these rows: fewer rows of a wide table."""

_MOST_ROWS = 1_000_000
_MOST_COLUMNS = 10_000
_MOST_CLASSES = 1000
_LONGEST_NAME = 200


@dataclass(frozen=True, eq=False)
class Subject:
    """Rows in the user's units with the problem that they make.

    Parameters
    ----------
    name : str
        What the page calls them.
    settings : Settings
        What the command line says; a recipe changes those of the page's controls.
    problem : TrainingProblem
        The problem of these settings.
    train, validation : tuple of array
        Rows and targets in the user's units; None without validation rows.
    columns : tuple of (str, str), default=()
        Name and kind of each column of the source; its numbers are in `problem.feature_names`.
    facts : tuple of str, default=()
        What the user should know about how the rows were read.
    test_rows : int, default=0
        Rows held out for the final scores.
    limited : bool, default=False
        Whether the number of epochs ends a training.
    uploaded : bool, default=False
        Whether the page sent the rows.
    reseed : callable or None, default=None
        Returns the same rows split with another seed; None where the split is fixed.
    origin : object, default=None
        What the rows came from, for the writer of run folders.
    """

    name: str
    settings: Settings
    problem: TrainingProblem = field(repr=False)
    train: tuple[Array, Array] = field(repr=False)
    validation: tuple[Array, Array] | None = field(repr=False)
    columns: tuple[tuple[str, str], ...] = ()
    facts: tuple[str, ...] = ()
    test_rows: int = 0
    limited: bool = False
    uploaded: bool = False
    reseed: Callable[[int], Subject] | None = field(default=None, repr=False)
    origin: Any = field(default=None, repr=False)

    @property
    def task(self) -> str:
        """One of `recipe.TASKS`."""
        kind = self.problem.recipe.loss.targets
        if not kind.are_classes:
            return "regression"
        return "binary" if kind is TargetKind.LABELS else "multiclass"

    @property
    def recipe(self) -> LabRecipe:
        """The recipe with which the page begins."""
        return LabRecipe.from_settings(self.settings, self.task)

    def with_seed(self, seed: int) -> Subject:
        """Return the rows as a seed splits them."""
        return self if self.reseed is None or seed == self.settings.seed else self.reseed(seed)

    def problem_of(self, recipe: LabRecipe) -> TrainingProblem:
        """Return the training problem of a recipe.

        Parameters
        ----------
        recipe : LabRecipe
            What the page's controls say.

        Returns
        -------
        TrainingProblem

        Raises
        ------
        InvalidValueError
            For another task than these rows', too large a network or batch, and settings that contradict each other.
        """
        if recipe.task != self.task:
            raise InvalidValueError(must_be("lab", "task", f"{self.task!r} for these rows", recipe.task))
        made = self.problem
        settings = recipe.settings(self.settings)
        net = recipe.network(settings, made.recipe.net.inputs, made.recipe.net.outputs)
        changed = settings.recipe(net, made.recipe.loss, len(made.rows))
        config = replace(made.config, learning_rate=recipe.learning_rate)
        return replace(made, recipe=changed, config=config, engine=settings.engine)

    def drawn(self) -> list[tuple[str, int]]:
        """Return the rows that the page gets, each with its part and its number there: evenly spaced, of both parts."""
        parts = {"train": len(self.train[0])}
        if self.validation is not None:
            parts["validation"] = len(self.validation[0])
        total = sum(parts.values())
        most = total if self.uploaded else min(MOST_DRAWN, max(_DRAWN_NUMBERS // max(self.train[0].shape[1], 1), 100))
        rows: list[tuple[str, int]] = []
        for name, n in parts.items():
            count = n if total <= most else max(1, most * n // total)
            rows += [(name, int(i)) for i in np.linspace(0, n - 1, min(n, count)).astype(np.int64)]
        return rows

    def row(self, index: int) -> Rows:
        """Return one of the drawn training rows as the network gets it, by its place among them."""
        places = self.drawn_training()
        if not 0 <= index < len(places):
            raise InvalidValueError(must_be("lab", "row", f"a number in 0..{len(places) - 1}", index))
        return self.problem.rows[np.array([places[index]])]

    def drawn_training(self) -> Sequence[int]:
        """Return the numbers of the training rows that the page gets, in its order."""
        return [place for part, place in self.drawn() if part == "train"]

    def table(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return what the page shows of the rows: names, kinds and counts, and the rows to draw in the user's units."""
        drawn = self.drawn()
        n, held = len(self.train[0]), 0 if self.validation is None else len(self.validation[0])
        parts = {"train": self.train, "validation": self.validation}
        X, y = [], []
        for name, part in parts.items():
            take = np.array([i for which, i in drawn if which == name], np.int64)
            if part is not None:
                X.append(np.asarray(part[0][take], np.float64))
                y.append(self._plain_targets(part[1][take]))
        inside = np.array([which == "train" for which, _ in drawn])
        classes = self.problem.classes
        header = {
            "name": self.name,
            "task": self.task,
            "columns": list(self.problem.feature_names),
            "kinds": [list(column) for column in self.columns],
            "target": self.problem.target_name,
            "classes": None if classes is None else [str(label) for label in classes.tolist()],
            "rows": {"train": n, "validation": held, "test": self.test_rows},
            "drawn": len(drawn),
            "sampled": len(drawn) < n + held,
            "facts": list(self.facts),
            "recipe": self.recipe.plain(),
            "batch_size": self.problem.recipe.batch_size,
            "epochs": self.problem.config.epochs,
        }
        arrays = {
            "X": np.concatenate(X),
            "y": np.concatenate(y).astype(np.float64),
            "train": np.flatnonzero(inside).astype(np.int32),
            "validation": np.flatnonzero(~inside).astype(np.int32),
        }
        return header, arrays

    def _plain_targets(self, y: Array) -> Array:
        """Return the numbers of classes, or values as they are."""
        classes = self.problem.classes
        return y if classes is None else np.searchsorted(classes, y)


def uploaded_subject(header: Mapping[str, Any], arrays: Mapping[str, Array], recipe: LabRecipe) -> Subject:
    """Return rows that the page sent as a subject.

    Parameters
    ----------
    header : mapping
        Names of the columns and of the target; the classes, None for values.
    arrays : mapping of str to array
        X (n, d), y (n), and the numbers of the training and validation rows.
    recipe : LabRecipe
        What the page's controls say.

    Returns
    -------
    Subject

    Raises
    ------
    InvalidValueError
        With what is wrong with names, rows or targets.
    """
    raise_all(_shape_faults(header, arrays))
    X, y = arrays["X"], arrays["y"]
    classes = header.get("classes")
    if X.shape[1] != len(header["columns"]):
        raise InvalidValueError(must_be("lab", "X", f"of {len(header['columns'])} columns, as named", X.shape))
    raise_all(_value_faults(X, y, arrays, classes, recipe))
    train, held = arrays["train"].astype(np.int64), arrays["validation"].astype(np.int64)
    settings = replace(Settings(), seed=recipe.seed, early_stopping=bool(len(held)))
    target = None
    if classes is not None:
        y = y.astype(np.int64)
        target = classification(y, settings, classes=np.arange(len(classes)))
    made = build_problem(
        settings,
        (X[train], y[train]),
        target=target,
        validation=(X[held], y[held]) if len(held) else None,
        feature_names=header["columns"],
        target_name=header["target"],
    )
    problem = replace(made, interface=ESTIMATOR)
    parts = (X[train], y[train]), ((X[held], y[held]) if len(held) else None)
    return _Uploaded(header["target"], settings, problem, *parts, uploaded=True, places=(train, held))


@dataclass(frozen=True, eq=False)
class _Uploaded(Subject):
    """Rows that the page sent and numbers as it does."""

    places: tuple[Array, Array] = field(default=(np.empty(0), np.empty(0)), repr=False)

    def drawn(self) -> list[tuple[str, int]]:
        """Return the part and the number of each row, in the page's order."""
        train, held = self.places
        found = {int(row): ("train", i) for i, row in enumerate(train)}
        found |= {int(row): ("validation", i) for i, row in enumerate(held)}
        return [found[row] for row in sorted(found)]

    def drawn_training(self) -> Sequence[int]:
        """Return all training rows, as the page named them."""
        return range(len(self.places[0]))


def _shape_faults(header: Mapping[str, Any], arrays: Mapping[str, Array]) -> list[str]:
    """Return what is wrong with the form of rows."""
    columns, target, classes = (header.get(name) for name in ("columns", "target", "classes"))
    named = isinstance(columns, list) and 0 < len(columns) <= _MOST_COLUMNS and all(map(_is_name, columns))
    faults = [] if named else [must_be("lab", "columns", f"1 to {_MOST_COLUMNS:,} names", columns)]
    faults += [] if _is_name(target) else [must_be("lab", "target", "a name", target)]
    labels = isinstance(classes, list) and 2 <= len(classes) <= _MOST_CLASSES and all(map(_is_name, classes))
    faults += [] if classes is None or labels else [must_be("lab", "classes", f"2 to {_MOST_CLASSES:,} names", classes)]
    kinds = {"X": ("float64", 2), "y": ("float64", 1), "train": ("int32", 1), "validation": ("int32", 1)}
    found = {name: (str(array.dtype), array.ndim) for name, array in arrays.items()}
    faults += [] if found == kinds else [must_be("lab", "arrays", "X, y, train and validation", sorted(found))]
    return faults


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_NAME


def _value_faults(
    X: Array, y: Array, arrays: Mapping[str, Array], classes: list[str] | None, recipe: LabRecipe
) -> list[str]:
    """Return what is wrong with the rows themselves."""
    n = len(X)
    rows = np.concatenate([arrays["train"], arrays["validation"]])
    if not 0 < n <= _MOST_ROWS or X.shape[1] == 0 or y.shape != (n,):
        return [must_be("lab", "X", f"at most {_MOST_ROWS:,} rows, with a target for each", X.shape)]
    if not len(arrays["train"]) or rows.min() < 0 or rows.max() >= n or len(np.unique(rows)) != n or len(rows) != n:
        return [must_be("lab", "train", "numbers of rows, each row once in train or validation", len(rows))]
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        return [must_be("lab", "X", "finite numbers", "a number that is not finite", "Leave such rows out.")]
    tasks = {
        True: ("regression",),
        False: ("binary",) if classes is not None and len(classes) == 2 else ("multiclass",),
    }
    allowed = tasks[classes is None]
    if recipe.task not in allowed:
        return [must_be("lab", "task", f"{allowed[0]!r} for these targets", recipe.task)]
    if classes is not None and not ((y == np.floor(y)) & (y >= 0) & (y < len(classes))).all():
        return [must_be("lab", "y", f"numbers of classes in 0..{len(classes) - 1}", "another number")]
    return []
