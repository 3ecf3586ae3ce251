"""Is the suggestion of a range test the right decade? Ten times less and ten times more are trained beside it.

In: rows of one seed, an optimizer, a factor on the suggestion. Out: the validation loss after a short training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.engines import Rows, choose
from chainrule.intervals import ConfidenceInterval
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import Adam, Nesterov, Optimizer
from chainrule.nn.step import Recipe
from chainrule.report.plots import Curve, LinePlot, Mark
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import RangeTest, range_test

_OPTIMIZERS: Mapping[str, Optimizer] = {"Nesterov": Nesterov(), "Adam": Adam()}
_FACTORS = {"a tenth of it": 0.1, "the suggestion": 1.0, "ten times it": 10.0}
_SIGNS = {"a tenth of it": "÷10", "the suggestion": "×1", "ten times it": "×10"}
_WORST = 10.0
"""The loss of a run that diverged: more than that of a network that only guesses."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{name}, {which}": {"optimizer": name, "factor": f} for name in _OPTIMIZERS for which, f in _FACTORS.items()
    }


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    optimizer = _OPTIMIZERS[cell.options["optimizer"]]
    net = mlp(split.inputs, (64, 64), split.classes)
    recipe = Recipe(net, SoftmaxCrossEntropy(), optimizer, batch_size=64, seed=cell.seed)
    data = Rows.of(recipe, split.train.X, split.train.y)
    test = range_test(choose("auto", recipe)[0].compile(recipe, data), recipe, data, RangeTest())
    rate = test.suggestion * cell.options["factor"]
    epochs = quick_or_full(cell.config, 6, 8)
    record, _ = trained(split, net, seed=cell.seed, epochs=epochs, optimizer=optimizer, rate=rate)
    return {
        "rate": rate,
        "loss": float(min(record["validation_loss"][-1], _WORST)),
        "rates": [float(f"{r:.4g}") for r in test.rates],
        "curve": [float(f"{v:.4g}") for v in np.minimum(test.smoothed, _WORST)],
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    loss = {arm: results.values(arm, "loss") for arm in results.arms}
    figure = "validation loss of the suggestion over that of"
    return tuple(
        below(
            name,
            f"{figure} {which}",
            ratio(loss[f"{name}, the suggestion"], loss[f"{name}, {which}"]),
            unit="times",
            shown=name == "Adam",
        )
        for name in ("Adam", "Nesterov")
        for which in ("a tenth of it", "ten times it")
    )


def _conclude(results: Results) -> Conclusion:
    losses = {arm: np.log(results.values(arm, "loss")) for arm in results.arms}
    gains = {
        (name, which): difference(losses[f"{name}, the suggestion"], losses[f"{name}, {which}"])
        for name in _OPTIMIZERS
        for which in ("a tenth of it", "ten times it")
    }
    holds = all(gain.sure and gain.mean < 0 for (name, _), gain in gains.items() if name == "Adam")
    verdict = "does better than both" if holds else "does not do better than both"
    parts = [
        f"{name} {_times(gains[name, 'a tenth of it'])} and {_times(gains[name, 'ten times it'])}"
        for name in _OPTIMIZERS
    ]
    sentence = (
        f"With Adam the suggested rate {verdict} a tenth of it and ten times it. Its validation loss, as a share of theirs: "
        f"{'; '.join(parts)}."
    )
    header, table = results.table(rate=("rate", 1, ""), validation_loss=("loss", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _times(gain: ConfidenceInterval) -> str:
    """Return a mean difference of logarithms as a ratio with its interval."""
    low, high = np.exp(gain.mean - gain.half), np.exp(gain.mean + gain.half)
    return f"{np.exp(gain.mean):.2g} ({low:.2g} to {high:.2g})"


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for i, name in enumerate(_OPTIMIZERS):
        first = results.of_arm(f"{name}, the suggestion")[0]
        marks = [Mark(results.of_arm(f"{name}, {which}")[0]["rate"], _SIGNS[which]) for which in _FACTORS]
        curve = Curve("smoothed loss of the range test", first["rates"], first["curve"], i)
        panels.append(LinePlot(name, [curve], x_name="learning rate", y_name="loss", x_log=True, marks=marks))
    return {"The range test, and the rates that were trained": panels}


STUDY = Study(
    name="rate-decades",
    title="The suggested learning rate and its neighbors",
    claim="With Adam, the rate that a range test suggests does better than a tenth of it and than ten times it.",
    source="lecture 12, exercise 4; [smith2017]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Two hidden layers of 64 units; losses are compared by their logarithms. Nesterov momentum, for comparison, "
        "tolerates ten times the suggestion. The rates are marked on the loss of the range test."
    ),
)
