"""Why: how good a model is, on rows that may be anyone's, is asked in the same words everywhere.

In: a `Model`, rows and targets in the user's units. Out: figures by name, a confusion matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.model import Model
from chainrule.pipeline.targets import target_of


def evaluate(model: Model, X: Array, y: Array) -> dict[str, float]:
    """Mean loss, in the loss's own (scaled) unit, and accuracy, or rmse and r2 in the targets' unit.

    With several targets of classes, a row is right when all of them are.
    """
    Y = target_of(model).encode(y)
    loss = float(model.loss.rows(np, model.scores(X), Y).mean())
    predicted = model.predict(X)
    if model.classes is not None:
        right = predicted == y
        return {"loss": loss, "accuracy": float((right if right.ndim == 1 else right.all(axis=1)).mean())}
    error, spread = float(((predicted - y) ** 2).mean()), float(np.var(y, axis=0).mean())
    r2 = 1.0 - error / spread if spread > 0 else float("nan")
    return {"loss": loss, "rmse": error**0.5, "r2": r2}


def confusion(model: Model, X: Array, y: Array) -> Array:
    """Rows of true class i that were called class j: (K, K) whole numbers. For a single target of classes only."""
    classes: Any = model.classes
    K = len(classes)
    pairs = np.searchsorted(classes, y) * K + np.searchsorted(classes, model.predict(X))
    return np.bincount(pairs, minlength=K * K).reshape(K, K)
