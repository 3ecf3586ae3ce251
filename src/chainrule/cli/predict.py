"""`chainrule evaluate` and `chainrule predict`: a trained model applied to new rows.

In: a model file and a source. Out: scores on labeled rows, or predictions for any rows.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.data import features_of, load
from chainrule.data.table.files import table_ending
from chainrule.errors import InvalidValueError, must_be
from chainrule.io import load_model, write_atomically
from chainrule.model import Model
from chainrule.pipeline import confusion_matrix
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.report import terminal

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")
"""First characters of text that a spreadsheet would run as a formula."""

ModelPath = Annotated[str, typer.Argument(metavar="MODEL", help="A model.safetensors file or a run folder.")]


def read_model(place: str) -> Model:
    """Load the model from a file or a run folder."""
    path = Path(place)
    return cast(Model, load_model(path / "model.safetensors" if path.is_dir() else path))


def evaluate(
    model: ModelPath, source: o.Source, target: o.Target = None, seed: o.DataSeed = 0, as_json: o.Json = False
) -> None:
    """Evaluate MODEL on labeled data (the test split of SOURCE if it has one, otherwise all rows)."""
    trained = read_model(model)
    dataset = load(
        source,
        target or _default_target(trained, source),
        task=trained.task,
        seed=seed,
        features=trained.feature_names,
    )
    dataset = dataset.test or dataset
    if dataset.X.shape[1] != trained.net.inputs:
        raise InvalidValueError(must_be(source, "columns", f"{trained.net.inputs}, as in training", dataset.X.shape[1]))
    X = dataset.X
    y = _labels(trained, dataset.y)
    scores = evaluate_model(trained, X, y)
    if as_json:
        o.print_json({"rows": len(X), **scores})
        return
    out = o.console()
    out.print(terminal.scores_table({f"{len(X)} rows": scores}))
    if isinstance(trained.classes, np.ndarray) and len(trained.classes) <= terminal.MOST_CLASSES:
        counts = confusion_matrix(y, trained.predict(X), trained.classes)
        out.print(terminal.confusion_table(counts, trained.classes.tolist()))


def _default_target(model: Model, source: str) -> str | None:
    return model.target_name if table_ending(Path(source)) else None


def _labels(model: Model, y: Array) -> Array:
    """Return labels as text if the model's are: a file whose labels all look like numbers is read as numbers."""
    text = isinstance(model.classes, np.ndarray) and model.classes.dtype.kind in "OTU"
    return y.astype(np.str_) if text and y.dtype.kind in "iu" else y


def predict(
    model: ModelPath,
    source: o.Source,
    out: Annotated[Path | None, typer.Option(help="Write to this .csv file instead of standard output.")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add the probability of each class.")] = False,
    as_json: o.Json = False,
) -> None:
    """Predict the rows of SOURCE with MODEL and print CSV, one line per row."""
    trained = read_model(model)
    X = features_of(source, trained.feature_names)
    predicted = trained.predict(X)
    P = trained.probabilities(X) if probabilities else None
    if as_json:
        extra = {} if P is None else {"probabilities": P.tolist()}
        o.print_json({"predictions": predicted.tolist(), **extra})
        return
    text = _as_csv(trained, predicted, P)
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, text.encode())


def _as_csv(model: Model, predicted: Array, P: Array | None) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    columns = [predicted] if predicted.ndim == 1 else list(predicted.T)
    names = [model.target_name] if len(columns) == 1 else [f"{model.target_name}_{j}" for j in range(len(columns))]
    if P is not None and model.classes is not None:
        columns += list(P.T)
        names += [f"probability_{label}" for label in model.classes]
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(value) for value in row] for row in zip(*columns, strict=True))
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would run as a formula; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
