"""Why: a training that the command line made is examined with the same rows and settings, and mended in the same words.

In: a job, its report. Out: the doctor's report; options that are better; what is printed of both.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from chainrule.cli import options as o
from chainrule.cli.jobs import Job, problem_of
from chainrule.doctor import examine_case
from chainrule.doctor.remedies.as_settings import settings_of
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.nn.schedules import ConstantSchedule
from chainrule.pipeline.option_names import COMMAND_LINE, as_options, options
from chainrule.report import terminal

MOST_CARDS = 3
"""Cards shown at once; the page has them all."""


@dataclass(frozen=True)
class Cure:
    """Options that are better, and everything that was tried for them."""

    wanted: o.Wanted
    log: tuple[str, ...]


def examined(job: Job, epochs: int | None, suppressed: Mapping[str, str], before: bool = False) -> Report:
    """The report on a job, trained for so many epochs where an early stop kept those."""
    follows = isinstance(job.ready().config().schedule, ConstantSchedule)
    case = problem_of(job, job.ready(), epochs if follows else None)
    return replace(examine_case(case, suppress=suppressed, before=before), interface=COMMAND_LINE)


def cured(job: Job, wanted: o.Wanted, report: Report) -> Cure:
    """Return the remedies that proved themselves as options; name those that no option can make."""
    mended = repair(report.problem, report)
    changed = options(settings_of(mended.kept, mended.problem))
    without = [name for name in mended.kept if not options(settings_of([name], mended.problem))]
    log = (*mended.log, *(f"{name} has no command-line option" for name in without))
    return Cure(replace(wanted, **changed), log)


def command_line(source: str, wanted: o.Wanted) -> str:
    """Return the command that trains with these options.

    >>> command_line("digits", o.Wanted(lr="0.01", batch_norm=True))
    'chainrule train digits --batch-norm --lr 0.01'
    """
    given = {f.name: getattr(wanted, f.name) for f in fields(wanted) if getattr(wanted, f.name) != f.default}
    return shlex.join(["chainrule", "train", source, *as_options(given)])


@dataclass(frozen=True)
class Cards:
    """The cards of one command, on the console that draws the progress: a few on the way, each symptom once."""

    out: Any
    told: list[str] = field(default_factory=list)

    def on_the_way(self, finding: Finding, epoch: int) -> None:
        """A card during a training, while there are cards left."""
        if finding.symptom not in self.told and len(self.told) < MOST_CARDS:
            self.told.append(finding.symptom)
            self.out.print(f"doctor, epoch {epoch}:", terminal.card(finding, COMMAND_LINE), sep="\n")


def tell(out: Any, report: Report, folder: Path | None = None, told: Sequence[str] = ()) -> None:
    """The verdict in a line, and the first cards of what is wrong, but for the symptoms that were `told` before."""
    out.print(terminal.verdict_line(report))
    if report.healthy:
        return
    ill = [finding for finding in report.findings if finding.severity != "info"]
    shown = [finding for finding in ill if finding.symptom not in told][: MOST_CARDS - len(told)]
    for finding in shown:
        out.print(terminal.card(finding, report.interface))
    seen = {*told, *(finding.symptom for finding in shown)}
    more = sum(finding.symptom not in seen for finding in report.findings)
    if more > 0:
        out.print(f"{more} more in the report")
    if folder is not None and any("Watched only" in note for note in report.notes):
        out.print(f"chainrule doctor {shlex.quote(str(folder))} tries remedies", markup=False)
