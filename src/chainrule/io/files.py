"""Atomic writes and locked folders: a file is either whole or not there, whatever happens while it is written.

In: a path and bytes, or a folder. Out: the file, in place; the folder, held by one process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chainrule.errors import InvalidValueError, MissingError, must_be


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file as a whole: into a temporary file beside it, flushed to the disk, then renamed.

    Parameters
    ----------
    path : Path
        The file; one of this name is replaced.
    data : bytes
        Its content.

    Raises
    ------
    MissingError
        For a folder that does not exist.
    InvalidValueError
        For a path that is itself a folder.
    """
    if path.is_dir():
        raise InvalidValueError(must_be("write", "path", "a file's", str(path), "It is a folder."))
    if not path.parent.is_dir():
        raise MissingError(f"write: folder {str(path.parent)!r} must exist. Create it first.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can flush a folder."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


@contextmanager
def locked(folder: Path, refusal: str) -> Iterator[None]:
    """Hold a folder's lock until the block ends; the system releases it however the process ends.

    Raises `InvalidValueError` with the text `refusal` where another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # pragma: no cover  (no such locks on this system)
        yield
        return
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidValueError(refusal) from None
        yield
