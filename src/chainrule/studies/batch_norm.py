"""Does batch norm make deep networks trainable? Its gradient is checked first, then the depth is varied.

In: rows of one seed. Out: validation loss by depth with and without batch norm, and the worst gradient error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.gradcheck import gradcheck
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.optimizers import SGD
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.statistics import Criterion, at_most, below, difference, paired
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_DEPTHS = (2, 6, 12)
_RATES = (0.01, 0.1, 0.5)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{depth} layers, {name}": {"depth": depth, "norm": norm}
        for depth in _DEPTHS
        for name, norm in (("plain", None), ("batch norm", "batch"))
    }


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    net = mlp(split.inputs, (32,) * cell.options["depth"], split.classes, norm=cell.options["norm"])
    runs = [
        trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 8, 10), optimizer=SGD(), rate=rate)[0]
        for rate in _RATES
    ]
    best = min(range(len(_RATES)), key=lambda i: runs[i]["validation_loss"][-1])
    small = mlp(4, (5,) * cell.options["depth"], 3, activation="tanh", norm=cell.options["norm"])
    X = np.random.default_rng(cell.seed).standard_normal((6, 4))
    report = gradcheck(small, SoftmaxCrossEntropy(), X, np.arange(6) % 3, seed=cell.seed)
    return {**runs[best], "rate": _RATES[best], "gradient_error": report.worst.error}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    def gain(depth: int) -> Array:
        return paired(*(results.values(f"{depth} layers, {way}", "test_error") for way in ("batch norm", "plain")))

    shallow, deep = _DEPTHS[0], _DEPTHS[-1]
    error = np.array([results.values(arm, "gradient_error").max() for arm in results.arms])
    figure = "test error, batch norm minus plain"
    return (
        at_most("tanh networks", "error of its gradient against differences", error, 1e-6),
        below(f"{deep} layers", figure, gain(deep), -0.1, unit="points"),
        below(f"{shallow} layers", figure, gain(shallow), -0.1, unit="points", shown=False),
    )


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
    effect = "lowers" if deep.mean < 0 else "raises"
    noise = "" if deep.sure else " (within seed noise)"
    sentence = (
        f"The gradient of batch norm {checked} central differences (worst relative error {worst:.1e}). At {_DEPTHS[-1]} "
        f"layers it "
        f"{effect} the test error by {deep.size(2, 100)} points{noise}; "
        f"at {_DEPTHS[0]} layers the change is {shallow.text(2, 100)} points."
    )
    header, table = results.table(
        test_error=("test_error", 100, "%"), best_rate=("rate", 1, ""), gradient_error=("gradient_error", 1, "")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    colors = {"plain": 1, "batch norm": 0}
    errors = {
        name: [100 * results.values(f"{depth} layers, {name}", "test_error") for depth in _DEPTHS] for name in colors
    }
    deep = {name: results.values(f"{_DEPTHS[-1]} layers, {name}", "train_loss") for name in colors}
    return {
        "The cost of depth, without and with batch norm": [
            drawing.means(
                "Test error by depth, with 95 % intervals",
                errors,
                _DEPTHS,
                colors=colors,
                x_name="hidden layers",
                y_name="test error, %",
                x_ticks=_DEPTHS,
                within=(0.0,),
            ),
            drawing.curves(
                f"Training loss of {_DEPTHS[-1]} hidden layers", deep, colors=colors, y_log=True, y_name="training loss"
            ),
        ]
    }


STUDY = Study(
    name="batch-norm",
    title="Batch norm: its gradient, and what it buys at depth",
    claim="Batch norm's hand-derived gradient is right, and it trains deep networks that barely train without it.",
    source="lecture 12, exercise 1; [ioffe2015]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Plain gradient descent, each network at the best of three rates by validation loss.",
)
