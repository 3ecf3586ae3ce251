"""Scores as scikit-learn computes them, to the last bit, without importing it, which takes longer than a small training.

In: classes as numbers, predicted classes, scores or values. Out: counts, shares and areas, float64.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be


def precision_recall_f1(y: Array, predicted: Array, classes: int) -> tuple[Array, Array, Array, Array]:
    """Return precision, recall, f1 and number of rows of each class (K); 0 where nothing defines one.

    >>> precision_recall_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)[0].tolist()
    [1.0, 0.5]
    """
    right = np.bincount(y[y == predicted], minlength=classes)
    support = np.bincount(y, minlength=classes)
    chosen = np.bincount(predicted, minlength=classes)
    f1 = _shares(2.0 * right.astype(np.float64), support.astype(np.float64) + chosen)
    return _shares(right, chosen), _shares(right, support), f1, support


def shares_of_counts(counts: Array) -> tuple[Array, Array, Array, Array]:
    """Return the same of counts of the rows of each true class by predicted class, (K, K).

    >>> shares_of_counts(np.array([[1, 1], [0, 1]]))[0].tolist()
    [1.0, 0.5]
    """
    right, support, chosen = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    f1 = _shares(2.0 * right.astype(np.float64), support.astype(np.float64) + chosen)
    return _shares(right, chosen), _shares(right, support), f1, support


def _shares(part: Array, whole: Array) -> Array:
    """Return quotients, 0 where they are not defined."""
    shares: Array = part / np.where(whole == 0, 1, whole)
    shares[whole == 0] = 0.0
    return shares


def macro_f1(y: Array, predicted: Array) -> float:
    """Return the mean f1 of the classes that occur or were predicted.

    >>> round(macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])), 3)
    0.667
    """
    labels, numbers = np.unique(np.concatenate([y, predicted]), return_inverse=True)
    return float(np.average(precision_recall_f1(numbers[: len(y)], numbers[len(y) :], len(labels))[2]))


def binary_f1(y: Array, predicted: Array) -> float:
    """Return the f1 of class 1."""
    return float(precision_recall_f1(y.astype(np.intp), predicted.astype(np.intp), 2)[2][1])


def check_finite(what: str, numbers: Array) -> None:
    """Refuse NaN and infinity, which no score is defined for."""
    wrong = numbers[~np.isfinite(numbers)]
    if wrong.size:
        raise InvalidValueError(
            must_be("evaluate", what, "finite numbers", wrong[0], "The training may have diverged.")
        )


def _errors(y: Array, predicted: Array) -> Array:
    """Return the errors (n, k)."""
    check_finite("targets", y)
    check_finite("predictions", predicted)
    errors: Array = (y - predicted).reshape(len(y), -1)
    return errors


def _counts(positive: Array, score: Array) -> tuple[Array, Array, Array]:
    """Return false and true positives at each threshold, and the thresholds, the highest first."""
    check_finite("scores", score)
    order = np.argsort(-score, stable=True)
    score = score[order]
    at = np.concatenate([np.nonzero(np.diff(score))[0], [len(score) - 1]])
    true = np.cumsum(positive[order].astype(np.float64))[at]
    return 1 + at.astype(np.float64) - true, true, score[at]


def roc_curve(positive: Array, score: Array) -> tuple[Array, Array, Array]:
    """Return false and true positive rates and thresholds of one class, without points on a straight line.

    >>> roc_curve(np.array([False, True]), np.array([0.2, 0.9]))[1].tolist()
    [0.0, 1.0, 1.0]
    """
    false, true, thresholds = _counts(positive, score)
    if len(false) > 2:
        corners = np.concatenate([[True], np.logical_or(np.diff(false, 2), np.diff(true, 2)), [True]])
        false, true, thresholds = false[corners], true[corners], thresholds[corners]
    false = np.concatenate([[0.0], false])
    true = np.concatenate([[0.0], true])
    return false / false[-1], true / true[-1], np.concatenate([[np.inf], thresholds.astype(np.float64)])


def roc_area(positive: Array, score: Array) -> float:
    """Return the area under the ROC curve; both sides must occur."""
    false, true, _ = roc_curve(positive, score)
    return float((np.diff(false) * (true[1:] + true[:-1]) / 2.0).sum())


def precision_recall_curve(positive: Array, score: Array) -> tuple[Array, Array, Array]:
    """Return precision and recall at rising thresholds, the last point (1, 0) without one; and the thresholds.

    >>> precision_recall_curve(np.array([False, True]), np.array([0.2, 0.9]))[0].tolist()
    [0.5, 1.0, 1.0]
    """
    false, true, thresholds = _counts(positive, score)
    precision = _shares(true, true + false)
    recall = true / true[-1]
    return np.concatenate([precision[::-1], [1.0]]), np.concatenate([recall[::-1], [0.0]]), thresholds[::-1]


def average_precision(positive: Array, score: Array) -> float:
    """Return the area under the precision-recall curve as a sum of steps; both sides must occur."""
    precision, recall, _ = precision_recall_curve(positive, score)
    return float(max(0.0, -np.sum(np.diff(recall) * precision[:-1])))


def log_loss(y: Array, P: Array) -> float:
    """Return the mean of -log of the true class's probability; probabilities of 0 and 1 are moved by a rounding error.

    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])), 4)
    0.6931
    """
    check_finite("probabilities", P)
    epsilon = np.finfo(P.dtype).eps
    p = np.clip(P[np.arange(len(y)), y], epsilon, 1 - epsilon)
    return float(np.average(-np.fromiter(map(math.log, p.tolist()), np.float64, len(p))))


def mean_squared_error(y: Array, predicted: Array) -> float:
    """Return the mean squared error, over all columns.

    >>> mean_squared_error(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """
    error = _errors(y, predicted)
    return float(np.average(np.average(error**2, axis=0)))


def mean_absolute_error(y: Array, predicted: Array) -> float:
    """Return the mean absolute error, over all columns."""
    error = _errors(y, predicted)
    return float(np.average(np.average(np.abs(error), axis=0)))
