"""The stages of a network as lines of NumPy source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.arrays import Array
from chainrule.exporters import numpy_literals as literal
from chainrule.exporters.plan import (
    Affine,
    Apply,
    Cosines,
    Lookup,
    Multiply,
    Network,
    NormalizeRows,
    Periodic,
    PiecewiseLinear,
    SideBySide,
    Stage,
)


class Constants:
    """The arrays of a file, each under a name of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: set[str] = set()

    def add(self, name: str, values: Array) -> str:
        """Write an array down and return its name."""
        return self.write(name, literal.array(values))

    def write(self, name: str, source: str) -> str:
        """Write a constant down and return its name."""
        self.names.add(name)
        self.lines.append(f"{name} = {source}")
        return name


def network_source(network: Network, name: str, constants: Constants) -> str:
    """Return the function that computes a network's logits.

    Parameters
    ----------
    network : Network
        The network.
    name : str
        Name of the function; its arrays begin with the same letters, in capitals.
    constants : Constants
        Receives the arrays.

    Returns
    -------
    str
    """
    lines = stage_lines(network.stages, "A", name.upper(), constants)
    body = "\n".join(f"    {line}" for line in lines)
    return f'def {name}(A):\n    """Return the logits of rows."""\n{body}\n    return A\n'.replace("\n\n", "\n")


def stage_lines(stages: Sequence[Stage], A: str, prefix: str, constants: Constants) -> list[str]:
    """Return the lines that send the variable A through stages."""
    lines = []
    for i, stage in enumerate(stages):
        if isinstance(stage, SideBySide):
            lines += _parts(stage, A, f"{prefix}_{i}", constants)
        else:
            lines += _LINES[type(stage)](stage, A, f"{prefix}_{i}", constants)
    return lines


def _parts(stage: SideBySide, A: str, prefix: str, constants: Constants) -> list[str]:
    inner = f"{A}{len(A)}"
    lines = [f"parts_{inner} = []"]
    start = 0
    for j, (width, stages) in enumerate(stage.parts):
        lines.append(f"{inner} = {A}[:, {start}:{start + width}]")
        lines += stage_lines(stages, inner, f"{prefix}_{j}", constants)
        lines.append(f"parts_{inner}.append({inner})")
        start += width
    return [*lines, f"{A} = np.concatenate(parts_{inner}, axis=1)"]


def _affine(stage: Affine, A: str, prefix: str, constants: Constants) -> list[str]:
    W, b = constants.add(f"{prefix}_W", stage.W), constants.add(f"{prefix}_B", stage.b)
    d, k = stage.W.shape
    return [f"{A} = {A} @ {W} + {b}  # Z = A W + b, {d} to {k} columns"]


def _multiply(stage: Multiply, A: str, prefix: str, constants: Constants) -> list[str]:
    s = constants.add(f"{prefix}_S", stage.s)
    if not stage.t.any():
        return [f"{A} = {A} * {s}  # Y = A s"]
    t = constants.add(f"{prefix}_T", stage.t)
    return [f"{A} = {A} * {s} + {t}  # Y = A s + t"]


def _normalize(stage: NormalizeRows, A: str, prefix: str, constants: Constants) -> list[str]:
    gamma, beta = constants.add(f"{prefix}_GAMMA", stage.gamma), constants.add(f"{prefix}_BETA", stage.beta)
    return [f"{A} = normalized_rows({A}, {gamma}, {beta}, {stage.epsilon!r})  # layer norm"]


def _apply(stage: Apply, A: str, prefix: str, constants: Constants) -> list[str]:
    more = f", {stage.a!r}" if stage.function in ("leaky_relu", "elu") else ""
    call = f"{stage.function}({A}{more})"
    if stage.alpha is None:
        return [f"{A} = {call}"]
    alpha = constants.add(f"{prefix}_ALPHA", stage.alpha)
    return [f"{A} = mixed({A}, {call}, {alpha})  # Y = Z + alpha (g(Z) - Z)"]


def _call(function: str, letters: Sequence[tuple[str, str]], comment: str) -> Callable[..., list[str]]:
    """Return what writes a call with the arrays of a stage."""

    def lines(stage: Any, A: str, prefix: str, constants: Constants) -> list[str]:
        names = [constants.add(f"{prefix}_{name}", getattr(stage, letter)) for letter, name in letters]
        return [f"{A} = {function}({A}, {', '.join(names)})  # {comment}"]

    return lines


def _lookup(stage: Lookup, A: str, prefix: str, constants: Constants) -> list[str]:
    names = [constants.add(f"{prefix}_E{j}", table) for j, table in enumerate(stage.tables)]
    return [f"{A} = looked_up({A}, ({', '.join(names)},))  # codes become rows of their tables"]


_LINES: Mapping[type, Callable[[Any, str, str, Constants], list[str]]] = {
    Affine: _affine,
    Multiply: _multiply,
    NormalizeRows: _normalize,
    Apply: _apply,
    Cosines: _call(
        "cosines", (("w", "FREQUENCIES"), ("b", "PHASES"), ("gamma", "GAMMA"), ("beta", "BETA")), "cosine embedding"
    ),
    Periodic: _call("periodic", (("w", "FREQUENCIES"), ("b", "PHASES"), ("V", "V"), ("c", "C")), "periodic embedding"),
    PiecewiseLinear: _call(
        "piecewise_linear", (("edges", "EDGES"), ("a", "SLOPE"), ("c", "C"), ("P", "P")), "piecewise linear embedding"
    ),
    Lookup: _lookup,
}
