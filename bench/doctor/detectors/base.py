"""Why: tools speak differently; what they say is compared in one vocabulary.

In: messages. Out: `Diagnosis` records; small reductions that several tools share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.activations import activation
from chainrule.nn.layers import Activation
from chainrule.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from doctor.hosts import Subject
from doctor.trace import Trace


@dataclass(frozen=True)
class Diagnosis:
    """A tool's message, all symptoms that it can be taken for (generously), and the epoch at which it is given."""

    message: str
    slugs: frozenset[str]
    epoch: float


def say(message: str, slugs: str, epoch: float) -> Diagnosis:
    """A diagnosis whose symptoms are words of one string."""
    return Diagnosis(message, frozenset(slugs.split()), epoch)


def once(diagnoses: Iterable[Diagnosis]) -> list[Diagnosis]:
    """The first diagnosis of each message."""
    first: dict[str, Diagnosis] = {}
    for diagnosis in diagnoses:
        first.setdefault(diagnosis.message, diagnosis)
    return list(first.values())


def functions(trace: Trace) -> list[tuple[int, str]]:
    """Index and name of every activation layer; a layer of an own kind has its class's name."""
    named = []
    for i, layer in enumerate(trace.net.layers):
        if isinstance(layer, Activation):
            own = type(layer) is not Activation and type(layer).__name__ == "SoftmaxLayer"
            named.append((i, "Softmax" if own else type(activation(layer.function)).__name__))
    return named


def inputs_of(trace: Trace, outputs: tuple[Array, ...], i: int) -> Array:
    """What layer i sees."""
    return outputs[i - 1] if i else trace.X[: len(outputs[0])]


def probabilistic(subject: Subject) -> bool:
    """Whether the loss takes logits of classes."""
    return isinstance(subject.recipe.loss, BinaryCrossEntropy | SoftmaxCrossEntropy)


def norm(A: Array) -> float:
    """Euclidean length, infinite where an entry is no number."""
    with np.errstate(all="ignore"):
        length = float(np.sqrt((np.asarray(A, np.float64) ** 2).sum()))
    return length if np.isfinite(length) else np.inf


def finite(*arrays: Array) -> bool:
    """Whether every entry is a number."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


def mean(A: Array) -> float:
    """Mean in float64: in float32 the mean of a softmax's gradient, which is 0 but for rounding, is often exactly 0."""
    with np.errstate(all="ignore"):
        return float(np.mean(A, dtype=np.float64))
