"""One written rule that decides whether a target is learned as classes or as a regression.

In: raw target values and, if the user gave one, the task. Out: labels or float64 values with their task.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import check_finite
from chainrule.errors import InvalidValueError, did_you_mean, must_be

Task: TypeAlias = Literal["classification", "regression"]
"""What is learned: one of several labels, or a number."""

TASKS: tuple[Task, ...] = get_args(Task)

MOST_INTEGER_CLASSES = 20
"""Whole numbers with more distinct values than this are read as a regression's, unless they are codes."""

MOST_CODES = 26
"""Whole numbers from 0 or 1 that end within this many are codes, as the letters of the alphabet numbered are."""


def infer_task(values: Array) -> Task:
    """Infer the task from the target: text, booleans and few distinct whole numbers are classes, 1.0 as well as 1.

    Parameters
    ----------
    values : array of shape (n,)
        The target.

    Returns
    -------
    {"classification", "regression"}

    Examples
    --------
    >>> infer_task(np.array(["yes", "no"])), infer_task(np.array([0, 1, 1])), infer_task(np.array([0.5, 1.0]))
    ('classification', 'classification', 'regression')
    >>> infer_task(np.array([0.0, 1.0, 1.0])), infer_task(np.arange(26)), infer_task(np.arange(50, 76))
    ('classification', 'classification', 'regression')
    """
    if values.dtype.kind not in "iuf":
        return "classification"
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        return "regression"
    distinct = np.unique(values)
    constant = values.dtype.kind == "f" and len(distinct) < 2
    return "classification" if few_or_codes(distinct) and not constant else "regression"


def few_or_codes(distinct: Array) -> bool:
    """Check whether distinct whole numbers, in sorted order, are classes: at most 20, or within 26 from 0 or 1.

    >>> few_or_codes(np.arange(26)), few_or_codes(np.arange(1, 28)), few_or_codes(np.arange(60, 81))
    (True, False, False)
    """
    if len(distinct) <= MOST_INTEGER_CLASSES:
        return True
    return bool(distinct[0] in (0, 1) and distinct[-1] - distinct[0] < MOST_CODES)


def check_task(owner: str, task: str | None) -> Task | None:
    """Return the task if it is known or None; raise `InvalidValueError` for any other."""
    known = next((name for name in TASKS if name == task), None)
    if task is not None and known is None:
        raise InvalidValueError(must_be(owner, "task", " or ".join(TASKS), task, did_you_mean(task, TASKS)))
    return known


def check_classes(y: Array, owner: str = "y") -> Array:
    """Return the distinct classes of a target in sorted order.

    Parameters
    ----------
    y : array of shape (n,)
        The target.
    owner : str, default="y"
        The object that the message names.

    Returns
    -------
    array of shape (K,)

    Raises
    ------
    InvalidValueError
        For fewer than two classes: there would be nothing to distinguish.

    Examples
    --------
    >>> check_classes(np.array(["no", "yes", "no"])).tolist()
    ['no', 'yes']
    """
    classes = np.unique(y)
    if len(classes) < 2:
        hint = "A classifier needs rows of two classes or more."
        raise InvalidValueError(must_be(owner, "target", "of at least two classes", classes.tolist(), hint))
    return classes


def unknown_labels(classes: Array, y: Array) -> tuple[list[Any], int]:
    """Return the labels of y (n) or (n, k) that are not among the classes, in order, and the first row that has one.

    Examples
    --------
    >>> unknown_labels(np.array(["no", "yes"]), np.array(["yes", "maybe", "no"]))
    (['maybe'], 1)
    >>> unknown_labels(np.array([0, 1]), np.array([1, 0]))
    ([], -1)
    """
    values = np.asarray(y)
    unknown = set(values.ravel().tolist()) - set(np.asarray(classes).tolist())
    if not unknown:
        return [], -1
    rows = values.reshape(len(values), -1).tolist()
    first = next(i for i, row in enumerate(rows) if not unknown.isdisjoint(row))
    try:
        return sorted(unknown), first
    except TypeError:  # of several types
        return sorted(unknown, key=str), first


def settle_target(owner: str, values: Array, task: str | None = None, learned: bool = True) -> tuple[Array, Task]:
    """Return the target in the form in which it is learned, with its task.

    Parameters
    ----------
    owner : str
        The object that messages name.
    values : array of shape (n,)
        The raw target.
    task : {"classification", "regression"}, default=None
        Task that overrules `infer_task`.
    learned : bool, default=True
        Whether the target is learned; one that predictions are only compared with may be of a single class.

    Returns
    -------
    y : array of shape (n,)
        float64 for regression; for classification whole numbers (int64 or float64, as given), bool or text.
    task : {"classification", "regression"}

    Raises
    ------
    InvalidValueError
        For an unknown task, NaN or infinity, text in a regression, fractions as classes, and a single class.

    Examples
    --------
    >>> settle_target("table.csv", np.array([3.0, 1.0]), "classification")
    (array([3., 1.]), 'classification')
    """
    chosen = check_task(owner, task) or infer_task(values)
    if values.dtype.kind == "f":
        check_finite(owner, "target", values)
    settled = _values(owner, values) if chosen == "regression" else _labels(owner, values, learned)
    return settled, chosen


def _values(owner: str, values: Array) -> Array:
    if values.dtype.kind not in "biuf":
        hint = "For text, use task='classification' (--task classification)."
        raise InvalidValueError(must_be(owner, "target", "numeric for regression", str(values[0]), hint))
    return values.astype(np.float64)


def _labels(owner: str, values: Array, learned: bool) -> Array:
    kind = values.dtype.kind
    if kind not in "biufUS":
        raise InvalidValueError(must_be(owner, "target", "numbers, booleans or text", str(values.dtype)))
    if kind == "f" and (values != np.rint(values)).any():
        fraction = float(values[values != np.rint(values)][0])
        allowed, hint = (
            "whole numbers or text for classification",
            "For numbers, use task='regression' (--task regression).",
        )
        raise InvalidValueError(must_be(owner, "target", allowed, fraction, hint))
    labels = values.astype({"S": np.str_, "U": np.str_, "b": np.bool_, "f": np.float64}.get(kind, np.int64))
    if learned:
        check_classes(labels, owner)
    return labels
