"""`chainrule train`: from a source to a trained model, its scores and its run folder.

In: a source and options. Out: a table (or JSON), and a folder with model, log, curve, settings and report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule import doctor as the_doctor
from chainrule.arrays import Array
from chainrule.cli import distributed as d
from chainrule.cli import options as o
from chainrule.cli.doctor_report import Cards, command_line, improved_options, show_report
from chainrule.cli.problem import LoadedProblem, load_problem
from chainrule.cli.run_folder import (
    TrainOutcome,
    available_parts,
    check_same_model,
    check_writable,
    draw,
    holds_this_run,
    listed,
    new_run_folder,
    write,
)
from chainrule.cli.streamed import WHY_PLAIN, can_be_streamed, check_streamed, is_streamed, source_of
from chainrule.cli.table import TableOptions, choose_preset
from chainrule.cli.table_run import run_table
from chainrule.cli.unused import option_flag, refuse, source_facts, typed, typed_line
from chainrule.constraints import OneOf
from chainrule.data import Dataset
from chainrule.doctor import DoctorMonitor, examine_problem
from chainrule.doctor.trials.proposals import needs_repair
from chainrule.engines import Rows
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.io.staging import UnfinishedFolder
from chainrule.model import Model
from chainrule.pipeline import confusion_matrix, stopping_monitors
from chainrule.pipeline import evaluate as evaluate_model
from chainrule.report import terminal
from chainrule.train import Monitor, Progress, Run, StopReason
from chainrule.train import train as train_problem
from chainrule.train.checkpoint import reading
from chainrule.world import World, joined

_OF_ONE_NETWORK = ("checkpoint", "doctor", "suppress")
_SEVERAL = ("distributed", "processes", "rank", "coordinator", "restarts", "watchdog")
"""Options that the preset for tables has no use for."""

LEVELS = ("off", "watch", "advise", "fix")
"""How much the doctor does: nothing; monitor only; test remedies; apply those that helped and train again."""

DEFAULT_LEVEL = "watch"


@o.with_training_options
def train(
    options: o.TrainOptions,
    source: Annotated[str | None, o.SOURCE] = None,
    data: o.Pattern = None,
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
    networks: Annotated[
        int | None, o.table_option(min=1, max=10_000, help="Train this many networks, however long it takes.")
    ] = None,
    distributed: d.Distributed = False,
    processes: d.Processes = None,
    rank: d.Rank = None,
    coordinator: d.Coordinator = None,
    restarts: d.Restarts = 3,
    watchdog: d.Watchdog = 60.0,
    cluster: d.Cluster = None,
    workers: d.Workers = None,
    insecure_cluster: d.Insecure = False,
    as_json: o.Json = False,
) -> None:
    """Train on SOURCE, print the scores, and write a run folder."""
    source = source_of("train", source, data)
    table = TableOptions(preset, seconds, networks)
    shared = d.ProcessOptions(
        distributed, processes, rank, coordinator, restarts, watchdog, cluster, workers, insecure_cluster
    )
    one = [option_flag(name) for name in (*_OF_ONE_NETWORK, *_SEVERAL) if name in typed()]
    streamed = is_streamed(source, options)
    if streamed:
        check_streamed(options, preset, seconds, doctor, shared.given)
    uses_table, why_not = (False, WHY_PLAIN) if streamed else choose_preset(source, options, table, one)
    several = {"several": shared.given, "launched": shared.launches, "cluster": cluster is not None}
    streams = {"streamed": can_be_streamed(source), "held in memory": not streamed}
    refuse("train", source_facts(source) | {"doctor": doctor != "off"} | several | streams)
    if uses_table:
        run_table(source, options, table, out, as_json, shared)
        return
    if doctor not in LEVELS:
        levels = OneOf(LEVELS)
        raise InvalidValueError(must_be("train", "--doctor", str(levels), doctor, levels.hint(doctor)))
    world = shared.world()
    options = _for_processes(options, doctor, shared)
    if checkpoint is not None and checkpoint.exists() and not checkpoint.is_dir():
        raise InvalidValueError(must_be("train", "--checkpoint", "a folder", str(checkpoint), "It is a file."))
    follows = world is not None and not world.leads
    cards = None if as_json or follows else Cards(o.console(stderr=True))
    watched = _Watching("off" if follows else doctor, o.suppressed("train", suppress), cards)
    options.settings("train")
    if shared.launches:
        raise typer.Exit(d.launch(shared, typed_line(), checkpoint))
    if world is not None and follows:
        _follow(world, source, options, checkpoint)
        return
    outcome, folder = _recorded(source, options, watched, out, checkpoint, why_not, world)
    if watched.cards is None:
        o.print_json(_plain(outcome, folder))
    else:
        _show_files(outcome, folder, watched.cards)
    if outcome.run.diverged:
        raise typer.Exit(1)


def _recorded(
    source: str,
    options: o.TrainOptions,
    watched: _Watching,
    out: Path | None,
    checkpoint: Path | None,
    why_not: str,
    world: World | None,
) -> tuple[TrainOutcome, Path]:
    """Train and write the run folder, or find the same run in it; return the outcome and the folder."""
    repeated = checkpoint is not None and out is not None and holds_this_run(out, source, options)
    check_writable(out or Path("runs") / "run", empty=out is not None and not repeated)
    loaded = load_problem(source, options, "train", quiet=watched.cards is None)
    if why_not and watched.cards is not None:
        watched.cards.out.print(why_not, markup=False)
    together = nullcontext() if world is None else _leading(world, watched)
    if repeated and out is not None:
        with together:
            outcome = _finished(source, options, loaded, watched, checkpoint)
        check_same_model(out, outcome)
        _show_scores(outcome, watched.cards)
        return outcome, out
    with new_run_folder(source, out) as unfinished:
        with together:
            outcome = _finished(source, options, loaded, watched, checkpoint)
        write(unfinished.place, outcome)
        folder = _shown_and_drawn(unfinished, outcome, watched.cards)
    return outcome, folder


def _shown_and_drawn(unfinished: UnfinishedFolder, outcome: TrainOutcome, cards: Cards | None) -> Path:
    """Show a result before its pictures are drawn, and finish its folder whatever happens on the way."""
    try:
        _show_scores(outcome, cards)
    finally:
        try:
            draw(unfinished.place, outcome)
        finally:
            folder = unfinished.finish()
    return folder


def _for_processes(options: o.TrainOptions, doctor: str, shared: d.ProcessOptions) -> o.TrainOptions:
    """Return the options with the engine that several processes share; refuse what they cannot do together."""
    if not shared.given:
        return options
    faults = []
    if options.engine not in ("auto", "jax"):
        faults.append(must_be("train", "--engine", "jax with several processes", options.engine))
    if doctor in ("advise", "fix"):
        hint = "Its trials are trainings of one process; run chainrule doctor on the run folder."
        faults.append(must_be("train", "--doctor", "off or watch with several processes", doctor, hint))
    if options.lr == "find":
        hint = "Find it first: chainrule lr-find."
        faults.append(must_be("train", "--lr", "a number with several processes", options.lr, hint))
    raise_all(faults)
    return replace(options, engine="jax")


@contextmanager
def _leading(world: World, watched: _Watching) -> Iterator[None]:
    """Join a world as the process that prints, and say so."""
    with joined(world):
        if watched.cards is not None:
            count = f"{world.processes} process{'es' if world.processes > 1 else ''}"
            watched.cards.out.print(f"{count} joined", markup=False)
        yield


def _follow(world: World, source: str, options: o.TrainOptions, checkpoint: Path | None) -> None:
    """Train as rank 0 does, and leave printing and writing to it."""
    loaded = load_problem(source, options, "train", quiet=True)
    problem = loaded.problem
    rules = stopping_monitors(loaded.settings, problem.validation is not None)
    with joined(world):
        train_problem(problem, rules, checkpoint=None if checkpoint is None else reading(checkpoint, problem))


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


def _finished(
    source: str, options: o.TrainOptions, loaded: LoadedProblem, watched: _Watching, checkpoint: Path | None
) -> TrainOutcome:
    """Train, and let the doctor do what it may."""
    outcome = _trained(source, options, loaded, watched, checkpoint)
    if watched.level in ("advise", "fix"):
        outcome = _examined(outcome, watched)
    if watched.level == "fix" and outcome.report is not None and needs_repair(outcome.report):
        outcome = _repaired(outcome, watched)
    return outcome


def _trained(
    source: str, options: o.TrainOptions, loaded: LoadedProblem, watched: _Watching, checkpoint: Path | None
) -> TrainOutcome:
    """Train once, watched unless the doctor is off."""
    problem = loaded.problem
    rules = stopping_monitors(loaded.settings, problem.validation is not None)
    run = train_problem(problem, [*rules, *watched.monitors()], checkpoint=checkpoint)
    if run.interrupted and checkpoint is not None:
        for note in run.notes:
            o.console(stderr=True).print(note, markup=False)
        o.console(stderr=True).print(f"{run.stop}; rerun the same command to resume from {checkpoint}", markup=False)
        raise typer.Exit(130)
    report = None if watched.level == "off" else the_doctor.report(run)
    model = problem.model(run.state)
    return TrainOutcome(source, options, loaded, model, run, summary_of(loaded, model, run), report)


def _examined(outcome: TrainOutcome, watched: _Watching) -> TrainOutcome:
    """Test remedies on the training, as it was stopped and with the epoch that it kept."""
    problem = outcome.loaded.problem
    return replace(outcome, report=examine_problem(problem, suppress=watched.suppress, run=outcome.run))


def _repaired(outcome: TrainOutcome, watched: _Watching) -> TrainOutcome:
    """Train again with the remedies that helped, where there are some."""
    assert outcome.report is not None
    improved = improved_options(outcome.options, outcome.report)
    if watched.cards is not None:
        for line in improved.log:
            watched.cards.out.print(line, markup=False)
    if improved.options != outcome.options:
        if watched.cards is not None:
            watched.cards.out.print(f"better: {command_line(outcome.source, improved.options)}", markup=False)
        loaded = load_problem(outcome.source, improved.options, "train", quiet=watched.cards is None)
        outcome = _examined(_trained(outcome.source, improved.options, loaded, watched, None), watched)
    assert outcome.report is not None
    return replace(outcome, report=replace(outcome.report, notes=(*outcome.report.notes, *improved.log)))


def summary_of(loaded: LoadedProblem, model: Model, run: Run) -> dict[str, Any]:
    """Return the scores of all parts and the facts of a run, as its folder keeps them.

    Rows that the training leaves out, such as those with a target far from all others, are in no score of its parts.
    """
    used = {"train": loaded.problem.rows, "validation": loaded.problem.validation}
    scores = {
        name: evaluate_model(model, *_counted(part, used.get(name)))
        for name, part in available_parts(loaded.parts).items()
    }
    return {
        **scores,
        "seconds": run.seconds,
        "epochs": len(run.epochs),
        "best_epoch": run.best_epoch,
        "stopped": str(run.stop),
        "engine": run.engine,
        "parameters": model.net.size,
    }


def _counted(part: Dataset, rows: Rows | None) -> tuple[Array, Array]:
    """Return the inputs and targets of a part without the rows that have weight 0."""
    if rows is None or len(rows) != len(part.y) or rows.c.all():
        return part.X, part.y
    return part.X[rows.c > 0], part.y[rows.c > 0]


def _plain(outcome: TrainOutcome, folder: Path) -> dict[str, Any]:
    """Return what `--json` prints."""
    plain: dict[str, Any] = {"run": str(folder), "model": str(folder / "model.safetensors")}
    report = outcome.report
    if report is not None:
        plain["doctor"] = {"verdict": report.verdict, "findings": [f.symptom for f in report.findings]}
    return dict(outcome.summary) | plain


def _show_scores(outcome: TrainOutcome, cards: Cards | None) -> None:
    """Print the scores and how the training ended; nothing with JSON."""
    if cards is None:
        return
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
        out.print(note, markup=False)


def _show_files(outcome: TrainOutcome, folder: Path, cards: Cards) -> None:
    """Print what the doctor says, and what lies in the run folder."""
    out = o.console()
    if outcome.report is not None:
        show_report(out, outcome.report, folder, cards.shown)
    out.print(listed(folder), markup=False)


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
