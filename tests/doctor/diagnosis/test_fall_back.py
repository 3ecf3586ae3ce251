"""Answer if no remedy helps.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import PROBLEM, TRACE, StubRunner, diagnosed, evidence, finding

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.fall_back import fall_back
from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.reachable import Comparison, Errors
from chainrule.doctor.trials.scoring import RowScores
from chainrule.doctor.vocabulary.records import RemedyTrial


def test_where_nothing_helps_it_underfits():
    found, _ = diagnosed([finding("underfitting", "info")], {})
    assert (found[0].symptom, found[0].severity) == ("underfitting", "warning")
    found, _ = diagnosed([finding("underfitting", "info"), finding("noisy-inputs", "info")], {})
    assert found[0].symptom == "noisy-inputs"
    assert diagnosed([finding("underfitting", "info")], {}, mistake=0.1)[0][0].severity == "info"


def test_where_nothing_is_wrong_rows_may_be_too_few():
    few = RemedyTrial("all rows", 10, (1.0,), (0.5,), True, 0.5)
    runner = StubRunner({}, mistake=0.1)
    assert diagnose(PROBLEM, TRACE, [], runner) == ()
    runner.rows = few
    (only,) = diagnose(PROBLEM, TRACE, [], runner)
    assert (only.symptom, only.severity, only.confirmed, only.trials) == ("too-little-data", "warning", True, (few,))
    assert only.fix.remedy == "smaller-network"


def test_rows_are_too_few_where_a_network_is_worth_nothing_on_others():
    runner = StubRunner({}, mistake=0.9)
    trained = RowScores(np.full(100, 0.3), np.full(100, 0.3))
    runner._actual = replace(runner._actual, trained=trained)
    (only,) = diagnose(PROBLEM, TRACE, [], runner)
    assert (only.symptom, only.severity, only.confirmed) == ("too-little-data", "warning", None)
    assert only.measured == "30 % of a constant's mistakes on the 300 training rows, 90 % on others"


def compared(quick, network):
    """A comparison of a network with a quick model, both with the same errors on every row."""
    errors = [Errors(np.full(100, share), np.full(100, share)) for share in (quick, network)]
    return Comparison("boosted trees", *errors)


@pytest.mark.parametrize(("quick", "told"), [(0.3, True), (0.7, False)])
def test_a_network_that_is_clearly_better_than_quick_models_makes_good_use_of_its_rows(quick, told):
    known = replace(evidence({}, failed=False), comparison=compared(quick, 0.3))
    known.runner.rows = RemedyTrial("all rows", 10, (1.0,), (0.5,), True, 0.5)
    found = fall_back((), known)
    assert ("too-little-data" in [each.symptom for each in found]) is told


@pytest.mark.parametrize(("quick", "told"), [(0.4, True), (0.9, False)])
def test_memorized_rows_say_nothing_where_quick_models_explain_nothing(quick, told):
    known = replace(evidence({}, mistake=0.95, failed=False), comparison=compared(quick, 1.5))
    known.runner._actual = replace(known.runner.actual, trained=RowScores(np.full(100, 0.3), np.full(100, 0.3)))
    assert bool(fall_back((), known)) is told


@pytest.mark.parametrize(("held", "told"), [(0.7, "too-little-data"), (0.4, "undertrained")])
def test_rows_are_too_few_where_a_longer_training_is_worth_nothing_on_others(held, told):
    runner = StubRunner({"longer": 0.0}, mistake=0.3)
    runner.longer = Outcome(
        RowScores(np.full(100, held), np.full(100, held)), RowScores(np.zeros(100), np.zeros(100)), (), 1
    )
    found = diagnose(PROBLEM, TRACE, [finding("undertrained", remedy="longer")], runner)
    assert (found[0].symptom, found[0].severity) == (told, "warning" if told == "too-little-data" else "info")


def test_a_wide_gap_is_too_little_data_or_else_overfitting():
    gap = finding("overfitting", "info", figures={"train": 0.01, "validation": 0.5})
    few = finding("too-little-data", "info")
    known = evidence(failed=False)
    assert [found.severity for found in fall_back((few, gap), known)] == ["warning", "info"]
    assert fall_back((gap,), known)[0].severity == "warning"
    assert fall_back((replace(gap, figures={"train": 0.4, "validation": 0.5}),), known)[0].severity == "info"
