"""Hooks of mkdocs that put equations, the reference and notebooks where the pages ask for them.

In: what mkdocs passes at each stage. Out: pages with their equations drawn, notebooks beside the chapters.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cards
import catalogue
import equations
import notebooks
import pictures
import playground_page
import reference
from mkdocs.structure.files import File

_DRAWING = re.compile(r'<img alt="([^"]*)" src="([^"]*drawings/([\w-]+)\.svg)"[^>]*/?>')
_DOCS = Path(__file__).parent.parent


def on_files(files: Any, config: Any) -> Any:
    """Add a notebook beside each chapter, the page of symptoms and remedies, the schema of reports, and the playground."""
    for chapter in sorted((_DOCS / "learn").glob("[0-9]*.md")):
        text = _checked(notebooks.dumped(chapter, (config.site_url or "").rstrip("/")))
        files.append(File.generated(config, f"learn/{chapter.stem}.ipynb", content=text))
    files.append(File.generated(config, "reference/symptoms.md", content=catalogue.page()))
    files.append(File.generated(config, "reference/report.schema.json", content=catalogue.schema()))
    for name, content in playground_page.files().items():
        files.append(File.generated(config, f"playground/{name}", content=content))
    return files


def _checked(text: str) -> str:
    """Return the text of a notebook, or raise if it is not a valid one."""
    import nbformat

    nbformat.validate(nbformat.reads(text, as_version=4))
    return text


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Replace the marks by equations and references; link the notebook at the top of a chapter."""
    markdown = reference.expanded(equations.expanded(markdown))
    path = Path(page.file.src_uri)
    if path.parent.name == "learn" and path.name[0].isdigit():
        title, rest = markdown.split("\n", 1)
        markdown = f"{title}\n\n[This chapter as a notebook]({path.stem}.ipynb){{ .notebook }}\n{rest}"
    return markdown


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Turn LaTeX into MathML; put drawings, charts and cards inside the page, so that they take its colors."""
    drawn = _DRAWING.sub(lambda image: _inside(image[3], image[1]), equations.mathml(html))
    return cards.inside(pictures.inside(drawn))


def _inside(name: str, label: str) -> str:
    source = (_DOCS / "drawings" / f"{name}.svg").read_text("utf-8")
    labeled = source.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return f'<span class="figure">{labeled}</span>'
