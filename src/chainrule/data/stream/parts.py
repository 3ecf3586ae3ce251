"""Which rows are held out: decided by a hash of the row, not by its place in an epoch.

The hash is of the seed and of the row's number (of its group and within it) or, where a column of keys is named, of its key.
So the same rows are held out in every pass, on every machine, and for any size of the windows.
In: numbers of rows or keys, shares. Out: a code for each row.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.random import Purpose, Stream, mix

TRAIN, VALIDATION, TEST = 0, 1, 2
_PARTS, _SAMPLE = 101, 102
"""Numbers of the two streams: of the parts, and of the training rows that are kept to be scored."""


@dataclass(frozen=True)
class Shares:
    """Shares of the rows: held out for validation and test, and of the training rows those that are kept in memory as well.

    `kept` of the held-out rows stay in memory; the others are not used at all, where no more fit.
    """

    validation: float = 0.0
    test: float = 0.0
    sample: float = 0.0
    seed: int = 0


def part_codes(shares: Shares, group: int, start: int, n: int, keys: Any = None) -> Array:
    """Return the part of rows start .. start + n - 1 of a group: `TRAIN`, `VALIDATION` or `TEST`."""
    codes = np.zeros(n, np.int8)
    if not shares.validation and not shares.test:
        return codes
    stream = Stream.from_seed(shares.seed).fold(Purpose.SPLIT, _PARTS)
    if keys is None:
        u = _share(stream.fold(group), np.arange(start, start + n, dtype=np.uint32))
    else:
        u = _share(stream, _hashes(keys))
    codes[u < shares.test + shares.validation] = VALIDATION
    codes[u < shares.test] = TEST
    return codes


def sample_mask(shares: Shares, group: int, start: int, n: int) -> Array:
    """Return which rows are in the sample of training rows."""
    stream = Stream.from_seed(shares.seed).fold(Purpose.SPLIT, _SAMPLE, group)
    mask: Array = _share(stream, np.arange(start, start + n, dtype=np.uint32)) < shares.sample
    return mask


def _share(stream: Stream, index: Array) -> Array:
    """Return numbers in [0, 1) for words of a stream, by their numbers."""
    words: Array = mix(mix(index + stream.a) ^ stream.b)
    return words / 2.0**32


def _hashes(keys: Any) -> Array:
    """Return the CRC-32 of each key of a column, as text."""
    import polars as pl

    text = keys.cast(pl.String)
    distinct = text.unique()
    hashes = [zlib.crc32(("" if value is None else value).encode("utf-8", "surrogatepass")) for value in distinct]
    found: Array = text.replace_strict(distinct, pl.Series(hashes, dtype=pl.UInt32)).to_numpy()
    return found
