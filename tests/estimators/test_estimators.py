"""Why: whoever has scikit-learn habits must find them honored: fit, predict, score, clone, searches, weights, frames.

In: `NetClassifier` and `NetRegressor` on small data. Out: scikit-learn's own estimators and equalities as oracles.
"""

import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from chainrule import NetClassifier, NetRegressor
from chainrule.errors import InvalidValueError
from chainrule.nn.optimizers import SGDMomentum
from chainrule.nn.schedules import Cosine
from chainrule.train import EarlyStopping


def classifier(*arguments, **options):
    return NetClassifier(*arguments, **{"engine": "reference", "random_state": 0, "max_iter": 20} | options)


def regressor(*arguments, **options):
    return NetRegressor(*arguments, **{"engine": "reference", "random_state": 0, "max_iter": 20} | options)


def iris():
    return load_iris(return_X_y=True)


def points(n=60, classes=2, seed=0):
    """Rows of two columns and classes of unequal size."""
    rng = np.random.default_rng(seed)
    y = np.minimum(rng.integers(0, 2 * classes, n), classes - 1)
    return rng.normal(size=(n, 2)) + y[:, None], y


def test_fit_gives_what_scikit_learn_expects():
    X, y = iris()
    network = classifier((8,), max_iter=30)
    assert network.fit(X, y) is network
    assert network.classes_.tolist() == [0, 1, 2]
    assert network.n_features_in_ == 4
    assert network.n_iter_ == 30
    assert len(network.loss_curve_) == 30
    assert network.loss_curve_[-1] < network.loss_curve_[0]
    assert network.validation_loss_curve_ is None
    assert network.engine_ == "reference"
    P = network.predict_proba(X)
    assert P.shape == (150, 3)
    np.testing.assert_allclose(P.sum(axis=1), 1.0, atol=1e-6)  # float32
    np.testing.assert_array_equal(network.predict(X), network.classes_[P.argmax(axis=1)])
    assert network.score(X, y) == accuracy_score(y, network.predict(X))


def test_regressor_gives_amounts_in_their_unit():
    X, y = load_diabetes(return_X_y=True)
    network = regressor((16,)).fit(X, y)
    predicted = network.predict(X)
    assert predicted.shape == y.shape
    assert network.score(X, y) == r2_score(y, predicted)
    assert 0.4 < network.score(X, y) < 0.8
    assert abs(predicted.mean() - y.mean()) < 0.2 * y.std()


@pytest.mark.parametrize(
    "labels",
    [
        ["ash", "beech", "elm"],
        [10, -3, 7],
        [0.0, 1.0, 2.5e9],
        np.array(["x", "y", "z"], object),
    ],
    ids=str,
)
def test_labels_come_back_as_they_came(labels):
    X, y = iris()
    labels = np.array(labels) if not isinstance(labels, np.ndarray) else labels
    network = classifier((8,)).fit(X, labels[y])
    assert network.classes_.tolist() == sorted(labels.tolist())
    assert network.classes_.dtype == labels.dtype
    assert network.predict(X).dtype == labels.dtype
    assert set(network.predict(X).tolist()) <= set(labels.tolist())
    # the same network whatever the classes are called, when their order is the same
    order = np.argsort(np.argsort(labels))
    np.testing.assert_array_equal(network.predict_proba(X), classifier((8,)).fit(X, order[y]).predict_proba(X))


def test_booleans_are_classes():
    X, y = points()
    network = classifier((4,)).fit(X, y == 1)
    assert network.classes_.tolist() == [False, True]
    assert network.predict(X).dtype == bool
    assert network.predict_proba(X).shape == (60, 2)


def test_numpy_pandas_and_polars_give_equal_predictions():
    X, y = iris()
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    frames = {"pandas": pd.DataFrame(X, columns=names), "polars": pl.DataFrame(dict(zip(names, X.T, strict=True)))}
    expected = classifier((8,)).fit(X, y)
    assert not hasattr(expected, "feature_names_in_")
    for frame, series in zip(frames.values(), (pd.Series(y), pl.Series(y)), strict=True):
        network = classifier((8,)).fit(frame, series)
        np.testing.assert_array_equal(network.predict_proba(frame), expected.predict_proba(X))
        assert network.feature_names_in_.tolist() == names
        assert network.model_.feature_names == tuple(names)
        assert expected.model_.feature_names == ("x0", "x1", "x2", "x3")
    with pytest.raises(ValueError, match="feature names should match"):
        network.predict(frames["pandas"][names[::-1]])


def test_text_series_of_both_kinds_of_frame():
    X, y = iris()
    kinds = np.array(["ash", "beech", "elm"])[y]
    expected = classifier((8,)).fit(X, kinds).predict(X)
    for series in (pd.Series(kinds), pl.Series(kinds), kinds.tolist(), pd.Series(kinds, dtype="category")):
        np.testing.assert_array_equal(classifier((8,)).fit(X, series).predict(X), expected)


def full_batch(**options):
    """Settings under which a step sees all rows, in float64, so that only the order of sums can differ."""
    return {"batch_size": "full", "dtype": "float64", "max_iter": 30, "learning_rate_init": 0.01} | options


@pytest.mark.parametrize("options", [{}, {"batch_norm": False, "scaling": "none"}, {"alpha": 0.1, "scaling": "shared"}])
def test_weight_two_is_a_row_twice_and_weight_zero_a_row_less(options):
    X, y = points(classes=3)
    weights = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    repeated = np.repeat(np.arange(len(y)), weights.astype(int))
    weighted = classifier((6,), **full_batch(**options)).fit(X, y, sample_weight=weights)
    plain = classifier((6,), **full_batch(**options)).fit(X[repeated], y[repeated])
    # sums of up to 120 float64 terms in another order, 30 steps: far below 1e-9
    np.testing.assert_allclose(weighted.predict_proba(X), plain.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, plain.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_weights_of_a_regression_are_repetitions(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    y = np.exp(X[:, 0])
    weights = rng.integers(0, 3, 40).astype(float)
    repeated = np.repeat(np.arange(40), weights.astype(int))
    weighted = regressor((6,), loss=loss, **full_batch()).fit(X, y, sample_weight=weights)
    plain = regressor((6,), loss=loss, **full_batch()).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.predict(X), plain.predict(X), rtol=1e-9, atol=1e-9)


def test_class_weights_are_weights_of_the_rows_of_the_class():
    X, y = points(classes=3)
    counts = np.bincount(y)
    balanced = len(y) / (3 * counts)
    by_word = classifier((6,), class_weight="balanced", **full_batch()).fit(X, y)
    by_table = classifier((6,), class_weight=dict(enumerate(balanced)), **full_batch()).fit(X, y)
    by_rows = classifier((6,), **full_batch()).fit(X, y, sample_weight=balanced[y])
    np.testing.assert_array_equal(by_word.predict_proba(X), by_table.predict_proba(X))
    np.testing.assert_array_equal(by_word.predict_proba(X), by_rows.predict_proba(X))
    plain = classifier((6,), **full_batch()).fit(X, y)
    rare = counts.argmin()
    assert by_word.predict_proba(X)[:, rare].mean() > plain.predict_proba(X)[:, rare].mean()


def test_class_weight_left_out_of_a_table_is_one():
    X, y = points()
    network = classifier((6,), class_weight={1: 3.0}, **full_batch()).fit(X, y)
    weighted = classifier((6,), **full_batch()).fit(X, y, sample_weight=np.where(y == 1, 3.0, 1.0))
    np.testing.assert_array_equal(network.predict_proba(X), weighted.predict_proba(X))


def test_class_weight_of_text_labels():
    X, y = points()
    kinds = np.array(["no", "yes"])[y]
    network = classifier((6,), class_weight={"yes": 3.0}, **full_batch()).fit(X, kinds)
    same = classifier((6,), class_weight={1: 3.0}, **full_batch()).fit(X, y)
    np.testing.assert_array_equal(network.predict_proba(X), same.predict_proba(X))


@pytest.mark.parametrize(
    ("weight", "sentence"),
    [
        ("balance", "class_weight must be 'balanced', a mapping of labels to weights, or None, got 'balance'."),
        ({5: 1.0}, "class_weight must be for labels among [0, 1], got [5]."),
        ({0: -1.0}, "class_weight[0] must be a finite number >= 0, got -1.0."),
        ({0: float("nan")}, "class_weight[0] must be a finite number >= 0, got nan."),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(weight, sentence):
    with pytest.raises(InvalidValueError, match=re.escape(sentence)):
        classifier(class_weight=weight).fit(*points())


@pytest.mark.parametrize("weights", [[-1.0] + [1.0] * 59, [0.0] * 60, [np.nan] + [1.0] * 59, [1.0] * 59])
def test_sample_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match=r"weight|NaN|not all 0"):
        classifier().fit(*points(), sample_weight=weights)


@pytest.mark.parametrize("make", [classifier, regressor])
def test_clone_and_parameters(make):
    network = make((3, 4), activation="tanh", dropout=0.25, schedule=Cosine(end=0.1), optimizer=SGDMomentum())
    parameters = network.get_params()
    assert parameters["hidden_layer_sizes"] == (3, 4)
    twin = clone(network)
    assert twin is not network
    assert str(twin.get_params()) == str(parameters)
    assert type(network)(**parameters).get_params() == parameters
    twin.set_params(dropout=0.5)
    assert (network.dropout, twin.dropout) == (0.25, 0.5)
    assert not any(name.endswith("_") and not name.startswith("_") for name in vars(twin))
    assert "dropout=0.25" in repr(network)


def test_grid_search_and_cross_validation():
    X, y = iris()
    grid = {"netclassifier__hidden_layer_sizes": [(2,), (16,)], "netclassifier__learning_rate_init": [1e-6, 0.05]}
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier()), grid, cv=2).fit(X, y)
    assert search.best_params_["netclassifier__learning_rate_init"] == 0.05
    assert search.best_score_ > 0.9
    shuffled = KFold(3, shuffle=True, random_state=0)
    assert cross_val_score(regressor(learning_rate_init=0.01), X[:, :3], X[:, 3], cv=shuffled).mean() > 0.8


def test_frames_survive_a_pipeline():
    X, y = iris()
    frame = pd.DataFrame(X, columns=list("abcd"))
    network = make_pipeline(FunctionTransformer(lambda table: table[["d", "a"]]), classifier((8,))).fit(frame, y)
    assert network[-1].model_.feature_names == ("d", "a")


def test_random_state_makes_a_run_repeatable():
    X, y = iris()
    first, again, other = (classifier((8,), random_state=seed).fit(X, y).predict_proba(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    states = [classifier((8,), random_state=np.random.RandomState(5)).fit(X, y).predict_proba(X) for _ in range(2)]
    np.testing.assert_array_equal(*states)
    fresh = [classifier((8,), random_state=None).fit(X, y).predict_proba(X) for _ in range(2)]
    assert np.abs(fresh[0] - fresh[1]).max() > 1e-3
    assert classifier(random_state=np.int64(3)).fit(X, y).run_.epochs


def test_global_seed_is_neither_read_nor_moved():
    X, y = iris()
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    classifier((4,), random_state=None, max_iter=2).fit(X, y)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_fitting_again_starts_anew():
    X, y = iris()
    network = classifier((8,))
    first = network.fit(X, y).predict_proba(X)
    network.fit(X[:, :2], y)
    assert network.n_features_in_ == 2
    np.testing.assert_array_equal(network.fit(X, y).predict_proba(X), first)


def test_early_stopping_keeps_the_best_epoch():
    X, y = points(200)
    options = {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 500, "learning_rate_init": 0.05}
    network = classifier((32, 32), n_iter_no_change=8, **options).fit(X, y)
    losses = network.validation_loss_curve_
    assert network.n_iter_ == len(losses) < 500
    best = int(np.argmin(losses))
    assert network.run_.best_epoch == best + 1 < network.n_iter_
    # what is kept is the best epoch itself: a run that ends there has the same numbers
    shorter = classifier((32, 32), n_iter_no_change=500, **options | {"max_iter": best + 1}).fit(X, y)
    np.testing.assert_array_equal(network.model_.w, shorter.model_.w)


def test_early_stopping_scales_by_the_training_rows_only():
    X = np.random.default_rng(0).normal(size=(100, 2))
    y = 100.0 * X[:, 0] + 1e3
    network = regressor(early_stopping=True, validation_fraction=0.4, max_iter=2).fit(X, y)
    assert network.model_.targets.mean[0] != pytest.approx(y.mean(), rel=1e-9)
    plain = regressor(max_iter=2).fit(X, y)
    assert plain.model_.targets.mean[0] == pytest.approx(y.mean(), rel=1e-12)


def test_stops_when_the_training_loss_no_longer_falls():
    X, y = points()
    network = classifier((4,), max_iter=400, tol=0.05, n_iter_no_change=4, learning_rate_init=0.02).fit(X, y)
    assert network.n_iter_ < 400
    assert str(network.run_.stop) == "stopped early: training loss did not improve for 4 epochs"


def test_callbacks_watch_the_run():
    X, y = iris()
    network = classifier((4,), max_iter=50, callbacks=[EarlyStopping(2, 1e9, "train_loss")]).fit(X, y)
    assert network.n_iter_ == 3


def test_every_fault_of_the_arguments_is_in_one_error():
    wrong = {
        "hidden_layer_sizes": (3, 0),
        "activation": "rleu",
        "batch_norm": True,
        "layer_norm": True,
        "dropout": 1.0,
        "optimizer": "adma",
        "schedule": 3,
        "learning_rate_init": 0.0,
        "batch_size": 0,
        "max_iter": 0,
        "alpha": -1.0,
        "max_grad_norm": 0.0,
        "early_stopping": "yes",
        "validation_fraction": 1.0,
        "n_iter_no_change": 0,
        "tol": float("nan"),
        "label_smoothing": 1.0,
        "scaling": "rows",
        "engine": "refrence",
        "dtype": "float16",
        "random_state": -1,
    }
    with pytest.raises(InvalidValueError) as raised:
        NetClassifier(**wrong).fit(*points())
    lines = str(raised.value).splitlines()
    assert {re.match(r"NetClassifier: (\w+) must be ", line)[1] for line in lines} == set(wrong) - {"batch_norm"}
    assert "Did you mean 'relu'?" in str(raised.value)
    with pytest.raises(InvalidValueError, match=r"NetRegressor: loss must be one of .* Did you mean 'huber'\?"):
        NetRegressor(loss="hubber").fit(*points())


def test_arguments_are_kept_as_given_and_checked_only_in_fit():
    network = NetClassifier(hidden_layer_sizes=7, dropout=3.0)
    assert (network.hidden_layer_sizes, network.dropout) == (7, 3.0)
    network = classifier(7).fit(*points())
    assert network.hidden_layer_sizes == 7
    assert network.model_.net.widths[1] == 7
    assert classifier([7, 5]).fit(*points()).model_.net.widths[1] == 7


@pytest.mark.parametrize(
    ("X", "y", "sentence"),
    [
        ([[0.0], [1.0]], [1, 1], "target must be of at least two classes"),
        ([[0.0], [np.nan]], [0, 1], "NaN"),
        ([[0.0], [np.inf]], [0, 1], "infinity"),
        ([["a"], ["b"]], [0, 1], "could not convert"),
        ([0.0, 1.0], [0, 1], "2D array"),
        ([[0.0], [1.0]], [0, 1, 2], "inconsistent numbers"),
        ([[0.0], [1.0], [2.0]], [0.1, 0.2, 0.3], "continuous"),
        (np.zeros((3, 0)), [0, 1, 1], "0 feature"),
    ],
)
def test_data_that_cannot_be_learned_from_are_refused(X, y, sentence):
    with pytest.raises(ValueError, match=sentence):
        classifier().fit(X, y)


def test_more_rows_a_batch_than_there_are_is_refused():
    with pytest.raises(InvalidValueError, match=re.escape("at most the number of training rows (60), got 61.")):
        classifier(batch_size=61).fit(*points())


def test_unfitted_and_misfitting_rows_are_refused():
    X, _ = points()
    for network in (classifier(), regressor()):
        with pytest.raises(NotFittedError):
            network.predict(X)
    network = classifier().fit(*points())
    with pytest.raises(ValueError, match="expecting 2 features"):
        network.predict(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="NaN"):
        network.predict([[np.nan, 0.0]])


def test_divergence_is_a_convergence_warning():
    X, y = load_diabetes(return_X_y=True)
    network = regressor((8,), optimizer="sgd", learning_rate_init=1e30)
    with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning, match=r"diverged.*Lower learning_rate_init"):
        network.fit(X, y)
    assert np.isfinite(network.predict(X)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regressor((8,), max_iter=2).fit(X, y)


def test_several_outputs():
    X, y = load_diabetes(return_X_y=True)
    Y = np.c_[y, 1e4 - 3.0 * y, X[:, 2]]
    network = regressor((32,), max_iter=60).fit(X, Y)
    assert network.predict(X).shape == (442, 3)
    scores = r2_score(Y, network.predict(X), multioutput="raw_values")
    assert (scores > 0.4).all()
    # one column as a matrix is the same task as a vector
    column, vector = regressor((8,)).fit(X, y[:, None]), regressor((8,)).fit(X, y)
    np.testing.assert_array_equal(column.predict(X).ravel(), vector.predict(X))


def test_poisson_predicts_rates_of_counts():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(2000, 1))
    rate = np.exp(0.5 + 1.5 * X[:, 0])
    options = {"max_iter": 60, "n_iter_no_change": 60, "learning_rate_init": 0.01, "schedule": "cosine"}
    network = regressor((16,), loss="poisson", **options).fit(X, rng.poisson(rate))
    predicted = network.predict(X)
    assert (predicted > 0).all()
    # 2000 counts of mean 2.3 give a smooth curve with ten effective numbers an error of about √(10 / 4600) = 0.05
    assert np.abs(predicted / rate - 1).mean() < 0.05
    with pytest.raises(InvalidValueError, match=re.escape("counts >= 0 for the Poisson loss, got -1.0.")):
        network.fit(X, np.where(np.arange(2000) == 7, -1.0, 1.0))


def test_absolute_error_fits_the_median_and_squared_error_the_mean():
    rng = np.random.default_rng(0)
    y = rng.exponential(size=4000)
    X = np.ones((4000, 1))
    options = {"max_iter": 150, "learning_rate_init": 0.02, "batch_size": 500, "schedule": "cosine"}
    fits = {
        loss: regressor((), loss=loss, **options).fit(X, y).predict(X[:1])[0]
        for loss in ("squared_error", "absolute_error")
    }
    assert fits["squared_error"] == pytest.approx(y.mean(), abs=0.03)
    assert fits["absolute_error"] == pytest.approx(np.median(y), abs=0.03)


@pytest.mark.parametrize("classes", [2, 3])
def test_label_smoothing_holds_probabilities_back(classes):
    rng = np.random.default_rng(0)
    y = np.arange(90) % classes
    X = 10.0 * np.eye(classes)[y] + rng.normal(size=(90, classes))
    options = {"max_iter": 1000, "n_iter_no_change": 1000, "learning_rate_init": 0.02, "batch_size": "full"}
    sharp = classifier((8,), **options).fit(X, y)
    smooth = classifier((8,), label_smoothing=0.2, **options).fit(X, y)
    assert sharp.predict_proba(X).max(axis=1).min() > 0.98
    # the loss is least where every probability is the smoothed target: 1 - ε + ε/K
    np.testing.assert_allclose(smooth.predict_proba(X).max(axis=1).mean(), 1 - 0.2 + 0.2 / classes, atol=0.005)
    assert smooth.score(X, y) == 1.0


def test_no_hidden_layer_is_logistic_regression():
    X, y = load_breast_cancer(return_X_y=True)
    network = classifier((), max_iter=60).fit(X, y)
    assert network.model_.net.size == 31
    assert network.score(X, y) > 0.97


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer], ids=lambda load: load.__name__)
def test_as_good_as_scikit_learns_network(load):
    X, y = load(return_X_y=True)
    ours, theirs = [], []
    for seed in range(3):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=seed, stratify=y)
        scale = StandardScaler().fit(X_train)
        options = {"max_iter": 100, "learning_rate_init": 0.005, "batch_size": 32, "random_state": seed}
        network = MLPClassifier((50,), alpha=0.0, n_iter_no_change=100, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            theirs.append(network.fit(scale.transform(X_train), y_train).score(scale.transform(X_test), y_test))
        network = classifier((50,), **options).fit(X_train, y_train)
        ours.append(network.score(X_test, y_test))
    # 135 to 513 test rows with accuracies near 0.97: the standard error of the difference is at most 0.02
    assert np.mean(ours) > np.mean(theirs) - 0.02


def test_verbose_draws_a_bar_on_standard_error(capsys):
    classifier((4,), max_iter=2, verbose=True).fit(*points())
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2" in err
    classifier((4,), max_iter=2).fit(*points())
    assert capsys.readouterr() == ("", "")
