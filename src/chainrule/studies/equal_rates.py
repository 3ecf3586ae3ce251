"""What momentum damps and what it speeds up, every method at the same rate: near the limit of descent, and far below it.

In: a bowl and a start of one seed, a method, a rate. Out: the swing across the valley, and what is left along it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.optimizers import SGD, EmaMomentum, Optimizer, SGDMomentum, StepContext
from chainrule.report.plots import Curve, LinePlot
from chainrule.studies import drawing
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_METHODS: Mapping[str, Optimizer] = {"descent": SGD(), "mean of gradients": EmaMomentum(), "classical": SGDMomentum()}
_RATES = {"just below the limit": (1.95, 1.99), "at half of it": (0.9, 1.1)}
"""Ends of the rates, times the largest curvature; descent diverges at 2."""

_STEPS = 40


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {f"{name}, {rate}": {"method": name, "rate": rate} for rate in _RATES for name in _METHODS}


def _run(cell: Cell) -> dict[str, Any]:
    draw = np.random.default_rng(cell.seed)
    k = float(10 ** draw.uniform(1.5, 2.5))
    optimizer, rate = _METHODS[cell.options["method"]], float(draw.uniform(*_RATES[cell.options["rate"]])) / k
    w = np.ones(2)
    memory: Mapping[str, Any] = {letter: np.zeros(2) for letter in optimizer.state_names}
    path = [w]
    for t in range(1, _STEPS + 1):
        w, memory = optimizer.update(w, np.array([1.0, k]) * w, memory, StepContext(np, t, rate, np.zeros(2)))
        path.append(w)
    along, across = np.array(path).T
    late = across[_STEPS // 2 :]
    return {
        "condition": k,
        "swing": float(np.sqrt(np.mean(late**2))),
        "left": float(abs(along[-1])),
        "across": [float(f"{v:.4g}") for v in across],
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def against(method: str, rate: str, name: str) -> Array:
        return paired(*(results.values(f"{each}, {rate}", name) for each in (method, "descent")))

    near, half = _RATES
    swing, left = "swing across, mean of gradients minus descent", "left along, classical momentum minus descent"
    return (
        below(near, swing, against("mean of gradients", near, "swing")),
        below(near, left, against("classical", near, "left")),
        below(half, swing, against("mean of gradients", half, "swing"), shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    def against(method: str, rate: str, name: str) -> Any:
        return difference(results.values(f"{method}, {rate}", name), results.values(f"descent, {rate}", name))

    near, half = _RATES
    damped = against("mean of gradients", near, "swing")
    faster = {method: against(method, near, "left") for method in list(_METHODS)[1:]}
    swing = {arm: estimate(results.values(arm, "swing")) for arm in results.arms}
    slow = against("mean of gradients", half, "swing")
    ema = "does not" if faster["mean of gradients"].mean >= 0 or not faster["mean of gradients"].sure else "does too"
    verb = "damps" if damped.sure and damped.mean < 0 else "does not damp"
    lead = "speeds up" if faster["classical"].sure and faster["classical"].mean < 0 else "does not speed up"
    sentence = (
        f"Just below the limit of descent a mean of gradients {verb} the swing across the valley "
        f"({swing[f'mean of gradients, {near}'].text(2)} against {swing[f'descent, {near}'].text(2)} after {_STEPS // 2} "
        f"steps). Along it, classical momentum {lead} the descent (what is left changes by "
        f"{faster['classical'].text(2)}); the mean of gradients {ema}. At half of that rate descent hardly swings, and the "
        f"mean {'adds a swing' if slow.sure and slow.mean > 0 else 'adds none'} ({slow.text(2)})."
    )
    header, table = results.table(swing_across=("swing", 1, ""), left_along=("left", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for rate in _RATES:
        curves = [
            Curve(name, np.arange(_STEPS + 1), results.of_arm(f"{name}, {rate}")[0]["across"], i)
            for i, name in enumerate(_METHODS)
        ]
        panels.append(LinePlot(rate.capitalize(), curves, x_name="step", y_name="w₂, across the valley"))
    return {"Across the valley at an equal rate, first seed": panels}


STUDY = Study(
    name="equal-rates",
    title="Momentum at equal rates",
    claim="Just below the largest rate of descent averaging damps the steep direction, and momentum speeds up the flat one.",
    source="lecture 12, 7.6; [polyak1964]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        f"Bowls of condition number 30 to 300 from (1, 1), {_STEPS} steps, β = 0.9; rates are 1.95 to 1.99 and 0.9 to 1.1 "
        "over the largest curvature (descent diverges at 2). It holds if both 95 % intervals just below the limit, momentum "
        "minus descent, lie below 0. The lecture's form is the mean of gradients."
    ),
)
