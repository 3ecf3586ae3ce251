"""The factors between scikit-learn's losses and ours, and the order of its weights in our flat vector.

In: layer widths, the names that scikit-learn gives to activations. Out: an `Objective` (net, loss, factors); weights as one
flat vector and back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, Poisson, SoftmaxCrossEntropy, TargetKind
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net


@dataclass(frozen=True)
class Link:
    """An output activation's loss, and the factors of scikit-learn's gradient and reported loss to ours, for k outputs.

    Its loss of several labels or counts is a sum where ours is a mean. Its squared error has the factor ½, is reported
    as a mean over the outputs, and descends along the gradient of their sum.
    """

    loss: Loss
    gradient: Callable[[int], float]
    reported: Callable[[int], float]


LINKS: Mapping[str, Link] = {
    "softmax": Link(SoftmaxCrossEntropy(), lambda k: 1.0, lambda k: 1.0),
    "logistic": Link(BinaryCrossEntropy(), float, float),
    "identity": Link(MeanSquaredError(), lambda k: k / 2, lambda k: 0.5),
    "exp": Link(Poisson(), float, float),
}
"""By scikit-learn's name of the output activation."""


@dataclass(frozen=True)
class Data:
    """Dense rows: X (n, d) and targets Y (n, k) in one dtype (classes as 0 and 1), c (n) weights.

    `weighted` is False where no weights were given, and c is 1.
    """

    X: Array
    Y: Array
    c: Array
    weighted: bool

    def take(self, rows: Array) -> Data:
        """Return some of the rows."""
        return Data(self.X[rows], self.Y[rows], self.c[rows], self.weighted)


@dataclass(frozen=True)
class Objective:
    """The function that scikit-learn minimizes, in terms of our net and our loss L.

    Forward    (1) J = s L + α / (2 C) ‖W‖², with C = Σ c over the rows at hand
    Backward   (2) dJ/dw = s (dL/dw + λ W), with λ = α / (s C)
    Shapes     W: all weight matrices, without intercepts   w (P)

    >>> Objective.of((4, 8, 3), "logistic", "softmax").net.size
    67
    """

    net: Net
    loss: Loss
    scale: float
    reported: float

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, widths: tuple[int, ...], activation: str, output: str) -> Objective:
        """Build the objective from the widths of all layers, inputs first, and scikit-learn's names of the activations."""
        function = "sigmoid" if activation == "logistic" else activation
        # `draw` replaces the zeros
        net = mlp(widths[0], widths[1:-1], widths[-1], activation=function, initializer="zeros")
        link = LINKS[output]
        return cls(net, link.loss, link.gradient(widths[-1]), link.reported(widths[-1]))

    def penalty(self, alpha: float, C: float) -> float:
        """Return λ."""
        return alpha / (self.scale * C)  # (2)

    def squares(self, w: Array) -> float:
        """Return ‖W‖²."""
        return float((w * w * self.net.decay).sum())

    def value(self, L: float, w: Array, alpha: float, C: float) -> float:
        """Return J for a loss L."""
        return self.scale * L + alpha / (2.0 * C) * self.squares(w)  # (1)

    def targets(self, Y: Array) -> Array:
        """Return Y as the engines take it: class numbers (n) for exclusive classes."""
        return Y.argmax(axis=1) if self.loss.targets is TargetKind.CLASSES else np.ascontiguousarray(Y)

    def constant(self, Y: Array, c: Array) -> float:
        """Return what the reported loss adds to L: the deviance of counts is zero where the prediction is the target."""
        if self.loss.targets is not TargetKind.COUNTS:
            return 0.0
        return float(c @ (Y * np.log(np.where(Y > 0, Y, 1.0)) - Y).sum(axis=1) / c.sum())


def pack(coefs: Sequence[Array], intercepts: Sequence[Array]) -> Array:
    """Return the flat vector w (P): W and b of each layer in turn.

    >>> pack([np.array([[1.0], [2.0]])], [np.array([3.0])])
    array([1., 2., 3.])
    """
    return np.concatenate([np.ravel(part) for pair in zip(coefs, intercepts, strict=True) for part in pair])


def unpack(net: Net, w: Array) -> tuple[list[Array], list[Array]]:
    """Return `coefs_` and `intercepts_` from the flat vector, as copies."""
    views = {name: view.copy() for name, view in net.parameters.views(w).items()}
    return tuple([view for name, view in views.items() if name.endswith(letter)] for letter in "Wb")  # type: ignore[return-value]


def draw(widths: Sequence[int], activation: str, random: np.random.RandomState) -> Array:
    """Draw the first w, float64: weights and intercepts uniform within ±√(f / (n_in + n_out)).

    f is 2 for the logistic function, else 6.

    Drawn in scikit-learn's order, so that one seed gives both libraries the same start.

    Reference  [glorot2010] eq. 16
    """
    factor, coefs, intercepts = 2.0 if activation == "logistic" else 6.0, [], []
    for n_in, n_out in pairwise(widths):
        bound = np.sqrt(factor / (n_in + n_out))
        coefs.append(random.uniform(-bound, bound, (n_in, n_out)))
        intercepts.append(random.uniform(-bound, bound, n_out))
    return pack(coefs, intercepts)
