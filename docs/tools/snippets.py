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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)(?P<info>[^\n]*)\n(?P<source>.*?)^(?P=indent)```[ ]*\n?", re.MULTILINE | re.DOTALL
)
_KINDS = {"python": "python", "py": "python", "sh": "sh", "bash": "sh", "console": "sh", "text": "text"}
OTHERS = 'title="PyTorch"'
"""The mark of a block that shows another library's code: the only Python on a page that is not run."""


@dataclass(frozen=True)
class Instead:
    """What runs in place of a command that takes hours, changes the machine or needs what a test has not.

    Parameters
    ----------
    why : str
        The reason.
    commands : tuple of str, default=()
        Commands of the package that run in its place.
    code : int, default=0
        The exit code that they end with.
    """

    why: str
    commands: tuple[str, ...] = ()
    code: int = 0


@dataclass(frozen=True)
class Cell:
    """Part of a page: prose ("markdown") or a code fence; `output` is the ```text fence that follows a Python block.

    Python runs, whether its fence says `python` or `py`, and so do the commands of `sh`, `bash` and `console`. Other
    fences, and Python marked with `OTHERS`, are only shown. `info` is what follows the kind on the fence's first line.
    """

    kind: str
    source: str
    line: int
    output: str | None = None
    info: str = ""


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
        yield Cell(kind, source, _line(markdown, fence.start("source")), info=fence["info"].strip())
        start = fence.end()
    if markdown[start:].strip():
        yield Cell("markdown", markdown[start:].strip("\n"), _line(markdown, start))


def _line(markdown: str, position: int) -> int:
    return markdown.count("\n", 0, position) + 1


def fences(markdown: str) -> list[tuple[str, str, int]]:
    """Return kind, source and line of every fence of a page, whatever it is called."""
    return [
        (fence["kind"] + fence["info"], textwrap.dedent(fence["source"]), _line(markdown, fence.start("source")))
        for fence in _FENCE.finditer(markdown)
    ]


def run(page: Path, folder: Path, commands: bool = True, instead: Mapping[str, Instead] | None = None) -> int:
    """Run a page's cells in a folder as one program, with or without shell commands; return the number of Python cells.

    `instead` maps commands to what runs in their place.

    Raises `AssertionError` if a cell prints something else than the page shows, or if a command fails.
    """
    ran = 0
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for cell in cells(page.read_text("utf-8")):
            if cell.kind == "python":
                run_python(cell, page.name, names)
            elif cell.kind == "sh" and commands:
                run_commands(cell, page.name, instead or {})
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


def commands_of(source: str) -> list[str]:
    """Return the commands of a block: the lines behind `$ ` if it has such lines, otherwise all lines; no comments."""
    lines = source.replace("\\\n", " ").splitlines()
    prompted = [line[2:] for line in lines if line.startswith("$ ")]
    found = [re.sub(r"(^|\s+)#.*$", "", line).strip() for line in prompted or lines]
    return [line for line in found if line]


def run_commands(cell: Cell, name: str, instead: Mapping[str, Instead]) -> None:
    """Run the commands of a cell in this process, or what stands for them."""
    for line in commands_of(cell.source):
        other = instead.get(line, Instead("", (line,)))
        for command in other.commands:
            assert command.startswith("chainrule "), f"{name}:{cell.line} `{command}` is neither run nor replaced"
            code, error = _run_command(command)
            assert code == other.code, f"{name}:{cell.line} `{command}` ends with {code}: {error}"


def _run_command(line: str) -> tuple[int, str]:
    """Run a command of the package with its output in the file behind `>`; return its exit code and its messages."""
    from chainrule import cli

    words = shlex.split(line)[1:]
    target = Path(words[words.index(">") + 1]) if ">" in words else Path(os.devnull)
    words = words[: words.index(">")] if ">" in words else words
    err = io.StringIO()
    with target.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(err):
        return cli.run(words), err.getvalue()
