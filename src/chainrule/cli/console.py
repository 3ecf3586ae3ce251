"""Where all commands print: nothing that a file, a path or an option says is taken as markup or as an escape sequence.

In: text and rich's tables. Out: standard output or standard error, with control characters written out.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from chainrule.display import printable

if TYPE_CHECKING:
    from rich.console import Console


def console(stderr: bool = False) -> Console:
    """Return a rich console on standard output, or on standard error for progress and messages."""
    return _kind()(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)


def echo(text: str, nl: bool = True) -> None:
    """Print text as it is but for control characters."""
    typer.echo(printable(text, lines=True), nl=nl)


@cache
def _kind() -> type[Console]:
    """Return the class of our consoles; rich is imported when the first is made."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        """A console that escapes control characters in everything that is rendered, tables and progress bars included."""

        def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
            """Render, then escape the text of each segment; the console's own codes are in other fields."""
            for segment in super().render(*arguments, **options):
                text = segment.text
                safe = text if segment.control else printable(text, lines=True)
                yield segment if safe is text else Segment(safe, segment.style)

    return PlainConsole
