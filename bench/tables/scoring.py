"""Scores of test predictions. The first one, `score`, ranks: the RMSE or the log loss, so lower is better."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score, root_mean_squared_error

from bench.tables.splits import Array
from bench.tables.tables import Task

FLOOR = 1e-6
"""Probabilities below this count as this, for every peer, so that one row cannot decide the log loss of a rare class."""


def scores(task: Task, y: Array, values: Array) -> dict[str, float]:
    """Return RMSE and R2, or log loss, accuracy, and with two classes AUC."""
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} predicted values are not finite")
    if task == "regression":
        return {"score": float(root_mean_squared_error(y, values)), "r2": float(r2_score(y, values))}
    found = {"score": log_loss(y, values), "accuracy": float(accuracy_score(y, values.argmax(1)))}
    if values.shape[1] == 2:
        found["auc"] = float(roc_auc_score(y, values[:, 1]))
    return found


def log_loss(y: Array, probabilities: Array) -> float:
    """Return the mean of -log of the probability of the true class."""
    p = np.clip(probabilities.astype(np.float64), FLOOR, 1.0)
    p = p / p.sum(axis=1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y]).mean())
