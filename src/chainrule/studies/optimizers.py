"""Which optimizer is fastest? Each gets the learning rate that a range test suggests for it.

In: rows of one seed. Out: loss by epoch and test error of each optimizer at its own rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.engines import Rows, choose
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import (
    SGD,
    Adam,
    AdamW,
    EmaMomentum,
    Nesterov,
    Optimizer,
    RMSProp,
)
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import Split, quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import range_test

_OPTIMIZERS: Mapping[str, Optimizer] = {
    "descent": SGD(),
    "momentum": EmaMomentum(),
    "Nesterov": Nesterov(),
    "RMSProp": RMSProp(),
    "Adam": Adam(),
    "AdamW": AdamW(),
}


def suggested_rate(split: Split, recipe: Recipe) -> float:
    """Return the rate that a range test suggests for a recipe on the training rows."""
    data = Rows.of(recipe, split.train.X, split.train.y)
    engine, _ = choose("auto", recipe)
    return range_test(engine.compile(recipe, data), recipe, data).suggestion


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"optimizer": name} for name in _OPTIMIZERS}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    optimizer = _OPTIMIZERS[cell.options["optimizer"]]
    net = mlp(split.inputs, (256, 128), split.classes)
    rate = suggested_rate(split, Recipe(net, SoftmaxCrossEntropy(), optimizer, batch_size=64, seed=cell.seed))
    epochs = quick_or_full(cell.config, 15, 20 if cell.config.data != "digits" else 40)
    record, _ = trained(split, net, seed=cell.seed, epochs=epochs, optimizer=optimizer, rate=rate)
    return {"rate": rate, **record}


def _early(results: Results, arm: str) -> Any:
    """Return the training loss after a quarter of the epochs."""
    losses = results.values(arm, "train_loss")
    return losses[:, max(losses.shape[1] // 4 - 1, 0)]


def _criteria(results: Results) -> tuple[Criterion, ...]:
    early = {arm: _early(results, arm) for arm in results.arms}
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    figure = "training loss after a quarter of the epochs"
    return (
        below("Adam against descent", figure, ratio(early["Adam"], early["descent"]), unit="times"),
        below("momentum against descent", figure, ratio(early["momentum"], early["descent"]), unit="times"),
        below(
            "Adam against momentum",
            "test error at the end",
            paired(test["Adam"], test["momentum"]),
            unit="points",
            shown=False,
        ),
    )


def _conclude(results: Results) -> Conclusion:
    early = {arm: estimate(_early(results, arm)).mean for arm in results.arms}
    first = min(early, key=lambda arm: early[arm])
    ahead = difference(_early(results, "Adam"), _early(results, "descent"))
    ends = difference(results.values("Adam", "test_error"), results.values("descent", "test_error"))
    pace = "lower" if ahead.mean < 0 else "higher"
    noise = "" if ahead.sure else " (within seed noise)"
    level = "no difference beyond seed noise" if not ends.sure else f"a difference of {ends.text(2, 100)} points"
    sentence = (
        f"After a quarter of the epochs {first} has the lowest training loss ({early[first]:.2g}), and "
        f"Adam's is {pace} than that of plain gradient descent{noise} ({early['Adam']:.2g} against "
        f"{early['descent']:.2g}). At the end "
        f"there is {level} between their test errors."
    )
    header, table = results.table(
        rate=("rate", 1, ""), test_error=("test_error", 100, "%"), final_training_loss=("last_loss", 1, "")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _with_last(cell: Cell) -> dict[str, Any]:
    record = _run(cell)
    return {**record, "last_loss": record["train_loss"][-1]}


def _draw(results: Results) -> drawing.Pictures:
    return {"Training loss and test error": drawing.loss_and_error(results)}


STUDY = Study(
    name="optimizers",
    title="Optimizers, each at the rate that a range test suggests",
    claim="Adam and momentum reach a low loss in fewer steps than plain gradient descent.",
    source="lecture 12, 7.5 and 7.6, exercise 2; [kingma2015]",
    arms=_arms,
    run=_with_last,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Every optimizer has the rate that a range test suggests for it with the same seed; the study range-test "
        "measures how far that is from the best one."
    ),
)
