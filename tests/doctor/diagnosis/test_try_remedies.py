"""Test the remedies of suspicions, and of nothing else.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from doctor_trials import diagnosed, evidence, finding

from chainrule.doctor.diagnosis.try_remedies import try_remedies


def test_information_is_not_tried():
    found, runner = diagnosed([finding("over-regularized", "info")], {"no-penalty": 0.9}, mistake=0.0)
    assert found[0].confirmed is None
    assert runner.tested == []


def test_facts_need_no_trial():
    found, runner = diagnosed(
        [finding("duplicate-rows-across-split"), finding("nan-loss", "critical")], {}, mistake=0.0
    )
    assert [f.symptom for f in found] == ["nan-loss", "duplicate-rows-across-split"]
    assert runner.tested == []


def test_remedies_are_tested_with_the_best_first():
    known = evidence({"rate/10": 0.1, "rate/100": 0.9})
    (found,) = try_remedies((finding("learning-rate-too-high"),), known)
    assert (found.confirmed, [trial.remedy for trial in found.trials]) == (True, ["rate/100", "rate/10"])
    assert try_remedies((finding("learning-rate-too-high"),), evidence()) == (finding("learning-rate-too-high"),)
