"""The doctor's report on the command line, and its remedies as options.

In: a report. Out: better options; what is printed of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from chainrule.cli import options as o
from chainrule.cli.option_values import pairs
from chainrule.cli.unused import source_facts, typed
from chainrule.data.table.shell import command_text, list_text, listed, with_value
from chainrule.doctor.remedies.as_settings import settings_of
from chainrule.doctor.trials.repair import repair
from chainrule.doctor.vocabulary.catalogue import find_remedy
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.pipeline.option_names import COMMAND_LINE, Setting, as_options
from chainrule.pipeline.option_names import options as as_fields
from chainrule.report import terminal

MOST_CARDS = 3
"""Cards shown at once; the page has them all."""


@dataclass(frozen=True)
class ImprovedOptions:
    """Options that are better, and everything that was tried for them."""

    options: o.TrainOptions
    log: tuple[str, ...]


def improved_options(options: o.TrainOptions, report: Report) -> ImprovedOptions:
    """Return the remedies that helped as options; name those that no option can make."""
    repaired = repair(report.problem, report)
    planned = report.trace.planned if report.trace is not None and report.trace.stopped_early else 0
    own = {name: settings_of([name], repaired.problem) or _advised(report, name) for name in repaired.kept}
    advised = [setting for name in own if not find_remedy(name).settings for setting in own[name]]
    changed = as_fields([*settings_of(repaired.kept, repaired.problem, planned), *advised])
    without = [name for name in repaired.kept if not as_fields(own[name])]
    log = (*repaired.log, *(f"{name} has no command-line option" for name in without))
    return ImprovedOptions(_with(options, changed), log)


def _with(options: o.TrainOptions, changed: Mapping[str, Any]) -> o.TrainOptions:
    """Return changed options; columns that are left out or have values for missing cells stand beside those before.

    >>> _with(o.TrainOptions(missing="a=-1"), {"missing": "b=-9,c=-9", "drop": "c", "lr": "0.1"}).missing
    'a=-1,b=-9'
    """
    lists = {name: (getattr(options, name), changed.get(name)) for name in ("drop", "missing")}
    if not lists.keys() & changed.keys():
        return replace(options, **changed)
    drop, missing = (",".join(filter(None, texts)) or None for texts in lists.values())
    kept = [f"{name}={value}" for name, value in pairs(missing) if name not in listed(drop)]
    return replace(options, **{**changed, "drop": drop, "missing": list_text(kept) or None})


def _advised(report: Report, remedy: str) -> tuple[Setting, ...]:
    """Return the settings that a finding advises in place of a remedy that has none."""
    fixes = [finding.fix for finding in report.findings if finding.fix.remedy == remedy]
    return next((fix.settings for fix in fixes if fix.settings), ())


def command_line(source: str, options: o.TrainOptions) -> str:
    """Return the command that trains with these options.

    >>> command_line("digits", o.TrainOptions(lr="0.01", batch_norm=True))
    'chainrule train digits --batch-norm --lr 0.01'
    """
    changed = {f.name: getattr(options, f.name) for f in fields(options) if getattr(options, f.name) != f.default}
    return command_text("train", [source], [*as_options(changed), *plain_preset(source)])


def plain_preset(source: str) -> list[str]:
    """Return the option by which `train` trains one network, where it would train a pack otherwise.

    >>> plain_preset("digits"), plain_preset("a.csv")
    ([], ['--preset', 'plain'])
    """
    return ["--preset", "plain"] if source_facts(source)["table"] else []


class Cards:
    """The cards of one command, on the console that draws the progress: a few during the run, each symptom once."""

    def __init__(self, out: Any) -> None:
        self.out = out
        self.shown: list[str] = []

    def on_change(self, finding: Finding, epoch: int) -> None:
        """Print a card during a training, while there are cards left."""
        if finding.symptom not in self.shown and len(self.shown) < MOST_CARDS:
            self.shown.append(finding.symptom)
            self.out.print(f"doctor, epoch {epoch}:", terminal.card(finding, COMMAND_LINE), sep="\n")


def show_report(out: Any, report: Report, folder: Path | None = None, shown: Sequence[str] = ()) -> None:
    """Print the verdict, and the first cards of what is wrong, except the symptoms that were `shown` before.

    Of a healthy training, print what the user should know of the table in a line each.
    """
    out.print(terminal.verdict_line(report))
    if report.healthy:
        for finding in report.findings:
            if finding.entry.is_told:
                out.print(terminal.information_line(finding, report.interface))
        return
    ill = [finding for finding in report.findings if finding.severity != "info"]
    now = [finding for finding in ill if finding.symptom not in shown][: MOST_CARDS - len(shown)]
    for finding in now:
        out.print(terminal.card(finding, report.interface))
    seen = {*shown, *(finding.symptom for finding in now)}
    more = sum(finding.symptom not in seen for finding in report.findings)
    if more > 0:
        place = "report.html" if folder is not None else "the full report (--out)"
        out.print(f"{more} more finding{'s' if more > 1 else ''} in {place}", markup=False)
    if folder is not None and report.watched_only:
        suppressed = [word for text in typed().get("suppress") or () for word in with_value("--suppress", text)]
        line = command_text("doctor", [str(folder)], suppressed)
        out.print(f"Run `{line}` to test remedies.", markup=False)
