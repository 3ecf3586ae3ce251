"""`chainrule predict --stdin`: rows that come one by one on standard input, each answered before the next is read.

In: lines of JSON, or CSV with names in the first line. Out: one line for each row, at once, so that another program can
write a row and wait for its answer.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from chainrule.arrays import Array
from chainrule.cli.answers import answer_names, answers, cell_text, csv_lines, kept_text
from chainrule.cli.console import console, echo
from chainrule.cli.options import finite
from chainrule.data.matrix import as_matrix
from chainrule.errors import ChainruleError, FormatError, InvalidValueError, did_you_mean, must_be
from chainrule.io.json_text import parse
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.table_model import TableModel

FORMATS = ("jsonl", "csv")
"""How rows on standard input are written."""

Row: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""One row: cells by column, or for a model without a table the numbers in the order of its columns."""


@dataclass(frozen=True)
class LineOptions:
    """What the user says about rows on standard input.

    Parameters
    ----------
    row_format : {"jsonl", "csv"}
        How rows are written.
    separator : str
        Character between the cells of csv.
    threshold : float or None
        For two classes: the probability from which on the second is predicted.
    probabilities : bool
        Whether probabilities are printed.
    keep : tuple of str
        Columns that are printed before the predictions.
    """

    row_format: str
    separator: str
    threshold: float | None
    probabilities: bool
    keep: tuple[str, ...]


def predict_lines(model: Model | Pack | TableModel, lines: Iterable[bytes], options: LineOptions) -> int:
    """Print the prediction for each row of some lines; return the number of rows that could not be read.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The trained model.
    lines : iterable of bytes
        What comes on standard input, line by line.
    options : LineOptions
        What the user says about the rows.

    Returns
    -------
    int
    """
    predictor = _RowPredictor(model, options)
    return _csv_rows(predictor, lines) if options.row_format == "csv" else _json_rows(predictor, lines)


class _RowPredictor:
    """A model that answers one row."""

    def __init__(self, model: Model | Pack | TableModel, options: LineOptions) -> None:
        self.model = model
        self.core = model.core if isinstance(model, TableModel) else model
        self.options = options

    def answer(self, owner: str, row: Row) -> tuple[Array, Array | None]:
        """Return the prediction for a row, and probabilities if they are wanted; messages begin with the owner."""
        try:
            return answers(self.core, self._matrix(owner, row), self.options.threshold, self.options.probabilities)
        except ChainruleError as error:
            text = " ".join(str(error).split())
            raise InvalidValueError(text if text.startswith(owner) else f"{owner}: {text}") from None

    def _matrix(self, owner: str, row: Row) -> Array:
        if isinstance(self.model, TableModel):
            if not isinstance(row, Mapping):
                raise InvalidValueError(must_be(owner, "the row", "an object of cells by column", row))
            _check_cells(owner, row)
            return self.model.read(owner, dict(row))
        names = self.model.feature_names
        if isinstance(row, Mapping):
            _check_cells(owner, row)
            return as_matrix(owner, _OneRow(row), names)
        return as_matrix(owner, [list(row)], names)


class _OneRow:
    """A row as a frame of one row, so that columns are found by name."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.columns = list(row)
        self._row = row

    def __getitem__(self, name: str) -> list[Any]:
        return [self._row[name]]


def _check_cells(owner: str, row: Mapping[str, Any]) -> None:
    """Refuse cells that are lists or objects."""
    for name, cell in row.items():
        if isinstance(cell, list | dict):
            raise InvalidValueError(must_be(owner, f"column {name!r}", "a number, a text, true, false or null", cell))


def _json_rows(predictor: _RowPredictor, lines: Iterable[bytes]) -> int:
    """Answer lines of JSON; a line that cannot be answered gives an object with the error."""
    bad = 0
    for number, line in enumerate(lines, 1):
        text = _without_mark(line, number)
        if not text.strip():
            continue
        owner = f"line {number}"
        try:
            found = _json_answer(predictor, owner, parse(owner, text))
        except ChainruleError as error:
            bad += 1
            found = {"error": " ".join(str(error).split())}
        echo(json.dumps(finite(found), allow_nan=False))
    return bad


def _json_answer(predictor: _RowPredictor, owner: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict | list):
        raise FormatError(must_be(owner, "the row", "a JSON object or a list", row))
    predicted, P = predictor.answer(owner, row)
    found: dict[str, Any] = {}
    if predictor.options.keep:
        if not isinstance(row, dict):
            raise InvalidValueError(must_be(owner, "the row", "an object, whose columns --keep can name", row))
        missing = [name for name in predictor.options.keep if name not in row]
        if missing:
            raise InvalidValueError(_no_column(owner, missing[0], list(row)))
        found["kept"] = {name: row[name] for name in predictor.options.keep}
    found["prediction"] = predicted[0].tolist() if isinstance(predicted[0], np.ndarray) else _plain(predicted[0])
    return found if P is None else found | {"probabilities": P[0].tolist()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _csv_rows(predictor: _RowPredictor, lines: Iterable[bytes]) -> int:
    """Answer rows of csv; one that cannot be answered leaves its cells empty and prints the error on standard error."""
    rows = _Reader(lines, predictor.options.separator)
    header = rows.header()
    if header is None:
        return 0
    kept = _checked_names(predictor, header)
    names = answer_names(predictor.core, predictor.options.probabilities)
    echo(csv_lines([[cell_text(name) for name in (*kept, *names)]]), nl=False)
    bad = 0
    for number, row in rows:
        try:
            cells, after = _csv_answer(predictor, f"line {number}", header, row())
        except ChainruleError as error:
            bad += 1
            cells, after = {}, [""] * len(names)
            console(stderr=True).print(f"error: {' '.join(str(error).split())}", markup=False)
        echo(csv_lines([[*(kept_text(cells.get(name)) for name in kept), *after]]), nl=False)
    return bad


def _csv_answer(
    predictor: _RowPredictor, owner: str, header: Sequence[str], row: Sequence[str]
) -> tuple[dict[str, str], list[Any]]:
    if len(row) != len(header):
        raise FormatError(must_be(owner, "the row", f"of {len(header)} cells, as the first line has", len(row)))
    cells = dict(zip(header, row, strict=True))
    predicted, P = predictor.answer(owner, cells)
    after = [*np.atleast_1d(predicted[0]).tolist(), *([] if P is None else P[0].tolist())]
    return cells, [cell_text(value) for value in after]


def _checked_names(predictor: _RowPredictor, header: Sequence[str]) -> tuple[str, ...]:
    """Return the columns to keep; refuse a first line without a column that is needed."""
    for name in (*predictor.model.feature_names, *predictor.options.keep):
        if name not in header:
            raise InvalidValueError(_no_column("line 1", name, header))
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise InvalidValueError(must_be("line 1", "the names of columns", "different", twice[0]))
    return predictor.options.keep


def _no_column(owner: str, name: str, known: Sequence[str]) -> str:
    return f"{owner}: there must be a column {name!r}, got none. {did_you_mean(name, known)}".rstrip()


class _Reader:
    """Rows of csv with the numbers of their lines; a row is read when it is called, so that its faults are its own."""

    def __init__(self, lines: Iterable[bytes], separator: str) -> None:
        self._rows = csv.reader(self._texts(lines), delimiter=separator)

    def header(self) -> list[str] | None:
        """Return the names in the first line, None where there is no line."""
        return next((row() for _, row in self if True), None)

    def __iter__(self) -> Iterator[tuple[int, Callable[[], list[str]]]]:
        while True:
            try:
                row = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._rows.line_num, _raiser(f"line {self._rows.line_num}: the row must be csv, got: {error}.")
                continue
            if row:
                yield self._rows.line_num, _checked(self._rows.line_num, row)

    def _texts(self, lines: Iterable[bytes]) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            yield _without_mark(line, number).decode("utf-8", "surrogateescape")


def _checked(number: int, row: list[str]) -> Callable[[], list[str]]:
    if any(0xDC80 <= ord(character) <= 0xDCFF for cell in row if not cell.isascii() for character in cell):
        return _raiser(f"line {number}: the text must be UTF-8.")
    return lambda: row


def _raiser(text: str) -> Callable[[], list[str]]:
    def fail() -> list[str]:
        raise FormatError(text)

    return fail


def _without_mark(line: bytes, number: int) -> bytes:
    """Return a line without the mark that some programs write before all text."""
    return line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
