"""`chainrule doctor`: diagnose a training in one line; a build may fail on what the doctor says.

In: a source with `train`'s options, or a run folder. Out: the verdict, cards, a page; exit code 0 healthy, 1 ill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.doctor_report import ImprovedOptions, command_line, improved_options, show_report
from chainrule.cli.problem import LoadedProblem, load_problem
from chainrule.cli.run_folder import options_of_run
from chainrule.cli.unused import refuse, typed
from chainrule.doctor import examine_problem
from chainrule.doctor.trials.proposals import needs_repair
from chainrule.doctor.vocabulary.records import Report
from chainrule.pipeline import stopped_run, stopping_monitors
from chainrule.report.page import PageContent, doctor_page, judge_model

Examined = Annotated[str, typer.Argument(metavar="SOURCE|RUN", help="What `train` takes, or a run folder it wrote.")]


@o.with_training_options
def doctor(
    source: Examined,
    options: o.TrainOptions,
    fix: Annotated[
        bool, typer.Option("--fix", help="Test remedies one after another and keep those that help.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the full report to this .html file.")] = None,
    suppress: o.Suppress = None,
    as_json: o.Json = False,
) -> None:
    """Train SOURCE as `train` would, or repeat a RUN, probe the network, test remedies, and give a verdict.

    A run folder is examined with the options it was trained with; options given here replace them. Exit codes:
    0 healthy, 1 problem found, 2 usage error.
    """
    o.check_page("doctor", out)
    refuse("doctor", {"streamed": False})
    suppressed = o.suppressed("doctor", suppress)
    if Path(source).is_dir() and (Path(source) / "config.json").is_file():
        source, options = _options_of(Path(source), options)
    loaded = load_problem(source, options, "doctor", quiet=as_json)
    report = _examined(loaded, suppressed)
    improved = None
    if fix and needs_repair(report):
        improved = improved_options(options, report)
        if improved.options != options:
            loaded = load_problem(source, improved.options, "doctor", quiet=as_json)
            report = _examined(loaded, suppressed)
        report = replace(report, notes=(*report.notes, *improved.log))
    if as_json:
        o.print_json(report.plain() | _plain(source, options, improved))
    else:
        _show(source, options, report, improved)
    if out is not None:
        o.write_drawn("doctor", out, lambda: _page(source, loaded, report).encode(errors="replace"))
    if not report.healthy:
        raise typer.Exit(1)


def _options_of(folder: Path, now: o.TrainOptions) -> tuple[str, o.TrainOptions]:
    """Return source and options of a run, with those that were typed now in their place."""
    source, options = options_of_run(folder)
    changed = {f.name: getattr(now, f.name) for f in fields(now) if f.name in typed()}
    return source, replace(options, **changed)


def _examined(loaded: LoadedProblem, suppressed: Mapping[str, str]) -> Report:
    """Examine the training that `train` would run, as it would be stopped and with the epoch that it would keep."""
    monitors = stopping_monitors(loaded.settings, loaded.problem.validation is not None)
    run = stopped_run(loaded.problem, monitors)
    return examine_problem(loaded.problem, suppress=suppressed, before=True, run=run)


def _page(source: str, loaded: LoadedProblem, report: Report) -> str:
    """Return the report's page, with scores in the user's units."""
    trace = report.trace
    title = f"{Path(source).stem}, examined"
    if trace is None:
        return doctor_page(report, title)
    parts = loaded.parts
    part = parts.test or parts.validation or parts.train
    model = loaded.problem.model(trace.final)
    shown = PageContent(
        {"epochs": len(trace.epochs), "parameters": model.net.size, "rows": len(loaded.problem.rows)},
        judge_model(model, part.X, part.y, "held-out" if part is not parts.train else "training", part.image_shape),
        {"source": source, **vars(loaded.settings)},
        None,
        part.image_shape,
        model.net,
        model.w,
    )
    return doctor_page(report, title, shown)


def _plain(source: str, options: o.TrainOptions, improved: ImprovedOptions | None) -> dict[str, Any]:
    if improved is None:
        return {}
    line = command_line(source, improved.options) if improved.options != options else None
    return {"tried": list(improved.log), "line": line}


def _show(source: str, options: o.TrainOptions, report: Report, improved: ImprovedOptions | None) -> None:
    out = o.console()
    show_report(out, report)
    for line in (*(f"skipped {reason}" for reason in report.skipped), *report.notes):
        out.print(line, markup=False)
    if improved is not None and improved.options != options:
        out.print(f"better: {command_line(source, improved.options)}", markup=False)
