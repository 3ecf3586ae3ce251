"""Predictions as the lines that `chainrule predict` prints.

In: a model, the matrix of its rows. Out: predictions and probabilities, the names of their columns, cells of CSV that a
spreadsheet can open safely.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.display import csv_text
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.pipeline import labels_at


def answers(model: Model | Pack, X: Array, threshold: float | None, probabilities: bool) -> tuple[Array, Array | None]:
    """Return predictions, and probabilities if they are wanted."""
    P = model.probabilities(X) if probabilities or threshold is not None else None
    if threshold is not None and P is not None and isinstance(model.classes, np.ndarray):
        predicted = labels_at(model.classes, P, threshold)
    else:
        predicted = model.predict(X)
    return predicted, P if probabilities else None


def answer_names(model: Model | Pack, probabilities: bool) -> list[str]:
    """Return the names of the columns of predictions and probabilities."""
    columns = _prediction_columns(model)
    names = [model.target_name] if columns == 1 else [f"{model.target_name}_{j}" for j in range(columns)]
    if probabilities and model.classes is not None:
        known = model.classes if isinstance(model.classes, tuple) else (model.classes,)
        names += [f"probability_{label}" for labels in known for label in labels]
    return names


def _prediction_columns(model: Model | Pack) -> int:
    """Return how many values are predicted for a row."""
    if isinstance(model.classes, tuple):
        return len(model.classes)
    if model.multilabel:
        return model.outputs
    return 1 if model.classes is not None else model.outputs // model.loss.outputs_per_target


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of cells as lines of csv."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def cell_text(value: Any) -> Any:
    """Return a value of a csv cell: text that no spreadsheet runs as a formula, or a number."""
    return csv_text(value) if isinstance(value, str) else value


def kept_text(value: Any) -> Any:
    """Return a cell of a kept column as it is written, empty for a gap."""
    plain = plain_cell(value)
    return "" if plain is None else csv_text(plain, numbers=True) if isinstance(plain, str) else plain


def plain_cell(value: Any) -> Any:
    """Return a date as text, and every other cell as it is."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, dt.timedelta) else value
