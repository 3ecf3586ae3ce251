"""What a plan takes and answers, in sentences for the heads of written files."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.display import printable
from chainrule.exporters.plan import InferencePlan, Input, Output

_CELLS = {
    "number": "a number; None or NaN is a gap",
    "category": "a text",
    "boolean": "true or false",
    "date": "a date",
    "text": "a text",
}


def described(plan: InferencePlan) -> list[str]:
    """Return lines on what rows must hold and what is predicted; they are the same whenever the plan is.

    Parameters
    ----------
    plan : InferencePlan
        The plan.

    Returns
    -------
    list of str
    """
    return [printable(line) for line in (*_inputs(plan), *_answer(plan.output), *_networks(plan))]


def _inputs(plan: InferencePlan) -> Iterator[str]:
    first = plan.inputs[0]
    if first.kind == "matrix":
        yield f"Rows: {first.width} numbers each: {_listed(first.columns)}."
        return
    yield "Rows: one dictionary each, from column to cell, or lists in this order:"
    for each in plan.inputs:
        yield f"    {each.name}: {_cell(each)}"


def _cell(given: Input) -> str:
    if given.kind == "date" and given.date_format:
        return f"a date, or a text written {given.date_format}"
    return _CELLS[given.kind]


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, ... {names[-1]}"


def _answer(output: Output) -> Iterator[str]:
    if output.kind == "labels":
        yield f"Answer: 0 or 1 for each of {output.blocks[0][1]} labels."
    elif output.kind in ("values", "quantiles"):
        levels = f", at the quantiles {', '.join(str(level) for level in output.levels)}" if output.levels else ""
        yield f"Answer: the value of {output.name}{levels}."
    else:
        for known in output.classes:
            yield f"Answer: one of the classes {_listed(tuple(str(label) for label in known))}."


def _networks(plan: InferencePlan) -> Iterator[str]:
    count = len(plan.networks)
    yield f"Computes: {'one network' if count == 1 else f'the mean of {count} networks'} in {plan.dtype}."
