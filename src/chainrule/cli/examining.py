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
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.nn.penalties import ClipNorm
from chainrule.nn.schedules import ConstantSchedule
from chainrule.report import terminal
from chainrule.train.problem import TrainingProblem

MOST_CARDS = 3
"""Cards shown at once; the page has them all."""

_IN_WORDS: Mapping[str, Mapping[str, Any]] = {
    "standardize-inputs": {"scaling": "columns"},
    "class-weights": {"class_weight": "balanced"},
    "he-init": {"initializer": None},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "leaky-relu": {"activation": "leaky_relu"},
    "batch-norm": {"batch_norm": True, "layer_norm": False},
    "layer-norm": {"batch_norm": False, "layer_norm": True},
    "no-dropout": {"dropout": 0.0},
    "adam": {"optimizer": "adam"},
    "usual-settings": {},
    "usual-rate": {},
    "add-nonlinearity": {"activation": "relu"},
    "no-hidden-softmax": {"activation": "relu"},
    "no-hidden-sigmoid": {"activation": "tanh"},
}
"""Changes of the network and its rows as options; those of rate, length, batch and penalty are read off the mended case."""

_READ_OFF = frozenset({
    "rate/1000", "rate/100", "rate/10", "rate*10", "rate*100", "rate*1000", "usual-rate", "clip", "no-clip", "longer",
    "shorter", "larger-batch", "smaller-batch", "no-penalty", "penalty/10", "stronger-penalty", "constant-schedule",
    "usual-settings", "adam",
})  # fmt: skip


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
    """What proves itself of the remedies for a report, as options; what has no option is named."""
    mended = repair(report.problem, report)
    better = wanted
    for change in mended.kept:
        better = replace(better, **_IN_WORDS.get(change, {}))
    if any(change in _READ_OFF for change in mended.kept):
        better = replace(better, **_read_off(report.problem, mended.problem))
    log = list(mended.log)
    log += [f"{name} has no option of the command line" for name in mended.kept if name not in {*_IN_WORDS, *_READ_OFF}]
    return Cure(better, tuple(log))


def _read_off(old: TrainingProblem, new: TrainingProblem) -> dict[str, Any]:
    """Options whose value in the mended case is another than before."""
    found: dict[str, Any] = {}
    if new.config.learning_rate != old.config.learning_rate:
        found["lr"] = f"{new.config.learning_rate:g}"
    if new.config.epochs != old.config.epochs:
        found["epochs"] = new.config.epochs
    if new.config.schedule != old.config.schedule and isinstance(new.config.schedule, ConstantSchedule):
        found["schedule"] = "constant"
    if new.recipe.batch_size != old.recipe.batch_size:
        found["batch_size"] = str(new.recipe.batch_size)
    if new.recipe.penalty != old.recipe.penalty:
        found["alpha"] = float(new.recipe.penalty.l2)
    if new.recipe.clip != old.recipe.clip:
        found["max_grad_norm"] = float(new.recipe.clip.limit) if isinstance(new.recipe.clip, ClipNorm) else None
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
