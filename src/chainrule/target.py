"""What a network predicts: classes, labels or continuous targets, and the form in which the loss takes them.

In: y as the user has it. Out: a `Target`, which encodes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.data.targets import unknown_labels
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn.losses import Loss, TargetKind
from chainrule.prediction import Classes, Predictor


@dataclass(frozen=True, eq=False)
class Target:
    """What the targets are and how the loss takes them.

    Parameters
    ----------
    classes : ndarray of shape (K,), tuple of such, or None
        The classes in order; one array for each of several targets; None for continuous targets. Independent yes/no
        labels have the classes 0 .. k-1, the labels' numbers.
    loss : Loss
        The loss that takes the encoded targets.
    outputs : int
        Number of logits.
    scaling : Standardizer or None
        The scaling of continuous targets; None where they are not scaled.
    smoothing : float, default=0.0
        Label smoothing of targets that the logistic loss takes.
    """

    classes: Classes
    loss: Loss
    outputs: int
    scaling: Standardizer | None
    smoothing: float = 0.0

    @classmethod
    def of(cls, model: Predictor) -> Target:
        """Return the target that a trained model predicts."""
        return cls(model.classes, model.loss, model.outputs, model.targets)

    @property
    def labels(self) -> bool:
        """Whether each row has several independent yes/no labels."""
        return self.loss.targets is TargetKind.LABELS and self.outputs > 1

    def encode(self, y: Array, owner: str = "y") -> Array:
        """Return targets as the loss takes them: class indices (n), or 0/1 or scaled values (n, k).

        Parameters
        ----------
        y : ndarray of shape (n,) or (n, m)
            Targets as the user has them.
        owner : str, default="y"
            What messages call them, such as "validation rows".

        Returns
        -------
        ndarray of shape (n,) or (n, k)

        Raises
        ------
        InvalidValueError
            For labels that the training rows did not have, with the first row, another number of targets, and counts
            below 0.
        """
        if self.classes is None:
            values = np.asarray(y, np.float64).reshape(len(y), -1)
            k = self.outputs // self.loss.outputs_per_target
            if values.shape[1] != k:
                raise InvalidValueError(must_be(owner, "targets", f"of shape (n, {k})", np.shape(y)))
            return self._values(values)
        if isinstance(self.classes, tuple):
            _check_width(y, len(self.classes))
            indices = [class_indices(known, y[:, j], owner) for j, known in enumerate(self.classes)]
            return np.hstack(
                [column[:, None] == np.arange(len(known)) for column, known in zip(indices, self.classes, strict=True)]
            )
        if self.labels:
            _check_width(y, self.outputs)
            return self._smoothed(class_indices(np.array([0, 1]), y, owner))
        numbers = class_indices(self.classes, y, owner)
        return numbers if self.loss.targets is TargetKind.CLASSES else self._smoothed(numbers)[:, None]

    def matches(self, model: Predictor) -> bool:
        """Check whether a trained model's outputs mean what this target's mean: the same loss and the same classes."""
        if (model.loss, model.outputs) != (self.loss, self.outputs):
            return False
        theirs, ours = (x if isinstance(x, tuple) else (x,) for x in (model.classes, self.classes))
        return len(theirs) == len(ours) and all(np.array_equal(a, b) for a, b in zip(theirs, ours, strict=True))

    def _values(self, values: Array) -> Array:
        if self.loss.targets is TargetKind.COUNTS and (values < 0).any():
            raise_all([must_be("y", "targets", "counts >= 0 for the Poisson loss", float(values.min()))])
        values = np.repeat(values, self.loss.outputs_per_target, axis=1)
        return values if self.scaling is None else self.scaling.apply(values)

    def _smoothed(self, hot: Array) -> Array:
        smooth: Array = hot * (1.0 - self.smoothing) + self.smoothing / 2.0
        return smooth


def class_indices(classes: Array, y: Array, owner: str = "y") -> Array:
    """Return the index of each label's class, of the shape of y; raise `InvalidValueError` for an unknown label."""
    unknown, row = unknown_labels(classes, y)
    if unknown:
        hint = f"The first is in row {row} (counted from 0). The training rows did not have it."
        raise InvalidValueError(must_be(owner, "labels", f"among {classes.tolist()}", unknown, hint))
    found: Array = np.searchsorted(classes, y)
    return found


def _check_width(y: Array, k: int) -> None:
    if np.ndim(y) != 2 or y.shape[1] != k:
        raise InvalidValueError(must_be("y", "targets", f"of shape (n, {k})", np.shape(y)))
