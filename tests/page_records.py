"""Why: tests of the page and of the browser need records as the doctor makes them, at once and with known numbers.

In: labels and names, as hostile as a test wants. Out: a case, a trace, findings, a report.
"""

import math

import numpy as np

from chainrule import mlp
from chainrule.doctor.vocabulary.records import Finding, Fix, LayerReading, Reading, RemedyTrial, Report, Trace
from chainrule.engines import Rows
from chainrule.nn.losses import MeanSquaredError, SoftmaxCrossEntropy
from chainrule.nn.optimizers import Adam
from chainrule.nn.step import Recipe
from chainrule.pipeline.option_names import Setting
from chainrule.target import Target
from chainrule.train import Epoch, TrainConfig
from chainrule.train.problem import TrainingProblem

HOSTILE = '<script>alert("x")</script>'
"""What a class, a column or a message may be called by someone who means harm, or who works with markup."""


def epoch(number, train=1.0, held_out=math.nan, metric="accuracy", rate=1e-3):
    return Epoch(number, metric, train, 0.5, held_out, 0.25, rate, 0.1 * number, 0.01, 4, True, True, lambda: None)


def reading(net, number):
    layers = tuple(
        LayerReading(
            i,
            "Dense" if i % 2 == 0 else "relu",
            0.5,
            1.0 + number,
            4.0,
            None if i % 2 == 0 else np.arange(net.widths[i + 1]) % 4 == 0,
            None if i % 2 == 0 else np.full(net.widths[i + 1], 0.25),
            10.0 ** (i - 3),
            2.0 if i % 2 == 0 else None,
            0.5 if i % 2 == 0 else None,
            10.0 ** (-2 - number) if i % 2 == 0 else None,
            1.0,
        )
        for i in range(len(net.layers))
    )
    return Reading(number, 4 * number, 1.0 / (1 + number), 1.1, layers)


def case(classes=("a", "b", "c"), inputs=64, names=None):
    """Rows whose last layer is right about all but a few."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, inputs))
    amounts = classes is None
    Y = rng.normal(size=(40, 1)) if amounts else np.arange(40) % len(classes)
    net = mlp(inputs, [8], 1 if amounts else len(classes))
    recipe = Recipe(net, MeanSquaredError() if amounts else SoftmaxCrossEntropy(), Adam(), batch_size=10)
    rows = Rows.of(recipe, X, Y)
    labels = None if amounts else np.array(classes, dtype=object)
    target = Target(labels, recipe.loss, net.outputs, None)
    named = tuple(names or (f"x{i}" for i in range(inputs)))
    return TrainingProblem(recipe, rows, TrainConfig(3, 1e-3), rows, feature_names=named, target=target)


def trace(of, epochs=3):
    seen = tuple(epoch(i + 1, 2.0 / (i + 1), 2.5 / (i + 1)) for i in range(epochs))
    readings = tuple(reading(of.recipe.net, i) for i in range(epochs))
    return Trace(seen, readings, np.zeros(0), np.zeros(0), {}, 1.0, of.recipe.start(), None, 2.0, 0.02)


def finding(**given):
    known = {
        "symptom": "learning-rate-too-high",
        "severity": "critical",
        "title": "The rate is too high",
        "meaning": "Steps overshoot.",
        "measured": "loss 2.9",
        "usual": "below 2.3",
        "figures": {"loss": 2.9},
        "fix": Fix("Take a tenth.", (Setting("learning_rate_init", 1e-3),), remedy="rate/10", safe=True),
        "seen": (2, 3),
        "confirmed": True,
        "trials": (RemedyTrial("rate/10", 20, (2.0, 2.1, 2.2), (2.0, 1.0, 0.5), True, 0.75),),
        "ruled_out": ("dead-units",),
        "explains": ("oscillating-loss",),
    }
    return Finding(**known | given)


def report(of=None, findings=None, **given):
    of = case() if of is None else of
    findings = (finding(),) if findings is None else tuple(findings)
    return Report("ill" if findings else "healthy", findings, of, trace(of), **given)
