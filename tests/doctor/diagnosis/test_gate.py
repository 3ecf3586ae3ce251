"""Let only evidence set severities.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import PROBLEM, TRACE, diagnosed, evidence, finding

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.gate import gate
from chainrule.doctor.trials.reachable import Comparison, Errors
from chainrule.doctor.trials.scoring import RowScores
from chainrule.doctor.vocabulary.catalogue import find_remedy
from chainrule.doctor.vocabulary.records import OTHERS, RemedyTrial
from chainrule.train.records import diverged

HELPED = RemedyTrial("class-weights", 20, (1.0,), (0.5,), True, 0.5)


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


def among_noise(left=0.6, remaining=0.6, separable=False, proven=(), only_loss=()):
    """Evidence of a network that is about as good as quick models, which leave much; some remedies are beyond doubt.

    Some of these remove loss alone, and no mistakes.
    """
    network, quick = (Errors(np.full(100, share), np.full(100, share)) for share in (left, remaining))
    comparison = Comparison("boosted trees", quick, network, separable)
    found = replace(evidence({}, failed=False), comparison=comparison)
    found.runner.proven = frozenset([*proven, *only_loss])
    found.runner.only_loss = frozenset(only_loss)
    return found


@pytest.mark.parametrize(
    ("symptom", "remedy"),
    [
        ("learning-rate-too-low", "rate*10"),
        ("over-regularized", "no-penalty"),
        ("strange-cells", "fill-strange-cells"),
        ("stopped-too-early", "longer"),
        ("dropout-too-high", "no-dropout"),
    ],
)
def test_a_gain_among_noise_counts_if_it_is_beyond_doubt(symptom, remedy):
    found = finding(symptom, confirmed=True, trials=(RemedyTrial(remedy, 20, (1.0,), (0.9,), True, 0.1),))
    assert gate((found,), among_noise())[0].severity == "info"
    assert gate((found,), among_noise(proven=[remedy]))[0].severity == "warning"
    general = find_remedy(remedy).helps_any  # most networks gain by these, with or without noise
    assert gate((found,), among_noise(remaining=0.1))[0].severity == ("info" if general else "warning")


@pytest.mark.parametrize(
    ("symptom", "remedy"),
    [
        ("validation-differs", "align-validation"),
        ("wild-targets", "without-wild-targets"),
        ("symmetric-weights", "random-weights"),
    ],
)
def test_what_is_always_reported_is_no_matter_of_noise(symptom, remedy):
    found = finding(symptom, confirmed=True, trials=(RemedyTrial(remedy, 20, (1.0,), (0.9,), True, 0.1),))
    assert gate((found,), among_noise())[0].severity == "warning"


def test_causes_that_hide_one_another_are_proven_together():
    joint = RemedyTrial("no-clip", 20, (1.0,), (0.5,), True, 0.5, before=OTHERS)
    found = finding("clipping-too-tight", confirmed=True, trials=(joint,))
    assert gate((found,), among_noise())[0].severity == "warning"


def test_constant_columns_of_a_network_that_is_good_enough_are_information():
    many = finding("constant-feature", "info", figures={"count": 6.0, "columns": 8.0})
    assert gate((many,), among_noise())[0].severity == "info"


@pytest.mark.parametrize(
    ("recall", "separable", "severity"), [(0.6, True, "info"), (0.1, False, "info"), (0.1, True, "warning")]
)
def test_a_rare_class_is_information_unless_it_could_be_recognized_and_is_not(recall, separable, severity):
    found = finding("class-imbalance", confirmed=True, figures={"recall": recall}, trials=(HELPED,))
    assert gate((found,), among_noise(separable=separable, proven=["class-weights"]))[0].severity == severity
    assert gate((found,), among_noise(separable=separable))[0].severity == "info"


def test_rare_classes_of_a_failed_training_are_its_cause_if_weights_are_proven_to_recognize_them():
    found = finding("class-imbalance", "critical", confirmed=True, figures={"recall": 0.0}, trials=(HELPED,))
    failed = evidence({}, failed=True)
    assert gate((found,), failed)[0].severity == "info"
    failed.runner.proven = frozenset(["class-weights"])
    assert gate((found,), failed)[0].severity == "critical"


@pytest.mark.parametrize("remaining", [0.1, 0.6])
def test_a_network_that_is_worse_than_a_constant_on_other_rows_overfits_by_its_loss_too(remaining):
    shorter = RemedyTrial("shorter", 20, (1.0,), (0.5,), True, 0.5)
    found = finding("overfitting", confirmed=True, trials=(shorter,))
    known = among_noise(remaining=remaining, only_loss=["shorter"])
    scores = RowScores(np.full(100, 1.1), np.full(100, 0.6))
    known.runner._actual = replace(known.runner.actual, held_out=scores)
    assert gate((found,), known)[0].severity == "warning"


@pytest.mark.parametrize("remaining", [0.1, 0.6])
def test_predictions_that_are_only_too_sure_are_no_overfitting_of_a_network_that_is_good_enough(remaining):
    shorter = RemedyTrial("shorter", 20, (1.0,), (0.5,), True, 0.5)
    found = finding("overfitting", confirmed=True, trials=(shorter,))
    assert gate((found,), among_noise(remaining=remaining, only_loss=["shorter"]))[0].severity == "info"
    assert gate((found,), among_noise(remaining=remaining, proven=["shorter"]))[0].severity == "warning"
    assert gate((found,), evidence({}, failed=False))[0].severity == "warning"


@pytest.mark.parametrize(("error", "severity"), [(0.14, "info"), (0.16, "warning")])
def test_doubtful_labels_do_not_matter_to_a_network_that_errs_no_more_often(error, severity):
    found = finding("label-noise", figures={"share": 0.15, "error": error})
    assert gate((found,), among_noise(remaining=0.2, left=0.2))[0].severity == severity
    assert gate((found,), evidence({}, failed=False))[0].severity == "warning"


@pytest.mark.parametrize(("share", "severity"), [(0.11, "info"), (0.3, "warning")])
def test_few_doubtful_labels_among_noise_are_information(share, severity):
    found = finding("label-noise", figures={"share": share})
    assert gate((found,), among_noise())[0].severity == severity
    assert gate((found,), evidence({}, failed=False))[0].severity == "warning"


@pytest.mark.parametrize(
    ("saved", "proven", "severity"), [(0.04, True, "info"), (0.06, True, "warning"), (0.06, False, "info")]
)
def test_a_network_that_is_good_enough_is_not_ill_for_a_few_points_or_by_chance(saved, proven, severity):
    longer = RemedyTrial("longer", 20, (1.0,), (0.5,), True, 0.4)
    known = among_noise(remaining=0.06, left=0.1, proven=["longer"] * proven)
    known.runner.saved = saved
    found = finding("undertrained", confirmed=True, trials=(longer,))
    assert gate((found,), known)[0].severity == severity
    specific = finding("over-regularized", confirmed=True, trials=(replace(longer, remedy="no-penalty"),))
    assert gate((specific,), known)[0].severity == "warning"


@pytest.mark.parametrize(("fitted", "severity"), [(0.7, "info"), (1.0, "critical")])
def test_a_network_that_fits_its_own_rows_has_not_failed_to_learn_them(fitted, severity):
    network, quick = (Errors(np.full(100, share), np.full(100, share)) for share in (1.0, 0.2))
    own, unseen = (Errors(np.full(100, share), np.full(100, share)) for share in (fitted, 0.6))
    known = replace(evidence({}, failed=False), comparison=Comparison("", quick, network, fitted=(own, unseen)))
    assert gate((finding("not-decreasing", "critical"),), known)[0].severity == severity


@pytest.mark.parametrize("remedy", ["rate*10", "rate*100", "rate*1000", "longer"])
def test_to_go_farther_helps_most_networks_a_little(remedy):
    assert find_remedy(remedy).helps_any
    found = finding(
        "learning-rate-too-low", confirmed=True, trials=(RemedyTrial(remedy, 20, (1.0,), (0.9,), True, 0.1),)
    )
    assert gate((found,), among_noise(remaining=0.2, left=0.2))[0].severity == "info"
    assert gate((found,), among_noise(remaining=0.2, left=0.2, proven=[remedy]))[0].severity == "warning"
