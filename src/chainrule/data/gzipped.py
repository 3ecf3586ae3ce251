"""Bytes that may be gzipped, recognized by their content.

In: bytes and the name of their file. Out: the unpacked bytes.
"""

from __future__ import annotations

import gzip
import zlib

from chainrule.errors import FormatError


def decompress(data: bytes, name: str) -> bytes:
    """Return the bytes, unpacked if they are gzipped; raise `FormatError` if the gzip is damaged."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{name}: the file must be intact gzip, got: {error}. Download it again.") from error
