"""How good a model is on rows with known targets.

In: a `Model`, rows and targets in the user's units; labels and predicted labels. Out: scores by name; a confusion matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.model import Model
from chainrule.target import Target


def evaluate(model: Model, X: Array, y: Array) -> dict[str, float]:
    """Return the mean loss of a model on some rows, and its accuracy, or its RMSE and R2.

    With several targets of classes, a row is right when all of its targets are.

    Parameters
    ----------
    model : Model
        The model to evaluate.
    X : array of shape (n, d)
        Rows in the user's units.
    y : array of shape (n,) or (n, k)
        Their targets, in the user's units or as labels.

    Returns
    -------
    scores : dict of str to float
        `loss` in the unit of the loss; `accuracy` for classes; `rmse` and `r2` in the unit of the targets otherwise.
    """
    Y = Target.of(model).encode(y)
    loss = float(model.loss.rows(np, model.scores(X), Y).mean())
    predicted = model.predict(X)
    if model.classes is not None:
        right = predicted == y
        return {"loss": loss, "accuracy": float((right if right.ndim == 1 else right.all(axis=1)).mean())}
    error = float(((predicted - y) ** 2).mean())
    spread = float(np.var(y, axis=0).mean())
    r2 = 1.0 - error / spread if spread > 0 else float("nan")
    return {"loss": loss, "rmse": error**0.5, "r2": r2}


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
