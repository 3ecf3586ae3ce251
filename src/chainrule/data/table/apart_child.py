"""The child process that reads one parquet or Excel file: it imports no other module of this package.

In: the kind of the file, the memory that it may take and folders of packages as arguments; the file on standard input. Out:
one line of JSON on standard output, then the table in Arrow's format for streams.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import Any

MOST_COLUMNS = 100_000
FREE_ROWS, ROWS_PER_BYTE = 1_000_000, 16
FREE_CELLS, CELLS_PER_BYTE = 4_000_000, 100
"""Most rows and cells of a parquet file: some for any file, and more for each byte of it."""

LONGEST_NOTE = 50_000_000


def main() -> None:
    """Read the file on standard input and write the table to standard output."""
    kind = sys.argv[1]
    sys.path.extend(sys.argv[3:])
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get into the answer
    data = sys.stdin.buffer.read()
    try:
        import polars as pl

        limit(int(sys.argv[2]))
        frame, facts = parquet(pl, data) if kind == "parquet" else workbook(pl, data)
        table = io.BytesIO()
        frame.write_ipc_stream(table)
    except Exception as error:
        cause = str(error).partition("\n")[0] or type(error).__name__
        answer.write(json.dumps({"fault": cause[:500]}).encode() + b"\n")
    else:
        answer.write(json.dumps(facts).encode() + b"\n")
        answer.write(table.getbuffer())
    answer.close()


def limit(memory: int) -> None:
    """Limit the memory that this process may take from now on, and let it write no file."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def parquet(pl: Any, data: bytes) -> tuple[Any, dict[str, Any]]:
    """Return a parquet file's frame, and what pandas noted; rows and columns are counted in the footer first."""
    lazy = pl.scan_parquet(io.BytesIO(data))
    columns = len(lazy.collect_schema())
    rows = lazy.select(pl.len()).collect().item()
    if columns > MOST_COLUMNS:
        raise ValueError(f"{columns:,} columns, more than {MOST_COLUMNS:,}")
    if rows > FREE_ROWS + ROWS_PER_BYTE * len(data) or rows * columns > FREE_CELLS + CELLS_PER_BYTE * len(data):
        raise ValueError(
            f"{rows:,} rows of {columns:,} columns in {len(data):,} bytes, more than a file of its size may have"
        )
    note = pl.read_parquet_metadata(io.BytesIO(data)).get("pandas", "")
    return pl.read_parquet(io.BytesIO(data)), {"pandas": note if len(note) < LONGEST_NOTE else ""}


def workbook(pl: Any, data: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the first sheet of a workbook as texts, and the names of the sheets."""
    import fastexcel

    book = fastexcel.read_excel(data)
    cells = book.load_sheet(0, header_row=None, dtypes="string")
    frame = pl.DataFrame(cells)
    if frame.width > MOST_COLUMNS:
        raise ValueError(f"{frame.width:,} columns, more than {MOST_COLUMNS:,}")
    return frame, {"sheets": book.sheet_names}


if __name__ == "__main__":
    main()
