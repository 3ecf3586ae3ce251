"""Glorot and Bengio showed layer by layer why deep tanh networks were hard to train, and which rule fixes it.

In: pixels, two initialization rules. Out: spread of activations and of gradients by layer at start, singular values of
a layer's Jacobian, test error after training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.initializers import Glorot, Initializer, spread
from chainrule.nn.layers import Activation, Context, Dense
from chainrule.nn.losses import SoftmaxCrossEntropy, mean_loss
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net
from chainrule.nn.optimizers import SGD
from chainrule.nn.step import Recipe
from chainrule.random import Stream
from chainrule.studies import drawing
from chainrule.studies.common import Subset, quick_or_full
from chainrule.studies.papers.common import best_rate, followed, images, ratio
from chainrule.studies.statistics import estimate
from chainrule.studies.study import Cell, Conclusion, Results, Study, StudyConfig
from chainrule.train import TrainConfig


@dataclass(frozen=True)
class Customary:
    """The rule that was usual before: it preserves a third of the variance.

    Forward    (1) W uniform in ±1 / √n_in, so σ = 1 / √(3 n_in)
    Reference  [glorot2010] eq. 1
    """

    def draw(self, stream: Stream, n_in: int, n_out: int) -> Array:
        """Return W with variance 1 / (3 n_in)."""
        return spread(stream, "uniform", float(1.0 / np.sqrt(3.0 * n_in)), n_in, n_out)  # (1)


_RULES: Mapping[str, Initializer] = {"customary": Customary(), "normalized": Glorot(distribution="uniform")}
_DEPTH = 5
_RATES = (0.01, 0.03, 0.1)


def network(rule: Initializer, inputs: int, width: int, classes: int) -> Net:
    """Return five hidden tanh layers, all weights drawn by the rule."""
    plain = mlp(inputs, (width,) * _DEPTH, classes, activation="tanh").layers
    return Net(inputs, [Dense(layer.units, initializer=rule) if isinstance(layer, Dense) else layer for layer in plain])


def signals(net: Net, part: Subset, seed: int) -> dict[str, list[float]]:
    """Return the spread of activations and of dJ/dZ and mean singular values of Jacobians by layer, before the first step.

    A Jacobian is that of a hidden layer's output with respect to the output of the layer before, at the first row, from the
    second hidden layer on.
    """
    w, buffers = net.init(seed)
    ctx = Context(np, training=True, stream=Stream.from_seed(seed))
    X, y = part.X[:300].astype(np.float64), part.y[:300]
    loss = SoftmaxCrossEntropy()
    c = np.ones(len(X))
    layers = net.trace(w, buffers, X, lambda Z: mean_loss(loss, np, Z, y, c)[1], ctx)
    weights = net.parameters.views(w)
    hidden = [i for i, layer in enumerate(net.layers) if isinstance(layer, Activation)]
    return {
        "activations": [_spread(layers[i].output) for i in hidden],
        "gradients": [_spread(layers[i - 1].gradient * len(X)) for i in hidden],
        "singular": [_singular(weights[f"{i - 1}.W"], layers[i].output[0]) for i in hidden[1:]],
    }


def _spread(A: Array) -> float:
    return float(f"{np.std(A):.6g}")


def _singular(W: Array, A: Array) -> float:
    """Return the mean singular value of W diag(1 - A²), the Jacobian of a tanh layer."""
    return float(f"{np.linalg.svd(W * (1.0 - A * A), compute_uv=False).mean():.6g}")


def _arms(config: StudyConfig) -> Mapping[str, Mapping[str, Any]]:
    size = {"width": quick_or_full(config, 200, 1000), "batch": 10, "epochs": quick_or_full(config, 2, 2)}
    return {name: {"rule": name, **size} for name in _RULES}


def _run(cell: Cell) -> dict[str, Any]:
    options = cell.options
    split = images(cell.config, cell.seed)
    net = network(_RULES[options["rule"]], split.inputs, options["width"], split.classes)
    recipe = Recipe(net, SoftmaxCrossEntropy(), SGD(), batch_size=options["batch"], seed=cell.seed)
    rate = best_rate(split, recipe, _RATES, quick_or_full(cell.config, 2000, 5000))
    record = followed(split, recipe, TrainConfig(options["epochs"], rate))
    return {**signals(net, split.train, cell.seed), "rate": rate, **record}


def _last_over_first(results: Results, arm: str, figure: str) -> float:
    return ratio(results.values(arm, figure).mean(axis=0))


def _conclude(results: Results) -> Conclusion:
    kept = {arm: _last_over_first(results, arm, "activations") for arm in results.arms}
    back = {arm: 1.0 / _last_over_first(results, arm, "gradients") for arm in results.arms}
    errors = {arm: estimate(results.values(arm, "test_error")) for arm in results.arms}
    singular = {arm: float(results.values(arm, "singular").mean()) for arm in results.arms}
    after = "lower" if errors["normalized"].mean < errors["customary"].mean else "not lower"
    sentence = (
        f"From the first to the fifth hidden layer the activations keep {kept['normalized']:.2g} of their spread under the "
        f"normalized rule and {kept['customary']:.2g} under the customary one; the gradients, on their way back, keep "
        f"{back['normalized']:.2g} and {back['customary']:.2g}. The mean singular value of a layer's Jacobian is "
        f"{singular['normalized']:.2g} and {singular['customary']:.2g}. The test error is {after} with the "
        f"normalized rule: {errors['normalized'].text(3, 100, '%')} against {errors['customary'].text(3, 100, '%')}."
    )
    holds = kept["normalized"] > 2 * kept["customary"] and back["normalized"] > 2 * back["customary"]
    header, table = results.table(rate=("rate", 1, ""), test_error=("test_error", 100, "%"))
    rows = tuple((*row, f"{kept[row[0]]:.3g}", f"{back[row[0]]:.3g}", f"{singular[row[0]]:.3g}") for row in table)
    return Conclusion(sentence, holds, (*header, "activations kept", "gradients kept", "mean singular value"), rows)


def _draw(results: Results) -> drawing.Pictures:
    panels = []
    titles = {
        "activations": ("Signal forward", "spread of activations"),
        "gradients": ("Gradient backward", "spread of dJ/dZ"),
    }
    for kind, (title, name) in titles.items():
        found = {arm: results.values(arm, kind) for arm in results.arms}
        panels.append(drawing.curves(title, found, y_log=True, x_name="layer", y_name=name))
    return {"Signal and gradient by hidden layer, before the first step": panels}


STUDY = Study(
    name="glorot2010",
    title="Glorot and Bengio 2010: initial weights of deep tanh networks",
    claim="The normalized rule preserves the spread of activations and gradients from layer to layer; ±1/√n does not.",
    source="[glorot2010] figures 6 and 7, table 1",
    arms=_arms,
    run=_run,
    conclude=_conclude,
    draw=_draw,
    reading="A level curve passes the signal on. Each rule trains by plain gradient descent at the best of three rates.",
)
