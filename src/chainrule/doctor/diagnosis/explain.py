"""Stage 7: choose the primary finding, and say what it explains.

In: judged findings. Out: the primary one, independent ones beside it, then information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainrule.doctor.diagnosis.evidence import (
    Evidence,
    Findings,
    confirmed_gain,
    is_clear,
    is_problem_specific,
    rank,
)
from chainrule.doctor.remedies.apply import APPLY
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.records import Finding, Fix
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.pipeline.option_names import Setting


def explain(findings: Findings, evidence: Evidence) -> Findings:
    """Return the primary finding, what it does not explain, and information, each in the order of root causes.

    The primary finding is a confirmed cause whose remedy helps about as much as any: a peculiarity of this problem before a
    general remedy, then the earliest root cause. It explains every other problem, except faults of the evaluation and
    second causes: those that are certain, that were confirmed together with it, or whose remedies help on top of its own.
    """
    ill = [finding for finding in findings if finding.severity != "info"]
    infos = [finding for finding in findings if finding.severity == "info"]
    if not ill:
        return tuple(sorted(infos, key=rank))
    ill = [_without_refuted_fix(finding) for finding in ill]
    primary = _primary(ill, evidence.failed)
    if primary.entry.is_evidence:
        return (*sorted(ill, key=rank), *sorted(infos, key=rank))
    evaluation = [finding for finding in ill if finding is not primary and finding.entry.is_evidence]
    apart = evaluation + _second_causes(primary, findings, evidence)
    kept = {finding.symptom for finding in apart}
    follows = tuple(f.symptom for f in sorted(ill, key=rank) if f is not primary and f.symptom not in kept)
    infos = [finding for finding in infos if finding.symptom not in kept]
    ruled_out = tuple(finding.symptom for finding in infos if finding.confirmed is False)
    primary = replace(primary, explains=follows, ruled_out=ruled_out, fix=tested_fix(primary, evidence.runner))
    return (primary, *sorted(apart, key=rank), *sorted(infos, key=rank))


def _without_refuted_fix(finding: Finding) -> Finding:
    """Return the finding without advice that a trial has refuted, unless its fault is certain or always reported."""
    refuted = [trial.remedy for trial in finding.trials if not trial.helped]
    if finding.entry.static or finding.entry.always_reported or finding.fix.remedy not in refuted:
        return finding
    if any(trial.helped for trial in finding.trials):
        return finding
    tried = ", ".join(refuted)
    return replace(
        finding, fix=Fix(f"No remedy that was tried helps ({tried}). Look at the inputs and the other findings.")
    )


def _primary(ill: Sequence[Finding], failed: bool) -> Finding:
    causes = [finding for finding in ill if finding.entry.explains_failure]
    most = max((confirmed_gain(finding) for finding in causes), default=0.0)
    strong = [f for f in causes if f.confirmed is None or confirmed_gain(f) >= USUAL.comparable * most]
    proven = any(finding.confirmed for finding in strong)

    def order(finding: Finding) -> tuple[bool, bool, bool, tuple[int, int]]:
        entry = finding.entry
        background = entry.is_background and (failed or entry.judged_by_recall or entry.judged_by_share)
        reading = bool(finding.figures.get("evident")) and not entry.static  # what training has led to
        yields = proven and (entry.yields_to_proof or ((background or reading) and not finding.confirmed))
        return not is_clear(finding), yields, not is_problem_specific(finding), rank(finding)

    return min(strong or ill, key=order)


def _second_causes(primary: Finding, findings: Findings, evidence: Evidence) -> list[Finding]:
    """Return the causes beside the primary one; of findings with one remedy the first stands for the others."""
    evidence.budget.top_up()
    others = [f for f in sorted(findings, key=rank) if f is not primary and not f.entry.is_evidence]
    beside = [
        replace(finding, fix=tested_fix(finding, evidence.runner)) if _is_joint(finding) else finding
        for finding in others
        if _is_joint(finding) or _is_certain(finding, primary)
    ]
    done = {finding.symptom for finding in beside}
    used = {f.trials[0].remedy for f in (primary, *beside) if f.trials and f.trials[0].helped}
    for finding in others:
        second = None if finding.symptom in done else evidence.budget.second_cause(primary, finding)
        if second is not None and second.trials[0].remedy not in used:
            beside.append(second)
            used.add(second.trials[0].remedy)
    return beside


def _is_joint(finding: Finding) -> bool:
    """Check whether it was confirmed together with others."""
    return any(trial.joint for trial in finding.trials)


def _is_certain(finding: Finding, primary: Finding) -> bool:
    """Check whether no other cause can explain it, beside a primary finding of which that is not true."""
    return finding.entry.certain and finding.severity != "info" and not primary.entry.certain


def tested_fix(finding: Finding, runner: TrialRunner | None) -> Fix:
    """Return the fix with the remedy that helped most; if that is another learning rate, with this rate."""
    remedy = next((trial.remedy for trial in finding.trials if trial.helped), "")
    if runner is None or remedy not in APPLY:
        return finding.fix
    problem = runner.problem
    fix = replace(finding.fix, remedy=remedy)
    changed = APPLY[remedy](problem)
    if changed is None or changed.recipe != problem.recipe or changed.config.epochs != problem.config.epochs:
        return fix
    rate = changed.config.learning_rate
    if rate == problem.config.learning_rate:
        return fix
    return replace(fix, settings=(Setting("learning_rate_init", rate),))
