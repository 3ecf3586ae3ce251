"""Stage 1: collect the suspicions, one for each symptom.

In: what the rules found. Out: one finding for each symptom, in the order of root causes.
"""

from __future__ import annotations

import math
from dataclasses import replace

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, merge
from chainrule.doctor.rules.configuration.own_pieces import missing_bias, unknown_loss
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import standard_error
from chainrule.doctor.vocabulary.records import Finding
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent


def collect(findings: Findings, evidence: Evidence) -> Findings:
    """Return one finding for each symptom, the most severe.

    Two suspicions depend on whether the training failed, so they are added here: a custom loss if it did, layers without a
    bias if it did not. Class imbalance becomes a warning if rare classes are recognized much less often than frequent ones.
    """
    judged = [
        finding if evidence.accepts(finding) else _judge_by_recall(finding, evidence.runner) for finding in findings
    ]
    if evidence.failed:
        return merge([*judged, *unknown_loss(evidence.problem)])
    return merge([*missing_bias(evidence.problem), *judged])


def _judge_by_recall(finding: Finding, runner: TrialRunner | None) -> Finding:
    """Return class imbalance as a warning if rare classes, taken together, are recognized much less often."""
    if not finding.entry.judged_by_recall or finding.severity != "info" or runner is None:
        return finding
    rare, frequent = runner.recalls()
    gap = float(frequent.mean() - rare.mean()) if len(rare) and len(frequent) else 0.0
    chance = math.hypot(standard_error(rare), standard_error(frequent))
    if gap < USUAL.recall_gap or gap < USUAL.clear_errors * chance:
        return finding
    shares = f"{percent(rare.mean())} of rare, {percent(frequent.mean())} of frequent classes"
    return replace(finding, severity="warning", measured=f"{finding.measured}; recognized among unseen rows: {shares}")
