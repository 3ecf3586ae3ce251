"""The run folder: it holds all of a run and its results, or it is not there at all.

In: the outcome of a training. Out: the folder's files; the options of an earlier run.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.cli import options as o
from chainrule.cli.problem import LoadedProblem
from chainrule.cli.recorded import options_of, read_config
from chainrule.data import Dataset, Parts
from chainrule.data.row_sketch import RowSketch
from chainrule.display import printable
from chainrule.doctor.vocabulary.records import Report
from chainrule.errors import FormatError, InvalidValueError, must_be
from chainrule.io import save_model, write_atomically
from chainrule.io.model_file import model_bytes
from chainrule.io.staging import UnfinishedFolder, is_free, unfinished, whole_folder
from chainrule.model import Model
from chainrule.report import series
from chainrule.report.page import PageContent, doctor_page, judge_model, run_page
from chainrule.report.plots import Mark
from chainrule.report.svg import sheet
from chainrule.table_model import TableModel
from chainrule.train import Run

FILES = frozenset(
    {
        "model.safetensors",
        "run.jsonl",
        "learning-curve.svg",
        "config.json",
        "doctor.json",
        "report.html",
        "networks.jsonl",
        "preset.json",
    }
)
"""Everything that a run folder may hold."""

_SHOWN = ("model.safetensors", "run.jsonl", "learning-curve.svg", "config.json", "report.html", "doctor.json")

_LONGEST = 80
"""Letters of a source's name in the name of its folder."""


@dataclass(frozen=True, eq=False)
class TrainOutcome:
    """A finished training: its source and options, its problem, its model and records, the doctor's report."""

    source: str
    options: o.TrainOptions
    loaded: LoadedProblem
    model: Model
    run: Run
    summary: Mapping[str, Any]
    report: Report | None = None


def available_parts(parts: Parts) -> dict[str, Dataset]:
    """Return the parts that exist, by name."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return {name: part for name, part in named.items() if part is not None}


def check_writable(folder: Path, empty: bool) -> None:
    """Refuse, before any training, a run folder that cannot be made, or that is in use where it must be empty."""
    if empty and not is_free(folder, FILES):
        hint = "It holds a finished run." if is_finished(folder) else ""
        raise InvalidValueError(must_be("train", "--out", "a new or empty folder", str(folder), hint))
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InvalidValueError(must_be("train", "--out", "a folder that can be written", str(folder)))


def is_finished(folder: Path) -> bool:
    """Check whether a folder holds a whole run."""
    files = (folder / "config.json", folder / "model.safetensors")
    return all(file.is_file() for file in files) and not unfinished(folder).exists()


def holds_this_run(folder: Path, source: str, options: o.TrainOptions) -> bool:
    """Check whether a folder holds the whole run of the same source and options: this command was there before."""
    if not is_finished(folder):
        return False
    with suppress(FormatError):
        return options_of_run(folder) == (source, options)
    return False


def check_same_model(folder: Path, outcome: TrainOutcome) -> None:
    """Refuse an outcome whose model is not the one that a finished run folder holds; the folder stays as it is."""
    if model_bytes(_saved(outcome)) != (folder / "model.safetensors").read_bytes():
        hint = "It holds a finished run with another model."
        raise InvalidValueError(must_be("train", "--out", "a new or empty folder", str(folder), hint))


@contextmanager
def new_run_folder(source: str, out: Path | None) -> Iterator[UnfinishedFolder]:
    """Hold a place for a run folder; the folder appears when it is finished, and nothing is left of one that is not.

    Parameters
    ----------
    source : str
        What is trained on; it names a folder in `runs`.
    out : Path or None
        The folder. None takes the first of runs/NAME-1, -2, ... that is not there; of two runs at the same time, only one
        gets a number.

    Yields
    ------
    UnfinishedFolder

    Raises
    ------
    InvalidValueError
        Where another process writes the folder.
    """
    taken = must_be("train", "--out", "a free folder", str(out), "Another process is training into it.")
    with whole_folder([out] if out is not None else _numbers(source), "train", FILES, taken) as folder:
        yield folder


def _numbers(source: str) -> Iterator[Path]:
    """Yield runs/NAME-1, -2, ..., as far as they are not there."""
    name = "".join(letter for letter in Path(source).stem if letter not in "*?[]").strip("-_. ")[:_LONGEST] or "run"
    for k in itertools.count(1):
        folder = Path("runs") / f"{name}-{k}"
        if not folder.exists():
            yield folder


def write(folder: Path, outcome: TrainOutcome) -> None:
    """Write the result of a run: everything but pictures and pages."""
    save_model(_saved(outcome), folder / "model.safetensors")
    log = "".join(json.dumps(epoch.record()) + "\n" for epoch in outcome.run.epochs)
    write_atomically(folder / "run.jsonl", log.encode(), "train")
    settings = {
        **asdict(outcome.loaded.settings),
        "source": outcome.source,
        "target": outcome.loaded.parts.train.target_name,
    }
    options = {"source": outcome.source, **asdict(outcome.options)}
    config = {"settings": settings, "options": options, "result": o.finite(dict(outcome.summary))}
    if outcome.report is not None:
        report = json.dumps(outcome.report.plain(), indent=2, allow_nan=False)
        write_atomically(folder / "doctor.json", report.encode(), "train")
    write_atomically(folder / "config.json", json.dumps(config, indent=2).encode(), "train")


def draw(folder: Path, outcome: TrainOutcome) -> None:
    """Draw the curve and the page of a run whose result is saved; a fault costs the picture, not the run."""
    draw_safely(folder / "learning-curve.svg", lambda: encoded(learning_curves(outcome)))
    draw_safely(folder / "report.html", lambda: encoded(run_report(outcome)))


def draw_safely(path: Path, drawn: Callable[[], bytes]) -> bool:
    """Write a picture or a page beside results that are saved; return whether it was written, and warn where it was not.

    Parameters
    ----------
    path : Path
        The file.
    drawn : callable
        Returns its content.

    Returns
    -------
    bool
    """
    try:
        write_atomically(path, drawn(), "train")
    except Exception as error:
        o.warn_of_picture(path.name, error, "The model and its scores are saved.")
        return False
    return True


def encoded(text: str) -> bytes:
    """Return a page as bytes; what no text file can hold, such as a broken file name, is replaced."""
    return text.encode(errors="replace")


def _saved(outcome: TrainOutcome) -> Model | TableModel:
    """Return the model with hashes of the rows that it was trained and chosen on, and with the schema of its table."""
    parts = outcome.loaded.parts
    held = [part.X for part in (parts.train, parts.validation) if part is not None]
    sketch = outcome.loaded.sketch or RowSketch.of(np.vstack(held))
    model = replace(outcome.model, trained_on=sketch)
    schema = parts.train.schema
    return model if schema is None else TableModel(schema, model)


def title(source: str, model: Model) -> str:
    """Return the title of a run's pictures and pages."""
    return f"{printable(Path(source).stem or source)}: {model.net.size:,} parameters"


def listed(folder: Path) -> str:
    """Return the line that names a run folder of one network and the files in it."""
    return f"{folder}: {', '.join(name for name in _SHOWN if (folder / name).exists())}"


def learning_curves(outcome: TrainOutcome) -> str:
    """Return the picture of a run: its loss and its score by epoch, as an SVG file, which needs no library."""
    run = outcome.run
    marks = [] if run.best_epoch is None else [Mark(float(run.best_epoch), f"best: epoch {run.best_epoch}")]
    plots = [series.learning_curve(run.epochs, part, marks) for part in ("loss", "score")]
    return sheet(title(outcome.source, outcome.model), plots)


def run_report(outcome: TrainOutcome) -> str:
    """Return the page of a run: the doctor's, or without its findings."""
    model = outcome.model
    run = outcome.run
    parts = outcome.loaded.parts
    name, part = next(
        (n, p) for n, p in (("test", parts.test), ("validation", parts.validation), ("training", parts.train)) if p
    )
    ended = {
        "epochs": len(run.epochs),
        "kept": run.best_epoch,
        "engine": run.engine,
        "training took": f"{run.seconds:.1f} s",
    }
    scores = {
        f"{name} {figure}": value for figure, value in outcome.summary[{"training": "train"}.get(name, name)].items()
    }
    shown = PageContent(
        {**scores, **{k: v for k, v in ended.items() if v is not None}},
        judge_model(model, part.X, part.y, name, part.image_shape),
        {"source": outcome.source, **asdict(outcome.loaded.settings)},
        run.best_epoch,
        part.image_shape,
        model.net,
        model.w,
    )
    heading = title(outcome.source, model)
    return (
        run_page(run.epochs, heading, shown) if outcome.report is None else doctor_page(outcome.report, heading, shown)
    )


def options_of_run(folder: Path) -> tuple[str, o.TrainOptions]:
    """Return source and options of the run in a folder.

    Raises `FormatError` for a config.json that no run wrote.
    """
    return options_of(folder, read_config(folder))
