"""JSON from files that anybody may have written, read strictly.

Python's own reader takes NaN, numbers beyond all floats and repeated names, and recurses as deeply as the text is nested.
In: bytes or text. Out: plain data, or `FormatError` with what is wrong.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

from chainrule.errors import FormatError

LONGEST = 32_000_000
"""Bytes of one JSON text; the description of a table with 100,000 columns fits."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse(owner: str, text: bytes | str, longest: int = LONGEST, finite: bool = True) -> Any:
    """Return the plain data of a JSON text.

    Parameters
    ----------
    owner : str
        What messages name.
    text : bytes or str
        The text; bytes are UTF-8.
    longest : int, default=32_000_000
        Longest text that is read at all.
    finite : bool, default=True
        Whether NaN and infinity are refused.

    Returns
    -------
    object

    Raises
    ------
    FormatError
        For anything but JSON, NaN and infinity, numbers beyond float64 or of more than 4,300 digits, names that occur
        twice in one object, half characters, nesting too deep to read, and longer texts.

    Examples
    --------
    >>> parse("settings", b'{"a": [1, 2.5]}')
    {'a': [1, 2.5]}
    """
    if len(text) > longest:
        raise FormatError(f"{owner}: the JSON must be at most {longest:,} bytes long, got {len(text):,}.")
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        refuse = _refuse_constant if finite else None
        number = _finite if finite else None
        plain = json.loads(decoded, parse_constant=refuse, parse_float=number, object_pairs_hook=_distinct)
        if _SURROGATE.search(decoded):
            json.dumps(plain, ensure_ascii=False).encode()
        return plain
    except RecursionError:
        raise FormatError(f"{owner}: the JSON must not be nested so deeply.") from None
    except ValueError as error:
        raise FormatError(f"{owner}: the text must be JSON, got: {error}") from None


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"the number {word}")


def _finite(text: str) -> float:
    """Return a number; one too large for a float is refused."""
    number = float(text)
    return number if isfinite(number) else _refuse_constant(text[:40])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in content if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} twice in one object")
    return content
