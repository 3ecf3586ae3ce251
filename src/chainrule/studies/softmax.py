"""Softmax for ten classes, beside one yes/no output for each class, and beside no hidden layer.

In: rows of one seed. Out: test error, error by class, and how well the probabilities are calibrated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.nn.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import Split, Subset, quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, below, difference, estimate, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_ARMS: Mapping[str, Mapping[str, Any]] = {
    "softmax, no hidden layer": {"hidden": (), "softmax": True},
    "softmax, 128 units": {"hidden": (128,), "softmax": True},
    "yes/no per class, 128 units": {"hidden": (128,), "softmax": False},
}


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return _ARMS


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    net = mlp(split.inputs, cell.options["hidden"], split.classes)
    softmax = cell.options["softmax"]
    loss: Loss = SoftmaxCrossEntropy() if softmax else BinaryCrossEntropy()
    data = (
        split if softmax else replace(split, train=_hot(split, split.train), validation=_hot(split, split.validation))
    )
    _, state = trained(data, net, seed=cell.seed, epochs=quick_or_full(cell.config, 20, 15), loss=loss)
    assert state is not None
    P = loss.predict(np, net(state, split.test.X))
    wrong = P.argmax(axis=1) != split.test.y
    P = P / P.sum(axis=1, keepdims=True)
    return {
        "test_error": float(wrong.mean()),
        "log_loss": float(-np.log(np.maximum(P[np.arange(len(wrong)), split.test.y], 1e-12)).mean()),
        "by_class": [float(wrong[split.test.y == k].mean()) for k in range(split.classes)],
    }


def _hot(split: Split, part: Subset) -> Subset:
    return Subset(part.X, np.eye(split.classes, dtype=np.float32)[part.y])


def _criteria(results: Results) -> tuple[Criterion, ...]:
    with_, without = (results.values(arm, "test_error") for arm in ("softmax, 128 units", "softmax, no hidden layer"))
    return (
        below("one hidden layer", "test error", with_, 0.05, unit="%"),
        below("one hidden layer", "test error, minus that without it", paired(with_, without), unit="points"),
        below("no hidden layer", "test error", without, 0.05, unit="%", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    error = {arm: estimate(results.values(arm, "test_error")).mean for arm in results.arms}
    hidden = difference(
        results.values("softmax, 128 units", "test_error"), results.values("softmax, no hidden layer", "test_error")
    )
    joint = difference(
        results.values("softmax, 128 units", "log_loss"), results.values("yes/no per class, 128 units", "log_loss")
    )
    by_class = results.values("softmax, 128 units", "by_class").mean(axis=0)
    reaches = "exceed" if error["softmax, 128 units"] <= 0.05 else "do not exceed"
    words = "no difference beyond seed noise" if not joint.sure else f"a difference of {joint.text(2)}"
    sentence = (
        f"One hidden layer and softmax {reaches} 95 % ({100 - 100 * error['softmax, 128 units']:.4g} % of the test rows are "
        f"right). The hidden layer changes the error by {hidden.text(2, 100)} points. Between softmax and one yes/no "
        f"output for "
        f"each class there is {words} in log loss. The hardest class is number {int(by_class.argmax())} "
        f"({100 * by_class.max():.2g} % wrong)."
    )
    header, table = results.table(test_error=("test_error", 100, "%"), log_loss=("log_loss", 1, ""))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    errors = {arm: 100 * results.values(arm, "test_error") for arm in results.arms}
    by_class = 100 * results.values("softmax, 128 units", "by_class")
    classes = {f"class {k}": by_class[:, k] for k in range(by_class.shape[1])}
    colors = dict.fromkeys(classes, 0)
    return {
        "Test error": [
            drawing.bars("By kind of output", errors, "test error, %"),
            drawing.bars("By class, softmax with 128 units", classes, "test error, %", colors=colors),
        ]
    }


STUDY = Study(
    name="softmax",
    title="Ten classes with softmax",
    claim="A network with one hidden layer and softmax recognizes at least 95 % of ten digits.",
    source="lecture 12, exercise 9; [bridle1990]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Lower is better. Yes/no: a sigmoid output and binary cross-entropy for each class.",
)
