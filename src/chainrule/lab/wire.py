"""Messages between the page and the server: a header in JSON, then arrays as they lie in memory.

A message is the length of its header (4 bytes, little endian), the header, and the arrays that the header's "arrays"
names, each as [name, dtype, shape]. In a stream, the length of the whole message (4 bytes) stands before each.

In: a header and arrays, or bytes that a stranger may have sent. Out: bytes, or the header and the arrays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import FormatError
from chainrule.io import json_text

LONGEST_HEADER = 1_000_000
"""Bytes of a header; the names of 5,000 columns fit."""

_DTYPES = ("float32", "float64", "int32")
_MOST_ARRAYS = 64


def message(header: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """Return a message as bytes; numbers in the header that are not finite become null.

    >>> message({"a": 1}, {"x": np.ones(1, np.float32)})[4:-4]
    b'{"a": 1, "arrays": [["x", "float32", [1]]]}'
    """
    held = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    described = [[name, str(array.dtype), list(array.shape)] for name, array in held.items()]
    text = json.dumps({**finite(header), "arrays": described}, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *(array.tobytes() for array in held.values())])


def framed(data: bytes) -> bytes:
    """Return a message with its length before it, as a stream carries it."""
    return len(data).to_bytes(4, "little") + data


def parsed(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header and the arrays of a message.

    Raises `FormatError` for anything else, such as arrays of other lengths than the header says.
    """
    length = int.from_bytes(data[:4], "little")
    if len(data) < 4 or length > min(LONGEST_HEADER, len(data) - 4):
        raise FormatError("lab: a message must begin with its header, got other bytes.")
    header = json_text.parse("lab", bytes(data[4 : 4 + length]), LONGEST_HEADER)
    described = header.pop("arrays", []) if isinstance(header, dict) else None
    if not isinstance(described, list) or len(described) > _MOST_ARRAYS:
        raise FormatError("lab: the header must be an object with a list of arrays.")
    place = 4 + length
    arrays: dict[str, Array] = {}
    for item in described:
        name, dtype, shape = _array_of(item)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if name in arrays or size > len(data) - place:
            raise FormatError("lab: the arrays of a message must be those of its header.")
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), place).reshape(shape).copy()
        place += size
    if place != len(data):
        raise FormatError("lab: a message must end with its last array.")
    return header, arrays


def _array_of(item: Any) -> tuple[str, str, tuple[int, ...]]:
    """Return name, dtype and shape of an array in a header."""
    if isinstance(item, list) and len(item) == 3:
        name, dtype, shape = item
        sized = isinstance(shape, list) and len(shape) <= 2 and all(type(n) is int and 0 <= n < 2**31 for n in shape)
        if isinstance(name, str) and dtype in _DTYPES and sized:
            return name, dtype, tuple(shape)
    raise FormatError("lab: an array must be described by its name, its dtype and its shape.")


def finite(value: Any) -> Any:
    """Return plain data as JSON takes it: numbers that are not finite are None, those of NumPy are Python's.

    >>> finite({"a": (np.float32(0.5), float("nan"))})
    {'a': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return finite(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
