"""Why: DeepLocalize stops a training at the first number that looks wrong and names the layer.

In: every checked batch. Out: one diagnosis at most, a numerical error or a value that stands still.
Reference: Wardat, Le, Rajan, "DeepLocalize", ICSE 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from doctor.detectors.base import Diagnosis, mean, say
from doctor.hosts import Subject
from doctor.trace import Check, Trace

WINDOW = 5
"""Equal values in a row that count as standing still."""


def supports(subject: Subject) -> bool:
    """Everything."""
    return True


def detect(trace: Trace) -> list[Diagnosis]:
    """The first symptom, in the order forward, weights, metrics, gradient."""
    zeros: dict[str, int] = {}
    recent: dict[str, list[float]] = {}
    for count, check in enumerate(trace.checks[1:], start=1):
        for kind, place, value in _means(trace, check):
            key = kind + place
            zeros[key] = zeros.get(key, 0) + (value == 0.0)
            recent[key] = [*recent.get(key, []), value][-WINDOW:]
            if not math.isfinite(value) or (count >= WINDOW and zeros[key] >= count / 2):
                return [_numerical(kind, place, check.epoch)]
            if len(recent[key]) == WINDOW and len(set(recent[key])) == 1:
                return [_unchanged(kind, place, check.epoch)]
    return []


def _means(trace: Trace, check: Check) -> Iterator[tuple[str, str, float]]:
    """What is watched: mean outputs, weights, loss, gradients."""
    for i, A in enumerate(check.outputs):
        yield "forward", str(i), mean(A)
    for i, W in enumerate(trace.parts(check.w)):
        yield "weights", str(i), mean(W)
    yield "metrics", "", check.step_loss
    for i, G in enumerate(trace.parts(check.g)):
        yield "gradient", str(i), mean(G)


def _numerical(kind: str, place: str, epoch: float) -> Diagnosis:
    words = {
        "forward": "dead-units nan-loss exploding-gradient",
        "weights": "nan-loss exploding-gradient symmetric-weights init-scale",
        "metrics": "nan-loss exploding-gradient",
        "gradient": "vanishing-gradient dead-units nan-loss exploding-gradient",
    }
    return say(f"numerical error in {kind} {place}".strip(), words[kind], epoch)


def _unchanged(kind: str, place: str, epoch: float) -> Diagnosis:
    words = {
        "forward": "dead-units saturated-units",
        "weights": "frozen-layer learning-rate-too-low",
        "metrics": "not-decreasing",
        "gradient": "vanishing-gradient dead-units",
    }
    return say(f"unchanged {kind} {place}".strip(), words[kind], epoch)
