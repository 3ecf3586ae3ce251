"""Stage 2: test the remedies of every suspicion.

In: collected findings. Out: the same findings with trials, and whether one of them helped.
"""

from __future__ import annotations

from chainrule.doctor.diagnosis.evidence import Evidence, Findings
from chainrule.doctor.vocabulary.catalogue import Area, find_remedy
from chainrule.doctor.vocabulary.records import Finding


def try_remedies(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the trials of their remedies, while the budget lasts.

    Information is not tested, except for symptoms that are always reported; self-evident findings need no trial. The budget
    may not last for all. So what is beyond any usual bound is tested first and how the training ended last, and what is
    peculiar to this problem before general remedies: it is the likelier cause.
    """
    tested = {
        finding.symptom: evidence.budget.test_remedies(finding)
        for finding in sorted(findings, key=_turn)
        if finding.severity != "info" or (finding.entry.always_reported and not evidence.accepts(finding))
    }
    return tuple(tested.get(finding.symptom, finding) for finding in findings)


def _turn(finding: Finding) -> tuple[bool, bool, bool]:
    return "excess" not in finding.figures, finding.entry.area is Area.RESULT, _is_general(finding)


def _is_general(finding: Finding) -> bool:
    """Check whether its remedies would change any training, and not only one with this fault."""
    names = [name for name in (finding.fix.remedy, *finding.entry.remedies) if name]
    return not any(find_remedy(name).problem_specific for name in names)
