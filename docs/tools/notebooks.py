"""Turn a chapter into a Jupyter notebook, so that one source gives both the page to read and the notebook to run.

In: a chapter in Markdown. Out: a notebook with the chapter's drawings inside and the outputs that the page shows.
"""

from __future__ import annotations

import base64
import json
import re
import textwrap
from pathlib import Path
from typing import Any

from snippets import Cell, cells

_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+\.svg)\)(\{[^}]*\})?")
_PAGE = re.compile(r"\]\((?!https?:|attachment:|#)([^)]+)\)")
_BOX = re.compile(r'^(!!!|\?\?\?) \w+ "([^"]+)"\n((?:(?: {4}.*)?\n)*(?: {4}.*)?)', re.MULTILINE)
_FOLDED = "folded"
"""Mark of code that stays hidden until the reader opens it: solutions of exercises."""
SETUP = (
    Cell("markdown", "This notebook needs `chainrule`. In a clone of the repository: `%pip install -q .`", 0),
    Cell("python", "import chainrule", 0),
)
"""The first cells of every notebook."""


def notebook(chapter: Path, site: str = "") -> dict[str, Any]:
    """Return a chapter's notebook (format 4.5); links to other pages lead to `site`, or are dropped if there is none."""
    parts = cells(_without_boxes(chapter.read_text("utf-8")))
    made = [_cell(cell, i, chapter.parent, site) for i, cell in enumerate((*SETUP, *parts))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def dumped(chapter: Path, site: str = "") -> str:
    """Return the notebook as the text of an .ipynb file."""
    return json.dumps(notebook(chapter, site), ensure_ascii=False, indent=1) + "\n"


def _without_boxes(markdown: str) -> str:
    """Turn boxes (`!!! question "To try"`), which Jupyter does not know, into paragraphs with a bold title.

    Code in a box that the page keeps closed (`??? success "Solution"`) is marked as folded.
    """
    return _BOX.sub(_paragraph, markdown)


def _paragraph(box: re.Match[str]) -> str:
    inside = textwrap.dedent(box[3]).strip()
    inside = inside.replace("```python\n", f"```python {_FOLDED}\n") if box[1] == "???" else inside
    return f"**{box[2]}.** {inside}\n\n" if not inside.startswith("```") else f"**{box[2]}.**\n\n{inside}\n\n"


def _cell(cell: Cell, number: int, folder: Path, site: str) -> dict[str, Any]:
    if cell.kind == "python":
        printed = [] if cell.output is None else [{"output_type": "stream", "name": "stdout", "text": cell.output}]
        code = {"cell_type": "code", "execution_count": None, "outputs": printed, "source": cell.source.rstrip("\n")}
        hidden = {"jupyter": {"source_hidden": True, "outputs_hidden": True}} if cell.info == _FOLDED else {}
        return {"id": f"cell-{number}", "metadata": hidden, **code}
    text, inside = _with_drawings(_prose(cell), folder)
    text = _PAGE.sub(lambda link: f"]({site}/{_address(link[1])})" if site else "]", text)
    extra = {"attachments": inside} if inside else {}
    return {"id": f"cell-{number}", "metadata": {}, "cell_type": "markdown", "source": text, **extra}


def _prose(cell: Cell) -> str:
    """Return prose as it is and other fences with their marks."""
    return f"```{cell.kind}\n{cell.source}```" if cell.kind in ("sh", "text") else cell.source


def _with_drawings(text: str, folder: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """Attach the drawings to the cell, since a notebook is one file."""
    inside = {
        Path(image[2]).name: {"image/svg+xml": base64.b64encode((folder / image[2]).read_bytes()).decode()}
        for image in _IMAGE.finditer(text)
    }
    return _IMAGE.sub(lambda image: f"![{image[1]}](attachment:{Path(image[2]).name})", text), inside


def _address(link: str) -> str:
    """Return the address, from the site's root, of a link on a page of `learn/`."""
    path = link.removeprefix("../") if link.startswith("../") else f"learn/{link}"
    return re.sub(r"\.md(?=#|$)", ".html", path)
