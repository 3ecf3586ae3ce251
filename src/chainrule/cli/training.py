"""Why: `chainrule train` is the main job: from a source to a trained model, its figures and its run folder, in one line.

In: a source and options. Out: a table (or JSON), and a folder with model, log, curve and settings.
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
from typing import Annotated, Any

import numpy as np
import typer

from chainrule.arrays import Array
from chainrule.cli import options as o
from chainrule.data import Dataset, Parts, load, three_way
from chainrule.engines import Rows, choose
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.io import save_model, write_atomically
from chainrule.model import Model
from chainrule.pipeline import (
    Settings,
    Target,
    class_weights,
    classification,
    confusion,
    regression,
    scaler,
    train_model,
)
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.report import figures, terminal
from chainrule.train import BestWeights, EarlyStopping, Monitor, Progress, RangeTest, Run, range_test
from chainrule.train.range_test import RangeResult


@dataclass(frozen=True)
class Job:
    """What is to be trained: the parts of the data, what their targets say, settings, weights of the training rows."""

    parts: Parts
    target: Target
    settings: Settings
    weights: Array


def prepare(
    source: str,
    column: str | None,
    task: str | None,
    settings: Settings,
    test: float,
    held_out: float,
    balance: str | None,
) -> Job:
    """Load, split, and look at the targets."""
    shares = {"--test-fraction": test, "--validation-fraction": held_out}
    raise_all(must_be("train", name, "in [0, 1)", value) for name, value in shares.items() if not 0 <= value < 1)
    dataset = load(source, column, task=task, seed=settings.seed)
    parts = three_way(dataset, test, held_out, settings.seed)
    target = (classification if dataset.task == "classification" else regression)(parts.train.y, settings)
    weights = np.ones(len(parts.train.y))
    if balance is not None:
        if target.classes is None:
            raise InvalidValueError(must_be("train", "--class-weight", "left out for a regression", balance))
        weights = class_weights(target.classes, parts.train.y, balance)
    return Job(parts, target, settings, weights)


def train(
    source: o.Source,
    target: o.Target = None,
    task: o.TaskName = None,
    hidden: o.Hidden = "100",
    activation: o.ActivationName = "relu",
    initializer: o.Initializer = None,
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    loss: o.LossName = "squared_error",
    optimizer: o.Optimizer = "adam",
    lr: o.Rate = "0.001",
    schedule: o.ScheduleName = "constant",
    epochs: o.Epochs = 100,
    batch_size: o.BatchSize = "auto",
    alpha: o.Alpha = 0.0,
    clip_norm: o.ClipNorm = None,
    label_smoothing: o.LabelSmoothing = 0.0,
    class_weight: o.ClassWeight = None,
    patience: o.Patience = 20,
    test_fraction: o.TestFraction = 0.2,
    validation_fraction: o.ValidationFraction = 0.1,
    scaling: o.Scaling = None,
    engine: o.EngineName = "auto",
    dtype: o.Dtype = "float32",
    seed: o.Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME-1, -2, ... if not given.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Keep the run in this folder; the same line again goes on from there.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Train a network on SOURCE, show how good it is, and leave a run folder."""
    settings = o.checked(
        "train",
        hidden_layer_sizes=o.hidden_sizes(hidden),
        activation=activation,
        initializer=initializer,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
        loss=loss,
        optimizer=optimizer,
        learning_rate_init=o.learning_rate(lr) or Settings.learning_rate_init,
        schedule=schedule,
        batch_size=o.batch_size(batch_size),
        max_iter=epochs,
        alpha=alpha,
        clip_norm=clip_norm,
        label_smoothing=label_smoothing,
        scaling=scaling or "columns",
        engine=engine,
        dtype=dtype,
        seed=seed,
        n_iter_no_change=max(patience, 1),
    )
    _check_place(out or Path("runs") / "run", empty=out is not None)
    job = prepare(source, target, task, settings, test_fraction, validation_fraction, class_weight)
    job = replace(job, settings=_settle(job, scaling, o.learning_rate(lr) is None, quiet=as_json))
    model, run = _run(job, patience, checkpoint, quiet=as_json)
    if run.interrupted and checkpoint is not None:
        o.console(stderr=True).print(f"{run.stopped}; the same line goes on from {checkpoint}")
        raise typer.Exit(130)
    summary = _summary(job.parts, model, run)
    folder = _claim(source, out)
    with _whole(folder):
        _write(folder, job, model, run, summary, source)
    if as_json:
        o.print_json(summary | {"run": str(folder), "model": str(folder / "model.safetensors")})
    else:
        _show(job.parts, model, run, summary, folder)
    if run.diverged:
        raise typer.Exit(1)


def _settle(job: Job, scaling: str | None, find: bool, quiet: bool) -> Settings:
    """Settings that depend on the data: the scale of pixels, and the rate where it is to be found."""
    shared = scaling is None and job.parts.train.shared_unit
    settings = replace(job.settings, scaling="shared" if shared else job.settings.scaling)
    if not find:
        return settings
    found = _range_test(replace(job, settings=settings), RangeTest()).suggestion
    if not quiet:
        o.console(stderr=True).print(f"learning rate {found:.2g} (range test)")
    return replace(settings, learning_rate_init=found)


def _run(job: Job, patience: int, checkpoint: Path | None, quiet: bool) -> tuple[Model, Run]:
    data, held_out, settings = job.parts.train, job.parts.validation, job.settings
    monitors: list[Monitor] = [] if quiet else [Progress()]
    if held_out is not None:
        stop = EarlyStopping(settings.n_iter_no_change, settings.tol)
        monitors.append(stop if patience else BestWeights())
    return train_model(
        data.X,
        data.y,
        job.target,
        settings,
        weights=job.weights,
        validation=None if held_out is None else (held_out.X, held_out.y),
        monitors=monitors,
        feature_names=data.feature_names,
        target_name=data.target_name,
        checkpoint=checkpoint,
    )


def _present(parts: Parts) -> dict[str, Dataset]:
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return {name: part for name, part in named.items() if part is not None}


def _summary(parts: Parts, model: Model, run: Run) -> dict[str, Any]:
    scores = {name: evaluate_model(model, part.X, part.y) for name, part in _present(parts).items()}
    return {
        **scores,
        "seconds": run.seconds,
        "epochs": len(run.epochs),
        "best_epoch": run.best_epoch,
        "stopped": run.stopped or "all epochs done",
        "engine": run.engine,
        "parameters": model.net.size,
    }


def _check_place(folder: Path, empty: bool) -> None:
    """Refuse, before any training, a run folder that cannot be made, or that is in use where it must be empty."""
    if empty and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValueError(must_be("train", "--out", "a new or empty folder", str(folder)))
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise InvalidValueError(must_be("train", "--out", "a folder that can be written", str(folder)))


def _claim(source: str, out: Path | None) -> Path:
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
def _whole(folder: Path) -> Iterator[None]:
    """Take back a run folder that was not written to its end."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write(folder: Path, job: Job, model: Model, run: Run, summary: Mapping[str, Any], source: str) -> None:
    save_model(model, folder / "model.safetensors")
    log = "".join(json.dumps(epoch.record()) + "\n" for epoch in run.epochs)
    write_atomically(folder / "run.jsonl", log.encode())
    curve = figures.learning_curve(run.epochs, run.best_epoch, f"{source}: {model.net.size:,} parameters")
    write_atomically(folder / "learning-curve.png", figures.png(curve))
    settings = {**asdict(job.settings), "source": source, "target": job.parts.train.target_name}
    config = json.dumps({"settings": settings, "result": o.finite(dict(summary))}, indent=2)
    write_atomically(folder / "config.json", config.encode())


def _show(parts: Parts, model: Model, run: Run, summary: Mapping[str, Any], folder: Path) -> None:
    out = o.console()
    out.print(terminal.scores_table({name: summary[name] for name in _present(parts)}))
    shown = parts.test or parts.validation or parts.train
    if model.classes is not None and len(model.classes) <= terminal.MOST_CLASSES:
        out.print(terminal.confusion_table(confusion(model, shown.X, shown.y), model.classes.tolist()))
    kept = f", epoch {run.best_epoch} kept" if run.best_epoch else ""
    ended = f" ({run.stopped})" if run.stopped else ""
    out.print(f"{len(run.epochs)} epochs in {run.seconds:.1f} s on the {run.engine} engine{kept}{ended}")
    for note in run.notes:
        out.print(note)
    out.print(f"{folder}: model.safetensors, run.jsonl, learning-curve.png, config.json")


def _range_test(job: Job, settings: RangeTest) -> RangeResult:
    data = job.parts.train
    inputs = scaler(data.X, job.settings.scaling, job.weights)
    net = job.settings.network(data.X.shape[1], job.target.outputs)
    recipe = job.settings.recipe(net, job.target.loss, len(data.X))
    rows = Rows.of(recipe, inputs.apply(data.X, job.settings.dtype), job.target.encode(data.y), job.weights)
    engine, _ = choose(job.settings.engine, recipe)
    return range_test(engine.compile(recipe, rows), recipe, rows, settings)


def lr_find(
    source: o.Source,
    target: o.Target = None,
    task: o.TaskName = None,
    hidden: o.Hidden = "100",
    activation: o.ActivationName = "relu",
    batch_norm: o.BatchNorm = False,
    layer_norm: o.LayerNorm = False,
    dropout: o.Dropout = 0.0,
    loss: o.LossName = "squared_error",
    optimizer: o.Optimizer = "adam",
    batch_size: o.BatchSize = "auto",
    scaling: o.Scaling = None,
    engine: o.EngineName = "auto",
    seed: o.Seed = 0,
    low: Annotated[float, typer.Option(help="Smallest rate tried.")] = 1e-7,
    high: Annotated[float, typer.Option(help="Largest rate tried.")] = 10.0,
    steps: Annotated[int, typer.Option(max=10**6, help="Number of rates tried.")] = 100,
    picture: Annotated[Path | None, typer.Option(help="Write the curve to this .png file.")] = None,
    as_json: o.Json = False,
) -> None:
    """Suggest a learning rate for SOURCE: a hundred steps at rising rates, and a tenth of the one with the lowest loss."""
    settings = o.checked(
        "lr-find",
        hidden_layer_sizes=o.hidden_sizes(hidden),
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
        loss=loss,
        optimizer=optimizer,
        batch_size=o.batch_size(batch_size),
        scaling=scaling or "columns",
        engine=engine,
        seed=seed,
    )
    job = prepare(source, target, task, settings, 0.0 if source != "mnist" else 0.2, 0.0, None)
    job = replace(job, settings=_settle(job, scaling, find=False, quiet=True))
    result = _range_test(job, RangeTest(low, high, steps))
    if picture is not None:
        write_atomically(picture, figures.png(figures.rate_curve(result)))
    if as_json:
        curve = {"rates": result.rates.tolist(), "losses": result.losses.tolist()}
        o.print_json({"suggestion": result.suggestion, **curve})
        return
    out = o.console()
    out.print(f"suggested learning rate: {result.suggestion:.2g}")
    out.print(f"tried {len(result.rates)} rates from {result.rates[0]:.1e} to {result.rates[-1]:.1e}")
    out.print(f"chainrule train {source} --lr {result.suggestion:.2g}")
