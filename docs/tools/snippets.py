"""Run the code of a documentation page as one program, so that a page cannot show code that fails.

In: a page in Markdown. Out: its cells; an error that names page and line if a block does not print what the page shows.
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
    r"^(?P<indent> *)```(?P<kind>\w*)(?P<info>[^\n]*)\n(?P<source>.*?)^(?P=indent)```[ ]*\n?", re.MULTILINE | re.DOTALL
)
_KINDS = {"python": "python", "py": "python", "sh": "sh", "text": "text"}
OTHERS = 'title="PyTorch"'
"""The mark of a block that shows another library's code: the only Python on a page that is not run."""


@dataclass(frozen=True)
class Cell:
    """Part of a page: prose ("markdown") or a code fence; `output` is the ```text fence that follows a Python block.

    Python runs, whether its fence says `python` or `py`, and so do the lines of ```sh that begin with `chainrule`. Other
    fences, and Python marked with `OTHERS`, are only shown.
    """

    kind: str
    source: str
    line: int
    output: str | None = None


def cells(markdown: str) -> list[Cell]:
    """Return the page's cells in order."""
    found: list[Cell] = []
    for cell in _stretches(markdown):
        behind = found[-1] if found else None
        if cell.kind == "text" and behind is not None and behind.kind == "python" and behind.output is None:
            found[-1] = replace(behind, output=cell.source)
        else:
            found.append(cell)
    return found


def _stretches(markdown: str) -> Iterator[Cell]:
    """Yield prose and fences in order, without the blank prose between two fences."""
    start = 0
    for fence in _FENCE.finditer(markdown):
        prose = markdown[start : fence.start()]
        if prose.strip():
            yield Cell("markdown", prose.strip("\n"), _line(markdown, start))
        kind = "shown" if OTHERS in fence["info"] else _KINDS.get(fence["kind"], "shown")
        source = textwrap.dedent(fence["source"]) if kind != "shown" else fence[0].rstrip("\n")
        yield Cell(kind, source, _line(markdown, fence.start("source")))
        start = fence.end()
    if markdown[start:].strip():
        yield Cell("markdown", markdown[start:].strip("\n"), _line(markdown, start))


def _line(markdown: str, position: int) -> int:
    return markdown.count("\n", 0, position) + 1


def run(page: Path, folder: Path, commands: bool = True) -> int:
    """Run a page's cells in a folder as one program, with or without shell commands; return the number of Python cells.

    Raises `AssertionError` if a cell prints something else than the page shows, or if a command fails.
    """
    ran = 0
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for cell in cells(page.read_text("utf-8")):
            if cell.kind == "python":
                run_python(cell, page.name, names)
            elif cell.kind == "sh" and commands:
                run_commands(cell, page.name)
            ran += cell.kind == "python"
    return ran


def run_python(cell: Cell, name: str, names: dict[str, Any]) -> None:
    """Run one cell and compare its output with the page's, if the page shows any."""
    stdout = io.StringIO()
    code = compile("\n" * (cell.line - 1) + cell.source, name, "exec")
    with contextlib.redirect_stdout(stdout):
        exec(code, names)
    if cell.output is not None:
        printed = stdout.getvalue().rstrip()
        shown = cell.output.rstrip()
        assert printed == shown, f"{name}:{cell.line} prints\n{printed}\nand the page says\n{shown}"


def run_commands(cell: Cell, name: str) -> None:
    """Run the lines that begin with `chainrule` in this process; a backslash at the end of a line continues it."""
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
