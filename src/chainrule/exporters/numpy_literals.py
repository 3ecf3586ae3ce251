"""Numbers, texts and arrays as the source of an exported NumPy file."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array

_FEW = 24
"""Numbers up to which an array is written number by number."""

_LINE = 100
"""Characters of a line of base64."""


def number(value: float) -> str:
    """Return a number as Python source.

    >>> number(0.1), number(float("nan")), number(-float("inf"))
    ('0.1', 'np.nan', '-np.inf')
    """
    value = float(value)
    if math.isnan(value):
        return "np.nan"
    if math.isinf(value):
        return "np.inf" if value > 0 else "-np.inf"
    return repr(value)


def array(values: Array) -> str:
    """Return an array as Python source that gives the same bits: few numbers as such, many as base64.

    >>> array(np.array([0.1, 2.0], np.float32))
    'np.array([0.1, 2.0], "<f4")'
    """
    values = np.ascontiguousarray(values)
    kind = values.dtype.newbyteorder("<").str
    if values.size <= _FEW:
        return f'np.array({_nested(values)}, "{kind}")' + (f".reshape({values.shape})" if 0 in values.shape else "")
    text = base64.b64encode(values.astype(kind).tobytes()).decode("ascii")
    lines = "\n".join(text[start : start + _LINE] for start in range(0, len(text), _LINE))
    return f'array("{kind}", {values.shape}, """\n{lines}\n""")'


def _nested(values: Array) -> str:
    if values.ndim > 1:
        return f"[{', '.join(_nested(each) for each in values)}]"
    return f"[{', '.join(_shortest(value) for value in values)}]"


def _shortest(value: Any) -> str:
    """Return the shortest text that gives the number in its own type."""
    text = str(value)
    if not math.isfinite(value):
        return number(value)
    return text if type(value)(float(text)) == value else repr(float(value))


def labels(values: Array) -> str:
    """Return classes as Python source of an array of the same type.

    >>> labels(np.array(["no", "yes"])), labels(np.array([1, 5], np.int8))
    ("np.array(['no', 'yes'])", "np.array([1, 5], 'int8')")
    """
    if values.dtype.kind in "US":
        return f"np.array({values.tolist()!r})"
    return f"np.array({values.tolist()!r}, {str(values.dtype)!r})"


def sequence(items: Sequence[str], indent: str = "    ") -> str:
    """Return items of source one below the other, in parentheses."""
    inner = "".join(f"{indent}{item},\n" for item in items)
    return f"(\n{inner})"
