"""Stage 6: answer if no remedy helps.

In: findings of which none explains anything. Out: the same, with what is known of the data brought forward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chainrule.doctor.diagnosis.evidence import Evidence, Findings, merge
from chainrule.doctor.rules.data.labels import too_few
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import standard_error
from chainrule.doctor.vocabulary.catalogue import NOISE, OVERFITTING, TOO_LITTLE_DATA, Area, Fallback
from chainrule.doctor.vocabulary.records import Finding, Fix, RemedyTrial
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent


def fall_back(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the best remaining answer as a warning.

    If the training failed, that is what is known of its data, else underfitting. If it did well on its own rows only, the
    remedies of overfitting are tested. If nothing is wrong with the training, rows are too few if half of them do much
    worse, or if the network is worth much on its own rows and clearly less than a constant prediction on others: quick
    models may do better with the same rows, but no training of this network is known to. Beside noise, that more rows
    would help is information if there are ten for each column, and it goes unsaid where the network is clearly better than
    quick models.
    """
    runner = evidence.runner
    if runner is None:
        return _without_trials(findings, evidence)
    if evidence.matches:
        few = _half_does_worse(runner) if _is_quiet(findings) and not evidence.exceeds else None
        if few is not None and evidence.noisy and _rows_per_column(runner) >= USUAL.rows_per_column:
            few = replace(few, severity="info")
        return (*(findings if few is None else _with_few(findings, few)), *_noise(evidence))
    if not any(finding.severity != "info" and finding.entry.explains_failure for finding in findings):
        findings = _raised(findings, _failure_answers(findings)) if evidence.failed else _proven(findings, evidence)
    if not evidence.failed and _is_quiet(findings):
        few = _half_does_worse(runner) or (_unseen_rows_fail(runner) if evidence.is_useless else None)
        findings = findings if few is None else _with_few(findings, few)
    return findings


def _without_trials(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with the best answer that no trial could confirm as a warning."""
    if evidence.matches:
        return (*findings, *_noise(evidence))
    if any(finding.severity != "info" and finding.entry.explains_failure for finding in findings):
        return findings
    return _raised(findings, _failure_answers(findings) if evidence.failed else _generalization_answers(findings))


def _raised(findings: Findings, answers: Sequence[str]) -> Findings:
    """Return the findings with the first answer as a warning."""
    return tuple(
        replace(finding, severity="warning", confirmed=None) if finding.symptom in answers[:1] else finding
        for finding in findings
    )


def _proven(findings: Findings, evidence: Evidence) -> Findings:
    """Return the findings with overfitting as a warning if the gap is wide and a remedy against it helps."""
    if not _gap_is_wide(findings):
        return findings
    return tuple(_tested(finding, evidence) if finding.symptom == OVERFITTING else finding for finding in findings)


def _tested(finding: Finding, evidence: Evidence) -> Finding:
    tested = evidence.budget.test_remedies(finding)
    return replace(tested, severity="warning") if tested.confirmed else tested


def _rows_per_column(runner: TrialRunner) -> float:
    """Return the number of training rows for each column that is not constant."""
    X = runner.problem.rows.X
    return len(X) / max(int(np.ptp(X, axis=0).astype(bool).sum()), 1)


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
    answers = [finding for finding in findings if finding.entry.fallback is Fallback.POOR_GENERALIZATION]
    ranked = sorted(answers, key=lambda finding: finding.entry.rank)
    return [finding.symptom for finding in ranked] if _gap_is_wide(findings) else []


def _gap_is_wide(findings: Findings) -> bool:
    """Check whether the loss on held-out rows is far above that on training rows."""
    gap = next((finding for finding in findings if finding.symptom == OVERFITTING), None)
    return gap is not None and gap.figures["validation"] > max(USUAL.gap, USUAL.gap_ratio * gap.figures["train"])


def _with_few(findings: Findings, few: Finding) -> Findings:
    """Return the findings with this one in place of another that there are too few rows."""
    return merge([few, *(finding for finding in findings if finding.symptom != TOO_LITTLE_DATA)])


def _unseen_rows_fail(runner: TrialRunner) -> Finding | None:
    gap = generalization_gap(runner)
    if gap is None:
        return None
    trained, held = gap
    n = len(runner.problem.rows)
    seen = f"{percent(trained)} of a constant's mistakes on the {n} training rows"
    return _too_little_data(runner, f"{seen}, {percent(held)} on others")


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


def generalization_gap(runner: TrialRunner) -> tuple[float, float] | None:
    """Return the mistakes on training rows and on others if the latter are far more."""
    trained = runner.actual.trained.mistake
    mistakes = runner.unseen_mistakes
    held = float(mistakes.mean())
    if held - trained < max(USUAL.wide_gap, USUAL.clear_errors * standard_error(mistakes)):
        return None
    return trained, held
