"""Let only evidence set severities.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

from doctor_trials import PROBLEM, TRACE, diagnosed, evidence, finding

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.gate import gate
from chainrule.train.records import diverged


def test_without_trials_the_gate_decides():
    suspicion = [finding("dead-units")]
    assert diagnose(PROBLEM, TRACE, suspicion, None)[0].severity == "info"
    ruined = replace(TRACE, stopped=diverged(3))
    assert diagnose(PROBLEM, ruined, suspicion, None)[0].severity == "warning"


def test_equal_first_weights_are_told_whatever_the_trial_says():
    found, runner = diagnosed([finding("symmetric-weights")], {}, mistake=0.0)
    assert [(f.symptom, f.severity, f.confirmed) for f in found] == [("symmetric-weights", "warning", None)]
    assert runner.tested == ["he-init"]


def test_trials_set_the_severity_of_what_they_confirm():
    confirmed = finding("over-regularized", confirmed=True)
    assert gate((confirmed,), evidence({}, failed=True))[0].severity == "critical"
    assert gate((confirmed,), evidence({}, failed=False))[0].severity == "warning"


def test_what_trials_contradict_is_information():
    (found,) = gate((finding("over-regularized", confirmed=False),), evidence({}))
    assert (found.severity, found.confirmed) == ("info", False)


def test_outcomes_and_evidence_pass_the_gate():
    findings = (finding("nan-loss", "critical"), finding("no-validation"))
    assert gate(findings, evidence({})) == findings


def test_constant_columns_are_a_warning_if_there_are_many():
    many, few = (finding("constant-feature", "info", figures={"count": n, "columns": 8.0}) for n in (2.0, 1.0))
    assert [found.severity for found in gate((many, few), evidence({}))] == ["warning", "info"]
