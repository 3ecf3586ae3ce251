"""Downloads of public data sets from whichever mirror answers, never damaged or half-written.

In: file names with checksums, and a cache folder. Out: the files in the folder, or the reasons why not.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from chainrule.data.gzipped import decompress
from chainrule.errors import ChainruleError, FormatError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

MNIST: Mapping[str, str] = {
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of each file once unpacked, so that mirrors may compress as they like."""

TIMEOUT = 30.0
"""Seconds without a response after which a mirror is skipped."""


def fetch(files: Mapping[str, str], folder: Path, mirrors: tuple[str, ...] = MIRRORS) -> list[str]:
    """Download the files that are not in the folder yet; return why no mirror gave the first that failed.

    A file appears in the folder whole and with the right checksum, or not at all.
    """
    for name, digest in files.items():
        urls = [mirror + name for mirror in mirrors]
        faults = [] if (folder / name).is_file() else _fetch_file(folder / name, digest, urls)
        if len(faults) == len(mirrors):
            return faults
    return []


def _fetch_file(path: Path, digest: str, urls: list[str]) -> list[str]:
    """Store the file from the first address that gives it; return what went wrong with those before."""
    faults: list[str] = []
    for url in urls:
        try:
            _store(path, _download(url, digest))
            break
        except (OSError, http.client.HTTPException, ChainruleError) as error:
            faults.append(f"{url}: {error}")
    return faults


def _download(url: str, digest: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
        data: bytes = answer.read()
    got = hashlib.sha256(decompress(data, url)).hexdigest()
    if got != digest:
        raise FormatError(f"the unpacked file must have SHA-256 {digest}, got {got}.")
    return data


def _store(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
