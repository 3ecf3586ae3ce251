"""Tables as people have them: any file or frame becomes typed columns, a schema, and arrays that networks take.

In: a table file, a frame, rows or one row. Out: a `TableFile`, a `TableSchema`, a `TargetColumn`. Importing this costs
no more than NumPy; polars is imported with the first table.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

from chainrule.data.table.schema import KINDS, Column, Feature, NumberRange, ReadOptions, TableSchema

if TYPE_CHECKING:
    from chainrule.data.table.frames import as_frame
    from chainrule.data.table.kinds import describe
    from chainrule.data.table.reading import TableFile, read_file
    from chainrule.data.table.target import TargetColumn, read_target

__all__ = [
    "KINDS",
    "Column",
    "Feature",
    "NumberRange",
    "ReadOptions",
    "TableFile",
    "TableSchema",
    "TargetColumn",
    "as_frame",
    "describe",
    "read_file",
    "read_target",
]

_FROM = {
    "TableFile": "reading",
    "TargetColumn": "target",
    "as_frame": "frames",
    "describe": "kinds",
    "read_file": "reading",
    "read_target": "target",
}
"""Names imported on first use, because their modules import polars."""


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_import_module(f"{__name__}.{_FROM[name]}"), name)
