"""Effects on files: a file is either whole or not there, whatever happens while it is written.

Everything that the package writes goes through these few functions, so that one test can let each call of the system fail.

In: a path and bytes, or a folder. Out: the file, in place; the folder, held by one process; errors that name the path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from chainrule.errors import ChainruleError, InvalidValueError, MissingError, WriteError, must_be

T = TypeVar("T")

_LONGEST = 160
"""Bytes of a name up to which a temporary file repeats it; file systems allow about 255 in all."""

_FULL = "Free some space or choose another disk, then run it again."
_HINTS: Mapping[int, str] = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: "Choose a folder that you may write to.",
    errno.EPERM: "Choose a folder that you may write to.",
    errno.EROFS: "Choose a folder that you may write to.",
    errno.EIO: "The disk reports a fault.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}
_FAULTS_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def could_not_write(owner: str, path: Path | str, error: Exception) -> WriteError:
    """Return the error that says what could not be written, where, and why.

    Parameters
    ----------
    owner : str
        The object that wrote.
    path : Path or str
        The file or folder.
    error : Exception
        What the system said.

    Returns
    -------
    WriteError
    """
    code = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or str(error)
    failed = WriteError(f"{owner}: could not write {str(path)!r}: {reason}. {_HINTS.get(code or 0, '')}".rstrip())
    failed.errno = code
    return failed


@contextmanager
def reporting(owner: str, path: Path | str) -> Iterator[None]:
    """Turn a fault of the system inside the block into a `WriteError` that names the object and the path."""
    try:
        yield
    except ChainruleError:
        raise
    except OSError as error:
        raise could_not_write(owner, path, error) from error


def write_atomically(path: Path, data: bytes, owner: str = "write") -> None:
    """Write a file as a whole: into a temporary file beside it, flushed to the disk, then renamed.

    What a killed process left half-written beside the file is removed; what another process is writing is not.

    Parameters
    ----------
    path : Path
        The file; one of this name is replaced.
    data : bytes
        Its content.
    owner : str, default="write"
        The object that writes, for messages.

    Raises
    ------
    MissingError
        For a folder that does not exist.
    InvalidValueError
        For a path that is itself a folder.
    WriteError
        Where the system cannot write the file. Nothing is left of the attempt, and an older file stays as it was.
    """
    with writing_atomically(path, owner) as write:
        write(data)


@contextmanager
def writing_atomically(path: Path, owner: str = "write") -> Iterator[Callable[[bytes], None]]:
    """Provide a function that writes the next bytes of a file, which appears as a whole at the end of the block.

    Parameters
    ----------
    path : Path
        The file; one of this name is replaced.
    owner : str, default="write"
        The object that writes, for messages.

    Raises
    ------
    MissingError, InvalidValueError, WriteError
        As `write_atomically` does.
    """
    with reporting(owner, path):
        if path.is_dir():
            raise InvalidValueError(must_be(owner, "path", "a file's", str(path), "It is a folder."))
        if not path.parent.is_dir():
            raise MissingError(f"{owner}: folder {str(path.parent)!r} must exist. Create it first.")
        _remove_abandoned(path)
        handle, temporary = _temporary(path)
        try:
            yield lambda data: write_all(handle, data)
            _again(os.fsync, handle)
            if os.name == "nt":  # an open file cannot be renamed there
                handle = _closed(handle)
            _again(os.replace, temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            _closed(handle)
        flush_folder(path.parent)


def _closed(handle: int) -> int:
    """Close a file that was flushed, if it is open."""
    with suppress(OSError):
        os.close(handle)
    return -1


def write_all(handle: int, data: bytes) -> None:
    """Write all bytes to an open file, however few the system takes at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[_again(os.write, handle, rest) :]


def _again(call: Callable[..., T], *arguments: Any) -> T:
    """Call the system again as long as a signal interrupts it."""
    while True:
        try:
            return call(*arguments)
        except InterruptedError:
            continue


def _temporary(path: Path) -> tuple[int, Path]:
    """Open a new temporary file beside a file; while it is locked, no other process takes it for abandoned."""
    while True:
        temporary = path.with_name(f"{_prefix(path.name)}{secrets.token_hex(6)}.tmp")
        handle = _again(os.open, temporary, _NEW, 0o666)
        _lock(handle, wait=True)
        with suppress(OSError):
            if os.path.samestat(os.stat(temporary), os.fstat(handle)):
                return handle, temporary
        _closed(handle)


def _prefix(name: str) -> str:
    """Return how the names of a file's temporary files begin."""
    encoded = os.fsencode(name)
    return f".{name}." if len(encoded) <= _LONGEST else f".{hashlib.sha256(encoded).hexdigest()[:32]}."


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of this file whose process was killed."""
    pattern = re.compile(re.escape(_prefix(path.name)) + "[0-9a-f]{12}[.]tmp")
    with suppress(OSError):
        for name in os.listdir(path.parent):
            if pattern.fullmatch(name):
                remove_if_abandoned(path.with_name(name))


def is_temporary(name: str, of: str) -> bool:
    """Check whether a name is that of a temporary file of another."""
    return re.fullmatch(re.escape(_prefix(of)) + "[0-9a-f]{12}[.]tmp", name) is not None


def remove_if_abandoned(path: Path) -> None:
    """Remove a temporary file unless a process is writing it."""
    with suppress(OSError):
        if os.name == "nt":  # an open file cannot be removed there
            os.unlink(path)
            return
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            if _lock(handle, wait=False):
                os.unlink(path)
        finally:
            os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    """Lock an open file or folder; return False where another process holds it. Without locks here, it counts as locked."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover  (no such locks on this system)
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def flush_folder(folder: Path) -> None:
    """Make a rename in a folder survive a power cut, where the system can flush a folder."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        handle = _again(os.open, folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _again(os.fsync, handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in _FAULTS_OF_THE_DISK:
            raise


def append(path: Path, data: bytes, owner: str) -> None:
    """Add bytes to the end of a file, all of them or none, and flush them to the disk.

    Parameters
    ----------
    path : Path
        The file; made if it does not exist.
    data : bytes
        What is added.
    owner : str
        The object that writes, for messages.

    Raises
    ------
    WriteError
        Where the system cannot write it; the file then has its old length.
    """
    with reporting(owner, path):
        handle = _again(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
        try:
            before = os.fstat(handle).st_size
            try:
                write_all(handle, data)
                _again(os.fsync, handle)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(handle, before)
                raise
        finally:
            _closed(handle)


def shorten(path: Path, size: int, owner: str) -> None:
    """Cut off what follows the first `size` bytes of a file."""
    with reporting(owner, path):
        os.truncate(path, size)


def make_folder(folder: Path, owner: str) -> tuple[Path, ...]:
    """Make a folder and those above it, all or none.

    Parameters
    ----------
    folder : Path
        The folder; it may exist.
    owner : str
        The object that needs it, for messages.

    Returns
    -------
    tuple of Path
        The folders that were made, from the innermost up.

    Raises
    ------
    WriteError
        Where the system cannot make it.
    """
    missing: list[Path] = []
    place = folder
    while not place.is_dir() and place != place.parent:
        missing.append(place)
        place = place.parent
    made: list[Path] = []
    with reporting(owner, folder):
        try:
            for each in reversed(missing):
                if _made(each):
                    made.insert(0, each)
        except OSError:
            remove_folders(made)
            raise
    return tuple(made)


def _made(folder: Path) -> bool:
    """Make a folder; return False if it is there."""
    try:
        _again(os.mkdir, folder)
    except FileExistsError:
        if folder.is_dir():
            return False
        raise
    return True


def remove_folders(folders: list[Path] | tuple[Path, ...]) -> None:
    """Remove folders in this order, as far as they are empty; a fault of the disk may pass, so each is tried twice."""
    for folder in folders:
        with suppress(OSError):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                os.rmdir(folder)


@contextmanager
def locked(folder: Path, refusal: str, owner: str = "write") -> Iterator[None]:
    """Hold a folder's lock until the block ends; the system releases it however the process ends.

    Raises `InvalidValueError` with the text `refusal` where another process holds it, `WriteError` where the folder cannot
    be written.
    """
    path = folder / "lock"
    with reporting(owner, path):
        handle = _again(os.open, path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _lock(handle, wait=False):
            raise InvalidValueError(refusal)
        yield
    finally:
        _closed(handle)


def hold_folder(folder: Path) -> int | None:
    """Lock a folder itself, so that no file is needed for it; return a handle to close later, None where it is held.

    Where folders cannot be locked, the handle is -1.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return -1
    handle = _again(os.open, folder, os.O_RDONLY | os.O_DIRECTORY)
    with suppress(OSError):
        if _lock(handle, wait=False) and os.path.samestat(os.stat(folder), os.fstat(handle)):
            return handle
    _closed(handle)
    return None


def move(path: Path, to: Path, owner: str) -> None:
    """Give a file or folder another name on the same disk, for good.

    Parameters
    ----------
    path, to : Path
        The old and the new name; a file of the new name is replaced.
    owner : str
        The object that writes, for messages.

    Raises
    ------
    WriteError
        Where the system cannot do it.
    """
    with reporting(owner, to):
        _again(os.replace if path.is_file() else os.rename, path, to)
        flush_folder(to.parent)


def remove(path: Path) -> None:
    """Remove a file if it is there and can be removed."""
    with suppress(OSError):
        os.unlink(path)
