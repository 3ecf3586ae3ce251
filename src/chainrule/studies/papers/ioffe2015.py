"""Why: the first experiment of the paper on batch normalization is a small sigmoid network on MNIST, with and without it.

In: pixels. Out: test accuracy by step, with and without batch norm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.nn.initializers import Normal
from chainrule.nn.layers import Dense
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import Net, mlp
from chainrule.nn.optimizers import SGD
from chainrule.nn.step import Recipe
from chainrule.studies import drawing
from chainrule.studies.common import constrained
from chainrule.studies.papers.common import followed, images
from chainrule.studies.statistics import difference, estimate
from chainrule.studies.study import Cell, Conclusion, Results, Setting, Study
from chainrule.train import TrainConfig

_SIGMA, _RATE, _BATCH = 0.1, 0.1, 60


def _arms(setting: Setting) -> Mapping[str, Mapping[str, Any]]:
    size = {"steps": constrained(setting, 5000, 50000), "rate": _RATE, "sigma": _SIGMA}
    return {"batch norm": {"norm": "batch", **size}, "without": {"norm": None, **size}}


def network(inputs: int, classes: int, norm: str | None, sigma: float) -> Net:
    """Three hidden sigmoid layers of 100, first weights normal with standard deviation σ."""
    layers = mlp(inputs, (100, 100, 100), classes, activation="sigmoid", norm=norm).layers
    rule = Normal(sigma)
    return Net(
        inputs,
        [Dense(layer.units, layer.bias, rule) if isinstance(layer, Dense) else layer for layer in layers],
    )


def _run(cell: Cell) -> dict[str, Any]:
    options, split = cell.options, images(cell.setting, cell.seed)
    net = network(split.inputs, split.classes, options["norm"], options["sigma"])
    recipe = Recipe(net, SoftmaxCrossEntropy(), SGD(), batch_size=_BATCH, seed=cell.seed)
    epochs = max(1, round(options["steps"] / len(recipe.batches(len(split.train.y)))))
    return followed(split, recipe, TrainConfig(epochs, options["rate"]))


def reached(results: Results, arm: str, accuracy: float) -> float:
    """The first step at which the accuracy, mean over seeds, was reached; infinite where it was not."""
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
        f"Of {last:.0f} steps, {when}; its last accuracy is {level}: {accuracy['batch norm'].text(4, 100, '%')} against "
        f"{accuracy['without'].text(4, 100, '%')}."
    )
    holds = bool(np.isfinite(first) and first <= 0.5 * last and gain.mean > 0)
    marks = (0.9, 0.95, 0.97)
    header = ("", "test accuracy", *(f"steps to {100 * mark:g} %" for mark in marks))
    rows = tuple(
        (arm, accuracy[arm].text(4, 100, "%"), *(_told(reached(results, arm, mark)) for mark in marks))
        for arm in results.arms
    )
    return Conclusion(sentence, holds, header, rows)


def _told(step: float) -> str:
    return f"{step:.0f}" if np.isfinite(step) else "never"


def _draw(results: Results) -> Mapping[str, Any]:
    steps = results.values("batch norm", "steps")[0]
    found = {arm: 100 * (1.0 - results.values(arm, "test_errors")) for arm in results.arms}
    figure, ax = drawing.figure(7.2, 4.0)
    drawing.curves(ax, found, steps, ylim=(70, 100), xlabel="step", ylabel="test accuracy, %")
    return {"Test accuracy by step": figure}


STUDY = Study(
    name="ioffe2015",
    title="Ioffe and Szegedy 2015: batch norm in a sigmoid network",
    claim="With batch norm the network learns faster and ends higher.",
    source="[ioffe2015] 4.1, figure 1a",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="Three hidden sigmoid layers of 100, 60 rows a step, plain descent at one rate for both.",
)
