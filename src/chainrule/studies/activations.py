"""Does relu train faster than sigmoid? Every activation gets the learning rate that a range test suggests for it.

In: rows of one seed, an activation. Out: loss by epoch and test error at the rate a range test suggests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import Adam
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.optimizers import suggested_rate
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_NAMES = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish")


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"activation": name} for name in _NAMES}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    net = mlp(split.inputs, (64, 64, 64), split.classes, activation=cell.options["activation"])
    rate = suggested_rate(split, Recipe(net, SoftmaxCrossEntropy(), Adam(), batch_size=64, seed=cell.seed))
    record, _ = trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 10, 20), rate=rate)
    quarter = max(len(record["train_loss"]) // 4 - 1, 0)
    return {**record, "rate": rate, "early_loss": record["train_loss"][quarter]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    early = {arm: results.values(arm, "early_loss") for arm in results.arms}
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    figure = "training loss after a quarter of the epochs"
    return (
        below("relu against sigmoid", figure, ratio(early["relu"], early["sigmoid"]), unit="times"),
        below("relu against identity", "test error", paired(test["relu"], test["identity"]), unit="points"),
        below("relu against tanh", figure, ratio(early["relu"], early["tanh"]), unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    errors = {arm: estimate(results.values(arm, "test_error")).mean for arm in results.arms}
    best = min(errors, key=lambda arm: errors[arm])
    early = difference(results.values("relu", "early_loss"), results.values("sigmoid", "early_loss"))
    late = difference(results.values("relu", "test_error"), results.values("sigmoid", "test_error"))
    bent = difference(results.values("relu", "test_error"), results.values("identity", "test_error"))
    losses = {arm: estimate(results.values(arm, "early_loss")).mean for arm in ("relu", "sigmoid")}
    pace = "faster" if early.mean < 0 else "slower"
    noise = "" if early.sure else " (within seed noise)"
    sentence = (
        f"relu trains {pace} than sigmoid{noise}: its training loss is {losses['relu']:.2g} "
        f"against {losses['sigmoid']:.2g} after a quarter of the epochs. Its test error "
        f"differs by {late.text(2, 100)} points from sigmoid's and by {bent.text(2, 100)} points from that without any "
        f"activation. "
        f"The lowest mean test error is that of {best} ({100 * errors[best]:.3g} %)."
    )
    header, table = results.table(
        rate=("rate", 1, ""), early_training_loss=("early_loss", 1, ""), test_error=("test_error", 100, "%")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    return {"How each activation trains": drawing.loss_and_error(results)}


STUDY = Study(
    name="activations",
    title="Activations of the hidden layers",
    claim="relu trains faster than sigmoid, and layers without an activation between them are no better than one.",
    source="lecture 12, 7.2",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Three hidden layers of 64 units, Adam at the rate that a range test suggests for each activation.",
)
