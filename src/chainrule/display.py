"""How text that came from outside is shown: control characters are escaped, and notebooks get HTML.

Names of files, columns and labels are written by strangers. Printed raw, they can move the cursor, change the title of the
terminal or turn the reading direction. `printable` shows such characters as Python writes them.

Networks, runs and reports lie below the package that draws them. They inherit `HtmlDisplay`; the renderer is set from above,
by `chainrule/__init__.py`, and is imported at the first use.

In: text; a renderer. Out: text that is safe to print; `_repr_html_`, which IPython and Jupyter call.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Renderer = Callable[[object], str | None]

_renderers: list[Renderer] = []

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0)]
_SEPARATORS = [0x2028, 0x2029]
_DIRECTIONS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Embeddings, overrides and isolates; the plain marks of direction are part of ordinary words and stay."""

_ESCAPES = {code: ascii(chr(code))[1:-1] for code in (*_CONTROLS, *_SEPARATORS, *_DIRECTIONS, *range(0xD800, 0xE000))}
_ESCAPES_WITHIN_LINES = {code: text for code, text in _ESCAPES.items() if chr(code) not in "\n\t"}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of text that a spreadsheet would run as a formula; the last four are the wide forms of the first."""

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", re.ASCII)


def printable(text: str, lines: bool = False) -> str:
    r"""Return text in which control characters are written out, as ``\x1b``.

    Escaped are the characters of C0 and C1, DEL, separators of lines and paragraphs, the characters that override the
    reading direction, and lone surrogates. Text without them is returned as it is.

    Parameters
    ----------
    text : str
        Text of any origin.
    lines : bool, default=False
        Whether line feeds and tabs stay: for text of several lines that this package wrote itself.

    Returns
    -------
    str

    Examples
    --------
    >>> print(printable("red \x1b[31m"))
    red \x1b[31m
    >>> printable("größe"), printable("a\nb"), printable("a\nb", lines=True)
    ('größe', 'a\\nb', 'a\nb')
    """
    return text if text.isprintable() else text.translate(_ESCAPES_WITHIN_LINES if lines else _ESCAPES)


def csv_text(text: str, numbers: bool = False) -> str:
    r"""Return the text of a csv cell that no spreadsheet runs as a formula.

    Text that begins as a formula gets an apostrophe before it. Control characters other than line feeds and tabs are
    escaped.

    Parameters
    ----------
    text : str
        Text of any origin.
    numbers : bool, default=False
        Whether text that is a number stays as it is.

    Returns
    -------
    str

    Examples
    --------
    >>> csv_text("=1+1"), csv_text("-1.5", numbers=True), csv_text("a\x07")
    ("'=1+1", '-1.5', 'a\\x07')
    """
    harmless = not text.startswith(_FORMULA) or (numbers and _NUMBER.fullmatch(text))
    return printable(text if harmless else f"'{text}", lines=True)


class HtmlDisplay:
    """A class whose objects a notebook shows as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return this object as HTML; None, and a notebook shows its text, where there is no renderer."""
        return _renderers[-1](self) if _renderers else None


def set_renderer(renderer: Renderer) -> None:
    """Set the function that turns objects into HTML."""
    _renderers[:] = [renderer]
