"""Zip archives of which only the directory has been read, so that a bomb is refused before it is unpacked.

In: a zip archive. Out: its entries, or `FormatError`.
"""

from __future__ import annotations

import zipfile
from typing import IO

from chainrule.data.gzipped import FREE, RATIO, allowed_size
from chainrule.errors import FormatError

_MOST_ENTRIES = 10_000
_ENCRYPTED = 1


def checked_entries(name: str, archive: zipfile.ZipFile, packed: int) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of an archive by their names.

    Parameters
    ----------
    name : str
        The file, for messages.
    archive : zipfile.ZipFile
        The archive.
    packed : int
        Size of the file in bytes.

    Returns
    -------
    dict of str to zipfile.ZipInfo

    Raises
    ------
    FormatError
        For more than 10,000 entries, two of one name, encrypted ones, and for entries that unpack to more than 100 times
        the file and 32 MB.
    """
    entries = archive.infolist()
    named = {entry.filename: entry for entry in entries}
    if len(entries) > _MOST_ENTRIES or len(named) < len(entries):
        raise FormatError(f"{name}: the archive must have at most {_MOST_ENTRIES:,} entries of different names.")
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise FormatError(f"{name}: the archive must not be encrypted.")
    size = sum(entry.file_size for entry in entries)
    if size > allowed_size(packed):
        raise FormatError(
            f"{name}: the archive must unpack to at most {RATIO} times its size (and {FREE >> 20} MB), got {size:,} bytes "
            f"from {packed:,}. If you trust it, save it uncompressed or as .csv."
        )
    return named


def read_exactly(file: IO[bytes], count: int) -> bytearray:
    """Return this many bytes, read in pieces so that no library unpacks more of them at once."""
    data = bytearray()
    while len(data) < count:
        piece = file.read(min(count - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    return data
