"""How good a network's predictions are: its mistakes, its calibration, and the rows it is most wrong about.

In: rows with their targets and predictions. Out: sections of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.pipeline.evaluation import confusion_matrix
from chainrule.report import series
from chainrule.report.page.html import Section, table
from chainrule.report.plots import BarPlot, Points, ScatterPlot
from chainrule.report.svg.charts import figure
from chainrule.report.svg.fields import matrix
from chainrule.report.svg.frames import clipped, grid
from chainrule.report.svg.markup import Html, number
from chainrule.report.svg.pixels import gray, images

BINS = 10
"""Bins of confidence in a reliability diagram."""

_MOST_CLASSES = 60
_WORST = 24
_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Rows with their targets and predictions.

    Parameters
    ----------
    part : str
        What the rows are called: "test", "validation", "training".
    X : array of shape (n, d)
        Inputs, in the units to show.
    y, predicted : array
        For classes, true and predicted class numbers (n,). For continuous targets, values (n, k) in one unit.
    P : array of shape (n, K), default=None
        Probabilities of the classes; None for continuous targets.
    classes : tuple, default=None
        Labels of the classes; None for continuous targets.
    feature_names : tuple of str, default=()
        Names of the inputs.
    shape : pair of int, default=None
        Height and width where a row is an image.
    """

    part: str
    X: Array
    y: Array
    predicted: Array
    P: Array | None = None
    classes: tuple[object, ...] | None = None
    feature_names: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None


def sections(judged: JudgedRows) -> list[Section | None]:
    """Return the sections on mistakes, calibration and worst rows."""
    if judged.classes is None:
        return [residuals(judged), worst(judged)]
    return [mistakes(judged), calibration(judged), worst(judged)]


def mistakes(judged: JudgedRows) -> Section | None:
    """Show the confusion matrix of the rows."""
    names = judged.classes or ()
    if len(names) < 2:
        return None
    return confusion(confusion_matrix(judged.y, judged.predicted, range(len(names))), names, judged.part)


def confusion(counts: Array, names: Sequence[object], part: str) -> Section | None:
    """Show a confusion matrix (K, K), and precision, recall and F1 of each class."""
    K = len(names)
    if not 2 <= K <= _MOST_CLASSES:
        return None
    scores = series.class_scores(counts)
    order = np.argsort(scores[:, 2], kind="stable")[:20]
    recall = BarPlot(
        "Recall: share of each class that was found" + (", the 20 classes with the lowest F1" if K > 20 else ""),
        [str(names[i]) for i in order],
        [float(scores[i, 1]) for i in order],
        x_name="share",
        include=(0.0, 1.0),
    )
    rows = [[str(names[i]), int(counts[i].sum()), *(float(v) for v in scores[i])] for i in order]
    by_class = table(["class", "rows", "precision", "recall", "F1"], rows)
    heat = matrix("True classes (down) and predicted ones (across)", counts, names)
    return Section("Confusion matrix", grid(heat, figure(recall), by_class), f"On {int(counts.sum())} {part} rows.")


def calibration(judged: JudgedRows) -> Section | None:
    """Show whether rows predicted with probability p are right in a share p of cases."""
    if judged.P is None or not len(judged.y) or not np.isfinite(judged.P).all():
        return None
    diagram = series.calibration(judged.P, judged.y, BINS)
    names = [f"{j / BINS:.1f} to {(j + 1) / BINS:.1f}" for j in np.flatnonzero(diagram.seen)]
    shares = [float(v) for v in diagram.share[diagram.seen]]
    rows = BarPlot("Rows by probability of the predicted class", names, shares, x_name="share of rows")
    lead = (
        f"Mean distance from the dashed line: {number(100 * diagram.error, 2)} points. "
        "Below the line the network is overconfident."
    )
    return Section("Calibration", grid(figure(diagram.plot()), figure(rows)), lead)


def residuals(judged: JudgedRows) -> Section | None:
    """Show predicted against true values and the residuals; of the first target if there are several."""
    y, predicted = (np.asarray(a, np.float64).reshape(len(judged.y), -1)[:, 0] for a in (judged.y, judged.predicted))
    error = predicted - y
    known = error[np.isfinite(error)]
    if not len(known):
        return None
    against = ScatterPlot("Predicted against true", [Points("", y, predicted)], "true", "predicted", diagonal=True)
    by_value = ScatterPlot("Residuals", [Points("", predicted, error)], "predicted", "predicted − true")
    drawn = [figure(against), figure(by_value), figure(series.residual_histogram(known))]
    center, spread = number(float(known.mean())), number(float(known.std()))
    words = f"On {len(y)} {judged.part} rows: mean {center}, standard deviation {spread}."
    return Section("Residuals", grid(*drawn), words)


def row_losses(judged: JudgedRows) -> Array:
    """Return how wrong each row is (n): minus the log probability of its true class, or its largest absolute error."""
    if judged.P is None:
        return np.abs(np.asarray(judged.predicted - judged.y, np.float64)).reshape(len(judged.y), -1).max(axis=1)
    p = judged.P[np.arange(len(judged.y)), judged.y]
    return -np.log(np.maximum(p, 1e-12))


def worst(judged: JudgedRows) -> Section | None:
    """Show the rows that the network is most wrong about, as images or in a table."""
    wrong = row_losses(judged)
    order = np.argsort(-np.nan_to_num(wrong, nan=np.inf), kind="stable")
    if judged.classes is not None:
        order = order[judged.predicted[order] != judged.y[order]]
    order = order[: _WORST if judged.shape else _WORST // 2]
    if not len(order):
        return None
    body = _pictures(judged, order) if judged.shape else _rows(judged, order)
    classes = "Rows that are wrong with high confidence are often mislabeled."
    return Section("Worst examples", body, classes if judged.classes is not None else "The largest errors.")


def _pictures(judged: JudgedRows, order: Array) -> Html:
    pixels = [gray(judged.X[i].reshape(judged.shape)) for i in order]
    words = [f"row {i}: true {_true(judged, i)}, predicted {_predicted(judged, i)}" for i in order]
    captions = [f"{clipped(_true(judged, i), 10)}, predicted {clipped(_predicted(judged, i), 14)}" for i in order]
    return images(pixels, words, captions)


def _rows(judged: JudgedRows, order: Array) -> Html:
    names = judged.feature_names or tuple(f"x{j}" for j in range(judged.X.shape[1]))
    shown = _extreme(judged.X, order)
    header = ["row", "true", "predicted", *(clipped(names[j], 24) for j in shown)]
    rows = [[int(i), _true(judged, i), _predicted(judged, i), *(float(judged.X[i, j]) for j in shown)] for i in order]
    return table(header, rows)


def _extreme(X: Array, order: Array) -> Sequence[int]:
    """Return the few columns in which these rows are furthest from the others, in their own order."""
    values = np.asarray(X, np.float64)
    with np.errstate(all="ignore"):
        far = np.abs((values[order] - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)).mean(axis=0)
    return sorted(int(j) for j in np.argsort(-np.nan_to_num(far), kind="stable")[:_COLUMNS])


def _true(judged: JudgedRows, i: int) -> str:
    return _value(judged.y[i]) if judged.classes is None else str(judged.classes[int(judged.y[i])])


def _predicted(judged: JudgedRows, i: int) -> str:
    if judged.classes is None:
        return _value(judged.predicted[i])
    label = str(judged.classes[int(judged.predicted[i])])
    return label if judged.P is None else f"{label} ({100 * float(judged.P[i].max()):.0f} %)"


def _value(value: Array) -> str:
    return ", ".join(number(float(v), 4) for v in np.ravel(value)[:3])
