"""What the inputs and outputs of an exported ONNX graph are called; it needs no package of ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.exporters.plan import Input, Output

OPSET = 18
"""Version of the operators that is written unless another is asked for."""

LOWEST_OPSET = 17
"""The oldest version that the graph can be written in."""

NO_DATE = int(np.iinfo(np.int64).min)
"""What stands for a missing date among microseconds."""

TEXTS = ("category", "boolean", "text")
"""Kinds of inputs that are strings in ONNX."""


def input_names(inputs: Sequence[Input], output: Output) -> tuple[str, ...]:
    """Return the names of the graph's inputs: those of the columns, unless an output or another input has the name."""
    taken = set(output_names(output))
    names = []
    for column in inputs:
        name = column.name or "column"
        while name in taken:
            name = f"input_{name}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def output_names(output: Output) -> tuple[str, ...]:
    """Return the names of the graph's outputs.

    A classification has "label" and "probabilities", each with the number of the target behind it where there are several;
    a regression has "value", and "quantiles" before it where quantiles were trained.
    """
    if output.kind == "several":
        return tuple(f"{what}_{j}" for j in range(len(output.blocks)) for what in ("label", "probabilities"))
    return {"values": ("value",), "quantiles": ("quantiles", "value")}.get(output.kind, ("label", "probabilities"))
