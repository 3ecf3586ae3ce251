"""`chainrule predict`: a trained model's answers for new rows.

In: a model file and a source, or rows on standard input. Out: predictions as CSV or JSON, beside the columns of the source
that are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.answers import answer_names, answers, cell_text, csv_lines, kept_text, plain_cell
from chainrule.cli.console import echo
from chainrule.cli.predict_lines import FORMATS, LineOptions, predict_lines
from chainrule.cli.source_rows import ModelPath, check_threshold, core_of, read_model, rows_to_predict
from chainrule.cli.streamed import can_be_streamed, source_of
from chainrule.cli.streamed_rows import is_streamed_source, predict_streamed
from chainrule.cli.unused import refuse, source_facts
from chainrule.data.table import ReadOptions
from chainrule.data.table.shell import listed
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.io import write_atomically
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.table_model import TableModel

_SOURCE = typer.Argument(
    metavar="SOURCE",
    help="A built-in name (digits, circles, mnist, ...), a table (.csv, .tsv, .txt, .parquet, .xlsx, each also .gz), "
    "an .npz file, or a folder with IDX files; none with --stdin.",
)


def predict(
    model: ModelPath,
    source: Annotated[str | None, _SOURCE] = None,
    data: o.Pattern = None,
    out: Annotated[Path | None, typer.Option(help="Write to this .csv file instead of standard output.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add the probability of each class.")] = False,
    threshold: o.Threshold = None,
    keep: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Columns of SOURCE to write before the predictions.")
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read rows from standard input and answer each one at once.")
    ] = False,
    row_format: Annotated[
        str, typer.Option("--format", help="How rows on standard input are written: jsonl, or csv with names first.")
    ] = "jsonl",
    separator: o.Separator = None,
    decimal: o.Decimal = None,
    header: o.Header = None,
    encoding: o.Encoding = None,
    max_memory: o.MaxMemory = None,
    as_json: o.Json = False,
) -> None:
    """Predict the rows of SOURCE with MODEL and print CSV, one line per row.

    Parquet files by a pattern, or with --max-memory, are read and answered in parts.
    """
    if stdin:
        _check_stdin(source if data is None else data, row_format, separator)
        refuse("predict", {"file": False, "csv lines": row_format == "csv"})
        lines = LineOptions(row_format, separator or ",", threshold, probabilities, tuple(listed(keep)))
        _predict_stdin(model, lines)
        return
    if source is None and data is None:
        raise InvalidValueError(must_be("predict", "SOURCE", "given", None, "Rows may also come with --stdin."))
    source = source_of("predict", source, data)
    streamed = is_streamed_source(source, max_memory)
    facts = {"csv": not as_json, "stdin": False, "streamed": can_be_streamed(source), "held in memory": not streamed}
    refuse("predict", source_facts(source) | facts)
    trained = read_model(model)
    core = core_of(trained)
    check_threshold("predict", core, threshold)
    if streamed:
        for note in predict_streamed(trained, source, max_memory, (threshold, probabilities), (listed(keep), out)):
            o.console(stderr=True).print(note, markup=False)
        return
    form = o.TrainOptions(separator=separator, decimal=decimal, header=header, encoding=encoding)
    reading = form.reading("predict")
    _predict_source(trained, source, reading, (threshold, probabilities, as_json), (listed(keep), out))


def _check_stdin(source: str | None, row_format: str, separator: str | None) -> None:
    """Refuse a source beside standard input, and a form of rows that does not exist."""
    if source is not None:
        raise InvalidValueError(must_be("predict", "SOURCE", "left out with --stdin", source))
    if row_format not in FORMATS:
        hint = did_you_mean(row_format, FORMATS)
        raise InvalidValueError(must_be("predict", "--format", " or ".join(FORMATS), row_format, hint))
    if separator is not None and (len(separator) != 1 or separator in '\r\n"'):
        raise InvalidValueError(must_be("predict", "--separator", "one character between cells", separator))


def _predict_stdin(model: str, options: LineOptions) -> None:
    """Answer the rows of standard input; leave with 1 if some of them could not be read."""
    trained = read_model(model)
    check_threshold("predict", core_of(trained), options.threshold)
    if predict_lines(trained, sys.stdin.buffer, options):
        raise typer.Exit(1)


def _predict_source(
    trained: Model | Pack | TableModel,
    source: str,
    reading: ReadOptions,
    wanted: tuple[float | None, bool, bool],
    places: tuple[Sequence[str], Path | None],
) -> None:
    """Answer the rows of a source."""
    threshold, probabilities, as_json = wanted
    keep, out = places
    core = core_of(trained)
    rows = rows_to_predict("predict", trained, source, reading, keep)
    predicted, P = answers(core, rows.X, threshold, probabilities)
    for note in rows.notes:
        o.console(stderr=True).print(note, markup=False)
    if as_json:
        kept = {"kept": {name: [plain_cell(cell) for cell in cells] for name, cells in rows.kept.items()}}
        extra = {} if P is None else {"probabilities": P.tolist()}
        o.print_json({**(kept if rows.kept else {}), "predictions": predicted.tolist(), **extra})
        return
    text = _as_csv(core, rows.kept, predicted, P)
    if out is None:
        echo(text, nl=False)
    else:
        write_atomically(out, text.encode())


def _as_csv(model: Model | Pack, kept: dict[str, list[Any]], predicted: Array, P: Array | None) -> str:
    """Return one line for each row: kept columns, predictions, probabilities."""
    columns: list[Any] = [predicted] if predicted.ndim == 1 else list(predicted.T)
    columns += [] if P is None else list(P.T)
    names = answer_names(model, P is not None)
    before = [[kept_text(cell) for cell in cells] for cells in kept.values()]
    after = [[cell_text(value) for value in column] for column in columns]
    return csv_lines([[cell_text(name) for name in (*kept, *names)], *zip(*before, *after, strict=True)])
