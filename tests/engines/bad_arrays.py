"""Why: one table of everything that is not the array that a function expects.

In: the right array. Out: wrong ones by name, each with whether it still holds the right numbers in the right order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.errors import InvalidValueError

OTHER_TYPES = (">f4", ">f8", "f2", "f4", "f8", "i1", "i4", "i8", "u1", "u8", "?", "c8", "U3", "O", "M8[s]", "V4")


def wrong_types(right: np.ndarray) -> Iterator[tuple[str, Any]]:
    """What is no array of this type."""
    yield from (("None", None), ("text", "abc"), ("number", 1.5), ("dictionary", {}), ("bytes", b"0000"))
    yield "list", right.tolist()
    yield "function", len
    for dtype in OTHER_TYPES:
        if np.dtype(dtype) != right.dtype:
            yield f"dtype {dtype}", np.zeros(right.shape, dtype)


def wrong_shapes(right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of the type and another shape."""
    n = right.shape[0]
    for name, shape in {
        "one row more": (n + 1, *right.shape[1:]),
        "one row less": (max(n - 1, 0), *right.shape[1:]),
        "ten times the rows": (10 * n + 10, *right.shape[1:]),
        "no axis": (),
        "one axis more": (*right.shape, 1),
        "one axis in front": (1, *right.shape),
        "one axis less": (right.size + 1,) if right.ndim > 1 else (n, 2),
    }.items():
        if shape != right.shape:
            yield name, np.zeros(shape, right.dtype)
    if right.ndim == 2:
        for name, columns in (("a column more", 1), ("a column less", -1)):
            yield name, np.zeros((n, right.shape[1] + columns), right.dtype)


def wrong_layouts(right: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays of type and shape, and of the same numbers, that do not lie one after another."""
    wide = np.repeat(right, 2, axis=-1)
    yield "every second number", wide[..., ::2]
    yield "negative strides", np.ascontiguousarray(right[::-1])[::-1]
    raw = np.zeros(right.nbytes + right.itemsize, np.uint8)
    shifted = raw[1 : 1 + right.nbytes].view(right.dtype).reshape(right.shape)
    shifted[...] = right
    yield "not aligned", shifted
    if right.ndim == 2:
        yield "Fortran order", np.asfortranarray(right)
        yield "columns of a wider one", np.hstack([right, right])[:, : right.shape[1]]


def every_wrong(right: np.ndarray) -> Iterator[tuple[str, Any]]:
    """All of them; a layout is wrong only where there are two numbers or more."""
    yield from wrong_types(right)
    yield from wrong_shapes(right)
    if right.size > 1:
        yield from wrong_layouts(right)


def refusal(call: Callable[[], Any]) -> str:
    """The message of our own error, in which a call ends; empty where it ends well. Any other error goes on."""
    try:
        call()
    except InvalidValueError as error:
        return str(error)
    return ""
