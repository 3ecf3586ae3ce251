"""A graph of ONNX under construction: nodes and constants, each written once however often it is asked for.

In: operators with the names of their inputs. Out: names of results, and at the end the parts of a `GraphProto`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from chainrule.arrays import Array


class GraphBuilder:
    """Collects the nodes and constants of one graph.

    Two requests for the same operator on the same inputs give the same result, so that what several networks compute in
    common is computed once.

    Parameters
    ----------
    reserved : iterable of str
        Names of the graph's inputs and outputs, which no inner value may have.
    opset : int
        Version of ONNX's operators.
    prefix : str, default=""
        Beginning of all inner names.
    """

    def __init__(self, reserved: Iterable[str], opset: int, prefix: str = "") -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.results: dict[str, str] = {}
        self._reserved = frozenset(reserved)
        self._prefix = prefix
        self._known: dict[Hashable, tuple[str, ...]] = {}
        self._counts: dict[str, int] = {}

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Return the name of an operator's only result."""
        return self.nodes_of(operator, 1, *inputs, **attributes)[0]

    def nodes_of(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> tuple[str, ...]:
        """Return the names of an operator's results; "ml." before the operator is the domain for machine learning."""
        key = (operator, outputs, inputs, repr(sorted(attributes.items())))
        if key not in self._known:
            domain, _, kind = operator.rpartition(".")
            names = tuple(self._fresh(kind) for _ in range(outputs))
            extra = {"domain": f"ai.onnx.{domain}"} if domain else {}
            self.nodes.append(helper.make_node(kind, inputs, names, name=names[0], **extra, **attributes))
            self._known[key] = names
        return self._known[key]

    def constant(self, value: Array, name: str = "constant") -> str:
        """Return the name of an array: numbers, truth values or texts."""
        array = np.asarray(value)
        texts = array.dtype.kind in "OUT"
        key = ("constant", str(array.dtype), array.shape, repr(array.tolist()) if texts else array.tobytes())
        if key not in self._known:
            fresh = self._fresh(name)
            if texts:
                tensor = numpy_helper.from_array(array.astype(object), fresh)
            else:
                tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), fresh)
            self.constants.append(tensor)
            self._known[key] = (fresh,)
        return self._known[key][0]

    def result(self, value: str, name: str) -> None:
        """Say which value answers one of the graph's outputs."""
        self.results[name] = value

    def cast(self, value: str, dtype: Any) -> str:
        """Return a value as numbers of another type."""
        return self.node("Cast", value, to=int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))

    def mean(self, value: str, axis: int) -> str:
        """Return the mean along an axis, which stays."""
        if self.opset < 18:  # the axes became an input then
            return self.node("ReduceMean", value, axes=[axis], keepdims=1)
        return self.node("ReduceMean", value, self.constant(np.array([axis], np.int64), "axes"), keepdims=1)

    def total(self, value: str, axis: int) -> str:
        """Return the sum along an axis, which is gone."""
        return self.node("ReduceSum", value, self.constant(np.array([axis], np.int64), "axes"), keepdims=0)

    def join(self, values: Iterable[str], axis: int = 1) -> str:
        """Return values side by side; one alone as it is."""
        given = tuple(values)
        return given[0] if len(given) == 1 else self.node("Concat", *given, axis=axis)

    def columns(self, value: str, places: Iterable[int], width: int) -> str:
        """Return columns of a matrix by their places, the matrix itself where these are all of them in order."""
        chosen = list(places)
        if chosen == list(range(width)):
            return value
        return self.node("Gather", value, self.constant(np.array(chosen, np.int64), "places"), axis=1)

    def _fresh(self, kind: str) -> str:
        while True:
            count = self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{self._prefix}{kind}_{count}"
            if name not in self._reserved:
                return name
