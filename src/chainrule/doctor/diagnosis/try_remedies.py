"""Stage 2: test the remedies of every suspicion.

In: collected findings. Out: the same findings with trials, and whether one of them helped.
"""

from __future__ import annotations

from chainrule.doctor.diagnosis.evidence import Evidence, Findings


def try_remedies(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the trials of their remedies, while the budget lasts.

    Information is not tested, except for symptoms that are always reported; self-evident findings need no trial.
    """
    return tuple(
        evidence.budget.test_remedies(finding)
        if finding.severity != "info" or finding.entry.always_reported
        else finding
        for finding in findings
    )
