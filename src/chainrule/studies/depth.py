"""Does the gradient vanish in deep sigmoid networks, and does batch norm bring it back?

In: rows of one seed. Out: size of each layer's gradient before the first step, and test error, by depth and activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.multilayer import mlp
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full, rows, trained
from chainrule.studies.initialization import by_layer
from chainrule.studies.statistics import Criterion, above, below, difference, paired, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_DEPTHS = (5, 10)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {
        f"{depth} {activation}{' + batch norm' if norm else ''}": {
            "depth": depth,
            "activation": activation,
            "norm": norm,
        }
        for depth in _DEPTHS
        for activation in ("sigmoid", "relu")
        for norm in (None, "batch")
    }


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    options = cell.options
    net = mlp(
        split.inputs, (32,) * options["depth"], split.classes, activation=options["activation"], norm=options["norm"]
    )
    gradients = by_layer(net, split.train, cell.seed)[1]
    record, _ = trained(split, net, seed=cell.seed, epochs=quick_or_full(cell.config, 8, 10), rate=3e-3)
    return {"gradients": gradients, "first_over_last": gradients[0] / gradients[-1], "test_error": record["test_error"]}


def _criteria(results: Results) -> tuple[Criterion, ...]:
    deep, shallow = _DEPTHS[-1], _DEPTHS[0]
    share = {arm: results.values(arm, "first_over_last") for arm in results.arms}
    test = {arm: results.values(arm, "test_error") for arm in results.arms}
    where, plain, normed = f"{deep} layers", f"{deep} sigmoid", f"{deep} sigmoid + batch norm"
    figure, error = "gradient of the first layer over the last", "test error, batch norm minus plain"
    relu = f"{shallow} relu"
    return (
        below(f"{where}, sigmoid", figure, share[plain], 0.01, unit="times"),
        above(f"{where}, relu", figure, share[f"{deep} relu"], 0.01, unit="times"),
        above(
            f"{where}, sigmoid",
            f"{figure}, batch norm over plain",
            ratio(share[normed], share[plain]),
            30,
            unit="times",
        ),
        below(f"{where}, sigmoid", error, paired(test[normed], test[plain]), -0.1, unit="points"),
        below(
            f"{shallow} layers, relu",
            error,
            paired(test[f"{relu} + batch norm"], test[relu]),
            -0.1,
            unit="points",
            shown=False,
        ),
    )


def _conclude(results: Results) -> Conclusion:
    ratio = {arm: float(np.median(results.values(arm, "first_over_last"))) for arm in results.arms}
    deep = _DEPTHS[-1]
    gain = difference(
        results.values(f"{deep} sigmoid + batch norm", "test_error"), results.values(f"{deep} sigmoid", "test_error")
    )
    plain, normed = ratio[f"{deep} sigmoid"], ratio[f"{deep} sigmoid + batch norm"]
    vanishes = "vanishes" if plain < 0.01 else "does not vanish"
    effect_on_it = "restores it" if normed > 30 * plain else "changes that little"
    effect = "lowers" if gain.mean < 0 else "raises"
    noise = "" if gain.sure else " (within seed noise)"
    sentence = (
        f"In a sigmoid network of {deep} layers the gradient {vanishes} toward the first layer ({plain:.2g} of the last "
        f"layer's; relu: {ratio[f'{deep} relu']:.2g}). Batch norm {effect_on_it} ({normed:.2g}) and {effect} the test "
        f"error by "
        f"{gain.size(3, 100)} points{noise}."
    )
    header, table = results.table(first_layer_over_last=("first_over_last", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    for depth in _DEPTHS:
        names = [arm for arm in results.arms if arm.startswith(f"{depth} ")]
        shown = {arm.removeprefix(f"{depth} "): results.values(arm, "gradients") for arm in names}
        colors = {"sigmoid": 0, "sigmoid + batch norm": 1, "relu": 2, "relu + batch norm": 3}
        title = f"{depth} hidden layers"
        panels.append(drawing.curves(title, shown, colors=colors, y_log=True, x_name="layer", y_name="rms of dW"))
    return {"Gradient by layer, before the first step": panels}


STUDY = Study(
    name="depth",
    title="Depth and the vanishing gradient",
    claim="Gradients vanish in deep sigmoid networks; relu and batch norm preserve them.",
    source="lecture 12, 7.2 and exercise 5; [glorot2010], [ioffe2015]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A line that falls to the left is a gradient that vanishes on the way back. Adam at 0.003.",
)
