"""Find causes that hide each other.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

from doctor_trials import evidence, finding, plane, runner_of

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.try_together import try_together
from chainrule.doctor.trials.joint import joint_trials
from chainrule.nn.penalties import Penalty
from chainrule.train import TrainConfig

TWO = plane(config=TrainConfig(40, 1e-6), penalty=Penalty(l2=1.0))
"""Steps that go nowhere, and a penalty that would leave nothing."""


def test_two_causes_that_hide_one_another_are_found_together():
    runner = runner_of(TWO)
    assert not any(runner.trial(remedy, suspected=True).helped for remedy in ("usual-rate", "no-penalty"))
    suspicions = [
        finding(symptom) for symptom in ("learning-rate-too-low", "over-regularized", "learning-rate-too-high")
    ]
    found = diagnose(TWO, runner.trace, suspicions, runner)
    assert [(f.symptom, f.severity, f.confirmed, f.trials[0].remedy) for f in found[:2]] == [
        ("over-regularized", "critical", True, "no-penalty"),
        ("learning-rate-too-low", "critical", True, "usual-rate"),
    ]
    assert [f.severity for f in found[2:]] == ["info"]
    assert [any(trial.joint for trial in f.trials) for f in found] == [True, True, False]


def test_one_cause_is_not_two():
    one = replace(TWO, recipe=replace(TWO.recipe, penalty=Penalty()))
    runner = runner_of(one)
    assert (
        joint_trials(runner, [finding("learning-rate-too-low"), finding("over-regularized"), finding("underfitting")])
        == []
    )


def test_nothing_is_tested_together_once_a_cause_is_confirmed_or_the_training_worked():
    findings = (finding("over-regularized", confirmed=True), finding("underfitting"))
    assert try_together(findings, evidence({}, failed=True)) == findings
    assert try_together(findings[1:], evidence({}, failed=False)) == findings[1:]
    assert try_together(findings[1:], evidence(failed=True)) == findings[1:]
