"""Stage 4: let suspicions pass only with evidence.

In: tested findings. Out: the same with final severities.
"""

from __future__ import annotations

from dataclasses import replace

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, is_clear
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
    information there: constant columns, rare classes unless it misses nearly all of one that a quick model recognizes and
    class weights are proven to correct that, doubtful labels that are few or that the network does not err beyond, and a
    remedy whose gain is not beyond doubt. What is evident in settings or readings is a cause whatever a trial says.
    """
    return tuple(_gated(finding, evidence) for finding in findings)


def _gated(finding: Finding, evidence: Evidence) -> Finding:
    entry = finding.entry
    if finding.figures.get("evident"):
        return replace(
            finding, confirmed=finding.confirmed or None, severity="critical" if evidence.failed else "warning"
        )
    if evidence.matches and entry.yields_to_proof:
        return replace(finding, severity="info")
    if entry.judged_by_recall and (evidence.accepts(finding) or not _has_proof(finding, evidence)):
        return replace(finding, severity="info")
    if evidence.matches and entry.judged_by_share:
        return replace(finding, severity="info")
    if _is_small(finding, evidence) or _is_slight(finding, evidence):
        return replace(finding, severity="info")
    if evidence.beats_constant and entry.judged_by_mistakes and not _has_proof(finding, evidence, by_loss=False):
        return replace(finding, severity="info")
    if (evidence.matches or evidence.fits) and entry.is_outcome:
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


def _is_small(finding: Finding, evidence: Evidence) -> bool:
    """Check whether what was found matters little beside the noise of the data.

    What is always reported is seen in the rows themselves, and not only in a gain that could be chance. Doubtful labels
    matter little, too, where a network that is as good as quick models errs no more often than labels are in doubt.
    """
    if finding.entry.small_is_noise:
        share = finding.figures.get("share", 1.0)
        no_more = evidence.matches and finding.figures.get("error", 1.0) <= share
        return no_more or (evidence.noisy and share < DATA_LIMITS.noise_share)
    if not evidence.noisy or finding.entry.always_reported:
        return False
    return bool(finding.confirmed) and finding.entry.explains_failure and not _has_proof(finding, evidence)


def _is_slight(finding: Finding, evidence: Evidence) -> bool:
    """Check whether a network that does well would gain little by every remedy that helps."""
    helped = [trial for trial in finding.trials if trial.helped]
    return bool(helped) and all(map(evidence.is_slight, helped))


def _has_proof(finding: Finding, evidence: Evidence, by_loss: bool = True) -> bool:
    """Check whether a trial of one of its remedies leaves no doubt; without trials nothing can be asked for.

    Without `by_loss` it must remove mistakes.
    """
    if evidence.runner is None:
        return True
    helped = [trial for trial in finding.trials if trial.helped]
    return any(trial.joint or evidence.runner.proves(trial.remedy, by_loss) for trial in helped)


def _affects_many(finding: Finding) -> bool:
    """Check whether a large share of the columns is affected."""
    share = finding.figures.get("count", 0.0) / max(finding.figures.get("columns", 1.0), 1.0)
    return share >= USUAL.constant_columns
