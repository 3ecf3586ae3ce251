"""Why: the built-in rules of Amazon SageMaker Debugger are what many people have running, at their defaults.

In: the ends of epochs, and single steps for the loss. Out: every rule that fires, once.
Reference: Rauschmayr et al., "Amazon SageMaker Debugger", MLSys 2021, and the documentation of its rules. The rules for
pictures and for trees are left out; TensorVariance and AllZero's siblings have no default bounds.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from chainrule.arrays import Array
from doctor.detectors.base import Diagnosis, finite, functions, inputs_of, once, say
from doctor.hosts import Subject
from doctor.trace import Check, Trace

DEAD_SHARE, ACTIVE, GRADIENT, RATIO_HIGH, RATIO_LOW, PATIENCE = 0.5, 0.01, 1e-7, 10.0, 1e-8, 10
"""Share of a layer; share of rows a living unit is active for; gradient; update ratios; steps without a lower loss."""

TANH, SIGMOID, VARIANCES, SPREAD, GAP, CLASSES = 9.4999, (-23.0, 16.99999), 10.0, 1e-3, 0.1, 10.0
"""Bounds of z; ratio of variances; spread of gradients; excess of validation loss; ratio of class counts."""


def supports(subject: Subject) -> bool:
    """Everything."""
    return True


def detect(trace: Trace) -> list[Diagnosis]:
    """All rules over all checks."""
    found = [*_classes(trace), *_weights(trace)]
    for i, check in enumerate(trace.ends):
        found += _tensors(trace, check)
        found += _units(trace, check)
        found += _unchanged(trace, i)
        found += _overfit(trace, i)
    if trace.stopped:
        found.append(say("exploding tensor", "exploding-gradient nan-loss", len(trace.turns)))
    return once([*found, *_loss(trace)])


def _tensors(trace: Trace, check: Check) -> list[Diagnosis]:
    found, epoch = [], check.epoch
    if not finite(check.w, check.g, *check.outputs):
        return [say("exploding tensor", "exploding-gradient nan-loss", epoch)]
    if any(np.abs(g).mean() < GRADIENT for g in trace.parts(check.g)):
        found.append(say("vanishing gradient", "vanishing-gradient", epoch))
    pairs = zip(trace.parts(check.w - check.w_before), trace.parts(check.w_before), strict=True)
    ratios = [float(np.linalg.norm(D)) / max(float(np.linalg.norm(W)), 1e-30) for D, W in pairs]
    if max(ratios) > RATIO_HIGH or min(ratios) < RATIO_LOW:
        slugs = "update-ratio learning-rate-too-high" if max(ratios) > RATIO_HIGH else "update-ratio frozen-layer"
        found.append(say("weight update ratio", slugs + " learning-rate-too-low", epoch))
    if any((A == 0).all() for A in (*check.outputs, *trace.parts(check.w))):
        found.append(say("all zero", "dead-units symmetric-weights", epoch))
    return found


def _units(trace: Trace, check: Check) -> list[Diagnosis]:
    found = []
    for i, name in functions(trace):
        Z = inputs_of(trace, check.outputs, i)
        if name == "ReLU" and ((check.outputs[i] > 0).mean(axis=0) < ACTIVE).mean() > DEAD_SHARE:
            found.append(say("dead relu", "dead-units", check.epoch))
        if name in ("Tanh", "Sigmoid"):
            low, high = (-TANH, TANH) if name == "Tanh" else SIGMOID
            inside = ((low < Z) & (high > Z)).mean(axis=0)
            if (inside < ACTIVE).mean() > DEAD_SHARE:
                found.append(say("saturated activation", "saturated-units", check.epoch))
    return found


def _unchanged(trace: Trace, i: int) -> list[Diagnosis]:
    if i < 2:
        return []
    window = trace.ends[i - 2 : i + 1]

    def still(pick: list[Array]) -> bool:
        return all(np.allclose(a, b, rtol=1e-5) for a, b in pairwise(pick))

    if any(still([trace.parts(c.w)[k] for c in window]) for k in range(len(trace.parts(window[0].w)))):
        return [say("unchanged tensor", "frozen-layer learning-rate-too-low", window[-1].epoch)]
    return []


def _overfit(trace: Trace, i: int) -> list[Diagnosis]:
    turns = trace.turns[: i + 1]
    train = np.mean([t.train_loss for t in turns])
    held_out = np.mean([t.validation_loss for t in turns])
    if math.isfinite(held_out) and train > 0 and (held_out - train) / train > GAP:
        return [say("overfit", "overfitting too-little-data", turns[-1].number)]
    return []


def _loss(trace: Trace) -> list[Diagnosis]:
    """The mean loss of epochs is no lower than any before for ten checks in a row."""
    best, waited = math.inf, 0
    for turn in trace.turns:
        waited = 0 if turn.train_loss < best else waited + 1
        best = min(best, turn.train_loss) if math.isfinite(turn.train_loss) else best
        if waited >= PATIENCE:
            return [say("loss not decreasing", "not-decreasing learning-rate-too-high oscillating-loss", turn.number)]
    return []


def _classes(trace: Trace) -> list[Diagnosis]:
    if not trace.subject.classes:
        return []
    Y = trace.Y
    y = Y if Y.ndim == 1 else Y[:, 0].round() if Y.shape[1] == 1 else np.argmax(Y, axis=1)
    counts = np.bincount(y.astype(int), minlength=trace.subject.classes)
    if counts.max() / max(counts.min(), 1e-9) > CLASSES:
        return [say("class imbalance", "class-imbalance", 0)]
    return []


def _weights(trace: Trace) -> list[Diagnosis]:
    """Units' weights of very different variance, or gradients of no spread, while the loss of the first ten steps stays."""
    losses = [check.step_loss for check in trace.checks[1:11]]
    falling = any(after < before for before, after in pairwise(losses[:6]))
    first = trace.checks[min(1, len(trace.checks) - 1)]
    for W, g in zip(trace.parts(trace.checks[0].w), trace.parts(first.g), strict=True):
        variances = W.var(axis=0)
        uneven = variances.max() > VARIANCES * variances.min()
        spread = float(np.subtract(*np.percentile(g, [95, 5]))) if finite(g) else math.inf
        if (uneven or spread < SPREAD) and not falling:
            return [say("poor weight initialization", "init-scale symmetric-weights", 0)]
    return []
