"""The run folder: it holds all of a run and its results, or it is not there at all.

In: the outcome of a training. Out: the folder's files; the options of an earlier run.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
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
from chainrule.errors import InvalidValueError, must_be
from chainrule.io import save_model, write_atomically
from chainrule.model import Model
from chainrule.report import matplotlib
from chainrule.report.page import PageContent, doctor_page, judge_model, run_page
from chainrule.table_model import TableModel
from chainrule.train import Run


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
    if empty and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(must_be("train", "--out", "a new or empty folder", str(folder)))
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InvalidValueError(must_be("train", "--out", "a folder that can be written", str(folder)))


def make_folder(source: str, out: Path | None) -> Path:
    """Make the run folder; of two runs at the same time, only one gets a number."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        return out
    name = Path(source).stem or "run"
    for k in itertools.count(1):
        folder = Path("runs") / f"{name}-{k}"
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


@contextmanager
def removed_on_failure(folder: Path) -> Iterator[None]:
    """Remove a run folder that could not be written completely."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write(folder: Path, outcome: TrainOutcome) -> None:
    """Write all files of a run folder."""
    save_model(_saved(outcome), folder / "model.safetensors")
    log = "".join(json.dumps(epoch.record()) + "\n" for epoch in outcome.run.epochs)
    write_atomically(folder / "run.jsonl", log.encode())
    curve = matplotlib.learning_curve(outcome.run.epochs, outcome.run.best_epoch, title(outcome.source, outcome.model))
    write_atomically(folder / "learning-curve.png", matplotlib.png(curve))
    settings = {
        **asdict(outcome.loaded.settings),
        "source": outcome.source,
        "target": outcome.loaded.parts.train.target_name,
    }
    options = {"source": outcome.source, **asdict(outcome.options)}
    config = {"settings": settings, "options": options, "result": o.finite(dict(outcome.summary))}
    write_atomically(folder / "config.json", json.dumps(config, indent=2).encode())
    if outcome.report is not None:
        write_atomically(folder / "doctor.json", json.dumps(outcome.report.plain(), indent=2, allow_nan=False).encode())
    write_atomically(folder / "report.html", run_report(outcome).encode())


def _saved(outcome: TrainOutcome) -> Model | TableModel:
    """Return the model with hashes of the rows that it was trained and chosen on, and with the schema of its table."""
    parts = outcome.loaded.parts
    held = [part.X for part in (parts.train, parts.validation) if part is not None]
    model = replace(outcome.model, trained_on=RowSketch.of(np.vstack(held)))
    schema = parts.train.schema
    return model if schema is None else TableModel(schema, model)


def title(source: str, model: Model) -> str:
    """Return the title of a run's pictures and pages."""
    return f"{printable(Path(source).stem or source)}: {model.net.size:,} parameters"


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
