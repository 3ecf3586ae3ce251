"""Why: `chainrule train` is the main job: from a source to a trained model, its figures and its run folder, in one line.

In: a source and options. Out: a table (or JSON), and a folder with model, log, curve, settings and report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.examining import Cards, cured, examined, tell
from chainrule.cli.folders import Done, check_place, claim, present, whole, write
from chainrule.cli.jobs import Job, prepare, settle, tried_rates, wanted_job
from chainrule.doctor import problem_of, watched
from chainrule.errors import InvalidValueError, did_you_mean, must_be
from chainrule.io import write_atomically
from chainrule.model import Model
from chainrule.pipeline import confusion_matrix
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.pipeline import run as run_job
from chainrule.pipeline.option_names import COMMAND_LINE
from chainrule.report import matplotlib, terminal
from chainrule.train import BestWeights, EarlyStopping, Monitor, Progress, RangeTest, Run

LEVELS = ("off", "watch", "advise", "fix")
"""How much the doctor does: nothing; looks on; tries remedies; applies those that prove themselves and trains again."""


@o.spread
def train(
    source: o.Source,
    wanted: o.Wanted,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/NAME-1, -2, ... if not given.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Keep the run in this folder; the same line again goes on from there.")
    ] = None,
    doctor: Annotated[
        str, typer.Option(help="off, watch (look on), advise (try remedies), fix (apply those that prove themselves).")
    ] = "watch",
    suppress: o.Suppress = None,
    as_json: o.Json = False,
) -> None:
    """Train a network on SOURCE, show how good it is, and leave a run folder."""
    if doctor not in LEVELS:
        raise InvalidValueError(must_be("train", "--doctor", ", ".join(LEVELS), doctor, did_you_mean(doctor, LEVELS)))
    suppressed = o.suppressed("train", suppress)
    settings = wanted.settings("train")
    check_place(out or Path("runs") / "run", empty=out is not None)
    job = wanted_job(source, wanted, settings, quiet=as_json)
    cards = None if as_json else Cards(o.console(stderr=True))
    done = _trained(source, wanted, job, doctor, suppressed, checkpoint, cards)
    if doctor in ("advise", "fix"):
        done = replace(done, report=examined(done.job, done.run.best_epoch, suppressed))
    if doctor == "fix" and done.report is not None and not done.report.healthy:
        done = _mended(done, suppressed, cards)
    folder = claim(source, out)
    with whole(folder):
        write(folder, done)
    if cards is None:
        o.print_json(_said(done, folder))
    else:
        _show(done, folder, cards)
    if done.run.diverged:
        raise typer.Exit(1)


def _trained(
    source: str,
    wanted: o.Wanted,
    job: Job,
    doctor: str,
    suppressed: Mapping[str, str],
    checkpoint: Path | None,
    cards: Cards | None,
) -> Done:
    """One training, watched unless the doctor is off; without cards nothing is shown on the way."""
    ready = job.ready()
    monitors: list[Monitor] = [] if cards is None else [Progress(cards.out)]
    if job.parts.validation is not None:
        stop = EarlyStopping(job.settings.n_iter_no_change, job.settings.tol)
        monitors.append(stop if wanted.patience else BestWeights())
    if doctor == "off":
        run, report = run_job(ready, monitors, checkpoint), None
    else:
        run, report = watched(
            problem_of(ready),
            lambda watch: run_job(ready, [*monitors, watch], checkpoint),
            on_change=None if cards is None else cards.on_the_way,
            suppress=suppressed,
        )
        report = replace(report, interface=COMMAND_LINE)
    if run.interrupted and checkpoint is not None:
        o.console(stderr=True).print(f"{run.stopped}; the same line goes on from {checkpoint}")
        raise typer.Exit(130)
    model = ready.model(run.state)
    return Done(source, wanted, job, model, run, _summary(job, model, run), report)


def _mended(done: Done, suppressed: Mapping[str, str], cards: Cards | None) -> Done:
    """The training again with the remedies that proved themselves, where there are some."""
    assert done.report is not None
    cure = cured(done.job, done.wanted, done.report)
    if cards is not None:
        for line in cure.log:
            cards.out.print(line, markup=False)
    if cure.wanted == done.wanted:
        return replace(done, report=replace(done.report, notes=(*done.report.notes, *cure.log)))
    job = wanted_job(done.source, cure.wanted, cure.wanted.settings("train"), quiet=cards is None)
    again = _trained(done.source, cure.wanted, job, "fix", suppressed, None, cards)
    report = examined(again.job, again.run.best_epoch, suppressed)
    return replace(again, report=replace(report, notes=(*report.notes, *cure.log)))


def _summary(job: Job, model: Model, run: Run) -> dict[str, Any]:
    scores = {name: evaluate_model(model, part.X, part.y) for name, part in present(job.parts).items()}
    return {
        **scores,
        "seconds": run.seconds,
        "epochs": len(run.epochs),
        "best_epoch": run.best_epoch,
        "stopped": run.stopped or "all epochs done",
        "engine": run.engine,
        "parameters": model.net.size,
    }


def _said(done: Done, folder: Path) -> dict[str, Any]:
    """What `--json` prints."""
    told: dict[str, Any] = {"run": str(folder), "model": str(folder / "model.safetensors")}
    if done.report is not None:
        told["doctor"] = {"verdict": done.report.verdict, "findings": [f.symptom for f in done.report.findings]}
    return dict(done.summary) | told


def _show(done: Done, folder: Path, cards: Cards) -> None:
    out, model, run, parts = o.console(), done.model, done.run, done.job.parts
    out.print(terminal.scores_table({name: done.summary[name] for name in present(parts)}))
    shown = parts.test or parts.validation or parts.train
    if model.classes is not None and len(model.classes) <= terminal.MOST_CLASSES:
        counts = confusion_matrix(shown.y, model.predict(shown.X), model.classes)
        out.print(terminal.confusion_table(counts, list(model.classes)))
    kept = f", epoch {run.best_epoch} kept" if run.best_epoch else ""
    ended = f" ({run.stopped})" if run.stopped else ""
    out.print(f"{len(run.epochs)} epochs in {run.seconds:.1f} s on the {run.engine} engine{kept}{ended}")
    for note in run.notes:
        out.print(note)
    if done.report is not None:
        tell(out, done.report, folder, cards.told)
    files = "model.safetensors, run.jsonl, learning-curve.png, config.json, report.html"
    out.print(f"{folder}: {files}" + ("" if done.report is None else ", doctor.json"))


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
        hidden_layer_sizes=o.hidden_sizes("lr-find", hidden),
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
        loss=loss,
        optimizer=optimizer,
        batch_size=o.batch_size("lr-find", batch_size),
        scaling=scaling or "columns",
        engine=engine,
        seed=seed,
    )
    job = prepare(source, target, task, settings, 0.0 if source != "mnist" else 0.2, 0.0, None)
    job = settle(job, scaling, find=False, quiet=True)
    result = tried_rates(job, RangeTest(low, high, steps))
    if picture is not None:
        write_atomically(picture, matplotlib.png(matplotlib.rate_curve(result)))
    if as_json:
        curve = {"rates": result.rates.tolist(), "losses": result.losses.tolist()}
        o.print_json({"suggestion": result.suggestion, **curve})
        return
    out = o.console()
    out.print(f"suggested learning rate: {result.suggestion:.2g}")
    out.print(f"tried {len(result.rates)} rates from {result.rates[0]:.1e} to {result.rates[-1]:.1e}")
    out.print(f"chainrule train {source} --lr {result.suggestion:.2g}")
