"""Stage 5: screen a bad training for which no suspicion was confirmed.

In: gated findings. Out: the same, and causes that only a trial shows.
"""

from __future__ import annotations

from dataclasses import replace

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, confirmed_gain, is_problem_specific, merge
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.catalogue import SCREENING, find_remedy
from chainrule.doctor.vocabulary.records import Finding, Fix, RemedyTrial
from chainrule.doctor.vocabulary.thresholds import USUAL


def screen(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings and the causes that a screening finds.

    If there is something to gain and no confirmed root cause explains most of it, every usual remedy is tested once; each
    that helps gives its symptom. Where quick models too leave much unexplained, what remains is noise: a remedy would seem
    to help by chance.
    """
    explained = any(
        finding.confirmed and confirmed_gain(finding) >= USUAL.comparable and _is_root_cause(finding)
        for finding in findings
    )
    if evidence.runner is None or explained or evidence.noisy or not has_headroom(evidence.runner):
        return findings
    evidence.budget.top_up()
    used = {trial.remedy for finding in findings if finding.confirmed for trial in finding.trials}
    trials = [trial for entry in SCREENING if (trial := evidence.budget.trial(entry.name)) is not None]
    shown = [
        trial for trial in trials if trial.helped and trial.remedy not in used and not evidence.is_slight(trial, False)
    ]
    return merge([*(_screened(trial, evidence.failed) for trial in shown), *findings])


def has_headroom(runner: TrialRunner) -> bool:
    """Check whether there is anything to gain."""
    return runner.actual.diverged or runner.actual.held_out.mistake > USUAL.good_enough


def _is_root_cause(finding: Finding) -> bool:
    """Check whether it is a cause, and not a way in which a cause shows itself."""
    return finding.entry.is_cause or is_problem_specific(finding)


def _screened(trial: RemedyTrial, failed: bool) -> Finding:
    """Return what a trial alone shows, as a finding."""
    finding = make_finding(
        find_remedy(trial.remedy).screens_for,
        "critical" if failed else "warning",
        f"The remedy {trial.remedy!r} makes this training much better",
        meaning="No single measurement stands out, but the same training from the same seeds does better with it.",
        measured=f"it reduces the held-out error by {100 * trial.share:.0f} % (two seeds)",
        usual="no usual remedy helps a healthy training by that much",
        fix=Fix(f"Apply the remedy {trial.remedy!r}.", remedy=trial.remedy),
        gain=trial.gain,
    )
    return replace(finding, confirmed=True, trials=(trial,))
