"""The lecture's experiment with its own settings: digits 0 and 1, 64-32-16-1, basic against advanced.

In: one seed. Out: the training cost of every tenth epoch, accuracy on training and test rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.data import Standardizer, load, three_way
from chainrule.engines.reference import logits
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full
from chainrule.studies.statistics import Criterion, above, at_least, below, difference, estimate, paired, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import fit

_STRIDE, _ZOOM = 10, 100
"""Epochs between two recorded costs; the epoch after which the lecture looks closer."""
_LEARNED, _HARM = 0.99, 0.02
"""Share of the training rows that a network which has learned the task is right for."""


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {"basic": {"advanced": False}, "advanced": {"advanced": True}}


def _run(cell: Cell) -> dict[str, Any]:
    digits = load("digits")
    chosen = np.isin(digits.y, (0, 1))
    parts = three_way(replace(digits, X=digits.X[chosen], y=digits.y[chosen]), 0.2, 0.0, cell.seed)
    assert parts.test is not None
    scaling = Standardizer.fit(parts.train.X)
    X, X_test = (scaling.apply(part.X, "float32") for part in (parts.train, parts.test))
    y, y_test = (part.y.astype(float) for part in (parts.train, parts.test))
    advanced = cell.options["advanced"]
    net = mlp(X.shape[1], (32, 16), 1, norm="batch" if advanced else None, dropout=0.2 if advanced else 0.0)
    epochs = quick_or_full(cell.config, 300, 1000)
    costs = []
    for epoch in fit(
        net,
        X,
        y,
        loss=BinaryCrossEntropy(),
        learning_rate=1e-3,
        epochs=epochs,
        batch_size="full",
        seed=cell.seed,
    ):
        costs.append(epoch.train_loss)
    state = epoch.state()

    def accuracy(X: Any, y: Any) -> float:
        return float(((logits(net, state.w, state.buffers, X)[:, 0] > 0) == y).mean())

    return {
        "cost": [float(f"{cost:.4g}") for cost in costs[::_STRIDE]],
        "last_cost": costs[-1],
        "train_accuracy": accuracy(X, y),
        "test_accuracy": accuracy(X_test, y_test),
        "rows": len(y),
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    test, cost = (
        [results.values(arm, figure) for arm in ("advanced", "basic")] for figure in ("test_accuracy", "last_cost")
    )
    return (
        *(
            at_least(arm, "training accuracy", results.values(arm, "train_accuracy"), _LEARNED, unit="%")
            for arm in results.arms
        ),
        above("test rows", "accuracy, advanced minus basic", paired(*test), -_HARM, unit="points"),
        below("training cost, dropout on", "advanced over basic", ratio(*cost), unit="times", shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    test = {arm: estimate(results.values(arm, "test_accuracy")) for arm in results.arms}
    last = {arm: estimate(results.values(arm, "last_cost")) for arm in results.arms}
    gain = difference(results.values("advanced", "test_accuracy"), results.values("basic", "test_accuracy"))
    harm = gain.sure and gain.mean < 0
    verdict = "does worse" if harm else "does better" if gain.sure and gain.mean > 0 else "does no harm"
    lower = "lower" if last["basic"].mean < last["advanced"].mean else "higher"
    sentence = (
        f"On test rows the basic network is right for {test['basic'].text(4, 100, '%')} and the advanced one for "
        f"{test['advanced'].text(4, 100, '%')} (difference {gain.text(2, 100)} points): batch norm with dropout {verdict} "
        f"here. The basic network ends at a {lower} training cost "
        f"({last['basic'].text(2)} against {last['advanced'].text(2)}), which is measured with dropout on."
    )
    header, table = results.table(
        last_training_cost=("last_cost", 1, ""),
        training_accuracy=("train_accuracy", 100, "%"),
        test_accuracy=("test_accuracy", 100, "%"),
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    costs = {arm: results.values(arm, "cost") for arm in results.arms}
    at = 1 + _STRIDE * np.arange(costs["basic"].shape[1])
    later = {arm: cost[:, _ZOOM // _STRIDE :] for arm, cost in costs.items()}
    return {
        "Training cost": [
            drawing.curves("Training cost", costs, at, y_name="cost"),
            drawing.curves(f"After {_ZOOM} epochs", later, at[_ZOOM // _STRIDE :], y_name="cost"),
        ]
    }


STUDY = Study(
    name="lecture-network",
    title="Basic and advanced, with the lecture's own settings",
    claim="Both networks learn to distinguish 0 and 1; the advanced one (batch norm, dropout 0.2) is no worse on test rows.",
    source="lecture 12, 7.5 (training on digits)",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Digits 0 and 1, 64-32-16-1, Adam at 0.001 on the full batch, 1,000 epochs (300 with --quick).",
)
