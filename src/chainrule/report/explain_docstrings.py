"""The numbered equations and the shapes that the docstring of a layer, an activation or a loss states.

In: a piece of a network. Out: its equations, forward and backward, and its symbols with their shapes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from chainrule.nn.activations import Function, activation
from chainrule.nn.layers import Parallel

_SECTION = re.compile(r"^\s*(Forward|Backward|Shapes|Reference)\s{2,}(.*)$")
_EQUATION = re.compile(r"\((\d+)\)\s+(.*?)(?=\s{2,}\(\d+\)\s|$)")
_SHAPE = re.compile(r"([^\s,()]+(?:, [^\s,()]+)*) \(([A-Za-z0-9, +]*)\)")


@dataclass(frozen=True)
class Equation:
    """One numbered equation of a layer, as its docstring states it.

    Parameters
    ----------
    number : int
        Its number in the docstring.
    direction : {"forward", "backward"}
        The pass it belongs to.
    text : str
        The equation, in Unicode.
    """

    number: int
    direction: str
    text: str


def read_docstring(piece: Any) -> tuple[tuple[Equation, ...], Mapping[str, tuple[str, ...]]]:
    """Return the numbered equations and the symbolic shapes in the docstring of a piece."""
    sections = _sections(inspect.getdoc(type(piece)) or "")
    equations = [
        Equation(int(number), direction.lower(), " ".join(text.split()))
        for direction in ("Forward", "Backward")
        for number, text in _EQUATION.findall(sections.get(direction, ""))
    ]
    shapes = {
        letter: tuple(size.strip() for size in sizes.split(",") if size.strip())
        for letters, sizes in _SHAPE.findall(sections.get("Shapes", ""))
        for letter in letters.split(", ")
    }
    return tuple(equations), shapes


def _sections(doc: str) -> dict[str, str]:
    """Return the text of each section; a line indented deeper continues the one before."""
    sections: dict[str, str] = {}
    current = ""
    for line in doc.splitlines():
        match = _SECTION.match(line)
        if match:
            current = match[1]
            sections[current] = match[2]
        elif current and line.startswith("  "):
            sections[current] += "   " + line.strip()
        else:
            current = ""
    return sections


def piece_name(piece: Any) -> str:
    """Return a piece with its settings: `Dense(units=32)`; those that are None or True, and zero biases, are left out."""
    if isinstance(piece, Parallel):
        return f"Parallel({', '.join(f'{width}: {piece_name(layer)}' for width, layer in piece.branches)})"
    settings = {f.name: _short(getattr(piece, f.name)) for f in fields(piece)}
    shown = ", ".join(
        f"{name}={value}"
        for name, value in settings.items()
        if value is not None and value is not True and value != "zeros"
    )
    return f"{type(piece).__name__}({shown})"


def _short(value: Any) -> Any:
    """Return a setting, a long sequence as its ends."""
    if isinstance(value, tuple) and len(value) > 8:
        return f"({value[0]}, ..., {value[-1]}; {len(value)} values)"
    return value


def piece_summary(piece: Any) -> str:
    """Return the first paragraph of a piece's docstring in one line."""
    return (inspect.getdoc(type(piece)) or "").split("\n\n")[0].replace("\n", " ")


def with_function(equations: tuple[Equation, ...], function: str | Function, letter: str) -> tuple[Equation, ...]:
    """Return the equations of a piece, then the definition of its function under the letter that they use."""
    inner, _ = read_docstring(activation(function))
    start = len(equations)
    named = (Equation(start + e.number, e.direction, e.text.replace("g'", f"{letter}'")) for e in inner)
    return (*equations, *named)


def without_bias(equations: tuple[Equation, ...]) -> tuple[Equation, ...]:
    """Return the equations of a dense layer without b."""
    remaining = (e for e in equations if not e.text.startswith("db"))
    return tuple(Equation(e.number, e.direction, e.text.replace(" + b", "")) for e in remaining)
