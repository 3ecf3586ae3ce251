"""Stage 2: test the remedies of every suspicion.

In: collected findings. Out: the same findings with trials, and whether one of them helped.
"""

from __future__ import annotations

from chainrule.doctor.diagnosis.evidence import Evidence, Findings
from chainrule.doctor.vocabulary.catalogue import find_remedy
from chainrule.doctor.vocabulary.records import Finding


def try_remedies(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the trials of their remedies, while the budget lasts.

    Information is not tested, except for symptoms that are always reported; self-evident findings need no trial. What is
    peculiar to this problem is tested first: it is the likelier cause, and the budget may not last for general remedies.
    """
    tested = {
        finding.symptom: evidence.budget.test_remedies(finding)
        for finding in sorted(findings, key=_is_general)
        if finding.severity != "info" or (finding.entry.always_reported and not evidence.accepts(finding))
    }
    return tuple(tested.get(finding.symptom, finding) for finding in findings)


def _is_general(finding: Finding) -> bool:
    """Check whether its remedies would change any training, and not only one with this fault."""
    names = [name for name in (finding.fix.remedy, *finding.entry.remedies) if name]
    return not any(find_remedy(name).problem_specific for name in names)
