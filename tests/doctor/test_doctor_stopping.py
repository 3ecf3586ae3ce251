"""Whether the doctor tells a stop that noise caused from one that was right, and a choice by too few rows from a sound one.

In: hand-made curves, small noisy trainings. Out: findings, their advice, trials.
"""

import re
from dataclasses import replace

import numpy as np
import pytest
from doctor_cases import healthy
from doctor_traces import epochs, problem, trace
from doctor_trials import plane

from chainrule import NetClassifier
from chainrule.doctor import DoctorMonitor, examine_problem
from chainrule.doctor import report as report_on
from chainrule.doctor.rules.training import stopping
from chainrule.doctor.vocabulary.records import NotApplicable
from chainrule.train import BestWeights, EarlyStopping, TrainConfig, train
from chainrule.train.records import diverged

NAN = float("nan")


def stopped(train, held=None, planned=300, steps=100, **fields):
    held = [NAN] * len(train) if held is None else held
    return replace(trace(problem()), epochs=epochs(list(train), list(held), steps=steps), planned=planned, **fields)


def noisy(n, noise, fall=0.005, seed=0):
    return 0.69 - fall * np.arange(n) + noise * np.random.default_rng(seed).normal(size=n)


SMOOTH = np.linspace(0.6, 0.3, 40)
FLAT = np.full(40, 0.3) + 0.001 * np.random.default_rng(1).normal(size=40)

EARLY = {
    "one bad epoch": stopped([0.6, 0.5, 0.45, 0.41, 0.38], [0.62, 0.55, 0.50, 0.48, 0.481], steps=10),
    "the training loss still falls": stopped(SMOOTH, SMOOTH + 0.05),
    "noise hides the fall of the validation loss": stopped(np.full(40, 0.3), noisy(40, 0.05)),
    "noise hides the fall of the training loss": stopped(noisy(40, 0.04)),
    "few steps": stopped(FLAT, FLAT, steps=3),
    "two epochs": stopped([0.6, 0.59], [0.6, 0.61], steps=100, planned=50),
}

RIGHT = {
    "nothing else could end it": stopped(SMOOTH, SMOOTH, planned=0),
    "it ran to the end": stopped(SMOOTH, SMOOTH, planned=40),
    "it stands still": stopped(FLAT, FLAT),
    "it stands still without validation": stopped(FLAT),
    "it overfits": stopped(FLAT, np.linspace(0.3, 0.6, 40)),
    "it waited longer than the noise needs": stopped(FLAT, [*np.linspace(0.6, 0.3, 10), *[0.301] * 30]),
    "it diverged": stopped(SMOOTH, SMOOTH, stopped=diverged(2)),
}


@pytest.mark.parametrize("run", EARLY.values(), ids=EARLY)
def test_a_premature_stop_is_suspected(run):
    found = stopping.stopped_too_early(problem(), run)
    assert found.symptom == "stopped-too-early"
    assert found.measured
    assert not re.search(r"nan|inf\b|-\d+ %", str(found))


@pytest.mark.parametrize("run", RIGHT.values(), ids=RIGHT)
def test_a_stop_in_time_is_not_suspected(run):
    assert stopping.stopped_too_early(problem(), run) is None


def test_without_a_trial_only_a_clear_case_counts():
    found = {name: stopping.stopped_too_early(problem(), run) for name, run in EARLY.items()}
    clear = {name for name, finding in found.items() if finding.figures["clear"]}
    assert clear == set(EARLY) - {"noise hides the fall of the validation loss", "few steps"}


@pytest.mark.parametrize("planned", [30, 100, 300, 1000, 5000])
def test_the_advice_is_more_patience_than_before_and_brings_no_second_card(planned):
    held = [0.62, 0.55, 0.50, 0.48, *[0.481] * 4]
    run = stopped(np.linspace(0.6, 0.4, 8), held, planned=planned, steps=10)
    patience = stopping.stopped_too_early(problem(), run).fix.settings[0].value
    assert patience is None or patience > max(4, planned / 20)
    if patience is not None:
        waited = stopped(
            np.linspace(0.6, 0.4, 4 + patience), [*held[:4], *[0.481] * patience], planned=planned, steps=10
        )
        assert not stopping.stopped_too_early(problem(), waited).figures["clear"]


@pytest.mark.parametrize(("name", "seed"), [("moons", 1), ("moons", 2), ("moons", 3), ("spirals", 0), ("spirals", 2)])
def test_a_stop_after_one_bad_epoch_is_confirmed_by_a_longer_training(name, seed):
    given = healthy(name, seed, max_iter=250)
    run = train(given, [EarlyStopping(1)])
    assert len(run.epochs) < 60
    report = examine_problem(given, run=run)
    assert report.primary.symptom == "stopped-too-early"
    assert report.primary.confirmed
    assert report.primary.fix.settings[0].name == "n_iter_no_change"
    assert report.problem.config.epochs == run.best_epoch
    assert len(report.trace.epochs) == len(run.epochs)
    np.testing.assert_array_equal(report.trace.final.w, run.state.w)


def test_a_run_that_waited_is_healthy_and_is_repeated_to_its_stop():
    given = plane(config=TrainConfig(400, 0.02))
    run = train(given, [EarlyStopping(20, smoothing=0.8), DoctorMonitor()])
    report = examine_problem(given, run=run)
    assert report.healthy, report
    assert report.trace.kept == run.best_epoch < len(report.trace.epochs) == len(run.epochs)
    assert not [f for f in report_on(run).findings if f.severity != "info"]


def test_dropout_stopped_by_a_noisy_training_loss_is_told():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12))
    y = (X[:, :4] @ rng.normal(size=(4, 5))).argmax(axis=1)
    reports = []
    doctor = DoctorMonitor(on_report=reports.append)
    net = NetClassifier((16,), dropout=0.5, max_iter=300, n_iter_no_change=2, random_state=0, callbacks=[doctor])
    net.fit(X, y)
    assert len(net.epochs_) < 100
    assert [f.symptom for f in reports[0].findings if f.severity != "info"] == ["stopped-too-early"]


def chosen_by(n, classes=True, stop=True, kept=5):
    given = problem(n=200) if classes else plane(task="sum", n=200)
    held = given.validation[:n]
    given = replace(given, validation=held)
    seen = replace(trace(problem()), planned=300 if stop else 0, kept=kept, final=given.recipe.start())
    return stopping.small_validation(given, seen)


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize(
    ("n", "severity"), [(1, "warning"), (3, "warning"), (10, "warning"), (14, "warning"), (30, "info")]
)
def test_few_validation_rows_that_choose_the_epoch_are_named_with_the_size_that_would_do(n, severity, classes):
    found = chosen_by(n, classes)
    assert found.severity == severity
    assert f"{n} row" in found.measured
    assert found.figures["wanted"] > n
    assert found.figures["standard_error"] > 0.02
    assert found.fix.settings[1].name == "validation_fraction"
    assert 0 < found.fix.settings[1].value <= 0.31


def test_validation_rows_that_choose_nothing_or_are_many_are_left_alone():
    assert chosen_by(10, stop=False, kept=0) is None
    assert chosen_by(100) is None
    with pytest.raises(NotApplicable, match="too few"):
        stopping.small_validation(
            replace(problem(n=20), validation=problem(n=20).validation[:10]), stopped(SMOOTH, SMOOTH)
        )
    given = plane(n=100, config=TrainConfig(30, 0.01))
    found = report_on(train(replace(given, validation=given.validation[:8]), [BestWeights(), DoctorMonitor()]))
    assert {f.symptom for f in found.findings} <= {
        "small-validation",
        "undertrained",
        "overfitting",
        "learning-rate-too-low",
    }
