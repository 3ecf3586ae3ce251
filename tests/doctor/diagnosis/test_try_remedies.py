"""Test the remedies of suspicions, and of nothing else.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

import pytest
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


def test_what_is_peculiar_to_a_training_is_tested_before_what_helps_any():
    known = evidence({"rate*10": 0.5, "no-clip": 0.9, "no-penalty": 0.1, "longer": 0.3})
    suspicions = [finding(name) for name in ("learning-rate-too-low", "clipping-too-tight", "undertrained", "noise")]
    found = try_remedies(tuple(suspicions), known)
    assert [each.symptom for each in found] == [each.symptom for each in suspicions]
    assert known.runner.tested[0] == "no-clip"


@pytest.mark.parametrize(
    ("symptom", "gains", "tested"),
    [
        ("learning-rate-too-low", {"rate*10": -0.5, "rate*100": 0.9}, ["rate*10"]),
        ("learning-rate-too-low", {"rate*10": 0.05, "rate*100": -0.1}, ["rate*10", "rate*100"]),
        ("learning-rate-too-low", {"rate*10": 0.14, "rate*100": -0.1}, ["rate*10", "rate*100", "usual-rate"]),
        (
            "learning-rate-too-low",
            {"rate*10": 0.0, "rate*100": 0.9},
            ["rate*10", "rate*100", "rate*1000", "usual-rate"],
        ),
        ("learning-rate-too-high", {"rate/10": -0.2, "rate/100": 0.9}, ["rate/10"]),
        ("learning-rate-too-high", {"rate/10": 0.0, "rate/100": 0.1}, ["rate/10", "rate/100", "rate/1000"]),
    ],
)
def test_rates_beyond_one_that_does_worse_are_not_tried(symptom, gains, tested):
    known = evidence(gains)
    try_remedies((finding(symptom),), known)
    assert known.runner.tested == tested


@pytest.mark.parametrize(
    ("excess", "tested"),
    [
        (9.0, ["rate/10", "usual-rate"]),
        (10.0, ["rate/10", "rate/100", "rate/1000"]),
        (100.0, ["rate/10", "rate/100", "rate/1000", "usual-rate"]),
    ],
)
def test_lower_rates_are_tried_while_the_last_is_far_too_high_itself(excess, tested):
    known = evidence({"rate/10": -0.2, "rate/100": 0.9})
    (found,) = try_remedies((replace(finding("learning-rate-too-high"), figures={"excess": excess}),), known)
    assert known.runner.tested == tested
    assert found.confirmed is ("rate/100" in tested)


@pytest.mark.parametrize(("diverged", "tested"), [(True, ["rate/10", "rate/100"]), (False, ["rate/10"])])
def test_no_rate_is_too_low_for_a_training_that_diverges_under_all_before_it(diverged, tested):
    known = evidence({"rate/10": -0.9, "rate/100": 0.9, "rate/1000": 0.1})
    known.runner._actual = replace(known.runner.actual, diverged=diverged)
    try_remedies((finding("learning-rate-too-high"),), known)
    assert known.runner.tested[: len(tested)] == tested
    assert ("rate/100" in known.runner.tested) is diverged


def test_what_is_beyond_any_bound_is_tested_first_and_how_it_ended_last():
    known = evidence({"larger-network": 0.1, "rate/10": 0.5, "no-penalty": 0.1, "longer": 0.1})
    rate = finding("learning-rate-too-high", figures={"excess": 10.0})
    suspicions = (finding("underfitting"), finding("over-regularized"), finding("undertrained"), rate)
    try_remedies(suspicions, known)
    assert known.runner.tested[0] == "rate/10"
    assert known.runner.tested.index("no-penalty") < known.runner.tested.index("larger-network")
