"""Why: a page's code is a promise; it is kept by running the page as one program.

In: a page in Markdown. Out: its cells; an error that names page and line where what runs is not what is printed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)[^\n]*\n(?P<source>.*?)^(?P=indent)```[ ]*\n?", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Cell:
    """A stretch of a page: prose ("markdown"), or a fence by its kind; `output` is the ```text fence right behind it.

    ```python is run, and so are the lines of ```sh that begin with `chainrule`; ```py and all else is only shown.
    """

    kind: str
    source: str
    line: int
    output: str | None = None


def cells(markdown: str) -> list[Cell]:
    """The page's cells in order."""
    found: list[Cell] = []
    for cell in _stretches(markdown):
        behind = found[-1] if found else None
        if cell.kind == "text" and behind is not None and behind.kind == "python" and behind.output is None:
            found[-1] = replace(behind, output=cell.source)
        else:
            found.append(cell)
    return found


def _stretches(markdown: str) -> Iterator[Cell]:
    """Prose and fences as they stand; blank prose between two fences is left out."""
    start = 0
    for fence in _FENCE.finditer(markdown):
        prose = markdown[start : fence.start()]
        if prose.strip():
            yield Cell("markdown", prose.strip("\n"), _line(markdown, start))
        kind = fence["kind"] if fence["kind"] in ("python", "sh", "text") else "shown"
        source = textwrap.dedent(fence["source"]) if kind != "shown" else fence[0].rstrip("\n")
        yield Cell(kind, source, _line(markdown, fence.start("source")))
        start = fence.end()
    if markdown[start:].strip():
        yield Cell("markdown", markdown[start:].strip("\n"), _line(markdown, start))


def _line(markdown: str, position: int) -> int:
    return markdown.count("\n", 0, position) + 1


def run(page: Path, folder: Path) -> int:
    """Run a page's cells in order in a folder, as one program; the number of Python cells.

    Raises `AssertionError` where a cell prints something else than the page says, or a command fails.
    """
    ran = 0
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for cell in cells(page.read_text("utf-8")):
            if cell.kind == "python":
                run_python(cell, page.name, names)
            elif cell.kind == "sh":
                run_commands(cell, page.name)
            ran += cell.kind == "python"
    return ran


def run_python(cell: Cell, name: str, names: dict[str, Any]) -> None:
    """One cell; its output must be the page's, where the page shows one."""
    said = io.StringIO()
    code = compile("\n" * (cell.line - 1) + cell.source, name, "exec")
    with contextlib.redirect_stdout(said):
        exec(code, names)
    if cell.output is not None:
        told, shown = said.getvalue().rstrip(), cell.output.rstrip()
        assert told == shown, f"{name}:{cell.line} prints\n{told}\nand the page says\n{shown}"


def run_commands(cell: Cell, name: str) -> None:
    """The lines that begin with `chainrule`, in this process; a backslash at a line's end continues it."""
    from chainrule import cli

    for line in cell.source.replace("\\\n", " ").splitlines():
        if not line.startswith("chainrule "):
            continue
        words = shlex.split(line, comments=True)[1:]
        target = Path(words[words.index(">") + 1]) if ">" in words else Path(os.devnull)
        words = words[: words.index(">")] if ">" in words else words
        with (
            target.open("w") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            code = cli.run(words)
        assert code == 0, f"{name}:{cell.line} `{line}` ends with {code}: {err.getvalue()}"
