"""Why: a network that does not learn is brought to the doctor in one line, and a build may fail on what the doctor says.

In: a source with `train`'s options, or a run folder. Out: the verdict, cards, a page; exit code 0 healthy, 1 ill.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.examining import Cure, command_line, cured, examined, tell
from chainrule.cli.folders import asked_in
from chainrule.cli.jobs import Job, wanted_job
from chainrule.doctor.vocabulary.records import Report
from chainrule.io import write_atomically
from chainrule.pipeline import run as run_job
from chainrule.report.page import PageContent, doctor_page, judge_model
from chainrule.train import BestWeights, EarlyStopping, Monitor

Examined = Annotated[str, typer.Argument(metavar="SOURCE|RUN", help="What `train` takes, or a run folder it left.")]


@o.spread
def doctor(
    context: typer.Context,
    source: Examined,
    wanted: o.Wanted,
    fix: Annotated[
        bool, typer.Option("--fix", help="Try remedies on top of one another; keep what proves itself.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the whole report to this .html file.")] = None,
    suppress: o.Suppress = None,
    as_json: o.Json = False,
) -> None:
    """Train SOURCE as `train` would, or a RUN again, look inside, try remedies, and say whether it is well.

    Of a run folder the options are those it was trained with; options given here take their place. Exit code 0 says
    healthy, 1 ill, 2 wrong use.
    """
    suppressed = o.suppressed("doctor", suppress)
    if Path(source).is_dir() and (Path(source) / "config.json").is_file():
        source, wanted = _of_run(Path(source), wanted, context)
    job = wanted_job(source, wanted, wanted.settings("doctor"), quiet=as_json)
    report = examined(job, _kept_epoch(job, wanted), suppressed, before=True)
    cure = None
    if fix and not report.healthy:
        cure = cured(job, wanted, report)
        if cure.wanted != wanted:
            job = wanted_job(source, cure.wanted, cure.wanted.settings("doctor"), quiet=as_json)
            report = examined(job, _kept_epoch(job, cure.wanted), suppressed, before=True)
        report = replace(report, notes=(*report.notes, *cure.log))
    if out is not None:
        write_atomically(out, _page(source, job, report).encode())
    if as_json:
        o.print_json(report.plain() | _cure(source, wanted, cure))
    else:
        _show(source, wanted, report, cure)
    if not report.healthy:
        raise typer.Exit(1)


def _of_run(folder: Path, given: o.Wanted, context: typer.Context) -> tuple[str, o.Wanted]:
    """Source and options of a run, with those that were typed now in their place."""
    source, asked, _ = asked_in(folder)
    typed = [f.name for f in fields(given) if _typed(context, f.name)]
    return source, replace(asked, **{name: getattr(given, name) for name in typed})


def _typed(context: typer.Context, name: str) -> bool:
    origin = context.get_parameter_source(name)
    return origin is not None and origin.name == "COMMANDLINE"


def _kept_epoch(job: Job, wanted: o.Wanted) -> int | None:
    """The epoch that `train` would keep; None where nothing tells."""
    if job.parts.validation is None:
        return None
    stop = EarlyStopping(job.settings.n_iter_no_change, job.settings.tol)
    monitors: list[Monitor] = [stop if wanted.patience else BestWeights()]
    return run_job(job.ready(), monitors).best_epoch


def _page(source: str, job: Job, report: Report) -> str:
    """The report's page, with figures in the user's units where the network is still that of the job."""
    trace, ready = report.trace, job.ready()
    part = job.parts.test or job.parts.validation or job.parts.train
    if trace is None:
        return doctor_page(report, f"{Path(source).stem}, examined")
    model = ready.model(trace.final)
    shown = PageContent(
        {"epochs": len(trace.epochs), "parameters": model.net.size, "rows": len(ready.rows)},
        judge_model(model, part.X, part.y, "held-out" if part is not job.parts.train else "training", part.image_shape),
        {"source": source, **vars(job.settings)},
        None,
        part.image_shape,
        model.net,
        model.w,
    )
    return doctor_page(report, f"{Path(source).stem}, examined", shown)


def _cure(source: str, wanted: o.Wanted, cure: Cure | None) -> dict[str, Any]:
    if cure is None:
        return {}
    return {"tried": list(cure.log), "line": command_line(source, cure.wanted) if cure.wanted != wanted else None}


def _show(source: str, wanted: o.Wanted, report: Report, cure: Cure | None) -> None:
    out = o.console()
    tell(out, report)
    for line in (*(f"could not look: {reason}" for reason in report.skipped), *report.notes):
        out.print(line, markup=False)
    if cure is not None and cure.wanted != wanted:
        out.print(f"better: {command_line(source, cure.wanted)}", markup=False)
