"""Why: a training that the command line made is examined with the same rows and settings, and mended in the same words.

In: a job, its report. Out: the doctor's report; options that are better; what is printed of both.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from chainrule.cli import options as o
from chainrule.cli.jobs import Job, problem_of
from chainrule.doctor import examine_case
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.catalogue import FROM_PROBLEM, Remedy, remedy
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.nn.schedules import ConstantSchedule
from chainrule.report import terminal
from chainrule.train.problem import TrainingProblem

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
    return examine_case(case, suppress=suppressed, before=before)


def cured(job: Job, wanted: o.Wanted, report: Report) -> Cure:
    """Return the remedies that proved themselves as options; name those that have no option."""
    mended = repair(report.problem, report)
    better = wanted
    for name in mended.kept:
        better = replace(better, **option_values(remedy(name), report.problem, mended.problem))
    without = [name for name in mended.kept if not has_option(remedy(name))]
    return Cure(better, (*mended.log, *(f"{name} has no option of the command line" for name in without)))


_OPTION = {"learning_rate_init": "lr", "max_iter": "epochs"}
"""Settings whose option has another name."""

_READ: Mapping[str, Callable[[TrainingProblem], Any]] = {
    "learning_rate_init": lambda problem: f"{problem.config.learning_rate:g}",
    "max_iter": lambda problem: problem.config.epochs,
    "batch_size": lambda problem: str(problem.recipe.batch_size),
    "alpha": lambda problem: float(problem.recipe.penalty.l2),
    "optimizer": lambda problem: None,
}
"""How the value of a setting is read off a training problem, as an option; None where the option stays as it is."""


def has_option(entry: Remedy) -> bool:
    """Check whether options of the command line can say what a remedy does."""
    known = {f.name for f in fields(o.Wanted)}
    return bool(entry.settings) and all(
        _OPTION.get(setting, setting) in known and (value is not FROM_PROBLEM or setting in _READ)
        for setting, value in entry.settings.items()
    )


def option_values(entry: Remedy, old: TrainingProblem, new: TrainingProblem) -> dict[str, Any]:
    """Return the options that do what a remedy does, where they can say it: fixed values, and those of the new problem."""
    found: dict[str, Any] = {}
    for setting, value in entry.settings.items() if has_option(entry) else ():
        if value is not FROM_PROBLEM:
            found[_OPTION.get(setting, setting)] = value
        elif _READ[setting](new) != _READ[setting](old):
            found[_OPTION.get(setting, setting)] = _READ[setting](new)
    return found


def command_line(source: str, wanted: o.Wanted) -> str:
    """The line that trains so.

    >>> command_line("digits", o.Wanted(lr="0.01", batch_norm=True))
    'chainrule train digits --batch-norm --lr 0.01'
    """
    words = ["chainrule", "train", source]
    for f in fields(wanted):
        value = getattr(wanted, f.name)
        if value == f.default or value is None:
            continue
        name = {"lr": "--lr"}.get(f.name, "--" + f.name.replace("_", "-"))
        words += [name] if value is True else [name, str(value)]
    return shlex.join(words)


@dataclass(frozen=True)
class Cards:
    """The cards of one command, on the console that draws the progress: a few on the way, each symptom once."""

    out: Any
    told: list[str] = field(default_factory=list)

    def on_the_way(self, finding: Finding, epoch: int) -> None:
        """A card during a training, while there are cards left."""
        if finding.symptom not in self.told and len(self.told) < MOST_CARDS:
            self.told.append(finding.symptom)
            self.out.print(f"doctor, epoch {epoch}:", terminal.card(finding), sep="\n")


def tell(out: Any, report: Report, folder: Path | None = None, told: Sequence[str] = ()) -> None:
    """The verdict in a line, and the first cards of what is wrong, but for the symptoms that were `told` before."""
    out.print(terminal.verdict_line(report))
    if report.healthy:
        return
    ill = [finding for finding in report.findings if finding.severity != "info"]
    shown = [finding for finding in ill if finding.symptom not in told][: MOST_CARDS - len(told)]
    for finding in shown:
        out.print(terminal.card(finding))
    seen = {*told, *(finding.symptom for finding in shown)}
    more = sum(finding.symptom not in seen for finding in report.findings)
    if more > 0:
        out.print(f"{more} more in the report")
    if folder is not None and any("Watched only" in note for note in report.notes):
        out.print(f"chainrule doctor {shlex.quote(str(folder))} tries remedies", markup=False)
