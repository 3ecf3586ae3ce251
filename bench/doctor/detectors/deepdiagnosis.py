"""Why: DeepDiagnosis names eight symptoms and adds advice; it stops at the first.

In: the ends of epochs. Out: one diagnosis at most, whose symptoms include those that its advice would repair.
Reference: Wardat, Cruz, Le, Rajan, "DeepDiagnosis", ICSE 2022. Its two helpers on weights and rate are taken as they were
meant (on the weights), not as they were published (on their mean, where they cannot fire).
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from doctor.detectors.base import Diagnosis, finite, functions, inputs_of, mean, probabilistic, say
from doctor.hosts import Subject
from doctor.trace import Check, Trace

WINDOW, EQUAL_ACCURACIES, FAR, SATURATED, DEAD, SMALLEST, SPREAD = 5, 20, 5.0, 0.5, 0.7, 1e-7, 10.0
"""Checks that are compared; equal accuracies that count; |z| and share of saturation; dead share; gradient; spread."""

ADVICE = {
    "weights": "init-scale symmetric-weights",
    "data": "unnormalized-inputs tiny-inputs",
    "rate": "learning-rate-too-high learning-rate-too-low update-ratio",
    "optimizer": "optimizer-settings",
    "activation": "hidden-softmax linear-collapse",
}


def supports(subject: Subject) -> bool:
    """Everything; regression without the accuracy rules."""
    return True


def detect(trace: Trace) -> list[Diagnosis]:
    """The first symptom."""
    found = _output_range(trace)
    for i, check in enumerate(trace.ends):
        if found:
            break
        found = _numbers(trace, check) or _saturation(trace, check) or _standing(trace, i) or _vanishing(trace, check)
    if not found and trace.ends:
        found = _dead(trace, trace.ends[-1])
    if not found and trace.stopped:
        found = [say("invalid loss", "nan-loss exploding-gradient " + ADVICE["rate"], len(trace.turns))]
    return found[:1]


def _output_range(trace: Trace) -> list[Diagnosis]:
    """Before the first step: targets outside the last activation's range, or an output ten times as wide as they are."""
    Y, Z = trace.Y, trace.checks[0].outputs[-1]
    last = dict(functions(trace)).get(len(trace.net.layers) - 1, "")
    low, high = {"Sigmoid": (0, 1), "Softmax": (0, 1), "Tanh": (-1, 1), "ReLU": (0, math.inf)}.get(
        last, (-math.inf, math.inf)
    )
    outside = Y.ndim == 2 and (Y.min() < low or Y.max() > high)
    wide = Y.ndim == 2 and not probabilistic(trace.subject) and np.ptp(Z) > SPREAD * np.ptp(Y)
    raw = type(trace.subject.recipe.loss).__name__ in ("RawBinary", "RawProbabilities")
    if outside or wide or raw or not finite(Z):
        return [say("output out of range", "output-range output-loss-mismatch target-scale", 0)]
    return []


def _advice(trace: Trace, check: Check, order: str) -> str:
    """The symptoms of the first helper that has something to say, of those that a decision list names."""
    for helper in order.split():
        if helper == "weights" and any(not 1e-5 <= float(np.var(W)) <= 10 for W in trace.parts(check.w)):
            return ADVICE[helper]
        if helper == "data" and (trace.X.min() < -1 or trace.X.max() > 1):
            return ADVICE[helper]
        if helper == "rate" and not all(1e-5 <= r <= 1e-1 for r in _ratios(trace, check)):
            return ADVICE[helper]
        if helper in ("optimizer", "activation"):
            return ADVICE[helper]
    return ""


def _ratios(trace: Trace, check: Check) -> list[float]:
    pairs = zip(trace.parts(check.g), trace.parts(check.w), strict=True)
    return [check.rate * float(np.linalg.norm(g)) / max(float(np.linalg.norm(W)), 1e-30) for g, W in pairs]


def _named(trace: Trace, check: Check, message: str, slugs: str, order: str) -> list[Diagnosis]:
    return [say(message, f"{slugs} {_advice(trace, check, order)}", round(check.epoch))]


def _numbers(trace: Trace, check: Check) -> list[Diagnosis]:
    """A layer's mean output, weight or gradient that is no number, or exactly 0."""
    named = [("forward", A) for A in check.outputs]
    named += [("weights", W) for W in trace.parts(check.w)]
    named += [("gradient", G) for G in trace.parts(check.g)]
    for kind, A in named:
        if _empty(A):
            return _named(trace, check, f"numerical error in {kind}", "nan-loss", "weights data rate activation")
    if not math.isfinite(check.loss):
        return _named(trace, check, "invalid loss", "nan-loss", "activation")
    return []


def _empty(A: Array) -> bool:
    value = mean(A)
    return not math.isfinite(value) or value == 0.0


def _saturation(trace: Trace, check: Check) -> list[Diagnosis]:
    if round(check.epoch) % WINDOW:
        return []
    for i, name in functions(trace):
        if name in ("Sigmoid", "Tanh") and (np.abs(inputs_of(trace, check.outputs, i)) >= FAR).mean() > SATURATED:
            return _named(trace, check, "saturated activation", "saturated-units", "data weights rate")
    return []


def _standing(trace: Trace, i: int) -> list[Diagnosis]:
    """Five equal means of a tensor, five equal losses, or twenty equal accuracies."""
    window, turns = trace.ends[max(0, i + 1 - WINDOW) : i + 1], trace.turns[: i + 1]
    check = trace.ends[i]
    if len(window) == WINDOW:
        for k in range(len(check.outputs)):
            if len({mean(c.outputs[k]) for c in window}) == 1:
                return _named(trace, check, "unchanged output", "dead-units saturated-units", "weights rate optimizer")
        for k in range(len(trace.parts(check.w))):
            if len({mean(trace.parts(c.w)[k]) for c in window}) == 1:
                return _named(trace, check, "unchanged weights", "frozen-layer", "weights rate optimizer")
        if len({t.train_loss for t in turns[-WINDOW:]}) == 1:
            return _named(trace, check, "loss not decreasing", "not-decreasing", "weights data rate optimizer")
    accuracies = {t.train_accuracy for t in turns[-EQUAL_ACCURACIES:]}
    if trace.subject.classes and len(turns) >= EQUAL_ACCURACIES and len(accuracies) == 1:
        return _named(trace, check, "accuracy not increasing", "not-decreasing", "weights data rate optimizer")
    return []


def _vanishing(trace: Trace, check: Check) -> list[Diagnosis]:
    if any(np.abs(G).mean() < SMALLEST for G in trace.parts(check.g)):
        slugs = "vanishing-gradient learning-rate-too-low learning-rate-too-high"
        return [say("vanishing gradient", slugs, round(check.epoch))]
    return []


def _dead(trace: Trace, check: Check) -> list[Diagnosis]:
    for i, name in functions(trace):
        if name == "ReLU" and (check.outputs[i] <= 0).mean() >= DEAD:
            return _named(trace, check, "dead node", "dead-units", "data weights rate activation")
    return []
