"""Why: a page is one file that opens anywhere, years later, without a network: its style and its pictures are inside.

In: a title and sections. Out: the text of an HTML file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from chainrule.report.page.markup import Html, number, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing from anywhere. It may run nothing either."""


@dataclass(frozen=True)
class Section:
    """A part of a page under its own heading; `lead` says in a sentence or two how to read it."""

    title: str
    body: Html
    lead: str = ""


def page(title: str, sections: Sequence[Section | None], head: Html | None = None, foot: str = "") -> str:
    """One self-contained page. `head` stands under the title; sections that are None or empty are left out.

    >>> text = page("A <run>", [Section("Curves", tag("p", "none"))])
    >>> "<h1>A &lt;run&gt;</h1>" in text, "<script" in text
    (True, False)
    """
    shown = [section for section in sections if section is not None and section.body]
    names = [f"part-{i}" for i in range(1, len(shown) + 1)]
    links = [tag("a", section.title, href=f"#{name}") for section, name in zip(shown, names, strict=True)]
    parts = [
        tag(
            "section",
            tag("h2", part.title, id=name),
            tag("p", part.lead, class_="lead") if part.lead else None,
            part.body,
        )
        for part, name in zip(shown, names, strict=True)
    ]
    top = tag("header", tag("h1", title), head, tag("nav", *links, aria_label="Parts of this page") if links else None)
    body = tag("body", top, tag("main", *parts), tag("footer", foot) if foot else None)
    return "<!DOCTYPE html>\n" + tag("html", _head(title), body, lang="en") + "\n"


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
    """The style sheet of all pages."""
    return resources.files("chainrule.report.page").joinpath("style.css").read_text(encoding="utf-8")


def table(header: Sequence[object], rows: Sequence[Sequence[object]], numbers: bool = True) -> Html:
    """A table that scrolls where it is wider than the page; floats are shortened and stand to the right."""
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
    """A line of named figures."""
    entries = [tag("li", tag("span", f"{name} "), tag("b", _cell(value))) for name, value in values.items()]
    return tag("ul", *entries, class_="facts")


def pairs(values: Mapping[str, object | None]) -> Html:
    """Names and what they mean, one below the other; those that are None or empty are left out."""
    shown = {name: value for name, value in values.items() if value not in (None, "")}
    return tag("dl", *(part for name, value in shown.items() for part in (tag("dt", name), tag("dd", _cell(value)))))


def details(summary: str, *body: object) -> Html:
    """What is shown on demand."""
    return tag("details", tag("summary", summary), *body)


def code(line: str) -> Html:
    """A line to copy."""
    return tag("code", line, class_="line")
