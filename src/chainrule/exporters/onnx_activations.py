"""Activation functions as nodes of an ONNX graph, written in operators that every opset from 17 on has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.exporters.onnx_builder import GraphBuilder
from chainrule.nn.activations import GELU, SELU


class _Function:
    """Operators on numbers of one dtype; `a` is the function's parameter."""

    def __init__(self, graph: GraphBuilder, dtype: str, a: float) -> None:
        self.graph = graph
        self.dtype = dtype
        self.a = a

    def number(self, value: float) -> str:
        """Return a number as a constant."""
        return self.graph.constant(np.array(value, self.dtype))

    def do(self, operator: str, *values: str | float) -> str:
        """Return the result of an operator for values and plain numbers."""
        return self.graph.node(operator, *(v if isinstance(v, str) else self.number(v) for v in values))

    def where_positive(self, Z: str, positive: str, other: str) -> str:
        """Return one value where Z > 0, another elsewhere."""
        return self.do("Where", self.do("Greater", Z, 0.0), positive, other)

    def below_zero(self, Z: str, a: float) -> str:
        """Return a (exp(min(Z, 0)) - 1)."""
        return self.do("Mul", self.do("Sub", self.do("Exp", self.do("Min", Z, 0.0)), 1.0), a)


def write_function(graph: GraphBuilder, function: str, Z: str, dtype: str, a: float = 0.0) -> str:
    """Return g(Z)."""
    return FUNCTIONS[function](_Function(graph, dtype, a), Z)


def _sigmoid(f: _Function, Z: str) -> str:
    """Return 1 / (1 + exp(-Z)) from exp(-|Z|); onnxruntime's own Sigmoid is 0 from -13 on, where a rare class counts."""
    small = f.do("Exp", f.do("Neg", f.do("Abs", Z)))
    above = f.do("Where", f.do("GreaterOrEqual", Z, 0.0), 1.0, small)
    return f.do("Div", above, f.do("Add", small, 1.0))


def _softplus(f: _Function, Z: str) -> str:
    """Return max(Z, 0) + log(1 + exp(-|Z|)), which cannot overflow."""
    small = f.do("Exp", f.do("Neg", f.do("Abs", Z)))
    return f.do("Add", f.do("Max", Z, 0.0), f.do("Log", f.do("Add", small, 1.0)))


def _gelu(f: _Function, Z: str) -> str:
    """Return Z (1 + tanh(c (Z + 0.044715 Z³))) / 2."""
    cube = f.do("Mul", f.do("Mul", f.do("Mul", Z, 0.044715), Z), Z)
    t = f.do("Tanh", f.do("Mul", f.do("Add", Z, cube), GELU.c))
    return f.do("Mul", f.do("Mul", Z, 0.5), f.do("Add", t, 1.0))


def _selu(f: _Function, Z: str) -> str:
    return f.do("Mul", f.where_positive(Z, Z, f.below_zero(Z, SELU.a)), SELU.scale)


FUNCTIONS: dict[str, Callable[[_Function, str], str]] = {
    "identity": lambda f, Z: Z,
    "sigmoid": _sigmoid,
    "tanh": lambda f, Z: f.do("Tanh", Z),
    "relu": lambda f, Z: f.do("Relu", Z),
    "leaky_relu": lambda f, Z: f.where_positive(Z, Z, f.do("Mul", Z, f.a)),
    "elu": lambda f, Z: f.where_positive(Z, Z, f.below_zero(Z, f.a)),
    "selu": _selu,
    "gelu": _gelu,
    "silu": lambda f, Z: f.do("Mul", Z, _sigmoid(f, Z)),
    "mish": lambda f, Z: f.do("Mul", Z, f.do("Tanh", _softplus(f, Z))),
    "softplus": _softplus,
    "exp": lambda f, Z: f.do("Exp", Z),
}
"""What writes each function, by the name that `nn.activations` has for it."""
