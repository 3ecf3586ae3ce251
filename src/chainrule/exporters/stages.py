"""The layers of a network as the stages of a plan: dropout left out, batch norm folded into the affine maps around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.errors import must_be
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
)
from chainrule.nn.activations import ACTIVATIONS, activation
from chainrule.nn.layers import (
    LAYERS,
    Activation,
    BatchNorm,
    CategoryEmbedding,
    CosineEmbedding,
    Dense,
    Dropout,
    LayerNorm,
    Parallel,
    ParametricActivation,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
    Scale,
    all_layers,
)
from chainrule.nn.net import Net

_FUNCTIONS: Mapping[type, str] = {type(function): name for name, function in ACTIVATIONS.items()}
_HARMLESS = 8.0
"""Largest shift, in units of a normalized column, that an affine map may take without losing digits."""


@dataclass(frozen=True, eq=False)
class _Norm:
    """Batch norm: Y = (Z - mean) ⊙ factor + beta."""

    mean: Array
    factor: Array
    beta: Array


_Raw: TypeAlias = Stage | _Norm


def piece_faults(net: Net) -> Iterator[str]:
    """Name the layers and functions of a network that are not the package's own."""
    hint = "The exported file has no code for it."
    for layer in all_layers(net.layers):
        if type(layer) not in LAYERS.values():
            yield must_be("export", "layer", "one of chainrule's own", type(layer).__name__, hint)
        elif isinstance(layer, Activation | ParametricActivation):
            function = activation(layer.function)
            if type(function) not in _FUNCTIONS:
                yield must_be("export", "function", "one of chainrule's own", type(function).__name__, hint)


def network_stages(net: Net, w: Array, buffers: Array) -> tuple[Stage, ...]:
    """Return the stages of a network.

    Parameters
    ----------
    net : Net
        A network without faults of `piece_faults`.
    w : array of shape (P,)
        Its parameters.
    buffers : array of shape (B,)
        Its running statistics.

    Returns
    -------
    tuple of Stage
        With numbers of the type of w.
    """
    p, kept = net.parameters.views(w), net.buffers.views(buffers)
    raw = []
    for i, layer in enumerate(net.layers):
        raw += _stages(layer, _of(f"{i}.", p), _of(f"{i}.", kept), w.dtype)
    return _finished(raw, w.dtype)


def _of(prefix: str, named: Named) -> dict[str, Array]:
    """Return the arrays under a prefix by the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in named.items() if name.startswith(prefix)}


def _stages(layer: Any, p: Named, buffers: Named, dtype: Any) -> list[_Raw]:
    """Return the stages of one layer, with numbers in float64."""
    if isinstance(layer, Dropout):
        return []
    if isinstance(layer, Parallel):
        return [_side_by_side(layer, p, buffers, dtype)]
    wide = {name: np.asarray(array, np.float64) for name, array in p.items()}
    stages: list[_Raw] = _BUILD[type(layer)](layer, wide, buffers)
    return stages


def _side_by_side(layer: Parallel, p: Named, buffers: Named, dtype: Any) -> SideBySide:
    parts = []
    for j, (width, inner) in enumerate(layer.branches):
        raw = _stages(inner, _of(f"{j}_", p), _of(f"{j}_", buffers), dtype)
        parts.append((width, _finished(raw, dtype)))
    return SideBySide(tuple(parts))


def _norm(layer: BatchNorm, p: Named, buffers: Named) -> list[_Raw]:
    s = np.sqrt(np.asarray(buffers["variance"], np.float64) + layer.epsilon)
    return [_Norm(np.asarray(buffers["mean"], np.float64), p["gamma"] / s, p["beta"])]


def _dense(layer: Dense, p: Named, buffers: Named) -> list[_Raw]:
    return [Affine(p["W"], p["b"] if layer.bias else np.zeros(layer.units))]


def _apply(layer: Activation, p: Named, buffers: Named) -> list[_Raw]:
    name, a = _function(layer)
    return [] if name == "identity" else [Apply(name, a)]


def _parametric(layer: ParametricActivation, p: Named, buffers: Named) -> list[_Raw]:
    name, a = _function(layer)
    return [] if name == "identity" else [Apply(name, a, p["alpha"])]


def _function(layer: Any) -> tuple[str, float]:
    function: Any = activation(layer.function)
    name = _FUNCTIONS[type(function)]
    return name, float(function.a) if name in ("leaky_relu", "elu") else 0.0


def _lookup(layer: CategoryEmbedding, p: Named, buffers: Named) -> list[_Raw]:
    starts = layer.offsets
    return [Lookup(tuple(p["E"][start : start + size] for start, size in zip(starts, layer.sizes, strict=True)))]


_BUILD: Mapping[type, Any] = {
    Dense: _dense,
    Activation: _apply,
    ParametricActivation: _parametric,
    BatchNorm: _norm,
    CategoryEmbedding: _lookup,
    LayerNorm: lambda layer, p, buffers: [NormalizeRows(p["gamma"], p["beta"], layer.epsilon)],
    Scale: lambda layer, p, buffers: [Multiply(p["s"], np.zeros(len(p["s"])))],
    CosineEmbedding: lambda layer, p, buffers: [Cosines(p["w"], p["b"], p["gamma"], p["beta"])],
    PBLDEmbedding: lambda layer, p, buffers: [Periodic(p["w"], p["b"], p["V"], p["c"])],
    PiecewiseLinearEmbedding: lambda layer, p, buffers: [
        PiecewiseLinear(np.array(layer.edges), p["a"], p["c"], p["P"])
    ],
}


def _finished(raw: Sequence[_Raw], dtype: Any) -> tuple[Stage, ...]:
    """Return stages without batch norm, rounded to the type of the network."""
    stages = _into_next(_into_previous(raw))
    return tuple(_rounded(stage, dtype) for each in stages for stage in _multiplied(each))


def _into_previous(raw: Sequence[_Raw]) -> list[_Raw]:
    """Fold each batch norm into the affine map before it: W' = W ⊙ f, b' = (b - mean) ⊙ f + β."""
    out: list[_Raw] = []
    for stage in raw:
        last = out[-1] if out else None
        if isinstance(stage, _Norm) and isinstance(last, Affine):
            out[-1] = Affine(last.W * stage.factor, (last.b - stage.mean) * stage.factor + stage.beta)
        else:
            out.append(stage)
    return out


def _into_next(raw: Sequence[_Raw]) -> list[_Raw]:
    """Fold each batch norm into the affine map after it, unless its shift is so large that digits would be lost."""
    out: list[_Raw] = []
    for stage in raw:
        last = out[-1] if out else None
        if isinstance(stage, Affine) and isinstance(last, _Norm) and _small_shift(last):
            out[-1] = Affine(stage.W * last.factor[:, None], (last.beta - last.mean * last.factor) @ stage.W + stage.b)
        else:
            out.append(stage)
    return out


def _small_shift(norm: _Norm) -> bool:
    return bool((np.abs(norm.mean * norm.factor) <= _HARMLESS).all())


def _multiplied(stage: _Raw) -> list[Stage]:
    """Return what is left of batch norm as products; a large mean is subtracted first, which costs no digits."""
    if not isinstance(stage, _Norm):
        return [stage]
    if _small_shift(stage):
        return [Multiply(stage.factor, stage.beta - stage.mean * stage.factor)]
    return [Multiply(np.ones(len(stage.mean)), -stage.mean), Multiply(stage.factor, stage.beta)]


def _rounded(stage: Stage, dtype: Any) -> Stage:
    """Return a stage with its arrays in the type of the network; edges of bins stay float64."""
    if isinstance(stage, SideBySide):
        return stage
    return type(stage)(
        **{name: value if name == "edges" else _cast(value, dtype) for name, value in vars(stage).items()}
    )


def _cast(value: Any, dtype: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(table.astype(dtype) for table in value)
    return value.astype(dtype) if isinstance(value, np.ndarray) else value
