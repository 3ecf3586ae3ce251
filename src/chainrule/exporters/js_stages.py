"""The stages of a network as JavaScript: one function for each network, a line for each stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.c_stages import IN_PLACE, width_after
from chainrule.exporters.js_text import Module, literal
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

_WITH_PARAMETER = ("leaky_relu", "elu")


class NetworkWriter:
    """What writes one network.

    Parameters
    ----------
    module : Module
        Where tables and functions go.
    name : str
        Name of the network's function.
    """

    def __init__(self, module: Module, name: str) -> None:
        self.module = module
        self.name = name
        self.layers = 0
        self.parts = 0

    def function(self, stages: Sequence[Stage], d: int) -> str:
        """Add the network's function, from rows X to logits, and return its name."""
        return self._function(self.name, "From a row to the logits.", stages, d)

    def _function(self, name: str, about: str, stages: Sequence[Stage], d: int) -> str:
        lines = []
        at = "X"
        for stage in stages:
            after = width_after(stage, d)
            if isinstance(stage, IN_PLACE):
                lines += (["let Z = X.slice();"] if at == "X" else []) + self.in_place(stage, d)
            else:
                lines.append(f"{'let ' if at == 'X' else ''}Z = {self.move(stage, at)};")
            at, d = "Z", after
        if len(lines) == 1 and lines[0].startswith("let Z = "):
            lines = [f"return {lines[0].removeprefix('let Z = ')}"]
        else:
            lines.append(f"return {at};")
        body = "\n".join(f"  {line}" for line in lines)
        self.module.functions.append(f"/** {about} */\nfunction {name}(X) {{\n{body}\n}}\n")
        return name

    def _table(self, label: str, values: Array) -> str:
        return self.module.table(f"{label}{self.layers}_{self.name}", values)

    def in_place(self, stage: Any, d: int) -> list[str]:
        """Return the lines of a stage that changes its columns where they are."""
        each = f"for (let i = 0; i < {d}; i++)"
        self.layers += 1
        match stage:
            case Multiply():
                return [f"{each} Z[i] = Z[i] * {self._table('s', stage.s)}[i] + {self._table('t', stage.t)}[i];"]
            case NormalizeRows():
                names = f"{self._table('gamma', stage.gamma)}, {self._table('beta', stage.beta)}"
                return [f"{self.module.use('normalize')}(Z, {names}, {literal(float(stage.epsilon))});"]
            case _:
                return self._apply(stage, each)

    def _apply(self, stage: Apply, each: str) -> list[str]:
        if stage.function == "identity":
            return []
        parameter = f", {literal(float(stage.a))}" if stage.function in _WITH_PARAMETER else ""
        value = f"{self.module.use(stage.function)}(Z[i]{parameter})"
        if stage.alpha is None:
            return [f"{each} Z[i] = {value};"]
        return [f"{each} Z[i] += {self._table('alpha', stage.alpha)}[i] * ({value} - Z[i]);"]

    def move(self, stage: Any, at: str) -> str:
        """Return an expression of a stage's result for the columns in a variable."""
        if isinstance(stage, SideBySide):
            return self._side_by_side(stage, at)
        self.layers += 1
        use = self.module.use
        match stage:
            case Affine():
                return f"{use('affine')}({at}, {self._table('W', stage.W.T)}, {self._table('b', stage.b)})"
            case Cosines():
                names = ", ".join(self._table(n, getattr(stage, n)) for n in ("w", "b", "gamma", "beta"))
                return f"{use('cosines')}({at}, {names})"
            case Periodic():
                names = ", ".join(self._table(n, getattr(stage, n)) for n in ("w", "b", "V", "c"))
                return f"{use('periodic')}({at}, {names})"
            case PiecewiseLinear():
                tables = {
                    "q": stage.edges[:-1],
                    "width": np.diff(stage.edges),
                    "a": stage.a,
                    "c": stage.c,
                    "P": stage.P,
                }
                names = ", ".join(self._table(n, values) for n, values in tables.items())
                return f"{use('piecewise')}({at}, {names})"
            case Lookup():
                use("join")
                names = ", ".join(self._table(f"E{i}_", table) for i, table in enumerate(stage.tables))
                units = ", ".join(str(table.shape[1]) for table in stage.tables)
                return f"{use('lookup')}({at}, [{names}], [{units}])"
            case _:
                raise TypeError(stage)

    def _side_by_side(self, stage: SideBySide, at: str) -> str:
        """Return the parts' results, joined; a part of several stages is a function of its own."""
        found = []
        start = 0
        for width, stages in stage.parts:
            columns = f"{at}.subarray({start}, {start + width})"
            if stages:
                self.parts += 1
                name = f"{self.name}_part_{self.parts}"
                about = f"From columns {start} to {start + width - 1} of a row to theirs of the layer."
                found.append(f"{self._function(name, about, stages, width)}({columns})")
            elif width:
                found.append(columns)
            start += width
        return f"{self.module.use('join')}([{', '.join(found)}])"
