"""Networks and everything that trains them as plain data, and back.

Nothing is looked up by name outside a closed table, so reading a file runs no code.
In: frozen objects (layers, losses, optimizers, ...). Out: dictionaries, lists, strings and numbers, and the way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from chainrule.errors import FormatError, InvalidValueError, did_you_mean
from chainrule.nn import activations, initializers
from chainrule.nn.layers import LAYERS
from chainrule.nn.losses import LOSSES
from chainrule.nn.net import Net
from chainrule.nn.optimizers import OPTIMIZERS
from chainrule.nn.penalties import CLIPS, Penalty
from chainrule.nn.schedules import SCHEDULES

REGISTRY: Mapping[str, type[Any]] = {
    "Net": Net,
    "Penalty": Penalty,
    **LAYERS,
    **LOSSES,
    **OPTIMIZERS,
    **CLIPS,
    **SCHEDULES,
    **{type(piece).__name__: type(piece) for piece in activations.ACTIVATIONS.values()},
    **{type(piece).__name__: type(piece) for piece in initializers.INITIALIZERS.values()},
}
"""Everything that may stand in a spec, by the name of its class."""


def encode(piece: Any) -> Any:
    """Return plain data for an object: `{"type": its class, field: value, ...}`, nested.

    Parameters
    ----------
    piece : object
        A network, layer, loss, optimizer or the like; or lists, mappings and numbers of them.

    Returns
    -------
    dict, list, str or number
        The plain data, ready for JSON.

    Examples
    --------
    >>> from chainrule.nn.layers import Dropout
    >>> encode(Dropout(0.2))
    {'type': 'Dropout', 'rate': 0.2}
    """
    if is_dataclass(piece) and not isinstance(piece, type):
        return {"type": type(piece).__name__, **{f.name: encode(getattr(piece, f.name)) for f in fields(piece)}}
    if isinstance(piece, Mapping):
        return {key: encode(value) for key, value in piece.items()}
    if isinstance(piece, list | tuple):
        return [encode(item) for item in piece]
    return piece.item() if isinstance(piece, np.generic) else piece


def decode(plain: Any, where: str = "spec") -> Any:
    """Build the object that plain data describe.

    Parameters
    ----------
    plain : dict, list, str or number
        What `encode` gave.
    where : str, default="spec"
        Name of the place for error messages, such as a file.

    Returns
    -------
    object
        The object, equal to the one that was encoded.

    Raises
    ------
    FormatError
        Naming the place, for unknown types, unknown keys and values that are not allowed.

    Examples
    --------
    >>> decode({"type": "Dropout", "rate": 0.2})
    Dropout(rate=0.2)
    """
    if isinstance(plain, list):
        return tuple(decode(item, f"{where}[{i}]") for i, item in enumerate(plain))
    if not isinstance(plain, dict):
        return plain
    kind = plain.get("type")
    if not isinstance(kind, str) or kind not in REGISTRY:
        raise FormatError(f"{where}: type must be known, got {kind!r}. {did_you_mean(str(kind), REGISTRY)}")
    known = [f.name for f in fields(REGISTRY[kind])]
    for key in plain:
        if key != "type" and key not in known:
            raise FormatError(f"{where}: {kind} has no setting {key!r}. {did_you_mean(key, known)}")
    values = {key: decode(value, f"{where}.{key}") for key, value in plain.items() if key != "type"}
    try:
        return REGISTRY[kind](**values)
    except (InvalidValueError, TypeError) as error:
        raise FormatError(f"{where}: {kind} cannot be built. {error}") from error
