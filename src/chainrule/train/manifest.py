"""The manifest of a checkpoint, checked part by part: a checksum says that it is whole, not that a run wrote it.

In: a manifest as plain data. Out: nothing, or `FormatError` for the first part of a wrong kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from chainrule.errors import FormatError
from chainrule.nn.step import Sums
from chainrule.train.records import Epoch, StopReason

_MOST = 2**53
_REASONS = frozenset(reason.value for reason in StopReason)
_SUMS = len(fields(Sums))


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _is_figure(value: Any) -> bool:
    return value is None or type(value) is float or value in ("inf", "-inf")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "int": _is_whole,
    "str": _is_text,
    "bool": _is_truth,
    "float": _is_figure,
}
_EPOCH = tuple(_KINDS[str(field.type)] for field in fields(Epoch) if field.name != "state")


def _is_epoch(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != len(_EPOCH):
        return False
    return all(fits(part) for fits, part in zip(_EPOCH, value, strict=True))


def _are_epochs(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_epoch, value))


def _are_sums(value: Any) -> bool:
    return isinstance(value, list) and len(value) == _SUMS and all(map(_is_hexadecimal, value))


def _is_hexadecimal(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) < 40 and float.fromhex(value).hex() == value
    except (ValueError, OverflowError):
        return False


def _is_best(value: Any) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)))


def _is_stop(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and len(value) == 2 and all(map(_is_text, value)) and value[0] in _REASONS


_PARTS: Mapping[str, Callable[[Any], bool]] = {
    "run": _is_text,
    "tensors": _is_text,
    "step": _is_whole,
    "sums": _are_sums,
    "epochs": _are_epochs,
    "best": _is_best,
    "stop": _is_stop,
}


def check_manifest(body: Mapping[str, Any]) -> None:
    """Refuse a manifest that lacks a part or has one of a wrong kind.

    Parameters
    ----------
    body : mapping
        The manifest.

    Raises
    ------
    FormatError
        Naming the part.
    """
    for name, fits in _PARTS.items():
        if name not in body or not fits(body[name]):
            raise FormatError(f"its manifest must have {name!r} as a run writes it")
