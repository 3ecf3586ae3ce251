"""Parquet and Excel files, read in a process of its own.

Their readers are written in Rust and C. A damaged or crafted file makes them panic, which Python code cannot handle, or ends
the process. So a child process reads the file, with a limit on its memory, and hands over the table; if it ends early, the
file is refused with an error of this package.

In: the content of a file. Out: its frame and what else it says, or `FormatError`.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from chainrule.data.archives import checked_entries
from chainrule.errors import FormatError

_CHILD = Path(__file__).with_name("apart_child.py")

_MEMORY = 2 << 30
_MEMORY_RATIO = 1000
"""Bytes of memory that the child may take: some for any file, and more for each byte of it."""

_SECONDS = 60.0
_BYTES_PER_SECOND = 1e6
"""Time that the child may take: seconds for any file, and one more for each megabyte."""


@dataclass(frozen=True, eq=False)
class ReadApart:
    """What a child process read from a file.

    Parameters
    ----------
    frame : polars.DataFrame
        The table as it is in the file; cells of a workbook are texts.
    facts : dict
        For parquet: "pandas", what pandas noted in the file. For a workbook: "sheets", their names.
    """

    frame: pl.DataFrame = field(repr=False)
    facts: dict[str, Any]


def read_parquet_apart(name: str, data: bytes) -> ReadApart:
    """Read a parquet file; `FormatError` for a damaged one, and for more rows and cells than its size allows."""
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1":
        raise FormatError(f"{name}: the file must be a readable table, got: no parquet file, or a part of one.")
    return _read(name, "parquet", data, "a readable table")


def read_workbook_apart(name: str, data: bytes) -> ReadApart:
    """Read the first sheet of an .xlsx file; `FormatError` for a damaged one and for a bomb."""
    what = "a readable .xlsx workbook"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            checked_entries(name, archive, len(data))
    except FormatError:
        raise
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, RuntimeError) as error:
        raise FormatError(f"{name}: the file must be {what}, got: {error}") from error
    return _read(name, "xlsx", data, what)


def _read(name: str, kind: Literal["parquet", "xlsx"], data: bytes, what: str) -> ReadApart:
    memory = _MEMORY + _MEMORY_RATIO * len(data)
    command = [sys.executable, "-P", str(_CHILD), kind, str(memory), *_folders("polars", "fastexcel")]
    seconds = _SECONDS + len(data) / _BYTES_PER_SECOND
    try:
        done = subprocess.run(
            command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise FormatError(
            f"{name}: the file must be {what}, got one that takes over {seconds:.0f} s to read."
        ) from None
    line, _, table = done.stdout.partition(b"\n")
    if done.returncode or not line:
        hint = "It is damaged, or needs more memory than a file of its size should."
        raise FormatError(f"{name}: the file must be {what}, got one that its reader cannot read. {hint}")
    facts = json.loads(line)
    if "fault" in facts:
        raise FormatError(f"{name}: the file must be {what}, got: {facts['fault']}")
    return ReadApart(pl.read_ipc_stream(io.BytesIO(table)), facts)


def _folders(*packages: str) -> list[str]:
    """Return the folders of packages that this process has found, so that the child finds the same."""
    folders = []
    for package in packages:
        with suppress(ImportError):
            file = importlib.import_module(package).__file__
            folders += [str(Path(file).parents[1])] if file else []
    return list(dict.fromkeys(os.path.abspath(folder) for folder in folders))
