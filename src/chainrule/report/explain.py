"""The derivation of your network: the chain rule read off it from the loss to the first weight, with shapes and costs.

In: a network, a loss, a number of rows; for numbers, a row of data. Out: the derivation as data, text, or Markdown with
LaTeX. The equations are read from the docstrings of the layers, where they are written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.display import HtmlDisplay
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn import losses
from chainrule.nn.layers import Activation, Context, Dense, Layer, Parallel, ParametricActivation
from chainrule.nn.losses import Loss, TargetKind
from chainrule.nn.net import Net
from chainrule.random import Stream
from chainrule.report import explain_steps as derive
from chainrule.report.costs import COSTS, operations
from chainrule.report.explain_docstrings import (
    Equation,
    piece_name,
    piece_summary,
    read_docstring,
    with_function,
    without_bias,
)
from chainrule.report.explain_row import RowNumbers, row_numbers
from chainrule.report.explain_steps import Part, Step
from chainrule.report.explain_text import to_markdown, to_text

__all__ = [
    "Equation",
    "Explanation",
    "RowNumbers",
    "Stage",
    "Step",
    "explain",
    "read_docstring",
    "to_markdown",
    "to_text",
]

_GREEK = {"alpha": "α", "beta": "β", "gamma": "γ"}
_UNKNOWN = (Equation(1, "forward", "Y = f(A)"), Equation(2, "backward", "dA = f'(dY)"))
"""Equations of a layer whose docstring has none."""


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
    symbols : mapping of str to str
        Symbol in the network of each letter of the equations: "Z" is "Z^[2]" in the second dense layer.
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
    symbols: Mapping[str, str]
    parameters: int
    forward_operations: int
    backward_operations: int
    cached_bytes: int
    branches: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Explanation(HtmlDisplay):
    """The derivation of a network. A notebook shows it as a page.

    Parameters
    ----------
    architecture : str
        Widths of the layers: "64-32-10".
    rows : int
        Rows of the batch.
    stages : tuple of Stage
        The layers in forward order, the loss last.
    steps : tuple of Step
        The derivation line by line: forward from the rows to the loss, then backward to the first weight.
    parameters, forward_operations, backward_operations, cached_bytes : int
        Totals of the stages.
    numbers : RowNumbers or None, default=None
        What every step gives for one row of data.
    """

    architecture: str
    rows: int
    stages: tuple[Stage, ...]
    steps: tuple[Step, ...]
    parameters: int
    forward_operations: int
    backward_operations: int
    cached_bytes: int
    numbers: RowNumbers | None = None

    def plain(self) -> dict[str, Any]:
        """Return the derivation as dictionaries, lists, strings and numbers.

        Returns
        -------
        data : dict
            Ready for JSON; all numbers of the row in full.
        """
        numbers = None if self.numbers is None else self.numbers.plain()
        return asdict(replace(self, numbers=None)) | {"numbers": numbers}

    def _repr_markdown_(self) -> str:
        """Return the derivation as Markdown with LaTeX, for notebooks."""
        return to_markdown(self)


def explain(
    net: Net,
    loss: Loss | str,
    rows: int = 32,
    dtype: str = "float32",
    *,
    X: Array | None = None,
    Y: Array | None = None,
    row: int | None = None,
    c: Array | None = None,
    w: Array | None = None,
    buffers: Array | None = None,
    seed: int = 0,
) -> Explanation:
    """Derive a network, forward and backward, with actual shapes and costs, and on demand the numbers of one row.

    The numbers are those of a training step on this row: its loss alone, with the dropout mask of step 1 and, for batch
    norm, with the statistics of all rows in X. They are computed in float64 and compared with central differences.

    Parameters
    ----------
    net : Net
        The network.
    loss : Loss or str
        The loss at its end.
    rows : int, default=32
        Rows of a batch.
    dtype : {"float32", "float64"}, default="float32"
        Type of the numbers; cached bytes are measured on a real forward pass in it.
    X : array of shape (n, d), default=None
        Rows as the network takes them, needed for numbers.
    Y : array of shape (n,) or (n, k), default=None
        Their targets as the loss takes them.
    row : int, default=None
        Number of the row to explain, counted from 0; None gives no numbers.
    c : array of shape (n,), default=None
        Weights of the rows.
    w : array of shape (P,), default=None
        Parameters; None draws first ones by the seed.
    buffers : array of shape (B,), default=None
        Running statistics; None takes the first ones.
    seed : int, default=0
        Fixes first weights and dropout masks.

    Returns
    -------
    derivation : Explanation
        The steps, the stages and their totals; `to_text` and `to_markdown` print it.

    Raises
    ------
    InvalidValueError
        For a row that is not among the rows.

    Examples
    --------
    >>> from chainrule import mlp
    >>> from chainrule.nn.losses import SoftmaxCrossEntropy
    >>> derivation = explain(mlp(64, [32], 10), SoftmaxCrossEntropy())
    >>> derivation.parameters, derivation.steps[0].equation
    (2410, 'Z^[1] = X W^[1] + b^[1]')
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(20, 64)), np.arange(20) % 10
    >>> found = explain(mlp(64, [32], 10), SoftmaxCrossEntropy(), X=X, Y=y, row=7)
    >>> found.numbers.gradients["dW^[1]"].shape, found.numbers.difference < 1e-6
    ((64, 32), True)
    """
    loss = losses.get(loss)
    cached = _cached_bytes(net, rows, dtype)
    parts = _parts(net, rows)
    stages = [_stage(layer, i, net.widths[i], rows, cached[i], parts[i]) for i, layer in enumerate(net.layers)]
    end = _loss_part(loss, len(stages) + 1, rows, net.outputs, parts[-1].exit if parts else "X")
    stages.append(_loss_stage(loss, end, len(stages) + 1, rows, net.outputs))
    return Explanation(
        architecture="-".join(map(str, _architecture(net))),
        rows=rows,
        stages=tuple(stages),
        steps=derive.steps_of(parts, end, weighted=c is not None),
        parameters=net.size,
        forward_operations=sum(stage.forward_operations for stage in stages),
        backward_operations=sum(stage.backward_operations for stage in stages),
        cached_bytes=sum(stage.cached_bytes for stage in stages),
        numbers=None if row is None else _numbers(net, loss, parts, end, X, Y, row, c, w, buffers, seed),
    )


def _numbers(
    net: Net,
    loss: Loss,
    parts: list[Part],
    end: Part,
    X: Array | None,
    Y: Array | None,
    row: int,
    c: Array | None,
    w: Array | None,
    buffers: Array | None,
    seed: int,
) -> RowNumbers:
    if X is None or Y is None:
        raise InvalidValueError(must_be("explain", "X and Y", "given with row", None, "The numbers are of that row."))
    if not -len(X) <= row < len(X):
        allowed = f"a whole number from 0 to {len(X) - 1}"
        raise InvalidValueError(must_be("explain", "row", allowed, row, "Rows are counted from 0."))
    first = net.init(seed)
    given = (first[0] if w is None else w, first[1] if buffers is None else buffers)
    return row_numbers(net, loss, parts, end, np.asarray(X), np.asarray(Y), row % len(X), given, c, seed)


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


def _parts(net: Net, rows: int) -> list[Part]:
    """Return the layers with their symbols, each reading what the one before gives."""
    namer = derive.Namer()
    parts: list[Part] = []
    for i, (layer, d) in enumerate(zip(net.layers, net.widths, strict=False)):
        entry = parts[-1].exit if parts else "X"
        parts.append(_part(layer, str(i + 1), d, rows, entry, namer, None))
    return parts


def _part(layer: Layer, number: str, d: int, rows: int, entry: str, namer: derive.Namer, label: str | None) -> Part:
    """Return one layer with its symbols; a branch is given its label."""
    kind = type(layer).__name__
    shape = layer.shapes(d)
    equations, shapes = _equations(layer, shape.parameters)
    actual = _actual(shapes, {"n": rows, "d": d, "k": shape.outputs, **_own_sizes(layer)})
    letters = derive.letters_of(equations, actual)
    branches: tuple[Part, ...] = ()
    columns: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    parameters = () if isinstance(layer, Parallel) else tuple(_GREEK.get(p, p) for p in shape.parameters)
    ends = ("A", "Y") if isinstance(layer, Parallel) else derive.ends_of(equations, parameters)
    equations = equations if isinstance(layer, Parallel) else derive.with_parts(equations, ends[1])
    if label is None:
        label = namer.label(kind, derive.output_letters(kind, letters, ends))
    if isinstance(layer, Parallel):
        branches = tuple(
            _part(inner, f"{number}.{j}", width, rows, f"X^[{label}.{j}]", namer, f"{label}.{j}")
            for j, (width, inner) in enumerate(layer.branches, 1)
        )
        outputs = [inner.shapes(width).outputs for width, inner in layer.branches]
        columns = tuple(zip(_ends(layer.widths), _ends(outputs), strict=True))
    names = derive.names_of(kind, label, letters, ends, entry)
    return Part(number, kind, equations, actual, parameters, names, *ends, branches, columns)


def _ends(widths: Any) -> list[tuple[int, int]]:
    """Return the first and the last column of each of consecutive blocks, counted from 1."""
    return [(end - width + 1, end) for width, end in zip(widths, accumulate(widths), strict=True)]


def _equations(
    layer: Layer, parameters: Mapping[str, Any]
) -> tuple[tuple[Equation, ...], Mapping[str, tuple[str, ...]]]:
    """Return the equations of a layer and the shapes of their letters, with its function spelled out."""
    equations, shapes = read_docstring(layer)
    if not equations:
        own = (Equation(3 + i, "backward", f"d{p} = f'(dY)") for i, p in enumerate(parameters))
        return (*_UNKNOWN[:1], *own, _UNKNOWN[1]), {"A": ("n", "d"), "Y": ("n", "k")}
    if isinstance(layer, Activation | ParametricActivation):
        equations = _function_first(equations, with_function(equations, layer.function, "g"))
    if isinstance(layer, Dense) and not layer.bias:
        equations, shapes = without_bias(equations), {k: v for k, v in shapes.items() if k != "b"}
    return equations, shapes


def _function_first(own: tuple[Equation, ...], spelled: tuple[Equation, ...]) -> tuple[Equation, ...]:
    """Return equations in the order in which they are computed: those of the function before those that use it."""
    return (*spelled[len(own) :], *own)


def _in_order(equations: tuple[Equation, ...]) -> tuple[Equation, ...]:
    """Return the equations of a docstring by number, without those that a derivation adds."""
    return tuple(sorted((e for e in equations if e.number), key=lambda e: e.number))


def _stage(layer: Layer, place: int, d: int, rows: int, cached: Mapping[str, int], part: Part) -> Stage:
    """Derive one layer of input width d, with the bytes of the arrays that it keeps."""
    shape = layer.shapes(d)
    known = type(layer).__name__ in COSTS
    forward, backward = operations(layer, rows, d, shape.outputs) if known else (0, 0)
    inner = layer.branches if isinstance(layer, Parallel) else ()
    return Stage(
        number=place + 1,
        name=piece_name(layer),
        summary=piece_summary(layer),
        inputs=d,
        outputs=shape.outputs,
        equations=_in_order(part.equations),
        shapes=part.shapes,
        symbols=part.names,
        parameters=sum(int(np.prod(each)) for each in shape.parameters.values()),
        forward_operations=forward,
        backward_operations=backward,
        cached_bytes=sum(cached.values()),
        branches=tuple(
            _stage(branch, j, width, rows, _of_branch(cached, j), part.branches[j])
            for j, (width, branch) in enumerate(inner)
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


def _loss_part(loss: Loss, number: int, rows: int, k: int, entry: str) -> Part:
    """Return the loss with its symbols: what its link gives is Ŷ, its input is the network's last symbol."""
    equations, shapes = read_docstring(loss)
    if loss.links:
        equations = _function_first(equations, with_function(equations, loss.link, "f"))
    actual = _actual(shapes, {"n": rows, "k": k})
    letters = derive.letters_of(equations, actual)
    names = {**{letter: letter for letter in letters}, "A": "Ŷ", "Z": entry, "L": "L"}
    return Part(str(number), type(loss).__name__, equations, actual, (), names, "Z", "L")


def _loss_stage(loss: Loss, part: Part, number: int, rows: int, k: int) -> Stage:
    per_entry = 6 if loss.targets is TargetKind.CLASSES else 4
    return Stage(
        number=number,
        name=piece_name(loss),
        summary=piece_summary(loss),
        inputs=k,
        outputs=1,
        equations=_in_order(part.equations),
        shapes=part.shapes,
        symbols=part.names,
        parameters=0,
        forward_operations=per_entry * rows * k,
        backward_operations=3 * rows * k,
        cached_bytes=0,
    )


def _actual(shapes: Mapping[str, tuple[str, ...]], sizes: Mapping[str, int]) -> dict[str, tuple[int | str, ...]]:
    return {
        letter: tuple(sizes.get(s, int(s) if s.isdigit() else s) for s in symbols) for letter, symbols in shapes.items()
    }
