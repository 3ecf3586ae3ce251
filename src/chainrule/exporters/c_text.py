"""C source as text: literals, names, comments and tables that every C99 and C++ compiler reads alike.

In: numbers, strings and names of the user's. Out: text that cannot end a comment, a string or a name too early.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array

_WIDTH = 100
"""Columns of a line of a table."""

_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const const_cast continue
    constexpr decltype default delete do double dynamic_cast else enum explicit export extern false float for friend goto
    if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register reinterpret_cast restrict return short signed sizeof static static_assert static_cast struct switch template
    this throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq
    linux unix i386 NAN INFINITY NULL
    """,
    )
)
"""Words of C and C++, and macros of common headers, that cannot name a field."""


def number(value: float) -> str:
    """Return a float32 literal, the shortest that is read as the same number.

    >>> number(0.1), number(3), number(float("nan"))
    ('0.1f', '3.0f', 'NAN')
    """
    return _special(value) or f"{np.float32(value)!s}f"


def double(value: float) -> str:
    """Return a float64 literal, the shortest that is read as the same number.

    >>> double(0.1), double(-float("inf"))
    ('0.1', '-INFINITY')
    """
    return _special(value) or repr(float(value))


def _special(value: float) -> str:
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return ""


def _whole(value: float) -> str:
    return str(int(value))


def string(text: str) -> str:
    r"""Return a string literal of the text in UTF-8; what is not plain ASCII is written in octal.

    >>> print(string('a"b\u00e9?'))
    "a\"b\303\251\?"
    """
    return f'"{"".join(_character(byte) for byte in text.encode("utf-8", "surrogatepass"))}"'


def _character(byte: int) -> str:
    if chr(byte) in '"\\?':
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def remark(text: str) -> str:
    """Return a text as it may stand in a comment: on one line, without the marks that open or close one.

    >>> remark("a*/b")
    'a* /b'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return shown.replace("*/", "* /").replace("/*", "/ *").replace("??/", "? ?/")


def identifier(text: str) -> str:
    """Return a text as a name in C.

    >>> identifier("monthly income (EUR)"), identifier("2nd"), identifier("class")
    ('monthly_income_EUR', 'x2nd', 'class_')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    name = f"x{name}" if not name or name[0].isdigit() else name
    return f"{name}_" if name in _RESERVED else name


def identifiers(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return a name in C for each text; equal ones are numbered.

    >>> identifiers(["a b", "a-b", "c"])
    ['a_b', 'a_b_2', 'c']
    """
    used = set(taken)
    names = []
    for text in texts:
        base = identifier(text)
        name = base
        count = 1
        while name in used:
            count += 1
            name = f"{base}_{count}"
        used.add(name)
        names.append(name)
    return names


def wrapped(items: Sequence[str]) -> str:
    """Return items between commas, in lines of a readable width."""
    lines = []
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {item},"
    return "\n".join([*lines, line])


@dataclass
class Source:
    """The parts of a header while it is written.

    Parameters
    ----------
    name : str
        What every name in the header begins with.
    kernels : list of str
        Names of the kernels that are used, in the order of their first use.
    tables, functions : list of str
        Text.
    table_bytes : int
        Size of all tables.
    labels : list of str
        Names of tables.
    """

    name: str
    kernels: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    table_bytes: int = 0
    labels: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return the names after the header's that kernels may take, which nothing else may have."""
        return [*self.kernels, *self.labels]

    def use(self, kernel: str) -> str:
        """Note that a kernel is used, and return its name."""
        if kernel not in self.kernels:
            self.kernels.append(kernel)
        return f"{self.name}_{kernel}"

    def table(self, label: str, values: Array, kind: str = "float", comment: str = "") -> str:
        """Add a table of numbers and return its name."""
        self.labels.append(label)
        flat = np.asarray(values).reshape(-1)
        write = number if kind == "float" else double if kind == "double" else _whole
        name = f"{self.name}_{label}"
        size = {"float": 4, "double": 8, "int8_t": 1, "int16_t": 2, "int32_t": 4, "int": 4, "int64_t": 8}[kind]
        self.table_bytes += size * max(1, len(flat))
        above = f"/* {comment} */\n" if comment else ""
        items = wrapped([write(value) for value in flat]) if len(flat) else "    0,"
        self.tables.append(f"{above}static const {kind} {name}[{max(1, len(flat))}] = {{\n{items}\n}};\n")
        return name
