"""Read and write model files, which hold data only: no pickle, nothing named that is then imported, and a checksum.

In: a fitted estimator or a `Model`, or a .safetensors file. Out: the file (tensors plus one JSON text in its header), or the
`Model`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data import Standardizer
from chainrule.errors import FormatError, InvalidValueError, MissingError, did_you_mean, must_be
from chainrule.io.files import write_atomically
from chainrule.model import Model
from chainrule.nn import spec
from chainrule.nn.losses import LOSSES, Loss, MultiSoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.prediction import Classes

FORMAT = 1
"""Version of the file format; every released one stays readable."""

_KEY = "chainrule"
_HEADER_LIMIT = 100_000_000
"""Bytes that safetensors itself allows."""

_FIELDS = {"format", "version", "net", "loss", "classes", "feature_names", "target_name", "sha256"}
_EXTRA = {"temperature", "networks"}
"""Keys that only some models have."""
_TENSORS = {"w", "buffers", "inputs.mean", "inputs.scale"}
_OPTIONAL = {"targets.mean", "targets.scale"}
_MOST_NETWORKS = 10_000
_CLASS_KINDS = {"i": "int64", "f": "float64", "b": "bool", "U": "str"}
_PLAIN: Mapping[str, type[Any]] = {"int64": int, "float64": float, "bool": bool, "str": str}
"""What a label of each kind is in JSON."""


def save_model(model: Any, path: str | Path) -> None:
    """Write a trained model to a file, atomically.

    The file is safetensors; its one metadata entry "chainrule" is JSON: format, version, net and loss as specs, classes (a
    list of them for several targets), names, and the sha256 of all that and of every tensor's name, type, shape and bytes.
    A temperature other than 1 and a number of networks above 1 are in it too; the weights of the second network are the
    tensors "w.1" and "buffers.1", and so on.

    Parameters
    ----------
    model : NetClassifier, NetRegressor or Model
        A fitted estimator, or its ``model_``. A scikit-learn ``Pipeline`` is accepted if the network is its only step that
        does anything; other steps cannot be written without pickle.
    path : str or Path
        The file, usually with the ending .safetensors. A file of this name is replaced.

    Raises
    ------
    InvalidValueError
        For an estimator that is not fitted, a pipeline with other steps, anything else that is no model, and class labels
        other than text, booleans and numbers.
    MissingError
        For a folder that does not exist.

    Examples
    --------
    >>> import tempfile
    >>> from chainrule import NetClassifier, load_model, save_model
    >>> network = NetClassifier((4,), max_iter=2, random_state=0).fit([[0.0], [1.0]] * 20, ["no", "yes"] * 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(network, folder + "/model.safetensors")
    ...     model = load_model(folder + "/model.safetensors")
    >>> model.predict_proba([[0.5], [1.0]]).shape
    (2, 2)
    """
    from safetensors.numpy import save

    import chainrule

    model = _model_of(model)
    tensors = _tensors(model)
    header = {
        "format": FORMAT,
        "version": chainrule.__version__,
        "net": spec.encode(model.net),
        "loss": spec.encode(model.loss),
        "classes": _classes_to_plain(model.classes),
        "feature_names": list(model.feature_names),
        "target_name": model.target_name,
        **({} if model.temperature == 1.0 else {"temperature": float(model.temperature)}),
        **({} if not model.others else {"networks": 1 + len(model.others)}),
    }
    text = json.dumps({**header, "sha256": _digest(header, tensors)}, allow_nan=False)
    write_atomically(Path(path), save(tensors, metadata={_KEY: text}))


def load_model(path: str | Path) -> Model:
    """Read a model from a file; no code in the file is run.

    Parameters
    ----------
    path : str or Path
        A file that `save_model` wrote.

    Returns
    -------
    Model
        What predicts as the saved one does, to the bit, from frames, lists and arrays.

    Raises
    ------
    MissingError
        For a path without a file.
    FormatError
        For a file that is damaged (checksum), not a model, of a newer format, or with unknown keys, layers or tensors.
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
    except RecursionError:
        raise FormatError(f"{path.name}: the header must not be nested so deeply.") from None


def _model_of(given: Any) -> Model:
    """Return the model of a fitted estimator, or of a pipeline in which nothing else does anything."""
    if isinstance(given, Model):
        return given
    name = type(given).__name__
    if hasattr(given, "steps"):
        others = [type(step).__name__ for _, step in given.steps[:-1] if step not in (None, "passthrough")]
        if others:
            hint = "Save its last step alone and apply the others before, or pickle the pipeline."
            raise InvalidValueError(must_be("save_model", "pipeline", "the network alone", others, hint))
        return _model_of(given.steps[-1][1])
    fitted = getattr(given, "model_", None)
    if isinstance(fitted, Model):
        return fitted
    hint = "Call fit first." if hasattr(given, "fit") and name.startswith("Net") else ""
    allowed = "a fitted NetClassifier or NetRegressor, or a Model"
    raise InvalidValueError(must_be("save_model", "model", allowed, given, hint))


def _tensors(model: Model) -> dict[str, Array]:
    tensors = {
        "w": model.w,
        "buffers": model.buffers,
        "inputs.mean": model.inputs.mean,
        "inputs.scale": model.inputs.scale,
    }
    if model.targets is not None:
        tensors |= {"targets.mean": model.targets.mean, "targets.scale": model.targets.scale}
    for i, (w, buffers) in enumerate(model.others, start=1):
        tensors |= {f"w.{i}": w, f"buffers.{i}": buffers}
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _digest(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """Compute the sha256 of the header without the digest itself, and of the tensors in the order of their names."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, allow_nan=False).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read header and tensors; sizes are checked first, so that no file can take more memory than it has bytes."""
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
    if type(version) is int and version > FORMAT:
        raise FormatError(f"format must be at most {FORMAT}, got {version}. The file is from a newer chainrule.")
    known = _FIELDS | _EXTRA
    unknown = [key for key in header if key not in known]
    if unknown:
        raise FormatError(f"the header has an unknown key {unknown[0]!r}. {did_you_mean(unknown[0], known)}")
    scaled = _OPTIONAL if set(tensors) & _OPTIONAL else set()
    further = {f"{part}.{i}" for i in range(1, _networks(header)) for part in ("w", "buffers")}
    absent = (_FIELDS - set(header)) | ((_TENSORS | scaled | further) - set(tensors))
    strange = set(tensors) - _TENSORS - _OPTIONAL - further
    if absent or strange:
        raise FormatError(
            f"the file must hold all parts of a model, got missing {sorted(absent)}, unknown {sorted(strange)}."
        )
    rest = {key: value for key, value in header.items() if key != "sha256"}
    if header["sha256"] != _digest(rest, tensors):
        raise FormatError("the checksum does not match. The file is damaged; use a copy.")
    if type(version) is not int or version < 1:
        raise FormatError(f"format must be a whole number from 1 to {FORMAT}, got {version!r}.")


def _networks(header: Mapping[str, Any]) -> int:
    """Return the number of networks in the file."""
    count = header.get("networks", 1)
    if type(count) is not int or not 1 <= count <= _MOST_NETWORKS:
        raise FormatError(f"networks must be a whole number from 1 to {_MOST_NETWORKS}, got {count!r}.")
    return count


def _temperature(header: Mapping[str, Any]) -> float:
    value = header.get("temperature", 1.0)
    if type(value) is not float or not value > 0:
        raise FormatError(f"temperature must be a number above 0, got {value!r}.")
    return value


def _build(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    net = _piece(header, "net", Net)
    loss = _piece(header, "loss", *LOSSES.values())
    _check_tensors(net, tensors, _networks(header))
    classes = _target_classes(header["classes"], loss, net.outputs)
    names = header["feature_names"]
    if (classes is not None) != loss.targets.are_classes:
        raise FormatError(
            f"classes must be {'given' if loss.targets.are_classes else 'null'} with {type(loss).__name__}."
        )
    if not isinstance(names, list) or len(names) != net.inputs or not all(isinstance(name, str) for name in names):
        raise FormatError(f"feature_names must be {net.inputs} texts.")
    if not isinstance(header["target_name"], str):
        raise FormatError(f"target_name must be text, got {header['target_name']!r}.")
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
        classes,
        tuple(names),
        header["target_name"],
        _temperature(header),
        tuple((tensors[f"w.{i}"], tensors[f"buffers.{i}"]) for i in range(1, _networks(header))),
    )


def _check_tensors(net: Net, tensors: Mapping[str, Array], networks: int) -> None:
    """Check shapes, types and values of the numbers, scales above 0, and one type for all weights and statistics."""
    shapes = {"w": (net.size,), "buffers": (net.buffers.size,)}
    for i in range(1, networks):
        shapes |= {f"w.{i}": (net.size,), f"buffers.{i}": (net.buffers.size,)}
    trained = tuple(shapes)
    shapes |= {f"inputs.{part}": (net.inputs,) for part in ("mean", "scale")}
    shapes |= {f"targets.{part}": (net.outputs,) for part in ("mean", "scale")}
    for name in (name for name in shapes if name in tensors):
        array = tensors[name]
        allowed = ("float32", "float64") if name in trained else ("float64",)
        if array.shape != shapes[name] or array.dtype.name not in allowed or not np.isfinite(array).all():
            raise FormatError(
                f"tensor {name!r} must be {shapes[name]} finite {' or '.join(allowed)} numbers, "
                f"got {array.dtype} {array.shape}."
            )
        if name.endswith(".scale") and not (array > 0).all():
            raise FormatError(f"tensor {name!r} must be above 0, got {array.min()}.")
    for name in trained:
        if tensors[name].dtype != tensors["w"].dtype:
            raise FormatError(f"tensor {name!r} must be {tensors['w'].dtype} as w is, got {tensors[name].dtype}.")


def _piece(header: Mapping[str, Any], key: str, *kinds: type[Any]) -> Any:
    """Decode the network or the loss of a header."""
    piece = spec.decode(header[key], key)
    if not isinstance(piece, kinds):
        raise FormatError(f"{key} must be one of {', '.join(kind.__name__ for kind in kinds)}.")
    return piece


def _target_classes(plain: Any, loss: Loss, outputs: int) -> Classes:
    """Return the labels of one target, or of each of several in the order of their loss."""
    if not isinstance(loss, MultiSoftmaxCrossEntropy):
        return _classes_from_plain(plain, max(outputs, 2))
    if not isinstance(plain, list) or len(plain) != len(loss.sizes) or sum(loss.sizes) != outputs:
        raise FormatError(f"classes must be {len(loss.sizes)} lists of labels with {outputs} in all.")
    each = [_classes_from_plain(labels, size) for labels, size in zip(plain, loss.sizes, strict=True)]
    if any(labels is None for labels in each):
        raise FormatError("classes must be a kind and values.")
    return tuple(each)


def _classes_to_plain(classes: Classes) -> Any:
    """Write labels as JSON, a list of them for several targets; an array of objects is read as the type of its entries."""
    if classes is None:
        return None
    if isinstance(classes, tuple):
        return [_classes_to_plain(labels) for labels in classes]
    values, kind = classes.tolist(), classes.dtype.kind
    if kind in "OT":
        kind = np.array(values).dtype.kind
    if kind == "u" and max(values) < 2**63:
        kind = "i"
    if kind not in _CLASS_KINDS:
        raise InvalidValueError(must_be("save", "classes", "text, booleans or numbers of 64 bits", values))
    return {"kind": _CLASS_KINDS[kind], "values": values}


def _classes_from_plain(plain: Any, count: int) -> Array | None:
    """Return `count` labels, which must be distinct and in order."""
    if plain is None:
        return None
    if not isinstance(plain, dict) or set(plain) != {"kind", "values"} or plain["kind"] not in tuple(_PLAIN):
        raise FormatError("classes must be a kind and values.")
    values, kind = plain["values"], plain["kind"]
    if not isinstance(values, list) or not all(type(value) is _PLAIN[kind] for value in values):
        raise FormatError(f"classes must be a list of labels of kind {kind}.")
    if len(values) != count:
        raise FormatError(f"classes must be {count} labels, got {len(values)}.")
    if any(not first < second for first, second in pairwise(values)):
        raise FormatError("classes must be distinct and in order.")
    try:
        return np.array(values, dtype=kind)
    except OverflowError:
        raise FormatError("classes must be whole numbers of 64 bits.") from None
