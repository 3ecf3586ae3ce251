"""The transform of a table's features as data that a file can hold, and back.

In: a `FeatureTransform`; or data that a file holds, which nobody has checked, and nodes. Out: dictionaries and lists; or a
`FeatureTransform` that maps any rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.transforms import METHODS, FeatureTransform
from chainrule.errors import FormatError

_MOST_CODES = 2**24
"""Codes are float32, which holds every whole number up to this."""


def transform_to_plain(transform: FeatureTransform) -> dict[str, Any]:
    """Return everything but the nodes of a transform as plain data.

    Parameters
    ----------
    transform : FeatureTransform
        The transform.

    Returns
    -------
    dict
    """
    return {
        "method": transform.method,
        "numbers": list(transform.numbers),
        "gaps": list(transform.gaps),
        "one_hot": [[j, list(codes)] for j, codes in transform.one_hot],
        "codes": [list(pair) for pair in transform.codes],
    }


def transform_from_plain(plain: Mapping[str, Any], nodes: Array, features: int) -> FeatureTransform:
    """Return the transform that `transform_to_plain` and its nodes describe.

    Parameters
    ----------
    plain : mapping
        What `transform_to_plain` returned.
    nodes : array of shape (2, p, q)
        The nodes of the transform.
    features : int
        Number of columns of the feature matrix.

    Returns
    -------
    FeatureTransform

    Raises
    ------
    FormatError
        For missing or wrong parts.
    """
    transform = _from_plain(plain, nodes, features)
    if transform is None:
        raise FormatError("transforms must hold a method, numbers, gaps, one_hot and codes.")
    _check_nodes(transform)
    return transform


def _from_plain(plain: Mapping[str, Any], nodes: Array, features: int) -> FeatureTransform | None:
    """Return the transform of plain data, None where a part is missing or wrong."""
    try:
        transform = FeatureTransform(
            plain["method"],
            tuple(plain["numbers"]),
            tuple(plain["gaps"]),
            tuple((j, tuple(codes)) for j, codes in plain["one_hot"]),
            tuple((j, size) for j, size in plain["codes"]),
            nodes,
        )
        right = set(plain) == {"method", "numbers", "gaps", "one_hot", "codes"} and transform.method in METHODS
        hot = [code for _, own in transform.one_hot for code in own]
    except (KeyError, TypeError, ValueError):
        return None
    columns = [*transform.numbers, *(j for j, _ in (*transform.one_hot, *transform.codes))]
    counts = [*hot, *(size for _, size in transform.codes)]
    right = right and all(type(j) is int and 0 <= j < features for j in (*columns, *transform.gaps))
    right = right and len(set(columns)) == len(columns) and set(transform.gaps) <= set(transform.numbers)
    right = right and all(type(count) is int and 0 <= count <= _MOST_CODES for count in counts)
    return transform if right else None


def _check_nodes(transform: FeatureTransform) -> None:
    """Check that nodes are finite and, for quantiles, in order."""
    nodes = transform.nodes
    p = len(transform.numbers)
    if nodes.ndim != 3 or nodes.shape[:2] != (2, p) or nodes.shape[2] < 1 or not np.isfinite(nodes).all():
        raise FormatError("the nodes of a transform must be finite, two rows for each number.")
    if transform.method == "robust" and nodes.shape[2] != 1:
        raise FormatError("the nodes of a robust transform must be a median and a factor for each number.")
    if (np.diff(nodes, axis=2) < 0).any():
        raise FormatError("the nodes of a transform must ascend.")
