"""Stage 3: test all remedies together if none helps alone.

In: tested findings. Out: the same, with those confirmed that need one another.
"""

from __future__ import annotations

from dataclasses import replace

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, merge
from chainrule.doctor.trials.joint import joint_trials


def try_together(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with causes confirmed that hide one another.

    Only if the training failed and no remedy helped alone: then all remedies are tested together, and each is left out in
    turn. Suspicions whose remedies are needed become critical.
    """
    if evidence.runner is None or not evidence.failed or any(finding.confirmed for finding in findings):
        return findings
    suspicions = [finding for finding in findings if finding.severity != "info"]
    joint = joint_trials(evidence.runner, suspicions)
    return merge([*(replace(finding, severity="critical") for finding in joint), *findings])
