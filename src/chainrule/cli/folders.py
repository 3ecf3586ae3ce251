"""Why: a run folder holds all that a run was and came to, or it is not there at all.

In: a job, a model, a run, the doctor's report. Out: the folder's files; what an earlier run was asked to do.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from chainrule.cli import options as o
from chainrule.cli.jobs import Job
from chainrule.data import Dataset, Parts
from chainrule.doctor.vocabulary.records import Report
from chainrule.errors import FormatError, InvalidValueError, must_be
from chainrule.io import save_model, write_atomically
from chainrule.model import Model
from chainrule.report import matplotlib
from chainrule.report.page import PageContent, doctor_page, judge_model, run_page
from chainrule.train import Run


@dataclass(frozen=True, eq=False)
class Done:
    """A training that is over: from what, as what, its model, its records, what the doctor says of it."""

    source: str
    wanted: o.Wanted
    job: Job
    model: Model
    run: Run
    summary: Mapping[str, Any]
    report: Report | None = None


def present(parts: Parts) -> dict[str, Dataset]:
    """The parts that there are, by name."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return {name: part for name, part in named.items() if part is not None}


def check_place(folder: Path, empty: bool) -> None:
    """Refuse, before any training, a run folder that cannot be made, or that is in use where it must be empty."""
    if empty and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(must_be("train", "--out", "a new or empty folder", str(folder)))
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InvalidValueError(must_be("train", "--out", "a folder that can be written", str(folder)))


def claim(source: str, out: Path | None) -> Path:
    """Make the run folder; of two runs at once, only one gets a number."""
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
def whole(folder: Path) -> Iterator[None]:
    """Take back a run folder that was not written to its end."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def write(folder: Path, done: Done) -> None:
    """All files of a run folder."""
    save_model(done.model, folder / "model.safetensors")
    log = "".join(json.dumps(epoch.record()) + "\n" for epoch in done.run.epochs)
    write_atomically(folder / "run.jsonl", log.encode())
    curve = matplotlib.learning_curve(done.run.epochs, done.run.best_epoch, title(done.source, done.model))
    write_atomically(folder / "learning-curve.png", matplotlib.png(curve))
    settings = {**asdict(done.job.settings), "source": done.source, "target": done.job.parts.train.target_name}
    asked = {"source": done.source, **asdict(done.wanted)}
    config = {"settings": settings, "asked": asked, "result": o.finite(dict(done.summary))}
    write_atomically(folder / "config.json", json.dumps(config, indent=2).encode())
    if done.report is not None:
        write_atomically(folder / "doctor.json", json.dumps(done.report.plain(), indent=2, allow_nan=False).encode())
    write_atomically(folder / "report.html", run_report(done).encode())


def title(source: str, model: Model) -> str:
    """What pictures and pages of a run are called."""
    return f"{Path(source).stem or source}: {model.net.size:,} parameters"


def run_report(done: Done) -> str:
    """The page of a run: the doctor's, or without its findings."""
    model, run, parts = done.model, done.run, done.job.parts
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
        f"{name} {figure}": value for figure, value in done.summary[{"training": "train"}.get(name, name)].items()
    }
    shown = PageContent(
        {**scores, **{k: v for k, v in ended.items() if v is not None}},
        judge_model(model, part.X, part.y, name, part.image_shape),
        {"source": done.source, **asdict(done.job.settings)},
        run.best_epoch,
        part.image_shape,
        model.net,
        model.w,
    )
    heading = title(done.source, model)
    return run_page(run.epochs, heading, shown) if done.report is None else doctor_page(done.report, heading, shown)


def asked_in(folder: Path) -> tuple[str, o.Wanted, Mapping[str, Any]]:
    """Source and options of the run in a folder, and what it came to.

    Raises `FormatError` for a config.json that no run wrote.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        asked = dict(config["asked"])
        source = asked.pop("source")
        known = {f.name for f in fields(o.Wanted)}
        return (
            str(source),
            o.Wanted(**{name: value for name, value in asked.items() if name in known}),
            config["result"],
        )
    except (KeyError, TypeError, ValueError) as error:
        hint = "Train again; earlier versions did not write down what was asked."
        raise FormatError(f"{folder / 'config.json'}: the file must be a run's settings ({error}). {hint}") from None
