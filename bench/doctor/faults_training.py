"""Why: the same network learns or does not by how it is trained.

In: healthy subjects. Out: faults F12 to F19, F26, F31, F36, F37 and F45: rates, optimizers, batches, penalties, courses.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.nn.layers import Activation, BatchNorm, Dense, Layer
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.optimizers import SGD, AdaGrad, Adam, SGDMomentum
from chainrule.nn.penalties import Clip, ClipNorm, ClipValue, Penalty
from chainrule.nn.schedules import Exponential, Step
from chainrule.train import EarlyStopping, TrainingProblem, train
from doctor.fault import Fault, Impossible, Outcome, fault, with_course, with_layers, with_recipe
from doctor.hosts import HOSTS, Subject
from doctor.pieces import SummedLoss, SummedSoftmax, Uphill


def rate_times(subject: Subject, factor: float, rng: np.random.Generator) -> Outcome:
    """The learning rate times a factor."""
    return with_course(subject, learning_rate=subject.config.learning_rate * factor)


def rate_at(subject: Subject, rate: float, rng: np.random.Generator) -> Outcome:
    """A learning rate, whatever the host."""
    return with_course(subject, learning_rate=rate)


def _high(subject: Subject, level: tuple[str, float], rng: np.random.Generator) -> Outcome:
    return (rate_times if level[0] == "times" else rate_at)(subject, level[1], rng)


def uphill(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """A negative learning rate, or a gradient with its sign flipped."""
    if kind == "rate":
        return with_course(subject, learning_rate=-subject.config.learning_rate)
    return replace(with_recipe(subject, optimizer=Uphill(subject.recipe.optimizer)), engine="reference")


def few_epochs(subject: Subject, divisor: int, rng: np.random.Generator) -> Outcome:
    """A share of the epochs."""
    return with_course(subject, epochs=max(1, subject.config.epochs // divisor))


def batch_of(subject: Subject, size: int, rng: np.random.Generator) -> Outcome:
    """Batches of one size; 0 is all rows."""
    return with_recipe(subject, batch_size=size or len(subject.rows))


def other_optimizer(subject: Subject, level: tuple[Any, float], rng: np.random.Generator) -> Outcome:
    """Another optimizer with the rate that libraries give it by default."""
    optimizer, rate = level
    if type(optimizer) is type(subject.recipe.optimizer):
        return Impossible("the host has this optimizer")
    return with_course(with_recipe(subject, optimizer=optimizer), learning_rate=rate)


def adam_epsilon(subject: Subject, epsilon: float, rng: np.random.Generator) -> Outcome:
    """Adam with another ε."""
    if not isinstance(subject.recipe.optimizer, Adam):
        return Impossible("the host has another optimizer")
    return with_recipe(subject, optimizer=Adam(epsilon=epsilon))


def tight_clip(subject: Subject, clip: Clip, rng: np.random.Generator) -> Outcome:
    """A gradient cut nearly always."""
    return with_recipe(subject, clip=clip)


def summed(subject: Subject, level: None, rng: np.random.Generator) -> Outcome:
    """The loss summed over the batch."""
    inner = subject.recipe.loss
    loss = SummedSoftmax() if isinstance(inner, SoftmaxCrossEntropy) else SummedLoss(inner)
    return replace(with_recipe(subject, loss=loss), engine="reference")


def penalized(subject: Subject, penalty: Penalty, rng: np.random.Generator) -> Outcome:
    """Another penalty."""
    return with_recipe(subject, penalty=penalty)


def tiny_norm_batches(subject: Subject, size: int, rng: np.random.Generator) -> Outcome:
    """Batch norm behind every hidden Dense, and batches too small for its statistics."""
    layers: list[Layer] = []
    for layer, after in zip(subject.recipe.net.layers, [*subject.recipe.net.layers[1:], None], strict=True):
        layers.append(layer)
        if isinstance(layer, Dense) and isinstance(after, Activation):
            layers[-1] = replace(layer, bias=False)
            layers.append(BatchNorm())
    return with_recipe(with_layers(subject, layers), batch_size=size)


def too_early(subject: Subject, kind: str, rng: np.random.Generator) -> Outcome:
    """Training ends at the first epoch that is no better, or its rate has decayed to nothing by a tenth of the course."""
    E = subject.config.epochs
    if kind == "decay":
        return with_course(subject, schedule=Exponential(k=60.0 / E))
    if kind == "steps":
        return with_course(subject, schedule=Step(every=0.5, drop=0.5))
    monitor = EarlyStopping(patience=1)
    run = train(TrainingProblem(subject.recipe, subject.rows, subject.config, subject.validation), [monitor])
    return with_course(subject, epochs=max(1, len(run.epochs)))


def stochastic(subject: Subject, rate: float, rng: np.random.Generator) -> Outcome:
    """Momentum with batches of one row for as many epochs as the host has."""
    if subject.host not in ("H1", "H2"):
        return Impossible("published for points in the plane")
    changed = with_recipe(subject, optimizer=SGDMomentum(mu=0.9), batch_size=1)
    return with_course(changed, learning_rate=rate, epochs=HOSTS[subject.host].epochs)


FAULTS: tuple[Fault, ...] = (
    fault(
        12,
        "learning rate too high",
        [("x30", ("times", 30.0)), ("x300", ("times", 300.0)), ("5", ("at", 5.0))],
        _high,
        "learning-rate-too-high",
        "exploding-gradient nan-loss oscillating-loss update-ratio",
    ),
    fault(
        13,
        "learning rate too low",
        [("/100", ("times", 0.01)), ("1e-8", ("at", 1e-8))],
        _high,
        "learning-rate-too-low",
        "undertrained update-ratio",
    ),
    fault(
        14,
        "steps go uphill",
        [("rate", "rate"), ("sign", "sign")],
        uphill,
        "not-a-descent-direction",
        "wrong-gradient",
    ),
    fault(15, "too few epochs", [("/10", 10), ("/50", 50)], few_epochs, "undertrained", "learning-rate-too-low"),
    fault(
        16,
        "batch of one row, or of all",
        [("1", 1), ("all", 0)],
        batch_of,
        "batch-too-large",
        "batch-too-small oscillating-loss batch-norm-tiny-batch learning-rate-too-high learning-rate-too-low undertrained",
    ),
    fault(
        17,
        "another optimizer at its usual rate",
        [("descent 0.01", (SGD(), 0.01)), ("AdaGrad 0.001", (AdaGrad(), 0.001))],
        other_optimizer,
        "optimizer-settings",
        "learning-rate-too-low learning-rate-too-high undertrained update-ratio",
    ),
    fault(
        18,
        "Adam's epsilon",
        [("0.1", 0.1), ("10", 10.0), ("1e-16", 1e-16)],
        adam_epsilon,
        "optimizer-settings",
        "update-ratio learning-rate-too-low undertrained",
    ),
    fault(
        19,
        "clipping too tight",
        [("norm 0.001", ClipNorm(1e-3)), ("value 0.0001", ClipValue(1e-4))],
        tight_clip,
        "clipping-too-tight",
        "learning-rate-too-low undertrained",
    ),
    fault(
        26,
        "loss summed over the batch",
        [("sum", None)],
        summed,
        "learning-rate-too-high",
        "wrong-initial-loss exploding-gradient nan-loss oscillating-loss update-ratio dead-units",
    ),
    fault(
        31,
        "penalty too strong",
        [("l1 0.01", Penalty(l1=1e-2)), ("l2 0.3", Penalty(l2=0.3)), ("l2 1e-12", Penalty(l2=1e-12))],
        penalized,
        "over-regularized",
        "underfitting",
    ),
    fault(
        36,
        "batch norm on tiny batches",
        [("2", 2), ("4", 4)],
        tiny_norm_batches,
        "batch-norm-tiny-batch",
        "batch-too-small batch-norm-statistics train-eval-gap",
    ),
    fault(
        37,
        "stopped or decayed too early",
        [("patience 1", "patience"), ("decay", "decay"), ("steps", "steps")],
        too_early,
        "schedule-too-early",
        "stopped-too-early undertrained",
    ),
    fault(
        45,
        "batches of one row with momentum",
        [("0.01", 0.01), ("0.1", 0.1)],
        stochastic,
        "oscillating-loss",
        "batch-too-small learning-rate-too-high",
    ),
)
"""Faults of the training."""
