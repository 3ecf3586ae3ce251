"""The comparison of Adam's paper: training cost of one network with dropout, each optimizer at its best rate.

In: pixels. Out: training cost by epoch of Adam, AdaGrad, RMSProp and Nesterov's momentum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import AdaGrad, Adam, Nesterov, Optimizer, RMSProp
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full
from chainrule.studies.papers.common import best_rate, followed, images
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import TrainConfig

_OPTIMIZERS: Mapping[str, tuple[Optimizer, tuple[float, ...]]] = {
    "AdaGrad": (AdaGrad(), (0.003, 0.01, 0.03)),
    "RMSProp": (RMSProp(), (1e-4, 3e-4, 1e-3)),
    "Nesterov": (Nesterov(), (0.01, 0.03, 0.1)),
    "Adam": (Adam(), (3e-4, 1e-3, 3e-3)),
}


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    size = {"width": quick_or_full(config, 200, 1000), "epochs": quick_or_full(config, 5, 6)}
    return {name: {"optimizer": name, "rates": rates, **size} for name, (_, rates) in _OPTIMIZERS.items()}


def _run(cell: Cell) -> dict[str, Any]:
    options = cell.options
    split = images(cell.config, cell.seed)
    net = mlp(split.inputs, (options["width"],) * 2, split.classes, dropout=0.5)
    optimizer = _OPTIMIZERS[options["optimizer"]][0]
    recipe = Recipe(net, SoftmaxCrossEntropy(), optimizer, batch_size=128, seed=cell.seed)
    rate = best_rate(split, recipe, options["rates"], quick_or_full(cell.config, 6000, 20000), epochs=2)
    return {"rate": rate, **followed(split, recipe, TrainConfig(options["epochs"], rate))}


def _last(results: Results, arm: str) -> float:
    return float(results.values(arm, "train_loss")[:, -1].mean())


def _conclude(results: Results) -> Conclusion:
    costs = {arm: _last(results, arm) for arm in results.arms}
    order = sorted(costs, key=lambda arm: costs[arm])
    epochs = results.values("Adam", "train_loss").shape[1]
    ranking = ", ".join(f"{arm} {costs[arm]:.3g}" for arm in order)
    place = "the lowest" if order[0] == "Adam" else f"number {order.index('Adam') + 1} of {len(order)}"
    sentence = f"After {epochs} epochs, each at its own best rate, Adam's training cost is {place}: {ranking}."
    header, table = results.table(rate=("rate", 1, ""), test_error=("test_error", 100, "%"))
    curves = {arm: estimate(results.values(arm, "train_loss")[:, 0]).text(3) for arm in results.arms}
    rows = tuple((*row, curves[row[0]], f"{costs[row[0]]:.3g}") for row in table)
    return Conclusion(sentence, order[0] == "Adam", (*header, "cost, first epoch", "cost, last epoch"), rows)


def _draw(results: Results) -> drawing.Pictures:
    found = {arm: results.values(arm, "train_loss") for arm in results.arms}
    plot = drawing.curves("Training cost", found, y_log=True, y_name="training cost, with dropout")
    return {"Training cost by epoch": [plot]}


STUDY = Study(
    name="kingma2015",
    title="Kingma and Ba 2015: Adam on a network with dropout",
    claim="Adam's training cost falls below that of AdaGrad, RMSProp and Nesterov's momentum.",
    source="[kingma2015] 6.2, figure 2a",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Lower is better. The cost is that of training, dropout included.",
)
