"""What is known about the columns of a table: their kinds, ranges and categories.

In: what `describe` found in the training rows. Out: a `TableSchema`, which turns rows of any kind into arrays; as plain data
(`schema_plain`) it is saved with a model. It needs no polars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from chainrule.arrays import Array

if TYPE_CHECKING:
    from chainrule.data.table.encoding import Encoder
    from chainrule.data.table.frames import FrameRows

KINDS = ("number", "category", "boolean", "date", "text", "id", "constant", "duplicate")
"""The kinds of columns; a date may have a time, or be one."""

HASHED_WORDS = 32
"""Columns into which the words of a text are hashed: enough to separate common words, few enough to learn from."""

FIRST_CODE = 2
"""Code of a category's first known level; 0 is unknown or rare, 1 is missing."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user says about a table where the rules would decide otherwise.

    Parameters
    ----------
    separator : str, default=None
        Character between cells: ",", ";", a tab, "|" or " " for runs of spaces. None finds it out.
    decimal : str, default=None
        Decimal mark: "." or ",". None finds it out.
    kinds : mapping of str to str, default={}
        Kind of columns by name: "number", "category", "boolean", "date", "text", or "id" to leave one out.
    drop : tuple of str, default=()
        Columns to leave out.
    header : bool, default=None
        Whether the first line has the names. None finds it out.
    encoding : str, default=None
        Encoding of a text file, as Python names it. None finds it out.
    missing : mapping of str to sequence, default={}
        Values of columns that mean a missing cell, by name, such as {"age": [-999]}.

    Examples
    --------
    >>> ReadOptions(separator=";", kinds={"zip": "category"}).drop
    ()
    """

    separator: str | None = None
    decimal: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    header: bool | None = None
    encoding: str | None = None
    missing: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a text column are written.

    Parameters
    ----------
    decimal : str, default="."
        Decimal mark.
    thousands : str, default=""
        Mark between groups of three digits.
    prefix : str, default=""
        Text before every number, such as "$".
    suffix : str, default=""
        Text after every number, such as "%" or "EUR".
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class NumberRange:
    """Where the training values of a number lie.

    Parameters
    ----------
    part : str
        "" for the number itself; for a date "days", "month", "weekday", "day" or "hour".
    center : float
        Median, which also fills gaps.
    scale : float
        Interquartile range; half the whole range where that is 0, and 1 for a single value.
    lowest : float
        Lowest value.
    highest : float
        Highest value.
    """

    part: str
    center: float
    scale: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Column:
    """One column of a table: its kind, the reason, and what encoding its cells needs.

    Parameters
    ----------
    name : str
        Name of the column.
    kind : str
        One of `KINDS`.
    reason : str
        Why it is of this kind.
    used : bool
        Whether the column is an input.
    numbers : tuple of NumberRange, default=()
        Ranges of a number, a boolean, or the parts of a date.
    categories : tuple of str, default=()
        Levels that have a code of their own, in order.
    hashed : int, default=0
        Number of codes that other levels are hashed into; 0: they share code 0.
    rare : bool, default=False
        Whether the training rows had levels that are too rare for a code.
    gaps : int, default=0
        Number of gaps in the training rows.
    written : NumberFormat, default=None
        How numbers in text are written; None for plain numbers.
    date_format : str, default=None
        How dates in text are written.
    origin : int, default=0
        Microseconds since 1970 from which the days of a date count.
    value : str, default=None
        The value of a constant.
    missing : tuple of str, default=()
        Values that mean a missing cell, besides gaps.
    """

    name: str
    kind: str
    reason: str
    used: bool
    numbers: tuple[NumberRange, ...] = ()
    categories: tuple[str, ...] = ()
    hashed: int = 0
    rare: bool = False
    gaps: int = 0
    written: NumberFormat | None = None
    date_format: str | None = None
    origin: int = 0
    value: str | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One column of an encoded table.

    Parameters
    ----------
    name : str
        Name of the feature.
    column : str
        The table's column that it is made of.
    kind : {"number", "category"}
        Whether it holds scaled numbers or codes.
    size : int
        Number of codes of a category, 0 for a number.
    """

    name: str
    column: str
    kind: Literal["number", "category"]
    size: int


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table and how they become arrays.

    Parameters
    ----------
    columns : tuple of Column
        All columns but the target, in the table's order.
    target : str, default=None
        Name of the target, which rows to predict may have and which is then ignored.
    warnings : tuple of str, default=()
        Sentences on what the user should know: columns left out, a column that alone tells the target.

    Examples
    --------
    >>> import polars as pl
    >>> from chainrule.data.table import describe
    >>> frame = pl.DataFrame({"age": [30, 40, None], "job": ["clerk", "smith", "clerk"], "y": [0, 1, 1]})
    >>> schema = describe("pets", frame, "y")
    >>> schema.design_names
    ('age', 'age is missing', 'job=clerk', 'job=smith')
    >>> schema.encode("pets", {"age": 40, "job": "smith"})
    array([[1., 3.]], dtype=float32)
    """

    columns: tuple[Column, ...]
    target: str | None = None
    warnings: tuple[str, ...] = ()

    @cached_property
    def used(self) -> tuple[Column, ...]:
        """The columns that are inputs."""
        return tuple(column for column in self.columns if column.used)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns of an encoded table."""
        return tuple(feature for column in self.used for feature in _features(column))

    @cached_property
    def design_names(self) -> tuple[str, ...]:
        """Names of the columns of the plain matrix."""
        return tuple(name for column in self.used for name in design_names(column))

    @cached_property
    def _encoder(self) -> Encoder:
        from chainrule.data.table.encoding import Encoder

        return Encoder(self)

    def encode(self, owner: str, rows: Any, notes: list[str] | None = None) -> Array:
        """Return rows as scaled numbers, NaN for a gap, and codes of categories.

        Parameters
        ----------
        owner : str
            The object that messages name.
        rows : frame, dict of columns, list of dicts, dict of cells, list of rows or array
            Columns are found by name; those of lists and arrays are taken in order.
        notes : list of str, default=None
            Receives sentences on rows unlike those of the training.

        Returns
        -------
        array of shape (n, p)
            float32, a column for each of `features`. A number is (x - center) / scale; a code is 0 for an unknown or rare
            level, 1 for a gap, and from 2 for known levels.

        Raises
        ------
        InvalidValueError
            For missing columns, and for cells that are not of their column's kind.
        """
        return self._encoder.encode(owner, rows, notes)

    def encode_parts(self, owner: str, parts: Sequence[tuple[FrameRows, list[str] | None]]) -> Array:
        """Return the rows of several parts of a table as `encode` does, in one matrix, and give the table's memory back.

        Parameters
        ----------
        owner : str
            The object that messages name.
        parts : sequence of (FrameRows, list of str or None)
            The parts, each with what receives sentences on rows unlike those of the training. Each column is removed
            from their frames as soon as it is encoded, so that a large table and its matrix are never in memory side by
            side.

        Returns
        -------
        array of shape (n, p)
            float32, the parts one below the other; columns are contiguous.

        Raises
        ------
        InvalidValueError
            For missing columns, and for cells that are not of their column's kind.
        """
        return self._encoder.encode_parts(owner, parts)

    def design(self, owner: str, rows: Any, notes: list[str] | None = None) -> Array:
        """Return rows as one plain matrix: numbers with gaps filled, indicators of gaps, and one-hot categories.

        Parameters
        ----------
        owner : str
            The object that messages name.
        rows : frame, dict of columns, list of dicts, dict of cells, list of rows or array
            Columns are found by name; those of lists and arrays are taken in order.
        notes : list of str, default=None
            Receives sentences on rows unlike those of the training.

        Returns
        -------
        array of shape (n, d)
            float64, a column for each of `design_names`. Numbers are not scaled.

        Raises
        ------
        InvalidValueError
            For missing columns, and for cells that are not of their column's kind.
        """
        return self._encoder.design(owner, rows, notes)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone; the rest is rebuilt when it is needed."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def summary(self) -> list[tuple[str, str, str]]:
        """Return name, kind and reason of every column.

        Returns
        -------
        list of tuple of str
        """
        return [(column.name, column.kind, column.reason) for column in self.columns]


def _features(column: Column) -> list[Feature]:
    """Return the features of a column that is used."""
    if column.kind == "text":
        return [Feature(name, column.name, "number", 0) for name in design_names(column)[:HASHED_WORDS]]
    if column.kind in ("category", "boolean"):
        return [Feature(column.name, column.name, "category", FIRST_CODE + len(column.categories) + column.hashed)]
    return [Feature(_part_name(column, part), column.name, "number", 0) for part in column.numbers]


def design_names(column: Column) -> list[str]:
    """Return the names that a column's part of the plain matrix has."""
    names = [_part_name(column, part) for part in column.numbers]
    if column.kind == "text":
        names = [f"{column.name} #{k}" for k in range(HASHED_WORDS)]
    if column.kind == "category":
        names = [f"{column.name}={level}" for level in column.categories]
        names += [f"{column.name} #{k}" for k in range(column.hashed)]
        names += [f"{column.name} is rare"] if column.rare and not column.hashed else []
    return [*names, f"{column.name} is missing"] if column.gaps else names


def _part_name(column: Column, part: NumberRange) -> str:
    return f"{column.name} {part.part}".rstrip()
