"""Pages that are one file: style and pictures are inside, so a page opens anywhere, years later, without a network.

In: a title and sections. Out: the text of an HTML file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from chainrule.report.svg.charts import stylesheet
from chainrule.report.svg.markup import Html, number, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing. It may run nothing either."""


@dataclass(frozen=True)
class Section:
    """A part of a page with its own heading.

    Parameters
    ----------
    title : str
        The heading.
    body : Html
        What stands under it; an empty body leaves the section out.
    lead : str, default=""
        A sentence or two that say how to read it.
    """

    title: str
    body: Html
    lead: str = ""


def page(
    title: str, sections: Sequence[Section | None], head: Html | None = None, foot: str = "", contents: bool = True
) -> str:
    """Return one self-contained HTML page.

    Parameters
    ----------
    title : str
        The title, as text.
    sections : sequence of Section or None
        The parts; those that are None or empty are left out.
    head : Html, default=None
        What stands under the title.
    foot : str, default=""
        The last line, as text.
    contents : bool, default=True
        Whether to list the sections, as links, under the title.

    Returns
    -------
    text : str
        The file's text. It loads nothing and runs nothing.

    Examples
    --------
    >>> text = page("A <run>", [Section("Curves", tag("p", "none"))])
    >>> "<h1>A &lt;run&gt;</h1>" in text, "<script" in text
    (True, False)
    """
    shown = [section for section in sections if section is not None and section.body]
    names = [section_id(i) for i in range(1, len(shown) + 1)]
    links = [tag("a", section.title, href=f"#{name}") for section, name in zip(shown, names, strict=True)]
    parts = [_part(section, name) for section, name in zip(shown, names, strict=True)]
    nav = tag("nav", *links, aria_label="Parts of this page") if links and contents else None
    top = tag("header", tag("h1", title), head, nav)
    body = tag("body", top, tag("main", *parts), tag("footer", foot) if foot else None)
    return "<!DOCTYPE html>\n" + tag("html", _head(title), body, lang="en") + "\n"


def section_id(place: int) -> str:
    """Return the name by which links reach the section at a place, counted from 1."""
    return f"part-{place}"


def _part(section: Section, name: str) -> Html:
    lead = tag("p", section.lead, class_="lead") if section.lead else None
    return tag("section", tag("h2", section.title, id=name), lead, section.body)


def _head(title: str) -> Html:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(style())),
    )


@cache
def style() -> str:
    """Return the style sheet of all pages."""
    return stylesheet() + resources.files("chainrule.report.page").joinpath("style.css").read_text(encoding="utf-8")


def table(header: Sequence[object], rows: Sequence[Sequence[object]], numbers: bool = True) -> Html:
    """Return a table that scrolls where it is wider than the page; columns of numbers are aligned to the right."""
    right = [
        numbers and bool(rows) and all(isinstance(row[j], int | float) for row in rows) for j in range(len(header))
    ]
    look = ["number" if r else None for r in right]
    first = tag("tr", *(tag("th", name, class_=c, scope="col") for name, c in zip(header, look, strict=True)))
    others = [tag("tr", *(tag("td", _cell(v), class_=c) for v, c in zip(row, look, strict=True))) for row in rows]
    return tag("div", tag("table", tag("thead", first), tag("tbody", *others)), class_="scroll")


def _cell(value: object) -> object:
    return number(value, 4) if isinstance(value, float) else value


def facts(values: Mapping[str, object]) -> Html:
    """Return a line of named values."""
    entries = [tag("li", tag("span", f"{name} "), tag("b", _cell(value))) for name, value in values.items()]
    return tag("ul", *entries, class_="facts")


def pairs(values: Mapping[str, object | None]) -> Html:
    """Return names and values, one below the other; those that are None or empty are left out."""
    shown = {name: value for name, value in values.items() if value not in (None, "")}
    return tag("dl", *(part for name, value in shown.items() for part in (tag("dt", name), tag("dd", _cell(value)))))


def details(summary: str, *body: object) -> Html:
    """Return what is shown on demand."""
    return tag("details", tag("summary", summary), *body)


def code(line: str) -> Html:
    """Return a line to copy."""
    return tag("code", line, class_="line")
