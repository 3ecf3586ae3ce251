"""The stages of a network as C: one function for each network, a line or loop for each stage.

In: the stages of an inference plan. Out: functions and tables in a `Source`. Results of stages alternate between two
buffers; stages that keep the width work in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.c_text import Source, number
from chainrule.exporters.plan import (
    Affine,
    Apply,
    Cosines,
    Lookup,
    Multiply,
    NormalizeRows,
    Periodic,
    PiecewiseLinear,
    SideBySide,
    Stage,
)

IN_PLACE = (Multiply, NormalizeRows, Apply)

_WITH_PARAMETER = ("leaky_relu", "elu")


def width_after(stage: Stage, d: int) -> int:
    """Return the number of columns after a stage that takes d."""
    match stage:
        case Affine():
            return int(stage.W.shape[1])
        case Cosines():
            return int(stage.gamma.size)
        case Periodic():
            return int(stage.c.size) + len(stage.c)
        case PiecewiseLinear():
            return int(stage.a.size)
        case Lookup():
            return sum(int(table.shape[1]) for table in stage.tables)
        case SideBySide():
            return sum(width_of(stages, width) for width, stages in stage.parts)
        case _:
            return d


def width_of(stages: Sequence[Stage], d: int) -> int:
    """Return the number of columns after stages that take d."""
    for stage in stages:
        d = width_after(stage, d)
    return d


@dataclass
class Emitter:
    """What writes one network as a function.

    Parameters
    ----------
    source : Source
        Where tables and kernels go.
    label : str
        What names of tables begin with, after the header's name.
    int8 : bool
        Whether weights of affine maps are whole numbers of one byte.
    """

    source: Source
    label: str
    int8: bool = False

    def __post_init__(self) -> None:
        self.layers = 0
        self.stack = 0
        self.depth = 1

    def function(self, name: str, stages: Sequence[Stage], d: int, note: str = "") -> None:
        """Add the function of a network, from rows X of width d to logits Z; a note says what is special about it."""
        lines = self.chain(stages, "X", d, "Z")
        counted = ["int i;"] if any("for (i" in line for line in lines) else []
        body = "\n".join(f"    {line}" for line in [*counted, *lines])
        head = f"static inline void {self.source.name}_{name}(const float *X, float *Z)"
        about = f"/* From a row to the logits.{note and ' '}{note} */"
        self.source.functions.append(f"{about}\n{head}\n{{\n{body}\n}}\n")

    def chain(self, stages: Sequence[Stage], start: str, d: int, target: str) -> list[str]:
        """Return the lines that take columns at `start`, which is not changed, through stages to `target`."""
        moves = sum(not isinstance(stage, IN_PLACE) for stage in stages)
        copies = not stages or isinstance(stages[0], IN_PLACE)
        total = moves + copies
        widths: list[list[int]] = [[], []]
        lines = []
        at, done = start, 0
        if copies:
            at, done = self._place(total, 0, target, d, widths), 1
            lines.append(f"{self.source.use('copy')}({start}, {d}, {at});")
        for stage in stages:
            after = width_after(stage, d)
            if isinstance(stage, IN_PLACE):
                lines += self.in_place(stage, at, d)
                continue
            place = self._place(total, done, target, after, widths)
            lines += self.move(stage, at, d, place)
            at, d, done = place, after, done + 1
        return [*self._buffers(widths), *lines]

    def _place(self, total: int, done: int, target: str, width: int, widths: list[list[int]]) -> str:
        """Return where the result of the next move goes: the target for the last one, else one of two buffers."""
        if done == total - 1:
            return target
        widths[done % 2].append(width)
        return f"{'ab'[done % 2]}{self.depth if self.depth > 1 else ''}"

    def _buffers(self, widths: list[list[int]]) -> list[str]:
        lines = []
        for letter, each in zip("ab", widths, strict=True):
            if each:
                self.stack += 4 * max(each)
                lines.append(f"float {letter}{self.depth if self.depth > 1 else ''}[{max(each)}];")
        return lines

    def _table(self, label: str, values: Array, kind: str = "float") -> str:
        return self.source.table(f"{self.label}{label}{self.layers}", values, kind)

    def in_place(self, stage: Any, at: str, d: int) -> list[str]:
        """Return the lines of a stage that changes its columns where they are."""
        match stage:
            case Multiply():
                self.layers += 1
                s, t = self._table("s", stage.s), self._table("t", stage.t)
                return [f"{self.source.use('multiply')}({at}, {s}, {t}, {d});"]
            case NormalizeRows():
                self.layers += 1
                gamma, beta = self._table("gamma", stage.gamma), self._table("beta", stage.beta)
                kernel = self.source.use("normalize")
                return [f"{kernel}({at}, {gamma}, {beta}, {number(stage.epsilon)}, {d});"]
            case _:
                return self._apply(stage, at, d)

    def _apply(self, stage: Apply, at: str, d: int) -> list[str]:
        if stage.function == "identity":
            return []
        kernel = self.source.use(stage.function)
        parameter = f", {number(stage.a)}" if stage.function in _WITH_PARAMETER else ""
        value = f"{kernel}({at}[i]{parameter})"
        if stage.alpha is None:
            step = f"{at}[i] = {value};"
        else:
            self.layers += 1
            alpha = self._table("alpha", stage.alpha)
            step = f"{at}[i] += {alpha}[i] * ({value} - {at}[i]);"
        return [f"for (i = 0; i < {d}; i++) {step}"]

    def move(self, stage: Any, at: str, d: int, place: str) -> list[str]:
        """Return the lines of a stage whose result goes elsewhere."""
        if isinstance(stage, SideBySide):
            return self._parts(stage, at, place)
        self.layers += 1
        writers: dict[type, Callable[[Any, str, int, str], list[str]]] = {
            Affine: self._affine,
            Cosines: self._cosines,
            Periodic: self._periodic,
            PiecewiseLinear: self._piecewise,
            Lookup: self._lookup,
        }
        return writers[type(stage)](stage, at, d, place)

    def _affine(self, stage: Affine, at: str, d: int, place: str) -> list[str]:
        k = stage.W.shape[1]
        if self.int8:
            Q, s = quantized(stage.W)
            names = f"{self._table('Q', Q.T, 'int8_t')}, {self._table('s', s)}"
        else:
            names = self._table("W", stage.W.T)
        kernel = self.source.use("affine_int8" if self.int8 else "affine")
        return [f"{kernel}({at}, {names}, {self._table('b', stage.b)}, {d}, {k}, {place});"]

    def _cosines(self, stage: Cosines, at: str, d: int, place: str) -> list[str]:
        names = ", ".join(self._table(each, getattr(stage, each)) for each in ("w", "b", "gamma", "beta"))
        return [f"{self.source.use('cosines')}({at}, {names}, {d}, {stage.w.shape[1]}, {place});"]

    def _periodic(self, stage: Periodic, at: str, d: int, place: str) -> list[str]:
        names = ", ".join(self._table(each, getattr(stage, each)) for each in ("w", "b", "V", "c"))
        m, u = stage.V.shape[1:]
        return [f"{self.source.use('periodic')}({at}, {names}, {d}, {m}, {u}, {place});"]

    def _piecewise(self, stage: PiecewiseLinear, at: str, d: int, place: str) -> list[str]:
        tables = {"q": stage.edges[:-1], "width": np.diff(stage.edges), "a": stage.a, "c": stage.c, "P": stage.P}
        names = ", ".join(self._table(label, values) for label, values in tables.items())
        T, u = stage.P.shape[1:]
        return [f"{self.source.use('piecewise')}({at}, {names}, {d}, {T}, {u}, {place});"]

    def _lookup(self, stage: Lookup, at: str, d: int, place: str) -> list[str]:
        kernel = self.source.use("lookup")
        lines = []
        to = 0
        for i, table in enumerate(stage.tables):
            name = self._table(f"E{i}_", table)
            size, u = table.shape
            lines.append(f"{kernel}({entry(at, i)}, {name}, {size}, {u}, {shifted(place, to)});")
            to += u
        return lines

    def _parts(self, stage: SideBySide, at: str, place: str) -> list[str]:
        """Return a block for each part, which reads its columns and writes beside the parts before it."""
        lines = []
        start = to = 0
        for width, stages in stage.parts:
            if width_of(stages, width):
                self.depth += 1
                inner = self.chain(stages, shifted(at, start), width, shifted(place, to))
                self.depth -= 1
                blocked = any(line.startswith("float ") for line in inner)
                lines += ["{", *(f"    {line}" for line in inner), "}"] if blocked else inner
            start += width
            to += width_of(stages, width)
        return lines


def shifted(name: str, by: int) -> str:
    """Return the place of a column.

    >>> shifted("X", 0), shifted("X", 3), shifted("(X + 3)", 2)
    ('X', '(X + 3)', '(X + 5)')
    """
    base, at = _split(name)
    return f"({base} + {at + by})" if at + by else base


def entry(name: str, i: int) -> str:
    """Return the number at a column.

    >>> entry("(X + 3)", 2)
    'X[5]'
    """
    base, at = _split(name)
    return f"{base}[{at + i}]"


def _split(name: str) -> tuple[str, int]:
    base, _, at = name.strip("()").partition(" + ")
    return base, int(at or 0)


def quantized(W: Array) -> tuple[Array, Array]:
    """Return whole numbers Q from -127 to 127 and a factor s for each column, so that W is about Q s.

    >>> Q, s = quantized(np.array([[0.5, 0.0], [-1.0, 0.0]]))
    >>> Q.tolist(), s.round(6).astype(str).tolist()
    ([[64, 0], [-127, 0]], ['0.007874', '1.0'])
    """
    W = np.asarray(W, np.float64)
    most = np.abs(W).max(axis=0, initial=0.0)
    s = np.where(most > 0, most / 127.0, 1.0).astype(np.float32)
    return np.rint(W / s).astype(np.int8), s
