"""Is the rate that a range test of a hundred steps suggests near the best of a grid?

In: rows of one seed, an optimizer. Out: validation loss at both suggestions and at every rate of a grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines import Rows, choose
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import SGD, Adam, Nesterov, Optimizer
from chainrule.nn.step import Recipe
from chainrule.report.plots import NEUTRAL, Curve, LinePlot, Mark
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import RangeTest, range_test
from chainrule.train.range_test import valley

_OPTIMIZERS: Mapping[str, Optimizer] = {"descent": SGD(), "Nesterov": Nesterov(), "Adam": Adam()}
_GRID = tuple(float(f"{10**e:.3g}") for e in np.arange(-4.0, 0.6, 0.5))
_NEAR, _EXCESS = 4.0, 0.5
"""What counts as near: a factor between rates, and a share of the loss."""
_WORST = 10.0
"""The loss of a run that diverged: more than that of a network that only guesses."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"optimizer": name} for name in _OPTIMIZERS}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    optimizer = _OPTIMIZERS[cell.options["optimizer"]]
    net = mlp(split.inputs, (64, 64), split.classes)
    recipe = Recipe(net, SoftmaxCrossEntropy(), optimizer, batch_size=64, seed=cell.seed)
    data = Rows.of(recipe, split.train.X, split.train.y)
    test = range_test(choose("auto", recipe)[0].compile(recipe, data), recipe, data, RangeTest())
    epochs = quick_or_full(cell.config, 6, 8)

    def loss(rate: float) -> float:
        record, _ = trained(split, net, seed=cell.seed, epochs=epochs, optimizer=optimizer, rate=rate)
        return float(min(record["validation_loss"][-1], _WORST))

    suggestions = {"tenth": test.suggestion, "valley": valley(test.rates, test.smoothed)}
    grid = [loss(rate) for rate in _GRID]
    return {
        "grid": grid,
        "best_rate": _GRID[int(np.argmin(grid))],
        "best_loss": min(grid),
        **{f"{rule}_rate": rate for rule, rate in suggestions.items()},
        **{f"{rule}_loss": loss(rate) for rule, rate in suggestions.items()},
        "rates": test.rates.tolist(),
        "curve": test.smoothed.tolist(),
    }


def _factor(results: Results, rule: str) -> float:
    """Return the median factor, over optimizers and seeds, between the suggested and the best rate."""
    logs = [np.abs(np.log(results.values(a, f"{rule}_rate") / results.values(a, "best_rate"))) for a in results.arms]
    return float(np.exp(np.median(np.concatenate(logs))))


def _excess(results: Results, rule: str) -> float:
    """Return the mean excess of the validation loss over the best of the grid, as a share of it."""
    excess = [results.values(a, f"{rule}_loss") / results.values(a, "best_loss") - 1 for a in results.arms]
    return estimate(np.concatenate(excess)).mean


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def excess(arm: str) -> Array:
        return ratio(results.values(arm, "tenth_loss"), results.values(arm, "best_loss"))

    off = np.exp(np.abs(np.log(ratio(results.values("Adam", "tenth_rate"), results.values("Adam", "best_rate")))))
    figure = "validation loss over the best of the grid"
    return (
        below("Adam", "factor between the suggested and the best rate", off, _NEAR, unit="times"),
        below("Adam", figure, excess("Adam"), 1.0 + _EXCESS, unit="times"),
        below("descent", figure, excess("descent"), 1.0 + _EXCESS, unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    factors = {rule: _factor(results, rule) for rule in ("tenth", "valley")}
    excess = {rule: _excess(results, rule) for rule in ("tenth", "valley")}
    near, cheap = factors["tenth"] <= _NEAR, excess["tenth"] <= _EXCESS
    link = "and" if near == cheap else "but"
    sentence = (
        f"The suggested rate (a tenth of that with the lowest loss) {'is' if near else 'is not'} near the best of the grid "
        f"(a median factor of {factors['tenth']:.2g}; near is up to {_NEAR:g}), {link} its validation loss is "
        f"{100 * excess['tenth']:.2g} % above the best, which is {'within' if cheap else 'more than'} the "
        f"{100 * _EXCESS:g} % that the claim allows. The valley rule is off by a factor of {factors['valley']:.2g}, with a "
        f"validation loss {100 * excess['valley']:.2g} % above the best."
    )
    header, table = results.table(
        best_of_grid=("best_rate", 1, ""),
        tenth=("tenth_rate", 1, ""),
        valley=("valley_rate", 1, ""),
        loss_at_best=("best_loss", 1, ""),
        at_tenth=("tenth_loss", 1, ""),
        at_valley=("valley_loss", 1, ""),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for arm in results.arms:
        first = results.of_arm(arm)[0]
        grid = drawing.curves(arm, {"a full training at each rate": results.values(arm, "grid")}, np.array(_GRID))
        test = Curve("the range test", first["rates"], first["curve"], NEUTRAL)
        marks = [Mark(float(np.median(results.values(arm, f"{rule}_rate"))), rule) for rule in ("tenth", "valley")]
        axes: dict[str, Any] = {"x_name": "learning rate", "y_name": "loss", "x_log": True, "y_log": True}
        panels.append(LinePlot(arm, [test, *grid.curves], marks=marks, **axes))
    return {"The suggested rates (dotted) beside a grid": panels}


STUDY = Study(
    name="range-test",
    title="The learning-rate range test",
    claim="A hundred steps at rising rates find a learning rate for Adam near the best of a grid.",
    source="lecture 12, exercise 4; [smith2017]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Blue: a full training at each rate. Gray: the loss of the range test. Dotted: the rates it suggests.",
)
