"""`chainrule predict`: a trained model's answers for new rows.

In: a model file and a source. Out: predictions as CSV or JSON, beside the columns of the source that are kept.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.cli.console import echo
from chainrule.cli.source_rows import ModelPath, check_threshold, core_of, read_model, rows_to_predict
from chainrule.cli.unused import refuse, source_facts
from chainrule.data.table.shell import listed
from chainrule.display import csv_text
from chainrule.io import write_atomically
from chainrule.model import Model
from chainrule.pack import Pack
from chainrule.pipeline import labels_at


def predict(
    model: ModelPath,
    source: o.Source,
    out: Annotated[Path | None, typer.Option(help="Write to this .csv file instead of standard output.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add the probability of each class.")] = False,
    threshold: o.Threshold = None,
    keep: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Columns of SOURCE to write before the predictions.")
    ] = None,
    separator: o.Separator = None,
    decimal: o.Decimal = None,
    header: o.Header = None,
    encoding: o.Encoding = None,
    as_json: o.Json = False,
) -> None:
    """Predict the rows of SOURCE with MODEL and print CSV, one line per row."""
    refuse("predict", source_facts(source) | {"csv": not as_json})
    trained = read_model(model)
    core = core_of(trained)
    check_threshold("predict", core, threshold)
    form = o.TrainOptions(separator=separator, decimal=decimal, header=header, encoding=encoding)
    reading = form.reading("predict")
    rows = rows_to_predict("predict", trained, source, reading, listed(keep))
    predicted, P = _answers(core, rows.X, threshold, probabilities)
    for note in rows.notes:
        o.console(stderr=True).print(note, markup=False)
    if as_json:
        kept = {"kept": {name: [_plain(cell) for cell in cells] for name, cells in rows.kept.items()}}
        extra = {} if P is None else {"probabilities": P.tolist()}
        o.print_json({**(kept if rows.kept else {}), "predictions": predicted.tolist(), **extra})
        return
    text = _as_csv(core, rows.kept, predicted, P)
    if out is None:
        echo(text, nl=False)
    else:
        write_atomically(out, text.encode())


def _answers(model: Model | Pack, X: Array, threshold: float | None, probabilities: bool) -> tuple[Array, Array | None]:
    """Return predictions, and probabilities if they are wanted."""
    P = model.probabilities(X) if probabilities or threshold is not None else None
    if threshold is not None and P is not None and isinstance(model.classes, np.ndarray):
        predicted = labels_at(model.classes, P, threshold)
    else:
        predicted = model.predict(X)
    return predicted, P if probabilities else None


def _as_csv(model: Model | Pack, kept: dict[str, list[Any]], predicted: Array, P: Array | None) -> str:
    """Return one line for each row: kept columns, predictions, probabilities."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns: list[Any] = [predicted] if predicted.ndim == 1 else list(predicted.T)
    names = [model.target_name] if len(columns) == 1 else [f"{model.target_name}_{j}" for j in range(len(columns))]
    if P is not None and model.classes is not None:
        columns += list(P.T)
        known = model.classes if isinstance(model.classes, tuple) else (model.classes,)
        names += [f"probability_{label}" for labels in known for label in labels]
    writer.writerow([_cell(name) for name in (*kept, *names)])
    before = [[_kept_cell(cell) for cell in cells] for cells in kept.values()]
    after = [[_cell(value) for value in column] for column in columns]
    writer.writerows(zip(*before, *after, strict=True))
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    """Return a value of a csv cell: text that no spreadsheet runs as a formula, or a number."""
    return csv_text(value) if isinstance(value, str) else value


def _kept_cell(value: Any) -> Any:
    """Return a cell of a kept column as it is written, empty for a gap."""
    plain = _plain(value)
    return "" if plain is None else csv_text(plain, numbers=True) if isinstance(plain, str) else plain


def _plain(value: Any) -> Any:
    """Return a date as text, and every other cell as it is."""
    return (
        value.isoformat()
        if isinstance(value, dt.date | dt.time)
        else str(value)
        if isinstance(value, dt.timedelta)
        else value
    )
