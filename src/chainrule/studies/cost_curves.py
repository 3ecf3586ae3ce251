"""The cost of each step: smooth with all rows, noisy with mini-batches, because each batch is another sample.

In: rows of one seed, a batch size. Out: the cost of every step, and how often it rose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import SGD
from chainrule.nn.step import Recipe, train_step
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows
from chainrule.studies.statistics import Criterion, above, at_most, below, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_RATE = 0.05
_SIZES: Mapping[str, int | None] = {"all rows": None, "64 rows": 64, "8 rows": 8}
_FAST = "all rows, 60 times the rate"
"""Rows of a batch (None: all); the arm beside them, whose rate is too high for a smooth curve."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    usual = {name: {"size": size, "rate": _RATE} for name, size in _SIZES.items()}
    return usual | {_FAST: {"size": None, "rate": 60 * _RATE}}


def _run(cell: Cell) -> dict[str, Any]:
    data = rows(cell.config, cell.seed).train
    n = min(len(data.y), 1000)
    size = cell.options["size"] or n
    recipe = Recipe(
        mlp(data.X.shape[1], (32,), int(data.y.max()) + 1),
        SoftmaxCrossEntropy(),
        SGD(),
        batch_size=size,
        seed=cell.seed,
    )
    state = recipe.start()
    costs: list[float] = []
    epoch = 0
    while len(costs) < quick_or_full(cell.config, 150, 300):
        order = recipe.order(np, n, epoch)
        for start, end in recipe.batches(n):
            i = order[start:end]
            state, sums = train_step(
                recipe, np, state, data.X[i], data.y[i], np.ones(len(i), "float32"), cell.options["rate"]
            )
            costs.append(float(sums.mean_loss))
        epoch += 1
    costs = costs[: quick_or_full(cell.config, 150, 300)]
    change = np.diff(costs)
    return {
        "cost": [float(f"{cost:.4g}") for cost in costs],
        "rises": float((change > 0).mean()),
        "noise": float(change.std()),
        "last": float(np.mean(costs[-30:])),
        "first": float(np.mean(costs[:10])),
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    rises = {arm: results.values(arm, "rises") for arm in results.arms}
    noise = {arm: results.values(arm, "noise") for arm in results.arms}
    figure = "share of steps at which the cost rose"
    trend = {arm: ratio(results.values(arm, "last"), results.values(arm, "first")) for arm in _SIZES}
    return (
        at_most("all rows", figure, rises["all rows"], 0, unit="%"),
        above("64 rows", figure, rises["64 rows"], 0.2, unit="%"),
        above("8 rows", figure, rises["8 rows"], 0.2, unit="%"),
        above(
            "8 rows over 64 rows",
            "noise of a step (theory: 2.8)",
            ratio(noise["8 rows"], noise["64 rows"]),
            unit="times",
        ),
        *(below(arm, "cost, end over start", values, unit="times") for arm, values in trend.items()),
        at_most(_FAST, figure, rises[_FAST], 0, unit="%", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    rises = {arm: estimate(results.values(arm, "rises")) for arm in results.arms}
    noise = {arm: float(results.values(arm, "noise").mean()) for arm in results.arms}
    falls = all((results.values(arm, "last") < results.values(arm, "first")).all() for arm in _SIZES)
    smooth = rises["all rows"].mean == 0.0
    curve = "falls at every step" if smooth else f"rises at {rises['all rows'].text(2, 100, '%')} of the steps"
    sentence = (
        f"With all rows the cost {curve}. With batches of 64 rows it rises at {rises['64 rows'].text(2, 100, '%')} of the "
        f"steps and with 8 rows at {rises['8 rows'].text(2, 100, '%')}, though the trend "
        f"{'falls in all three' if falls else 'does not fall in all three'}; from 64 rows to 8 the noise grows by a factor "
        f"of {noise['8 rows'] / noise['64 rows']:.2g} (theory: 2.8). At a rate 60 times as "
        f"high the cost of all rows rises too, at {rises[_FAST].text(2, 100, '%')} of the steps."
    )
    header, table = results.table(
        steps_that_rose=("rises", 100, "%"), noise_of_a_step=("noise", 1, ""), last_cost=("last", 1, "")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    first = {arm: results.values(arm, "cost")[:1] for arm in results.arms}
    colors = {arm: i for i, arm in enumerate(results.arms)}
    panels = [
        drawing.curves(arm, {arm: cost}, colors=colors, x_name="step", y_name="cost of the step")
        for arm, cost in first.items()
    ]
    return {"The cost of every step, first seed": panels}


STUDY = Study(
    name="cost-curves",
    title="Smooth and noisy cost curves",
    claim="With all rows the cost falls smoothly; with mini-batches its trend falls, but it is noisy, the more the smaller.",
    source="lecture 12, 7.5 (optimization)",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=f"Plain gradient descent at {_RATE:g}. Each cost is measured on the rows of its own step, before the step.",
)
