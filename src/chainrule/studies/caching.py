"""Caching the forward pass costs memory and saves time; recomputing trades one for the other.

In: a deep network, one batch. Out: bytes held between the passes and seconds of both, by how often an input is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.layers import Context
from chainrule.nn.losses import SoftmaxCrossEntropy, mean_loss
from chainrule.nn.multilayer import mlp
from chainrule.random import Stream
from chainrule.studies import drawing
from chainrule.studies.common import rows
from chainrule.studies.statistics import Criterion, above, at_least, at_most, estimate, ratio
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig

_EVERY = (1, 2, 4, 8, 16)


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    return {"everything kept" if k == 1 else f"1 input in {k}": {"every": k} for k in _EVERY}


def _run(cell: Cell) -> dict[str, Any]:
    split = rows(cell.config, cell.seed)
    every = cell.options["every"]
    net = mlp(split.inputs, (128,) * 16, split.classes)
    w, buffers = (vector.astype("float32") for vector in net.init(cell.seed))
    X, y = split.train.X[:512], split.train.y[:512]
    ctx = Context(np, training=True, stream=Stream.from_seed(cell.seed))

    def passes(k: int) -> tuple[Any, int]:
        Z, tape, _ = net.forward(w, buffers, X, ctx, k)
        dZ = mean_loss(SoftmaxCrossEntropy(), np, Z, y, np.ones(len(y), "float32"))[1]
        return net.backward(w, tape, dZ, ctx)[1], tape.nbytes

    g, held = passes(every)
    times: dict[int, float] = {}
    for _ in range(15):
        for k in (every, 1):
            began = time.perf_counter()
            passes(k)
            times[k] = min(times.get(k, math.inf), time.perf_counter() - began)
    return {
        "megabytes": held / 1e6,
        "milliseconds": 1e3 * times[every],
        "slower": times[every] / times[1],
        "equal": float(np.array_equal(g, passes(1)[0])),
    }


def _criteria(results: Results) -> tuple[Criterion, ...]:
    held = {arm: results.values(arm, "megabytes") for arm in results.arms}
    whole, *_, least = results.arms
    equal = np.concatenate([results.values(arm, "equal") for arm in results.arms])
    figure = "memory held, over that of everything kept"
    return (
        at_least("every setting", "gradient equal to the last bit", equal, 1),
        at_most(least, figure, ratio(held[least], held[whole]), 0.5),
        above(
            least, "time of both passes, over that of everything kept", results.values(least, "slower"), unit="times"
        ),
        at_most("1 input in 2", figure, ratio(held["1 input in 2"], held[whole]), 0.5, shown=False),
    )


def _conclude(results: Results) -> Conclusion:
    memory = {arm: estimate(results.values(arm, "megabytes")).mean for arm in results.arms}
    base = results.arms[0]
    least = min(memory, key=lambda arm: memory[arm])
    equal = all(results.values(arm, "equal").min() == 1.0 for arm in results.arms)
    slower = float(np.exp(estimate(np.log(results.values(least, "slower"))).mean))
    same = "exactly the same gradient" if equal else "a DIFFERENT gradient"
    price = f"costs {100 * (slower - 1):.2g} % more time" if slower > 1 else "costs no measurable time"
    sentence = (
        f"Caching only {least} holds {memory[least]:.2g} MB instead of {memory[base]:.3g} MB "
        f"({100 * memory[least] / memory[base]:.2g} %), {price}, and gives {same}."
    )
    header, table = results.table(
        held=("megabytes", 1, "MB"), both_passes=("milliseconds", 1, "ms"), over_everything_kept=("slower", 1, "")
    )
    return Conclusion.by(_criteria(results), sentence, header, table)


def _draw(results: Results) -> drawing.Pictures:
    memory = {arm: results.values(arm, "megabytes") for arm in results.arms}
    seconds = {arm: results.values(arm, "milliseconds") for arm in results.arms}
    return {
        "Memory and time": [
            drawing.bars("Memory held between the passes", memory, "MB"),
            drawing.bars("Time of both passes", seconds, "ms"),
        ]
    }


STUDY = Study(
    name="caching",
    title="Caching against recomputation",
    claim="Caching the forward pass costs memory and saves time; recomputing gives the same gradient with less memory.",
    source="lecture 12, 7.1; [chen2016]",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading=(
        "Sixteen hidden layers of 128 units, 512 rows, the reference engine. Each layer's output is the next one's "
        "input, so caching 1 input in 2 saves little. Times are those of this machine."
    ),
)
