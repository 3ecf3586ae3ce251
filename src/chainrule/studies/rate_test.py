"""Why: a range test costs a hundred steps; whether its suggestion is near the best of a grid is a question for experiment.

In: rows of one seed, an optimizer. Out: validation loss at both suggestions and at every rate of a grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.engines import Rows, choose
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import mlp
from chainrule.nn.optimizers import SGD, Adam, Nesterov, Optimizer
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import constrained, rows, trained
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study
from chainrule.train import RangeTest, range_test
from chainrule.train.range_test import valley

_OPTIMIZERS: Mapping[str, Optimizer] = {"descent": SGD(), "Nesterov": Nesterov(), "Adam": Adam()}
_GRID = tuple(float(f"{10**e:.3g}") for e in np.arange(-4.0, 0.6, 0.5))
_WORST = 10.0
"""What a run that diverged counts as: more than any loss of a network that knows nothing."""


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"optimizer": name} for name in _OPTIMIZERS}


def _run(cell: Cell) -> dict[str, Any]:
    split, optimizer = rows(cell.setting, cell.seed), _OPTIMIZERS[cell.options["optimizer"]]
    net = mlp(split.inputs, (64, 64), split.classes)
    recipe = Recipe(net, SoftmaxCrossEntropy(), optimizer, batch_size=64, seed=cell.seed)
    data = Rows.of(recipe, split.train.X, split.train.y)
    test = range_test(choose("auto", recipe)[0].compile(recipe, data), recipe, data, RangeTest())
    epochs = constrained(cell.setting, 6, 8)

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
    """Median over optimizers and seeds of how far the suggested rate is from the best, as a factor."""
    logs = [np.abs(np.log(results.values(a, f"{rule}_rate") / results.values(a, "best_rate"))) for a in results.arms]
    return float(np.exp(np.median(np.concatenate(logs))))


def _excess(results: Results, rule: str) -> float:
    """Mean over optimizers and seeds of the validation loss above the grid's best, relative to it."""
    excess = [results.values(a, f"{rule}_loss") / results.values(a, "best_loss") - 1 for a in results.arms]
    return estimate(np.concatenate(excess)).mean


def _conclude(results: Results) -> Conclusion:
    factors = {rule: _factor(results, rule) for rule in ("tenth", "valley")}
    excess = {rule: _excess(results, rule) for rule in ("tenth", "valley")}
    near = "is near" if factors["tenth"] <= 4 else "is not near"
    sentence = (
        f"A tenth of the rate with the lowest loss {near} the best of the grid: off by a factor of {factors['tenth']:.2g} "
        f"in the median, with a validation loss {100 * excess['tenth']:.2g} % above the grid's best; the valley rule is off "
        f"by {factors['valley']:.2g}, with {100 * excess['valley']:.2g} % above."
    )
    header, table = results.table(
        best_of_grid=("best_rate", 1, ""),
        tenth=("tenth_rate", 1, ""),
        valley=("valley_rate", 1, ""),
        loss_at_best=("best_loss", 1, ""),
        at_tenth=("tenth_loss", 1, ""),
        at_valley=("valley_loss", 1, ""),
    )
    return Conclusion(sentence, factors["tenth"] <= 4 and excess["tenth"] <= 0.5, header, table)


def _draw(results: Results) -> Mapping[str, Any]:
    figure, axes = drawing.figure(11.0, 3.9, columns=len(results.arms))
    for ax, arm in zip(np.atleast_1d(axes), results.arms, strict=True):
        drawing.curves(ax, {"validation loss of the grid": results.values(arm, "grid")}, np.array(_GRID))
        first = results.of_arm(arm)[0]
        ax.plot(first["rates"], first["curve"], color=drawing.ColorS[7], linewidth=1, label="the test's curve")
        for rule, color in (("tenth", drawing.ColorS[1]), ("valley", drawing.ColorS[2])):
            ax.axvline(np.median(results.values(arm, f"{rule}_rate")), color=color, linestyle="--", label=rule)
        drawing.finish(ax, xscale="log", yscale="log", xlabel="learning rate", ylabel="loss", title=arm)
    return {"The suggestion beside a grid": figure}


STUDY = Study(
    name="range-test",
    title="The learning-rate range test",
    claim="A hundred steps at rising rates find a learning rate near the best of a grid.",
    source="lecture 12, exercise 4; [smith2017]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Blue: a full training at each rate. Gray: what the range test saw. Dashed: what it suggests.",
)
