"""Why: a trained network is worth nothing without what its inputs and outputs went through; here they stay together.

In: rows as the user has them (unscaled, labels as text). Out: predictions in the user's own units and labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer, Task
from chainrule.engines import predictor
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import BinaryCrossEntropy, Loss, MultiSoftmaxCrossEntropy, Quantile, SoftmaxCrossEntropy
from chainrule.nn.net import Net

Classes: TypeAlias = Array | tuple[Array, ...] | None
"""Classes (K) in order; a tuple of such for several targets of exclusive classes; None for amounts."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its numbers, the scaling of inputs and targets, and the names around it.

    `w` (P) and `buffers` (B) in the dtype of training. `classes` (K), in order, for classification, a tuple of such for
    several targets, else None. `targets` undoes the scaling of a regression's outputs, None where they were not scaled.
    `temperature` divides the logits of classes before they become probabilities. `others` are the numbers (w, buffers)
    of further networks of the same shape, whose answers are averaged with this one's.

    >>> from chainrule import Dense
    >>> one = Standardizer.identity(1)
    >>> model = Model(Net(1, [Dense(1)]), BinaryCrossEntropy(), np.array([1.0, 0.0]), np.zeros(0), one, None,
    ...               np.array(["no", "yes"]), ("x",), "kind")
    >>> model.predict(np.array([[-1.0], [2.0]])).tolist()
    ['no', 'yes']
    """

    net: Net
    loss: Loss
    w: Array = field(repr=False)
    buffers: Array = field(repr=False)
    inputs: Standardizer = field(repr=False)
    targets: Standardizer | None = field(repr=False)
    classes: Classes
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str
    temperature: float = 1.0
    others: tuple[tuple[Array, Array], ...] = field(default=(), repr=False)

    @property
    def task(self) -> Task:
        """What it predicts: a class or an amount."""
        return "regression" if self.classes is None else "classification"

    @property
    def labels(self) -> bool:
        """Whether it tells independent yes/no labels of each row."""
        return isinstance(self.loss, BinaryCrossEntropy) and self.net.outputs > 1

    @property
    def members(self) -> tuple[Model, ...]:
        """Each network as a model of its own."""
        alone = replace(self, others=())
        return (alone, *(replace(alone, w=w, buffers=buffers) for w, buffers in self.others))

    @cached_property
    def _forward(self) -> Callable[[Array], Array]:
        if not self.others:
            return predictor(self.net, self.w, self.buffers)
        numbers = ((self.w, self.buffers), *self.others)
        return partial(_averaged, self.loss, [predictor(self.net, w, buffers) for w, buffers in numbers])

    @cached_property
    def blocks(self) -> tuple[slice, ...]:
        """The columns of the logits and probabilities that belong to each of several targets of classes."""
        ends = np.cumsum([len(known) for known in self.classes or ()])
        return tuple(
            slice(int(end) - len(known), int(end)) for end, known in zip(ends, self.classes or (), strict=True)
        )

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what predicts is made again where it is needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def logits(self, X: Array) -> Array:
        """What the last layer says (n, k) for rows X (n, d), which must be finite.

        Of several networks, what one network would say to give the mean of their answers.

        Raises `InvalidValueError` for a wrong width and for numbers that are not finite.
        """
        if X.ndim != 2 or X.shape[1] != self.net.inputs:
            raise InvalidValueError(must_be("Model", "X", f"of shape (n, {self.net.inputs})", X.shape))
        return self._forward(self.inputs.apply(X, self.w.dtype))

    def scores(self, X: Array) -> Array:
        """Logits (n, k) divided by the temperature: what the link takes."""
        Z = self.logits(X)
        return Z if self.temperature == 1.0 else Z / Z.dtype.type(self.temperature)

    def probabilities(self, X: Array) -> Array:
        """Probability of each class (n, K), rows sum to 1; of each label (n, k); of each class of each target, (n, ΣK).

        Raises `InvalidValueError` for a regression.
        """
        if self.classes is None:
            raise InvalidValueError(must_be("Model", "task", "classification", self.task, "Amounts have no classes."))
        P = self.loss.predict(np, self.scores(X))
        return np.hstack([1.0 - P, P]) if P.shape[1] == 1 else P

    def predict(self, X: Array) -> Array:
        """Classes (n), one for each target (n, m), 0 or 1 for each label (n, k); or amounts (n), (n, k) in the user's unit.

        A model of quantiles gives the one nearest to the median. Amounts are float32 where network and rows are, else
        float64.
        """
        if self.classes is None:
            return self._amounts(X)
        if isinstance(self.classes, tuple):
            P = self.probabilities(X)
            chosen = zip(self.classes, self.blocks, strict=True)
            return np.column_stack([known[P[:, block].argmax(axis=1)] for known, block in chosen])
        if self.labels:
            return (self.logits(X) > 0).astype(np.int64)
        return self.classes[np.argmax(self.probabilities(X), axis=1)]

    def _amounts(self, X: Array) -> Array:
        if isinstance(self.loss, Quantile):
            return self.quantiles(X)[..., self.loss.central]
        A = self.loss.predict(np, self.logits(X))
        A = A if self.targets is None else self.targets.undo(A).astype(np.result_type(self.w, X), copy=False)
        return A[:, 0] if A.shape[1] == 1 else A

    def quantiles(self, X: Array) -> Array:
        """Amounts below which the shares `loss.levels` of targets lie, (n, q) or for several targets (n, m, q).

        They ascend along the last axis: what the network says is sorted, so that quantiles never cross.

        Raises `InvalidValueError` for a model of another loss.
        """
        if not isinstance(self.loss, Quantile):
            hint = "Train with loss='quantile'."
            raise InvalidValueError(must_be("Model", "loss", "Quantile", type(self.loss).__name__, hint))
        A = self.loss.predict(np, self.logits(X))
        A = A if self.targets is None else self.targets.undo(A).astype(np.result_type(self.w, X), copy=False)
        Q = np.sort(A.reshape(len(A), -1, len(self.loss.levels)), axis=2)
        return Q[:, 0] if Q.shape[1] == 1 else Q


def _averaged(loss: Loss, networks: Sequence[Callable[[Array], Array]], X: Array) -> Array:
    """The logits whose answer is the mean of the networks' answers: Z = f⁻¹(Σᵢ f(Zᵢ) / k)."""
    return unlinked(loss, np.mean([loss.predict(np, network(X)) for network in networks], axis=0))


def unlinked(loss: Loss, A: Array) -> Array:
    """Logits from what the link made of them; a probability of 0 counts as the smallest normal number.

    >>> unlinked(BinaryCrossEntropy(), np.array([[0.5], [0.75]])).round(3).tolist()
    [[0.0], [1.099]]
    """
    tiny, eps = np.finfo(A.dtype).tiny, np.finfo(A.dtype).epsneg
    link = getattr(loss, "link", None)
    if (
        isinstance(loss, SoftmaxCrossEntropy | MultiSoftmaxCrossEntropy)
        or link == "exp"
        or type(loss).__name__ == "Poisson"
    ):
        return np.log(np.maximum(A, tiny))
    if isinstance(loss, BinaryCrossEntropy) or link == "sigmoid":
        A = np.clip(A, tiny, 1.0 - eps)
        return np.log(A) - np.log1p(-A)
    return np.arctanh(np.clip(A, eps - 1.0, 1.0 - eps)) if link == "tanh" else A
