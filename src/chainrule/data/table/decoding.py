"""The bytes of a text file as UTF-8 with line feeds, whatever wrote it.

In: bytes. Out: bytes, and what was found out.
"""

from __future__ import annotations

import codecs

import numpy as np

from chainrule.errors import FormatError, did_you_mean, must_be

HEAD = 1_000_000
"""Bytes from the beginning of a file that are read to find out how it is written."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, the longer ones before those that they begin with."""

_NAMES = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}


def as_utf8(name: str, data: bytes, encoding: str | None) -> tuple[bytes, list[str]]:
    """Return the bytes of a text as UTF-8 without a byte order mark; raise `FormatError` for what is no text."""
    if encoding is not None:
        return _recode(name, data, encoding), [f"encoding {encoding}"]
    for mark, found in _BOMS:
        if data.startswith(mark):
            rest = data[len(mark) :]
            return (
                as_utf8(name, rest, None)
                if found == "utf-8"
                else (_recode(name, rest, found), [f"encoding {_NAMES[found]}"])
            )
    if b"\0" in data[:HEAD]:
        found = _without_mark(name, data[:HEAD])
        return _recode(name, data, found), ["encoding UTF-16 without a mark"]
    if data.isascii():
        return data, []
    try:
        data.decode("utf-8")
        return data, []
    except UnicodeDecodeError:
        return _windows(data), ["encoding Windows-1252 (not UTF-8)"]


def _recode(name: str, data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).removeprefix("\ufeff").encode("utf-8")
    except LookupError:
        hint = did_you_mean(encoding, ("utf-8", "utf-16", "cp1252", "latin-1", "cp437", "shift_jis", "gb18030"))
        raise FormatError(must_be(name, "encoding", "one that Python knows", encoding, hint)) from None
    except UnicodeError as error:
        raise FormatError(
            f"{name}: the file must be a readable table, got: text that is no {encoding} ({error})."
        ) from None


def _without_mark(name: str, head: bytes) -> str:
    """Return the byte order of UTF-16 by where the zero bytes of common letters stand."""
    zero = np.frombuffer(head[: len(head) // 2 * 2], np.uint8).reshape(-1, 2) == 0
    first, second = zero.mean(axis=0) if len(zero) else (0.0, 0.0)
    if second > 0.3 and first < 0.1:
        return "utf-16-le"
    if first > 0.3 and second < 0.1:
        return "utf-16-be"
    raise FormatError(f"{name}: the file must be a readable table, got: binary content.")


def _windows(data: bytes) -> bytes:
    try:
        return data.decode("cp1252").encode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1").encode("utf-8")


def with_line_feeds(data: bytes) -> tuple[bytes, list[str]]:
    """Return text whose lines end with a line feed only."""
    if b"\r" not in data:
        return data, []
    data = data.replace(b"\r\n", b"\n")
    if b"\r" in data and b"\n" not in data:
        return data.replace(b"\r", b"\n"), ["line ends of old Macs"]
    return data, []
