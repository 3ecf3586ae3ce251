"""Why: the whole way, from a table to a verdict: sound trainings are called healthy, broken ones by the name of their fault.

In: built-in data with the default settings, and the same with one thing broken. Out: reports.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from doctor_cases import healthy, with_rows
from doctor_trials import ILL, plane

from chainrule import Activation, Dense, mlp
from chainrule.doctor import DoctorMonitor, Report, examine, examine_problem
from chainrule.doctor.vocabulary.records import NotApplicable, Rule
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import Dropout
from chainrule.nn.losses import BinaryCrossEntropy
from chainrule.nn.optimizers import SGD
from chainrule.nn.penalties import Penalty
from chainrule.pipeline import Settings, build_problem
from chainrule.train import TrainConfig
from chainrule.train.loop import train

HEALTHY = [
    ("circles", 0),
    ("circles", 1),
    ("circles", 2),
    ("blobs", 0),
    ("blobs", 1),
    ("diabetes", 0),
    ("diabetes", 1),
    ("digits", 0),
]


@pytest.mark.parametrize(("name", "seed"), HEALTHY)
def test_the_default_recipe_is_healthy(name, seed):
    report = examine_problem(healthy(name, seed))
    assert report.verdict == "healthy", str(report)
    assert {finding.severity for finding in report.findings} <= {"info"}
    assert report.primary is None


def scaled(problem, factors):
    parts = (replace(rows, X=rows.X * factors.astype(np.float32)) for rows in (problem.rows, problem.validation))
    return replace(problem, **dict(zip(("rows", "validation"), parts, strict=True)))


def shuffled(problem):
    return with_rows(problem, Y=np.random.default_rng(0).permutation(problem.rows.Y))


BROKEN = {
    "learning-rate-too-high": lambda: ILL["rate/100"],
    "learning-rate-too-low": lambda: ILL["rate*100"],
    "optimizer-settings": lambda: ILL["usual-settings"],
    "undertrained": lambda: ILL["longer"],
    "over-regularized": lambda: ILL["no-penalty"],
    "clipping-too-tight": lambda: ILL["no-clip"],
    "misaligned-labels": lambda: shuffled(plane()),
    "unnormalized-inputs": lambda: scaled(plane(), np.array([1e4, 1e-2])),
    "dropout-too-high": lambda: ILL["no-dropout"],
    "symmetric-weights": lambda: ILL["he-init"],
    "linear-collapse": lambda: ILL["add-nonlinearity"],
    "batch-too-large": lambda: ILL["smaller-batch"],
    "vanishing-gradient": lambda: plane(
        [*(layer for _ in range(10) for layer in (Dense(8), Activation("sigmoid"))), Dense(1)]
    ),
    "nan-loss": lambda: plane(task="sum", optimizer=SGD(), config=TrainConfig(40, 1e30)),
}


@pytest.mark.parametrize("symptom", BROKEN)
def test_a_broken_training_is_called_by_its_fault(symptom):
    report = examine_problem(BROKEN[symptom]())
    assert report.verdict == "ill"
    assert symptom in (report.primary.symptom, *report.primary.explains), str(report)
    assert report.primary.symptom == symptom or symptom == "nan-loss"


def test_two_faults_are_two_findings():
    problem = plane([Dense(16), Activation("relu"), Dropout(0.9), Dense(1)], penalty=Penalty(l2=0.3))
    report = examine_problem(problem)
    ill = [finding.symptom for finding in report.findings if finding.severity != "info"]
    assert {"over-regularized", "dropout-too-high"} <= {*ill, *report.primary.explains}
    assert report.primary.symptom in ("over-regularized", "dropout-too-high")


def test_twins_of_training_rows_do_not_judge():
    """Validation rows that are training rows speak for whatever learns by heart."""
    problem = plane(config=TrainConfig(100, 0.01))
    report = examine_problem(replace(problem, validation=problem.rows))
    assert [f.symptom for f in report.findings if f.severity != "info"] == ["duplicate-rows-across-split"]


def test_a_report_is_plain_data():
    report = examine_problem(ILL["no-penalty"])
    plain = json.loads(json.dumps(report.plain(), allow_nan=False))
    assert plain["verdict"] == "ill"
    assert set(plain["findings"][0]) >= {"symptom", "severity", "confirmed", "evidence", "fix", "trials", "explains"}
    assert plain["findings"][0]["confirmed"] is True
    assert plain["findings"][0]["seen"][-1] == 40
    assert "over-regularized" in str(report)
    assert report.seconds > 0


def data(n=300):
    X = np.random.default_rng(0).uniform(-1, 1, (n, 2))
    return X, (X[:, 0] * X[:, 1] > 0) * 1.0


def test_examine_takes_what_fit_takes():
    X, y = data()
    report = examine(mlp(2, [16], 1), X, y, loss=BinaryCrossEntropy(), learning_rate=0.01, epochs=60)
    assert report.healthy
    assert report.notes == ("60 of 300 rows were held out for validation.",)
    given = examine(
        mlp(2, [16], 1), X, y, loss=BinaryCrossEntropy(), learning_rate=0.01, epochs=60, validation=data(100)
    )
    assert given.notes == ()
    assert given.trace.epochs[-1].validation_score > 0.9


def test_watching_alone_tries_nothing():
    report = examine_problem(ILL["no-penalty"], trials=False)
    assert all(finding.trials == () for finding in report.findings)
    assert report.verdict == "ill"
    assert examine_problem(healthy("blobs"), trials=False).healthy


def test_silence_is_told_and_kept():
    problem = replace(plane(config=TrainConfig(100, 0.01)), validation=None)
    assert examine_problem(problem).primary.symptom == "no-validation"
    report = examine_problem(problem, suppress={"no-validation": "judged elsewhere"})
    assert report.healthy
    assert report.suppressed == {"no-validation": "judged elsewhere"}
    with pytest.raises(InvalidValueError, match=r"^examine: suppress must be .*Did you mean 'overfitting'\?$"):
        examine_problem(problem, suppress={"overfiting": "?"})


def test_a_rule_that_cannot_look_is_named(monkeypatch):
    def blind(problem, trace):
        raise NotApplicable("it is dark")

    monkeypatch.setattr("chainrule.doctor.rules.training.RULES", (Rule("dead-units", blind),))
    assert "dead-units: it is dark" in examine_problem(plane(config=TrainConfig(100, 0.01))).skipped


@pytest.mark.slow
def test_pieces_of_the_users_own_are_checked():
    class NoCheckpoint(Activation):
        """Forgets its slope."""

        def backward(self, p, saved, dA, ctx):
            return dA, {}

    layers = [Dense(4), NoCheckpoint("tanh"), Dense(1)]
    report = examine_problem(replace(plane(layers, config=TrainConfig(5, 0.01)), engine="reference"))
    assert report.primary.symptom == "wrong-gradient"


def test_fix_applies_what_is_proven():
    X, y = data()
    report = examine(
        mlp(2, [16], 1),
        X,
        y,
        loss=BinaryCrossEntropy(),
        penalty=Penalty(l2=1.0),
        learning_rate=0.01,
        epochs=60,
        fix=True,
    )
    assert isinstance(report, Report)
    assert report.problem.recipe.penalty == Penalty()
    assert any("no-penalty" in note and "kept" in note for note in report.notes)


def test_few_rows_are_survived():
    X, y = data(12)
    report = examine(mlp(2, [4], 1), X, y, loss=BinaryCrossEntropy(), epochs=3)
    assert report.verdict in ("healthy", "ill")


def test_a_watch_reports_at_the_end_of_the_run():
    for name, verdict in (("no-penalty", "ill"), ("rate/100", "ill")):
        told = []
        problem = ILL[name]
        run = train(problem, [DoctorMonitor(on_report=told.append)])
        alone = train(problem)
        np.testing.assert_array_equal(run.state.w, alone.state.w)
        assert [report.verdict for report in told] == [verdict]
        assert told[0].trace.readings[-1].step == int(run.state.step)


def test_a_watched_run_that_breaks_says_so():
    problem, told = plane(task="sum", optimizer=SGD(), config=TrainConfig(40, 1e30)), []
    train(problem, [DoctorMonitor(on_report=told.append)])
    assert "nan-loss" in {told[0].primary.symptom, *told[0].primary.explains}


def test_a_problem_made_from_settings_and_data_has_names_and_classes():
    X, y = data(100)
    settings = Settings(hidden_layer_sizes=(8,), max_iter=3)
    problem = build_problem(settings, (X, y.astype(int)), validation=(X[:20], y[:20]))
    assert (problem.config.epochs, len(problem.rows), len(problem.validation)) == (3, 100, 20)
    assert problem.feature_names == ("x0", "x1")
    assert problem.classes.tolist() == [0, 1]
    assert examine_problem(problem, trials=False).verdict in ("healthy", "ill")


def test_scaling_before_the_doctor_holds_rows_out_is_no_leakage():
    """It holds rows out itself where none are given; scaled inputs are what it asks for."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(300, 3))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = (X[:, 0] > 0) * 1.0
    report = examine(mlp(3, [8], 1), X, y, loss=BinaryCrossEntropy(), learning_rate=0.01, epochs=20, trials=False)
    assert "statistics-leakage" not in {finding.symptom for finding in report.findings}
    assert "held rows out" in report.suppressed["statistics-leakage"]


@pytest.mark.parametrize("part", ["rows", "validation"])
def test_rows_of_a_regression_that_have_no_weight_are_not_judged_by(part):
    problem = plane(task="sum", config=TrainConfig(3, 0.01))
    rows = getattr(problem, part)
    Y, c = rows.Y.copy(), rows.c.copy()
    Y[0], c[0] = 1e4, 0.0
    changed = replace(problem, **{part: replace(rows, Y=Y, c=c)})
    report = examine_problem(changed, trials=False)
    assert len(getattr(report.problem, part)) == len(rows) - 1
    assert getattr(report.problem, part).Y.max() < 100
    assert {finding.severity for finding in report.findings if finding.symptom == "wild-targets"} <= {"info"}
    assert examine_problem(problem, trials=False).problem.rows is problem.rows
