"""Folders that appear whole: files are written in an unfinished folder, which then gets its name.

An unfinished folder that a killed process left is recognized by its name and its files, and taken up when the same folder is
written next. Nothing else is ever removed.

In: names of folders, names of the files to come. Out: a place to write in, then the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chainrule.errors import InvalidValueError, WriteError, must_be
from chainrule.io.files import hold_folder, is_temporary, make_folder, move, remove, remove_folders, reporting

_UNFINISHED = ".unfinished"
_LONGEST = 200
"""Bytes of a folder's name up to which its unfinished folder repeats it."""


class UnfinishedFolder:
    """A folder that is being written; `place` is where its files go meanwhile."""

    def __init__(self, target: Path, owner: str, files: frozenset[str]) -> None:
        self.target = target
        self.place = unfinished(target)
        self.done: Path | None = None
        self._owner = owner
        self._files = files
        self._made: tuple[Path, ...] = ()
        self._moved: list[Path] = []
        self._handle: int | None = None

    def take(self) -> bool:
        """Make the place or take over an abandoned one; return False where another process works in it."""
        with reporting(self._owner, self.target):
            while self._handle is None:
                self._made = (*make_folder(self.place, self._owner), *self._made)
                try:
                    self._handle = hold_folder(self.place)
                except OSError:
                    remove_folders(self._made)
                    raise
                if self._handle is None and self.place.is_dir():
                    return False
            _clear(self.place, self._files)
        return True

    def finish(self) -> Path:
        """Give the folder its name, or the next free one if another process took that meanwhile; return it."""
        if self.done is None:
            self.done = self._moved_up() if self.place.parent == self.target else self._renamed()
            self._release()
        return self.done

    def _renamed(self) -> Path:
        for target in _numbered(self.target):
            if not target.exists():
                try:
                    move(self.place, target, self._owner)
                except WriteError:
                    if not target.exists():
                        raise
                    if self.place.exists():  # another process made it
                        continue
                return target
        raise AssertionError

    def _moved_up(self) -> Path:
        """Move the files into the folder, which was there before."""
        for name in sorted(os.listdir(self.place)):
            self._moved.append(self.target / name)
            move(self.place / name, self.target / name, self._owner)
        remove_folders([self.place])
        return self.target

    def discard(self) -> None:
        """Remove what was written, unless the folder is done."""
        if self.done is None and self._handle is not None:
            for path in self._moved:
                remove(path)
            with suppress(OSError, InvalidValueError):
                _clear(self.place, self._files)
            remove_folders([self.place, *self._made])
        self._release()

    def _release(self) -> None:
        if self._handle is not None and self._handle >= 0:
            with suppress(OSError):
                os.close(self._handle)
        self._handle = None


def unfinished(target: Path) -> Path:
    """Return where a folder is written: inside one that exists, otherwise beside it."""
    if target.is_dir():
        return target / _UNFINISHED
    name = os.fsencode(target.name)[:_LONGEST].decode(errors="ignore")
    return target.parent / f".{name}{_UNFINISHED}"


def is_free(target: Path, files: frozenset[str]) -> bool:
    """Check whether a folder can be written: it is not there, empty, or abandoned by a process that was writing it."""
    if not target.exists():
        return True
    if not target.is_dir():
        return False
    names = set(os.listdir(target))
    return not names or (_UNFINISHED in names and all(_is_ours(name, files) for name in names - {_UNFINISHED}))


def _clear(place: Path, files: frozenset[str]) -> None:
    """Remove what a killed process wrote.

    Raises `InvalidValueError`, before anything is removed, where something else is in the folder.
    """
    names = os.listdir(place)
    strange = sorted(name for name in names if not _is_ours(name, files))
    if strange:
        hint = f"It holds {strange[0]!r}, which no run writes. Move it elsewhere."
        raise InvalidValueError(must_be("train", "folder", "an unfinished run's", str(place), hint))
    for name in names:
        os.unlink(place / name)


def _is_ours(name: str, files: Iterable[str]) -> bool:
    return any(name == file or is_temporary(name, file) for file in files)


def _numbered(target: Path) -> Iterator[Path]:
    """Yield a folder's name, then the same with 1, 2, ... at its end."""
    yield target
    k = 1
    while True:
        yield target.with_name(f"{target.name}-{k}")
        k += 1


@contextmanager
def whole_folder(
    targets: Iterable[Path], owner: str, files: frozenset[str], refusal: str
) -> Iterator[UnfinishedFolder]:
    """Write a folder of which nothing is seen until it is whole.

    Parameters
    ----------
    targets : iterable of Path
        Names that the folder may have; the first at which no other process works is taken.
    owner : str
        The object that writes, for messages.
    files : frozenset of str
        Names of all files that may be written.
    refusal : str
        What to say where other processes work at all of them.

    Yields
    ------
    UnfinishedFolder
        Write in its `place`, then call `finish`. Without that, nothing remains of it after the block.

    Raises
    ------
    InvalidValueError
        With the text `refusal`.
    WriteError
        Where the system cannot make the folder.
    """
    for target in targets:
        folder = UnfinishedFolder(target, owner, files)
        try:
            if folder.take():
                yield folder
                return
        finally:
            folder.discard()
    raise InvalidValueError(refusal)
