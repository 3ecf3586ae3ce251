"""Why: a drop-in must train the network that scikit-learn trains, not one like it.

In: the same rows, parameters and `random_state` for both libraries. Out: weights equal to rounding after many epochs, on
every engine; equal test scores on scikit-learn's own data sets.
"""

import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import chainrule.sklearn as ours
from chainrule.engines import why_unavailable
from chainrule.sklearn.base import Perceptron

ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(bool(why_unavailable(name)), reason=f"{name} engine is not there"))
    for name in ("reference", "native")
]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    monkeypatch.setattr(Perceptron, "engine", request.param)
    return request.param


@pytest.fixture
def rows(rng):
    """130 rows in 3 classes: two batches of 50 and one of 30."""
    X = rng.normal(size=(130, 6))
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 0.8)


@pytest.fixture
def amounts(rng, rows):
    return np.stack([np.sin(rows[0][:, 0]), rows[0][:, 1] * rows[0][:, 2]], axis=1)


def pair(name, X, y, sample_weight=None, **parameters):
    """Both libraries' estimators, fitted."""
    common = {"random_state": 3, "batch_size": 50, "hidden_layer_sizes": (7, 5), "max_iter": 12, **parameters}
    both = [getattr(library, name)(**common) for library in (theirs, ours)]
    return [estimator.fit(X, y, sample_weight=sample_weight) for estimator in both]


def assert_same_weights(a, b, tolerance=1e-12):
    """Equal to rounding: some 40 steps add up to fewer than 1e4 roundings of 1e-16."""
    assert a.n_iter_ == b.n_iter_
    for left, right in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_allclose(right, left, rtol=0, atol=tolerance)


CLASSIFIERS = {
    "adam": {},
    "adam with a large epsilon": {"epsilon": 1e-2, "beta_1": 0.8, "beta_2": 0.9},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.1},
    "heavy ball": {"solver": "sgd", "learning_rate_init": 0.1, "nesterovs_momentum": False},
    "no friction": {"solver": "sgd", "learning_rate_init": 0.001, "momentum": 1.0},
    "no momentum": {"solver": "sgd", "learning_rate_init": 0.1, "momentum": 0.0},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 1.0, "power_t": 0.4},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1, "max_iter": 40},
    "large alpha": {"alpha": 2.0},
    "no alpha": {"alpha": 0.0},
    "in order": {"shuffle": False},
    "full batch": {"batch_size": 130},
    "one row at a time": {"batch_size": 1, "max_iter": 1},
    "stops": {"tol": 0.05, "n_iter_no_change": 2, "max_iter": 60},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.02, "max_iter": 60},
    "logistic": {"activation": "logistic"},
    "tanh": {"activation": "tanh"},
    "identity": {"activation": "identity"},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "lbfgs": {"solver": "lbfgs", "activation": "tanh"},
}


@pytest.mark.parametrize("parameters", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_classifier_has_the_same_weights(engine, rows, parameters):
    a, b = pair("MLPClassifier", *rows, **parameters)
    # L-BFGS divides differences of gradients by one another, which magnifies rounding
    assert_same_weights(a, b, 1e-8 if parameters.get("solver") == "lbfgs" else 1e-12)
    assert b.engine_ == engine
    np.testing.assert_allclose(b.predict_proba(rows[0]), a.predict_proba(rows[0]), atol=1e-8)
    np.testing.assert_array_equal(b.predict(rows[0]), a.predict(rows[0]))


# with lbfgs and several outputs scikit-learn's loss and gradient are of different functions;
# see docs/measured/sklearn-test-suite.md
@pytest.mark.parametrize(("solver", "columns"), [("adam", 1), ("adam", 2), ("sgd", 1), ("sgd", 2), ("lbfgs", 1)])
def test_regressor_has_the_same_weights(engine, rows, amounts, solver, columns):
    a, b = pair("MLPRegressor", rows[0], amounts[:, :columns].squeeze(), solver=solver)
    assert_same_weights(a, b, 1e-8 if solver == "lbfgs" else 1e-12)
    np.testing.assert_allclose(b.predict(rows[0]), a.predict(rows[0]), atol=1e-8)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_counts_and_labels_have_the_same_weights(engine, rows, amounts, solver):
    counts = np.round(np.exp(amounts))
    tolerance = 1e-8 if solver == "lbfgs" else 1e-12
    assert_same_weights(*pair("MLPRegressor", rows[0], counts, solver=solver, loss="poisson"), tolerance)
    assert_same_weights(*pair("MLPClassifier", rows[0], (amounts > 0).astype(int), solver=solver), tolerance)
    assert_same_weights(*pair("MLPClassifier", rows[0], rows[1] > 0, solver=solver), tolerance)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_weighted_rows_have_the_same_weights(engine, rng, rows, solver):
    c = rng.integers(0, 4, 130).astype(float)
    # without alpha: with it, scikit-learn's penalty follows the sum of each single batch's weights
    a, b = pair("MLPClassifier", *rows, sample_weight=c, solver=solver, alpha=0.0)
    assert_same_weights(a, b, 1e-8 if solver == "lbfgs" else 1e-12)
    np.testing.assert_allclose(b.loss_, a.loss_, rtol=1e-9)


def test_the_penalty_of_weighted_rows_is_an_average_batch_s(engine, rng, rows):
    c = rng.uniform(0.5, 1.5, 130)
    smooth = {"solver": "sgd", "learning_rate_init": 0.1, "activation": "tanh", "sample_weight": c}
    a, b = pair("MLPClassifier", *rows, alpha=1.0, **smooth)
    without = pair("MLPClassifier", *rows, alpha=0.0, **smooth)[1]
    # the sum of 30 to 50 such weights is within some 5 % of its mean, 15 % at three standard deviations
    for theirs_W, W, bare_W in zip(a.coefs_, b.coefs_, without.coefs_, strict=True):
        assert np.abs(W - theirs_W).max() < 0.15 * np.abs(bare_W - theirs_W).max()


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fits_have_the_same_weights(engine, rows, solver):
    both = [library.MLPClassifier((6,), solver=solver, random_state=1, batch_size=40) for library in (theirs, ours)]
    for estimator in both:
        for start in (0, 60, 30):
            part = slice(start, start + 70)
            estimator.partial_fit(rows[0][part], rows[1][part], classes=[0, 1, 2])
    assert_same_weights(*both)
    assert both[0].t_ == both[1].t_ == 210


def test_a_warm_start_has_the_same_weights(engine, rows):
    both = [
        library.MLPClassifier((6,), warm_start=True, random_state=1, max_iter=4, batch_size=50, early_stopping=stops)
        for stops in (False, True)
        for library in (theirs, ours)
    ]
    for estimator in both:
        estimator.fit(*rows).set_params(max_iter=6).fit(*rows)
    assert_same_weights(*both[:2])
    assert len(both[1].loss_curve_) == len(both[0].loss_curve_) == 10
    assert both[1].t_ == both[0].t_ == 1300
    # scikit-learn goes on training in the arrays that hold its best weights, so only the scores are comparable
    assert len(both[3].validation_scores_) == len(both[2].validation_scores_) == 10


@pytest.mark.parametrize("early_stopping", [False, True])
def test_curves_are_the_same(engine, rows, amounts, early_stopping):
    for a, b in (
        pair("MLPClassifier", *rows, early_stopping=early_stopping, alpha=0.01),
        pair("MLPClassifier", rows[0], (amounts > 0).astype(int), early_stopping=early_stopping),
        pair("MLPRegressor", rows[0], amounts, early_stopping=early_stopping),
        pair("MLPRegressor", rows[0], np.round(np.exp(amounts)), loss="poisson", early_stopping=early_stopping),
    ):
        # ‖W‖² is taken on the straight line between an epoch's ends: α/2n times its curvature within 3 steps
        np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-6)
        np.testing.assert_allclose(b.loss_, a.loss_, rtol=1e-6)
        if early_stopping:
            np.testing.assert_allclose(b.validation_scores_, a.validation_scores_, rtol=1e-9)
            np.testing.assert_allclose(b.best_validation_score_, a.best_validation_score_, rtol=1e-9)
            assert a.best_loss_ is b.best_loss_ is None
        else:
            np.testing.assert_allclose(b.best_loss_, a.best_loss_, rtol=1e-6)
            assert a.validation_scores_ is b.validation_scores_ is None


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_lbfgs_reports_the_same_loss(engine, rows, name):
    a, b = pair(name, *rows, solver="lbfgs", alpha=0.1)
    np.testing.assert_allclose(b.loss_, a.loss_, rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_float32_stays_and_agrees(engine, rows, solver):
    X = rows[0].astype(np.float32)
    a, b = pair("MLPClassifier", X, rows[1], solver=solver)
    assert {array.dtype for array in b.coefs_ + b.intercepts_} == {np.dtype(np.float32)}
    assert b.predict_proba(X).dtype == np.float32
    # 36 steps of float32, whose rounding is 6e-8
    assert_same_weights(a, b, 1e-4)


def test_several_outputs_reach_the_minimum_with_lbfgs(engine, rows, amounts):
    a, b = pair("MLPRegressor", rows[0], amounts, solver="lbfgs", max_iter=400, alpha=0.1, tol=1e-6)
    assert b.score(rows[0], amounts) >= a.score(rows[0], amounts) - 0.02


DATA = {
    "digits": (load_digits, "MLPClassifier"),
    "breast_cancer": (load_breast_cancer, "MLPClassifier"),
    "wine": (load_wine, "MLPClassifier"),
    "diabetes": (load_diabetes, "MLPRegressor"),
}


def score(library, name, X, y, seed):
    """Test score with that seed for split and network; a warning that it has not converged is usual at 60 epochs."""
    X, unseen, y, unseen_y = train_test_split(X, y, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return getattr(library, name)(random_state=seed, max_iter=60).fit(X, y).score(unseen, unseen_y)


@pytest.mark.parametrize("data", DATA)
def test_scores_are_the_same(engine, data):
    load, name = DATA[data]
    X, y = load(return_X_y=True)
    X, y = scale(X), y if name == "MLPClassifier" else scale(y)
    if engine == "reference":
        X, y = X[:400], y[:400]
    scores = [[score(library, name, X, y, seed) for library in (theirs, ours)] for seed in range(3)]
    # the same networks to rounding: not one row in a test set changes its class, no R² its sixth digit
    np.testing.assert_allclose(*np.transpose(scores), rtol=1e-6)
