"""Why: twice Xavier's variance decides whether thirty rectified layers learn at all; the paper shows it at two depths.

In: pixels. Out: training loss by epoch and test error at both depths under both rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import stack
from chainrule.nn.optimizers import ClassicalMomentum
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import limited
from chainrule.studies.papers.common import followed, images
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study
from chainrule.train import Course

_DEPTHS = (22, 30)
_RULES = ("He", "Xavier")
_RATES = (0.001, 0.01)


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
    size = {"width": limited(setting, 64, 128), "epochs": limited(setting, 10, 10)}
    return {f"{rule}, {d} layers": {"rule": rule.lower(), "depth": d, **size} for d in _DEPTHS for rule in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    options, split = cell.options, images(cell.setting, cell.seed)
    net = stack(split.inputs, (options["width"],) * options["depth"], split.classes, initializer=options["rule"])
    recipe = Recipe(net, SoftmaxCrossEntropy(), ClassicalMomentum(0.9), batch_size=64, seed=cell.seed)
    runs = {rate: followed(split, recipe, Course(options["epochs"], rate)) for rate in _RATES}
    rate = min(runs, key=lambda rate: math.inf if runs[rate]["diverged"] else runs[rate]["train_loss"][-1])
    return {"rate": rate, "classes": split.classes, **runs[rate]}


def learned(results: Results, arm: str) -> bool:
    """Whether the last training loss, mean over seeds, is below half of that of guessing, log of the classes."""
    chance = math.log(results.of_arm(arm)[0]["classes"])
    return bool(results.values(arm, "train_loss")[:, -1].mean() < 0.5 * chance)


def _conclude(results: Results) -> Conclusion:
    told = []
    for depth in _DEPTHS:
        of = {rule: f"{rule}, {depth} layers" for rule in _RULES}
        words = {rule: "learns" if learned(results, of[rule]) else "stalls" for rule in _RULES}
        losses = {rule: results.values(of[rule], "train_loss")[:, -1].mean() for rule in _RULES}
        told.append(
            f"with {depth} hidden layers He's rule {words['He']} (training loss {losses['He']:.3g}) and Xavier's "
            f"{words['Xavier']} ({losses['Xavier']:.3g})"
        )
    deepest = f"{_DEPTHS[-1]} layers"
    holds = learned(results, f"He, {deepest}") and not learned(results, f"Xavier, {deepest}")
    sentence = f"{'; '.join(told)}.".capitalize().replace("he's", "He's").replace("xavier", "Xavier")
    header, table = results.table(rate=("rate", 1, ""), test_error=("test_error", 100, "%"))
    first = {arm: estimate(results.values(arm, "train_loss")[:, 0]).text(3) for arm in results.arms}
    last = {arm: estimate(results.values(arm, "train_loss")[:, -1]).text(3) for arm in results.arms}
    rows = tuple((*row, first[row[0]], last[row[0]]) for row in table)
    return Conclusion(sentence, holds, (*header, "loss, first epoch", "loss, last epoch"), rows)


def _draw(results: Results) -> Mapping[str, Any]:
    figure, axes = drawing.figure(9.6, 4.0, columns=2)
    for ax, depth in zip(axes, _DEPTHS, strict=True):
        found = {rule: results.values(f"{rule}, {depth} layers", "train_loss") for rule in _RULES}
        drawing.curves(ax, found, yscale="log", title=f"{depth} layers", xlabel="epoch", ylabel="training loss")
    return {"Training loss by epoch at both depths": figure}


STUDY = Study(
    name="he2015",
    title="He et al. 2015: first weights of very deep relu networks",
    claim="At 22 layers both rules learn, He's sooner; at 30 layers He's learns and Xavier's stalls.",
    source="[he2015] 2.2, figures 2 and 3",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A level line at log 10 = 2.3 is a network that learns nothing. Each rule has the better of two rates.",
)
