"""Losses for classes: independent yes/no labels, exclusive classes, several targets of exclusive classes.

In: logits Z (n, k) and targets as classes. Out: loss and gradient per row, probabilities, and 1 for each row that is right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import numpy as np

from chainrule.arrays import Array, Namespace
from chainrule.constraints import COUNT, SHARE, Checked, constrained, validate
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.activations import Sigmoid
from chainrule.nn.losses.base import LossDefaults, TargetKind
from chainrule.nn.losses.links import residual


def _log_sum(xp: Namespace, Z: Array) -> tuple[Array, Array, Array, Array]:
    """Return what a softmax consists of: Z less its maximum, exp of that, where the maximum is, and the sum of the rest.

    The maximum itself contributes exactly 1 to the sum of exponentials. Without it the sum is as small as the doubt about
    the first choice, and log1p keeps its digits.
    """
    shifted = Z - Z.max(axis=1, keepdims=True)
    E = xp.exp(shifted)
    top = xp.arange(Z.shape[1])[None, :] == xp.argmax(Z, axis=1)[:, None]
    return shifted, E, top, xp.where(top, xp.zeros_like(E), E).sum(axis=1)


def _softmax_loss(xp: Namespace, Z: Array, T: Array) -> Array:
    """Return log Σⱼ exp(Zⱼ - max Z) - Σⱼ Tⱼ (Zⱼ - max Z) of each row, a sum of terms >= 0."""
    shifted, _, _, rest = _log_sum(xp, Z)
    return xp.log1p(rest) - (T * shifted).sum(axis=1)


def _softmax_gradient(xp: Namespace, Z: Array, T: Array) -> Array:
    """Return P - T; where both are near 1, as the difference of their distances from 1."""
    _, E, top, rest = _log_sum(xp, Z)
    rest = rest[:, None]
    near = top & (T > 0.5)
    return xp.where(near, (1.0 - T) - rest / (1.0 + rest), E / (1.0 + rest) - T)


@dataclass(frozen=True)
class BinaryCrossEntropy(Checked, LossDefaults):
    """Logistic loss of independent yes/no labels, the mean over k labels; one column is the binary case.

    The link is the logistic function, which turns each logit into a probability.

    Forward    (1) L = Σⱼ (log(1 + exp(-|Zⱼ|)) + |Zⱼ| |[Zⱼ > 0] - Yⱼ|) / k
    Backward   (2) dL/dZ = (σ(Z) - Y) / k
    Shapes     Z (n, k)   Y (n, k) in [0, 1]   L (n)
    Reference  [ng2018] 7.1

    Examples
    --------
    >>> loss = BinaryCrossEntropy()
    >>> loss.rows(np, np.array([[0.0]]), np.array([[1.0]])).round(3).tolist()
    [0.693]
    """

    targets: ClassVar[TargetKind] = TargetKind.LABELS
    link: ClassVar[str] = "sigmoid"
    metric: ClassVar[str] = "accuracy"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the loss of each row, a sum of terms >= 0, so that a confident right answer keeps all its digits."""
        size = xp.abs(Z)
        distance = xp.where(Z > 0, 1.0 - Y, Y)
        return (xp.log1p(xp.exp(-size)) + size * distance).mean(axis=1)  # (1)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return prediction minus target."""
        return residual(xp, "sigmoid", Z, Y) / Z.shape[1]  # (2)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Return the probability of each label."""
        return Sigmoid().value(xp, Z)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return 1 where every label of the row is right."""
        return ((Z > 0) == (Y > 0.5)).all(axis=1)

    def lowest(self, Y: Array) -> Array:
        """Return the entropy of the targets: 0 for hard labels, more for soft ones."""
        P = np.clip(np.asarray(Y, np.float64), 1e-12, 1 - 1e-12)
        return -(P * np.log(P) + (1 - P) * np.log(1 - P)).mean(axis=1)


@dataclass(frozen=True, kw_only=True)
class SoftmaxCrossEntropy(Checked, LossDefaults):
    """Cross-entropy of k exclusive classes.

    The link is the softmax, which turns a row of logits into probabilities that sum to 1. The targets are class numbers.

    Forward    (1) P = exp(Z - max Z) / Σⱼ exp(Zⱼ - max Z)    (2) T = (1 - ε) [j = y] + ε / k
               (3) L = log Σⱼ exp(Zⱼ - max Z) - Σⱼ Tⱼ (Zⱼ - max Z)
    Backward   (4) dL/dZ = P - T
    Shapes     Z, P, T (n, k)   y (n) whole numbers in 0..k-1   L (n)
    Reference  [bridle1990]; smoothing [szegedy2016]

    Parameters
    ----------
    label_smoothing : float in [0, 1), default=0.0
        The share ε of each target that is spread evenly over all classes. It keeps the network from growing ever more
        certain; 0.1 is usual where it helps.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> loss.predict(np, np.array([[0.0, 0.0]])).tolist(), loss.rows(np, np.array([[0.0, 0.0]]), np.array([1])).round(3)
    ([[0.5, 0.5]], array([0.693]))
    """

    label_smoothing: float = constrained(SHARE, 0.0)
    targets: ClassVar[TargetKind] = TargetKind.CLASSES
    link: ClassVar[str] = "softmax"
    metric: ClassVar[str] = "accuracy"

    def _target(self, xp: Namespace, Z: Array, y: Array) -> Array:
        k = Z.shape[1]
        hot = (xp.arange(k)[None, :] == y[:, None]).astype(Z.dtype)
        return (1.0 - self.label_smoothing) * hot + self.label_smoothing / k  # (2)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the log of the sum of exponentials minus the target's logit."""
        return _softmax_loss(xp, Z, self._target(xp, Z, Y))  # (3)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return prediction minus target."""
        return _softmax_gradient(xp, Z, self._target(xp, Z, Y))  # (4)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Return the probability of each class; rows sum to 1."""
        E = xp.exp(Z - Z.max(axis=1, keepdims=True))
        return E / E.sum(axis=1, keepdims=True)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return 1 where the largest logit is the target's."""
        return xp.argmax(Z, axis=1) == Y

    def lowest(self, Y: Array) -> Array:
        """Return the entropy of the smoothed targets, for the classes that occur in Y."""
        e = self.label_smoothing
        if not e:
            return np.zeros(len(Y))
        k = int(Y.max()) + 1
        shares = np.array([1 - e + e / k, *([e / k] * (k - 1))])
        return np.full(len(Y), -(shares * np.log(shares)).sum())


@dataclass(frozen=True)
class MultiSoftmaxCrossEntropy(Checked, LossDefaults):
    """Cross-entropy of several targets at once, each with exclusive classes of its own.

    A softmax goes over each block of logits. All targets (heads) count alike. Rows of the targets may also hold
    probabilities that sum to 1 within each block.

    Forward    (1) P = exp(Z - max Z) / Σⱼ exp(Zⱼ - max Z)    (2) T = (1 - ε) Y + ε / s
               (3) D = log Σⱼ exp(Zⱼ - max Z) - Σⱼ Tⱼ (Zⱼ - max Z)    (4) L = Σᵢ Dᵢ / H
    Backward   (5) dL/dZ = (P - T) / H
    Shapes     Z, Y, P, T (n, s), block by block of H; D (n) of one head, i counts heads   L (n)
    Reference  [bridle1990], [caruana1997]; smoothing [szegedy2016]

    Parameters
    ----------
    sizes : sequence of int
        Number of classes of each target, in the order of the blocks. The network needs their sum as outputs.
    label_smoothing : float in [0, 1), default=0.0
        As in `SoftmaxCrossEntropy`, within each block.

    Raises
    ------
    InvalidValueError
        For sizes that are not whole numbers >= 1.

    Examples
    --------
    >>> MultiSoftmaxCrossEntropy([2, 3]).predict(np, np.zeros((1, 5))).round(2).tolist()
    [[0.5, 0.5, 0.33, 0.33, 0.33]]
    """

    sizes: Sequence[int]
    label_smoothing: float = constrained(SHARE, 0.0, kw_only=True)
    targets: ClassVar[TargetKind] = TargetKind.CLASS_BLOCKS
    link: ClassVar[str] = "softmax"
    metric: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        validate(self)
        sizes = tuple(self.sizes) if isinstance(self.sizes, Iterable) else ()
        if not sizes or not all(COUNT.allows(size) for size in sizes):
            raise InvalidValueError(
                must_be("MultiSoftmaxCrossEntropy", "sizes", "whole numbers >= 1, one per head", self.sizes)
            )
        object.__setattr__(self, "sizes", tuple(int(size) for size in sizes))

    def _blocks(self, Z: Array) -> list[Array]:
        ends = list(accumulate(self.sizes))
        return [Z[:, end - size : end] for size, end in zip(self.sizes, ends, strict=True)]

    def _target(self, Y: Array) -> Array:
        return (1.0 - self.label_smoothing) * Y + self.label_smoothing / Y.shape[1]  # (2)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the mean over the heads."""
        total = 0.0
        for block, hot in zip(self._blocks(Z), self._blocks(Y), strict=True):
            total += _softmax_loss(xp, block, self._target(hot))  # (3)
        return total / len(self.sizes)  # (4)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return prediction minus target."""
        pairs = zip(self._blocks(Z), self._blocks(Y), strict=True)
        each = [_softmax_gradient(xp, block, self._target(hot)) for block, hot in pairs]
        return xp.concatenate(each, axis=1) / len(self.sizes)  # (5)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Return the probability of each class; every block sums to 1."""
        return xp.concatenate([SoftmaxCrossEntropy().predict(xp, block) for block in self._blocks(Z)], axis=1)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return 1 where every head's largest logit is the target's."""
        pairs = zip(self._blocks(Z), self._blocks(Y), strict=True)
        right = [xp.argmax(block, axis=1) == xp.argmax(hot, axis=1) for block, hot in pairs]
        return xp.stack(right, axis=1).all(axis=1)

    def output_faults(self, k: int) -> Iterator[str]:
        """Yield that the outputs must be as many as all classes together."""
        if k != sum(self.sizes):
            yield f"of {sum(self.sizes)} outputs, the sum of {self.sizes}"
