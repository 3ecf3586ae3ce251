"""Curves of predicted probabilities: ROC, precision against recall, accuracy against confidence.

In: true labels, probabilities. Out: frozen records of points to draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import expected_calibration_error, reliability
from chainrule.pipeline.evaluation import metrics
from chainrule.pipeline.evaluation.checks import both_sides, labels_and_probabilities, positive_class
from chainrule.pipeline.evaluation.scores import average_precision, roc_auc


@dataclass(frozen=True, eq=False)
class RocCurve:
    """The true-positive rate against the false-positive rate, over all thresholds of the probability.

    Parameters
    ----------
    label : object
        The class that counts as positive.
    false_positive_rate, true_positive_rate : array of shape (points,)
        Ascending from 0 to 1.
    thresholds : array of shape (points,)
        Descending; rows with at least this probability count as positive. The first is infinity.
    auc : float
        Area under the curve.
    """

    label: Any
    false_positive_rate: Array
    true_positive_rate: Array
    thresholds: Array
    auc: float


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """The precision against the recall, over all thresholds of the probability.

    Parameters
    ----------
    label : object
        The class that counts as positive.
    precision, recall : array of shape (points,)
        The recall descends to 0, where the precision is 1 by convention.
    thresholds : array of shape (points - 1,)
        Ascending; rows with at least this probability count as positive. The last point has none.
    average_precision : float
        Mean of the precision over the recall.
    share : float
        Share of positive rows, which is the precision of a prediction by chance.
    """

    label: Any
    precision: Array
    recall: Array
    thresholds: Array
    average_precision: float
    share: float


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """The share of right predictions against the confidence, in bins of equal width.

    Parameters
    ----------
    confidence, accuracy : array of shape (bins,)
        Means over the rows of each bin; NaN in an empty one.
    share : array of shape (bins,)
        Share of all rows that lie in the bin.
    error : float
        Expected calibration error.
    """

    confidence: Array
    accuracy: Array
    share: Array
    error: float


def roc_curve(y: Any, P: Any, classes: Any = None, label: Any = None) -> RocCurve:
    """Return the ROC curve of one class against the rest.

    Parameters
    ----------
    y : array of shape (n,)
        True labels.
    P : array of shape (n, K) or (n,)
        Probabilities of the classes; one column is that of the second of two classes.
    classes : sequence of K labels, default=None
        Labels of the columns of P; None takes the labels that occur, sorted.
    label : object, default=None
        The class that counts as positive; None takes the second of two classes.

    Returns
    -------
    RocCurve

    Raises
    ------
    InvalidValueError
        For shapes and labels that do not fit, and where all rows are on one side.

    Examples
    --------
    >>> curve = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.auc, curve.true_positive_rate.tolist()
    (0.75, [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    positive, score, chosen = _one_against_rest("roc_curve", y, P, classes, label)
    false, true, thresholds = metrics.roc_curve(positive, score)
    return RocCurve(chosen, false, true, thresholds, roc_auc(positive, score))


def precision_recall_curve(y: Any, P: Any, classes: Any = None, label: Any = None) -> PrecisionRecallCurve:
    """Return the precision-recall curve of one class against the rest.

    Parameters
    ----------
    y, P, classes, label : as for `roc_curve`
        Labels, probabilities, and the class that counts as positive.

    Returns
    -------
    PrecisionRecallCurve

    Raises
    ------
    InvalidValueError
        As `roc_curve` does.

    Examples
    --------
    >>> curve = precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> curve.recall.tolist(), curve.share
    ([1.0, 1.0, 0.5, 0.5, 0.0], 0.5)
    """
    positive, score, chosen = _one_against_rest("precision_recall_curve", y, P, classes, label)
    precision, recall, thresholds = metrics.precision_recall_curve(positive, score)
    area = average_precision(positive, score)
    return PrecisionRecallCurve(chosen, precision, recall, thresholds, area, float(positive.mean()))


def reliability_curve(y: Any, P: Any, classes: Any = None, bins: int = 10) -> ReliabilityCurve:
    """Return how often predictions were right, by how confident they were.

    Parameters
    ----------
    y : array of shape (n,)
        True labels.
    P : array of shape (n, K) or (n,)
        Probabilities of the classes; one column is that of the second of two classes.
    classes : sequence of K labels, default=None
        Labels of the columns of P; None takes the labels that occur, sorted.
    bins : int, default=10
        Number of bins; ten keep enough rows in each for a few hundred rows.

    Returns
    -------
    ReliabilityCurve

    Raises
    ------
    InvalidValueError
        For shapes and labels that do not fit, and for fewer than one bin.

    Examples
    --------
    >>> round(reliability_curve([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]).error, 3)
    0.3
    """
    numbers, P, _ = labels_and_probabilities("reliability_curve", y, P, classes)
    confidence, accuracy, share = reliability(P, numbers, bins)
    return ReliabilityCurve(confidence, accuracy, share, expected_calibration_error(P, numbers, bins))


def _one_against_rest(owner: str, y: Any, P: Any, classes: Any, label: Any) -> tuple[Array, Array, Any]:
    """Return which rows are of the class (n), its probabilities (n) and its label."""
    numbers, P, classes = labels_and_probabilities(owner, y, P, classes)
    k = positive_class(owner, classes, label)
    positive: Array = np.equal(numbers, k)
    both_sides(owner, positive)
    return positive, P[:, k], classes.tolist()[k]
