"""A network in a model file: the JSON and the tensors of a `Model`.

In: a `Model`, or the parts of a file. Out: the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.data.row_sketch import MOST_HASHES, RowSketch
from chainrule.errors import FormatError
from chainrule.io.labels import classes_to_plain, target_classes
from chainrule.model import Model
from chainrule.nn import spec
from chainrule.nn.losses import LOSSES, Loss
from chainrule.nn.net import Net

FIELDS = frozenset({"net", "loss", "classes", "feature_names", "target_name"})
"""Keys that every network has."""

EXTRA = frozenset({"temperature", "networks"})
"""Keys that only some have."""

_TENSORS = {"w", "buffers", "inputs.mean", "inputs.scale"}
TARGET_TENSORS = frozenset({"targets.mean", "targets.scale"})
ROWS = "rows"
_MOST_NETWORKS = 10_000
_MOST_PIECES = 20_000
_DEEPEST = 50


def to_parts(model: Model) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the keys of the header and the tensors of a model."""
    header = {
        "net": spec.encode(model.net),
        "loss": spec.encode(model.loss),
        "classes": classes_to_plain(model.classes),
        "feature_names": list(model.feature_names),
        "target_name": model.target_name,
        **({} if model.temperature == 1.0 else {"temperature": float(model.temperature)}),
        **({} if not model.others else {"networks": 1 + len(model.others)}),
    }
    tensors = {
        "w": model.w,
        "buffers": model.buffers,
        "inputs.mean": model.inputs.mean,
        "inputs.scale": model.inputs.scale,
        **target_tensors(model.targets),
        **row_tensors(model.trained_on),
    }
    for i, (w, buffers) in enumerate(model.others, start=1):
        tensors |= {f"w.{i}": w, f"buffers.{i}": buffers}
    return header, tensors


def target_tensors(targets: Standardizer | None) -> dict[str, Array]:
    """Return the tensors of the scaling of targets, where there is one."""
    return {} if targets is None else {"targets.mean": targets.mean, "targets.scale": targets.scale}


def row_tensors(rows: RowSketch | None) -> dict[str, Array]:
    """Return the tensor of the hashes of training rows, where there are some."""
    return {} if rows is None else {ROWS: rows.hashes}


def optional_tensors(tensors: Mapping[str, Array]) -> set[str]:
    """Return the names of the tensors that only some models have and this one must, given those that are there."""
    scaled = TARGET_TENSORS if set(tensors) & TARGET_TENSORS else frozenset()
    return {*scaled, *({ROWS} & set(tensors))}


def tensor_names(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> set[str]:
    """Return the names of the tensors that the file of this header must hold."""
    further = {f"{part}.{i}" for i in range(1, _networks(header)) for part in ("w", "buffers")}
    return _TENSORS | optional_tensors(tensors) | further


def from_parts(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    """Return the model of a header and tensors, everything checked."""
    net = piece(header, "net", Net)
    loss = checked_loss(header, net.outputs)
    _check_tensors(net, tensors, _networks(header))
    classes = target_classes(header["classes"], loss, net.outputs)
    check_classes_fit(classes, loss)
    return Model(
        net,
        loss,
        tensors["w"],
        tensors["buffers"],
        Standardizer(tensors["inputs.mean"], tensors["inputs.scale"]),
        target_scaling(tensors, net.outputs),
        classes,
        names(header, net.inputs),
        target_name(header),
        temperature(header),
        tuple((tensors[f"w.{i}"], tensors[f"buffers.{i}"]) for i in range(1, _networks(header))),
        row_sketch(tensors),
    )


def piece(header: Mapping[str, Any], key: str, *kinds: type[Any], where: str = "") -> Any:
    """Decode the network or the loss of a header."""
    _check_extent(where + key, header[key])
    decoded = spec.decode(header[key], where + key)
    if not isinstance(decoded, kinds):
        raise FormatError(f"{where}{key} must be one of {', '.join(kind.__name__ for kind in kinds)}.")
    return decoded


def _check_extent(where: str, plain: Any) -> None:
    """Refuse a description that is too large to be one of a network, before anything is made of it."""
    pieces = 0
    level = [plain]
    for _ in range(_DEEPEST):
        pieces += sum(isinstance(part, dict) for part in level)
        if pieces > _MOST_PIECES:
            break
        parts = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        level = [inner for part in parts for inner in part]
        if not level:
            return
    raise FormatError(f"{where} must have at most {_MOST_PIECES:,} parts, nested at most {_DEEPEST} deep.")


def checked_loss(header: Mapping[str, Any], outputs: int) -> Loss:
    """Decode the loss of a header, which must fit the number of outputs."""
    loss: Loss = piece(header, "loss", *LOSSES.values())
    for requirement in loss.output_faults(outputs):
        raise FormatError(f"net must be {requirement}, got {outputs} outputs.")
    if outputs % loss.outputs_per_target:
        raise FormatError(f"net must have {loss.outputs_per_target} outputs for each target, got {outputs}.")
    return loss


def check_classes_fit(classes: Any, loss: Loss) -> None:
    """Refuse classes with a loss of values, and the other way round."""
    if (classes is not None) != loss.targets.are_classes:
        raise FormatError(
            f"classes must be {'given' if loss.targets.are_classes else 'null'} with {type(loss).__name__}."
        )


def names(header: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Return the names of the columns."""
    given = header["feature_names"]
    if not isinstance(given, list) or len(given) != count or not all(isinstance(name, str) for name in given):
        raise FormatError(f"feature_names must be {count} texts.")
    return tuple(given)


def target_name(header: Mapping[str, Any]) -> str:
    """Return the name of the target."""
    name = header["target_name"]
    if not isinstance(name, str):
        raise FormatError(f"target_name must be text, got {name!r}.")
    return name


def temperature(header: Mapping[str, Any]) -> float:
    """Return the temperature, 1 where there is none."""
    value = header.get("temperature", 1.0)
    if type(value) is not float or not value > 0:
        raise FormatError(f"temperature must be a number above 0, got {value!r}.")
    return value


def target_scaling(tensors: Mapping[str, Array], outputs: int) -> Standardizer | None:
    """Return the scaling of the targets, where there is one."""
    if "targets.mean" not in tensors:
        return None
    for part in ("mean", "scale"):
        check_tensor(tensors, f"targets.{part}", (outputs,), ("float64",))
    return Standardizer(tensors["targets.mean"], tensors["targets.scale"])


def row_sketch(tensors: Mapping[str, Array]) -> RowSketch | None:
    """Return the hashes of training rows, where there are some."""
    if ROWS not in tensors:
        return None
    hashes = tensors[ROWS]
    if hashes.dtype != np.uint64 or hashes.ndim != 1 or not 0 < len(hashes) <= MOST_HASHES:
        raise FormatError(
            f"tensor {ROWS!r} must be 1 to {MOST_HASHES} uint64 numbers, got {hashes.dtype} {hashes.shape}."
        )
    if not (hashes[1:] > hashes[:-1]).all():
        raise FormatError(f"tensor {ROWS!r} must ascend.")
    return RowSketch(hashes)


def check_tensor(
    tensors: Mapping[str, Array], name: str, shape: tuple[int, ...], dtypes: tuple[str, ...] = ("float32", "float64")
) -> None:
    """Check the shape, type and values of a tensor, and that a scale is above 0."""
    array = tensors[name]
    if array.shape != shape or array.dtype.name not in dtypes or not np.isfinite(array).all():
        raise FormatError(
            f"tensor {name!r} must be {shape} finite {' or '.join(dtypes)} numbers, got {array.dtype} {array.shape}."
        )
    if name.endswith(".scale") and not (array > 0).all():
        raise FormatError(f"tensor {name!r} must be above 0, got {array.min()}.")


def check_same_type(tensors: Mapping[str, Array], names: tuple[str, ...], like: str) -> None:
    """Check that all weights and statistics have one type."""
    for name in names:
        if tensors[name].dtype != tensors[like].dtype:
            raise FormatError(f"tensor {name!r} must be {tensors[like].dtype} as {like} is, got {tensors[name].dtype}.")


def _networks(header: Mapping[str, Any]) -> int:
    """Return the number of networks in the file."""
    count = header.get("networks", 1)
    if type(count) is not int or not 1 <= count <= _MOST_NETWORKS:
        raise FormatError(f"networks must be a whole number from 1 to {_MOST_NETWORKS}, got {count!r}.")
    return count


def _check_tensors(net: Net, tensors: Mapping[str, Array], networks: int) -> None:
    """Check all tensors but those of the targets."""
    shapes = {"w": (net.size,), "buffers": (net.buffers.size,)}
    for i in range(1, networks):
        shapes |= {f"w.{i}": (net.size,), f"buffers.{i}": (net.buffers.size,)}
    for name, shape in shapes.items():
        check_tensor(tensors, name, shape)
    for part in ("mean", "scale"):
        check_tensor(tensors, f"inputs.{part}", (net.inputs,), ("float64",))
    check_same_type(tensors, tuple(shapes), "w")
