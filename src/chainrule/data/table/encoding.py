"""Rows of a table as arrays: scaled numbers with codes, or one plain matrix.

In: a `TableSchema` and rows of any form. Out: float32 or float64 arrays, and notes on rows unlike the training's. A
single row as a dict takes a short way without a frame, to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.matrix import default_names
from chainrule.data.table.codecs import codec
from chainrule.data.table.gaps import label
from chainrule.data.table.schema import TableSchema
from chainrule.errors import InvalidValueError, did_you_mean, raise_all

if TYPE_CHECKING:
    from chainrule.data.table.frames import FrameRows

_SHOWN = 5
"""Columns that a sentence names one by one."""


class Encoder:
    """The columns of a schema with what makes their cells numbers.

    Parameters
    ----------
    schema : TableSchema
        What was found in the training rows.
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.codecs = [codec(column) for column in schema.used]
        self.names = {schema.target, *(column.name for column in schema.columns)}
        self.quick = [(each.column.name, each.quick(), each.cell) for each in self.codecs]

    def encode(self, owner: str, rows: Any, notes: list[str] | None) -> Array:
        """Return rows as scaled numbers and codes, float32."""
        if isinstance(rows, dict):
            fast = self._quick(rows) if notes is None else self._one(rows, notes) if _is_one_row(rows) else None
            if fast is not None:
                return fast
        part = self._part(owner, rows, notes)
        E = np.empty((part.height, len(self.schema.features)), np.float32)
        self._fill([(part, E)], lambda codec, cells, told: codec.scaled(codec.raw(owner, cells, told)))
        return E

    def encode_parts(self, owner: str, parts: Sequence[tuple[FrameRows, list[str] | None]]) -> Array:
        """Return the rows of all parts one below the other, float32, each column contiguous; empty the parts' frames."""
        read = [self._part(owner, part, told) for part, told in parts]
        used = {name for part in read for name in part.names.values()}
        for rows, _ in parts:
            rows.release(set(rows.frame.columns) - used)
        ends = np.cumsum([part.height for part in read])
        E = np.empty((int(ends[-1]), len(self.schema.features)), np.float32, "F")
        views = [E[end - part.height : end] for part, end in zip(read, ends, strict=True)]

        def done(name: str) -> None:
            for (rows, _), part in zip(parts, read, strict=True):
                rows.release([part.names[name]])

        self._fill(
            list(zip(read, views, strict=True)),
            lambda codec, cells, told: codec.scaled(codec.raw(owner, cells, told)),
            done,
        )
        return E

    def design(self, owner: str, rows: Any, notes: list[str] | None) -> Array:
        """Return rows as one plain matrix, float64."""
        part = self._part(owner, rows, notes)
        X = np.empty((part.height, len(self.schema.design_names)), np.float64)
        self._fill([(part, X)], lambda codec, cells, told: codec.plain(codec.raw(owner, cells, told)))
        return X

    def _fill(
        self,
        parts: Sequence[tuple[_Part, Array]],
        values_of: Callable[[Any, Any, list[str] | None], list[Array]],
        done: Callable[[str], None] = lambda name: None,
    ) -> None:
        """Write the columns one by one, so that no second copy is held; raise one error with every faulty one."""
        faults = []
        j = 0
        for each in self.codecs:
            width = 0
            for part, matrix in parts:
                try:
                    found = values_of(each, part[each.column.name], part.notes)
                except InvalidValueError as error:
                    faults.append(str(error))
                    continue
                width = len(found)
                for i, values in enumerate(found):
                    matrix[:, j + i] = values
            j += width
            done(each.column.name)
        raise_all(faults)

    def _quick(self, row: Mapping[str, Any]) -> Array | None:
        """Return one row without looking for anything unusual; None where a cell needs the long way, or is a column."""
        values: list[float] = []
        try:
            for name, quick, cell in self.quick:
                value = quick(row[name])
                if value is not None:
                    values.append(value)
                    continue
                cells = cell(row[name], False)
                if cells is None:
                    return None
                values += cells
        except (KeyError, TypeError):  # a column is missing, or a cell is a list
            return None
        return np.array([values], np.float32)

    def _one(self, row: Mapping[str, Any], notes: list[str]) -> Array | None:
        """Return one row the short way; None where a cell or a note needs the long way."""
        values: list[float] = []
        for each in self.codecs:
            name = each.column.name
            if name not in row:
                return None
            cells = each.cell(row[name], noted=True)
            if cells is None:
                return None
            values += cells
        if len(row) != len(self.codecs):
            return None
        return np.array([values], np.float32)

    def _part(self, owner: str, rows: Any, notes: list[str] | None) -> _Part:
        """Return the used columns of rows by their names in the schema."""
        from chainrule.data.table.frames import FrameRows, as_frame

        frame = rows if isinstance(rows, FrameRows) else as_frame(owner, rows)
        used = [column.name for column in self.schema.used]
        names = list(frame.columns)
        by_position = (
            _unnamed(names) and not set(names) & set(used) and len(names) == len(used) == len(self.schema.columns)
        )
        if by_position:
            return _Part(frame, dict(zip(used, names, strict=True)), notes)
        self._check_missing(owner, used, names)
        if notes is not None:
            notes += self._frame_notes(frame)
        return _Part(frame, {name: name for name in used}, notes)

    def _check_missing(self, owner: str, used: Sequence[str], names: Sequence[str]) -> None:
        missing = [name for name in used if name not in names]
        if missing:
            shown = ", ".join(repr(name) for name in missing[:_SHOWN])
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            hint = did_you_mean(missing[0], names) if len(missing) == 1 else ""
            text = f"{owner}: rows must have the columns of the training data, got none named {shown}{more}. {hint}"
            raise InvalidValueError(text.rstrip())

    def _frame_notes(self, frame: Any) -> list[str]:
        """Return sentences on columns that the schema does not use."""
        extra = [name for name in frame.columns if name not in self.names]
        shown = ", ".join(repr(name) for name in extra[:_SHOWN])
        more = f" and {len(extra) - _SHOWN} more" if len(extra) > _SHOWN else ""
        found = [f"ignored columns that the training did not have: {shown}{more}"] if extra else []
        for column in self.schema.columns:
            if column.kind != "constant" or column.value is None or column.name not in frame.columns:
                continue
            cells = [label(cell) for cell in frame[column.name].unique().drop_nulls().to_list()]
            moved = [cell for cell in cells if cell != column.value]
            if moved:
                found.append(f"column {column.name!r} was always {column.value} in training and is now {min(moved)}")
        return found


@dataclass(frozen=True, eq=False)
class _Part:
    """Rows whose columns are read by the schema's names, and where sentences about them go."""

    frame: Any
    names: Mapping[str, str]
    notes: list[str] | None

    @property
    def height(self) -> int:
        """Number of rows."""
        return int(self.frame.height)

    def __getitem__(self, name: str) -> Any:
        return self.frame[self.names[name]]


def _unnamed(names: Sequence[str]) -> bool:
    return tuple(names) == default_names(len(names))


def _is_one_row(row: Mapping[str, Any]) -> bool:
    """Check whether a dict holds the cells of one row and no columns."""
    return not any(isinstance(value, list | tuple | np.ndarray) for value in row.values())
