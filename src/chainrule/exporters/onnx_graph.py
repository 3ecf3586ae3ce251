"""A plan as a model of ONNX: one graph from raw columns to labels, probabilities or values.

In: an `InferencePlan`. Out: a `ModelProto` that any runtime of ONNX runs; onnxruntime has been tried.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from chainrule import __version__
from chainrule.errors import must_be, raise_all
from chainrule.exporters.onnx_builder import GraphBuilder
from chainrule.exporters.onnx_features import feature_faults, write_features
from chainrule.exporters.onnx_names import LOWEST_OPSET, OPSET, TEXTS, input_names, output_names
from chainrule.exporters.onnx_outputs import class_array, write_answer
from chainrule.exporters.onnx_stages import groups, write_networks
from chainrule.exporters.onnx_transforms import write_transform
from chainrule.exporters.plan import InferencePlan, Input, Output

ML_OPSET = 3
"""Version of the operators for machine learning, of which LabelEncoder is used."""

_IR = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10}
"""Version of the file format that belongs to each version of the operators; newer ones are looked up."""

_BATCH = "rows"
"""Name of the first axis of all inputs and outputs."""


def onnx_faults(plan: InferencePlan, opset: int = OPSET) -> Iterator[str]:
    """Yield a sentence for everything that keeps a plan from being written as ONNX.

    Parameters
    ----------
    plan : InferencePlan
        What to write.
    opset : int, default=18
        Version of ONNX's operators.

    Yields
    ------
    str
        One line for each column or setting.
    """
    highest = onnx.defs.onnx_opset_version()
    if isinstance(opset, bool) or not isinstance(opset, int) or not LOWEST_OPSET <= opset <= highest:
        hint = f"The installed onnx knows versions up to {highest}."
        yield must_be("export", "--opset", f"from {LOWEST_OPSET} to {highest}", opset, hint)
    yield from feature_faults(plan)


def onnx_model(plan: InferencePlan, opset: int = OPSET) -> onnx.ModelProto:
    """Return a plan as a checked model of ONNX.

    Inputs: for a table one input of shape (rows, 1) for each column, named as the column: numbers are float64, categories
    and booleans are strings, dates are int64 microseconds since 1970. A gap is NaN, an empty string (or any other spelling
    that a table has for gaps), or the lowest int64. For a matrix one input "X" of shape (rows, columns), float64.

    Outputs: "label" (rows,) and "probabilities" (rows, classes); "label_0", "probabilities_0", ... for several targets;
    "value" (rows,) or (rows, targets) for a regression, float64; for quantiles also "quantiles".

    Parameters
    ----------
    plan : InferencePlan
        What to write.
    opset : int, default=18
        Version of ONNX's operators, from 17 on.

    Returns
    -------
    onnx.ModelProto
        It has passed ONNX's own checker.

    Raises
    ------
    InvalidValueError
        For columns that ONNX's operators cannot read, and an opset that is not supported.
    """
    raise_all(onnx_faults(plan, opset))
    names = input_names(plan.inputs, plan.output)
    graph = GraphBuilder({*names, *output_names(plan.output)}, opset)
    write_plan(graph, plan, names)
    outputs = [helper.make_node("Identity", [value], [name], name=name) for name, value in graph.results.items()]
    proto = helper.make_graph(
        [*graph.nodes, *outputs],
        "chainrule",
        [_input_info(column, name) for column, name in zip(plan.inputs, names, strict=True)],
        _output_infos(plan),
        initializer=graph.constants,
        doc_string=f"{_task(plan.output)} of {plan.output.name!r}, trained by chainrule {__version__}.",
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(
        proto,
        opset_imports=opsets,
        ir_version=_IR.get(opset) or helper.find_min_ir_version_for(opsets),
        producer_name="chainrule",
        producer_version=__version__,
    )
    helper.set_model_props(model, _properties(plan, names))
    onnx.checker.check_model(model, full_check=True)
    return model


def write_plan(graph: GraphBuilder, plan: InferencePlan, names: Sequence[str]) -> None:
    """Write all nodes of a plan, from inputs of these names to `graph.results`."""
    inputs = {column.name: name for column, name in zip(plan.inputs, names, strict=True)}
    features = write_features(graph, plan, inputs)
    width = len(plan.features)
    rows = {
        i: write_transform(graph, plan.transforms[i], features, width, plan.dtype)
        for i in sorted({network.transform for network in plan.networks})
    }
    logits = [
        (group, write_networks(graph, group, rows[group[0].transform], plan.dtype)) for group in groups(plan.networks)
    ]
    write_answer(graph, plan, logits)


def input_type(column: Input) -> int:
    """Return the type of an input's cells."""
    if column.kind in TEXTS:
        return int(TensorProto.STRING)
    return int(TensorProto.INT64 if column.kind == "date" else TensorProto.DOUBLE)


_HOW = {
    "matrix": "numbers in the units of the training data",
    "number": "a number; NaN is a gap",
    "category": "a category, without spaces around it; an empty text is a gap",
    "boolean": "'true' or 'false'; an empty text is a gap",
    "date": "microseconds since 1970-01-01; the lowest int64 is a gap",
}


def _input_info(column: Input, name: str) -> onnx.ValueInfoProto:
    width = column.width if column.kind == "matrix" else 1
    return helper.make_tensor_value_info(name, input_type(column), [_BATCH, width], _HOW[column.kind])


def _output_infos(plan: InferencePlan) -> list[onnx.ValueInfoProto]:
    """Return type and shape of every output."""
    output = plan.output
    columns = output.blocks[0][1]
    number = int(helper.np_dtype_to_tensor_dtype(np.dtype(plan.dtype)))
    if output.kind in ("values", "quantiles"):
        targets = columns // max(1, len(output.levels))
        alone: list[Any] = [_BATCH] if targets == 1 else [_BATCH, targets]
        shapes = {"value": alone, "quantiles": [*alone, len(output.levels)]}
        kind = int(TensorProto.DOUBLE)
        return [helper.make_tensor_value_info(name, kind, shapes[name]) for name in output_names(output)]
    if output.kind == "labels":
        types: list[tuple[int, list[Any]]] = [(int(TensorProto.INT64), [_BATCH, columns]), (number, [_BATCH, columns])]
    else:
        types = [
            pair
            for known in output.classes
            for pair in ((_class_type(known), [_BATCH]), (number, [_BATCH, len(known)]))
        ]
    named = zip(output_names(output), types, strict=True)
    return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in named]


def _class_type(known: Any) -> int:
    array = class_array(known)
    return int(TensorProto.STRING if array.dtype.kind == "O" else helper.np_dtype_to_tensor_dtype(array.dtype))


def _task(output: Output) -> str:
    return "Regression" if output.kind in ("values", "quantiles") else "Classification"


def _properties(plan: InferencePlan, names: Sequence[str]) -> dict[str, str]:
    """Return what a program may want to know of the model, as texts."""
    output = plan.output
    found: dict[str, Any] = {
        "version": __version__,
        "task": _task(output).lower(),
        "target": output.name,
        "inputs": [
            {"input": name, "column": column.name, "kind": column.kind, "columns": list(column.columns)}
            for column, name in zip(plan.inputs, names, strict=True)
        ],
        "classes": [class_array(known).tolist() for known in output.classes],
        "quantiles": list(output.levels),
    }
    kept = {key: value for key, value in found.items() if value not in ([], None)}
    return {
        f"chainrule.{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in kept.items()
    }
