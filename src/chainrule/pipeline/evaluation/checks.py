"""Checks of labels and probabilities, shared by scores and curves.

In: labels, probabilities, classes. Out: class numbers and float64 probabilities, or an `InvalidValueError`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be


def labels_and_probabilities(owner: str, y: Any, P: Any, classes: Any) -> tuple[Array, Array, Array]:
    """Return the class number of each row (n), probabilities (n, K) float64 and the classes (K)."""
    y = np.asarray(y)
    classes = np.unique(y) if classes is None else np.asarray(classes)
    P = np.asarray(P, np.float64)
    P = np.column_stack([1.0 - P, P]) if P.ndim == 1 and len(classes) == 2 else P
    if not len(y) or P.shape != (len(y), len(classes)):
        allowed = f"of shape ({len(y)}, {len(classes)}) with a row at least, a column for each class"
        raise InvalidValueError(must_be(owner, "P", allowed, P.shape))
    if not np.isfinite(P).all():
        raise InvalidValueError(must_be(owner, "P", "finite", float(P[~np.isfinite(P)][0])))
    place = {label: k for k, label in enumerate(classes.tolist())}
    unknown = sorted({str(label) for label in set(y.tolist()) - set(place)})
    if unknown:
        raise InvalidValueError(must_be(owner, "y", f"among {classes.tolist()}", unknown))
    return np.array([place[label] for label in y.tolist()], np.int64), P, classes


def positive_class(owner: str, classes: Array, label: Any) -> int:
    """Return the number of the class that counts as positive: `label`, or the second of two classes."""
    if label is None and len(classes) == 2:
        return 1
    found = [k for k, each in enumerate(classes.tolist()) if each == label]
    if label is None or not found:
        hint = "A curve is of one class against the rest."
        raise InvalidValueError(must_be(owner, "label", f"one of {classes.tolist()}", label, hint))
    return found[0]


def both_sides(owner: str, positive: Array) -> None:
    """Refuse rows that are all of one side, for which a curve is not defined."""
    if positive.all() or not positive.any():
        side = "in" if positive.all() else "outside"
        hint = "Evaluate on more rows."
        raise InvalidValueError(must_be(owner, "y", "both in the class and outside", f"only rows {side} it", hint))
