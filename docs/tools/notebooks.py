"""Why: each chapter is a page to read and a notebook to run, written once.

In: a chapter in Markdown. Out: the same as a Jupyter notebook, drawings inside, outputs as the page shows them.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from snippets import Cell, cells

_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)]+\.svg)\)(\{[^}]*\})?")
_PAGE = re.compile(r"\]\((?!https?:|attachment:|#)([^)]+)\)")


def notebook(chapter: Path, site: str = "") -> dict[str, Any]:
    """The notebook (format 4.5) of a chapter; links to other pages lead to `site` where there is one, else are left out."""
    made = [_cell(cell, i, chapter.parent, site) for i, cell in enumerate(cells(chapter.read_text("utf-8")))]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def dumped(chapter: Path, site: str = "") -> str:
    """The notebook as the text of an .ipynb file."""
    return json.dumps(notebook(chapter, site), ensure_ascii=False, indent=1) + "\n"


def _cell(cell: Cell, number: int, folder: Path, site: str) -> dict[str, Any]:
    if cell.kind == "python":
        printed = [] if cell.output is None else [{"output_type": "stream", "name": "stdout", "text": cell.output}]
        code = {"cell_type": "code", "execution_count": None, "outputs": printed, "source": cell.source.rstrip("\n")}
        return {"id": f"cell-{number}", "metadata": {}, **code}
    text, inside = _with_drawings(_prose(cell), folder)
    text = _PAGE.sub(lambda link: f"]({site}/{_address(link[1])})" if site else "]", text)
    extra = {"attachments": inside} if inside else {}
    return {"id": f"cell-{number}", "metadata": {}, "cell_type": "markdown", "source": text, **extra}


def _prose(cell: Cell) -> str:
    """Prose as it is, other fences with their marks."""
    return f"```{cell.kind}\n{cell.source}```" if cell.kind in ("sh", "text") else cell.source


def _with_drawings(text: str, folder: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """Drawings as attachments of the cell, since a notebook travels alone."""
    inside = {
        Path(image[2]).name: {"image/svg+xml": base64.b64encode((folder / image[2]).read_bytes()).decode()}
        for image in _IMAGE.finditer(text)
    }
    return _IMAGE.sub(lambda image: f"![{image[1]}](attachment:{Path(image[2]).name})", text), inside


def _address(link: str) -> str:
    """Where a page of `learn/` leads, from the site's root."""
    path = link.removeprefix("../") if link.startswith("../") else f"learn/{link}"
    return re.sub(r"\.md(?=#|$)", ".html", path)
