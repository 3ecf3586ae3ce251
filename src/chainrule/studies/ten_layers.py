"""The lecture's toy: ten layers that multiply by 1.5, by 0.5 or by 1. What each multiplies, all of them raise to a power.

In: a factor, a direction of one seed. Out: the size of the signal after each layer, and of the gradient before each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.layers import Context, Dense
from chainrule.nn.net import Net
from chainrule.report.plots import Curve, LinePlot
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, at_least, at_most
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_LAYERS = 10
_FACTORS = (1.5, 1.0, 0.5)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"weights of {factor:g}": {"factor": factor} for factor in _FACTORS}


def _run(cell: Cell) -> dict[str, Any]:
    net = Net(2, [Dense(2, bias=False) for _ in range(_LAYERS)])
    w = np.concatenate([np.ravel(cell.options["factor"] * np.eye(2)) for _ in range(_LAYERS)])
    turn = np.random.default_rng(cell.seed).uniform(0.0, 2.0 * np.pi)
    one = np.array([[np.cos(turn), np.sin(turn)]])
    traces = net.trace(w, np.zeros(0), one, lambda Z: one, Context(np))
    dX = net.backward(w, net.forward(w, np.zeros(0), one, Context(np))[1], one, Context(np))[0]
    signal = [1.0, *(float(np.linalg.norm(trace.output)) for trace in traces)]
    gradient = [float(np.linalg.norm(dX)), *(float(np.linalg.norm(trace.gradient)) for trace in traces)]
    return {"signal": signal, "gradient": gradient, "out": signal[-1], "back": gradient[0]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def off(factor: float) -> Array:
        found = np.concatenate([results.values(f"weights of {factor:g}", name) for name in ("out", "back")])
        return np.abs(found / factor**_LAYERS - 1.0)

    figure = "signal and gradient, relative distance from the factor to the power of ten"
    large, same, small = _FACTORS
    return (
        *(at_most(f"weights of {factor:g}", figure, off(factor), 1e-9) for factor in (large, small)),
        at_least(
            f"weights of {large:g}", "signal after ten layers", results.values(f"weights of {large:g}", "out"), 50
        ),
        at_most(
            f"weights of {small:g}", "signal after ten layers", results.values(f"weights of {small:g}", "out"), 0.002
        ),
        at_least(
            f"weights of {same:g}",
            "signal after ten layers",
            results.values(f"weights of {same:g}", "out"),
            50,
            shown=False,
        ),
    )


def _conclude(results: Results) -> Conclusion:
    out = {arm: float(results.values(arm, "out").mean()) for arm in results.arms}
    back = {arm: float(results.values(arm, "back").mean()) for arm in results.arms}
    expected = dict(zip(results.arms, (factor**_LAYERS for factor in _FACTORS), strict=True))
    exact = all(
        abs(found[arm] / expected[arm] - 1) < 1e-9 for found in (out, back) for arm in results.arms if expected[arm]
    )
    sentence = (
        f"After {_LAYERS} layers the signal is multiplied by {out['weights of 1.5']:.3g} with weights of 1.5, by "
        f"{out['weights of 0.5']:.2g} with 0.5 and by {out['weights of 1']:.3g} with 1. The gradient that comes back to the "
        f"inputs is multiplied by {back['weights of 1.5']:.3g}, {back['weights of 0.5']:.2g} and "
        f"{back['weights of 1']:.3g}, which {'is' if exact else 'is NOT'} the factor to the power of ten."
    )
    header, table = results.table(signal_out=("out", 1, ""), gradient_back=("back", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    def panel(title: str, name: str) -> LinePlot:
        at = np.arange(_LAYERS + 1)
        curves = [
            Curve(arm, at, results.values(arm, name).mean(axis=0), i, dots=True) for i, arm in enumerate(results.arms)
        ]
        return LinePlot(title, curves, x_name="layer", y_name=name, y_log=True)

    return {"Ten layers of equal weights": [panel("Signal", "signal"), panel("Gradient", "gradient")]}


STUDY = Study(
    name="ten-layers",
    title="Ten layers of 1.5 and of 0.5",
    claim="Ten layers with weights of 1.5 explode (1.5¹⁰ = 57.7), with weights of 0.5 vanish (0.5¹⁰ = 0.001).",
    source="lecture 12, 7.4",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Two inputs, identity activations, no biases: W is the factor times the identity matrix in every layer.",
)
