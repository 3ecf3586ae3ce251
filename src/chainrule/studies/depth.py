"""Why: saturation is said to starve the first layers of a deep sigmoid network, and batch norm to feed them.

In: rows of one seed. Out: length of each layer's gradient before the first step, and test error, by depth and activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.net import mlp
from chainrule.studies import drawing
from chainrule.studies.common import constrained, rows, trained
from chainrule.studies.initialization import by_layer
from chainrule.studies.statistics import difference
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study

_DEPTHS = (5, 10)


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
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
    split, options = rows(cell.setting, cell.seed), cell.options
    net = mlp(
        split.inputs, (32,) * options["depth"], split.classes, activation=options["activation"], norm=options["norm"]
    )
    gradients = by_layer(net, split.train, cell.seed)[1]
    record, _ = trained(split, net, seed=cell.seed, epochs=constrained(cell.setting, 8, 10), rate=3e-3)
    return {"gradients": gradients, "first_over_last": gradients[0] / gradients[-1], "test_error": record["test_error"]}


def _conclude(results: Results) -> Conclusion:
    ratio = {arm: float(np.median(results.values(arm, "first_over_last"))) for arm in results.arms}
    deep = _DEPTHS[-1]
    gain = difference(
        results.values(f"{deep} sigmoid + batch norm", "test_error"), results.values(f"{deep} sigmoid", "test_error")
    )
    plain, normed = ratio[f"{deep} sigmoid"], ratio[f"{deep} sigmoid + batch norm"]
    starved = "starves" if plain < 0.01 else "does not starve"
    feeds = "feeds it again" if normed > 30 * plain else "does not change that much"
    effect = "lowers" if gain.mean < 0 else "raises"
    told = "" if gain.sure else ", within the seeds' noise"
    sentence = (
        f"In a {deep}-layer sigmoid network the gradient {starved} the first layer ({plain:.2g} of the last layer's; relu: "
        f"{ratio[f'{deep} relu']:.2g}); batch norm {feeds} ({normed:.2g}) and {effect} the test error by "
        f"{gain.size(3, 100)} points{told}."
    )
    holds = plain < 0.01 and normed > 30 * plain and gain.sure and gain.mean < 0
    header, table = results.table(first_layer_over_last=("first_over_last", 1, ""), test_error=("test_error", 100, "%"))
    return Conclusion(sentence, holds, header, table)


def _draw(results: Results) -> Mapping[str, Any]:
    figure, axes = drawing.figure(10.0, 4.2, columns=2)
    for ax, depth in zip(axes, _DEPTHS, strict=True):
        shown = {arm: results.values(arm, "gradients") for arm in results.arms if arm.startswith(f"{depth} ")}
        drawing.curves(ax, shown, yscale="log", xlabel="layer", ylabel="rms of dW", title=f"{depth} hidden layers")
    return {"Gradient by layer, before the first step": figure}


STUDY = Study(
    name="depth",
    title="Depth and the vanishing gradient",
    claim="Gradients vanish on their way through deep sigmoid networks; relu and batch norm keep them alive.",
    source="lecture 12, 7.2 and exercise 5; [glorot2010], [ioffe2015]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A line that falls to the left is a gradient that vanishes on its way back. Adam at 0.003.",
)
