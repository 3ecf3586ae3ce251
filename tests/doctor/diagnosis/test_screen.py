"""Screen bad trainings without suspicions.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

from doctor_trials import diagnosed, evidence, finding

from chainrule.doctor.diagnosis.screen import screen
from chainrule.doctor.vocabulary.records import RemedyTrial


def test_a_bad_training_without_suspicions_is_screened():
    found, runner = diagnosed([], {"no-dropout": 0.7})
    assert (found[0].symptom, found[0].confirmed) == ("dropout-too-high", True)
    assert "rate/10" in runner.tested
    assert diagnosed([], {"no-dropout": 0.7}, mistake=0.01)[0] == ()


def test_a_confirmed_root_cause_ends_the_search():
    known = evidence({"no-dropout": 0.7})
    cause = finding(
        "over-regularized", confirmed=True, trials=(RemedyTrial("no-penalty", 1, (1.0,), (0.1,), True, 0.9),)
    )
    assert screen((cause,), known) == (cause,)
    small = replace(cause, trials=(replace(cause.trials[0], gain=0.3),))
    assert [found.symptom for found in screen((small,), known)] == ["dropout-too-high", "over-regularized"]


def test_without_trials_nothing_is_screened():
    assert screen((), evidence()) == ()
