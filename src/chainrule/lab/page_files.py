"""The files of the page, read once when the lab starts: a request names one of them or none, never a path.

In: the folder of the page in the package. Out: what each address answers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".txt": "text/plain; charset=utf-8",
}
_TRAINER = re.compile(rb'(<meta\s+name="trainer"\s+content=")[^"]*(")')
FOLDER = Path(__file__).parent / "page"
"""Where the package keeps the page."""


@dataclass(frozen=True)
class PageFile:
    """One file as it is sent.

    Parameters
    ----------
    data : bytes
        Its content.
    kind : str
        Its media type.
    tag : str
        Hash of the content, by which a browser knows that it has not changed.
    """

    data: bytes
    kind: str
    tag: str


def page_files(folder: Path = FOLDER, more: Mapping[str, bytes] | None = None) -> dict[str, PageFile]:
    """Return the files of a page by their addresses; "/" is index.html, which is to train on a server.

    Parameters
    ----------
    folder : Path
        The folder; only files of known kinds in it are served.
    more : mapping of str to bytes, default=None
        Further files by their addresses.

    Returns
    -------
    dict of str to PageFile
    """
    found = {
        f"/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix in _TYPES
    }
    found |= more or {}
    index = found.pop("/index.html", None)
    if index is not None:
        found["/"] = _TRAINER.sub(rb"\1remote\2", index)
    return {address: _file(address, data) for address, data in found.items()}


def _file(address: str, data: bytes) -> PageFile:
    kind = _TYPES[".html" if address == "/" else Path(address).suffix]
    return PageFile(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
