"""The footers of Parquet files, read in a child process.

A footer says where everything in a file lies; one that is damaged or crafted can end the process that reads it. So a child
reads it first, with a limit on its memory. Rows are read in this process, which needs no copy of them: only from files whose
footers the child could read, and which have not changed since.

In: paths. Out: a `Footer` for each, or `FormatError` that names the file.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainrule.errors import FormatError, MissingError

_CHILD = Path(__file__).with_name("footer_child.py")
_MEMORY = 4 << 30
_SECONDS = 60.0
_SECONDS_PER_FILE = 2.0

MISSING = "Parquet files are streamed by pyarrow: pip install 'chainrule[parquet]'."


@dataclass(frozen=True)
class Footer:
    """What the footer of a file says, and what the file was like when it was read.

    `schema` holds names and Arrow types of the columns, `groups` the rows and bytes of each row group, `pandas` the names of
    the columns that pandas saved as an index.
    """

    path: str
    size: int
    changed: int
    sha256: str
    schema: tuple[tuple[str, str], ...]
    groups: tuple[tuple[int, int], ...]
    pandas: str


def read_footers(owner: str, paths: Sequence[str]) -> list[Footer]:
    """Read the footers of files; refuse the first that cannot be read."""
    try:
        package = importlib.import_module("pyarrow").__file__
    except ImportError:
        raise MissingError(f"{owner}: {MISSING}") from None
    changed = [os.stat(path).st_mtime_ns for path in paths]
    folder = os.path.abspath(Path(str(package)).parents[1])
    command = [sys.executable, "-P", str(_CHILD), str(_MEMORY), folder]
    seconds = _SECONDS + _SECONDS_PER_FILE * len(paths)
    try:
        done = subprocess.run(
            command,
            input=json.dumps([os.path.abspath(path) for path in paths]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FormatError(f"{owner}: the footers of the files must be readable in {seconds:.0f} s.") from None
    lines = done.stdout.splitlines()
    footers = [_parsed(path, time, line) for path, time, line in zip(paths, changed, lines, strict=False)]
    if len(lines) < len(paths):
        hint = "It is damaged: its reader ended."
        raise FormatError(f"{paths[len(lines)]}: the file must be a readable Parquet file. {hint}")
    return footers


def _parsed(path: str, changed: int, line: bytes) -> Footer:
    facts: dict[str, Any] = json.loads(line)
    if "fault" in facts:
        raise FormatError(f"{path}: the file must be a readable Parquet file, got: {facts['fault']}.")
    schema = tuple((str(name), str(kind)) for name, kind in facts["schema"])
    groups = tuple((int(rows), int(size)) for rows, size in facts["groups"])
    return Footer(path, int(facts["size"]), changed, str(facts["sha256"]), schema, groups, str(facts["pandas"]))
