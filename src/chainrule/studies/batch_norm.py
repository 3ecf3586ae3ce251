"""Why: batch norm is said to make deep networks trainable; depth is varied, and its gradient checked first.

In: rows of one seed. Out: validation loss by depth with and without batch norm, and the worst gradient error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.gradcheck import gradcheck
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import mlp
from chainrule.nn.optimizers import SGD
from chainrule.studies import drawing
from chainrule.studies.common import constrained, rows, trained
from chainrule.studies.statistics import difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study

_DEPTHS = (2, 6, 12)
_RATES = (0.01, 0.1, 0.5)


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{depth} layers, {name}": {"depth": depth, "norm": norm}
        for depth in _DEPTHS
        for name, norm in (("plain", None), ("batch norm", "batch"))
    }


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.setting, cell.seed)
    net = mlp(split.inputs, (32,) * cell.options["depth"], split.classes, norm=cell.options["norm"])
    runs = [
        trained(split, net, seed=cell.seed, epochs=constrained(cell.setting, 8, 10), optimizer=SGD(), rate=rate)[0]
        for rate in _RATES
    ]
    best = min(range(len(_RATES)), key=lambda i: runs[i]["validation_loss"][-1])
    small = mlp(4, (5,) * cell.options["depth"], 3, activation="tanh", norm=cell.options["norm"])
    X = np.random.default_rng(cell.seed).standard_normal((6, 4))
    report = gradcheck(small, SoftmaxCrossEntropy(), X, np.arange(6) % 3, seed=cell.seed)
    return {**runs[best], "rate": _RATES[best], "gradient_error": report.worst.error}


def _conclude(results: Results) -> Conclusion:
    gains = {
        depth: difference(
            results.values(f"{depth} layers, batch norm", "test_error"),
            results.values(f"{depth} layers, plain", "test_error"),
        )
        for depth in _DEPTHS
    }
    worst = max(float(results.values(arm, "gradient_error").max()) for arm in results.arms)
    shallow, deep = gains[_DEPTHS[0]], gains[_DEPTHS[-1]]
    checked = "agrees with" if worst <= 1e-6 else "does NOT agree with"
    holds = deep.sure and deep.mean < 0 and deep.mean < shallow.mean and worst <= 1e-6
    effect = "lowers" if deep.mean < 0 else "raises"
    told = "" if deep.sure else ", within the seeds' noise"
    sentence = (
        f"Its gradient {checked} central differences (worst relative error {worst:.1e}); at {_DEPTHS[-1]} layers it "
        f"{effect} the test error by {deep.size(2, 100)} points{told}, "
        f"at {_DEPTHS[0]} layers the change is {shallow.text(2, 100)} points."
    )
    header, table = results.table(
        test_error=("test_error", 100, "%"), best_rate=("rate", 1, ""), gradient_error=("gradient_error", 1, "")
    )
    return Conclusion(sentence, holds, header, table)


def _draw(results: Results) -> Mapping[str, Any]:
    figure, axes = drawing.figure(10.0, 4.2, columns=2)
    for name, color in (("plain", drawing.ColorS[1]), ("batch norm", drawing.ColorS[0])):
        found = [estimate(100 * results.values(f"{depth} layers, {name}", "test_error")) for depth in _DEPTHS]
        axes[0].errorbar(
            _DEPTHS,
            [e.mean for e in found],
            [np.nan_to_num(e.half) for e in found],
            color=color,
            capsize=4,
            label=name,
        )
    drawing.finish(axes[0], xlabel="hidden layers", ylabel="test error, %", ylim=(0, None))
    deep = {arm: results.values(arm, "train_loss") for arm in results.arms if arm.startswith(str(_DEPTHS[-1]))}
    drawing.curves(axes[1], deep, yscale="log", xlabel="epoch", ylabel="training loss")
    return {"What depth costs, and what batch norm gives back": figure}


STUDY = Study(
    name="batch-norm",
    title="Batch norm: its gradient, and what it buys at depth",
    claim="Batch norm's hand-derived gradient is right, and with it deep networks train that hardly train without it.",
    source="lecture 12, exercise 1; [ioffe2015]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Plain descent, each network at the best of three rates by validation loss.",
)
