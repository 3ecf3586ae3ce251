"""Diagnose a monitored training in little time: no trials, no checks of the data.

In: a training problem and its trace, during the training or at its end. Out: what is wrong now; a report.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.examine import make_report
from chainrule.doctor.observe.blas import one_thread, per_row
from chainrule.doctor.observe.readings import has_layer_readings, layer_readings, remaining_loss_share, training_failed
from chainrule.doctor.rules.run import run_rules
from chainrule.doctor.rules.selection import (
    RuleSelection,
    rules_after_training,
    rules_during_training,
    rules_for_nan,
    with_fewer_rows,
)
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.doctor.vocabulary.records import Finding, Report, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.nn.step import State
from chainrule.train.problem import TrainingProblem

MONITORING_ONLY = (
    "Monitoring only: no remedies were tested and the data were not checked. Run `chainrule doctor` for both."
)
"""The note of a report without trials."""


def current_problem(
    problem: TrainingProblem, trace: Trace, suppressed: Collection[str] = ()
) -> tuple[Finding, frozenset[str]] | None:
    """Return what is wrong with an unfinished training, with its symptom and all that it explains; None if nothing is.

    Only rules that read no rows run, and only after a first part of the training, if more than half of a constant's loss
    remains and nearly as much as at half of the epochs so far: most trainings begin badly and recover.
    """
    if not has_layer_readings(trace):
        return None
    few = with_fewer_rows(problem)
    early = layer_readings(trace)[-1].epoch < min(USUAL.early_share * problem.config.epochs, USUAL.early_epochs)
    if early or not training_failed(few, trace) or not _has_stalled(few, trace):
        return None
    rules = rules_during_training(suppressed)
    judged = {rule.symptom for rule in rules}
    findings = diagnose(problem, trace, run_rules(rules, problem, trace, []), None)
    for finding in findings:
        if finding.severity != "info" and (SYMPTOMS[finding.symptom].during_training or finding.symptom in judged):
            return finding, frozenset({finding.symptom, *finding.explains})
    return None


def _has_stalled(problem: TrainingProblem, trace: Trace) -> bool:
    """Check whether nearly as much loss remains as at half of the epochs so far."""
    now = layer_readings(trace)[-1].epoch
    earlier = tuple(reading for reading in layer_readings(trace) if 2 * reading.epoch <= now)
    if not (now and earlier):
        return False
    before = remaining_loss_share(problem, replace(trace, readings=earlier))
    return not remaining_loss_share(problem, trace) < USUAL.stalled * before


def nan_finding(problem: TrainingProblem, trace: Trace) -> Finding | None:
    """Return the finding of a training that ended in numbers that are not finite."""
    return next(run_rules(rules_for_nan(), problem, trace, []), None)


def monitoring_report(
    problem: TrainingProblem, trace: Trace, first: State, suppressed: Mapping[str, str], seconds: float
) -> Report:
    """Return what the rules say about a training monitored from its `first` state on, slow rules within the seconds.

    No remedy is tested and the data are not checked; only what hurts the training counts.
    """
    began = time.perf_counter()
    skipped: list[str] = []
    rules = rules_after_training(suppressed)
    limit = began + max(seconds, USUAL.slow_seconds)
    drawn = replace(problem, start=first)
    selection = RuleSelection(problem, with_fewer_rows(problem), drawn, trace, limit)
    findings = list(run_rules(selection.cheap(rules), problem, trace, skipped))
    slow = list(selection.slow(rules))
    with one_thread(min(len(problem.rows), USUAL.monitored_rows) * per_row(problem.recipe.net) if slow else 0):
        findings += run_rules(selection.in_time(slow, skipped), problem, trace, skipped)
    diagnosed = diagnose(selection.few, trace, findings, None)
    took = time.perf_counter() - began
    return make_report(problem, trace, diagnosed, skipped, suppressed, (MONITORING_ONLY,), took)
