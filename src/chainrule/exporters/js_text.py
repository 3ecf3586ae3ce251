"""JavaScript source as text: literals, arrays as base64, and the parts of a module while it is written."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array

_LITERAL = 24
"""Arrays up to this length are written as numbers."""

_WIDTH = 112
_EXACT = 2**53


def quoted(text: str) -> str:
    r"""Return a string literal that may stand in a comment too.

    >>> print(quoted('a"b'), quoted("*/"), quoted("\n"))
    "a\"b" "*\/" "\n"
    """
    return json.dumps(text, ensure_ascii=not text.isprintable()).replace("*/", "*\\/")


def literal(value: Any) -> str:
    """Return a literal of a string, a number, true, false or null.

    >>> literal(True), literal(2.0), literal(float("nan")), literal(2**60), literal("a")
    ('true', '2', 'NaN', '1152921504606846976n', '"a"')
    """
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return str(value) if abs(value) <= _EXACT else f"{value}n"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))


@dataclass
class Module:
    """The parts of a module while it is written.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Type of the networks' numbers.
    used : list of str
        Names of the functions of `js_runtime` that are called.
    tables, functions : list of str
        Text.
    """

    dtype: str
    used: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    def use(self, name: str) -> str:
        """Note that a function is called, and return its name."""
        if name not in self.used:
            self.used.append(name)
        return name

    def table(self, name: str, values: Array, dtype: str | None = None) -> str:
        """Add an array of numbers and return its name."""
        flat = np.asarray(values).reshape(-1).astype(dtype or self.dtype)
        kind = "Float32Array" if flat.dtype == np.float32 else "Float64Array"
        if len(flat) <= _LITERAL:
            numbers = ", ".join(_shortest(value) for value in flat)
            self.tables.append(f"const {name} = {kind}.of({numbers});")
            return name
        text = base64.b64encode(flat.astype(flat.dtype.newbyteorder("<")).tobytes()).decode()
        lines = "\n".join(text[at : at + _WIDTH] for at in range(0, len(text), _WIDTH))
        decode = self.use("floats" if kind == "Float32Array" else "doubles")
        self.tables.append(f"const {name} = {decode}(`\n{lines}`);")
        return name


def _shortest(value: Any) -> str:
    """Return the shortest literal that gives the same number in its own precision."""
    return literal(float(value)) if not np.isfinite(value) else str(value).removesuffix(".0")
