"""The pictures of all studies, as plots, so that a reader learns to read them once.

In: curves and values by arm and seed. Out: plots that `report.svg` draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.report.plots import NEUTRAL, BarPlot, Curve, LinePlot, Plot
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Results

Pictures = Mapping[str, Sequence[Plot]]
"""Panels by the caption over them."""

READING = (
    "Lines are medians over the seeds, and their bands go from the lowest seed to the highest. Bars are means, their "
    "dots are the seeds, and their whiskers are 95 % intervals."
)


def curves(
    title: str,
    by_arm: Mapping[str, Array],
    x: Array | None = None,
    *,
    colors: Mapping[str, int] | None = None,
    dashed: Sequence[str] = (),
    most: float = np.inf,
    **axes: Any,
) -> LinePlot:
    """Return the median over seeds of each arm's curve, with a band from the lowest to the highest seed.

    Parameters
    ----------
    title : str
        What is shown.
    by_arm : mapping of str to array of shape (seeds, length)
        Curves by the name of the arm.
    x : array of shape (length,), default=None
        Positions; by default 1, 2, ...
    colors : mapping of str to int, default=None
        Places in the palette, so that an arm has the same color in all panels; by default the order of the arms.
    dashed : sequence of str, default=()
        Arms to draw dashed, such as those that coincide with another.
    most : float, default=inf
        Larger values are drawn here: a run that explodes should not hide the others.
    **axes
        Further fields of `LinePlot`.
    """
    drawn = []
    for i, (arm, found) in enumerate(by_arm.items()):
        values = np.minimum(found, most)
        at = np.arange(1, values.shape[1] + 1) if x is None else np.asarray(x)[: values.shape[1]]
        low, high = (values.min(axis=0), values.max(axis=0)) if len(values) > 1 else (None, None)
        color = i if colors is None else colors[arm]
        drawn.append(
            Curve(arm, at, np.median(values, axis=0), color, low, high, dots=len(at) < 6, dashed=arm in dashed)
        )
    return LinePlot(title, drawn, **axes)


def means(
    title: str, by_arm: Mapping[str, Sequence[Array]], x: Sequence[float], *, colors: Mapping[str, int], **axes: Any
) -> LinePlot:
    """Return the mean over seeds at each position (values by position), with a band of the 95 % interval above 0."""
    drawn = []
    for arm, values in by_arm.items():
        found = [estimate(part) for part in values]
        low = [max(e.mean - np.nan_to_num(e.half), 0.0) for e in found]
        high = [e.mean + np.nan_to_num(e.half) for e in found]
        drawn.append(Curve(arm, x, [e.mean for e in found], colors[arm], low, high, dots=True))
    return LinePlot(title, drawn, **axes)


def bars(
    title: str, by_arm: Mapping[str, Array], x_name: str, *, colors: Mapping[str, int] | None = None, **more: Any
) -> BarPlot:
    """Return a bar at the mean of each arm's values (seeds), with its 95 % interval and every seed.

    What is measured is never below 0, so intervals end there.
    """
    found = [estimate(values) for values in by_arm.values()]
    return BarPlot(
        title,
        list(by_arm),
        [e.mean for e in found],
        x_name,
        intervals=[(max(e.mean - e.half, 0.0), e.mean + e.half) for e in found],
        points=[[float(v) for v in values] for values in by_arm.values()],
        colors=[i if colors is None else colors[arm] for i, arm in enumerate(by_arm)],
        **more,
    )


def loss_and_error(results: Results, **loss: Any) -> Sequence[Plot]:
    """Return the training loss by epoch and the final test error of each arm; `loss` are further options of the first."""
    losses = {arm: results.values(arm, "train_loss") for arm in results.arms}
    errors = {arm: 100 * results.values(arm, "test_error") for arm in results.arms}
    return (
        curves("Training loss", losses, y_log=True, y_name="training loss", **loss),
        bars("Test error", errors, "test error, %"),
    )


def bowl(title: str, H: Array, path: Array, reach: float, *, names: tuple[str, str], color: int = 1) -> LinePlot:
    """Return a path (steps, 2) over contours of the quadratic wᵀ H w, on axes of equal scale.

    `reach` is where the vertical axis ends; the horizontal one is longer, as the plot is.
    """
    height = 300.0
    across = reach * (420.0 - 70.0) / (height - 50.0)
    values, vectors = np.linalg.eigh(H)
    turn = np.linspace(0.0, 2.0 * np.pi, 181)
    largest = float(values[1] * reach**2)
    contours = []
    for level in np.geomspace(largest / 3000.0, largest * 3.0, 10):
        circle = np.stack([np.cos(turn) / np.sqrt(values[0]), np.sin(turn) / np.sqrt(values[1])])
        ellipse = np.sqrt(level) * (vectors @ circle)
        ellipse[:, (np.abs(ellipse[0]) > across) | (np.abs(ellipse[1]) > reach)] = np.nan
        contours.append(Curve("contour of the loss", ellipse[0], ellipse[1], NEUTRAL, thin=True))
    steps = Curve("path", path[:, 0], path[:, 1], color, dots=len(path) < 80)
    x, y = (-across, across), (-reach, reach)
    return LinePlot(title, [*contours, steps], names[0], names[1], x_limits=x, y_limits=y, height=height)
