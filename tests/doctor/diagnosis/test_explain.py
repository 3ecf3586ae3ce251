"""Name one cause, the earliest that a trial confirms, with what it explains.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

import pytest
from doctor_trials import ILL, StubRunner, diagnosed, evidence, finding, runner_of

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.explain import explain
from chainrule.doctor.vocabulary.records import Fix
from chainrule.pipeline.option_names import Setting


def test_what_a_trial_bears_out_is_confirmed_and_the_rest_is_information():
    found, _ = diagnosed(
        [finding("learning-rate-too-high"), finding("over-regularized")], {"no-penalty": 0.9, "rate/10": -0.2}
    )
    assert [(f.symptom, f.severity, f.confirmed) for f in found] == [
        ("over-regularized", "critical", True),
        ("learning-rate-too-high", "info", False),
    ]
    assert found[0].ruled_out == ("learning-rate-too-high",)


def test_the_earliest_root_cause_wins_among_equals():
    suspicions = [finding("saturated-units"), finding("unnormalized-inputs"), finding("learning-rate-too-high")]
    found, _ = diagnosed(suspicions, {"standardize-inputs": 0.8, "rate/10": 0.9, "relu": 0.85})
    assert found[0].symptom == "unnormalized-inputs"
    assert found[0].explains == ("learning-rate-too-high", "saturated-units")
    assert len(found) == 1


def test_a_remedy_that_recovers_far_more_wins_over_an_earlier_cause():
    found, _ = diagnosed([finding("init-scale"), finding("over-regularized")], {"he-init": 0.2, "no-penalty": 0.9})
    assert found[0].symptom == "over-regularized"


def test_a_peculiarity_wins_over_a_helping_hand():
    """A higher rate makes up for a schedule that decays too early; the schedule is the cause all the same."""
    found, _ = diagnosed(
        [finding("learning-rate-too-low"), finding("schedule-too-early")], {"rate*10": 0.85, "constant-schedule": 0.8}
    )
    assert found[0].symptom == "schedule-too-early"
    assert found[0].explains == ("learning-rate-too-low",)


def test_a_second_cause_is_one_that_still_costs_when_the_first_is_mended():
    gains = {"standardize-inputs": 0.8, "no-penalty": 0.7, ("standardize-inputs", "no-penalty"): True}
    suspicions = [finding("over-regularized"), finding("unnormalized-inputs")]
    found, _ = diagnosed(suspicions, gains)
    assert [(f.symptom, f.explains) for f in found] == [("unnormalized-inputs", ()), ("over-regularized", ())]
    del gains["standardize-inputs", "no-penalty"]
    assert diagnosed(suspicions, gains)[0][0].explains == ("over-regularized",)


@pytest.mark.parametrize(
    ("proven", "named"), [((), ["unnormalized-inputs"]), (("class-weights",), ["class-imbalance"])]
)
def test_rare_classes_are_a_second_cause_only_if_weights_are_proven_to_recognize_them(monkeypatch, proven, named):
    monkeypatch.setattr(StubRunner, "proven", frozenset(proven))
    gains = {"standardize-inputs": 0.8, "class-weights": 0.5, ("standardize-inputs", "class-weights"): True}
    found, _ = diagnosed([finding("class-imbalance"), finding("unnormalized-inputs")], gains)
    assert [f.symptom for f in found if f.severity != "info"][-1:] == named


def test_one_remedy_makes_one_second_cause():
    gains = {"standardize-inputs": 0.8, "he-init": 0.3, ("standardize-inputs", "he-init"): True}
    suspicions = [
        finding("unnormalized-inputs"),
        finding("init-scale"),
        finding("wrong-initial-loss", remedy="he-init"),
    ]
    found, _ = diagnosed(suspicions, gains)
    assert [f.symptom for f in found] == ["unnormalized-inputs", "init-scale"]
    assert found[0].explains == ("wrong-initial-loss",)


def test_what_is_certain_is_explained_by_nothing():
    gains = {"standardize-inputs": 0.8}
    found, _ = diagnosed([finding("unnormalized-inputs"), finding("wrong-gradient", "critical")], gains)
    assert [(f.symptom, f.explains) for f in found] == [("unnormalized-inputs", ()), ("wrong-gradient", ())]


def test_a_known_wrong_that_no_trial_bore_out_has_second_causes_too():
    gains = {("he-init", "no-penalty"): True, "no-penalty": 0.0}
    found, _ = diagnosed([finding("symmetric-weights"), finding("over-regularized")], gains, mistake=0.1)
    assert [f.symptom for f in found] == ["symmetric-weights", "over-regularized"]


def test_the_fix_is_the_change_that_helped():
    found, _ = diagnosed([finding("learning-rate-too-low", remedy="rate*10")], {"rate*10": 0.1, "rate*100": 0.9})
    assert found[0].fix.remedy == "rate*100"
    assert found[0].trials[0].remedy == "rate*100"


def test_the_fix_names_the_rate_that_helped():
    rule = replace(
        finding("learning-rate-too-low", remedy="rate*10"), fix=Fix("Raise it.", (Setting("learning_rate_init", 1e-3),))
    )
    found, _ = diagnosed([rule], {"rate*10": 0.2, "rate*100": 0.9})
    assert (found[0].fix.remedy, found[0].fix.settings) == ("rate*100", (Setting("learning_rate_init", 2.0),))
    found, _ = diagnosed([replace(rule, symptom="optimizer-settings")], {"adam": 0.9})
    assert (found[0].fix.remedy, found[0].fix.settings) == ("adam", (Setting("learning_rate_init", 1e-3),))


def test_a_confirmed_cause_explains_how_it_ended_and_leaves_evidence_apart():
    suspicions = [finding("nan-loss", "critical"), finding("learning-rate-too-high"), finding("no-validation")]
    found, _ = diagnosed(suspicions, {"rate/10": 0.9})
    assert [f.symptom for f in found] == ["learning-rate-too-high", "no-validation"]
    assert found[0].explains == ("nan-loss",)


@pytest.mark.parametrize(("name", "symptom"), [("no-penalty", "over-regularized"), ("he-init", "symmetric-weights")])
def test_on_real_trainings(name, symptom):
    runner = runner_of(ILL[name])
    found = diagnose(ILL[name], runner.trace, [finding("learning-rate-too-high"), finding(symptom)], runner)
    assert (found[0].symptom, found[0].confirmed, found[0].severity) == (symptom, True, "critical")


def test_without_problems_only_information_remains():
    infos = (finding("dead-units", "info"), finding("duplicate-feature", "info"))
    assert explain(infos, evidence({})) == infos[::-1]


def test_a_fault_of_the_evaluation_explains_nothing():
    findings = (finding("suspicious-validation"), finding("no-validation"))
    assert [(found.symptom, found.explains) for found in explain(findings, evidence({}))] == [
        ("suspicious-validation", ()),
        ("no-validation", ()),
    ]


@pytest.mark.parametrize(
    ("fact", "cause", "remedy"),
    [
        ("constant-feature", "clipping-too-tight", "no-clip"),
        ("label-noise", "frozen-layer", "unfreeze"),
        ("misaligned-labels", "over-regularized", "no-penalty"),
    ],
)
def test_a_fact_about_the_rows_stands_behind_a_proven_cause_of_a_failed_training(fact, cause, remedy):
    seen = finding(fact, "info" if fact == "constant-feature" else "warning", figures={"count": 6.0, "columns": 8.0})
    found, _ = diagnosed([seen, finding(cause)], {remedy: 0.8})
    assert (found[0].symptom, fact in found[0].explains) == (cause, True)
    alone, _ = diagnosed([seen, finding(cause)], {})
    assert alone[0].symptom == fact


def test_validation_rows_of_one_class_come_first():
    suspicions = [finding("stopped-too-early"), finding("single-class-validation")]
    found, _ = diagnosed(suspicions, {"longer": 0.9})
    assert (found[0].symptom, found[0].explains) == ("single-class-validation", ("stopped-too-early",))
