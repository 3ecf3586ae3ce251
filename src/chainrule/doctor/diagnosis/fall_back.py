"""Stage 6: answer if no remedy helps.

In: findings of which none explains anything. Out: the same, with what is known of the data brought forward.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, merge
from chainrule.doctor.rules.data.labels import too_few
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import standard_error
from chainrule.doctor.vocabulary.catalogue import LONGER, NOISE, OVERFITTING, TOO_LITTLE_DATA, Area, Fallback
from chainrule.doctor.vocabulary.records import Finding, Fix, RemedyTrial
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent


def fall_back(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the best remaining answer as a warning.

    If the training failed, that is what is known of its data, else underfitting. If it did well on its own rows only, that
    is too little data, else overfitting. If nothing is wrong with the training, rows are too few if the network is worth
    much more on its own rows than on others, or if half of the rows do much worse. If the network is about as
    good as quick models on the same rows, only what a trial shows counts: that half of the rows do much worse. If it is
    clearly better than they are, it makes good use of its rows.
    """
    if evidence.matches:
        few = None
        if evidence.runner is not None and _is_quiet(findings) and not evidence.exceeds:
            few = _half_does_worse(evidence.runner)
        return (*(findings if few is None else _with_few(findings, few)), *_noise(evidence))
    if not any(finding.severity != "info" and finding.entry.explains_failure for finding in findings):
        findings = _with_fallback(findings, evidence.failed)
    if evidence.runner is not None and not evidence.failed and _is_quiet(findings):
        findings = _with_data_need(findings, evidence.runner, evidence.leaves_most)
    return findings


def _is_quiet(findings: Findings) -> bool:
    """Check whether nothing is wrong with the training itself."""
    return all(finding.severity == "info" or finding.entry.is_evidence for finding in findings)


def _noise(evidence: Evidence) -> Findings:
    """Say once what remains, and that quick models leave as much, as information."""
    comparison = evidence.comparison
    unseen = evidence.runner is not None or evidence.problem.validation is not None
    if comparison is None or not (evidence.noisy and unseen):
        return ()
    return (
        make_finding(
            NOISE,
            "info",
            "What remains is mostly noise of the data",
            meaning="Quick models of another kind, trained on the same rows, leave about as much unexplained. More rows or "
            "better inputs may help; another setting of the training will hardly help.",
            measured=f"error on unseen rows (constant prediction: 100 %): {percent(comparison.left)} of the network, "
            f"{percent(comparison.remaining)} of {comparison.model}",
            usual="whatever the data allow",
            fix=Fix("Look for inputs that say more about the target."),
            network=comparison.left,
            quick=comparison.remaining,
        ),
    )


def _with_fallback(findings: Findings, failed: bool) -> Findings:
    answers = _failure_answers(findings) if failed else _generalization_answers(findings)
    return tuple(
        replace(finding, severity="warning", confirmed=None) if finding.symptom in answers[:1] else finding
        for finding in findings
    )


def _failure_answers(findings: Findings) -> list[str]:
    """Return what may explain a failed training: untested facts about its data, then that it underfits."""
    of_data = [
        finding.symptom
        for finding in findings
        if finding.entry.area is Area.DATA
        and finding.entry.explains_failure
        and not finding.entry.fit_possible
        and not finding.trials
    ]
    return [*of_data, *(f.symptom for f in findings if f.entry.fallback is Fallback.TRAINING_FAILED)]


def _generalization_answers(findings: Findings) -> list[str]:
    """Return what may explain a wide gap between training and held-out rows: too little data, then overfitting."""
    gap = next((finding for finding in findings if finding.symptom == OVERFITTING), None)
    wide = gap is not None and gap.figures["validation"] > max(USUAL.gap, USUAL.gap_ratio * gap.figures["train"])
    answers = [finding for finding in findings if finding.entry.fallback is Fallback.POOR_GENERALIZATION]
    return [finding.symptom for finding in sorted(answers, key=lambda finding: finding.entry.rank)] if wide else []


def _with_data_need(findings: Findings, runner: TrialRunner, leaves_most: bool) -> Findings:
    """Return the findings, with too little data among them if more would help.

    Where quick models leave most unexplained, that the network knows its own rows better may be memorized noise.
    """
    few = (None if leaves_most else _unseen_rows_fail(runner)) or _half_does_worse(runner)
    return findings if few is None else _with_few(findings, few)


def _with_few(findings: Findings, few: Finding) -> Findings:
    """Return the findings with this one in place of another that there are too few rows."""
    return merge([few, *(finding for finding in findings if finding.symptom != TOO_LITTLE_DATA)])


def _unseen_rows_fail(runner: TrialRunner) -> Finding | None:
    gap = generalization_gap(runner)
    if gap is None:
        return None
    trained, held, when = gap
    n = len(runner.problem.rows)
    seen = f"{percent(trained)} of a constant's mistakes on the {n} training rows"
    return _too_little_data(runner, f"{seen}, {percent(held)} on others{when}")


def _half_does_worse(runner: TrialRunner) -> Finding | None:
    trial = runner.more_rows()
    if trial is None or not trial.helped:
        return None
    n = len(runner.problem.rows)
    share = percent(trial.gain)
    measured = f"from half of the {n} rows to all, {share} of the mistakes on held-out rows disappear (three seeds)"
    return _too_little_data(runner, measured, trial)


def _too_little_data(runner: TrialRunner, measured: str, trial: RemedyTrial | None = None) -> Finding:
    classes = class_indices(runner.problem.rows)
    typical = math.inf
    if classes is not None:
        counts = np.bincount(classes)
        typical = float(np.median(counts[counts > 0]))
    finding = too_few(len(runner.problem.rows), typical, "warning", measured)
    return finding if trial is None else replace(finding, confirmed=True, trials=(trial,))


def generalization_gap(runner: TrialRunner) -> tuple[float, float, str] | None:
    """Return the mistakes on training rows and on others if the latter are far more, and after which training.

    After a longer training than the user asked for, the gap must be twice as wide.
    """
    judged = [(runner.actual.trained.mistake, runner.unseen_mistakes, USUAL.wide_gap, "")]
    longer = runner.outcome(LONGER) if runner.was_tested(LONGER) else None
    if longer is not None:
        limit = USUAL.longer_gap * USUAL.wide_gap
        judged.append((longer.trained.mistake, longer.held_out.mistakes, limit, " after a longer training"))
    for trained, mistakes, limit, when in judged:
        held = float(mistakes.mean())
        if held - trained >= max(limit, USUAL.clear_errors * standard_error(mistakes)):
            return trained, held, when
    return None
