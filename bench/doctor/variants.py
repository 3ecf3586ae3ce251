"""Why: false alarms are counted on as many sound networks as there are broken ones, and sound ones come in many forms.

In: healthy subjects. Out: variants, V1 and on, each a choice that a sensible person might make as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.nn.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.optimizers import Adam, AdamW, Nesterov
from chainrule.nn.penalties import ClipNorm, Penalty
from chainrule.nn.schedules import ConstantSchedule, Cosine, WarmUp
from doctor.fault import Fault, Impossible, Outcome, with_course, with_layers, with_recipe
from doctor.hosts import Subject


def rate(subject: Subject, factor: float, rng: np.random.Generator) -> Outcome:
    """Another learning rate."""
    return with_course(subject, learning_rate=subject.config.learning_rate * factor)


def batch(subject: Subject, size: int, rng: np.random.Generator) -> Outcome:
    """Another batch size, and a rate that goes with its root."""
    factor = math.sqrt(size / subject.recipe.batch_size)
    changed = with_recipe(subject, batch_size=size)
    return with_course(changed, learning_rate=subject.config.learning_rate * factor)


def width(subject: Subject, factor: float, rng: np.random.Generator) -> Outcome:
    """Wider or narrower hidden layers."""
    layers = list(subject.recipe.net.layers)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, Dense)]
    for i in dense[:-1]:
        layers[i] = replace(layers[i], units=math.ceil(layers[i].units * factor))  # type: ignore[attr-defined, type-var, call-arg]
    return with_layers(subject, layers)


def function(subject: Subject, name: str, rng: np.random.Generator) -> Outcome:
    """Another hidden activation, with first weights that suit it."""
    layers = [Activation(name) if isinstance(layer, Activation) else layer for layer in subject.recipe.net.layers]
    layers = [replace(layer, initializer=None) if isinstance(layer, Dense) else layer for layer in layers]
    changed = with_layers(subject, layers)
    return Impossible("the host has this function") if changed.recipe.net == subject.recipe.net else changed


def norm(subject: Subject, layer: Any, rng: np.random.Generator) -> Outcome:
    """Batch or layer norm before every hidden activation that has none before it."""
    layers, before = [], None
    for now in subject.recipe.net.layers:
        if isinstance(now, Activation) and isinstance(before, Dense):
            layers[-1] = replace(before, bias=not isinstance(layer, BatchNorm))
            layers.append(layer)
        elif isinstance(now, Activation) and isinstance(before, BatchNorm):
            layers[-1] = layer
        layers.append(now)
        before = now
    changed = with_layers(subject, layers)
    return Impossible("the host has this norm") if changed.recipe.net == subject.recipe.net else changed


def dropout(subject: Subject, share: float, rng: np.random.Generator) -> Outcome:
    """Little dropout behind the last hidden activation."""
    if any(isinstance(layer, Dropout) for layer in subject.recipe.net.layers):
        return Impossible("the host has dropout")
    *layers, last = subject.recipe.net.layers
    return with_layers(subject, [*layers, Dropout(share), last])


def recipe(subject: Subject, changes: Mapping[str, Any], rng: np.random.Generator) -> Outcome:
    """Settings of the recipe; rows in its dtype."""
    return with_recipe(subject, **changes).map_inputs(lambda X: X)


def optimizer(subject: Subject, level: tuple[Any, float], rng: np.random.Generator) -> Outcome:
    """Another optimizer with a rate that suits it."""
    chosen, learning_rate = level
    if type(chosen) is type(subject.recipe.optimizer):
        return Impossible("the host has this optimizer")
    return with_course(with_recipe(subject, optimizer=chosen), learning_rate=learning_rate)


def config(subject: Subject, schedule: Any, rng: np.random.Generator) -> Outcome:
    """Another schedule."""
    if subject.config.schedule == schedule:
        return Impossible("the host has this schedule")
    return with_course(subject, schedule=schedule)


def epochs(subject: Subject, factor: float, rng: np.random.Generator) -> Outcome:
    """A longer course."""
    return with_course(subject, epochs=round(subject.config.epochs * factor))


def smoothed(subject: Subject, share: float, rng: np.random.Generator) -> Outcome:
    """Label smoothing."""
    if not isinstance(subject.recipe.loss, SoftmaxCrossEntropy):
        return Impossible("the host has another loss")
    return with_recipe(subject, loss=SoftmaxCrossEntropy(label_smoothing=share))


def shifted(subject: Subject, level: tuple[float, float], rng: np.random.Generator) -> Outcome:
    """Inputs that are nearly standardized."""
    return subject.map_inputs(lambda X: level[0] * X + level[1])


_CHOICES: tuple[tuple[str, Any, Any], ...] = (
    ("rate / 2", rate, 0.5),
    ("rate x 2", rate, 2.0),
    ("batch 16", batch, 16),
    ("batch 64", batch, 64),
    ("width x 2", width, 2.0),
    ("width x 0.75", width, 0.75),
    ("tanh", function, "tanh"),
    ("leaky relu", function, "leaky_relu"),
    ("gelu", function, "gelu"),
    ("batch norm", norm, BatchNorm()),
    ("layer norm", norm, LayerNorm()),
    ("dropout 0.1", dropout, 0.1),
    ("L2 1e-4", recipe, {"penalty": Penalty(l2=1e-4)}),
    ("clip at 5", recipe, {"clip": ClipNorm(5.0)}),
    ("float64", recipe, {"dtype": "float64"}),
    ("AdamW", optimizer, (AdamW(), 2e-3)),
    ("Adam", optimizer, (Adam(), 3e-3)),
    ("Nesterov", optimizer, (Nesterov(), 0.02)),
    ("cosine", config, Cosine()),
    ("warm-up", config, WarmUp(epochs=3.0)),
    ("flat", config, ConstantSchedule()),
    ("epochs x 1.5", epochs, 1.5),
    ("smoothing 0.05", smoothed, 0.05),
    ("inputs x 2 + 0.5", shifted, (2.0, 0.5)),
    ("inputs x 0.5", shifted, (0.5, 0.0)),
)

VARIANTS: Mapping[str, Fault] = {
    f"V{i}": Fault(100 + i, text, ((text, level),), change, "", frozenset())
    for i, (text, change, level) in enumerate(_CHOICES, start=1)
}
"""Healthy variants by name; one that does hurt by the kill test is left out of the count."""
