"""Why: figures say how good a network is; its mistakes, its confidence and its worst rows say what to do about it.

In: rows with their targets and what was predicted. Out: sections of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.calibration import expected_calibration_error, reliability
from chainrule.report.page.charts import Line, bars, clipped, grid, lines, scatter
from chainrule.report.page.fields import matrix
from chainrule.report.page.html import Section, table
from chainrule.report.page.markup import Html, number
from chainrule.report.page.pixels import gray, images

BINS = 10
"""Bins of confidence in a reliability diagram."""

_MOST_CLASSES, _WORST, _COLUMNS = 60, 24, 6


@dataclass(frozen=True, eq=False)
class Judged:
    """Rows with what is true and what was said of them.

    `part` names them. For classes: `y` (n) true and `said` (n) predicted codes, `P` (n, K) probabilities, `classes` the
    labels. For amounts: `y` and `said` (n, k) in one unit, `P` and `classes` None. `X` (n, d) are the inputs as they are
    to be shown, `feature_names` their names, `shape` (height, width) where a row is an image.
    """

    part: str
    X: Array
    y: Array
    said: Array
    P: Array | None = None
    classes: tuple[object, ...] | None = None
    feature_names: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None


def sections(judged: Judged) -> list[Section | None]:
    """Mistakes, calibration, worst rows."""
    if judged.classes is None:
        return [residuals(judged), worst(judged)]
    return [mistakes(judged), calibration(judged), worst(judged)]


def confusion(judged: Judged) -> Array:
    """Rows of true class i called class j: (K, K)."""
    K = len(judged.classes or ())
    return np.bincount(judged.y * K + judged.said, minlength=K * K).reshape(K, K)


def mistakes(judged: Judged) -> Section | None:
    """The confusion matrix, and how many of each class are found."""
    names = judged.classes or ()
    if not 2 <= len(names) <= _MOST_CLASSES:
        return None
    counts = confusion(judged)
    with np.errstate(all="ignore"):
        recall = np.diag(counts) / counts.sum(axis=1)
    order = np.argsort(recall, kind="stable")[:20]
    drawn = [
        matrix("True classes (down) and predicted ones (across)", counts, names),
        bars(
            "Share of each class that was found" + (", the 20 lowest" if len(names) > 20 else ""),
            [str(names[i]) for i in order],
            [float(recall[i]) for i in order],
            x_name="share",
            include=(0.0, 1.0),
        ),
    ]
    return Section("Confusion matrix", grid(*drawn), f"On {len(judged.y)} {judged.part} rows.")


def calibration(judged: Judged) -> Section | None:
    """Whether rows said with probability p are right in a share p of cases."""
    if judged.P is None or not len(judged.y) or not np.isfinite(judged.P).all():
        return None
    confidence, right, share = reliability(judged.P, judged.y, BINS)
    seen = share > 0
    names = [f"{j / BINS:.1f} to {(j + 1) / BINS:.1f}" for j in np.flatnonzero(seen)]
    drawn = [
        lines(
            "Reliability",
            [
                Line("this network", confidence[seen], right[seen], 0, dots=True),
                Line("as sure as it is right", (0.0, 1.0), (0.0, 1.0), 7, dashed=True),
            ],
            x="probability of the predicted class",
            y="share right",
            within=(0.0, 1.0),
        ),
        bars(
            "Rows by probability of the predicted class", names, [float(v) for v in share[seen]], x_name="share of rows"
        ),
    ]
    error = expected_calibration_error(judged.P, judged.y, BINS)
    lead = (
        f"Mean distance from the dashed line: {number(100 * error, 2)} points. Below the line the network is too sure."
    )
    return Section("Calibration", grid(*drawn), lead)


def residuals(judged: Judged) -> Section | None:
    """Predicted against true amounts, and the histogram of what is left; of the first target where there are several."""
    y, said = (np.asarray(a, np.float64).reshape(len(judged.y), -1)[:, 0] for a in (judged.y, judged.said))
    left = (said - y)[np.isfinite(said - y)]
    if not len(left):
        return None
    counts, edges = np.histogram(left, bins=min(30, max(5, int(np.sqrt(len(left))))))
    middles = (edges[1:] + edges[:-1]) / 2
    drawn = [
        scatter("Predicted against true", y, said, x_name="true", y_name="predicted", diagonal=True),
        scatter("Residuals", said, said - y, x_name="predicted", y_name="predicted − true"),
        lines(
            "Histogram of the residuals",
            [Line("rows", middles, counts, 0, dots=True)],
            x="predicted − true",
            y="rows",
            within=(0.0,),
        ),
    ]
    center, spread = number(float(left.mean())), number(float(left.std()))
    words = f"On {len(y)} {judged.part} rows: mean {center}, standard deviation {spread}."
    return Section("Residuals", grid(*drawn), words)


def losses(judged: Judged) -> Array:
    """How wrong each row is (n): minus the logarithm of the true class's probability, or the largest error."""
    if judged.P is None:
        return np.abs(np.asarray(judged.said - judged.y, np.float64)).reshape(len(judged.y), -1).max(axis=1)
    p = judged.P[np.arange(len(judged.y)), judged.y]
    return -np.log(np.maximum(p, 1e-12))


def worst(judged: Judged) -> Section | None:
    """The rows that the network is most wrong about: as images, or in a table."""
    wrong = losses(judged)
    order = np.argsort(-np.nan_to_num(wrong, nan=np.inf), kind="stable")
    if judged.classes is not None:
        order = order[judged.said[order] != judged.y[order]]
    order = order[: _WORST if judged.shape else _WORST // 2]
    if not len(order):
        return None
    body = _pictures(judged, order) if judged.shape else _rows(judged, order, wrong)
    lead = "Surely wrong rows are often wrongly labeled ones." if judged.classes is not None else "The largest errors."
    return Section("Worst examples", body, lead)


def _pictures(judged: Judged, order: Array) -> Html:
    pixels = [gray(judged.X[i].reshape(judged.shape)) for i in order]
    words = [f"row {i}: true {_true(judged, i)}, predicted {_said(judged, i)}" for i in order]
    return images(
        pixels, words, [f"{clipped(_true(judged, i), 10)}, said {clipped(_said(judged, i), 14)}" for i in order]
    )


def _rows(judged: Judged, order: Array, wrong: Array) -> Html:
    names = judged.feature_names or tuple(f"x{j}" for j in range(judged.X.shape[1]))
    shown = _extreme(judged.X, order)
    header = ["row", "true", "predicted", *(clipped(names[j], 24) for j in shown)]
    rows = [[int(i), _true(judged, i), _said(judged, i), *(float(judged.X[i, j]) for j in shown)] for i in order]
    return table(header, rows)


def _extreme(X: Array, order: Array) -> Sequence[int]:
    """The few columns in which these rows lie furthest from the others, in their own order."""
    values = np.asarray(X, np.float64)
    with np.errstate(all="ignore"):
        far = np.abs((values[order] - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-12)).mean(axis=0)
    return sorted(int(j) for j in np.argsort(-np.nan_to_num(far), kind="stable")[:_COLUMNS])


def _true(judged: Judged, i: int) -> str:
    return _amount(judged.y[i]) if judged.classes is None else str(judged.classes[int(judged.y[i])])


def _said(judged: Judged, i: int) -> str:
    if judged.classes is None:
        return _amount(judged.said[i])
    label = str(judged.classes[int(judged.said[i])])
    return label if judged.P is None else f"{label} ({100 * float(judged.P[i].max()):.0f} %)"


def _amount(value: Array) -> str:
    return ", ".join(number(float(v), 4) for v in np.ravel(value)[:3])
