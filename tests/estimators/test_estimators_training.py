"""Why: how a network is trained (on whose rows, by which score, from where) is the user's to say, and must be what happens.

In: estimators with own validation rows, scores, starts, several networks. Out: equal numbers by another way.
"""

import os
import re
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from estimator_cases import KINDS, network
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.metrics import log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import cross_val_score

from chainrule import NetClassifier, NetRegressor
from chainrule.data import split
from chainrule.data.splits import split_by_group, split_by_time
from chainrule.errors import InvalidValueError


@pytest.mark.parametrize("make", KINDS)
def test_own_validation_rows_are_those_that_would_be_held_out(iris, make):
    X, y = iris
    rest, held_out = split(*((y,) if make is NetClassifier else (len(y),)), 0.3, 0, make is NetClassifier)
    split_off = network(make, early_stopping=True, validation_fraction=0.3, batch_norm=True).fit(X, y)
    own = network(make, early_stopping=True, batch_norm=True)
    own.fit(X[rest], y[rest], X_val=X[held_out], y_val=y[held_out])
    assert own.validation_loss_curve_ == split_off.validation_loss_curve_
    np.testing.assert_array_equal(own.predict(X), split_off.predict(X))


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("by", ["groups", "times"])
@pytest.mark.parametrize("form", [np.asarray, list])
def test_held_out_rows_are_whole_groups_or_the_latest(iris, make, by, form):
    X, y = iris
    key = np.arange(150) % 15 if by == "groups" else (np.arange(150) * 37) % 150
    labels = y if make is NetClassifier else None
    rest, held_out = split_by_group(key, 0.3, 0, labels) if by == "groups" else split_by_time(key, 0.3)
    split_off = network(make, early_stopping=True, validation_fraction=0.3).fit(X, y, **{by: form(key)})
    own = network(make, early_stopping=True).fit(X[rest], y[rest], X_val=X[held_out], y_val=y[held_out])
    assert own.validation_loss_curve_ == split_off.validation_loss_curve_
    by_chance = network(make, early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert by_chance.validation_loss_curve_ != split_off.validation_loss_curve_


@pytest.mark.parametrize(
    ("settings", "arguments", "sentence"),
    [
        ({}, {"groups": 150}, "groups must be None where no rows are held out"),
        ({}, {"times": 150}, "times must be None where no rows are held out"),
        ({"early_stopping": True}, {"groups": 149}, "groups must be of shape (150,)"),
        ({"early_stopping": True}, {"times": 151}, "times must be of shape (150,)"),
        ({"early_stopping": True}, {"groups": 150, "times": 150}, "groups must be None beside times"),
        ({"early_stopping": True}, {"groups": 150, "X_val": 10, "y_val": 10}, "groups must be None where no rows"),
    ],
)
def test_groups_that_split_nothing_or_do_not_fit_are_refused(iris, settings, arguments, sentence):
    X, y = iris
    given = {name: {"X_val": X, "y_val": y}.get(name, np.arange(n))[:n] for name, n in arguments.items()}
    with pytest.raises(InvalidValueError) as caught:
        network(**settings).fit(X, y, **given)
    assert sentence in str(caught.value)


def test_the_doctor_judges_by_whole_groups(iris):
    X, y = iris
    groups = np.arange(150) % 10
    report = network(NetClassifier, max_iter=5).examine(X, y, groups=groups)
    assert "30 of 150 rows were held out to judge by." in report.notes


def test_validation_rows_keep_the_best_epoch_even_without_early_stopping(halves):
    X, X_val, y, y_val = halves
    options = {"hidden_layer_sizes": (64,), "learning_rate_init": 0.05, "max_iter": 30, "n_iter_no_change": 30}
    fitted = network(**options).fit(X, y, X_val=X_val, y_val=y_val)
    losses = fitted.validation_loss_curve_
    assert fitted.n_iter_ == len(losses) == 30
    assert fitted.best_iteration_ == np.argmin(losses) + 1 < 30
    assert log_loss(y_val, fitted.predict_proba(X_val)) == pytest.approx(min(losses), rel=1e-5)


def test_weights_of_validation_rows_count(halves):
    X, X_val, y, y_val = halves
    weights = np.where(np.arange(len(y_val)) < 50, 1.0, 0.0)
    weighted = network().fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    fewer = network().fit(X, y, X_val=X_val[:50], y_val=y_val[:50])
    np.testing.assert_allclose(weighted.validation_loss_curve_, fewer.validation_loss_curve_, rtol=1e-5)


def test_class_weights_count_for_validation_rows_as_the_training_rows_set_them(halves):
    X, X_val, y, y_val = halves
    table = {label: len(y) / (2 * (y == label).sum()) for label in (0, 1)}
    by_word = network(class_weight="balanced").fit(X, y, X_val=X_val, y_val=y_val)
    by_table = network(class_weight=table).fit(X, y, X_val=X_val, y_val=y_val)
    assert by_word.validation_loss_curve_ == by_table.validation_loss_curve_


@pytest.mark.parametrize("own", [{"X_val": [[0.0] * 4]}, {"y_val": [0]}, {"sample_weight_val": [1.0]}])
def test_half_a_validation_set_is_refused(iris, own):
    with pytest.raises(InvalidValueError, match="X_val and y_val come together"):
        network().fit(*iris, **own)


def test_score_chooses_the_epoch(halves):
    X, X_val, y, y_val = halves
    options = {"scoring": "roc_auc", "learning_rate_init": 0.03, "max_iter": 12, "n_iter_no_change": 12}
    fitted = network(**options).fit(X, y, X_val=X_val, y_val=y_val)
    assert len(fitted.validation_scores_) == 12
    best = int(np.argmax(fitted.validation_scores_))
    assert fitted.best_iteration_ == best + 1
    assert fitted.best_validation_score_ == fitted.validation_scores_[best]
    assert roc_auc_score(y_val, fitted.predict_proba(X_val)[:, 1]) == fitted.best_validation_score_


def test_score_stops_the_run(halves):
    X, X_val, y, y_val = halves
    never_better = make_scorer(lambda y, p: 0.5)
    fitted = network(scoring=never_better, early_stopping=True, n_iter_no_change=4).fit(X, y, X_val=X_val, y_val=y_val)
    assert fitted.n_iter_ == 5
    assert str(fitted.run_.stop) == "stopped early: validation score did not improve for 4 epochs"
    assert fitted.best_iteration_ == 1


def test_class_weights_do_not_weigh_the_score(halves):
    X, X_val, y, y_val = halves
    fitted = network(scoring="accuracy", class_weight={0: 9.0}).fit(X, y, np.ones(len(y)), X_val=X_val, y_val=y_val)
    assert fitted.best_validation_score_ == fitted.score(X_val, y_val)


def test_own_functions_and_weights_score(halves):
    X, X_val, y, y_val = halves

    def worst(estimator, X, y):
        return float(estimator.predict_proba(X)[np.arange(len(y)), y].min())

    assert network(scoring=worst).fit(X, y, X_val=X_val, y_val=y_val).best_validation_score_ > 0
    weights = np.linspace(0, 1, len(y_val))
    fitted = network(scoring="accuracy").fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights)
    assert fitted.score(X_val, y_val, weights) == fitted.best_validation_score_
    regressor = network(NetRegressor, scoring="r2", early_stopping=True).fit(X, X[:, 0])
    assert len(regressor.validation_scores_) == regressor.n_iter_


def test_scores_are_scikit_learns_accuracy_without_scoring(halves):
    X, X_val, y, y_val = halves
    fitted = network().fit(X, y, X_val=X_val, y_val=y_val)
    assert fitted.best_validation_score_ == pytest.approx(fitted.score(X_val, y_val))


@pytest.mark.parametrize("options", [{"scoring": "accuracy"}, {"calibrate": "temperature"}])
def test_what_needs_validation_rows_says_so(iris, options):
    with pytest.raises(InvalidValueError, match=r"without validation rows.*Set early_stopping=True, or pass X_val"):
        network(**options).fit(*iris)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "dropout": 0.2}, {"optimizer": "ema_momentum"}])
def test_warm_start_goes_on_as_if_it_had_never_stopped(iris, make, options):
    X, y = iris
    options = {"warm_start": True, "tol": 0.0, **options}
    twice = network(make, max_iter=4, **options).fit(X, y)
    assert twice.n_iter_ == 4
    twice.set_params(max_iter=6).fit(X, y)
    whole = network(make, max_iter=10, **options).fit(X, y)
    assert twice.n_iter_ == 6
    assert twice.loss_curve_ == whole.loss_curve_
    assert twice.t_ == whole.t_ == 1500
    np.testing.assert_array_equal(twice.predict(X), whole.predict(X))


def test_warm_start_runs_the_schedule_anew(iris):
    fitted = network(warm_start=True, schedule="cosine", max_iter=3).fit(*iris)
    first = [epoch.learning_rate for epoch in fitted.run_.epochs]
    assert [epoch.learning_rate for epoch in fitted.fit(*iris).run_.epochs] == pytest.approx(first)


def test_warm_start_on_other_rows(iris):
    X, y = iris
    fitted = network(warm_start=True, max_iter=3, batch_size=10).fit(X, y)
    fitted.fit(X[::2], y[::2])
    assert fitted.n_iter_ == 3
    assert [epoch.steps for epoch in fitted.run_.epochs] == [8, 8, 8]
    assert fitted.t_ == 3 * 150 + 3 * 75
    with pytest.raises(ValueError, match="expecting 4 features"):
        fitted.fit(X[:, :2], y)
    with pytest.raises(InvalidValueError, match=re.escape("y: labels must be among [0, 1, 2], got [3]")):
        fitted.fit(X, y + 1)


def test_warm_start_with_another_optimizer_starts_its_memory_anew(iris):
    fitted = network(warm_start=True, max_iter=2).fit(*iris)
    loss = fitted.loss_
    fitted.set_params(optimizer="ema_momentum").fit(*iris)
    assert set(fitted.run_.state.optimizer_state) == {"V"}
    assert fitted.loss_ < loss


@pytest.mark.parametrize("make", KINDS)
def test_partial_fit_is_an_epoch_and_goes_on(iris, make):
    X, y = iris
    parts = network(make)
    for _ in range(5):
        assert parts.partial_fit(X, y) is parts
    whole = network(make, max_iter=5, tol=0.0).fit(X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, parts.t_) == (1, 750)
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))


def test_partial_fit_keeps_the_scaling_of_its_first_rows_and_goes_on_after_a_fit(iris):
    X, y = iris
    fitted = network(early_stopping=True).partial_fit(X[::2], y[::2])
    mean = fitted.model_.inputs.mean
    np.testing.assert_allclose(mean, X[::2].mean(axis=0))
    fitted.partial_fit(X + 3.0, y)
    np.testing.assert_array_equal(fitted.model_.inputs.mean, mean)
    fitted.fit(X, y)
    before = len(fitted.loss_curve_)
    fitted.partial_fit(X, y)
    assert len(fitted.loss_curve_) == before + 1
    assert fitted.validation_scores_ is None
    assert not hasattr(fitted, "feature_importances_")


def test_partial_fit_of_classes_that_come_later(iris):
    X, y = iris
    fitted = network(batch_size=1000)
    fitted.partial_fit(X[:20], y[:20], classes=[0, 1, 2])
    assert fitted.classes_.tolist() == [0, 1, 2]
    fitted.partial_fit(X, y)
    assert fitted.predict_proba(X).shape == (150, 3)
    with pytest.raises(InvalidValueError, match="target must be of at least two classes"):
        network().partial_fit(X[:20], y[:20])
    with pytest.raises(InvalidValueError, match=re.escape("y: labels must be among [0, 1, 2], got [7]")):
        fitted.partial_fit(X[:2], [7, 0])
    with pytest.raises(InvalidValueError, match=r"class_weight must be a mapping or None, got 'balanced'"):
        network(class_weight="balanced").partial_fit(X, y)


def test_partial_fit_of_labels_and_of_several_targets(iris):
    X, Y = make_multilabel_classification(60, 4, n_classes=3, random_state=0)
    assert network().partial_fit(X, Y).partial_fit(X, Y).predict(X).shape == (60, 3)
    X, y = iris
    targets = np.c_[y, y == 0].astype(int)
    several = network().partial_fit(X[:50], targets[:50], classes=[[0, 1, 2], [0, 1]]).partial_fit(X, targets)
    assert several.predict(X).shape == (150, 2)


def test_one_row_at_a_time(iris):
    X, y = iris
    fitted = network(learning_rate_init=0.02).partial_fit(X[::5], y[::5], classes=[0, 1, 2])
    for i in np.random.default_rng(0).permutation(150):
        fitted.partial_fit(X[i : i + 1], y[i : i + 1])
    assert fitted.score(X, y) > 0.8


def test_transfer_takes_the_body_and_the_scaling_over(iris):
    X, y = iris
    base = network(hidden_layer_sizes=(8, 5), max_iter=30).fit(X, y == 0)
    tuned = network(init_from=base, hidden_layer_sizes=(8, 5), learning_rate_multipliers={"0.*": 0.0}, max_iter=5).fit(
        X[::2] + 1.0, y[::2]
    )
    assert [W.shape for W in tuned.coefs_] == [(4, 8), (8, 5), (5, 3)]
    np.testing.assert_array_equal(tuned.coefs_[0], base.coefs_[0])
    assert not np.array_equal(tuned.coefs_[1], base.coefs_[1])
    np.testing.assert_array_equal(tuned.model_.inputs.mean, base.model_.inputs.mean)


@pytest.mark.parametrize("make", KINDS)
def test_frozen_transfer_to_the_same_question_changes_nothing(iris, make):
    X, y = iris
    base = network(make, max_iter=10).fit(X, y)
    same = network(make, init_from=base.model_, learning_rate_multipliers={"*": 0.0}, max_iter=1, random_state=5).fit(
        X[::2], y[::2]
    )
    np.testing.assert_array_equal(same.predict(X), base.predict(X))


def test_other_classes_have_a_head_of_their_own(iris):
    X, y = iris
    base = network().fit(X, y)
    other = network(init_from=base, learning_rate_multipliers={"*": 0.0}, max_iter=1).fit(
        X, np.array(["a", "b", "c"])[y]
    )
    np.testing.assert_array_equal(other.coefs_[0], base.coefs_[0])
    assert not np.array_equal(other.coefs_[1], base.coefs_[1])


def test_transfer_from_classes_to_amounts_and_through_clones(iris):
    X, y = iris
    base = network(max_iter=60, learning_rate_init=0.02).fit(X, y)
    tuned = network(NetRegressor, init_from=base, max_iter=60, learning_rate_init=0.02)
    assert clone(tuned).init_from is base
    assert cross_val_score(tuned, X, X[:, 3], cv=3).shape == (3,)
    assert tuned.fit(X, X[:, 3]).score(X, X[:, 3]) > 0.9
    with pytest.raises(InvalidValueError, match="X must be of 4 columns, like the rows of init_from, got 2"):
        tuned.fit(X[:, :2], y)


def test_groups_slow_layers_down(iris):
    X, y = iris
    start = network(max_iter=1, learning_rate_init=1e-12).fit(X, y)
    slow = network(learning_rate_multipliers={"0.*": 0.01, "*.b": 0.0}, max_iter=3).fit(X, y)
    moved = [np.abs(after - before).max() for after, before in zip(slow.coefs_, start.coefs_, strict=True)]
    assert 0 < moved[0] < 0.05 * moved[1]
    np.testing.assert_allclose(slow.intercepts_[1], start.intercepts_[1], atol=1e-9)
    with pytest.raises(InvalidValueError, match="learning_rate_multipliers must be patterns of parameter names"):
        network(learning_rate_multipliers={"9.*": 0.0}).fit(X, y)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_a_warning_points_at_the_line_that_asked(iris, call):
    wild = network(NetRegressor, optimizer="sgd", learning_rate_init=1e200, dtype="float32")
    with np.errstate(all="ignore"), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        getattr(wild, call)(*iris)
    assert [os.path.basename(each.filename) for each in told] == [os.path.basename(__file__)]


INTERRUPTED = """
import threading
import numpy as np
from sklearn.datasets import load_iris
from chainrule import NetClassifier
from chainrule.callbacks import function
X, y = load_iris(return_X_y=True)
begun = threading.Semaphore(0)
def tell():
    begun.acquire()
    begun.acquire()
    print("begun", flush=True)
telling = threading.Thread(target=tell)
telling.start()
tenth = function(lambda epoch: begun.release() if epoch.number == 10 else None)
network = NetClassifier((8,), n_networks=2, max_iter=10**8, tol=0.0, n_iter_no_change=10**8, callbacks=[tenth])
network.set_params(random_state=0, learning_rate_init=0.01, engine="reference").fit(X, y, X_val=X[::3], y_val=y[::3])
telling.join()
for run in network.runs_:
    losses = [epoch.validation_loss for epoch in run.epochs if epoch.complete]
    print(run.stop.reason.value, len(losses) >= 10, run.best_epoch == 1 + int(np.argmin(losses)))
print(network.score(X, y) > 0.7, len(network.model_.members), threading.active_count())
"""


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_keeps_each_networks_best_epoch():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "2"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED], **pipes)
    assert child.stdout.readline() == "begun\n", child.stderr.read()
    child.send_signal(signal.SIGINT)
    out, error = child.communicate(timeout=60)
    assert (out.splitlines(), error) == (["interrupted True True", "interrupted True True", "True 2 1"], "")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:500], y[:500]


def test_a_sound_training_is_examined_as_healthy_and_the_estimator_stays_as_it_is(digits):
    fitted = network(hidden_layer_sizes=(32,), scaling="shared", learning_rate_init=0.005)
    before = dict(vars(fitted))
    report = fitted.examine(*digits)
    assert report.healthy
    assert report.notes[0] == "100 of 500 rows were held out to judge by."
    assert vars(fitted) == before


@pytest.mark.parametrize("options", [{}, {"early_stopping": True, "validation_fraction": 0.2}])
def test_a_rate_that_is_too_high_is_told(digits, options):
    wild = network(scaling="shared", optimizer="sgd", learning_rate_init=30.0, **options)
    report = wild.examine(*digits)
    assert (report.verdict, report.primary.symptom) == ("ill", "learning-rate-too-high")


@pytest.mark.slow
def test_an_examination_is_of_what_fit_would_train(iris):
    X, y = iris
    own = {"X_val": X[::3], "y_val": y[::3], "sample_weight_val": np.linspace(0.5, 1.0, 50)}
    options = {"class_weight": "balanced", "learning_rate_init": 0.05, "early_stopping": True, "max_iter": 60}
    weights = np.linspace(0.1, 1.0, 150)
    fitted = network(**options).fit(X, y, weights, **own)
    report = network(**options).examine(X, y, weights, **own)
    assert report.notes == ()
    assert report.problem.config.epochs == fitted.best_iteration_
    np.testing.assert_allclose(report.trace.final.w, fitted.model_.w, rtol=1e-6)
    with pytest.raises(InvalidValueError, match="scoring must be None without validation rows"):
        network(scoring="accuracy").examine(X, y)


@pytest.mark.slow
def test_what_is_found_is_mended(digits):
    X, y = (part[:200] for part in digits)
    report = network(scaling="shared", learning_rate_init=1e-7).examine(X, y, fix=True)
    assert report.healthy
    assert any("kept" in note for note in report.notes)
