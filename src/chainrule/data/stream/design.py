"""How the rows of a source become the matrix that a network takes: by a table's description, or as numbers as they are.

In: pieces of a source. Out: matrices in the user's units, and the same scaled.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from chainrule.arrays import Array
from chainrule.data.scaling import Standardizer
from chainrule.data.stream.described import names_of_numbers
from chainrule.data.stream.passes import scaled_columns
from chainrule.data.stream.source import Piece
from chainrule.data.table.loading import number_matrix
from chainrule.data.table.schema import TableSchema
from chainrule.engines import standardized


class Design(Protocol):
    """What makes a matrix of a piece."""

    names: tuple[str, ...]
    """Names of the matrix's columns."""
    columns: tuple[str, ...]
    """Columns of the source that are read for it."""

    def plain(self, place: str, piece: Piece) -> Array:
        """Return rows (n, d) in the user's units."""


class NumberDesign:
    """Columns of numbers without gaps, as they are.

    Parameters
    ----------
    names : tuple of str
        The columns.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.columns = names

    def plain(self, place: str, piece: Piece) -> Array:
        """Return rows in the user's units; a gap or text is named with its column."""
        X = piece.matrix(self.columns)
        if X is None or not _finite(X):
            X = number_matrix(place, piece.frame(self.columns), self.columns)
        return X


class TableDesign:
    """The plain matrix of a table: numbers with gaps filled, indicators of gaps, and one-hot categories.

    Parameters
    ----------
    schema : TableSchema
        What was found in all rows.
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.names = schema.design_names
        self.columns = tuple(column.name for column in schema.used)
        self._numbers = names_of_numbers(schema) is not None

    def plain(self, place: str, piece: Piece) -> Array:
        """Return rows in the user's units."""
        if self._numbers:
            X = piece.matrix(self.columns)
            if X is not None and _finite(X):
                return X
        return self.schema.design(place, piece.frame(self.columns))


def _finite(X: Array) -> bool:
    """Check whether all numbers are finite, without an array of answers."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(X.sum(dtype=np.float64)))


Columns = list[Array]
"""Columns of float32 or float64 that lie apart, each contiguous."""


def unchecked(design: Design, piece: Piece) -> Array | Columns | None:
    """Return numbers as they are, as columns or a matrix, none of which was looked at; None where more must be done."""
    if not (isinstance(design, NumberDesign) or (isinstance(design, TableDesign) and design._numbers)):
        return None
    return piece.vectors(design.columns) or piece.matrix(design.columns)


def scaled(design: Design, scaling: Standardizer, place: str, piece: Piece, rows: Array | None, into: Array) -> None:
    """Write the rows `rows` (None: all) of a piece on the network's scale; most are checked only while they are scaled."""
    X = unchecked(design, piece)
    if isinstance(X, list):
        done = scaled_columns(X, (scaling.mean, scaling.scale), rows, into)
    else:
        done = X is not None and standardized(X, scaling.mean, scaling.scale, into.dtype, rows, into) is not None
    if not done:
        into[...] = scaling.apply(design.plain(place, piece), into.dtype, rows)
