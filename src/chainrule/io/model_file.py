"""Read and write model files, which hold data only: no pickle, nothing named that is then imported, and a checksum.

In: a fitted estimator or a model, or a .safetensors file. Out: the file (tensors plus one JSON text in its header), or the
model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.table.schema import HASHED_WORDS, Column
from chainrule.data.table.schema_plain import schema_from_plain, schema_to_plain
from chainrule.errors import FormatError, InvalidValueError, MissingError, did_you_mean, must_be
from chainrule.io import json_text, networks, packs
from chainrule.io.files import write_atomically
from chainrule.io.tensors import LONGEST_HEADER, checked_metadata
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.table_model import TableModel

FORMAT = 1
"""Version of the file format; every released one stays readable."""

_KEY = "chainrule"
_FOREIGN = "the file must be a chainrule model, got something else or a damaged one."

_FIELDS = frozenset({"format", "version", "sha256"})
_SCHEMA = "schema"
_PICKLE = "Save its last step alone and apply the others before, or pickle the pipeline."
_PACK = "members"
"""The key by which the header of a pack is known."""


def save_model(model: Any, path: str | Path) -> None:
    """Write a trained model to a file, atomically.

    The file is safetensors; its one metadata entry "chainrule" is JSON: format, version, net and loss as specs, classes (a
    list of them for several targets), names, and the sha256 of all that and of every tensor's name, type, shape and bytes.
    A temperature other than 1 and a number of networks above 1 are in it too; the weights of the second network are the
    tensors "w.1" and "buffers.1", and so on. A pack has a list of members and of transforms instead of one net; a model of
    a table has the table's schema besides. What `chainrule train` writes also has hashes of at most 4096 training rows, the
    tensor "rows".

    Parameters
    ----------
    model : NetClassifier, NetRegressor, TableClassifier, TableRegressor or model
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
    WriteError
        Where the system cannot write the file; an older file of this name stays as it was.

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
    write_atomically(Path(path), model_bytes(model), "save_model")


def model_bytes(model: Any) -> bytes:
    """Return the bytes of a model's file."""
    from safetensors.numpy import save

    import chainrule

    own, arrays = _parts(model_of(model))
    tensors = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = {"format": FORMAT, "version": chainrule.__version__, **own}
    text = json.dumps({**header, "sha256": _digest(header, tensors)}, allow_nan=False)
    return bytes(save(tensors, metadata={_KEY: text}))


def load_model(path: str | Path) -> Model | Pack | TableModel:
    """Read a model from a file; no code in the file is run.

    Parameters
    ----------
    path : str or Path
        A file that `save_model` wrote.

    Returns
    -------
    Model, Pack or TableModel
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


def model_of(given: Any, owner: str = "save_model", others_do: str = _PICKLE) -> Model | Pack | TableModel:
    """Return the model of a fitted estimator, or of a pipeline in which nothing else does anything.

    Parameters
    ----------
    given : estimator, pipeline or model
        What holds the model.
    owner : str, default="save_model"
        The function that messages name.
    others_do : str
        What to do with a pipeline's other steps, a sentence.

    Returns
    -------
    Model, Pack or TableModel

    Raises
    ------
    InvalidValueError
        For anything else, an estimator that is not fitted, and a pipeline with other steps.
    """
    if isinstance(given, Model | Pack | TableModel):
        return given
    name = type(given).__name__
    if hasattr(given, "steps"):
        others = [type(step).__name__ for _, step in given.steps[:-1] if step not in (None, "passthrough")]
        if others:
            raise InvalidValueError(must_be(owner, "pipeline", "the network alone", others, others_do))
        return model_of(given.steps[-1][1], owner, others_do)
    fitted = getattr(given, "model_", None)
    if isinstance(fitted, Model | Pack | TableModel):
        return fitted
    hint = "Call fit first." if hasattr(given, "fit") and name.startswith(("Net", "Table")) else ""
    allowed = "a fitted NetClassifier, NetRegressor, TableClassifier or TableRegressor, or a model"
    raise InvalidValueError(must_be(owner, "model", allowed, given, hint))


def _parts(model: Model | Pack | TableModel) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return header and tensors of a model of any kind."""
    if isinstance(model, TableModel):
        header, tensors = _parts(model.core)
        return {_SCHEMA: schema_to_plain(model.schema), **header}, tensors
    return packs.to_parts(model) if isinstance(model, Pack) else networks.to_parts(model)


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

    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, LONGEST_HEADER):
            raise FormatError("the file must be a chainrule model, got something else or a part of one.")
        text = file.read(length)
        entry = _entry(text, size - 8 - length)
        data = start + text + file.read()
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise FormatError(_FOREIGN) from None
    header = json_text.parse("the header", entry)
    if not isinstance(header, dict):
        raise FormatError("the header must be a JSON object.")
    return header, tensors


def _entry(text: bytes, available: int) -> str:
    """Return this package's entry in a header of safetensors, whose tensors must fill the file."""
    try:
        return checked_metadata(text, available)[_KEY]
    except (FormatError, KeyError):
        raise FormatError(_FOREIGN) from None


def _check(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    version = header.get("format")
    if type(version) is int and version > FORMAT:
        raise FormatError(f"format must be at most {FORMAT}, got {version}. The file is from a newer chainrule.")
    kind = packs if _PACK in header else networks
    needed = _FIELDS | kind.FIELDS
    known = needed | kind.EXTRA | {_SCHEMA}
    unknown = [key for key in header if key not in known]
    if unknown:
        raise FormatError(f"the header has an unknown key {unknown[0]!r}. {did_you_mean(unknown[0], sorted(known))}")
    absent_keys = needed - set(header)
    expected = set() if absent_keys else kind.tensor_names(header, tensors)
    absent = absent_keys | (expected - set(tensors))
    strange = set() if absent_keys else set(tensors) - expected
    if absent or strange:
        raise FormatError(
            f"the file must hold all parts of a model, got missing {sorted(absent)}, unknown {sorted(strange)}."
        )
    rest = {key: value for key, value in header.items() if key != "sha256"}
    if header["sha256"] != _digest(rest, tensors):
        raise FormatError("the checksum does not match. The file is damaged; use a copy.")
    if not isinstance(header["version"], str):
        raise FormatError(f"version must be text, got {header['version']!r}.")
    if type(version) is not int or version < 1:
        raise FormatError(f"format must be a whole number from 1 to {FORMAT}, got {version!r}.")


def _build(header: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model | TableModel | Pack:
    core = packs.from_parts(header, tensors) if _PACK in header else networks.from_parts(header, tensors)
    if _SCHEMA not in header:
        return core
    schema = schema_from_plain(header[_SCHEMA])
    if isinstance(core, Model) and sum(_names_of(column) for column in schema.used) > len(core.feature_names):
        raise FormatError("the columns of the schema must be those of the network.")
    names = tuple(f.name for f in schema.features) if isinstance(core, Pack) else schema.design_names
    if names != core.feature_names:
        raise FormatError("the columns of the schema must be those of the network.")
    return TableModel(schema, core)


def _names_of(column: Column) -> int:
    """Return the least number of columns that a column becomes in the plain matrix."""
    if column.kind in ("text", "category"):
        return HASHED_WORDS if column.kind == "text" else len(column.categories) + column.hashed
    return len(column.numbers)
