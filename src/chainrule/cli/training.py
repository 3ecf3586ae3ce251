"""`chainrule train` and `chainrule lr-find`: from a source to a trained model, its scores and its run folder.

In: a source and options. Out: a table (or JSON), and a folder with model, log, curve, settings and report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule import doctor as the_doctor
from chainrule.cli import options as o
from chainrule.cli.doctor_report import Cards, command_line, improved_options, show_report
from chainrule.cli.problem import LoadedProblem, load_problem
from chainrule.cli.run_folder import (
    TrainOutcome,
    available_parts,
    check_writable,
    make_folder,
    removed_on_failure,
    write,
)
from chainrule.cli.table import TableOptions, choose_preset
from chainrule.cli.table_run import run_table
from chainrule.cli.unused import option_flag, refuse, source_facts, typed
from chainrule.constraints import OneOf
from chainrule.doctor import DoctorMonitor, examine_problem
from chainrule.errors import InvalidValueError, must_be
from chainrule.io import write_atomically
from chainrule.model import Model
from chainrule.pipeline import as_kept, confusion_matrix, stopping_monitors
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.report import matplotlib, terminal
from chainrule.train import Monitor, Progress, RangeTest, Run, StopReason, find_learning_rate
from chainrule.train import train as train_problem

LEVELS = ("off", "watch", "advise", "fix")
"""How much the doctor does: nothing; monitor only; test remedies; apply those that helped and train again."""

DEFAULT_LEVEL = "watch"


@o.with_training_options
def train(
    source: o.Source,
    options: o.TrainOptions,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/NAME-1, -2, ...")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Save checkpoints here; rerun the same command to resume.")
    ] = None,
    doctor: Annotated[
        str,
        typer.Option(
            help="off; watch (monitor only); advise (test remedies after training); fix (retrain with the remedies that "
            "helped)."
        ),
    ] = DEFAULT_LEVEL,
    suppress: o.Suppress = None,
    preset: Annotated[
        str | None,
        o.table_option(help="table (a pack of networks, for tables), plain (one network), or a preset's .json file."),
    ] = None,
    seconds: Annotated[
        float | None, o.table_option(help="Time for the training: 20, or 40 above 100,000 rows.")
    ] = None,
    group: Annotated[str | None, o.table_option(help="Column whose groups of rows are held out together.")] = None,
    time: Annotated[str | None, o.table_option(help="Column by which the latest rows are held out.")] = None,
    test: Annotated[Path | None, o.table_option(help="File of test rows, in place of a random part.")] = None,
    as_json: o.Json = False,
) -> None:
    """Train on SOURCE, print the scores, and write a run folder."""
    table = TableOptions(preset, seconds, group, time, test)
    one = [option_flag(name) for name in ("checkpoint", "doctor", "suppress") if name in typed()]
    uses_table, why_not = choose_preset(source, options, table, one)
    refuse("train", source_facts(source) | {"doctor": doctor != "off"})
    if uses_table:
        run_table(source, options, table, out, as_json)
        return
    if doctor not in LEVELS:
        levels = OneOf(LEVELS)
        raise InvalidValueError(must_be("train", "--doctor", str(levels), doctor, levels.hint(doctor)))
    if checkpoint is not None and checkpoint.exists() and not checkpoint.is_dir():
        raise InvalidValueError(must_be("train", "--checkpoint", "a folder", str(checkpoint), "It is a file."))
    watched = _Watching(doctor, o.suppressed("train", suppress), None if as_json else Cards(o.console(stderr=True)))
    options.settings("train")
    check_writable(out or Path("runs") / "run", empty=out is not None)
    loaded = load_problem(source, options, "train", quiet=as_json)
    if why_not and not as_json:
        o.console(stderr=True).print(why_not, markup=False)
    outcome = _trained(source, options, loaded, watched, checkpoint)
    if doctor in ("advise", "fix"):
        outcome = _examined(outcome, watched)
    if doctor == "fix" and outcome.report is not None and not outcome.report.healthy:
        outcome = _repaired(outcome, watched)
    folder = make_folder(source, out)
    with removed_on_failure(folder):
        write(folder, outcome)
    if watched.cards is None:
        o.print_json(_plain(outcome, folder))
    else:
        _show(outcome, folder, watched.cards)
    if outcome.run.diverged:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Watching:
    """What the doctor does in this command: its level, what it is silent about, where its cards go (None with JSON)."""

    level: str
    suppress: Mapping[str, str]
    cards: Cards | None

    def monitors(self) -> list[Monitor]:
        """Return the progress bar and the doctor, as far as they are wanted."""
        bar: list[Monitor] = [] if self.cards is None else [Progress(self.cards.out)]
        if self.level == "off":
            return bar
        on_change = None if self.cards is None else self.cards.on_change
        return [*bar, DoctorMonitor(on_change=on_change, suppress=self.suppress)]


def _trained(
    source: str, options: o.TrainOptions, loaded: LoadedProblem, watched: _Watching, checkpoint: Path | None
) -> TrainOutcome:
    """Train once, watched unless the doctor is off."""
    problem = loaded.problem
    rules = stopping_monitors(loaded.settings, problem.validation is not None)
    run = train_problem(problem, [*rules, *watched.monitors()], checkpoint=checkpoint)
    if run.interrupted and checkpoint is not None:
        o.console(stderr=True).print(f"{run.stop}; rerun the same command to resume from {checkpoint}")
        raise typer.Exit(130)
    report = None if watched.level == "off" else the_doctor.report(run)
    model = problem.model(run.state)
    return TrainOutcome(source, options, loaded, model, run, _summary(loaded, model, run), report)


def _examined(outcome: TrainOutcome, watched: _Watching) -> TrainOutcome:
    """Test remedies on the training, with as many epochs as it kept."""
    problem = as_kept(outcome.loaded.problem, outcome.run)
    return replace(outcome, report=examine_problem(problem, suppress=watched.suppress))


def _repaired(outcome: TrainOutcome, watched: _Watching) -> TrainOutcome:
    """Train again with the remedies that helped, where there are some."""
    assert outcome.report is not None
    improved = improved_options(outcome.options, outcome.report)
    if watched.cards is not None:
        for line in improved.log:
            watched.cards.out.print(line, markup=False)
    if improved.options != outcome.options:
        loaded = load_problem(outcome.source, improved.options, "train", quiet=watched.cards is None)
        outcome = _examined(_trained(outcome.source, improved.options, loaded, watched, None), watched)
    assert outcome.report is not None
    return replace(outcome, report=replace(outcome.report, notes=(*outcome.report.notes, *improved.log)))


def _summary(loaded: LoadedProblem, model: Model, run: Run) -> dict[str, Any]:
    scores = {name: evaluate_model(model, part.X, part.y) for name, part in available_parts(loaded.parts).items()}
    return {
        **scores,
        "seconds": run.seconds,
        "epochs": len(run.epochs),
        "best_epoch": run.best_epoch,
        "stopped": str(run.stop),
        "engine": run.engine,
        "parameters": model.net.size,
    }


def _plain(outcome: TrainOutcome, folder: Path) -> dict[str, Any]:
    """Return what `--json` prints."""
    plain: dict[str, Any] = {"run": str(folder), "model": str(folder / "model.safetensors")}
    report = outcome.report
    if report is not None:
        plain["doctor"] = {"verdict": report.verdict, "findings": [f.symptom for f in report.findings]}
    return dict(outcome.summary) | plain


def _show(outcome: TrainOutcome, folder: Path, cards: Cards) -> None:
    out = o.console()
    model = outcome.model
    parts = outcome.loaded.parts
    out.print(terminal.scores_table({name: outcome.summary[name] for name in available_parts(parts)}))
    shown = parts.test or parts.validation or parts.train
    if model.classes is not None and len(model.classes) <= terminal.MOST_CLASSES:
        counts = confusion_matrix(shown.y, model.predict(shown.X), model.classes)
        out.print(terminal.confusion_table(counts, list(model.classes)))
    out.print(run_sentence(outcome.run))
    for note in outcome.run.notes:
        out.print(note)
    if outcome.report is not None:
        show_report(out, outcome.report, folder, cards.shown)
    files = "model.safetensors, run.jsonl, learning-curve.png, config.json, report.html"
    out.print(f"{folder}: {files}" + ("" if outcome.report is None else ", doctor.json"))


def run_sentence(run: Run) -> str:
    """Describe a run in one line.

    It reads "Trained 22 epochs in 0.03 s (native engine). Best epoch: 2. Stopped early: ...".
    """
    count = len(run.epochs)
    seconds = f"{run.seconds:.2f}" if run.seconds < 9.95 else f"{run.seconds:.0f}"
    text = f"Trained {count} epoch{'' if count == 1 else 's'} in {seconds} s ({run.engine} engine)."
    if run.best_epoch is not None:
        text += f" Best epoch: {run.best_epoch}."
    if run.stop.reason is StopReason.COMPLETED:
        return text
    stop = str(run.stop)
    return f"{text} {stop[0].upper()}{stop[1:]}."


def lr_find(
    source: o.Source,
    target: o.Target = None,
    task: o.TaskName = None,
    columns: o.Columns = None,
    drop: o.Drop = None,
    separator: o.Separator = None,
    decimal: o.Decimal = None,
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
    low: Annotated[float, typer.Option(help="Smallest rate to try.")] = 1e-7,
    high: Annotated[float, typer.Option(help="Largest rate to try.")] = 10.0,
    steps: Annotated[int, typer.Option(max=10**6, help="Number of rates to try.")] = 100,
    picture: Annotated[Path | None, typer.Option(help="Write the curve to this .png file.")] = None,
    as_json: o.Json = False,
) -> None:
    """Suggest a learning rate for SOURCE: train at rising rates and take a tenth of the one with the lowest loss."""
    if picture is not None and picture.suffix != ".png":
        raise InvalidValueError(must_be("lr-find", "--picture", "a .png file", str(picture)))
    options = o.TrainOptions(
        target=target,
        task=task,
        columns=columns,
        drop=drop,
        separator=separator,
        decimal=decimal,
        hidden=hidden,
        activation=activation,
        batch_norm=batch_norm,
        layer_norm=layer_norm,
        dropout=dropout,
        loss=loss,
        optimizer=optimizer,
        batch_size=batch_size,
        scaling=scaling,
        engine=engine,
        seed=seed,
        test_fraction=0.0,
        validation_fraction=0.0,
    )
    loaded = load_problem(source, options, "lr-find", quiet=True)
    result = find_learning_rate(loaded.problem, RangeTest(low, high, steps))
    if picture is not None:
        write_atomically(picture, matplotlib.png(matplotlib.rate_curve(result)))
    if as_json:
        curve = {"rates": result.rates.tolist(), "losses": result.losses.tolist()}
        o.print_json({"suggestion": result.suggestion, **curve})
        return
    out = o.console()
    out.print(f"suggested learning rate: {result.suggestion:.2g}")
    out.print(f"tried {len(result.rates)} rates from {result.rates[0]:.1e} to {result.rates[-1]:.1e}")
    defaults = o.TrainOptions()
    shares = {name: getattr(defaults, name) for name in ("test_fraction", "validation_fraction")}
    out.print(command_line(source, replace(options, lr=f"{result.suggestion:.2g}", **shares)), markup=False)
