"""Why: the output activation (the link) belongs to the loss, which takes logits, so that no wrong pair can be built.

In: logits Z (n, k) and targets Y. Out: one loss per row, its gradient with respect to Z, predictions, one score per
row; `mean_loss` weights the rows and divides by their number, the only place in the package that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Protocol

import numpy as np

from chainrule.arrays import Array, Namespace
from chainrule.constraints import COUNT, POSITIVE, SHARE, Checked, Interval, OneOf, constrained, validate
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.activations import Sigmoid, Softplus, activation

LINKS = ("identity", "sigmoid", "tanh", "relu", "exp")
_LINK = OneOf(LINKS)


class Loss(Protocol):
    """A link and a loss, row by row.

    `classes` says that targets are classes (integers, or 0/1 per label). `metric` names the score: "accuracy" is a mean
    of `score`, "rmse" the root of it.
    """

    classes: ClassVar[bool]
    metric: ClassVar[str]

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Loss of each row (n)."""

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """dLᵢ/dZᵢ (n, k), neither weighted nor divided by n."""

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """The link: what the network says, (n, k)."""

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """What the metric averages, (n)."""


def mean_loss(loss: Loss, xp: Namespace, Z: Array, Y: Array, c: Array) -> tuple[Array, Array]:
    """The weighted mean loss of a batch and its gradient with respect to the logits.

    A batch whose weights are all zero has loss 0 and gradient 0.

    Forward    (1) C = Σᵢ cᵢ    (2) J = Σᵢ cᵢ Lᵢ / C
    Backward   (3) dZᵢ = cᵢ / C · dLᵢ/dZᵢ
    Shapes     Z (n, k)   Y (n) or (n, k)   c (n), weights >= 0   J ()   dZ (n, k)
    Reference  [ng2018] 7.1: the derivative of a mean is the mean of the derivatives
    """
    C = c.sum()  # (1)
    share = c / xp.where(C > 0, C, xp.ones_like(C))
    J = (share * loss.rows(xp, Z, Y)).sum()  # (2)
    dZ = share[:, None] * loss.gradient(xp, Z, Y)  # (3)
    return J, dZ


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Logistic loss of independent yes/no labels, the mean over k labels; one column is the binary case.

    Forward    (1) L = Σⱼ (softplus(Zⱼ) - Yⱼ Zⱼ) / k
    Backward   (2) dL/dZ = (σ(Z) - Y) / k
    Shapes     Z (n, k)   Y (n, k) in [0, 1]   L (n)
    Reference  [ng2018] 7.1
    """

    classes: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """From logits, so that neither side's logarithm is ever of 0."""
        return (Softplus().value(xp, Z) - Y * Z).mean(axis=1)  # (1)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Prediction minus target."""
        return (Sigmoid().value(xp, Z) - Y) / Z.shape[1]  # (2)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Probability of each label."""
        return Sigmoid().value(xp, Z)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """1 where every label of the row is right."""
        return ((Z > 0) == (Y > 0.5)).all(axis=1)


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Checked):
    """Cross-entropy of k exclusive classes; label smoothing ε moves that share of the target to all classes alike.

    Forward    (1) P = exp(Z - max Z) / Σⱼ exp(Zⱼ - max Z)    (2) T = (1 - ε) [j = y] + ε / k
               (3) L = log Σⱼ exp(Zⱼ - max Z) - Σⱼ Tⱼ (Zⱼ - max Z)
    Backward   (4) dL/dZ = P - T
    Shapes     Z, P, T (n, k)   y (n) whole numbers in 0..k-1   L (n)
    Reference  [bridle1990]; smoothing [szegedy2016]
    """

    label_smoothing: float = constrained(SHARE, 0.0)
    classes: ClassVar[bool] = True
    metric: ClassVar[str] = "accuracy"

    def _target(self, xp: Namespace, Z: Array, y: Array) -> Array:
        k = Z.shape[1]
        hot = (xp.arange(k)[None, :] == y[:, None]).astype(Z.dtype)
        return (1.0 - self.label_smoothing) * hot + self.label_smoothing / k  # (2)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Log of the sum of exponentials minus the target's logit."""
        Z = Z - Z.max(axis=1, keepdims=True)
        return xp.log(xp.exp(Z).sum(axis=1)) - (self._target(xp, Z, Y) * Z).sum(axis=1)  # (3)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Prediction minus target."""
        return self.predict(xp, Z) - self._target(xp, Z, Y)  # (4)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Probability of each class; rows sum to 1."""
        E = xp.exp(Z - Z.max(axis=1, keepdims=True))
        return E / E.sum(axis=1, keepdims=True)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """1 where the largest logit is the target's."""
        return xp.argmax(Z, axis=1) == Y


@dataclass(frozen=True)
class MultiSoftmaxCrossEntropy:
    """Several questions at once, each with exclusive classes of its own: a softmax over each block of logits.

    `sizes` are the numbers of classes, `Y` the classes as 0 and 1, block behind block; shares that sum to 1 within a block
    will do too. The heads weigh alike. Label smoothing as in `SoftmaxCrossEntropy`, within each block.

    Forward    (1) P = exp(Z - max Z) / Σⱼ exp(Zⱼ - max Z)    (2) T = (1 - ε) Y + ε / s
               (3) D = log Σⱼ exp(Zⱼ - max Z) - Σⱼ Tⱼ (Zⱼ - max Z)    (4) L = Σᵢ Dᵢ / H
    Backward   (5) dL/dZ = (P - T) / H
    Shapes     Z, Y, P, T (n, s), block by block of H; D (n) of one head, i counts heads   L (n)
    Reference  [bridle1990], [caruana1997]; smoothing [szegedy2016]

    >>> MultiSoftmaxCrossEntropy([2, 3]).predict(np, np.zeros((1, 5))).round(2).tolist()
    [[0.5, 0.5, 0.33, 0.33, 0.33]]
    """

    sizes: Sequence[int]
    label_smoothing: float = constrained(SHARE, 0.0)
    classes: ClassVar[bool] = True
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
        """The heads' mean."""
        total = 0.0
        for block, hot in zip(self._blocks(Z), self._blocks(Y), strict=True):
            shifted = block - block.max(axis=1, keepdims=True)
            total += xp.log(xp.exp(shifted).sum(axis=1)) - (self._target(hot) * shifted).sum(axis=1)  # (3)
        return total / len(self.sizes)  # (4)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Prediction minus target."""
        T = xp.concatenate([self._target(hot) for hot in self._blocks(Y)], axis=1)
        return (self.predict(xp, Z) - T) / len(self.sizes)  # (5)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Probability of each class; every block sums to 1."""
        return xp.concatenate([SoftmaxCrossEntropy().predict(xp, block) for block in self._blocks(Z)], axis=1)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """1 where every head's largest logit is the target's."""
        pairs = zip(self._blocks(Z), self._blocks(Y), strict=True)
        right = [xp.argmax(block, axis=1) == xp.argmax(hot, axis=1) for block, hot in pairs]
        return xp.stack(right, axis=1).all(axis=1)


def _squared_error(loss: Loss, xp: Namespace, Z: Array, Y: Array) -> Array:
    """Mean squared error of each row, the score of every regression loss."""
    return ((loss.predict(xp, Z) - Y) ** 2).mean(axis=1)


@dataclass(frozen=True)
class MeanSquaredError(Checked):
    """Squared error, the mean over k outputs (no factor ½), behind any elementwise link f.

    Forward    (1) A = f(Z)    (2) L = Σⱼ (Aⱼ - Yⱼ)² / k
    Backward   (3) dL/dZ = 2 (A - Y) ⊙ f'(Z) / k
    Shapes     Z, A, Y (n, k)   L (n)
    Reference  [ng2018] 7.2 for the links
    """

    link: str = constrained(_LINK, "identity")
    classes: ClassVar[bool] = False
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Mean of squares."""
        return ((self.predict(xp, Z) - Y) ** 2).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Twice the error through the link."""
        A = self.predict(xp, Z)
        return 2.0 * (A - Y) * activation(self.link).slope(xp, Z, A) / Z.shape[1]  # (3)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """The link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Squared error."""
        return _squared_error(self, xp, Z, Y)


@dataclass(frozen=True)
class MeanAbsoluteError(Checked):
    """Absolute error, the mean over k outputs: fits the median. Its slope at zero error is taken as 0.

    Forward    (1) A = f(Z)    (2) L = Σⱼ |Aⱼ - Yⱼ| / k
    Backward   (3) dL/dZ = sign(A - Y) ⊙ f'(Z) / k
    Shapes     Z, A, Y (n, k)   L (n)
    Reference  [huber1964]
    """

    link: str = constrained(_LINK, "identity")
    classes: ClassVar[bool] = False
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Mean of absolute values."""
        return xp.abs(self.predict(xp, Z) - Y).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The error's sign through the link."""
        A = self.predict(xp, Z)
        return xp.sign(A - Y) * activation(self.link).slope(xp, Z, A) / Z.shape[1]  # (3)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """The link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Squared error."""
        return _squared_error(self, xp, Z, Y)


@dataclass(frozen=True)
class Huber(Checked):
    """Squared for errors up to δ, linear beyond: outliers pull with bounded force.

    Forward    (1) A = f(Z)    (2) r = A - Y    (3) q = min(|r|, δ)    (4) L = Σⱼ qⱼ (|rⱼ| - qⱼ / 2) / k
    Backward   (5) dL/dZ = clip(r, -δ, δ) ⊙ f'(Z) / k
    Shapes     Z, A, Y, r (n, k)   L (n)
    Reference  [huber1964]
    """

    delta: float = constrained(POSITIVE, 1.0)
    link: str = constrained(_LINK, "identity")
    classes: ClassVar[bool] = False
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Quadratic near zero, linear outside."""
        r = xp.abs(self.predict(xp, Z) - Y)  # (2)
        q = xp.minimum(r, self.delta)  # (3)
        return (q * (r - 0.5 * q)).mean(axis=1)  # (4)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The error, cut at ±δ, through the link."""
        A = self.predict(xp, Z)
        return xp.clip(A - Y, -self.delta, self.delta) * activation(self.link).slope(xp, Z, A) / Z.shape[1]  # (5)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """The link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Squared error."""
        return _squared_error(self, xp, Z, Y)


@dataclass(frozen=True)
class Poisson:
    """Negative log-likelihood of counts with the logarithmic link, without the constant log Y!.

    Forward    (1) A = exp(Z)    (2) L = Σⱼ (Aⱼ - Yⱼ Zⱼ) / k
    Backward   (3) dL/dZ = (A - Y) / k
    Shapes     Z, A (n, k)   Y (n, k) >= 0   L (n)
    Reference  [mccullagh1989] 6.2
    """

    classes: ClassVar[bool] = False
    metric: ClassVar[str] = "rmse"

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Mean over the outputs."""
        return (self.predict(xp, Z) - Y * Z).mean(axis=1)  # (2)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Prediction minus target."""
        return (self.predict(xp, Z) - Y) / Z.shape[1]  # (3)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Expected count."""
        return xp.exp(Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Squared error."""
        return _squared_error(self, xp, Z, Y)


_LEVEL = Interval(0, 1, "()")


@dataclass(frozen=True)
class Quantile:
    """Pinball loss, the mean over k outputs: column j fits the quantile of level q at place j of `levels`.

    Several targets take a column for each level, target by target, with Y repeated likewise. The slope at zero error is
    taken as 0. Columns may cross. The score is the squared error of the level nearest to ½ (of two, the first).

    Forward    (1) A = f(Z)    (2) r = Y - A    (3) L = Σⱼ max(qⱼ rⱼ, (qⱼ - 1) rⱼ) / k
    Backward   (4) dA = -q where r > 0, 1 - q where r < 0, 0 where r = 0    (5) dL/dZ = dA ⊙ f'(Z) / k
    Shapes     Z, A, Y, r (n, k)   q (k)   L (n)
    Reference  [koenker1978]

    >>> Quantile((0.9,)).rows(np, np.zeros((2, 1)), np.array([[1.0], [-1.0]])).round(2).tolist()
    [0.9, 0.1]
    """

    levels: Sequence[float] = (0.05, 0.5, 0.95)
    link: str = constrained(_LINK, "identity")
    classes: ClassVar[bool] = False
    metric: ClassVar[str] = "rmse"

    def __post_init__(self) -> None:
        validate(self)
        levels = tuple(self.levels) if isinstance(self.levels, Iterable) else ()
        inside = levels and all(_LEVEL.allows(level) for level in levels)
        if not inside or any(high <= low for low, high in pairwise(levels)):
            raise InvalidValueError(must_be("Quantile", "levels", "rising numbers in (0, 1)", self.levels))
        object.__setattr__(self, "levels", tuple(float(level) for level in levels))

    @property
    def central(self) -> int:
        """Place of the level nearest to ½."""
        return min(range(len(self.levels)), key=lambda place: abs(self.levels[place] - 0.5))

    def _q(self, xp: Namespace, Z: Array) -> Array:
        return xp.asarray(np.resize(self.levels, Z.shape[1]), dtype=Z.dtype)

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Errors weighed by the side they fall on."""
        q, r = self._q(xp, Z), Y - self.predict(xp, Z)  # (2)
        return xp.maximum(q * r, (q - 1.0) * r).mean(axis=1)  # (3)

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """The side of the error through the link."""
        q, A = self._q(xp, Z), self.predict(xp, Z)
        r = Y - A
        dA = xp.where(r > 0, -q, xp.where(r < 0, 1.0 - q, r))  # (4)
        return dA * activation(self.link).slope(xp, Z, A) / Z.shape[1]  # (5)

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """The link."""
        return activation(self.link).value(xp, Z)  # (1)

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Squared error of the central level."""
        place = slice(self.central, None, len(self.levels))
        return ((self.predict(xp, Z) - Y)[:, place] ** 2).mean(axis=1)


LOSSES: Mapping[str, type[Any]] = {
    "BinaryCrossEntropy": BinaryCrossEntropy,
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy,
    "MeanSquaredError": MeanSquaredError,
    "MeanAbsoluteError": MeanAbsoluteError,
    "Huber": Huber,
    "Poisson": Poisson,
    "Quantile": Quantile,
    "MultiSoftmaxCrossEntropy": MultiSoftmaxCrossEntropy,
}
"""Every loss by name."""
