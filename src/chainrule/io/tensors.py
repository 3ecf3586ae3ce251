"""Headers of safetensors files, checked before the library sees them.

In: the header of a file as bytes. Out: its entries, or `FormatError`.
"""

from __future__ import annotations

from math import prod
from typing import Any

from chainrule.errors import FormatError
from chainrule.io import json_text

LONGEST_HEADER = json_text.LONGEST
"""Bytes of a header; safetensors itself allows 100 MB."""

MOST_TENSORS = 50_000
_MOST_DIMENSIONS = 8
_ITEM_SIZES = {"F64": 8, "F32": 4, "F16": 2, "I64": 8, "I32": 4, "U64": 8}
"""Types of tensors that are looked at, with the bytes of a number."""


def checked_metadata(header: bytes, available: int) -> dict[str, str]:
    """Return the metadata of a header whose tensors fill the rest of the file.

    Parameters
    ----------
    header : bytes
        The header without its length.
    available : int
        Bytes of the file behind the header.

    Returns
    -------
    dict of str to str

    Raises
    ------
    FormatError
        For anything but such a header, and for more than 50,000 tensors.
    """
    entries = json_text.parse("the header", header)
    metadata = entries.pop("__metadata__", {}) if isinstance(entries, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise FormatError("the header must be one of safetensors.")
    if len(entries) > MOST_TENSORS:
        raise FormatError(f"the file must hold at most {MOST_TENSORS:,} tensors, got {len(entries):,}.")
    sizes = [_bytes_of(tensor) for tensor in entries.values()]
    if None in sizes or sum(filter(None, sizes)) != available:
        raise FormatError("the tensors must be as long as the header says.")
    return metadata


def check_tensors(data: bytes) -> None:
    """Raise `FormatError` for the bytes of a file that is not whole safetensors."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, LONGEST_HEADER):
        raise FormatError("the header must be one of safetensors.")
    checked_metadata(data[8 : 8 + length], len(data) - 8 - length)


def _bytes_of(tensor: Any) -> int | None:
    """Return the bytes of a tensor as its entry describes it, None for an entry that contradicts itself."""
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        return None
    dtype, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_SIZES:
        return None
    if not all(isinstance(part, list) and all(type(n) is int and n >= 0 for n in part) for part in (shape, offsets)):
        return None
    if len(shape) > _MOST_DIMENSIONS or len(offsets) != 2:
        return None
    size = prod(shape) * _ITEM_SIZES[dtype]
    return size if offsets[1] - offsets[0] == size else None
