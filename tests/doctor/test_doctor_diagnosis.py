"""Why: one cause is named, the earliest that a trial bears out; what it explains is folded under it; doubt is information.

In: hand-made findings and trials; tiny runs. Out: ordered findings.
"""

from dataclasses import replace

import numpy as np
import pytest
from test_doctor_trials import ILL, laboratory, plane

from chainrule import Activation, Dense
from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.evidence import TrialBudget, merge, rank
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.joint import joint_trials
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.trials.scoring import RowScores
from chainrule.doctor.vocabulary.records import Finding, Fix, Trial
from chainrule.nn.layers import BatchNorm
from chainrule.nn.penalties import Penalty
from chainrule.pipeline.option_names import Setting
from chainrule.train import TrainConfig
from chainrule.train.records import diverged


def finding(symptom, severity="warning", change="", **fields):
    return Finding(symptom, severity, symptom, "", "", "", fix=Fix("", remedy=change), **fields)


class Stub(TrialRunner):
    """A laboratory whose trials end as told."""

    rows = longer = None

    def __init__(self, gains, mistake=0.8):
        self.gains, self.asked, self.cost, self.problem = gains, [], 0.0, CASE
        verdict = RowScores(np.full(100, mistake), np.full(100, mistake))
        self._actual = Outcome(verdict, verdict, (), 1)

    @property
    def actual(self):
        return self._actual

    def outcome(self, change="", again=0, epochs=None):
        return {"": self._actual, "longer": self.longer}[change]

    def more_rows(self):
        return self.rows

    def helps_on_top(self, first, second):
        return (first, second) in self.gains

    def was_tested(self, change):
        return change in self.asked

    def trial(self, change, suspected=False):
        self.asked.append(change)
        gain = self.gains.get(change)
        return None if gain is None else Trial(change, 10, (1.0,), (1.0 - gain,), gain > 0.15, gain)


CASE = plane(config=TrainConfig(30, 0.02))
TRACE = record_training(CASE)


def judged(suspicions, gains, mistake=0.8, problem=CASE):
    lab = Stub(gains, mistake)
    return diagnose(problem, TRACE, suspicions, lab), lab


def test_what_a_trial_bears_out_is_confirmed_and_the_rest_is_information():
    found, _ = judged(
        [finding("learning-rate-too-high"), finding("over-regularized")], {"no-penalty": 0.9, "rate/10": -0.2}
    )
    assert [(f.symptom, f.severity, f.confirmed) for f in found] == [
        ("over-regularized", "critical", True),
        ("learning-rate-too-high", "info", False),
    ]
    assert found[0].ruled_out == ("learning-rate-too-high",)


def test_the_earliest_root_cause_wins_among_equals():
    suspicions = [finding("saturated-units"), finding("unnormalized-inputs"), finding("learning-rate-too-high")]
    found, _ = judged(suspicions, {"standardize-inputs": 0.8, "rate/10": 0.9, "relu": 0.85})
    assert found[0].symptom == "unnormalized-inputs"
    assert found[0].explains == ("learning-rate-too-high", "saturated-units")
    assert len(found) == 1


def test_a_remedy_that_recovers_far_more_wins_over_an_earlier_cause():
    found, _ = judged([finding("init-scale"), finding("over-regularized")], {"he-init": 0.2, "no-penalty": 0.9})
    assert found[0].symptom == "over-regularized"


def test_a_peculiarity_wins_over_a_helping_hand():
    """A higher rate makes up for a schedule that decays too early; the schedule is the cause all the same."""
    found, _ = judged(
        [finding("learning-rate-too-low"), finding("schedule-too-early")], {"rate*10": 0.85, "constant-schedule": 0.8}
    )
    assert found[0].symptom == "schedule-too-early"
    assert found[0].explains == ("learning-rate-too-low",)


def test_a_second_cause_is_one_that_still_costs_when_the_first_is_mended():
    gains = {"standardize-inputs": 0.8, "no-penalty": 0.7, ("standardize-inputs", "no-penalty"): True}
    suspicions = [finding("over-regularized"), finding("unnormalized-inputs")]
    found, _ = judged(suspicions, gains)
    assert [(f.symptom, f.explains) for f in found] == [("unnormalized-inputs", ()), ("over-regularized", ())]
    del gains["standardize-inputs", "no-penalty"]
    assert judged(suspicions, gains)[0][0].explains == ("over-regularized",)


def test_one_remedy_makes_one_second_cause():
    gains = {"standardize-inputs": 0.8, "he-init": 0.3, ("standardize-inputs", "he-init"): True}
    suspicions = [
        finding("unnormalized-inputs"),
        finding("init-scale"),
        finding("wrong-initial-loss", change="he-init"),
    ]
    found, _ = judged(suspicions, gains)
    assert [f.symptom for f in found] == ["unnormalized-inputs", "init-scale"]
    assert found[0].explains == ("wrong-initial-loss",)


def test_what_is_certain_is_explained_by_nothing():
    gains = {"standardize-inputs": 0.8}
    found, _ = judged([finding("unnormalized-inputs"), finding("wrong-gradient", "critical")], gains)
    assert [(f.symptom, f.explains) for f in found] == [("unnormalized-inputs", ()), ("wrong-gradient", ())]


def test_a_known_wrong_that_no_trial_bore_out_has_second_causes_too():
    gains = {("he-init", "no-penalty"): True, "no-penalty": 0.0}
    found, _ = judged([finding("symmetric-weights"), finding("over-regularized")], gains, mistake=0.1)
    assert [f.symptom for f in found] == ["symmetric-weights", "over-regularized"]


TWO = plane(config=TrainConfig(40, 1e-6), penalty=Penalty(l2=1.0))
"""Steps that go nowhere, and a penalty that would leave nothing."""


def test_two_causes_that_hide_one_another_are_found_together():
    lab = laboratory(TWO)
    assert not any(lab.trial(change, suspected=True).helped for change in ("usual-rate", "no-penalty"))
    suspicions = [
        finding(symptom) for symptom in ("learning-rate-too-low", "over-regularized", "learning-rate-too-high")
    ]
    found = diagnose(TWO, lab.trace, suspicions, lab)
    assert [(f.symptom, f.severity, f.confirmed, f.trials[0].change) for f in found[:2]] == [
        ("over-regularized", "critical", True, "no-penalty"),
        ("learning-rate-too-low", "critical", True, "usual-rate"),
    ]
    assert [f.severity for f in found[2:]] == ["info"]
    assert [any(trial.joint for trial in f.trials) for f in found] == [True, True, False]


def test_one_cause_is_not_two():
    one = replace(TWO, recipe=replace(TWO.recipe, penalty=Penalty()))
    lab = laboratory(one)
    assert (
        joint_trials(lab, [finding("learning-rate-too-low"), finding("over-regularized"), finding("underfitting")])
        == []
    )


def test_the_fix_is_the_change_that_helped():
    found, _ = judged([finding("learning-rate-too-low", change="rate*10")], {"rate*10": 0.1, "rate*100": 0.9})
    assert found[0].fix.remedy == "rate*100"
    assert found[0].trials[0].change == "rate*100"


def test_the_fix_names_the_rate_that_helped():
    rule = replace(
        finding("learning-rate-too-low", change="rate*10"), fix=Fix("Raise it.", (Setting("learning_rate_init", 1e-3),))
    )
    found, _ = judged([rule], {"rate*10": 0.2, "rate*100": 0.9})
    assert (found[0].fix.remedy, found[0].fix.settings) == ("rate*100", (Setting("learning_rate_init", 2.0),))
    found, _ = judged([replace(rule, symptom="optimizer-settings")], {"adam": 0.9})
    assert (found[0].fix.remedy, found[0].fix.settings) == ("adam", (Setting("learning_rate_init", 1e-3),))


def test_information_is_not_tried():
    found, lab = judged([finding("over-regularized", "info")], {"no-penalty": 0.9}, mistake=0.0)
    assert found[0].confirmed is None
    assert lab.asked == []


def test_facts_need_no_trial():
    found, lab = judged([finding("duplicate-rows-across-split"), finding("nan-loss", "critical")], {}, mistake=0.0)
    assert [f.symptom for f in found] == ["nan-loss", "duplicate-rows-across-split"]
    assert lab.asked == []


def test_equal_first_weights_are_told_whatever_the_trial_says():
    found, lab = judged([finding("symmetric-weights")], {}, mistake=0.0)
    assert [(f.symptom, f.severity, f.confirmed) for f in found] == [("symmetric-weights", "warning", None)]
    assert lab.asked == ["he-init"]


def test_a_confirmed_cause_explains_how_it_ended_and_leaves_evidence_apart():
    suspicions = [finding("nan-loss", "critical"), finding("learning-rate-too-high"), finding("no-validation")]
    found, _ = judged(suspicions, {"rate/10": 0.9})
    assert [f.symptom for f in found] == ["learning-rate-too-high", "no-validation"]
    assert found[0].explains == ("nan-loss",)


def test_a_bad_training_without_suspicions_is_screened():
    found, lab = judged([], {"no-dropout": 0.7})
    assert (found[0].symptom, found[0].confirmed) == ("dropout-too-high", True)
    assert "rate/10" in lab.asked
    assert judged([], {"no-dropout": 0.7}, mistake=0.01)[0] == ()


def test_where_nothing_helps_it_underfits():
    found, _ = judged([finding("underfitting", "info")], {})
    assert (found[0].symptom, found[0].severity) == ("underfitting", "warning")
    found, _ = judged([finding("underfitting", "info"), finding("noisy-inputs", "info")], {})
    assert found[0].symptom == "noisy-inputs"
    assert judged([finding("underfitting", "info")], {}, mistake=0.1)[0][0].severity == "info"


def test_one_finding_for_each_symptom_the_most_severe():
    both = [finding("dead-units", "info"), finding("dead-units", "critical"), finding("nan-input")]
    assert [(f.symptom, f.severity) for f in merge(both)] == [("nan-input", "warning"), ("dead-units", "critical")]


def test_outcomes_and_evidence_come_last():
    order = sorted(map(finding, ("no-validation", "nan-loss", "overfitting", "nan-input")), key=rank)
    assert [f.symptom for f in order] == ["nan-input", "overfitting", "nan-loss", "no-validation"]


def test_money_runs_out():
    lab = Stub({"no-penalty": 0.9})
    lab.cost = 100.0
    bench = TrialBudget(lab, 1.0)
    assert bench.trial("no-penalty").helped
    assert bench.trial("no-clip") is None
    assert bench.trial("no-penalty").helped  # made before, so it costs nothing


def test_without_trials_the_gate_decides():
    suspicion = [finding("dead-units")]
    assert diagnose(CASE, TRACE, suspicion, None)[0].severity == "info"
    ruined = replace(TRACE, stopped=diverged(3))
    assert diagnose(CASE, ruined, suspicion, None)[0].severity == "warning"


@pytest.mark.parametrize(("name", "symptom"), [("no-penalty", "over-regularized"), ("he-init", "symmetric-weights")])
def test_on_real_trainings(name, symptom):
    lab = laboratory(ILL[name])
    found = diagnose(ILL[name], lab.trace, [finding("learning-rate-too-high"), finding(symptom)], lab)
    assert (found[0].symptom, found[0].confirmed, found[0].severity) == (symptom, True, "critical")


def test_where_nothing_is_wrong_rows_may_be_too_few():
    few = Trial("all rows", 10, (1.0,), (0.5,), True, 0.5)
    lab = Stub({}, mistake=0.1)
    assert diagnose(CASE, TRACE, [], lab) == ()
    lab.rows = few
    (only,) = diagnose(CASE, TRACE, [], lab)
    assert (only.symptom, only.severity, only.confirmed, only.trials) == ("too-little-data", "warning", True, (few,))
    assert only.fix.remedy == "smaller-network"


def test_rows_are_too_few_where_a_network_is_worth_nothing_on_others():
    lab = Stub({}, mistake=0.9)
    trained = RowScores(np.full(100, 0.3), np.full(100, 0.3))
    lab._actual = replace(lab._actual, trained=trained)
    (only,) = diagnose(CASE, TRACE, [], lab)
    assert (only.symptom, only.severity, only.confirmed) == ("too-little-data", "warning", None)
    assert only.measured == "30 % of a constant's mistakes on the 300 training rows, 90 % on others"


@pytest.mark.parametrize(("held", "told"), [(0.7, "too-little-data"), (0.4, "undertrained")])
def test_rows_are_too_few_where_a_longer_training_is_worth_nothing_on_others(held, told):
    lab = Stub({"longer": 0.0}, mistake=0.3)
    lab.longer = Outcome(
        RowScores(np.full(100, held), np.full(100, held)), RowScores(np.zeros(100), np.zeros(100)), (), 1
    )
    found = diagnose(CASE, TRACE, [finding("undertrained", change="longer")], lab)
    assert (found[0].symptom, found[0].severity) == (told, "warning" if told == "too-little-data" else "info")


def test_missing_biases_are_suspected_where_no_norm_brings_its_own():
    bare = plane([Dense(16, bias=False), Activation("relu"), Dense(16, bias=False), BatchNorm(), Dense(1, bias=False)])
    found, _ = judged([], {"add-bias": 0.4}, 0.3, bare)
    assert [(f.symptom, f.confirmed, f.fix.remedy) for f in found] == [("underfitting", True, "add-bias")]
    assert "layers 0, 4" in found[0].title
    assert judged([], {"add-bias": 0.1}, 0.3, bare)[0][0].severity == "info"
    assert judged([], {"add-bias": 0.4}, 0.3)[0] == ()
