"""Where an activation is flat it passes no gradient back: slopes, and the share of entries at which they are lost.

In: an activation, inputs of one seed. Out: the function and its slope on a grid; the share of entries with a tiny slope.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.activations import activation
from chainrule.report.plots import Curve, LinePlot
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, at_least, at_most, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_NAMES = ("sigmoid", "tanh", "relu", "leaky_relu")
_SPREAD, _FLAT = 5.0, 0.01
"""Standard deviation of the inputs; a slope below which a gradient is lost within a few layers."""
_GRID = np.linspace(-10.0, 10.0, 161)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"activation": name} for name in _NAMES}


def _run(cell: Cell) -> dict[str, Any]:
    g = activation(cell.options["activation"])

    def slope(Z: Any) -> Any:
        return np.broadcast_to(g.derivative(np, Z, g.value(np, Z)), Z.shape)

    Z = np.random.default_rng(cell.seed).normal(0.0, _SPREAD, 1000)
    positive, negative = slope(np.array([10.0]))[0], slope(np.array([-10.0]))[0]
    return {
        "slope_at_10": float(positive),
        "slope_at_minus_10": float(negative),
        "flat": float((slope(Z) < _FLAT).mean()),
        "flat_positive": float((slope(Z[Z > 0]) < _FLAT).mean()),
        "value": [float(f"{v:.4g}") for v in g.value(np, _GRID)],
        "slope": [float(f"{v:.4g}") for v in slope(_GRID)],
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    at = {arm: results.values(arm, "slope_at_10") for arm in results.arms}
    middle = results.values("sigmoid", "slope")[:, len(_GRID) // 2]
    return (
        at_most("sigmoid", "slope at z = 10", at["sigmoid"], _FLAT),
        at_most("tanh", "slope at z = 10", at["tanh"], _FLAT),
        at_least("relu", "slope at z = 10", at["relu"], 1),
        at_most("relu", "share of flat positive inputs", results.values("relu", "flat_positive"), 0),
        at_most("sigmoid", "slope at z = 0", middle, _FLAT, shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    at = {arm: results.values(arm, "slope_at_10")[0] for arm in results.arms}
    flat = {arm: estimate(results.values(arm, "flat_positive")) for arm in results.arms}
    saturates = at["sigmoid"] < _FLAT and at["tanh"] < _FLAT
    verb = "are flat there" if saturates else "are not flat there"
    sentence = (
        f"At z = 10 the slope of sigmoid is {at['sigmoid']:.2g} and that of tanh {at['tanh']:.2g}, so both {verb}; that of "
        f"relu is {at['relu']:g}. Of positive inputs with a standard deviation of {_SPREAD:g}, sigmoid loses "
        f"{flat['sigmoid'].text(2, 100, '%')}, tanh {flat['tanh'].text(2, 100, '%')} and relu "
        f"{flat['relu'].text(2, 100, '%')} (slope below {_FLAT:g}). relu pays on the other side, where its slope is 0; "
        f"leaky relu keeps {results.values('leaky_relu', 'slope_at_minus_10')[0]:.2g}."
    )
    header, table = results.table(
        slope_at_10=("slope_at_10", 1, ""),
        slope_at_minus_10=("slope_at_minus_10", 1, ""),
        flat_entries=("flat", 100, "%"),
        flat_positive_entries=("flat_positive", 100, "%"),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    def panel(title: str, name: str, low: float, top: float) -> LinePlot:
        curves = []
        for i, arm in enumerate(results.arms):
            found = np.array(results.of_arm(arm)[0][name])
            shown = np.where(found <= top, found, np.nan)
            curves.append(Curve(arm, _GRID, shown, i, dashed=arm == "leaky_relu"))
        return LinePlot(title, curves, x_name="z", y_name=name, y_limits=(low, top))

    values = panel("Activations", "value", -1.2, 3.0)
    slopes = panel("Their slopes", "slope", -0.05, 1.1)
    return {"Functions, and the slopes that backpropagation multiplies by": [values, slopes]}


STUDY = Study(
    name="saturation",
    title="Saturation: the slopes of activations",
    claim="For a very large or very small z the slope of sigmoid and tanh is almost 0; that of relu is 1 for every z > 0.",
    source="lecture 12, 7.2",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=f"A flat entry has a slope below {_FLAT:g}: it passes less than a hundredth of its gradient back.",
)
