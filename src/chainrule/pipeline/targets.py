"""Why: what the targets are (classes, labels, amounts) decides the loss and how each row is put to it.

In: y as the user has it. Out: a `Target`, and the weights that follow from classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer, check_classes
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.model import Classes, Model
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Loss,
    MultiSoftmaxCrossEntropy,
    SoftmaxCrossEntropy,
    TargetKind,
)
from chainrule.pipeline.settings import Settings

ClassWeight: TypeAlias = Mapping[Any, float] | str | None
"""Weight of each class: a mapping of labels, "balanced", or None for 1."""


@dataclass(frozen=True, eq=False)
class Target:
    """What the targets say: their classes, the loss, the number of logits, the scaling of amounts.

    `classes` (K) of one target; a tuple of such, one for each of several targets of exclusive classes; None for amounts.
    Independent yes/no labels have the classes 0 .. k-1, the labels' numbers.
    """

    classes: Classes
    loss: Loss
    outputs: int
    scaling: Standardizer | None
    smoothing: float = 0.0

    def encode(self, y: Array) -> Array:
        """Targets as the loss takes them: class numbers (n), 0/1 or scaled amounts (n, k).

        Raises `InvalidValueError` for labels that the training rows did not have, another number of targets, and counts
        below 0.
        """
        if self.classes is None:
            return self._amounts(np.asarray(y, np.float64).reshape(len(y), -1))
        if isinstance(self.classes, tuple):
            _check_width(y, len(self.classes))
            hot = [codes(known, y[:, j])[:, None] == np.arange(len(known)) for j, known in enumerate(self.classes)]
            return np.hstack(hot)
        if self.labels:
            _check_width(y, self.outputs)
            return self._smoothed(codes(np.array([0, 1]), y))
        numbers = codes(self.classes, y)
        return numbers if self.loss.targets is TargetKind.CLASSES else self._smoothed(numbers)[:, None]

    @property
    def labels(self) -> bool:
        """Whether each row has several independent yes/no labels."""
        return self.loss.targets is TargetKind.LABELS and self.outputs > 1

    def _amounts(self, amounts: Array) -> Array:
        if self.loss.targets is TargetKind.COUNTS and (amounts < 0).any():
            raise_all([must_be("y", "targets", "counts >= 0 for the Poisson loss", float(amounts.min()))])
        amounts = np.repeat(amounts, self.loss.outputs_per_target, axis=1)
        return amounts if self.scaling is None else self.scaling.apply(amounts)

    def _smoothed(self, hot: Array) -> Array:
        smooth: Array = hot * (1.0 - self.smoothing) + self.smoothing / 2.0
        return smooth


def codes(classes: Array, y: Array) -> Array:
    """The number of each label's class, of the shape of y; raises `InvalidValueError` for a label of no class."""
    unknown = sorted(set(np.unique(y).tolist()) - set(classes.tolist()))
    raise_all([must_be("y", "labels", f"among {classes.tolist()}", unknown)] if unknown else [])
    found: Array = np.searchsorted(classes, y)
    return found


def _check_width(y: Array, k: int) -> None:
    if np.ndim(y) != 2 or y.shape[1] != k:
        raise InvalidValueError(must_be("y", "targets", f"of shape (n, {k})", np.shape(y)))


def classification(y: Array, settings: Settings, classes: Classes = None, labels: bool = False) -> Target:
    """What y says of classes; the loss follows from it unless the settings bring one.

    y (n): two classes have one logit and the logistic loss; more have one logit each and softmax cross-entropy.
    y (n, m) with `labels`: independent yes/no labels, a logit and the logistic loss for each. y (n, m) else: m targets of
    exclusive classes, a softmax for each. `classes` names the classes beforehand, where y may not show all.

    Raises `InvalidValueError` when there are fewer than two classes, or the loss given does not fit.
    """
    chosen = None if isinstance(settings.loss, str) else settings.loss
    if labels:
        loss = _fitting(chosen or BinaryCrossEntropy(), BinaryCrossEntropy)
        return Target(np.arange(y.shape[1]), loss, y.shape[1], None, settings.label_smoothing)
    if y.ndim == 2:
        each = _columns(y) if classes is None else tuple(np.unique(known) for known in classes)
        sizes = tuple(len(known) for known in each)
        loss = _fitting(
            chosen or MultiSoftmaxCrossEntropy(sizes, label_smoothing=settings.label_smoothing),
            MultiSoftmaxCrossEntropy,
        )
        if loss.sizes != sizes:
            raise InvalidValueError(
                must_be("fit", "loss", f"{MultiSoftmaxCrossEntropy(sizes)} for these targets", loss)
            )
        return Target(each, loss, sum(sizes), None)
    known = check_classes(y) if classes is None else check_classes(np.asarray(classes))
    if len(known) == 2 and getattr(chosen, "targets", None) is not TargetKind.CLASSES:
        loss = _fitting(chosen or BinaryCrossEntropy(), BinaryCrossEntropy)
        return Target(known, loss, 1, None, settings.label_smoothing)
    loss = _fitting(chosen or SoftmaxCrossEntropy(label_smoothing=settings.label_smoothing), SoftmaxCrossEntropy)
    return Target(known, loss, len(known), None)


def _columns(y: Array) -> tuple[Array, ...]:
    return tuple(check_classes(y[:, j], f"y column {j}") for j in range(y.shape[1]))


def _fitting(loss: Any, kind: type[Any]) -> Any:
    if not isinstance(loss, kind):
        raise InvalidValueError(must_be("fit", "loss", f"{kind.__name__} or None for these targets", loss))
    return loss


def regression(y: Array, settings: Settings, weights: Array | None = None) -> Target:
    """One output per column of y, and per level of a quantile loss.

    Targets are standardized where the link is the identity, weighted as inputs are.

    Raises `InvalidValueError` for a loss of classes.
    """
    loss = settings.regression_loss()
    if loss.targets.are_classes:
        raise InvalidValueError(must_be("fit", "loss", "for amounts", loss, "A classifier takes it."))
    amounts = np.repeat(np.asarray(y, np.float64).reshape(len(y), -1), loss.outputs_per_target, axis=1)
    scaled = bool(loss.links) and loss.link == "identity"
    return Target(None, loss, amounts.shape[1], Standardizer.fit(amounts, weights=weights) if scaled else None)


def target_of(model: Model) -> Target:
    """What the targets of a trained model's task say."""
    return Target(model.classes, model.loss, model.net.outputs, model.targets)


def class_table(classes: Array, y: Array, weight: ClassWeight) -> Array:
    """Weight of each class (K): "balanced" is n / (K · rows of the class), None is 1.

    Raises `InvalidValueError` for a word other than "balanced", labels that do not occur, weights below 0.
    """
    if weight is None:
        return np.ones(len(classes))
    if isinstance(weight, str):
        allowed = "'balanced', a mapping of labels to weights, or None"
        raise_all([] if weight == "balanced" else [must_be("fit", "class_weight", allowed, weight)])
        counts = np.bincount(np.searchsorted(classes, y), minlength=len(classes))
        return len(y) / (len(classes) * np.maximum(counts, 1))
    unknown = [label for label in weight if label not in classes.tolist()]
    found = [must_be("fit", "class_weight", f"for labels among {classes.tolist()}", unknown)] if unknown else []
    found += [must_be("fit", "class_weight", ">= 0", value) for value in weight.values() if not value >= 0]
    raise_all(found)
    return np.array([float(weight.get(label, 1.0)) for label in classes.tolist()])


def class_weights(classes: Array, y: Array, weight: ClassWeight) -> Array:
    """Weight of each row (n) from the weight of its class, as `class_table` gives it.

    >>> class_weights(np.array(["a", "b"]), np.array(["a", "a", "a", "b"]), "balanced").round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    per_row: Array = class_table(classes, y, weight)[np.searchsorted(classes, y)]
    return per_row


def target_tables(target: Target, y: Array, weight: ClassWeight | Sequence[ClassWeight]) -> list[tuple[Array, Array]]:
    """Classes and their weights for each column of y: one mapping for a single target, a sequence of them for several."""
    if np.ndim(y) == 1:
        return [(np.asarray(target.classes), class_table(np.asarray(target.classes), y, weight))]  # type: ignore[arg-type]
    each: Any = [weight] * y.shape[1] if weight is None or isinstance(weight, str) else weight
    if not isinstance(each, Sequence) or len(each) != y.shape[1]:
        allowed = f"'balanced', None or a list of {y.shape[1]} mappings, one for each target"
        raise InvalidValueError(must_be("fit", "class_weight", allowed, weight))
    known = target.classes if isinstance(target.classes, tuple) else (np.array([0, 1]),) * y.shape[1]
    return [(k, class_table(k, y[:, j], each[j])) for j, k in enumerate(known)]


def row_weights(tables: Sequence[tuple[Array, Array]], y: Array) -> Array:
    """Weight of each row (n): the product over its targets of their classes' weights.

    >>> row_weights([(np.array([0, 1]), np.array([1.0, 3.0]))] * 2, np.array([[0, 1], [1, 1]])).tolist()
    [3.0, 9.0]
    """
    columns = y[:, None] if np.ndim(y) == 1 else y
    parts = [table[codes(known, columns[:, j])] for j, (known, table) in enumerate(tables)]
    product: Array = np.prod(parts, axis=0)
    return product
