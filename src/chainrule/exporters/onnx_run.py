"""Rows as the inputs of an exported ONNX graph, and its answers by onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.answers import Answers, Rows
from chainrule.exporters.cells import date_cell, label, number_cell
from chainrule.exporters.onnx_names import NO_DATE, TEXTS, input_names
from chainrule.exporters.plan import InferencePlan, Input


def feeds(plan: InferencePlan, rows: Rows) -> dict[str, Array]:
    """Return rows as the inputs of a plan's graph.

    Parameters
    ----------
    plan : InferencePlan
        The plan that the graph was written from.
    rows : array of shape (n, d), or list of dict
        For a matrix the rows; for a table dictionaries from column to cell: numbers, texts, truth values, dates or
        date-times, None for a gap.

    Returns
    -------
    dict of str to array
        One array for each input, as `InferenceSession.run` takes it.

    Examples
    --------
    >>> from chainrule.exporters.plan import Output
    >>> output = Output("values", "identity", ((0, 1),), (), 1.0, False, None, None, None, (), 0, "y")
    >>> inputs = (Input("size", "number"), Input("color", "category"))
    >>> plan = InferencePlan(inputs, (), "float32", (), (), output, "float32")
    >>> rows = [{"size": 1.5, "color": " red"}, {"size": None, "color": None}]
    >>> {name: cells.tolist() for name, cells in feeds(plan, rows).items()}
    {'size': [[1.5], [nan]], 'color': [['red'], ['']]}
    """
    names = input_names(plan.inputs, plan.output)
    if plan.inputs and plan.inputs[0].kind == "matrix":
        return {names[0]: np.ascontiguousarray(rows, np.float64)}
    return {
        name: column_cells(column, [row[column.name] for row in rows])
        for column, name in zip(plan.inputs, names, strict=True)
    }


def column_cells(column: Input, cells: Sequence[Any]) -> Array:
    """Return the cells of one column of a table as an input of shape (n, 1): strings, int64 microseconds or float64.

    Parameters
    ----------
    column : Input
        What the column holds.
    cells : sequence
        Its cells as a table has them; None and NaN are gaps.

    Returns
    -------
    array of shape (n, 1)

    Raises
    ------
    ValueError
        For a cell that is not of the column's kind.
    """
    if column.kind in TEXTS:
        return np.array([label(cell) for cell in cells], object).reshape(-1, 1)
    if column.kind == "date":
        moments = [date_cell(column.name, cell, column.date_format, column.gaps) for cell in cells]
        whole = [NO_DATE if math.isnan(moment) else int(moment) for moment in moments]
        return np.array(whole, np.int64).reshape(-1, 1)
    form = column.written
    written = None if form is None else (form.decimal, form.thousands, form.prefix, form.suffix)
    return np.array([number_cell(column.name, cell, written, column.gaps) for cell in cells]).reshape(-1, 1)


class Session:
    """A graph loaded by onnxruntime.

    Parameters
    ----------
    content : bytes
        The model file.
    threads : int, default=1
        Threads for one run.
    """

    def __init__(self, content: bytes, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every output by its name."""
        return dict(zip(self.outputs, self._session.run(None, dict(inputs)), strict=True))


def answers(plan: InferencePlan, found: Mapping[str, Array]) -> Answers:
    """Return the outputs of a plan's graph as every format answers.

    Parameters
    ----------
    plan : InferencePlan
        The plan that the graph was written from.
    found : mapping of str to array
        Its outputs by name.

    Returns
    -------
    Answers
    """
    kind = plan.output.kind
    if kind in ("values", "quantiles"):
        numbers = found["quantiles" if kind == "quantiles" else "value"]
        return Answers(numbers.reshape(len(numbers), -1))
    if kind == "several":
        blocks = range(len(plan.output.blocks))
        numbers = np.hstack([found[f"probabilities_{j}"] for j in blocks])
        known = plan.output.classes
        return Answers(numbers, tuple(found[f"label_{j}"].astype(known[j].dtype) for j in blocks))
    labels = found["label"] if kind == "labels" else found["label"].astype(plan.output.classes[0].dtype)
    return Answers(found["probabilities"], (labels,))
