"""The first experiment of the paper on batch normalization: a small sigmoid network on MNIST, with and without it.

In: pixels. Out: test accuracy by step, with and without batch norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.initializers import Normal
from chainrule.nn.layers import Dense
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import quick_or_full
from chainrule.studies.papers.common import followed, images
from chainrule.studies.statistics import difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import TrainConfig

_SIGMA = 0.1
_RATE = 0.1
_BATCH = 60


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    size = {"steps": quick_or_full(config, 5000, 50000), "rate": _RATE, "sigma": _SIGMA}
    return {"batch norm": {"norm": "batch", **size}, "without": {"norm": None, **size}}


def network(inputs: int, classes: int, norm: str | None, sigma: float) -> Net:
    """Return three hidden sigmoid layers of 100 units, initial weights normal with standard deviation σ."""
    layers = mlp(inputs, (100, 100, 100), classes, activation="sigmoid", norm=norm).layers
    rule = Normal(sigma=sigma)
    return Net(
        inputs,
        [
            Dense(layer.units, bias=layer.bias, initializer=rule) if isinstance(layer, Dense) else layer
            for layer in layers
        ],
    )


def _run(cell: Cell) -> dict[str, Any]:
    options = cell.options
    split = images(cell.config, cell.seed)
    net = network(split.inputs, split.classes, options["norm"], options["sigma"])
    recipe = Recipe(net, SoftmaxCrossEntropy(), SGD(), batch_size=_BATCH, seed=cell.seed)
    epochs = max(1, round(options["steps"] / len(recipe.batches(len(split.train.y)))))
    return followed(split, recipe, TrainConfig(epochs, options["rate"]))


def reached(results: Results, arm: str, accuracy: float) -> float:
    """Return the first step at which the accuracy, mean over seeds, was reached; infinity if it was not."""
    curve = 1.0 - results.values(arm, "test_errors").mean(axis=0)
    steps = results.values(arm, "steps")[0]
    return float(steps[np.argmax(curve >= accuracy)]) if (curve >= accuracy).any() else float("inf")


def _conclude(results: Results) -> Conclusion:
    accuracy = {arm: estimate(1.0 - results.values(arm, "test_error")) for arm in results.arms}
    gain = difference(results.values("without", "test_error"), results.values("batch norm", "test_error"))
    last = results.values("without", "steps")[0][-1]
    goal = float((1.0 - results.values("without", "test_errors").mean(axis=0)).max())
    first = reached(results, "batch norm", goal)
    when = (
        f"batch norm reaches the best accuracy of the network without it ({100 * goal:.2f} %) after {first:.0f} steps"
        if np.isfinite(first)
        else f"batch norm never reaches the best accuracy of the network without it ({100 * goal:.2f} %)"
    )
    level = "higher" if gain.mean > 0 else "not higher"
    sentence = (
        f"Of {last:.0f} steps, {when}; its final accuracy is {level}: {accuracy['batch norm'].text(4, 100, '%')} against "
        f"{accuracy['without'].text(4, 100, '%')}."
    )
    holds = bool(np.isfinite(first) and first <= 0.5 * last and gain.mean > 0)
    marks = (0.9, 0.95, 0.97)
    header = ("", "test accuracy", *(f"steps to {100 * mark:g} %" for mark in marks))
    rows = tuple(
        (arm, accuracy[arm].text(4, 100, "%"), *(_step(reached(results, arm, mark)) for mark in marks))
        for arm in results.arms
    )
    return Conclusion(sentence, holds, header, rows)


def _step(step: float) -> str:
    return f"{step:.0f}" if np.isfinite(step) else "never"


def _draw(results: Results) -> drawing.Pictures:
    steps = results.values("batch norm", "steps")[0]
    found = {arm: 100 * (1.0 - results.values(arm, "test_errors")) for arm in results.arms}
    axes: dict[str, Any] = {"y_limits": (70.0, 100.0), "x_name": "step", "y_name": "test accuracy, %"}
    return {"Test accuracy by step": [drawing.curves("Test accuracy", found, steps, **axes)]}


STUDY = Study(
    name="ioffe2015",
    title="Ioffe and Szegedy 2015: batch norm in a sigmoid network",
    claim="With batch norm the network learns faster and reaches a higher accuracy.",
    source="[ioffe2015] 4.1, figure 1a",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Three hidden sigmoid layers of 100 units, 60 rows per step, plain gradient descent at one rate for both.",
)
