"""What is known about the columns of a table: their kinds, ranges and categories, as plain data.

In: what `describe` found in the training rows. Out: a `TableSchema`, which turns rows of any kind into arrays and can be
saved with a model. It needs no polars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from chainrule.arrays import Array
from chainrule.errors import FormatError

if TYPE_CHECKING:
    from chainrule.data.table.encoding import Encoder

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

    def summary(self) -> list[tuple[str, str, str]]:
        """Return name, kind and reason of every column.

        Returns
        -------
        list of tuple of str
        """
        return [(column.name, column.kind, column.reason) for column in self.columns]

    def to_plain(self) -> dict[str, Any]:
        """Return the schema as data that JSON can hold.

        Returns
        -------
        dict
        """
        return {
            "columns": [asdict(column) for column in self.columns],
            "target": self.target,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_plain(cls, plain: Any) -> TableSchema:
        """Return the schema that `to_plain` wrote.

        Parameters
        ----------
        plain : dict
            Data from `to_plain`, perhaps by way of JSON.

        Returns
        -------
        TableSchema

        Raises
        ------
        FormatError
            For anything that `to_plain` does not write.
        """
        content = _checked(plain, {"columns": list, "target": (str, type(None)), "warnings": list}, "schema")
        columns = tuple(_column(each) for each in content["columns"])
        names = [column.name for column in columns]
        if len(set(names)) != len(names):
            raise FormatError("schema: columns must have distinct names.")
        if not all(isinstance(each, str) for each in content["warnings"]):
            raise FormatError("schema: warnings must be texts.")
        return cls(columns, content["target"], tuple(content["warnings"]))


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


_TYPES: Mapping[str, Any] = {
    "name": str,
    "kind": str,
    "reason": str,
    "used": bool,
    "numbers": (list, tuple),
    "categories": (list, tuple),
    "hashed": int,
    "rare": bool,
    "gaps": int,
    "written": (dict, type(None)),
    "date_format": (str, type(None)),
    "origin": int,
    "value": (str, type(None)),
}
_RANGE_TYPES: Mapping[str, Any] = {f.name: str if f.name == "part" else (int, float) for f in fields(NumberRange)}
_FORMAT_TYPES: Mapping[str, Any] = {f.name: str for f in fields(NumberFormat)}
_MOST_HASHED = 100_000
_LARGEST = 1.8e308
_LATEST = 2**62
"""Microseconds since 1970 that a date can have."""

_PARTS = ("days", "month", "weekday", "day", "hour")


def _checked(plain: Any, types: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return a mapping that has exactly these keys with values of these types."""
    if not isinstance(plain, dict) or set(plain) != set(types):
        raise FormatError(f"{what}: must have exactly the fields {', '.join(types)}.")
    for name, kind in types.items():
        wrong_bool = isinstance(plain[name], bool) and kind is not bool
        if not isinstance(plain[name], kind) or wrong_bool:
            raise FormatError(f"{what}: {name} has a value of the wrong type, {plain[name]!r}.")
    return dict(plain)


def _column(plain: Any) -> Column:
    """Return a column from plain data."""
    content = _checked(plain, _TYPES, "schema column")
    name = content["name"]
    numbers = tuple(
        NumberRange(**_checked(each, _RANGE_TYPES, f"schema column {name!r}")) for each in content["numbers"]
    )
    written = content["written"]
    content["written"] = None if written is None else NumberFormat(**_checked(written, _FORMAT_TYPES, "number format"))
    categories = tuple(content["categories"])
    parts = [number.part for number in numbers]
    allowed = _PARTS if content["kind"] == "date" else ("",)
    if content["kind"] not in KINDS or not all(isinstance(each, str) for each in categories):
        raise FormatError(f"schema column {name!r}: kind must be one of {', '.join(KINDS)}, with texts as categories.")
    if len(set(categories)) != len(categories) or len(set(parts)) != len(parts) or not set(parts) <= set(allowed):
        raise FormatError(f"schema column {name!r}: categories and parts must be distinct and known.")
    if any(number.scale <= 0 for number in numbers) or content["hashed"] < 0 or content["gaps"] < 0:
        raise FormatError(f"schema column {name!r}: scales must be positive and counts not negative.")
    if abs(content["origin"]) > _LATEST or content["gaps"] > _LATEST:
        raise FormatError(f"schema column {name!r}: origin and gaps must be numbers that training could find.")
    if content["hashed"] > _MOST_HASHED or any(abs(value) > _LARGEST for n in numbers for value in _bounds(n)):
        raise FormatError(f"schema column {name!r}: ranges and counts must be numbers that training could find.")
    if content["used"] and not _usable(content["kind"], numbers, categories, content["hashed"]):
        raise FormatError(f"schema column {name!r}: a used column must have ranges or categories.")
    return Column(**{**content, "numbers": numbers, "categories": categories})


def _bounds(number: NumberRange) -> tuple[float, float, float, float]:
    return number.center, number.scale, number.lowest, number.highest


def _usable(kind: str, numbers: tuple[NumberRange, ...], categories: tuple[str, ...], hashed: int) -> bool:
    """Check whether a column of this kind has what encoding needs."""
    if kind == "boolean":
        return len(numbers) == 1 and len(categories) == 2
    return {
        "number": len(numbers) == 1,
        "date": bool(numbers),
        "category": bool(categories) or hashed > 0,
        "text": True,
    }.get(kind, False)
