"""Pieces of the user that refuse what only a check passes: the checks are skipped with the reason, and nothing breaks.

In: trainings with own layers, functions, losses, metrics, optimizers, schedules. Out: reports, reasons.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_own import OWN
from doctor_trials import plane, runner_of

from chainrule import Activation
from chainrule.doctor import DoctorMonitor, examine_problem, repair
from chainrule.doctor import report as report_on
from chainrule.doctor.rules.run import run_rules
from chainrule.doctor.trials.runner import TrialRunner
from chainrule.doctor.vocabulary.network import is_affine, is_softmax, largest_slope, silences, span
from chainrule.doctor.vocabulary.own_code import own_pieces
from chainrule.doctor.vocabulary.records import Finding, Fix, Rule
from chainrule.nn.activations import ACTIVATIONS
from chainrule.train import TrainConfig, train


def shortened(problem, epochs=40):
    rows = problem.rows[:80]
    return replace(
        problem, rows=rows, validation=problem.validation[:40], config=replace(problem.config, epochs=epochs)
    )


@pytest.mark.parametrize("given", OWN.values(), ids=OWN)
def test_a_training_with_own_pieces_can_be_watched(given):
    assert len(own_pieces(given)) == 1
    assert report_on(train(shortened(given), [DoctorMonitor()])).verdict in ("healthy", "ill")


@pytest.mark.parametrize("given", OWN.values(), ids=OWN)
@pytest.mark.slow
def test_a_training_with_own_pieces_can_be_examined_in_the_time_there_is(given):
    report = examine_problem(shortened(given), before=True, seconds=0.3)
    assert report.verdict in ("healthy", "ill")
    assert all(len(reason) < 300 for reason in report.skipped)
    repair(report.problem, replace(report, findings=(LONG, *report.findings)), seconds=0.1)


LONG = Finding("undertrained", "warning", "", "", "", "", fix=Fix("", remedy="longer"))


def test_the_reason_names_the_piece_and_what_it_raised():
    report = examine_problem(shortened(OWN["optimizer for one precision"]), before=True, seconds=0.0)
    (reason,) = [each for each in report.skipped if each.startswith("not-a-descent-direction")]
    assert reason == (
        "not-a-descent-direction: Strict did not take what this check passes (ValueError: a float32 gradient is needed)"
    )


def test_a_fault_of_the_package_itself_is_not_hidden():
    def broken(problem, trace):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_rules([Rule("nan-loss", broken)], plane(), None, []))
    skipped = []
    assert list(run_rules([Rule("nan-loss", broken)], OWN["activation by rows"], None, skipped)) == []
    assert "RowNorm" in skipped[0]


@pytest.mark.parametrize("name", [name for name in OWN if name.startswith("activation")])
def test_an_own_function_that_reads_whole_rows_has_no_facts(name):
    layer = OWN[name].recipe.net.layers[1]
    assert largest_slope(layer) is None
    assert not silences(layer) or name == "activation of another shape"
    assert isinstance(layer, Activation)
    assert not is_affine(layer)
    assert not is_softmax(layer)
    assert len(span(layer)) == 2


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_facts_of_the_packages_functions_stay(name):
    layer = Activation(name)
    assert (largest_slope(layer) is not None) == (name in ("sigmoid", "tanh"))
    assert silences(layer) == (name == "relu")


def test_no_training_begins_after_the_time_is_up_and_the_note_says_so():
    ill = plane(config=TrainConfig(40, 1e-5))
    report = examine_problem(ill, seconds=0.0)
    assert any(note.startswith("The time was up before") and "rate*10" in note for note in report.notes)
    assert repair(ill, examine_problem(ill), seconds=-1.0).attempts == ()
    runner = TrialRunner(ill, report.trace, deadline=0.0)
    assert runner.trial("rate*100") is None
    assert runner.more_rows() is None


def test_trials_pay_for_every_training():
    runner = runner_of(plane(n=100))
    assert runner.spent == 0.0
    runner.trial("rate/10", True)
    once = runner.spent
    assert once >= runner.cost
    runner.trial("rate/10", True)
    assert runner.spent == once
    assert np.isfinite(once)
