"""Stage 4: let suspicions pass only with evidence.

In: tested findings. Out: the same with final severities.
"""

from __future__ import annotations

from dataclasses import replace

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, confirmed_gain, is_clear
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.records import Finding
from chainrule.doctor.vocabulary.thresholds import USUAL


def gate(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the severity that the trials justify.

    Confirmed causes are critical if the training failed, else warnings. What trials contradict becomes information, and so
    does what no trial could test, unless it is self-evident or always reported. What follows from settings and targets alone
    stays a cause if its remedy does not help alone: another fault may hide the gain. Without trials, suspicions keep their
    severity if the training failed. Evidence passes as it is, and so do outcomes, except where the network is about as good
    as quick models: how a training ended is then a warning only if a remedy helps. What a sound network can live with is
    information there: constant columns, rare classes unless it misses nearly all of one that a quick model recognizes, a
    small share of doubtful labels, and a remedy that removes less than a twentieth of what a constant prediction leaves.
    """
    return tuple(_gated(finding, evidence) for finding in findings)


def _gated(finding: Finding, evidence: Evidence) -> Finding:
    entry = finding.entry
    if evidence.matches and entry.yields_to_proof:
        return replace(finding, severity="info")
    if evidence.matches and (
        entry.judged_by_share or (entry.judged_by_recall and not _misses_a_class(finding, evidence))
    ):
        return replace(finding, severity="info")
    if evidence.noisy and _is_small(finding, evidence):
        return replace(finding, severity="info")
    if evidence.matches and entry.is_outcome:
        return finding if finding.confirmed else replace(finding, severity="info")
    if not entry.explains_failure:
        return finding
    if finding.confirmed:
        return replace(finding, severity="critical" if evidence.failed else "warning")
    if entry.static and finding.severity == "critical" and not evidence.matches:
        return replace(finding, confirmed=None)
    if finding.severity == "info":
        return replace(finding, severity="warning") if entry.judged_by_share and _affects_many(finding) else finding
    if evidence.runner is None and is_clear(finding):
        return finding
    if entry.always_reported or (entry.self_evident and finding.confirmed is None):
        return replace(finding, confirmed=None)
    untested_failure = finding.confirmed is None and evidence.failed and evidence.runner is None
    return finding if untested_failure else replace(finding, severity="info")


def _misses_a_class(finding: Finding, evidence: Evidence) -> bool:
    """Check whether nearly all rows of a class are missed that a quick model recognizes."""
    return evidence.separable and finding.figures.get("recall", 1.0) < DATA_LIMITS.recall_missed


def _is_small(finding: Finding, evidence: Evidence) -> bool:
    """Check whether what was found matters little beside the noise of the data."""
    if finding.entry.small_is_noise:
        return finding.figures.get("share", 1.0) < DATA_LIMITS.noise_share
    comparison = evidence.comparison
    if not (finding.confirmed and finding.entry.explains_failure and comparison is not None):
        return False
    return confirmed_gain(finding) * comparison.left < USUAL.least_gain


def _affects_many(finding: Finding) -> bool:
    """Check whether a large share of the columns is affected."""
    share = finding.figures.get("count", 0.0) / max(finding.figures.get("columns", 1.0), 1.0)
    return share >= USUAL.constant_columns
