"""Why: UMLAUT explains to people who are no experts; its checks are few and simple.

In: the network before training, and the ends of epochs. Out: all of its messages.
Reference: Schoop, Huang, Hartmann, "UMLAUT", CHI 2021. Its check for a missing softmax is given the benefit of a loss that
takes logits, where it is silent.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from chainrule.nn.layers import Dense, Dropout
from chainrule.nn.losses import SoftmaxCrossEntropy
from doctor.detectors.base import Diagnosis, functions, once, say
from doctor.hosts import Subject
from doctor.pieces import RawBinary, RawProbabilities
from doctor.trace import Trace, Turn

HIGHEST_DROPOUT, HIGHEST_RATE, LOWEST_RATE, TOO_GOOD, LEAD, AFTER = 0.5, 0.01, 1e-7, 0.95, 0.05, 3
"""Dropout; learning rates; validation accuracy, its lead over training, and the epoch from which it counts."""


def supports(subject: Subject) -> bool:
    """Everything; its accuracy rule for classes only."""
    return True


def detect(trace: Trace) -> list[Diagnosis]:
    """Messages before training, then those of the epochs, each once."""
    return once([*_before(trace), *_inputs(trace), *_epochs(trace)])


def _before(trace: Trace) -> list[Diagnosis]:
    found, layers = [], trace.net.layers
    if isinstance(trace.subject.recipe.loss, RawBinary | RawProbabilities):
        found.append(say("missing softmax before loss", "output-loss-mismatch", 0))
    if any(isinstance(a, Dense) and isinstance(b, Dense) for a, b in pairwise(layers)):
        found.append(say("linear hidden layer", "linear-collapse", 0))
    last = dict(functions(trace)).get(len(layers) - 1)
    if last not in (None, "Identity"):
        exclusive = isinstance(trace.subject.recipe.loss, SoftmaxCrossEntropy)
        message = "nonlinear activation before softmax" if exclusive else "nonlinear activation on the last layer"
        found.append(say(message, "output-range output-loss-mismatch doubled-activation", 0))
    if any(isinstance(layer, Dropout) and layer.rate > HIGHEST_DROPOUT for layer in layers):
        found.append(say("dropout too high", "dropout-too-high", 0))
    return found


def _inputs(trace: Trace) -> list[Diagnosis]:
    if trace.X.min() < -1 or trace.X.max() > 1:
        return [say("input not normalized", "unnormalized-inputs", 1)]
    return []


def _epochs(trace: Trace) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    before: Turn | None = None
    for turn in trace.turns:
        if not np.isfinite(turn.train_loss):
            found.append(say("NaN in loss", "nan-loss nan-input", turn.number))
        if turn.rate > HIGHEST_RATE:
            found.append(say("learning rate high", "learning-rate-too-high", turn.number))
        if turn.rate < LOWEST_RATE:
            found.append(say("learning rate low", "learning-rate-too-low", turn.number))
        if before and turn.validation_loss > before.validation_loss and turn.train_loss <= before.train_loss:
            found.append(say("possible overfitting", "overfitting too-little-data", turn.number))
        if turn.number >= AFTER and _too_good(turn):
            words = "suspicious-validation duplicate-rows-across-split"
            found.append(say("validation accuracy too high", words, turn.number))
        before = turn
    return found


def _too_good(turn: Turn) -> bool:
    return turn.validation_accuracy > TOO_GOOD or turn.validation_accuracy - turn.train_accuracy > LEAD
