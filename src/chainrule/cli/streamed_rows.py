"""`chainrule evaluate` and `chainrule predict` on rows larger than memory: Parquet files, a few thousand rows at a time.

In: a model, a pattern or a file, a limit on memory. Out: scores; or answers, written in parts as they come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.cli.answers import answer_names, answers, cell_text, csv_lines, kept_text
from chainrule.cli.console import echo
from chainrule.cli.source_rows import SourceRows, core_of, known_columns, labels_for, matrix_of
from chainrule.cli.streamed import DEFAULT_MEMORY, can_be_streamed
from chainrule.data import BUILTIN
from chainrule.data.stream.ahead import pieces_ahead
from chainrule.data.stream.memory import WINDOWS, bytes_of, text_of
from chainrule.data.stream.parquet import ParquetSource, files_of, is_glob
from chainrule.errors import FormatError, InvalidValueError, MissingError, must_be
from chainrule.io.files import writing_atomically
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.table_model import TableModel

if TYPE_CHECKING:
    from chainrule.pipeline.evaluation.running import RunningScores

AnyModel = Model | Pack | TableModel

_NOTES = 5
"""Notes on parts that are printed."""


def is_streamed_source(source: str, max_memory: str | None) -> bool:
    """Check whether rows are read in parts: of a pattern always, of a Parquet file with --max-memory."""
    if source in BUILTIN:
        return False
    return is_glob(source) or (max_memory is not None and can_be_streamed(source))


@dataclass(frozen=True, eq=False)
class StreamedEvaluation:
    """What is found out about streamed rows with targets.

    Parameters
    ----------
    name : str
        What messages call the rows.
    scores : RunningScores
        The scores.
    left_out : int
        Rows without a target.
    known : float or None
        Share of the rows that the model was trained on.
    notes : tuple of str
        What is unusual about the rows.
    """

    name: str
    scores: RunningScores
    left_out: int
    known: float | None
    notes: tuple[str, ...]


def _opened(command: str, source: str, max_memory: str | None) -> tuple[ParquetSource, int]:
    """Open the files; refuse row groups that do not fit in memory."""
    memory = bytes_of(command, "--max-memory", max_memory or DEFAULT_MEMORY)
    try:
        files = files_of(command, source)
    except (InvalidValueError, MissingError, FormatError) as error:
        raise type(error)(str(error).replace(": source must", ": SOURCE must")) from error
    other = next((file for file in files if not can_be_streamed(file)), None)
    if other is not None:
        hint = "Other tables are read one at a time, as a whole."
        raise InvalidValueError(must_be(command, "SOURCE", "Parquet files, to be streamed", Path(other).name, hint))
    opened = ParquetSource(command, files)
    largest = max(opened.manifest.nbytes)
    if largest > memory // WINDOWS:
        place = opened.place(opened.manifest.nbytes.index(largest))
        hint = f"Its largest row group is {place}: {text_of(largest)}, read as a whole."
        allowed = f"at least {text_of(1.01 * largest * WINDOWS)} for these rows"
        raise InvalidValueError(must_be(command, "--max-memory", allowed, text_of(memory), hint))
    return opened, memory


def _columns(model: AnyModel, opened: ParquetSource, more: Sequence[str]) -> list[str]:
    """Return the columns of the files that are read, in their order."""
    features = [column.name for column in model.schema.used] if isinstance(model, TableModel) else model.feature_names
    wanted = {*features, *more}
    return [name for name in opened.columns if name in wanted]


def evaluate_streamed(
    model: AnyModel, source: str, max_memory: str | None, threshold: float | None
) -> StreamedEvaluation:
    """Score a model on the rows of files, a part at a time.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model.
    source : str
        A pattern or a file.
    max_memory : str or None
        Limit on the memory of rows.
    threshold : float or None
        For two classes: the probability from which on the second is predicted.

    Returns
    -------
    StreamedEvaluation
    """
    from chainrule.data.table import read_target
    from chainrule.pipeline.evaluation.running import RunningScores

    core = core_of(model)
    opened, memory = _opened("evaluate", source, max_memory)
    if core.target_name not in opened.columns:
        raise InvalidValueError(must_be(opened.name, "target", "a column of the files", core.target_name))
    if isinstance(core.classes, tuple) or core.multilabel:
        raise InvalidValueError(must_be("evaluate", "MODEL", "of one target for streamed rows", "several targets"))
    scores = RunningScores(core, threshold, memory // 2)
    notes = _Notes()
    left_out = found = looked_up = 0
    names = _columns(model, opened, [core.target_name])
    for piece in pieces_ahead(opened, names):
        frame = piece.frame(names)
        cells = frame[core.target_name]
        gaps = cells.fill_nan(None).is_null() if cells.dtype.is_float() else cells.is_null()
        left_out += int(gaps.sum())
        frame = frame.filter(~gaps)
        if not frame.height:
            continue
        target = read_target(opened.name, frame, core.target_name, core.task, learned=False)
        left_out += int((~target.kept).sum())
        X, own = matrix_of(model, opened.name, frame.filter(target.kept))
        notes.add(own)
        scores.add(X, labels_for(model, opened.name, target.y))
        if core.trained_on is not None:
            hits, count = core.trained_on.found(X)
            found, looked_up = found + hits, looked_up + count
    opened.close()
    return StreamedEvaluation(opened.name, scores, left_out, found / looked_up if looked_up else None, notes.found)


def predict_streamed(
    model: AnyModel,
    source: str,
    max_memory: str | None,
    wanted: tuple[float | None, bool],
    places: tuple[Sequence[str], Path | None],
) -> tuple[str, ...]:
    """Write the answers for the rows of files as lines of CSV, a part at a time; return what is unusual about the rows.

    Parameters
    ----------
    model : Model, Pack or TableModel
        The model.
    source : str
        A pattern or a file.
    max_memory : str or None
        Limit on the memory of rows.
    wanted : tuple of (float or None, bool)
        Threshold, and whether probabilities are written.
    places : tuple of (sequence of str, Path or None)
        Columns that are kept, and the file that is written; None is standard output.

    Returns
    -------
    tuple of str
    """
    (threshold, probabilities), (keep, out) = wanted, places
    opened, _ = _opened("predict", source, max_memory)
    known_columns("predict", opened, keep)
    notes = _Notes()
    with writing_atomically(out) if out is not None else nullcontext(_print) as write:
        names = answer_names(core_of(model), probabilities)
        write(csv_lines([[cell_text(name) for name in (*keep, *names)]]).encode())
        for rows in _parts(model, opened, keep):
            notes.add(rows.notes)
            write(_lines(core_of(model), rows, threshold, probabilities).encode())
    opened.close()
    return notes.found


def _parts(model: AnyModel, opened: ParquetSource, keep: Sequence[str]) -> Iterator[SourceRows]:
    """Yield the rows of files as the model takes them."""
    from chainrule.data.table.loading import cells_of

    names = _columns(model, opened, keep)
    for piece in pieces_ahead(opened, names):
        frame = piece.frame(names)
        kept = {name: cells_of(frame[name]) for name in keep}
        X, notes = matrix_of(model, opened.name, frame)
        yield SourceRows(opened.name, X, kept=kept, notes=notes)


def _lines(core: Model | Pack, rows: SourceRows, threshold: float | None, probabilities: bool) -> str:
    """Return one line for each row: kept columns, predictions, probabilities."""
    predicted, P = answers(core, rows.X, threshold, probabilities)
    columns: list[Any] = [predicted] if predicted.ndim == 1 else list(predicted.T)
    columns += [] if P is None else list(np.asarray(P).T)
    before = [[kept_text(cell) for cell in cells] for cells in rows.kept.values()]
    after = [[cell_text(value) for value in column] for column in columns]
    return csv_lines(zip(*before, *after, strict=True))


def _print(text: bytes) -> None:
    echo(text.decode(), nl=False)


class _Notes:
    """Notes on parts, each once, the first few of them."""

    def __init__(self) -> None:
        self.found: tuple[str, ...] = ()
        self._seen: set[str] = set()

    def add(self, notes: Sequence[str]) -> None:
        """Take in the notes on a part."""
        for note in notes:
            if note not in self._seen and len(self.found) < _NOTES:
                self.found += (note,)
            self._seen.add(note)
