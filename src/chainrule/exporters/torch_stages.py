"""The stages of a network as modules of PyTorch: the calls that make them, and their state by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.row_transform import one_hot_columns
from chainrule.data.transforms import FeatureTransform
from chainrule.exporters.plan import (
    Affine,
    Apply,
    Cosines,
    Lookup,
    Multiply,
    NormalizeRows,
    Periodic,
    PiecewiseLinear,
    SideBySide,
    Stage,
    Standardize,
)

_FUNCTIONS: Mapping[str, str] = {
    "sigmoid": "nn.Sigmoid()",
    "tanh": "nn.Tanh()",
    "relu": "nn.ReLU()",
    "selu": "nn.SELU()",
    "gelu": 'nn.GELU("tanh")',
    "silu": "nn.SiLU()",
    "mish": "nn.Mish()",
    "softplus": "nn.Softplus()",
    "exp": "Exp()",
}


def sequential(stages: Sequence[Stage], place: str, state: dict[str, Array], indent: str) -> str:
    """Return the call that makes a sequence of stages.

    Parameters
    ----------
    stages : sequence of Stage
        The stages.
    place : str
        Beginning of the names of its state, such as "networks.0".
    state : dict of str to array
        Receives the numbers.
    indent : str
        Spaces before the line on which the call begins.

    Returns
    -------
    str
    """
    inner = indent + "    "
    calls = [_call(stage, f"{place}.{i}", state, inner) for i, stage in enumerate(stages)]
    if not calls:
        return "nn.Identity()"
    return "nn.Sequential(\n" + "".join(f"{inner}{call},\n" for call in calls) + f"{indent})"


def _call(stage: Stage, place: str, state: dict[str, Array], indent: str) -> str:
    if isinstance(stage, SideBySide):
        inner = indent + "    "
        parts = [
            f"({width}, {sequential(stages, f'{place}.parts.{j}', state, inner)})"
            for j, (width, stages) in enumerate(stage.parts)
        ]
        return "SideBySide(\n" + "".join(f"{inner}{part},\n" for part in parts) + f"{indent})"
    call, numbers = _CALLS[type(stage)](stage)
    state.update({f"{place}.{name}": values for name, values in numbers.items()})
    return call


_Made = tuple[str, dict[str, Array]]


def _affine(stage: Affine) -> _Made:
    d, k = stage.W.shape
    return f"nn.Linear({d}, {k})", {"weight": stage.W.T, "bias": stage.b}


def _multiply(stage: Multiply) -> _Made:
    return f"Multiply({len(stage.s)})", {"s": stage.s, "t": stage.t}


def _normalize(stage: NormalizeRows) -> _Made:
    return f"nn.LayerNorm({len(stage.gamma)}, {stage.epsilon!r})", {"weight": stage.gamma, "bias": stage.beta}


def _apply(stage: Apply) -> _Made:
    own = {"leaky_relu": f"nn.LeakyReLU({stage.a!r})", "elu": f"nn.ELU({stage.a!r})"}
    call = own.get(stage.function) or _FUNCTIONS[stage.function]
    return (call, {}) if stage.alpha is None else (f"Mixed({call}, {len(stage.alpha)})", {"alpha": stage.alpha})


def _cosines(stage: Cosines) -> _Made:
    d, m = stage.w.shape
    return f"Cosines({d}, {m})", {"w": stage.w, "b": stage.b, "gamma": stage.gamma, "beta": stage.beta}


def _periodic(stage: Periodic) -> _Made:
    d, m, u = stage.V.shape
    return f"Periodic({d}, {m}, {u})", {"w": stage.w, "b": stage.b, "V": stage.V, "c": stage.c}


def _piecewise(stage: PiecewiseLinear) -> _Made:
    d, bins, u = stage.P.shape
    numbers = {"edges": np.asarray(stage.edges, np.float64), "a": stage.a, "c": stage.c, "P": stage.P}
    return f"PiecewiseLinear({d}, {bins}, {u})", numbers


def _lookup(stage: Lookup) -> _Made:
    sizes = tuple(len(table) for table in stage.tables)
    numbers = {f"tables.{j}.weight": table for j, table in enumerate(stage.tables)}
    return f"Lookup({sizes!r}, {stage.tables[0].shape[1]})", numbers


_CALLS: Mapping[type, Callable[[Any], _Made]] = {
    Affine: _affine,
    Multiply: _multiply,
    NormalizeRows: _normalize,
    Apply: _apply,
    Cosines: _cosines,
    Periodic: _periodic,
    PiecewiseLinear: _piecewise,
    Lookup: _lookup,
}


def transform_call(transform: Standardize | FeatureTransform, place: str, dtype: str, state: dict[str, Array]) -> str:
    """Return the call that makes a transform of rows, and write its numbers into the state."""
    if isinstance(transform, Standardize):
        state[f"{place}.mean"] = np.asarray(transform.mean, np.float64)
        state[f"{place}.scale"] = np.asarray(transform.scale, np.float64)
        return f"Standardize({len(transform.mean)}, torch.{dtype})"
    state[f"{place}.nodes"] = np.asarray(transform.nodes, np.float64)
    hot = tuple(
        (j, code, codes[1] if len(codes) == 2 else -1)
        for j, codes in transform.one_hot
        for code in codes[: one_hot_columns(codes)]
    )
    parts = (transform.method, transform.numbers, hot, transform.gaps, transform.codes, transform.nodes.shape[2])
    return f"FeatureTransform({', '.join(repr(part) for part in parts)}, torch.{dtype})"
