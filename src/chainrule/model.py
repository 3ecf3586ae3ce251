"""Why: a trained network is worth nothing without what its inputs and outputs went through; here they stay together.

In: rows as the user has them (unscaled, labels as text). Out: predictions in the user's own units and labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer, Task
from chainrule.engines import predictor
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.losses import Loss, SoftmaxCrossEntropy
from chainrule.nn.net import Net


@dataclass(frozen=True, eq=False)
class Model:
    """A network with its numbers, the scaling of inputs and targets, and the names around it.

    `w` (P) and `buffers` (B) in the dtype of training. `classes` (K), in order, for classification, else None.
    `targets` undoes the scaling of a regression's targets, None where they were not scaled.
    """

    net: Net
    loss: Loss
    w: Array = field(repr=False)
    buffers: Array = field(repr=False)
    inputs: Standardizer = field(repr=False)
    targets: Standardizer | None = field(repr=False)
    classes: Array | None
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str

    @property
    def task(self) -> Task:
        """What it predicts: a class or an amount."""
        return "regression" if self.classes is None else "classification"

    @cached_property
    def _forward(self) -> Callable[[Array], Array]:
        return predictor(self.net, self.w, self.buffers)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what predicts is made again where it is needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def logits(self, X: Array) -> Array:
        """What the last layer says (n, k) for rows X (n, d), which must be finite.

        Raises `InvalidValueError` for a wrong width and for numbers that are not finite.
        """
        if X.ndim != 2 or X.shape[1] != self.net.inputs:
            raise InvalidValueError(must_be("Model", "X", f"of shape (n, {self.net.inputs})", X.shape))
        return self._forward(self.inputs.apply(X, self.w.dtype))

    def probabilities(self, X: Array) -> Array:
        """Probability of each class (n, K); rows sum to 1.

        Raises `InvalidValueError` for a regression.
        """
        if self.classes is None:
            raise InvalidValueError(must_be("Model", "task", "classification", self.task, "Amounts have no classes."))
        P = self.loss.predict(np, self.logits(X))
        return P if isinstance(self.loss, SoftmaxCrossEntropy) else np.hstack([1.0 - P, P])

    def predict(self, X: Array) -> Array:
        """Classes (n) in the user's labels, or amounts (n) or (n, k) in the user's unit."""
        if self.classes is not None:
            return self.classes[np.argmax(self.probabilities(X), axis=1)]
        A = self.loss.predict(np, self.logits(X))
        A = A if self.targets is None else self.targets.undo(A)
        return A[:, 0] if A.shape[1] == 1 else A
