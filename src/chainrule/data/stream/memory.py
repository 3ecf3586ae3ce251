"""How much memory streamed rows may take, and how it is divided.

In: a limit as people write it. Out: bytes; the share of a window.
"""

from __future__ import annotations

import re

from chainrule.errors import InvalidValueError, must_be

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*([A-Za-z]*)\s*", re.ASCII)

SMALLEST = 2**20
"""Least limit, in bytes."""

WINDOWS = 6
"""Windows that a limit has room for: the one that is trained on, the one that is being read, the row group that is being
decoded, the rows that are held out, and what is copied in between."""

WARN_ABOVE = 64 * 2**20
"""Bytes of a row group, decompressed, from which on it is warned of: it is read as a whole."""


def bytes_of(owner: str, argument: str, size: int | str) -> int:
    """Return a size in bytes.

    >>> bytes_of("open_dataset", "max_memory", "1.5 GB"), bytes_of("open_dataset", "max_memory", "2MiB")
    (1500000000, 2097152)
    """
    allowed = "a size of 1 MiB or more, such as '256MB' or '2GB'"
    match = _SIZE.fullmatch(size) if isinstance(size, str) and len(size) < 40 else None
    if match and match[2].lower() in _UNITS:
        found = float(match[1]) * _UNITS[match[2].lower()]
    elif isinstance(size, int) and not isinstance(size, bool):
        found = float(size)
    else:
        raise InvalidValueError(must_be(owner, argument, allowed, size))
    if not SMALLEST <= found <= 2**60:
        raise InvalidValueError(must_be(owner, argument, allowed, size))
    return int(found)


def text_of(size: float) -> str:
    """Return a number of bytes as people write it.

    >>> text_of(12_345_678), text_of(999)
    ('12.3 MB', '999 B')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} B"
