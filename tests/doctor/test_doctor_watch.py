"""Why: every training is watched, so watching must be cheap, change nothing, and never cry wolf.

In: sound and broken cases, trained under the watch. Out: cards on the way, reports at the end, what both cost.
"""

import importlib.util
import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from doctor_cases import healthy
from doctor_trials import ILL, plane
from rich.console import Console
from sklearn.base import clone
from threadpoolctl import threadpool_info

from chainrule import Activation, Dense, NetClassifier
from chainrule.cli.doctor_report import MOST_CARDS, Cards, show_report
from chainrule.data import load
from chainrule.doctor import DoctorMonitor, examine_and_repair, examine_problem
from chainrule.doctor import report as report_on
from chainrule.doctor.monitoring import current_problem
from chainrule.doctor.observe.blas import SINGLE_THREAD_LIMIT, one_thread
from chainrule.doctor.observe.recorder import record_training
from chainrule.doctor.vocabulary.catalogue import SYMPTOMS
from chainrule.doctor.vocabulary.records import Finding, NotApplicable, Rule
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.errors import InvalidValueError
from chainrule.nn.optimizers import SGD
from chainrule.train import BestWeights, Progress, TrainConfig
from chainrule.train.loop import train
from chainrule.train.problem import TrainingProblem
from chainrule.train.records import spent

pytest.importorskip("sklearn", reason="the digits come from scikit-learn")

FOLDER = Path(__file__).parents[2] / "bench" / "doctor"

SLOW = {name for name, symptom in SYMPTOMS.items() if symptom.is_slow}


def hosts():
    """The benchmark's healthy networks."""
    if "doctor" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "doctor", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        sys.modules["doctor"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["doctor"])
    from doctor import hosts

    return hosts


@pytest.fixture
def all_the_time(monkeypatch):
    """Looks as often as a run has epochs, whatever they cost."""
    monkeypatch.setattr("chainrule.doctor.monitor.USUAL", replace(USUAL, overhead=1e9))


def trained(problem, *monitors):
    return train(problem, monitors)


def seen(problem, *monitors, **options):
    """Run, report, and what was told on the way, as pairs of symptom and epoch."""
    told = []
    watching = DoctorMonitor(on_change=lambda finding, epoch: told.append((finding.symptom, epoch)), **options)
    run = trained(problem, *monitors, watching)
    return run, report_on(run), told


STUCK = replace(ILL["rate*100"], config=TrainConfig(40, ILL["rate*100"].config.learning_rate))


@pytest.mark.parametrize("host", ["H1", "H2", "H3", "H4", "H5"])
def test_healthy_twins_get_no_card_however_often_they_are_looked_at(host, all_the_time):
    for seed in range(4):
        subject = hosts().make(host, seed)
        problem = TrainingProblem(subject.recipe, subject.rows, subject.config, subject.validation)
        _, report, told = seen(problem)
        assert told == []
        assert report.healthy, str(report)
        assert len(report.trace.readings) > 10


def test_what_stands_at_two_looks_is_told_once_during_the_run(all_the_time):
    _, report, told = seen(STUCK)
    assert report.verdict == "ill"
    symptoms = [symptom for symptom, _ in told]
    assert "learning-rate-too-low" in symptoms
    assert len(set(symptoms)) == len(symptoms)
    assert 40 / 3 < told[0][1] < 40


def test_one_look_is_not_enough(all_the_time, monkeypatch):
    """A finding that comes and goes from look to look never stands twice in a row."""
    asked = []

    def flickering(problem, trace, suppressed):
        asked.append(len(trace.readings))
        return (finding, frozenset({finding.symptom})) if len(asked) % 2 else None

    finding = next(f for f in examine_problem(STUCK, trials=False).findings if f.severity != "info")
    monkeypatch.setattr("chainrule.doctor.monitor.current_problem", flickering)
    assert seen(STUCK)[2] == []
    assert len(asked) > 10


def test_a_silenced_symptom_is_not_told_on_the_way_either(all_the_time):
    symptoms = {symptom for symptom, _ in seen(STUCK)[2]}
    _, report, told = seen(STUCK, suppress=dict.fromkeys(symptoms, "known"))
    assert not symptoms & {symptom for symptom, _ in told}
    assert not symptoms & {finding.symptom for finding in report.findings}
    with pytest.raises(InvalidValueError, match="suppress must be"):
        DoctorMonitor(suppress={"overfiting": "?"})


def test_a_training_that_gets_on_is_left_alone():
    """The same looks, with the last loss lowered below the share that counts as standing still."""
    trace = record_training(STUCK)
    assert current_problem(STUCK, trace) is not None
    early = replace(STUCK, config=replace(STUCK.config, epochs=10 * len(trace.epochs)))
    assert current_problem(early, trace) is None
    first = trace.readings[0]
    better = replace(trace.readings[-1], loss=0.9 * USUAL.stalled * first.loss)
    assert current_problem(STUCK, replace(trace, readings=(*trace.readings[:-1], better))) is None


def broken(rate=1e6, **config):
    """Descent that overflows after a few steps of its first epochs."""
    problem = plane([Dense(8), Activation("relu"), Dense(1)], task="sum", optimizer=SGD())
    return replace(problem, config=TrainConfig(40, rate, **config))


@pytest.mark.parametrize("rate", [1e30, 3.0, 1.5])
def test_a_divergence_is_told_at_once_with_the_step_that_broke(rate):
    problem = broken(rate)
    trace = record_training(problem)
    run, report, told = seen(problem)
    assert run.diverged
    assert told == [("nan-loss", len(run.epochs))]
    truth, found = trace.readings[-1], report.trace.readings[-1]
    assert (found.step, found.nonfinite) == (truth.step, truth.nonfinite)


def test_a_divergence_after_a_long_time_is_told_without_training_again(monkeypatch):
    monkeypatch.setattr("chainrule.doctor.monitor.USUAL", replace(USUAL, replay_seconds=-1.0))
    monkeypatch.setattr("chainrule.doctor.observe.recorder.breaking_step", lambda *_: pytest.fail("trained again"))
    run, report, told = seen(broken(1e30))
    assert told == [("nan-loss", 1)]
    assert report.trace.readings[-1].step == run.epochs[0].steps - 1


def test_a_watch_tells_a_divergence_too():
    reports, told = [], []
    watch = DoctorMonitor(reports.append, lambda finding, epoch: told.append(finding.symptom))
    trained(broken(1e30), watch)
    assert told == ["nan-loss"]
    assert reports[0].verdict == "ill"


def test_the_report_is_on_the_weights_that_were_kept():
    problem = ILL["no-penalty"]
    run, report, _ = seen(problem, BestWeights())
    alone = trained(problem, BestWeights())
    np.testing.assert_array_equal(run.state.w, alone.state.w)
    assert report.trace.final is run.state
    assert report.trace.readings[-1].step == int(run.state.step)
    assert report.trace.readings[-1].epoch == run.best_epoch
    assert [reading.step for reading in report.trace.readings] == sorted({r.step for r in report.trace.readings})


def test_epochs_of_an_earlier_process_are_passed_over():
    """Their numbers are gone, and a watch must not ask for them."""
    problem, reports = ILL["no-penalty"], []
    watch = DoctorMonitor(reports.append)
    run = trained(problem)
    notes = watch.start(problem)
    for epoch in run.epochs:
        assert epoch.state is spent
        notes, decision = watch.observe(notes, epoch)
        assert not decision.stop
    watch.end(notes, run)
    assert len(reports[0].trace.epochs) == len(run.epochs)


def test_a_run_that_continues_is_counted_from_where_it_began():
    problem = ILL["no-penalty"]
    middle = trained(replace(problem, config=replace(problem.config, epochs=5))).state
    later = replace(problem, start=middle)
    run = train(later)
    found = report_on(train(later, [DoctorMonitor()]))
    assert found.trace.readings[0].epoch == 5
    assert found.trace.readings[-1].epoch == run.epochs[-1].number == 40


def test_a_report_needs_a_run_that_the_doctor_watched():
    with pytest.raises(InvalidValueError, match="run must be watched by a DoctorMonitor"):
        report_on(trained(ILL["no-penalty"]))
    assert report_on(trained(ILL["no-penalty"], BestWeights(), DoctorMonitor())).watched_only
    assert not examine_problem(ILL["no-penalty"], trials=False).watched_only


def test_slow_rules_wait_for_time_and_say_so(monkeypatch):
    monkeypatch.setattr("chainrule.doctor.monitoring.USUAL", replace(USUAL, slow_seconds=-1e9))
    monkeypatch.setattr("chainrule.doctor.monitor.USUAL", replace(USUAL, overhead=-1e9))
    _, report, _ = seen(STUCK)
    late = next(text for text in report.skipped if "too long to check while monitoring" in text)
    assert set(late.split(":")[0].split(", ")) <= SLOW
    assert report.verdict == "ill"


def test_slow_rules_are_asked_only_where_their_answer_can_matter(monkeypatch):
    """Of a training that works, and whose validation is as good as perfect, none of them."""
    monkeypatch.setattr("chainrule.doctor.monitoring.USUAL", replace(USUAL, slow_seconds=1e9))
    asked = []

    def spy(rule):
        def check(problem, trace):
            asked.append(rule.symptom)
            return rule.check(problem, trace)

        return replace(rule, check=check)

    for part in ("configuration", "training"):
        rules = __import__(f"chainrule.doctor.rules.{part}", fromlist=["RULES"]).RULES
        monkeypatch.setattr(f"chainrule.doctor.rules.{part}.RULES", tuple(map(spy, rules)))
    seen(healthy("digits", max_iter=30))
    assert not SLOW & set(asked)
    assert "dead-units" in asked
    asked.clear()
    seen(STUCK)
    assert SLOW - {"overfitting", "suspicious-validation"} <= set(asked)


def test_a_rule_that_cannot_look_does_not_end_a_watch(monkeypatch):
    def blind(problem, trace):
        raise NotApplicable("it is dark")

    monkeypatch.setattr("chainrule.doctor.rules.training.RULES", (Rule("dead-units", blind),))
    assert "dead-units: it is dark" in seen(STUCK)[1].skipped


def test_watching_takes_two_hundredths_of_a_run_of_a_second():
    """By its own clock; the best of three, since other programs run on the machine too."""
    problem, shares = replace(healthy("digits"), engine="reference"), []
    for _ in range(3):
        _, report, _ = seen(replace(problem, config=TrainConfig(30, 1e-3)))
        shares.append(report.overhead)
    assert min(shares) < 1.25 * USUAL.overhead


def threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_large_products_are_made_on_one_thread_and_the_limit_is_taken_back():
    usual = threads()
    with one_thread(SINGLE_THREAD_LIMIT):
        assert threads() == usual
    with one_thread(SINGLE_THREAD_LIMIT + 1):
        assert threads() == {1}
    assert threads() == usual


def test_repair_and_examination_again_are_one_function():
    problem = ILL["no-penalty"]
    report = examine_and_repair(problem, notes=("first",))
    assert report.notes[0] == "first"
    assert any("no-penalty" in note and "kept" in note for note in report.notes[1:])
    assert report.problem.recipe.penalty != problem.recipe.penalty
    left = examine_and_repair(problem, fix=False, notes=("first",))
    assert left.verdict == "ill"
    assert left.notes == ("first",)
    assert left.problem is problem


def finding(symptom, severity="warning"):
    return Finding(symptom, severity, f"Something about {symptom}", "It matters.", "1", "2")


def test_there_are_three_cards_in_all_and_none_twice():
    console = Console(file=io.StringIO(), width=100)
    cards = Cards(console)
    cards.on_change(finding("dead-units"), 3)
    cards.on_change(finding("dead-units"), 6)
    cards.on_change(finding("oscillating-loss"), 9)
    report = replace(
        examine_problem(plane(config=TrainConfig(1, 0.01)), trials=False),
        verdict="ill",
        findings=tuple(map(finding, ("dead-units", "over-regularized", "exploding-gradient", "undertrained"))),
    )
    show_report(console, report, None, cards.shown)
    text = console.file.getvalue()
    assert text.count("It matters.") == MOST_CARDS
    for symptom in ("dead-units", "oscillating-loss", "over-regularized"):
        assert text.count(f"Something about {symptom}  ") == 1
    assert "Something about exploding-gradient" not in text
    assert "doctor, epoch 3:" in text
    assert "2 more findings in the full report" in text


def test_a_card_during_a_run_leaves_the_progress_whole(all_the_time):
    """On a terminal the bar is drawn again below the card; each line of the card stands alone."""
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    cards = Cards(console)
    trained(STUCK, Progress(console), DoctorMonitor(on_change=cards.on_change))
    text = console.file.getvalue()
    assert cards.shown
    at = text.index("doctor, epoch ")
    assert "epoch 40/40" in text[at:]
    card = text[at:].splitlines()
    assert card[0].rstrip().endswith(":")
    assert cards.shown[0] in card[1]
    assert "epoch" not in card[1]


def test_the_doctor_is_a_callback_of_every_network():
    rows = load("circles")
    reports = []
    settings = {
        "max_iter": 40,
        "random_state": 0,
        "n_networks": 2,
        "callbacks": [DoctorMonitor(on_report=reports.append)],
    }
    fitted = NetClassifier(**settings, learning_rate_init=1e-7).fit(rows.X, rows.y)
    assert [report.verdict for report in reports] == ["ill", "ill"]
    assert {report.primary.symptom for report in reports} == {"learning-rate-too-low"}
    assert sorted(len(report.trace.epochs) for report in reports) == sorted(len(run.epochs) for run in fitted.runs_)
    assert clone(fitted).fit(rows.X, rows.y)
    assert len(reports) == 4


def test_a_callback_must_be_one():
    with pytest.raises(InvalidValueError, match="callbacks must be a sequence of monitors"):
        NetClassifier(callbacks=[DoctorMonitor]).fit([[0.0], [1.0]], [0, 1])
