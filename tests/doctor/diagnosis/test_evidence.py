"""Merge findings, rank them, and spend a budget on trials.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from doctor_trials import StubRunner, finding

from chainrule.doctor.diagnosis.evidence import TrialBudget, merge, rank


def test_one_finding_for_each_symptom_the_most_severe():
    both = [finding("dead-units", "info"), finding("dead-units", "critical"), finding("nan-input")]
    assert [(f.symptom, f.severity) for f in merge(both)] == [("nan-input", "warning"), ("dead-units", "critical")]


def test_outcomes_and_evidence_come_last():
    order = sorted(map(finding, ("no-validation", "nan-loss", "overfitting", "nan-input")), key=rank)
    assert [f.symptom for f in order] == ["nan-input", "overfitting", "nan-loss", "no-validation"]


def test_the_budget_runs_out():
    runner = StubRunner({"no-penalty": 0.9})
    runner.cost = 100.0
    budget = TrialBudget(runner, 1.0)
    assert budget.trial("no-penalty").helped
    assert budget.trial("no-clip") is None
    assert budget.trial("no-penalty").helped  # made before, so it costs nothing
