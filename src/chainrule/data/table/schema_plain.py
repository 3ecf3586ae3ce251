"""The schema of a table as data that JSON can hold, and back.

In: a `TableSchema`; or data that a file holds, which nobody has checked. Out: dictionaries and lists; or a `TableSchema`
with which rows can be encoded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from chainrule.data.table.schema import KINDS, Column, NumberFormat, NumberRange, TableSchema
from chainrule.errors import FormatError

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
    "missing": (list, tuple),
}
_RANGE_TYPES: Mapping[str, Any] = {f.name: str if f.name == "part" else (int, float) for f in fields(NumberRange)}
_FORMAT_TYPES: Mapping[str, Any] = {f.name: str for f in fields(NumberFormat)}
_OPTIONAL: Mapping[str, Any] = {"missing": ()}
"""Fields that a file may lack, with what their absence means."""

_MOST_HASHED = 100_000
_LATEST = 2**62
"""Microseconds since 1970 that a date can have."""

_LARGEST = sys.float_info.max
_PARTS = ("days", "month", "weekday", "day", "hour")


def schema_to_plain(schema: TableSchema) -> dict[str, Any]:
    """Return a schema as data that JSON can hold.

    Parameters
    ----------
    schema : TableSchema
        The schema.

    Returns
    -------
    dict
    """
    return {
        "columns": [_plain(column) for column in schema.columns],
        "target": schema.target,
        "warnings": list(schema.warnings),
    }


def _plain(column: Column) -> dict[str, Any]:
    """Return a column as plain data; what only newer readers know is left out where it says nothing."""
    return {name: value for name, value in asdict(column).items() if value or name not in _OPTIONAL}


def schema_from_plain(plain: Any) -> TableSchema:
    """Return the schema that `schema_to_plain` wrote.

    Parameters
    ----------
    plain : dict
        Data from `schema_to_plain`, perhaps by way of JSON.

    Returns
    -------
    TableSchema

    Raises
    ------
    FormatError
        For anything that `schema_to_plain` does not write.
    """
    content = _checked(plain, {"columns": list, "target": (str, type(None)), "warnings": list}, "schema")
    columns = tuple(_column(each) for each in content["columns"])
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        raise FormatError("schema: columns must have distinct names.")
    if not all(isinstance(each, str) for each in content["warnings"]):
        raise FormatError("schema: warnings must be texts.")
    return TableSchema(columns, content["target"], tuple(content["warnings"]))


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
    content = _checked({**_OPTIONAL, **plain} if isinstance(plain, dict) else plain, _TYPES, "schema column")
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
    missing = tuple(content["missing"])
    if not all(isinstance(each, str) for each in missing) or len(set(missing)) != len(missing):
        raise FormatError(f"schema column {name!r}: values of missing cells must be distinct texts.")
    if any(number.scale <= 0 for number in numbers) or content["hashed"] < 0 or content["gaps"] < 0:
        raise FormatError(f"schema column {name!r}: scales must be positive and counts not negative.")
    if abs(content["origin"]) > _LATEST or content["gaps"] > _LATEST:
        raise FormatError(f"schema column {name!r}: origin and gaps must be numbers that training could find.")
    if content["hashed"] > _MOST_HASHED or any(abs(value) > _LARGEST for n in numbers for value in _bounds(n)):
        raise FormatError(f"schema column {name!r}: ranges and counts must be numbers that training could find.")
    if content["used"] and not _usable(content["kind"], numbers, categories, content["hashed"]):
        raise FormatError(f"schema column {name!r}: a used column must have ranges or categories.")
    return Column(**{**content, "numbers": numbers, "categories": categories, "missing": missing})


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
