"""The doctor's cards as pictures on a page: each is drawn from the report of the block of code before it.

In: the page's code. Out: a fragment of HTML for each mark, kept in `docs/drawings/cards`, and the page with them inside.

    python docs/tools/cards.py        # run the page and draw its cards again
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
PAGE = DOCS / "use" / "ten-cards.md"
FOLDER = DOCS / "drawings" / "cards"
MARK = re.compile(r"<!-- card: (\w+) -->")
_COLORS = re.compile(r":root \{(.*?)\}", re.DOTALL)
_BLOCK = re.compile(r"```python\n(.*?)```|<!-- card: (\w+) -->", re.DOTALL)


def reports(markdown: str) -> dict[str, Any]:
    """Run a page's code and return the report that stands before each mark, by the mark's name."""
    scope: dict[str, Any] = {}
    found = {}
    for block in _BLOCK.finditer(markdown):
        if block[2]:
            found[block[2]] = scope["report"]
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(block[1], str(PAGE), "exec"), scope)
    return found


def fragment(report: Any) -> str:
    """Return the card of a report's first finding, with the style of the pages of runs."""
    from chainrule.report.page.cards import card

    return str(card(report.primary, interface=report.interface))


def inside(html: str) -> str:
    """Return a page's HTML with each mark replaced by its card, closed off from the page's own style."""
    if not MARK.search(html):
        return html
    light, dark, style = _style()
    colors = f"<style>.doctor-card {{ {light} }} [data-md-color-scheme=slate] .doctor-card {{ {dark} }}</style>"
    return colors + MARK.sub(lambda mark: _closed(style, (FOLDER / f"{mark[1]}.html").read_text("utf-8")), html)


def _style() -> tuple[str, str, str]:
    """Return the colors of the light and the dark scheme, and the style of what is drawn with them."""
    from chainrule.report.page.html import style

    css = style()
    light, dark = (re.sub(r"color-scheme:[^;]*;", "", block) for block in _COLORS.findall(css))
    return light, dark, re.sub(r"@media \(prefers-color-scheme[^{]*\{\s*\}", "", _COLORS.sub("", css))


def _closed(style: str, body: str) -> str:
    own = ":host { display: block; margin: 1em 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); }"
    return (
        f'<div class="doctor-card"><template shadowrootmode="open"><style>{style} {own}</style>{body}</template></div>'
    )


def main() -> None:
    """Draw the cards of the page again."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, report in reports(PAGE.read_text("utf-8")).items():
        (FOLDER / f"{name}.html").write_text(fragment(report) + "\n", "utf-8")


if __name__ == "__main__":
    main()
