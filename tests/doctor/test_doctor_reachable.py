"""Why: most tables are noisy, and a network that is as good as the data allow must not be called ill.

In: noisy data whose best possible error is known, sound and dead networks. Out: comparisons with quick models, verdicts.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_cases import healthy, with_recipe

from chainrule import NetClassifier, NetRegressor
from chainrule.doctor import DoctorMonitor
from chainrule.doctor.observe.quick_models import boosted_predictions, neighbor_predictions, one_hot, ridge_predictions
from chainrule.doctor.trials.reachable import Comparison, Errors, compare
from chainrule.nn.losses import Quantile
from chainrule.train import train


def draw(name, n=1200, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4))
    if name == "flipped xor":
        return X, (X[:, 0] * X[:, 1] > 0) ^ (rng.random(n) < 0.2)
    if name == "overlap":
        return X, rng.random(n) < 1 / (1 + np.exp(-X[:, 0] - X[:, 1]))
    if name == "rare":
        return X, rng.random(n) < 1 / (1 + np.exp(2.5 - X[:, 0]))
    if name == "line":
        return X, X @ np.array([1.0, -1.0, 0.5, 0.0]) + rng.normal(0, 2, n)
    if name == "wave":
        return X, np.sin(2 * X[:, 0]) + rng.normal(0, 0.8, n)
    if name == "heavy tails":
        return X, X[:, 0] + rng.standard_t(2.2, n)
    return X, rng.normal(size=n) + 0.25 * X[:, 0]


CLASSES = ("flipped xor", "overlap", "rare")
VALUES = ("line", "wave", "heavy tails", "weak")


def net(name, **settings):
    make = NetClassifier if name in CLASSES else NetRegressor
    usual = {"hidden_layer_sizes": (32,), "learning_rate_init": 3e-3, "max_iter": 60, "early_stopping": True}
    return make(**{**usual, "random_state": 0, **settings})


def watched(name, **settings):
    """The report of watching on the state that the run keeps."""
    reports = []
    net(name, callbacks=[DoctorMonitor(on_report=reports.append)], **settings).fit(*draw(name))
    return reports[0]


@pytest.mark.parametrize("name", [*CLASSES, *VALUES])
@pytest.mark.parametrize(
    "settings", [{}, {"activation": "tanh"}, {"learning_rate_init": 1e-3, "dropout": 0.2}], ids=str
)
def test_watching_is_silent_about_sound_networks_on_noise(name, settings):
    report = watched(name, **settings)
    assert report.verdict == "healthy", [finding.symptom for finding in report.findings if finding.severity != "info"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["overlap", "rare", "wave", "weak"])
def test_an_examination_is_silent_too_and_says_once_what_remains(name):
    report = net(name).examine(*draw(name))
    assert report.verdict == "healthy", [finding.symptom for finding in report.findings if finding.severity != "info"]
    noise = [finding for finding in report.findings if finding.symptom == "noise"]
    assert len(noise) == 1
    assert noise[0].severity == "info"
    assert noise[0].figures["network"] > 0.25


@pytest.mark.parametrize("name", ["flipped xor", "overlap", "line", "wave"])
@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate_init": 1e-8},
        {"optimizer": "sgd", "learning_rate_init": 1e-7},
        {"learning_rate_multipliers": {"*": 0.0}},
    ],
    ids=str,
)
def test_a_dead_network_on_noise_is_still_ill(name, settings):
    assert watched(name, early_stopping=False, **settings).verdict == "ill"


def test_the_report_is_about_the_epoch_that_the_run_keeps():
    X, y = draw("rare", 400)
    reports = []
    fitted = NetClassifier(
        (128,),
        learning_rate_init=0.03,
        max_iter=60,
        early_stopping=True,
        random_state=0,
        callbacks=[DoctorMonitor(on_report=reports.append)],
    ).fit(X, y)
    assert fitted.run_.best_epoch < len(fitted.run_.epochs)
    assert np.array_equal(reports[0].trace.final.w, fitted.run_.state.w)


def errors(mistakes, squares=None):
    mistakes = np.full(1000, mistakes)
    return Errors(mistakes, mistakes if squares is None else np.full(1000, squares))


@pytest.mark.parametrize(
    ("quick", "network", "matches"),
    [
        (errors(0.5), errors(0.5), True),
        (errors(0.5), errors(0.7), True),
        (errors(0.5), errors(0.85), False),
        (errors(0.1), errors(0.5), True),
        (errors(0.1), errors(0.7), False),
        (errors(1.2), errors(1.04), True),
        (errors(1.0), errors(1.2), False),
        (errors(1.0, 0.7), errors(1.0, 1.0), False),
    ],
)
def test_a_network_matches_if_it_explains_half_as_much(quick, network, matches):
    assert Comparison("ridge regression", quick, network).matches == matches


@pytest.mark.parametrize("name", ["circles", "blobs", "digits", "wine", "diabetes"])
def test_a_trained_network_matches_and_an_untrained_one_does_not(name):
    problem = healthy(name)
    assert compare(problem, train(problem).state).matches
    assert not compare(problem, problem.recipe.start()).matches


def test_there_is_nothing_to_compare_without_rows_or_a_mean():
    problem = healthy("diabetes")
    state = problem.recipe.start()
    few = replace(problem, rows=problem.rows[:20], validation=None)
    assert compare(few, state) is None
    assert compare(with_recipe(problem, loss=Quantile((0.9,))), state) is None
    broken = replace(problem.rows, X=np.where(np.arange(10) == 3, np.nan, problem.rows.X))
    assert compare(replace(problem, rows=broken), state) is None


def test_quick_models_predict_new_rows():
    rng = np.random.default_rng(0)
    X, X_new = rng.normal(size=(600, 3)), rng.normal(size=(200, 3))
    truth = lambda X: np.sin(X[:, :1]) + X[:, 1:2] ** 2  # noqa: E731
    constant = truth(X_new).var()
    for predicted in (
        ridge_predictions(X, truth(X), X_new),
        neighbor_predictions(X, truth(X), X_new),
        boosted_predictions(X, truth(X), X_new, None),
    ):
        assert predicted.shape == (200, 1)
        assert ((predicted - truth(X_new)) ** 2).mean() < 0.3 * constant
    y = (X[:, 0] > 0).astype(int)
    P = boosted_predictions(X, one_hot(y, 3), X_new, y)
    assert P.shape == (200, 3)
    assert (P.argmax(axis=1) == (X_new[:, 0] > 0)).mean() > 0.95
