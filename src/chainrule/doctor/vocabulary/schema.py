"""Describe a report's plain data as a JSON schema, made from the records and the catalogue.

In: nothing. Out: the schema of `Report.plain()`, for programs that read what `chainrule doctor --json` prints.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from chainrule.doctor.vocabulary.catalogue import REMEDIES, SYMPTOMS
from chainrule.doctor.vocabulary.records import SEVERITIES, VERDICTS, Finding

_SIMPLE = {str: "string", int: "integer", bool: "boolean", type(None): "null"}


def report_schema() -> dict[str, Any]:
    """Return the JSON schema of a report's plain data.

    Returns
    -------
    dict
        A schema of draft 2020-12. Numbers that are not finite are null in the data.

    Examples
    --------
    >>> schema = report_schema()
    >>> schema["properties"]["verdict"]["enum"]
    ['healthy', 'ill']
    """
    text = {"type": "string"}
    properties = {
        "verdict": {"enum": list(VERDICTS)},
        "findings": {"type": "array", "items": finding_schema()},
        "skipped": {"type": "array", "items": text},
        "suppressed": {
            "type": "object",
            "propertyNames": {"enum": list(SYMPTOMS)},
            "additionalProperties": text,
        },
        "notes": {"type": "array", "items": text},
        "seconds": schema_of(float),
        "overhead": schema_of(float),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of the doctor",
        **_object(properties),
    }


def finding_schema() -> dict[str, Any]:
    """Return the JSON schema of one finding."""
    properties = {"evidence" if name == "figures" else name: each for name, each in _properties(Finding).items()}
    properties["symptom"] = {"enum": list(SYMPTOMS)}
    properties["severity"] = {"enum": list(SEVERITIES)}
    properties["ruled_out"] = properties["explains"] = {"type": "array", "items": {"enum": list(SYMPTOMS)}}
    properties["fix"]["properties"]["remedy"] = {"enum": ["", *REMEDIES]}
    properties["fix"] = _object({**properties["fix"]["properties"], "line": {"type": "string"}})
    return _object(properties)


def schema_of(annotation: Any) -> dict[str, Any]:
    """Return the JSON schema of a type, as `plain` writes its values.

    >>> schema_of(tuple[int, ...])
    {'type': 'array', 'items': {'type': 'integer'}}
    >>> schema_of(float)
    {'type': ['number', 'null']}
    """
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is float:
        return {"type": ["number", "null"]}
    if annotation in _SIMPLE:
        return {"type": _SIMPLE[annotation]}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(part) for part in parts]}
    if origin is tuple:
        return {"type": "array", "items": schema_of(parts[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": schema_of(parts[1])}
    return _object(_properties(annotation)) if is_dataclass(annotation) else {}


def _properties(record: Any) -> dict[str, dict[str, Any]]:
    """Return the schema of every field of a record."""
    hints = get_type_hints(record)
    return {each.name: schema_of(hints[each.name]) for each in fields(record)}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with all of these properties and no other."""
    required = list(properties)
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}
