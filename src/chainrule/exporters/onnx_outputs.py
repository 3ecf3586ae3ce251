"""The answer of a plan as nodes of an ONNX graph: from the networks' logits to labels, probabilities and values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.exporters.onnx_activations import write_function
from chainrule.exporters.onnx_builder import GraphBuilder
from chainrule.exporters.onnx_stages import Rows
from chainrule.exporters.plan import InferencePlan, Network, Output


def write_answer(graph: GraphBuilder, plan: InferencePlan, logits: Sequence[tuple[tuple[Network, ...], Rows]]) -> None:
    """Write the graph's outputs from the logits of each group of networks."""
    answer = _Answer(graph, plan.output, plan.dtype)
    if not plan.output.mean_first:
        Z = logits[0][1].name
        _write(answer, answer.link(answer.cooled(Z, plan.dtype), plan.dtype), Z)
        return
    mean = answer.mean(logits)
    calibrated = mean
    if plan.output.temperature != 1.0:
        cooled = answer.cooled(answer.inverse(graph.cast(mean, np.float64)), "float64")
        calibrated = graph.cast(answer.link(cooled, "float64"), plan.dtype)
    _write(answer, calibrated, answer.minus(mean, 0.5))


class _Answer:
    """The link of a loss, on logits and back."""

    def __init__(self, graph: GraphBuilder, output: Output, dtype: str) -> None:
        self.graph = graph
        self.output = output
        self.dtype = dtype

    def link(self, Z: str, dtype: str) -> str:
        """Return f(Z); a softmax within each block."""
        if self.output.link != "softmax":
            return write_function(self.graph, self.output.link, Z, dtype)
        return self.graph.join((self.graph.node("Softmax", part, axis=-1) for part in self.blocks(Z)), -1)

    def blocks(self, Z: str) -> tuple[str, ...]:
        """Return the columns of each block."""
        if len(self.output.blocks) < 2:
            return (Z,)
        widths = self.graph.constant(np.array([end - start for start, end in self.output.blocks], np.int64), "widths")
        return self.graph.nodes_of("Split", len(self.output.blocks), Z, widths, axis=-1)

    def cooled(self, Z: str, dtype: str) -> str:
        """Return Z / T."""
        if self.output.temperature == 1.0:
            return Z
        return self.graph.node("Div", Z, self.graph.constant(np.array(self.output.temperature, dtype), "temperature"))

    def inverse(self, A: str) -> str:
        """Return f⁻¹(A) in float64, with A kept off the ends of its range as in `nn.activations`."""
        graph = self.graph
        limits = np.finfo(self.dtype)
        tiny, end = float(limits.tiny), 1.0 - float(limits.epsneg)
        if self.output.link in ("softmax", "exp"):
            return graph.node("Log", graph.node("Max", A, self.double(tiny)))
        if self.output.link == "sigmoid":
            kept = graph.node("Min", graph.node("Max", A, self.double(tiny)), self.double(end))
            return graph.node("Log", graph.node("Div", kept, graph.node("Sub", self.double(1.0), kept)))
        if self.output.link == "tanh":
            kept = graph.node("Min", graph.node("Max", A, self.double(-end)), self.double(end))
            ratio = graph.node(
                "Div", graph.node("Add", self.double(1.0), kept), graph.node("Sub", self.double(1.0), kept)
            )
            return graph.node("Mul", graph.node("Log", ratio), self.double(0.5))
        return A

    def double(self, value: float) -> str:
        """Return a number in float64."""
        return self.graph.constant(np.array(value, np.float64))

    def minus(self, A: str, value: float) -> str:
        """Return A minus a number, in the plan's dtype."""
        return self.graph.node("Sub", A, self.graph.constant(np.array(value, self.dtype)))

    def mean(self, logits: Sequence[tuple[tuple[Network, ...], Rows]]) -> str:
        """Return ā, the mean of the networks' predictions by weight."""
        total = ""
        for networks, rows in logits:
            A = self.link(rows.name, self.dtype)
            weights = np.array([network.weight for network in networks], self.dtype)
            part = self.graph.node("Mul", A, self.graph.constant(_for_rows(weights, rows.stacked), "weights"))
            part = self.graph.total(part, 0) if rows.stacked else part
            total = self.graph.node("Add", total, part) if total else part
        return total


def _for_rows(weights: Array, stacked: bool) -> Array:
    """Return weights as they multiply rows; networks that are equal in all things count together."""
    return weights[:, None, None] if stacked else weights.sum(keepdims=False)


def _write(answer: _Answer, A: str, above: str) -> None:
    """Write the outputs from predictions A; independent labels are 1 where `above` is above 0."""
    graph, output = answer.graph, answer.output
    if output.kind in ("values", "quantiles"):
        _write_values(graph, output, A)
    elif output.kind == "labels":
        ones = graph.node("Greater", above, graph.constant(np.array(0.0, answer.dtype)))
        graph.result(graph.cast(ones, np.int64), "label")
        graph.result(A, "probabilities")
    elif output.kind == "several":
        for j, (P, known) in enumerate(zip(answer.blocks(A), output.classes, strict=True)):
            graph.result(_label(graph, P, known), f"label_{j}")
            graph.result(P, f"probabilities_{j}")
    else:
        first = graph.node("Sub", graph.constant(np.array(1.0, answer.dtype)), A)
        P = graph.join([first, A]) if output.kind == "binary" else A
        graph.result(_label(graph, P, output.classes[0]), "label")
        graph.result(P, "probabilities")


def class_array(known: Array) -> Array:
    """Return classes as ONNX can hold them: texts, truth values, int64 or float64; else as texts."""
    if known.dtype.kind == "b":
        return known
    if known.dtype.kind in "iu":
        return known.astype(np.int64)
    if known.dtype.kind == "f":
        return known.astype(np.float64)
    return np.array([str(label) for label in known.tolist()], object)


def _label(graph: GraphBuilder, P: str, known: Array) -> str:
    """Return the class of the largest probability, the first of equal ones."""
    place = graph.node("ArgMax", P, axis=1, keepdims=0)
    return graph.node("Gather", graph.constant(class_array(known), "classes"), place, axis=0)


def _write_values(graph: GraphBuilder, output: Output, A: str) -> None:
    """Write values in the user's units, in float64."""
    value = graph.cast(A, np.float64)
    if output.mean is not None and output.scale is not None:
        value = graph.node("Mul", value, graph.constant(output.scale.astype(np.float64), "scale"))
        value = graph.node("Add", value, graph.constant(output.mean.astype(np.float64), "mean"))
    if output.limits is not None:
        low, high = (graph.constant(np.array(limit, np.float64), "limit") for limit in output.limits)
        value = graph.node("Min", graph.node("Max", value, low), high)
    columns = output.blocks[0][1]
    if output.kind == "values":
        graph.result(_one_axis_less(graph, value) if columns == 1 else value, "value")
        return
    q = len(output.levels)
    several = columns > q
    shape = np.array([0, columns // q, q] if several else [0, q], np.int64)
    value = graph.node("Reshape", value, graph.constant(shape, "shape"))
    k = graph.constant(np.array([q], np.int64), "k")
    ascending = graph.nodes_of("TopK", 2, value, k, axis=-1, largest=0, sorted=1)[0]
    graph.result(ascending, "quantiles")
    central = graph.constant(np.array(output.central, np.int64), "central")
    graph.result(graph.node("Gather", ascending, central, axis=-1), "value")


def _one_axis_less(graph: GraphBuilder, value: str) -> str:
    return graph.node("Squeeze", value, graph.constant(np.array([1], np.int64), "axes"))
