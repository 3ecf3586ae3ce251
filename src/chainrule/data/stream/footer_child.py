"""The child process that reads the footers of Parquet files: it imports no other module of this package.

In: the memory that it may take and folders of packages as arguments; the paths of files as a list in JSON on standard input.
Out: a line of JSON for each file on standard output, or for its fault.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from contextlib import suppress
from typing import Any

MOST_COLUMNS = 100_000
MOST_GROUPS = 10_000_000
LONGEST_FOOTER = 1 << 30


def main() -> None:
    """Read the footers of the files named on standard input, and write a line for each."""
    sys.path.extend(sys.argv[2:])
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get into the answer
    paths = json.load(sys.stdin)
    pq = importlib.import_module("pyarrow.parquet")
    limit(int(sys.argv[1]))
    for path in paths:
        try:
            facts = footer(pq, path)
        except Exception as error:
            facts = {"fault": (str(error).partition("\n")[0] or type(error).__name__)[:500]}
        answer.write(json.dumps(facts).encode() + b"\n")
        answer.flush()
    answer.close()


def limit(memory: int) -> None:
    """Limit the memory that this process may take from now on, and let it write no file."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def footer(pq: Any, path: str) -> dict[str, Any]:
    """Return what a file's footer says, with its checksum."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 12:
            raise ValueError("no Parquet file, or a part of one")
        file.seek(-8, 2)
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > min(size - 12, LONGEST_FOOTER):
            raise ValueError("no Parquet file, or a part of one")
        file.seek(-8 - length, 2)
        digest = hashlib.sha256(file.read(length)).hexdigest()
        file.seek(0)
        read = pq.ParquetFile(file, pre_buffer=False)
        metadata, schema = read.metadata, read.schema_arrow
        if len(schema) > MOST_COLUMNS or metadata.num_row_groups > MOST_GROUPS:
            raise ValueError(f"{len(schema):,} columns in {metadata.num_row_groups:,} row groups")
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        note = (schema.metadata or {}).get(b"pandas", b"")
        return {
            "size": size,
            "sha256": digest,
            "schema": [[field.name, str(field.type)] for field in schema],
            "groups": [[group.num_rows, group.total_byte_size] for group in groups],
            "pandas": note.decode("utf-8", "replace") if len(note) < 10_000_000 else "",
        }


if __name__ == "__main__":
    main()
