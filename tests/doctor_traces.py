"""Why: the doctor's tests share hand-made traces. In: losses, readings by layer. Out: training problems and their traces."""

import math

import numpy as np

from chainrule import Activation, Dense, Net
from chainrule.doctor.vocabulary.records import LayerReading, Reading, Trace
from chainrule.engines import Rows
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe
from chainrule.train import Epoch, TrainConfig
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import spent

BASE = math.log(2)


def problem(layers=None, n=200, validation=True, epochs=20, schedule=None, **settings):
    rng = np.random.default_rng(0)
    net = Net(3, layers or [Dense(4), Activation("relu"), Dense(4), Activation("relu"), Dense(2)])
    recipe = Recipe(net, SoftmaxCrossEntropy(), dtype="float64", **settings)
    X = rng.normal(size=(n, 3))
    rows = Rows.of(recipe, X, (np.arange(n) % 2))
    config = TrainConfig(epochs, 0.01, schedule or TrainConfig().schedule)
    return TrainingProblem(recipe, rows, config, rows if validation else None, "reference")


def epochs(train, validation=None, scores=None, rate=0.01, steps=10):
    validation = train if validation is None else validation
    scores = [1.0 - loss for loss in train] if scores is None else scores
    rates = rate if isinstance(rate, list) else [rate] * len(train)
    return tuple(
        Epoch(i + 1, "accuracy", a, s, b, s, r, 1.0, 0.0, steps, True, math.isfinite(a), spent)
        for i, (a, b, s, r) in enumerate(zip(train, validation, scores, rates, strict=True))
    )


def reading(given, epoch=10, loss=0.1, training_loss=None, penalty_ratio=0.0, nonfinite="", **by_layer):
    """A reading in which every layer is well, but for what is given by layer: `_1=dict(silent=...)`."""
    names = given.recipe.net.parameters.names
    layers = []
    for i, layer in enumerate(given.recipe.net.layers):
        usual = {"gradient_rms": 1.0, "drift": 1.0}
        if f"{i}.W" in names:
            usual |= {"weight_norm": 1.0, "gradient_norm": 1.0, "update_ratio": 1e-3}
        usual |= by_layer.get(f"_{i}", {})
        layers.append(LayerReading(i, type(layer).__name__, 0.0, 1.0, 2.0, **usual))
    training_loss = loss if training_loss is None else training_loss
    return Reading(epoch, epoch * 7, loss, training_loss, tuple(layers), penalty_ratio, nonfinite)


def trace(given, losses=None, readings=None, norms=(), stopped=None, steps=(), **watched):
    losses = [*np.geomspace(0.6, 0.1, 20), *np.linspace(0.1, 0.0995, 40)] if losses is None else losses
    seen = epochs(losses, **watched)
    readings = readings or [reading(given, e, losses[max(e - 1, 0)]) for e in (0, 1, 10, len(losses))]
    return Trace(seen, tuple(readings), np.array(steps), np.array(norms), {}, BASE, given.recipe.start(), stopped)


BAD = [0.69 + 0.001 * (i % 2) for i in range(20)]
"""A loss that stays where a constant would be."""


def stuck(given, **by_layer):
    """A trace of a training that has not worked, with the same peculiarity at every moment."""
    return trace(given, BAD, [reading(given, e, 0.69, **by_layer) for e in (0, 1, 10, 20)])
