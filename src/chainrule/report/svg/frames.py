"""What stands around a picture: its title, legend and note, and the SVG element itself.

In: shapes. Out: `<figure>` and `<svg>` elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.report.svg.markup import Html, joined, tag


def framed(title: str, body: Html, below: Html | None = None, note: str = "", wide: bool = False) -> Html:
    """Return a `<figure>` with a title over its body and a note under it."""
    words = tag("p", note, class_="note") if note else None
    return tag("figure", tag("figcaption", title), body, below, words, class_="wide" if wide else None)


def svg(
    title: str, description: str, shapes: Sequence[Html], width: float, height: float, *, alone: bool = False
) -> Html:
    """Return a picture with a name and a description for screen readers; `alone` makes it a file of its own."""
    words = tag("title", title), tag("desc", description)
    namespace = {"xmlns": "http://www.w3.org/2000/svg", "width": width, "height": height} if alone else {}
    return tag("svg", *words, *shapes, viewBox=f"0 0 {width:g} {height:g}", role="img", **namespace)


def legend(names: Sequence[tuple[str, int, bool]]) -> Html | None:
    """Return the names of the colors; a dashed curve has a dashed key."""
    if not names:
        return None
    entries = [
        tag("li", tag("span", class_=f"key s{color}" + " dashed" * dashed), name) for name, color, dashed in names
    ]
    return tag("ul", *entries, class_="legend")


def clipped(text: object, most: int) -> str:
    """Return a name that fits into a number of letters.

    >>> clipped("sepal length (cm)", 8)
    'sepal l…'
    """
    shown = " ".join(str(text).split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def grid(*figures: Html | None, small: bool = False) -> Html:
    """Return figures side by side, as many as the page is wide."""
    return tag("div", joined(*figures), class_="charts small" if small else "charts")
