"""HTML in notebooks for objects that know nothing of HTML.

Networks, runs and reports lie below the package that draws them. They inherit `HtmlDisplay`; the renderer is set from above,
by `chainrule/__init__.py`, and is imported at the first use.

In: a renderer. Out: `_repr_html_`, which IPython and Jupyter call.
"""

from __future__ import annotations

from collections.abc import Callable

Renderer = Callable[[object], str | None]

_renderers: list[Renderer] = []


class HtmlDisplay:
    """A class whose objects a notebook shows as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """Return this object as HTML; None, and a notebook shows its text, where there is no renderer."""
        return _renderers[-1](self) if _renderers else None


def set_renderer(renderer: Renderer) -> None:
    """Set the function that turns objects into HTML."""
    _renderers[:] = [renderer]
