"""Why: AutoTrainer is the best known tool that detects and repairs; its rules are those of its monitor, at its defaults.

In: the end of every third epoch: gradients on the first rows, accuracies, weights. Out: at most its six problems.
Reference: Zhang, Zhai, Ma, Shen, "AutoTrainer", ICSE 2021; improper activation, loss and data of its TDSC 2024 extension.
"""

from __future__ import annotations

import math

import numpy as np

from doctor.detectors.base import Diagnosis, finite, norm, once, probabilistic, say
from doctor.hosts import Subject
from doctor.trace import Check, Trace

GAP, BETA1, BETA2, BETA3, GAMMA, ZETA, ETA, DELTA, THETA, OMEGA = 3, 1e-3, 1e-4, 70.0, 0.7, 0.03, 0.2, 0.01, 0.7, 10.0
"""Epochs between checks; the thresholds by their published letters."""


def supports(subject: Subject) -> bool:
    """Classes only: its gate is an accuracy."""
    return subject.labels is not None


def detect(trace: Trace) -> list[Diagnosis]:
    """All problems, each at its first check, in the tool's order of priority."""
    found = [*_static(trace)]
    for check in trace.ends:
        number = round(check.epoch)
        if number % GAP == 0 or number == len(trace.turns):
            found += _at(trace, check, number)
    if trace.stopped and not trace.ends:
        found.append(say("exploding gradient", "exploding-gradient nan-loss learning-rate-too-high", 1))
    return sorted(once(found), key=_rank)


def _rank(diagnosis: Diagnosis) -> int:
    order = ("data", "activation", "loss", "vanishing", "exploding", "dying", "slow", "oscillating")
    return next(i for i, word in enumerate(order) if word in diagnosis.message)


def _static(trace: Trace) -> list[Diagnosis]:
    if trace.subject.classes and not probabilistic(trace.subject):
        return [say("improper loss", "wrong-loss output-loss-mismatch", 0)]
    return []


def _at(trace: Trace, check: Check, number: int) -> list[Diagnosis]:
    found = []
    hidden = check.outputs[:-1]
    if any(not finite(A) or np.abs(A).mean() >= OMEGA for A in hidden):
        found.append(say("abnormal data", "unnormalized-inputs", number))
    slow = _slow(trace, number)
    if slow or _no_gain(trace, number):
        found += _gradients(trace, check, number)
    if slow:
        words = "not-decreasing learning-rate-too-low undertrained optimizer-settings symmetric-weights"
        found.append(say("slow convergence", words, number))
    if _oscillates(trace, number):
        found.append(say("oscillating loss", "oscillating-loss learning-rate-too-high batch-too-small", number))
    return found


def _gradients(trace: Trace, check: Check, number: int) -> list[Diagnosis]:
    found = []
    g = trace.parts(check.g)
    first, last = norm(g[0]), norm(g[-1])
    with np.errstate(all="ignore"):
        ratio = first / last if last > 0 else math.inf if first > 0 else 0.0
    if ratio < BETA1 and first < BETA2:
        found.append(say("vanishing gradient", "vanishing-gradient", number))
    if ratio > BETA3 or not (finite(check.w, check.g) and math.isfinite(check.loss)):
        found.append(say("exploding gradient", "exploding-gradient nan-loss", number))
    zeros = np.concatenate([part.ravel() for part in g]) == 0
    if zeros.mean() >= GAMMA:
        found.append(say("dying relu", "dead-units", number))
    return found


def _accuracies(trace: Trace, number: int) -> tuple[np.ndarray, np.ndarray]:
    turns = trace.turns[:number]
    return np.array([t.train_accuracy for t in turns]), np.nan_to_num(np.array([t.validation_accuracy for t in turns]))


def _slow(trace: Trace, number: int) -> bool:
    """After three tenths of the course: no accuracy has reached Θ, and none has gained δ in one epoch."""
    if number <= 0.3 * trace.epochs:
        return False
    curves = _accuracies(trace, number)
    low = max(curve.max() for curve in curves) < THETA
    return bool(low and all(np.diff(curve, prepend=curve[0]).max() < DELTA for curve in curves))


def _no_gain(trace: Trace, number: int) -> bool:
    """The training accuracy is below Θ: the gate of the gradient rules."""
    return bool(_accuracies(trace, number)[0][-1] < THETA)


def _oscillates(trace: Trace, number: int) -> bool:
    """Pairs of a local maximum and the next local minimum that lie ζ apart are a share of η of the epochs so far."""
    if number <= 0.3 * trace.epochs:
        return False
    curve = _accuracies(trace, number)[0]
    inner, before, after = curve[1:-1], curve[:-2], curve[2:]
    highs, lows = inner[(inner > before) & (inner > after)], inner[(inner < before) & (inner < after)]
    pairs = min(len(highs), len(lows))
    return bool(pairs and (highs[:pairs] - lows[:pairs] >= ZETA).sum() >= ETA * number)
