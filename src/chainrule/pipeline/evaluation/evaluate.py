"""Scores of a model on rows with known targets, and its confusion matrix.

In: a model, rows and targets in the user's units; labels and predicted labels. Out: scores by name; a confusion matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array, MatrixLike
from chainrule.pipeline.evaluation.metrics import binary_f1, macro_f1
from chainrule.pipeline.evaluation.scores import balanced_accuracy, mean_of_classes, roc_auc, value_scores
from chainrule.prediction import Predictor
from chainrule.target import Target, class_indices


def labels_at(classes: Array, P: Array, threshold: float) -> Array:
    """Return the second of two classes for the rows whose probability of it reaches a threshold, else the first.

    Parameters
    ----------
    classes : array of shape (2,)
        The labels.
    P : array of shape (n, 2)
        Their probabilities.
    threshold : float
        Lowest probability of the second class at which it is predicted.

    Returns
    -------
    array of shape (n,)

    Examples
    --------
    >>> labels_at(np.array(["no", "yes"]), np.array([[0.8, 0.2], [0.6, 0.4]]), 0.3).tolist()
    ['no', 'yes']
    """
    second = (np.asarray(P, np.float64)[:, 1] >= threshold).astype(np.intp)
    return classes[second]


def evaluate(model: Predictor, X: MatrixLike, y: Array, threshold: float | None = None) -> dict[str, float]:
    """Return the mean loss of a model on some rows, and the usual scores of its predictions.

    With several targets of classes, a row is right when all of its targets are; the other scores are means over the
    targets.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model to evaluate.
    X : array, frame or sequence of n rows
        Rows in the user's units.
    y : array of shape (n,) or (n, k)
        Their targets, in the user's units or as labels.
    threshold : float, default=None
        For two classes: lowest probability at which the second is predicted. None predicts the more probable one.

    Returns
    -------
    scores : dict of str to float
        `loss` in the unit of the loss. For classes `accuracy`, `balanced_accuracy` (mean recall of the classes), `f1` (mean
        over the classes; of labels, the mean over the labels' f1 of "yes") and `roc_auc` (for more than two classes, the
        mean over the classes, each against the rest). Otherwise `rmse` and `mae` in the unit of the target, and `r2`.
        Scores that these rows do not define are NaN.
    """
    Y = Target.of(model).encode(y)
    loss = float(model.loss.rows(np, model.scores(X), Y).mean())
    if threshold is not None and isinstance(model.classes, np.ndarray):
        predicted = labels_at(model.classes, model.probabilities(X), threshold)
    else:
        predicted = model.predict(X)
    if model.classes is None:
        return {"loss": loss} | value_scores(y, predicted).summary()
    right = predicted == y
    accuracy = float((right if right.ndim == 1 else right.all(axis=1)).mean())
    parts = np.array([_of_one_target(*part) for part in _targets(model, X, np.asarray(y), predicted)])
    names = ("balanced_accuracy", "f1", "roc_auc")
    return {"loss": loss, "accuracy": accuracy} | dict(zip(names, parts.mean(axis=0).tolist(), strict=True))


def _targets(model: Predictor, X: MatrixLike, y: Array, predicted: Array) -> Iterator[tuple[Array, Array, Array, bool]]:
    """Yield class numbers (n), predicted ones (n) and probabilities (n, K) of each target, and whether it is yes or no."""
    P = np.asarray(model.probabilities(X), np.float64)
    if isinstance(model.classes, tuple):
        for j, (known, block) in enumerate(zip(model.classes, model.blocks, strict=True)):
            yield class_indices(known, y[:, j]), class_indices(known, predicted[:, j]), P[:, block], False
    elif model.multilabel:
        for j in range(P.shape[1]):
            yield y[:, j], predicted[:, j], np.column_stack([1.0 - P[:, j], P[:, j]]), True
    elif model.classes is not None:
        yield class_indices(model.classes, y), class_indices(model.classes, predicted), P, False


def _of_one_target(y: Array, predicted: Array, P: Array, label: bool) -> tuple[float, float, float]:
    """Return balanced accuracy, f1 and area under the ROC curve."""
    f1 = binary_f1(y, predicted) if label else macro_f1(y, predicted)
    return balanced_accuracy(y, predicted), f1, mean_of_classes([roc_auc(y == k, P[:, k]) for k in range(P.shape[1])])


def confusion_matrix(y_true: Any, y_pred: Any, labels: Sequence[Any] | Array) -> Array:
    """Count the rows of each true class by predicted class.

    Parameters
    ----------
    y_true, y_pred : array of shape (n,)
        True and predicted labels.
    labels : sequence of K labels
        All classes, in the order of the matrix.

    Returns
    -------
    counts : array of shape (K, K), int64
        Rows of class `labels[i]` that were predicted to be `labels[j]`, in row i and column j.

    Raises
    ------
    KeyError
        For a label that is not among `labels`.

    Examples
    --------
    >>> confusion_matrix(["a", "b", "b"], ["a", "b", "a"], ["a", "b"]).tolist()
    [[1, 0], [1, 1]]
    """
    place = {label: i for i, label in enumerate(np.asarray(labels).tolist())}
    K = len(place)
    true, predicted = (np.array([place[label] for label in np.asarray(y).tolist()], np.int64) for y in (y_true, y_pred))
    return np.bincount(true * K + predicted, minlength=K * K).reshape(K, K)
