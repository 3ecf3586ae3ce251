"""Why: whether a column of answers means classes or amounts is decided in one place, by one written rule.

In: raw target values and, if the user gave one, the task. Out: labels or float64 amounts with their task.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import check_finite
from chainrule.errors import InvalidValueError, did_you_mean, must_be

Task: TypeAlias = Literal["classification", "regression"]
"""What is learned: one of several labels, or an amount."""

TASKS: tuple[Task, ...] = get_args(Task)

MOST_INTEGER_CLASSES = 20
"""Whole numbers with more distinct values than this are read as amounts."""


def infer_task(values: Array) -> Task:
    """The task that the values suggest: text, booleans and few distinct whole numbers are classes.

    >>> infer_task(np.array(["yes", "no"])), infer_task(np.array([0, 1, 1])), infer_task(np.array([0.5, 1.0]))
    ('classification', 'classification', 'regression')
    >>> infer_task(np.arange(21))
    'regression'
    """
    if values.dtype.kind in "iu":
        return "classification" if len(np.unique(values)) <= MOST_INTEGER_CLASSES else "regression"
    return "regression" if values.dtype.kind == "f" else "classification"


def check_task(owner: str, task: str | None) -> Task | None:
    """The task itself when it is known or None."""
    known = next((name for name in TASKS if name == task), None)
    if task is not None and known is None:
        raise InvalidValueError(must_be(owner, "task", " or ".join(TASKS), task, did_you_mean(task, TASKS)))
    return known


def check_classes(y: Array, owner: str = "y") -> Array:
    """The distinct classes of y in sorted order.

    Errors  `InvalidValueError` when there are fewer than two: nothing could be told apart.

    >>> check_classes(np.array(["no", "yes", "no"])).tolist()
    ['no', 'yes']
    """
    classes = np.unique(y)
    if len(classes) < 2:
        hint = "A classifier needs rows of two classes or more."
        raise InvalidValueError(must_be(owner, "target", "of at least two classes", classes.tolist(), hint))
    return classes


def settle_target(owner: str, values: Array, task: str | None = None, learned: bool = True) -> tuple[Array, Task]:
    """The target as it is learned, with its task; a given `task` overrules `infer_task`.

    A target that is not learned but only compared with may be of a single class.

    Shapes  values (n,) -> (n,): float64 for regression; int64, bool or text for classification
    Errors  `InvalidValueError` for an unknown task, NaN or infinity, text as an amount, fractions as classes,
            a single class.

    >>> settle_target("table.csv", np.array([3.0, 1.0]), "classification")
    (array([3, 1]), 'classification')
    """
    chosen = check_task(owner, task) or infer_task(values)
    if values.dtype.kind == "f":
        check_finite(owner, "target", values)
    settled = _amounts(owner, values) if chosen == "regression" else _labels(owner, values, learned)
    return settled, chosen


def _amounts(owner: str, values: Array) -> Array:
    if values.dtype.kind not in "biuf":
        hint = "Use task='classification' for text."
        raise InvalidValueError(must_be(owner, "target", "numeric for regression", str(values[0]), hint))
    return values.astype(np.float64)


def _labels(owner: str, values: Array, learned: bool) -> Array:
    kind = values.dtype.kind
    if kind not in "biufUS":
        raise InvalidValueError(must_be(owner, "target", "numbers, booleans or text", str(values.dtype)))
    if kind == "f" and (values != np.rint(values)).any():
        fraction = float(values[values != np.rint(values)][0])
        allowed, hint = "whole numbers or text for classification", "Use task='regression' for amounts."
        raise InvalidValueError(must_be(owner, "target", allowed, fraction, hint))
    labels = values.astype({"S": np.str_, "U": np.str_, "b": np.bool_}.get(kind, np.int64))
    if learned:
        check_classes(labels, owner)
    return labels
