"""Why: an estimator is one of scikit-learn's when scikit-learn's own checks, searches, pipelines and pickles say so.

In: `NetClassifier`, `NetRegressor`, arrays, frames, sparse matrices. Out: no failed check; equal answers whatever the form.
"""

import pickle
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from estimator_cases import KINDS, network
from scipy.sparse import csc_array, csr_array, csr_matrix
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule import NetClassifier, NetRegressor
from chainrule.errors import InvalidValueError
from chainrule.estimators import rows as rows_module


@parametrize_with_checks([make() for make in KINDS])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([make(engine="reference", max_iter=30) for make in KINDS])
def test_scikit_learns_checks_on_the_reference_engine(estimator, check):
    check(estimator)


def small(make, **options):
    return network(make, **{"max_iter": 5} | options)


def test_tags_say_what_is_possible():
    classifier, regressor = (make().__sklearn_tags__() for make in KINDS)
    assert (is_classifier(NetClassifier()), is_regressor(NetRegressor())) == (True, True)
    assert classifier.input_tags.sparse
    assert regressor.input_tags.sparse
    assert classifier.classifier_tags.multi_label
    assert classifier.target_tags.multi_output
    assert regressor.target_tags.multi_output


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("kind", [csr_matrix, csr_array, csc_array])
def test_sparse_rows_are_the_same_rows(iris, make, kind):
    X, y = iris
    X = np.where(X > 2.0, X, 0.0)
    dense, sparse = small(make).fit(X, y), small(make).fit(kind(X), y)
    np.testing.assert_array_equal(sparse.predict(kind(X)), dense.predict(X))
    np.testing.assert_array_equal(sparse.transform(kind(X)), dense.transform(X))
    np.testing.assert_array_equal(dense.predict(kind(X)), dense.predict(X))


def test_sparse_rows_that_would_fill_the_memory_are_refused(iris, monkeypatch):
    monkeypatch.setattr(rows_module, "_memory", lambda: 9_000.0)
    X, y = iris
    # 150 rows of 4 numbers of 8 bytes are 4800 bytes, more than half of 9000
    with pytest.raises(
        InvalidValueError, match=re.escape("fit: X must be of at most 0.0 GB when dense, got 0.0 GB. The")
    ):
        small(NetClassifier).fit(csr_array(X), y)
    assert small(NetClassifier).fit(csr_array(X[::2]), y[::2]).n_features_in_ == 4


@pytest.mark.parametrize("dtype", ["auto", "float32", "float64"])
def test_dtype(iris, dtype):
    X, y = iris
    for kind in (np.float32, np.float64):
        expected = np.dtype(kind if dtype == "auto" else dtype)
        classifier, regressor = (small(make, dtype=dtype).fit(X.astype(kind), y) for make in KINDS)
        assert classifier.model_.w.dtype == classifier.predict_proba(X).dtype == expected
        assert classifier.transform(X).dtype == expected
        assert regressor.predict(X.astype(np.float32)).dtype == expected
        assert regressor.predict(X).dtype == np.float64


def test_large_training_sets_of_float64_are_trained_in_float32():
    X = np.random.default_rng(0).normal(size=(2**15 + 1, 1))
    assert NetRegressor((), max_iter=1, engine="reference").fit(X[:-1], X[:-1, 0]).model_.w.dtype == np.float64
    assert NetRegressor((), max_iter=1, engine="reference").fit(X, X[:, 0]).model_.w.dtype == np.float32


def test_float32_networks_keep_the_digits_of_amounts_far_from_zero():
    X = np.random.default_rng(0).normal(size=(100, 1))
    y = 1.7e9 + X[:, 0]
    network = small(NetRegressor, dtype="float32", max_iter=200, learning_rate_init=0.02).fit(X, y)
    assert network.score(X, y) > 0.9  # float32 knows numbers of this size to 128 only


@pytest.mark.parametrize("make", KINDS)
def test_one_row_is_refused(make):
    with pytest.raises(InvalidValueError, match=re.escape(f"{make.__name__}: X must be of at least two rows, got '1")):
        make().fit([[0.0]], [1])


@pytest.mark.parametrize("make", KINDS)
def test_hidden_activations_have_names_and_come_as_frames(iris, make):
    X, y = iris
    network = small(make).fit(X, y)
    A = network.transform(X)
    assert A.shape == (150, 8)
    assert network.get_feature_names_out().tolist() == [f"{make.__name__.lower()}{i}" for i in range(8)]
    np.testing.assert_allclose(
        A, np.maximum(network.model_.inputs.apply(X) @ network.coefs_[0] + network.intercepts_[0], 0)
    )
    frame = clone(network).set_output(transform="pandas").fit(X, y).transform(X)
    assert list(frame.columns) == network.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame, A)
    with pytest.raises(InvalidValueError, match=re.escape("layer must be -1 beside set_output, got 0.")):
        network.set_output(transform="pandas").transform(X, layer=0)


def test_layers_are_chosen_by_number(iris):
    X, y = iris
    network = small(NetClassifier, hidden_layer_sizes=(8, 5)).fit(X, y)
    assert network.transform(X, layer=0).shape == (150, 8)
    np.testing.assert_array_equal(network.transform(X), network.transform(X, layer=1))


def test_hidden_activations_feed_another_estimator(iris):
    X, y = iris
    chain = make_pipeline(
        small(NetClassifier, max_iter=50, learning_rate_init=0.02), LogisticRegression(max_iter=1000)
    ).fit(X, y)
    assert chain.score(X, y) > 0.9
    chosen = SelectFromModel(small(NetClassifier, max_iter=50, learning_rate_init=0.02), threshold="mean").fit(X, y)
    assert 0 < chosen.transform(X).shape[1] < 4


@pytest.mark.parametrize("make", KINDS)
def test_importances_and_slopes(make):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = 2.0 * X[:, 1]
    network = small(make, max_iter=60).fit(X, y if make is NetRegressor else y > 0)
    assert network.feature_importances_.shape == (3,)
    assert network.feature_importances_.argmax() == 1
    assert network.feature_importances_.sum() == pytest.approx(1.0)
    gradients = network.input_gradients(X)
    assert gradients.shape == (300, 3)
    if make is NetRegressor:
        step = 1e-5 * np.eye(3)[1]
        slope = (network.predict(X + step) - network.predict(X - step)) / 2e-5
        np.testing.assert_allclose(gradients[:, 1], slope, rtol=1e-4, atol=1e-4)


class Fixed(NetClassifier):
    """A subclass with other arguments."""

    def __init__(self, units=8, random_state=None):
        super().__init__((units,), max_iter=5, engine="reference", random_state=random_state)
        self.units = units


def test_a_subclass_may_have_arguments_of_its_own(iris):
    fitted = clone(Fixed(units=5, random_state=0)).fit(*iris)
    assert fitted.get_params() == {"units": 5, "random_state": 0}
    same = small(NetClassifier, hidden_layer_sizes=(5,)).fit(*iris)
    np.testing.assert_array_equal(fitted.predict_proba(iris[0]), same.predict_proba(iris[0]))


@pytest.mark.parametrize("make", KINDS)
def test_pickles_hold_no_data(make, tmp_path):
    sizes = []
    for n in (100, 10_000):
        X = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
        y = X[:, 0] > 0
        network = small(
            make, batch_size=n // 10, early_stopping=True, scoring="accuracy" if make is NetClassifier else "r2"
        )
        network.fit(X, y)
        again = pickle.loads(pickle.dumps(network))
        np.testing.assert_array_equal(again.predict(X), network.predict(X))
        joblib.dump(network, tmp_path / "network")
        np.testing.assert_array_equal(joblib.load(tmp_path / "network").predict(X), network.predict(X))
        sizes.append(len(pickle.dumps(network)))
        np.testing.assert_array_equal(again.feature_importances_, network.feature_importances_)
    assert abs(sizes[1] - sizes[0]) < 100


def test_searches_and_jobs(iris):
    X, y = iris
    scores = cross_val_score(
        make_pipeline(StandardScaler(), small(NetClassifier, max_iter=60, learning_rate_init=0.02)),
        X,
        y,
        cv=3,
        n_jobs=2,
    )
    assert scores.mean() > 0.85
    search = GridSearchCV(
        small(NetClassifier, learning_rate_init=0.02), {"dropout": [0.0, 0.9], "max_iter": [1, 60]}, cv=2
    ).fit(X, y)
    assert search.best_params_["max_iter"] == 60


def test_metadata_is_routed(iris):
    X, y = iris
    weights = np.where(y == 0, 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        network = small(NetClassifier).set_fit_request(sample_weight=True, X_val=True, y_val=True)
        network.set_score_request(sample_weight=True)
        own = {"X_val": X[::3], "y_val": y[::3]}
        scale = StandardScaler().set_fit_request(sample_weight=False)
        chain = make_pipeline(scale, network, transform_input=["X_val"])
        chain.fit(X, y, sample_weight=weights, **own)
        scaled = StandardScaler().fit(X)
        alone = small(NetClassifier).fit(
            scaled.transform(X), y, sample_weight=weights, X_val=scaled.transform(X[::3]), y_val=y[::3]
        )
        np.testing.assert_array_equal(chain.predict_proba(X), alone.predict_proba(scaled.transform(X)))
        assert len(chain[-1].validation_loss_curve_) == 5
        weighted = small(NetClassifier).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        kept = cross_validate(weighted, X, y, params={"sample_weight": weights}, return_estimator=True, cv=2)
        plain = cross_validate(small(NetClassifier), X, y, return_estimator=True, cv=2)
    assert kept["estimator"][0].loss_ != plain["estimator"][0].loss_


@pytest.mark.parametrize("make", KINDS)
def test_fitted_attributes_have_scikit_learns_names(iris, make):
    X, y = iris
    network = small(make, hidden_layer_sizes=(8,), max_iter=4).fit(X, y)
    assert [W.shape for W in network.coefs_] == [(4, 8), (8, 3 if make is NetClassifier else 1)]
    assert [len(b) for b in network.intercepts_] == [8, 3 if make is NetClassifier else 1]
    assert network.n_layers_ == 3
    assert network.n_outputs_ == (3 if make is NetClassifier else 1)
    assert network.out_activation_ == ("softmax" if make is NetClassifier else "identity")
    assert network.t_ == 600
    assert network.loss_ == network.loss_curve_[-1] == network.best_loss_ == min(network.loss_curve_)
    assert len(network.train_scores_) == network.n_iter_ == network.best_iteration_ == 4
    assert network.validation_scores_ is network.best_validation_score_ is network.validation_loss_curve_ is None
    assert network.__sklearn_is_fitted__()
    assert not make().__sklearn_is_fitted__()
    stopped = small(make, early_stopping=True).fit(X, y)
    assert stopped.best_loss_ is None
    assert len(stopped.validation_scores_) == len(stopped.validation_loss_curve_) == stopped.n_iter_
    assert stopped.best_validation_score_ == stopped.validation_scores_[stopped.best_iteration_ - 1]


def test_intercepts_of_batch_norm_are_zeros(iris):
    X, y = iris
    network = small(NetClassifier, batch_norm=True).fit(X, y)
    assert [len(b) for b in network.intercepts_] == [8, 3]
    assert not network.intercepts_[0].any()


def test_frames_through_pipelines_with_the_network_in_the_middle():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    chain = make_pipeline(small(NetRegressor), StandardScaler()).set_output(transform="pandas").fit(X, y)
    out = chain.transform(X)
    assert isinstance(out, pd.DataFrame)
    assert list(out.columns) == [f"netregressor{i}" for i in range(8)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n_networks": 0}, "n_networks must be a whole number in [1, inf), got 0."),
        ({"warm_start": "yes"}, "warm_start must be one of False, True, got 'yes'."),
        ({"scoring": "acuracy"}, "scoring must be a scorer's name, got 'acuracy'. Did you mean 'accuracy'?"),
        ({"scoring": 3}, "scoring must be None, a scorer's name or a function of (estimator, X, y), got 3."),
        ({"init_from": NetClassifier()}, "Fit it first."),
        ({"callbacks": [3]}, "callbacks must be a sequence of monitors, got [3]."),
        ({"learning_rate_init": "fidn"}, "learning_rate_init must be a number above 0 or 'find', got 'fidn'."),
        ({"activation": ("relu", "tanh")}, "activation must be one, or one for each of the 1 hidden layers"),
        ({"dropout": [0.1, 0.2]}, "dropout must be one, or one for each of the 1 hidden layers, got [0.1, 0.2]."),
        (
            {"learning_rate_multipliers": [0.1]},
            "learning_rate_multipliers must be a mapping of patterns to multipliers, got [0.1].",
        ),
        ({"ema_decay": 1.0}, "ema_decay must be in [0, 1) or None, got 1.0."),
        ({"max_weight_norm": 0.0}, "max_weight_norm must be in (0, inf) or None, got 0.0."),
        ({"accumulate_grad_batches": 0}, "accumulate_grad_batches must be a whole number in [1, inf), got 0."),
    ],
)
def test_arguments_that_mean_nothing_are_refused(iris, options, sentence):
    with pytest.raises(InvalidValueError, match=re.escape(sentence)):
        small(NetClassifier, **options).fit(*iris)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_was_constant_in_training_moves_no_prediction(kind):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(200, 2)), np.full(200, 2023.0)])
    y = X[:, 0] > 0 if kind is NetClassifier else X[:, 0]
    network = kind(max_iter=5, random_state=0).fit(X, y)
    later = X.copy()
    later[:, 2] = 2100.0
    np.testing.assert_array_equal(network.predict(later), network.predict(X))
