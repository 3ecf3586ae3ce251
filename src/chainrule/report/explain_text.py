"""A derivation as text for a terminal, and as Markdown with LaTeX for lecture notes.

In: a derivation. Out: its steps under the layers they belong to, with costs and, where there are some, numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from chainrule.arrays import Array
from chainrule.report.explain_steps import Step, path_of
from chainrule.report.latex import to_latex

if TYPE_CHECKING:
    from chainrule.report.explain import Explanation, Stage

_FEW = 6
"""Entries up to which an array is printed in full."""


def to_text(derivation: Explanation) -> str:
    """Return a derivation as text, for a terminal.

    Parameters
    ----------
    derivation : Explanation
        What `explain` returned.

    Returns
    -------
    text : str
        The steps forward, then backward from the loss to the first weight, then the totals.
    """
    return "\n".join(_text_lines(derivation))


def _text_lines(derivation: Explanation) -> Iterator[str]:
    yield f"{derivation.architecture}: {derivation.parameters:,} parameters, a batch of n = {derivation.rows} rows"
    if derivation.numbers is not None:
        yield _about_row(derivation)
    for direction, title in TITLES.items():
        yield f"\n{title}"
        for step, stage, depth in _walk(derivation, direction):
            margin = "  " + "     " * depth
            if stage is not None:
                yield from (f"{margin}{line}" for line in _stage_lines(step.stage, stage, direction))
            yield from (f"{margin}   {line}" for line in _step_lines(derivation, step))
    yield f"\nWritten out:  {_path(derivation)}"
    yield (
        f"Total: {derivation.parameters:,} parameters; {derivation.forward_operations:,} floating-point operations "
        f"forward, {derivation.backward_operations:,} backward; {derivation.cached_bytes:,} bytes cached between the two."
    )
    if derivation.numbers is not None:
        yield _checked(derivation)


TITLES = {"forward": "Forward", "backward": "Backward, from the loss to the first weight"}
"""The two passes and their headings."""


def _walk(derivation: Explanation, direction: str) -> Iterator[tuple[Step, Stage | None, int]]:
    """Yield the steps of a pass with their depth; the first step of a layer with the layer."""
    stages = dict(_numbered(derivation.stages, ""))
    for step in derivation.steps:
        if step.direction == direction:
            yield step, stages.pop(step.stage, None), step.stage.count(".")


def _numbered(stages: Iterable[Stage], prefix: str) -> Iterator[tuple[str, Stage]]:
    """Yield every stage by its number, a `Parallel` layer followed by its branches."""
    for stage in stages:
        number = f"{prefix}{stage.number}"
        yield number, stage
        yield from _numbered(stage.branches, f"{number}.")


def _stage_lines(number: str, stage: Stage, direction: str) -> Iterator[str]:
    """Yield the head of a layer: its settings, its costs and, forward, its shapes."""
    yield f"{number}. {stage.name}  {stage.inputs} → {stage.outputs}   {_cost(stage, direction)}"
    if direction == "forward" and stage.shapes:
        yield f"     shapes  {'   '.join(f'{k} {_shape(v)}' for k, v in _symbol_shapes(stage))}"


def _step_lines(derivation: Explanation, step: Step) -> Iterator[str]:
    """Yield a step: the chain rule with what is already known, how it is computed, its numbers."""
    number = f"({step.number})"
    if step.chain:
        yield f"{number:>5} {step.chain}{_known(derivation, step)}"
        number = ""
    where = f",  {',  '.join(step.where)}" if step.where else ""
    yield f"{number:>5} {step.equation}{where}{'   ' + _shape(step.shape) if step.chain and step.shape else ''}"
    value = _value(derivation, step)
    if value is not None:
        yield f"{'':5}   = {short(value)}"


def _known(derivation: Explanation, step: Step) -> str:
    """Return which factors an earlier step computed, as in "we have dZ^[2] from (9)"."""
    symbols = {each.number: each.symbol for each in derivation.steps}
    known = [f"{symbols[number]} from ({number})" for number in step.known]
    return f"     we have {' and '.join(known)}" if known else ""


def _value(derivation: Explanation, step: Step) -> Array | None:
    if derivation.numbers is None:
        return None
    known: Mapping[str, Array] = {**derivation.numbers.values, **derivation.numbers.gradients}
    return known.get(step.symbol)


def short(value: Array) -> str:
    """Return an array in one line: in full where it is small, otherwise its first entries, its shape and its norm.

    >>> short(np.array([[0.5, -1.0]])), short(np.arange(20.0).reshape(4, 5))
    ('[0.5, -1]', '[0, 1, 2, 3, ...]  shape (4, 5), norm 49.7, largest 19')
    """
    flat = np.asarray(value, np.float64).ravel()
    if flat.size <= _FEW:
        return f"[{', '.join(f'{v + 0.0:.4g}' for v in flat)}]"
    first = ", ".join(f"{v + 0.0:.4g}" for v in flat[:4])
    largest = float(np.abs(flat).max())
    return f"[{first}, ...]  shape {np.shape(value)}, norm {np.linalg.norm(flat):.4g}, largest {largest:.4g}"


def _about_row(derivation: Explanation) -> str:
    numbers = derivation.numbers
    assert numbers is not None
    statistics = f"; batch norm has the statistics of {numbers.statistics} rows" if numbers.statistics else ""
    return f"Numbers: row {numbers.row} (counted from 0), J is its loss alone, in float64{statistics}"


def _checked(derivation: Explanation) -> str:
    numbers = derivation.numbers
    assert numbers is not None
    return (
        f"Row {numbers.row}: loss {numbers.loss:.6g}, prediction {short(numbers.prediction)}. Largest relative "
        f"difference from central differences: {numbers.difference:.1e} ({numbers.compared:,} entries compared)."
    )


def _path(derivation: Explanation) -> str:
    """Return the product of all factors down to the first weight, or the first parameter where there is none."""
    backward = [step for step in derivation.steps if step.direction == "backward"]
    weights = [step.symbol for step in backward if step.symbol.startswith("dW^[")]
    return path_of(derivation.steps, weights[-1] if weights else backward[-1].symbol)


def _symbol_shapes(stage: Stage) -> Iterator[tuple[str, tuple[int | str, ...]]]:
    for letter, sizes in stage.shapes.items():
        base = letter.rstrip("²")
        yield stage.symbols.get(base, base) + letter[len(base) :], sizes


def _shape(sizes: Iterable[int | str]) -> str:
    return "(" + ", ".join(map(str, sizes)) + ")"


def _cost(stage: Stage, direction: str) -> str:
    if direction == "backward":
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
        A heading for each pass and layer, numbered steps, a table of totals.
    """
    return "\n".join(_markdown_lines(derivation)) + "\n"


def _markdown_lines(derivation: Explanation) -> Iterator[str]:
    yield f"# {derivation.architecture}\n"
    yield f"{derivation.parameters:,} parameters; one training step on $n = {derivation.rows}$ rows.\n"
    if derivation.numbers is not None:
        yield f"{_about_row(derivation)}.\n"
    for direction, title in TITLES.items():
        yield f"## {title}\n"
        for step, stage, depth in _walk(derivation, direction):
            if stage is not None:
                yield f"###{'#' * depth} {step.stage}. {stage.name}: {stage.inputs} → {stage.outputs}\n"
                yield f"{_cost(stage, direction)}\n"
            if stage is not None and direction == "forward" and stage.shapes:
                yield ", ".join(f"${to_latex(k)}$ {_shape(v)}" for k, v in _symbol_shapes(stage)) + "\n"
            yield from _markdown_step(derivation, step)
    yield f"Written out:\n\n$${_chain_latex(_path(derivation))}$$\n"
    yield "## Total\n"
    yield "| parameters | operations forward | operations backward | bytes cached |\n|---:|---:|---:|---:|"
    yield (
        f"| {derivation.parameters:,} | {derivation.forward_operations:,} | {derivation.backward_operations:,} "
        f"| {derivation.cached_bytes:,} |"
    )
    if derivation.numbers is not None:
        yield f"\n{_checked(derivation)}"


def _markdown_step(derivation: Explanation, step: Step) -> Iterator[str]:
    if step.chain:
        known = _known(derivation, step).strip()
        symbols = re.sub(r"(\S+) from \((\d+)\)", lambda m: f"${to_latex(m[1])}$ from ({m[2]})", known)
        yield f"$${_chain_latex(step.chain)}$$\n"
        yield from [f"{symbols}\n"] if symbols else []
    where = "".join(rf" \qquad {to_latex(text)}" for text in step.where)
    yield f"$${to_latex(step.equation)}{where} \\tag{{{step.number}}}$$\n"
    value = _value(derivation, step)
    if value is not None:
        yield f"`= {short(value)}`\n"


def _chain_latex(chain: str) -> str:
    """Return a chain rule in LaTeX: every ∂a/∂b a fraction."""

    def fraction(match: re.Match[str]) -> str:
        return rf"\frac{{\partial {to_latex(match[1])}}}{{\partial {to_latex(match[2])}}}"

    return re.sub(r"∂(\S+?)/∂(\S+)", fraction, chain).replace(" · ", r" \cdot ")
