"""A sketch of rows: enough to tell later whether other rows are among them, and nothing that shows what they hold.

In: a matrix of rows. Out: at most 4096 hashes; the share of other rows that are among the first ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array

MOST_HASHES = 4096
"""Hashes that are kept: 32 kB, and for a million rows still a few for each ten thousand that are looked up."""

_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_START = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


@dataclass(frozen=True, eq=False)
class RowSketch:
    """The smallest hashes of some rows.

    Of rows looked up later, those whose hash is at most the largest one kept are a random sample, and each of them was
    among the first rows exactly if its hash is here. Up to 4096 rows this is exact.

    Reference  [cohen2007]

    Parameters
    ----------
    hashes : array of shape (k,)
        Ascending, distinct, uint64.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> RowSketch.of(X[:4]).share(X[2:])
    0.5
    """

    hashes: Array = field(repr=False)

    @classmethod
    def of(cls, X: Array) -> RowSketch:
        """Return the sketch of rows.

        Parameters
        ----------
        X : array of shape (n, d)
            The rows.

        Returns
        -------
        RowSketch
        """
        return cls(np.unique(row_hashes(X))[:MOST_HASHES])

    def joined(self, X: Array) -> RowSketch:
        """Return the sketch of the same rows and more.

        Parameters
        ----------
        X : array of shape (n, d)
            The further rows.

        Returns
        -------
        RowSketch
        """
        return self.with_hashes(row_hashes(X))

    def with_hashes(self, hashes: Array) -> RowSketch:
        """Return the sketch of the same rows and of those with these hashes.

        Parameters
        ----------
        hashes : array of shape (n,)
            What `row_hashes` gives for the further rows.

        Returns
        -------
        RowSketch
        """
        if len(self.hashes) >= MOST_HASHES:
            hashes = hashes[hashes < self.hashes[-1]]
        return RowSketch(np.union1d(self.hashes, hashes)[:MOST_HASHES]) if len(hashes) else self

    def share(self, X: Array) -> float | None:
        """Estimate which share of rows is among those of the sketch.

        Parameters
        ----------
        X : array of shape (n, d)
            Other rows.

        Returns
        -------
        float or None
            None where none of the rows can be looked up.
        """
        found, looked_up = self.found(X)
        return found / looked_up if looked_up else None

    def found(self, X: Array) -> tuple[int, int]:
        """Count the rows that are among those of the sketch, and the rows that can be looked up.

        Parameters
        ----------
        X : array of shape (n, d)
            Other rows.

        Returns
        -------
        tuple of (int, int)
        """
        hashes = row_hashes(X)
        if len(self.hashes) >= MOST_HASHES:
            hashes = hashes[hashes <= self.hashes[-1]]
        return int(np.isin(hashes, self.hashes).sum()), len(hashes)


def row_hashes(X: Array) -> Array:
    """Return a hash of 64 bits for each row; equal numbers give equal hashes, in float32 as in float64."""
    hashes = np.full(len(X), _START)
    for j in range(X.shape[1]):
        column = X[:, j].astype(np.float64) + 0.0
        column[np.isnan(column)] = np.nan
        hashes ^= column.view(np.uint64)
        for multiplier in _MULTIPLIERS:
            hashes *= multiplier
            hashes ^= hashes >> _HALF
    return hashes
