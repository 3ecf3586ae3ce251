"""What a model answers for rows, in one form for every kind of model and every format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.plan import InferencePlan
from chainrule.prediction import Predictor

Rows: TypeAlias = "Array | Sequence[Mapping[str, Any]]"
"""Rows of a matrix (n, d), or of a table as dictionaries from column to cell."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Predictions for n rows.

    Parameters
    ----------
    numbers : array of shape (n, k)
        "classes", "binary" and "several": the probability of every class (binary: of both; several: block by block).
        "labels": of every label. "values": values in their units. "quantiles": target by target, ascending.
    labels : tuple of array
        Predicted classes of each target: one array (n,) for "classes" and "binary", one for each of "several"; for
        "labels" one array (n, k) of 0 and 1. Empty for values and quantiles.
    """

    numbers: Array
    labels: tuple[Array, ...] = ()


def model_answers(model: Predictor, plan: InferencePlan, rows: Rows) -> Answers:
    """Return what the model itself answers.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model that the plan was lowered from.
    plan : InferencePlan
        Its plan.
    rows : array of shape (n, d) or list of dict
        Rows in the user's units.

    Returns
    -------
    Answers
    """
    kind = plan.output.kind
    if kind == "quantiles":
        return Answers(np.asarray(model.predict_quantiles(rows)).reshape(len(rows), -1))
    predicted = np.asarray(model.predict(rows))
    if kind == "values":
        return Answers(predicted.reshape(len(rows), -1))
    labels = tuple(predicted.T) if kind == "several" else (predicted,)
    return Answers(model.probabilities(rows), labels)
