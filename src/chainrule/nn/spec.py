"""Why: a network and all that trains it can be written down as plain data and built again, with nothing looked up by name
outside a closed table.

In: frozen pieces (layers, losses, optimizers, ...). Out: dictionaries, lists, strings and numbers, and the way back.
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
"""Every piece that may stand in a spec, by name: the whole vocabulary, closed."""


def encode(piece: Any) -> Any:
    """Plain data for a piece: `{"type": its name, field: value, ...}`, nested.

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
    """The piece that plain data describe.

    >>> decode({"type": "Dropout", "rate": 0.2})
    Dropout(rate=0.2)

    Raises `FormatError`, naming the place, on unknown types, unknown keys and values that the piece refuses.
    """
    if isinstance(plain, list):
        return tuple(decode(item, f"{where}[{i}]") for i, item in enumerate(plain))
    if not isinstance(plain, dict):
        return plain
    kind = plain.get("type")
    if not isinstance(kind, str) or kind not in REGISTRY:
        raise FormatError(f"{where}: type must be a known piece, got {kind!r}. {did_you_mean(str(kind), REGISTRY)}")
    known = [f.name for f in fields(REGISTRY[kind])]
    for key in plain:
        if key != "type" and key not in known:
            raise FormatError(f"{where}: {kind} has no setting {key!r}. {did_you_mean(key, known)}")
    values = {key: decode(value, f"{where}.{key}") for key, value in plain.items() if key != "type"}
    try:
        return REGISTRY[kind](**values)
    except (InvalidValueError, TypeError) as error:
        raise FormatError(f"{where}: {kind} cannot be built. {error}") from error
