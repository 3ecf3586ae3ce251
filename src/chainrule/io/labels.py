"""Labels in a model file: JSON that says their kind.

In: the classes of a model, or JSON. Out: the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import FormatError, InvalidValueError, must_be
from chainrule.nn.losses import Loss, MultiSoftmaxCrossEntropy
from chainrule.prediction import Classes

_CLASS_KINDS = {"i": "int64", "f": "float64", "b": "bool", "U": "str"}
_PLAIN: Mapping[str, type[Any]] = {"int64": int, "float64": float, "bool": bool, "str": str}
"""What a label of each kind is in JSON."""


def target_classes(plain: Any, loss: Loss, outputs: int) -> Classes:
    """Return the labels of one target, or of each of several in the order of their loss."""
    if not isinstance(loss, MultiSoftmaxCrossEntropy):
        return _classes_from_plain(plain, max(outputs, 2))
    if not isinstance(plain, list) or len(plain) != len(loss.sizes) or sum(loss.sizes) != outputs:
        raise FormatError(f"classes must be {len(loss.sizes)} lists of labels with {outputs} in all.")
    each = [_classes_from_plain(labels, size) for labels, size in zip(plain, loss.sizes, strict=True)]
    if any(labels is None for labels in each):
        raise FormatError("classes must be a kind and values.")
    return tuple(each)


def classes_to_plain(classes: Classes) -> Any:
    """Write labels as JSON, a list of them for several targets; an array of objects is read as the type of its entries."""
    if classes is None:
        return None
    if isinstance(classes, tuple):
        return [classes_to_plain(labels) for labels in classes]
    values, kind = classes.tolist(), classes.dtype.kind
    if kind in "OT":
        kind = np.array(values).dtype.kind
    if kind == "u" and max(values) < 2**63:
        kind = "i"
    if kind not in _CLASS_KINDS:
        raise InvalidValueError(must_be("save", "classes", "text, booleans or numbers of 64 bits", values))
    return {"kind": _CLASS_KINDS[kind], "values": values}


def _classes_from_plain(plain: Any, count: int) -> Array | None:
    """Return `count` labels, which must be distinct and in order."""
    if plain is None:
        return None
    if not isinstance(plain, dict) or set(plain) != {"kind", "values"} or plain["kind"] not in tuple(_PLAIN):
        raise FormatError("classes must be a kind and values.")
    values, kind = plain["values"], plain["kind"]
    if not isinstance(values, list) or not all(type(value) is _PLAIN[kind] for value in values):
        raise FormatError(f"classes must be a list of labels of kind {kind}.")
    if len(values) != count:
        raise FormatError(f"classes must be {count} labels, got {len(values)}.")
    if any(not first < second for first, second in pairwise(values)):
        raise FormatError("classes must be distinct and in order.")
    try:
        return np.array(values, dtype=kind)
    except OverflowError:
        raise FormatError("classes must be whole numbers of 64 bits.") from None
