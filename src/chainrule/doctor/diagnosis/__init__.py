"""Turn suspicions into a diagnosis: symptoms come in groups, and what is wanted is their one cause.

Seven stages, each `(findings, evidence) -> findings` and each in a file of its own:

1. `collect`: one finding for each symptom, and what only the whole diagnosis can see.
2. `try_remedies`: test the remedies of every suspicion in trials.
3. `try_together`: if nothing is confirmed, test all remedies together; two causes can hide each other.
4. `gate`: set severities; a suspicion that no trial confirms is information.
5. `screen`: if a bad training has no confirmed cause, test every usual remedy once.
6. `fall_back`: if no remedy helps, say what is known of the data, or that there is too little of it.
7. `explain`: put the primary finding first, with what it explains; keep independent causes beside it.

In: suspicions, and a trial runner or none. Out: findings, the primary one first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chainrule.doctor.diagnosis.collect import collect
from chainrule.doctor.diagnosis.evidence import Evidence, Findings
from chainrule.doctor.diagnosis.explain import explain
from chainrule.doctor.diagnosis.fall_back import fall_back
from chainrule.doctor.diagnosis.gate import gate
from chainrule.doctor.diagnosis.screen import screen
from chainrule.doctor.diagnosis.try_remedies import try_remedies
from chainrule.doctor.diagnosis.try_together import try_together
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.records import Finding, Trace
from chainrule.train.problem import TrainingProblem

STAGES: tuple[Callable[[Findings, Evidence], Findings], ...] = (
    collect,
    try_remedies,
    try_together,
    gate,
    screen,
    fall_back,
    explain,
)
"""The stages in order."""


def diagnose(
    problem: TrainingProblem, trace: Trace, suspicions: Iterable[Finding], runner: TrialRunner | None
) -> Findings:
    """Return the findings, the primary one first.

    A suspicion that a trial confirms stays; one that no trial confirms is information at most. Without a trial runner the
    gate alone decides: suspicions count if the training failed. Among confirmed causes whose remedies help about equally,
    the earliest in the order of root causes is the primary one and explains the others.
    """
    findings = tuple(suspicions)
    needed = runner is not None or any(finding.severity != "info" for finding in findings)
    evidence = Evidence.of(problem, trace, runner, needed)
    for stage in STAGES:
        findings = stage(findings, evidence)
    return findings
