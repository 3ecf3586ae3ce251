"""List what a repair tests, in the order in which it is worth testing.

In: a report. Out: symptoms and remedies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chainrule.doctor.remedies.apply import JOINED
from chainrule.doctor.remedies.architecture import narrowest
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS, find_remedy
from chainrule.doctor.vocabulary.records import Finding, Report
from chainrule.doctor.vocabulary.thresholds import USUAL


def proposals(report: Report) -> Iterator[tuple[str, str, bool]]:
    """Yield symptom, remedy and whether it is safe: safe fixes, what trials confirmed together or alone, then the rest.

    Remedies that narrow layers need together come before single ones. What contradicts the targets is put right, too, where
    the network does well nevertheless.
    """
    ill = [finding for finding in report.findings if finding.severity != "info"]
    for finding in report.findings:
        if finding.fix.safe and finding.fix.remedy:
            yield finding.symptom, finding.fix.remedy, True
    for finding in contradictions(report):
        yield finding.symptom, finding.fix.remedy, True
    joint = {trial.remedy: finding for finding in ill for trial in finding.trials if trial.joint}
    if len(joint) > 1:
        yield ill[0].symptom, JOINED.join(joint), all(find_remedy(name).safe for name in joint)
    if narrowest(report.problem.recipe.net) < USUAL.widened:
        for finding in ill:
            for symptom in (finding.symptom, *finding.explains):
                yield from ((symptom, joined, False) for joined in SYMPTOMS[symptom].where_narrow)
    for finding in ill:
        for trial in sorted(finding.trials, key=lambda trial: -trial.gain):
            if trial.helped:
                yield finding.symptom, trial.remedy, find_remedy(trial.remedy).safe
    yield from _untested_proposals(ill)


def needs_repair(report: Report) -> bool:
    """Check whether a repair has something to test: the training is ill, or something contradicts the targets."""
    return not report.healthy or bool(contradictions(report))


def contradictions(report: Report) -> list[Finding]:
    """Return what contradicts the targets in a network that does well, if its remedy is safe."""
    ill = [finding for finding in report.findings if finding.severity == "info" and finding.entry.static]
    return [finding for finding in ill if find_remedy(finding.fix.remedy).safe]


def _untested_proposals(ill: Sequence[Finding]) -> Iterator[tuple[str, str, bool]]:
    """Yield every other remedy of what is wrong and of what follows from it."""
    for finding in ill:
        for symptom in (finding.symptom, *finding.explains):
            entry = SYMPTOMS[symptom]
            for remedy in (finding.fix.remedy, *entry.remedies, *entry.untested):
                if remedy:
                    yield symptom, remedy, find_remedy(remedy).safe
