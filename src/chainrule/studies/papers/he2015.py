"""Twice Xavier's variance decides whether thirty relu layers learn at all; the paper shows it at two depths.

In: pixels. Out: training loss by epoch and test error at both depths under both rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import SGDMomentum
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full
from chainrule.studies.papers.common import followed, images
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import TrainConfig

_DEPTHS = (22, 30)
_RULES = ("He", "Xavier")
_RATES = (0.001, 0.01)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    size = {"width": quick_or_full(config, 64, 128), "epochs": quick_or_full(config, 10, 10)}
    return {f"{rule}, {d} layers": {"rule": rule.lower(), "depth": d, **size} for d in _DEPTHS for rule in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    options = cell.options
    split = images(cell.config, cell.seed)
    net = mlp(split.inputs, (options["width"],) * options["depth"], split.classes, initializer=options["rule"])
    recipe = Recipe(net, SoftmaxCrossEntropy(), SGDMomentum(mu=0.9), batch_size=64, seed=cell.seed)
    runs = {rate: followed(split, recipe, TrainConfig(options["epochs"], rate)) for rate in _RATES}
    rate = min(runs, key=lambda rate: float(runs[rate]["train_loss"][-1]))
    return {"rate": rate, "classes": split.classes, **runs[rate]}


def awake(results: Results, arm: str) -> float:
    """Return the first epoch whose mean training loss is below half that of guessing; infinity if there is none.

    Guessing among K classes costs log K.
    """
    below = results.values(arm, "train_loss").mean(axis=0) < 0.5 * math.log(results.of_arm(arm)[0]["classes"])
    return float(np.argmax(below) + 1) if below.any() else math.inf


def _conclude(results: Results) -> Conclusion:
    epochs = {arm: awake(results, arm) for arm in results.arms}
    losses = {arm: float(results.values(arm, "train_loss")[:, -1].mean()) for arm in results.arms}
    outcomes = {arm: f"{_learns(epochs[arm])} (final training loss {losses[arm]:.3g})" for arm in results.arms}
    sentence = "; ".join(
        f"with {d} hidden layers a network with He's rule {outcomes[f'He, {d} layers']}, one with Xavier's "
        f"{outcomes[f'Xavier, {d} layers']}"
        for d in _DEPTHS
    )
    shallow, deep = (tuple(epochs[f"{rule}, {d} layers"] for rule in _RULES) for d in _DEPTHS)
    holds = shallow[0] < shallow[1] < math.inf and deep[0] < math.inf == deep[1]
    header, table = results.table(rate=("rate", 1, ""), test_error=("test_error", 100, "%"))
    last = {arm: estimate(results.values(arm, "train_loss")[:, -1]).text(3) for arm in results.arms}
    rows = tuple((*row, _epoch(epochs[row[0]]), last[row[0]]) for row in table)
    return Conclusion(f"W{sentence[1:]}.", holds, (*header, "epochs to half of guessing", "loss, last epoch"), rows)


def _learns(epoch: float) -> str:
    return f"learns from epoch {epoch:.0f} on" if math.isfinite(epoch) else "stalls"


def _epoch(epoch: float) -> str:
    return f"{epoch:.0f}" if math.isfinite(epoch) else "never"


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for depth in _DEPTHS:
        found = {rule: results.values(f"{rule}, {depth} layers", "train_loss") for rule in _RULES}
        panels.append(drawing.curves(f"{depth} layers", found, y_log=True, y_name="training loss"))
    return {"Training loss by epoch at both depths": panels}


STUDY = Study(
    name="he2015",
    title="He et al. 2015: initial weights of very deep relu networks",
    claim="With 22 layers both rules learn, He's sooner; with 30 layers He's learns and Xavier's stalls.",
    source="[he2015] 2.2, figures 2 and 3",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A level line at log 10 = 2.3 is a network that learns nothing. Each rule has the better of two rates.",
)
