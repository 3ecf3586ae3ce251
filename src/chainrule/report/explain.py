"""The derivation of your network: each layer's equations, forward and backward, with actual shapes and costs.

In: a network, a loss, a number of rows. Out: the derivation as data, text, or Markdown with LaTeX. The equations are read
from the docstrings of the layers, where they are written once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from chainrule.nn.activations import Function, activation
from chainrule.nn.layers import Activation, Context, Dense, Layer, Parallel, ParametricActivation
from chainrule.nn.losses import Loss, TargetKind
from chainrule.nn.net import Net
from chainrule.random import Stream
from chainrule.report.costs import operations
from chainrule.report.latex import to_latex

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


@dataclass(frozen=True)
class Stage:
    """One layer (or the loss) of the derivation.

    Parameters
    ----------
    number : int
        Its place, counted from 1; of a branch, its place in the `Parallel` layer.
    name, summary : str
        The layer with its settings, and the first paragraph of its docstring.
    inputs, outputs : int
        Widths of what goes in and comes out.
    equations : tuple of Equation
        Its equations.
    shapes : mapping of str to tuple
        Actual shapes of the symbols.
    parameters : int
        Number of parameters.
    forward_operations, backward_operations, cached_bytes : int
        Floating-point operations, and bytes kept between the passes, of one training step; those of a `Parallel` layer
        are the sums of its branches.
    branches : tuple of Stage, default=()
        The layers side by side in a `Parallel` layer.
    """

    number: int
    name: str
    summary: str
    inputs: int
    outputs: int
    equations: tuple[Equation, ...]
    shapes: Mapping[str, tuple[int | str, ...]]
    parameters: int
    forward_operations: int
    backward_operations: int
    cached_bytes: int
    branches: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """The derivation of a network.

    Parameters
    ----------
    architecture : str
        Widths of the layers: "64-32-10".
    rows : int
        Rows of the batch.
    stages : tuple of Stage
        The layers in forward order, the loss last.
    parameters, forward_operations, backward_operations, cached_bytes : int
        Totals of the stages.
    """

    architecture: str
    rows: int
    stages: tuple[Stage, ...]
    parameters: int
    forward_operations: int
    backward_operations: int
    cached_bytes: int

    def plain(self) -> dict[str, Any]:
        """Return the derivation as dictionaries, lists, strings and numbers."""
        return asdict(self)


def explain(net: Net, loss: Loss, rows: int = 32, dtype: str = "float32") -> Explanation:
    """Derive a network, forward and backward, with actual shapes and costs.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss
        The loss at its end.
    rows : int, default=32
        Rows of a batch.
    dtype : str, default="float32"
        Type of the numbers; cached bytes are measured on a real forward pass in it.

    Returns
    -------
    derivation : Explanation
        The stages and their totals; `to_text` and `to_markdown` print it.

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import SoftmaxCrossEntropy
    >>> derivation = explain(mlp(64, [32], 10), SoftmaxCrossEntropy())
    >>> derivation.parameters, derivation.stages[0].equations[0].text
    (2410, 'Z = A W + b')
    """
    cached = _cached_bytes(net, rows, dtype)
    stages = [_stage(layer, i + 1, net.widths[i], rows, cached[i]) for i, layer in enumerate(net.layers)]
    stages.append(_loss_stage(loss, len(stages) + 1, rows, net.outputs))
    return Explanation(
        architecture="-".join(map(str, _architecture(net))),
        rows=rows,
        stages=tuple(stages),
        parameters=net.size,
        forward_operations=sum(stage.forward_operations for stage in stages),
        backward_operations=sum(stage.backward_operations for stage in stages),
        cached_bytes=sum(stage.cached_bytes for stage in stages),
    )


def _architecture(net: Net) -> list[int]:
    return [
        net.inputs,
        *(k for k, layer in zip(net.widths[1:], net.layers, strict=True) if type(layer).__name__ == "Dense"),
    ]


def _cached_bytes(net: Net, rows: int, dtype: str) -> list[dict[str, int]]:
    """Return the bytes of each array that a layer keeps; an array that two layers share counts for the first."""
    w, buffers = (vector.astype(dtype) for vector in net.init(0))
    ctx = Context(np, training=True, stream=Stream.from_seed(0))
    tape = net.forward(w, buffers, np.zeros((rows, net.inputs), dtype), ctx)[1]
    seen: set[int] = set()
    sizes = []
    for saved in tape.layers:
        fresh = {}
        for letter, array in saved.items():
            fresh[letter] = 0 if id(array) in seen else array.nbytes
            seen.add(id(array))
        sizes.append(fresh)
    return sizes


def _stage(layer: Layer, number: int, d: int, rows: int, cached: Mapping[str, int]) -> Stage:
    """Derive one layer of input width d, with the bytes of the arrays that it keeps."""
    shape = layer.shapes(d)
    k = shape.outputs
    forward, backward = operations(layer, rows, d, k)
    equations, shapes = read_docstring(layer)
    if isinstance(layer, Activation | ParametricActivation):
        equations = _with_function(equations, layer.function, "g")
    if isinstance(layer, Dense) and not layer.bias:
        equations, shapes = _without_bias(equations), {k: v for k, v in shapes.items() if k != "b"}
    return Stage(
        number=number,
        name=_name(layer),
        summary=_summary(layer),
        inputs=d,
        outputs=k,
        equations=equations,
        shapes=_actual(shapes, {"n": rows, "d": d, "k": k, **_own_sizes(layer)}),
        parameters=sum(int(np.prod(each)) for each in shape.parameters.values()),
        forward_operations=forward,
        backward_operations=backward,
        cached_bytes=sum(cached.values()),
        branches=tuple(
            _stage(inner, j + 1, width, rows, _of_branch(cached, j))
            for j, (width, inner) in enumerate(layer.branches if isinstance(layer, Parallel) else ())
        ),
    )


def _of_branch(cached: Mapping[str, int], j: int) -> dict[str, int]:
    """Return what branch j keeps, under its own letters."""
    start = f"{j}_"
    return {name.removeprefix(start): size for name, size in cached.items() if name.startswith(start)}


def _own_sizes(layer: Layer) -> dict[str, int]:
    """Return the sizes that an embedding brings, under the letters of its docstring."""
    sizes = {"m": getattr(layer, "frequencies", 0), "T": getattr(layer, "bins", 0), "u": getattr(layer, "units", 0)}
    rows = sum(getattr(layer, "sizes", ()))
    return {**sizes, "m + 1": sizes["m"] + 1, "T + 1": sizes["T"] + 1, "N": rows}


def _loss_stage(loss: Loss, number: int, rows: int, k: int) -> Stage:
    equations, shapes = read_docstring(loss)
    if loss.links:
        equations = _with_function(equations, loss.link, "f")
    per_entry = 6 if loss.targets is TargetKind.CLASSES else 4
    return Stage(
        number=number,
        name=_name(loss),
        summary=_summary(loss),
        inputs=k,
        outputs=1,
        equations=equations,
        shapes=_actual(shapes, {"n": rows, "k": k}),
        parameters=0,
        forward_operations=per_entry * rows * k,
        backward_operations=3 * rows * k,
        cached_bytes=0,
    )


def _name(piece: Any) -> str:
    """Return a piece with its settings: `Dense(units=32)`; those that are None or True, and zero biases, are left out."""
    if isinstance(piece, Parallel):
        return f"Parallel({', '.join(f'{width}: {_name(layer)}' for width, layer in piece.branches)})"
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


def _summary(piece: Any) -> str:
    return (inspect.getdoc(type(piece)) or "").split("\n\n")[0].replace("\n", " ")


def _with_function(equations: tuple[Equation, ...], function: str | Function, letter: str) -> tuple[Equation, ...]:
    """Return the equations of a piece, then the definition of its function under the letter that they use."""
    inner, _ = read_docstring(activation(function))
    start = len(equations)
    named = (Equation(start + e.number, e.direction, e.text.replace("g'", f"{letter}'")) for e in inner)
    return (*equations, *named)


def _without_bias(equations: tuple[Equation, ...]) -> tuple[Equation, ...]:
    """Return the equations of a dense layer without b."""
    remaining = (e for e in equations if not e.text.startswith("db"))
    return tuple(Equation(e.number, e.direction, e.text.replace(" + b", "")) for e in remaining)


def read_docstring(piece: Layer | Loss | Any) -> tuple[tuple[Equation, ...], Mapping[str, tuple[str, ...]]]:
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


def _actual(shapes: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int]) -> dict[str, tuple[int | str, ...]]:
    return {
        letter: tuple(sizes.get(s, int(s) if s.isdigit() else s) for s in symbols) for letter, symbols in shapes.items()
    }


def to_text(derivation: Explanation) -> str:
    """Return a derivation as text, for a terminal.

    Parameters
    ----------
    derivation : Explanation
        What `explain` returned.

    Returns
    -------
    text : str
        The equations forward, then backward, then the totals.
    """
    return "\n".join(_text_lines(derivation))


def _text_lines(derivation: Explanation) -> Iterator[str]:
    yield f"{derivation.architecture}: {derivation.parameters:,} parameters, a batch of n = {derivation.rows} rows"
    for direction, stages in (("Forward", derivation.stages), ("Backward", tuple(reversed(derivation.stages)))):
        yield f"\n{direction}"
        for stage in stages:
            yield from _stage_lines(stage, direction, f"{stage.number}.", "  ")
    yield (
        f"\nTotal: {derivation.parameters:,} parameters; {derivation.forward_operations:,} floating-point operations "
        f"forward, {derivation.backward_operations:,} backward; {derivation.cached_bytes:,} bytes cached between the two."
    )


def _stage_lines(stage: Stage, direction: str, number: str, margin: str) -> Iterator[str]:
    """Yield a stage of one pass and, further in, its branches."""
    yield f"{margin}{number} {stage.name}  {stage.inputs} → {stage.outputs}"
    inner = margin + "     "
    for equation in stage.equations:
        if equation.direction == direction.lower():
            yield f"{inner}({equation.number}) {equation.text}"
    if direction == "Forward":
        shapes = "   ".join(f"{k} {_shape(v)}" for k, v in stage.shapes.items())
        yield f"{inner}shapes  {shapes}" if shapes else ""
    yield f"{inner}{_cost(stage, direction)}"
    for branch in stage.branches:
        yield from _stage_lines(branch, direction, f"{number}{branch.number}.", inner)


def _shape(sizes: tuple[int | str, ...]) -> str:
    return "(" + ", ".join(map(str, sizes)) + ")"


def _cost(stage: Stage, direction: str) -> str:
    if direction == "Backward":
        return f"{stage.backward_operations:,} operations"
    return (
        f"{stage.parameters:,} parameters, {stage.forward_operations:,} operations, {stage.cached_bytes:,} bytes cached"
    )


def to_markdown(derivation: Explanation) -> str:
    """Return a derivation as Markdown with LaTeX, for lecture notes.

    Parameters
    ----------
    derivation : Explanation
        What `explain` returned.

    Returns
    -------
    text : str
        A heading for each pass and layer, numbered equations, a table of totals.
    """
    return "\n".join(_markdown_lines(derivation)) + "\n"


def _markdown_lines(derivation: Explanation) -> Iterator[str]:
    yield f"# {derivation.architecture}\n"
    yield f"{derivation.parameters:,} parameters; one training step on $n = {derivation.rows}$ rows.\n"
    for direction, stages in (("Forward", derivation.stages), ("Backward", tuple(reversed(derivation.stages)))):
        yield f"## {direction}\n"
        for stage in stages:
            yield from _markdown_stage(stage, direction, f"{stage.number}.", "###")
    yield "## Total\n"
    yield "| parameters | operations forward | operations backward | bytes cached |\n|---:|---:|---:|---:|"
    yield (
        f"| {derivation.parameters:,} | {derivation.forward_operations:,} | {derivation.backward_operations:,} "
        f"| {derivation.cached_bytes:,} |"
    )


def _markdown_stage(stage: Stage, direction: str, number: str, heading: str) -> Iterator[str]:
    """Yield a stage of one pass and, a heading lower, its branches."""
    yield f"{heading} {number} {stage.name}: {stage.inputs} → {stage.outputs}\n"
    for equation in stage.equations:
        if equation.direction == direction.lower():
            yield f"$${to_latex(equation.text)} \\tag{{{number}{equation.number}}}$$\n"
    if direction == "Forward" and stage.shapes:
        yield ", ".join(f"${to_latex(k)}$ {_shape(v)}" for k, v in stage.shapes.items()) + "\n"
    yield f"{_cost(stage, direction)}\n"
    for branch in stage.branches:
        yield from _markdown_stage(branch, direction, f"{number}{branch.number}.", heading + "#")
