"""Why: a model file holds data only: no pickle, nothing named that is then imported, and a checksum over what counts.

In: a `Model`, or a .safetensors file. Out: the file (tensors plus one JSON text in its header), or the `Model`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.errors import FormatError, MissingError, did_you_mean
from chainrule.io.files import write_atomically
from chainrule.model import Model
from chainrule.nn import spec
from chainrule.nn.losses import LOSSES
from chainrule.nn.net import Net

FORMAT = 1
"""Version of the file format; every released one stays readable."""

_KEY = "chainrule"
_HEADER_LIMIT = 1 << 20
_FIELDS = {"format", "version", "net", "loss", "classes", "feature_names", "target_name", "sha256"}
_TENSORS = {"w", "buffers", "inputs.mean", "inputs.scale"}
_OPTIONAL = {"targets.mean", "targets.scale"}
_CLASS_KINDS = {"i": "int64", "f": "float64", "b": "bool", "U": "str"}


def save_model(model: Model, path: str | Path) -> None:
    """Write a model, atomically.

    The file is safetensors; its one metadata entry "chainrule" is JSON: format, version, net and loss as specs,
    classes, names, and the sha256 of all that and of every tensor's name, type, shape and bytes.
    """
    from safetensors.numpy import save

    import chainrule

    tensors = _tensors(model)
    header = {
        "format": FORMAT,
        "version": chainrule.__version__,
        "net": spec.encode(model.net),
        "loss": spec.encode(model.loss),
        "classes": _classes_to_plain(model.classes),
        "feature_names": list(model.feature_names),
        "target_name": model.target_name,
    }
    text = json.dumps({**header, "sha256": _digest(header, tensors)}, allow_nan=False)
    write_atomically(Path(path), save(tensors, metadata={_KEY: text}))


def load_model(path: str | Path) -> Model:
    """Read a model.

    Raises `MissingError` when there is no such file; `FormatError` when it is damaged (checksum), not a model, of a
    newer format, or holds unknown keys, layers or tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingError(f"load: model file {str(path)!r} must exist. Train one with `chainrule train`.")
    try:
        header, tensors = _read(path)
        _check(header, tensors)
        return _build(header, tensors)
    except FormatError as error:
        raise FormatError(f"{path.name}: {error}") from None


def _tensors(model: Model) -> dict[str, Array]:
    tensors = {
        "w": model.w,
        "buffers": model.buffers,
        "inputs.mean": model.inputs.mean,
        "inputs.scale": model.inputs.scale,
    }
    if model.targets is not None:
        tensors |= {"targets.mean": model.targets.mean, "targets.scale": model.targets.scale}
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """The sha256 of the header without the digest itself, and of the tensors in the order of their names."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, allow_nan=False).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and tensors, after a look at the sizes, so that no file can ask for more memory than it has bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, _HEADER_LIMIT):
        raise FormatError("the file must be a chainrule model, got something else or a part of one.")
    try:
        tensors = load(data)
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        header = json.loads(metadata[_KEY], parse_constant=_refuse_constant)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        raise FormatError("the file must be a chainrule model, got something else or a damaged one.") from None
    if not isinstance(header, dict):
        raise FormatError("the header must be a JSON object.")
    return header, tensors


def _refuse_constant(word: str) -> Any:
    raise ValueError(word)


def _check(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    version = header.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise FormatError(f"format must be at most {FORMAT}, got {version}. The file is from a newer chainrule.")
    unknown = [key for key in header if key not in _FIELDS]
    if unknown:
        raise FormatError(f"the header has an unknown key {unknown[0]!r}. {did_you_mean(unknown[0], _FIELDS)}")
    absent = (_FIELDS - set(header)) | (_TENSORS - set(tensors))
    strange = set(tensors) - _TENSORS - _OPTIONAL
    if absent or strange:
        raise FormatError(
            f"the file must hold all parts of a model, got missing {sorted(absent)}, unknown {sorted(strange)}."
        )
    rest = {key: value for key, value in header.items() if key != "sha256"}
    if header["sha256"] != _digest(rest, tensors):
        raise FormatError("the checksum does not match. The file is damaged; use a copy.")


def _build(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    net, loss = _piece(header, "net", Net), _piece(header, "loss", *LOSSES.values())
    shapes = {"w": (net.size,), "buffers": (net.buffers.size,)}
    shapes |= {f"inputs.{part}": (net.inputs,) for part in ("mean", "scale")}
    shapes |= {f"targets.{part}": (net.outputs,) for part in ("mean", "scale")}
    for name, array in tensors.items():
        if array.shape != shapes[name] or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise FormatError(
                f"tensor {name!r} must be {shapes[name]} finite numbers, got {array.dtype} {array.shape}."
            )
    targets = None
    if "targets.mean" in tensors:
        targets = Standardizer(tensors["targets.mean"], tensors["targets.scale"])
    return Model(
        net,
        loss,
        tensors["w"],
        tensors["buffers"],
        Standardizer(tensors["inputs.mean"], tensors["inputs.scale"]),
        targets,
        _classes_from_plain(header["classes"], net.outputs),
        tuple(header["feature_names"]),
        str(header["target_name"]),
    )


def _piece(header: Mapping[str, Any], key: str, *kinds: type[Any]) -> Any:
    """The network or the loss of a header."""
    piece = spec.decode(header[key], key)
    if not isinstance(piece, kinds):
        raise FormatError(f"{key} must be one of {', '.join(kind.__name__ for kind in kinds)}.")
    return piece


def _classes_to_plain(classes: Array | None) -> dict[str, Any] | None:
    if classes is None:
        return None
    kind = "U" if classes.dtype.kind in "OT" else "i" if classes.dtype.kind == "u" else classes.dtype.kind
    return {"kind": _CLASS_KINDS[kind], "values": [str(c) for c in classes] if kind == "U" else classes.tolist()}


def _classes_from_plain(plain: Any, outputs: int) -> Array | None:
    if plain is None:
        return None
    if not isinstance(plain, dict) or set(plain) != {"kind", "values"} or plain["kind"] not in _CLASS_KINDS.values():
        raise FormatError("classes must be a kind and values.")
    if len(plain["values"]) != max(outputs, 2):
        raise FormatError(f"classes must be {max(outputs, 2)} labels, got {len(plain['values'])}.")
    return np.array(plain["values"], dtype=plain["kind"])
