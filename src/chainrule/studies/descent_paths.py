"""Paths down a bowl: straight with all rows, meandering with few, at a price per step that is the number of rows read.

In: a linear regression of two weights, a batch size. Out: the path over the contours of the loss; steps and rows read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, below, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_ROWS, _GOAL, _MOST = 200, 0.3, 2000
_RATE, _NOISE = 0.05, 1.0
_CURVATURE = np.diag([1.0, 3.0])
_BATCHES: Mapping[str, int] = {"batch: all rows": _ROWS, "mini-batch: 20 rows": 20, "stochastic: 1 row": 1}


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"size": size} for name, size in _BATCHES.items()}


def _run(cell: Cell) -> dict[str, Any]:
    draw = np.random.default_rng(cell.seed)
    X = draw.normal(size=(_ROWS, 2)) @ np.sqrt(_CURVATURE)
    best = np.zeros(2)
    y = X @ best + draw.normal(0.0, _NOISE, _ROWS)
    bottom = np.linalg.lstsq(X, y, rcond=None)[0]
    w = np.array([-1.8, 1.4])
    size = cell.options["size"]
    path = [w - bottom]
    while np.linalg.norm(path[-1]) > _GOAL and len(path) <= _MOST:
        i = draw.permutation(_ROWS)[:size]
        w = w - _RATE * X[i].T @ (X[i] @ w - y[i]) / size
        path.append(w - bottom)
    at = np.array(path)
    length = float(np.linalg.norm(np.diff(at, axis=0), axis=1).sum())
    steps = len(path) - 1
    return {
        "path": [[float(f"{v:.4g}") for v in point] for point in path[:200]],
        "steps": steps,
        "rows_read": steps * size,
        "detour": length / float(np.linalg.norm(at[0] - at[-1])),
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    batch, mini, single = results.arms

    def between(figure: str, a: str, b: str) -> Array:
        return ratio(results.values(a, figure), results.values(b, figure))

    detour, read = "length over a straight line", "rows read"
    return (
        below("all rows over 20", detour, between("detour", batch, mini), unit="times"),
        below("20 rows over one", detour, between("detour", mini, single), unit="times"),
        below("one row over 20", read, between("rows_read", single, mini), unit="times"),
        below("20 rows over all", read, between("rows_read", mini, batch), unit="times"),
        below("one row over all", "steps", between("steps", single, batch), unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    batch, mini, single = results.arms
    detour = {arm: estimate(results.values(arm, "detour")) for arm in results.arms}
    read = {arm: estimate(results.values(arm, "rows_read")) for arm in results.arms}
    steps = {arm: estimate(results.values(arm, "steps")) for arm in results.arms}
    meander = detour[batch].mean < detour[mini].mean < detour[single].mean
    cheap = read[single].mean < read[mini].mean < read[batch].mean
    sentence = (
        f"The path with all rows is {detour[batch].text(3)} times as long as a straight line, with 20 rows "
        f"{detour[mini].text(3)} and with one row {detour[single].text(3)} times, so smaller batches "
        f"{'meander more' if meander else 'do not meander more'}. They take {steps[batch].text(3)}, {steps[mini].text(3)} "
        f"and {steps[single].text(3)} steps, and read {read[batch].text(3)}, {read[mini].text(3)} and "
        f"{read[single].text(3)} rows: {'the fewer rows a step has, the cheaper the path' if cheap else 'no cheaper'}."
    )
    header, table = results.table(
        length_over_straight_line=("detour", 1, ""), steps=("steps", 1, ""), rows_read=("rows_read", 1, "")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for i, arm in enumerate(results.arms):
        record = results.of_arm(arm)[0]
        title = f"{arm}, {record['steps']} steps"
        path = np.array(record["path"])
        panels.append(drawing.bowl(title, _CURVATURE, path, 2.2, names=("w₁", "w₂"), color=i))
    return {"Paths over the contours of the loss, first seed": panels}


STUDY = Study(
    name="descent-paths",
    title="Paths of batch, mini-batch and stochastic descent",
    claim="Batch descent goes straight in heavy steps; mini-batch and stochastic descent meander in light ones.",
    source="lecture 12, 7.5 (optimization)",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        f"Linear regression with two weights on {_ROWS} rows, a rate of {_RATE:g}, until the distance to the minimum is "
        f"{_GOAL:g}. A step costs the rows that it reads."
    ),
)
