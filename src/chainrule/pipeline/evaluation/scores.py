"""Scores of classes and of continuous targets, computed from targets and predictions alone.

In: true labels with probabilities, or true values with predicted ones. Out: `ClassScores`, `ValueScores`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import expected_calibration_error
from chainrule.errors import InvalidValueError, must_be
from chainrule.pipeline.evaluation import metrics
from chainrule.pipeline.evaluation.checks import labels_and_probabilities


@dataclass(frozen=True)
class OneClass:
    """Scores of one class against the rest.

    Parameters
    ----------
    label : object
        The class.
    precision : float
        Share of the rows predicted to be of this class that are; 0 where none was predicted.
    recall : float
        Share of the rows of this class that were predicted to be; 0 where there are none.
    f1 : float
        Harmonic mean of precision and recall.
    roc_auc : float
        Area under the ROC curve: the probability that a row of this class gets a higher probability of it than a row of
        another; NaN where all rows are on one side.
    average_precision : float
        Mean of the precision over the recall; NaN where all rows are on one side.
    support : int
        Number of rows of this class.
    """

    label: Any
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    support: int


@dataclass(frozen=True)
class ClassScores:
    """Scores of predicted probabilities of classes.

    Parameters
    ----------
    log_loss : float
        Mean of -log of the true class's probability.
    accuracy : float
        Share of rows predicted right.
    balanced_accuracy : float
        Mean of the recall over the classes that occur.
    precision, recall, f1 : float
        Means over the classes that occur or were predicted (macro average).
    roc_auc : float
        Area under the ROC curve; for more than two classes the mean over the classes, each against the rest.
    average_precision : float
        Area under the precision-recall curve of the second of two classes; for more the mean over the classes.
    brier : float
        Mean squared distance of probabilities and outcomes: from 0 to 1 for two classes (of the second's probability),
        from 0 to 2 for more (summed over the classes).
    calibration_error : float
        Expected calibration error of the predicted class, in ten bins.
    classes : tuple of OneClass
        Scores of each class.
    """

    log_loss: float
    accuracy: float
    balanced_accuracy: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    brier: float
    calibration_error: float
    classes: tuple[OneClass, ...]

    def summary(self) -> dict[str, float]:
        """Return the scores that `evaluate` returns, with the log loss as the loss.

        Returns
        -------
        dict of str to float
            `loss`, `accuracy`, `balanced_accuracy`, `f1` and `roc_auc`.
        """
        names = ("accuracy", "balanced_accuracy", "f1", "roc_auc")
        return {"loss": self.log_loss} | {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class ValueScores:
    """Scores of predicted values.

    Parameters
    ----------
    rmse : float
        Root of the mean squared error, in the unit of the target.
    mae : float
        Mean absolute error, in the unit of the target.
    r2 : float
        Share of the target's variance that is explained; NaN where the target does not vary.
    """

    rmse: float
    mae: float
    r2: float

    def summary(self) -> dict[str, float]:
        """Return the scores by name.

        Returns
        -------
        dict of str to float
            `rmse`, `mae` and `r2`.
        """
        return {"rmse": self.rmse, "mae": self.mae, "r2": self.r2}


def class_scores(y: Any, P: Any, classes: Any = None, threshold: float | None = None) -> ClassScores:
    """Return the scores of predicted probabilities.

    The predicted class is the one with the largest probability, the first of several, unless there is a threshold.

    Parameters
    ----------
    y : array of shape (n,)
        True labels.
    P : array of shape (n, K) or (n,)
        Probabilities of the classes; one column is that of the second of two classes.
    classes : sequence of K labels, default=None
        Labels of the columns of P; None takes the labels that occur, sorted.
    threshold : float, default=None
        For two classes: lowest probability at which the second is predicted. None predicts the more probable one.

    Returns
    -------
    ClassScores

    Raises
    ------
    InvalidValueError
        Where P has not one column for each class, a label is not among the classes, or there is a threshold for more
        than two.

    References
    ----------
    Reference  [guo2017] for the calibration error

    Examples
    --------
    >>> scores = class_scores(["no", "no", "yes", "yes"], [[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    >>> scores.accuracy, scores.roc_auc, scores.classes[1].recall
    (0.75, 1.0, 1.0)
    """
    numbers, P, classes = labels_and_probabilities("class_scores", y, P, classes)
    predicted = P.argmax(axis=1) if threshold is None else (P[:, -1] >= threshold).astype(np.int64)
    if threshold is not None and len(classes) != 2:
        raise InvalidValueError(must_be("class_scores", "threshold", "None unless there are two classes", threshold))
    every = range(len(classes))
    precision, recall, f1, support = metrics.precision_recall_f1(numbers, predicted, len(classes))
    areas = [roc_auc(numbers == k, P[:, k]) for k in every]
    averages = [average_precision(numbers == k, P[:, k]) for k in every]
    seen = np.union1d(numbers, predicted)
    return ClassScores(
        log_loss=metrics.log_loss(numbers, _normalized(P)) if len(classes) > 1 else 0.0,
        accuracy=float(np.mean(numbers == predicted)),
        balanced_accuracy=balanced_accuracy(numbers, predicted),
        precision=float(precision[seen].mean()),
        recall=float(recall[seen].mean()),
        f1=float(f1[seen].mean()),
        roc_auc=mean_of_classes(areas),
        average_precision=mean_of_classes(averages),
        brier=_brier(numbers, P),
        calibration_error=expected_calibration_error(P, numbers),
        classes=tuple(
            OneClass(label, float(precision[k]), float(recall[k]), float(f1[k]), areas[k], averages[k], int(support[k]))
            for k, label in enumerate(classes.tolist())
        ),
    )


def value_scores(y: Any, predicted: Any) -> ValueScores:
    """Return the scores of predicted values, means over the columns of several targets.

    Parameters
    ----------
    y : array of shape (n,) or (n, k)
        True values.
    predicted : array of the same shape
        Predicted values.

    Returns
    -------
    ValueScores

    Raises
    ------
    InvalidValueError
        For shapes that differ, and for no rows.

    Examples
    --------
    >>> value_scores([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).mae.__round__(3)
    0.333
    """
    y = np.asarray(y, np.float64)
    predicted = np.asarray(predicted, np.float64)
    if y.shape != predicted.shape or not len(y):
        raise InvalidValueError(must_be("value_scores", "predicted", f"of shape {y.shape}, n > 0", predicted.shape))
    error = metrics.mean_squared_error(y, predicted)
    spread = float(np.var(y, axis=0).mean())
    r2 = 1.0 - error / spread if spread > 0 else math.nan
    return ValueScores(error**0.5, metrics.mean_absolute_error(y, predicted), r2)


def balanced_accuracy(y: Array, predicted: Array) -> float:
    """Return the mean of the recall over the classes that occur."""
    right = predicted == y
    return float(np.mean([right[y == label].mean() for label in np.unique(y)]))


def roc_auc(positive: Array, score: Array) -> float:
    """Return the area under the ROC curve of one class; NaN where all rows are on one side."""
    return math.nan if positive.all() or not positive.any() else metrics.roc_area(positive, score)


def average_precision(positive: Array, score: Array) -> float:
    """Return the area under the precision-recall curve of one class; NaN where all rows are on one side."""
    one_sided = positive.all() or not positive.any()
    return math.nan if one_sided else metrics.average_precision(positive, score)


def mean_of_classes(values: list[float]) -> float:
    """Return the second of two classes' value, or the mean of those that are defined."""
    known = [value for value in values if not math.isnan(value)]
    if len(values) == 2:
        return values[1]
    return float(np.mean(known)) if known else math.nan


def _normalized(P: Array) -> Array:
    """Return probabilities of sum 1 where rounding, as of float32, has moved it."""
    total = P.sum(axis=1, keepdims=True)
    return P / np.where(total > 0, total, 1.0)


def _brier(y: Array, P: Array) -> float:
    if P.shape[1] == 2:
        return float(np.mean((P[:, 1] - y) ** 2))
    return float(np.mean(((P - (y[:, None] == np.arange(P.shape[1]))) ** 2).sum(axis=1)))
