"""Answer if no remedy helps.

In: findings made by hand, trials with given gains, tiny trainings. Out: findings.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import PROBLEM, TRACE, StubRunner, diagnosed, evidence, finding

from chainrule.doctor.diagnosis import diagnose
from chainrule.doctor.diagnosis.fall_back import fall_back
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
    runner = StubRunner({}, mistake=1.2)
    trained = RowScores(np.full(100, 0.3), np.full(100, 0.3))
    runner._actual = replace(runner._actual, trained=trained)
    (only,) = diagnose(PROBLEM, TRACE, [], runner)
    assert (only.symptom, only.severity, only.confirmed) == ("too-little-data", "warning", None)
    assert only.measured == "30 % of a constant's mistakes on the 300 training rows, 120 % on others"


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


def memorizing(quick, network):
    """A network that knows its own rows far better than others, which explain more by a quick model or as much."""
    known = replace(evidence({}, mistake=network, failed=False), comparison=compared(quick, network))
    known.runner._actual = replace(known.runner.actual, trained=RowScores(np.full(100, 0.3), np.full(100, 0.3)))
    return known


@pytest.mark.parametrize(("held", "told"), [(1.2, True), (0.9, False)])
def test_memorized_rows_are_too_few_where_a_network_is_worse_than_a_constant_prediction(held, told):
    assert bool(fall_back((), memorizing(0.4, held))) is told


@pytest.mark.parametrize(
    ("quick", "columns", "severity"), [(0.5, 2, "info"), (0.5, 40, "warning"), (0.1, 2, "warning")]
)
def test_that_more_rows_would_help_is_information_beside_noise_if_there_are_many(quick, columns, severity):
    known = memorizing(quick, quick)
    known.runner.rows = RemedyTrial("all rows", 10, (1.0,), (0.5,), True, 0.5)
    X = np.random.default_rng(0).normal(size=(len(PROBLEM.rows), columns))
    known.runner.problem = replace(PROBLEM, rows=replace(PROBLEM.rows, X=X))
    assert fall_back((), known)[0].severity == severity


@pytest.mark.parametrize(("gain", "severity"), [(0.5, "warning"), (0.0, "info")])
def test_a_wide_gap_is_overfitting_if_a_remedy_against_it_helps(gain, severity):
    gap = finding("overfitting", "info", remedy="shorter", figures={"train": 0.01, "validation": 0.5})
    known = evidence({"shorter": gain}, failed=False)
    assert fall_back((gap,), known)[0].severity == severity


def test_without_trials_a_wide_gap_is_too_little_data_or_else_overfitting():
    gap = finding("overfitting", "info", figures={"train": 0.01, "validation": 0.5})
    few = finding("too-little-data", "info")
    known = evidence(failed=False)
    assert [found.severity for found in fall_back((few, gap), known)] == ["warning", "info"]
    assert fall_back((gap,), known)[0].severity == "warning"
    assert fall_back((replace(gap, figures={"train": 0.4, "validation": 0.5}),), known)[0].severity == "info"
