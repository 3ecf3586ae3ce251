"""Why: what a user adds to the plain run (a rate that is found, several networks, means, limits) must do what it says.

In: estimators with such options, on every engine. Out: equal numbers by another way.
"""

import warnings

import numpy as np
import pytest
from estimator_cases import KINDS, network
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, r2_score

from chainrule import NetClassifier, NetRegressor
from chainrule.engines import why_unavailable
from chainrule.errors import InvalidValueError
from chainrule.io import load_model, save_model
from chainrule.nn.losses import Huber
from chainrule.train import EarlyStopping


def test_rate_is_found(iris):
    fitted = network(learning_rate_init="find").fit(*iris)
    assert 1e-4 < fitted.learning_rate_init_ < 1.0
    assert fitted.learning_rate_init == "find"
    assert fitted.run_.epochs[0].learning_rate == pytest.approx(fitted.learning_rate_init_)
    assert network().fit(*iris).learning_rate_init_ == 1e-3
    parts = network(learning_rate_init="find").partial_fit(*iris)
    rate = parts.learning_rate_init_
    assert parts.partial_fit(*iris).learning_rate_init_ == rate


def test_temperature_makes_probabilities_honest(halves):
    X, X_val, y, y_val = halves
    options = {"hidden_layer_sizes": (64,), "learning_rate_init": 0.03, "max_iter": 60, "scoring": "accuracy"}
    plain, tempered = (
        network(**options, calibrate=calibrate).fit(X, y, X_val=X_val, y_val=y_val)
        for calibrate in (False, "temperature")
    )
    T = tempered.model_.temperature
    assert plain.model_.temperature == 1.0 != T
    Z = plain.model_.logits(X_val)[:, 0]
    np.testing.assert_allclose(tempered.predict_proba(X_val)[:, 1], 1 / (1 + np.exp(-Z / T)), rtol=1e-6)
    np.testing.assert_array_equal(tempered.predict(X_val), plain.predict(X_val))
    losses = [log_loss(y_val, fitted.predict_proba(X_val)) for fitted in (plain, tempered)]
    assert losses[1] < losses[0]
    for other in (0.97 * T, 1.03 * T):
        P = 1 / (1 + np.exp(-Z / other))
        assert log_loss(y_val, P) > losses[1]


def test_temperature_survives_a_file(halves, tmp_path):
    X, X_val, y, y_val = halves
    fitted = network(calibrate="temperature").fit(X, y, X_val=X_val, y_val=y_val)
    save_model(fitted.model_, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.probabilities(X), fitted.predict_proba(X))


@pytest.mark.parametrize("make", KINDS)
def test_several_networks_answer_with_their_mean(iris, make, tmp_path):
    X, y = iris
    fitted = network(make, n_networks=3).fit(X, y)
    members = fitted.model_.members
    assert len(fitted.runs_) == len(members) == 3
    assert len({member.w.tobytes() for member in members}) == 3
    np.testing.assert_array_equal(members[0].w, network(make).fit(X, y).model_.w)
    if make is NetClassifier:
        mean = np.mean([member.probabilities(X) for member in members], axis=0)
        np.testing.assert_allclose(fitted.predict_proba(X), mean, atol=1e-12)
    else:
        np.testing.assert_allclose(fitted.predict(X), np.mean([m.predict(X) for m in members], axis=0), atol=1e-12)
    assert fitted.transform(X).shape == (150, 24)
    save_model(fitted.model_, tmp_path / "model.safetensors")
    np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(X), fitted.predict(X))
    fitted.set_params(warm_start=True).fit(X, y)
    assert len(fitted.model_.members) == 3


def test_several_networks_of_counts_and_labels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 2))
    counts = network(NetRegressor, loss="poisson", n_networks=2).fit(X, rng.poisson(np.exp(X[:, 0])))
    mean = np.mean([member.predict(X) for member in counts.model_.members], axis=0)
    np.testing.assert_allclose(counts.predict(X), mean, rtol=1e-12)
    labels = network(n_networks=2).fit(X, (X > 0).astype(int))
    mean = np.mean([member.probabilities(X) for member in labels.model_.members], axis=0)
    np.testing.assert_allclose(labels.predict_proba(X), mean, rtol=1e-9)
    np.testing.assert_array_equal(labels.predict(X), mean > 0.5)


@pytest.mark.parametrize("options", [{"scoring": "accuracy"}, {"n_networks": 2}, {"ema_decay": 0.9}])
def test_checkpoint_goes_on_where_a_run_was_ended(halves, tmp_path, options):
    X, X_val, y, y_val = halves
    fit = {"X_val": X_val, "y_val": y_val}
    whole = network(max_iter=8, **options).fit(X, y, **fit)
    kept = network(max_iter=8, **options).fit(X, y, **fit, checkpoint=tmp_path)
    again = network(max_iter=8, **options).fit(X, y, **fit, checkpoint=tmp_path)
    for other in (kept, again):
        assert other.validation_scores_ == whole.validation_scores_
        np.testing.assert_array_equal(other.predict_proba(X), whole.predict_proba(X))
    folder = tmp_path / "network-0" if "n_networks" in options else tmp_path
    with pytest.raises(InvalidValueError, match="must be of this run, got another"):
        network(max_iter=8, random_state=1, **options | {"n_networks": 1}).fit(X, y, **fit, checkpoint=folder)


def test_average_of_the_weights_predicts(iris):
    X, y = iris
    averaged = network(ema_decay=0.9, max_iter=10).fit(X, y)
    last = network(max_iter=10).fit(X, y)
    assert averaged.loss_curve_ == last.loss_curve_
    assert not np.array_equal(averaged.model_.w, last.model_.w)
    assert np.abs(averaged.predict_proba(X) - last.predict_proba(X)).max() < 0.2


def test_longest_incoming_weights(iris):
    X, y = iris
    fitted = network(max_weight_norm=0.5, learning_rate_init=0.05).fit(X, y)
    assert max(np.linalg.norm(W, axis=0).max() for W in fitted.coefs_) <= 0.5 * (1 + 1e-12)
    free = network(learning_rate_init=0.05).fit(X, y)
    assert max(np.linalg.norm(W, axis=0).max() for W in free.coefs_) > 0.5


def test_accumulated_batches_are_one_large_batch(iris):
    X, y = iris
    options = {"optimizer": "sgd", "learning_rate_init": 0.1, "max_iter": 3, "tol": 0.0}
    small = network(batch_size=25, accumulate_grad_batches=6, **options).fit(X, y)
    large = network(batch_size="full", **options).fit(X, y)
    for a, b in zip(small.coefs_, large.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_divergence_warns_and_nothing_else_does(iris):
    X, y = iris
    with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning, match=r"diverged.*Lower learning_rate_init"):
        network(NetRegressor, optimizer="sgd", learning_rate_init=1e30).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(NetRegressor, max_iter=1).fit(X, y)


def test_monitors_of_the_user_watch_every_network(iris):
    fitted = network(n_networks=2, callbacks=[EarlyStopping(2, 1e9, "train_loss")], verbose=True).fit(*iris)
    assert [len(run.epochs) for run in fitted.runs_] == [3, 3]


def test_float64_scores_are_of_the_validation_rows(halves):
    X, X_val, y, y_val = halves
    fitted = network(NetRegressor, scoring="r2").fit(X, X[:, 0], X_val=X_val, y_val=X_val[:, 0])
    assert fitted.best_validation_score_ == pytest.approx(r2_score(X_val[:, 0], fitted.predict(X_val)), rel=1e-12)
    assert y.shape[0] > y_val.shape[0]


ADDED = {
    "layers": (NetClassifier, {"hidden_layer_sizes": (8, 6), "activation": ("tanh", "gelu"), "dropout": (0.1, 0.0)}),
    "quantiles": (NetRegressor, {"loss": "quantile"}),
    "own loss": (NetRegressor, {"loss": Huber(delta=0.5), "l1_alpha": 1e-3}),
    "mean": (NetClassifier, {"ema_decay": 0.9}),
    "limit": (NetClassifier, {"max_weight_norm": 1.0}),
    "batches": (NetClassifier, {"accumulate_grad_batches": 3}),
    "learning_rate_multipliers": (NetClassifier, {"learning_rate_multipliers": {"0.*": 0.1}, "alpha": 0.01}),
    "networks": (NetClassifier, {"n_networks": 2, "early_stopping": True, "calibrate": "temperature"}),
}


@pytest.mark.skipif(bool(why_unavailable("native")), reason=f"the native engine is {why_unavailable('native')}")
@pytest.mark.parametrize(("make", "options"), ADDED.values(), ids=ADDED)
def test_engines_agree(iris, make, options):
    X, y = iris
    there, here = (network(make, **options | {"engine": engine}).fit(X, y) for engine in ("auto", "reference"))
    # float64, some hundred steps of sums in another order
    np.testing.assert_allclose(there.transform(X), here.transform(X), rtol=1e-6, atol=1e-8)
    if make is NetClassifier:
        np.testing.assert_allclose(there.predict_proba(X), here.predict_proba(X), rtol=1e-6, atol=1e-8)


@pytest.mark.skipif(bool(why_unavailable("native")), reason=f"the native engine is {why_unavailable('native')}")
def test_engines_agree_on_several_targets(iris):
    X, y = iris
    for targets in (np.c_[y, y % 2], (np.c_[y > 0, X[:, 0] > 5]).astype(int)):
        there, here = (network(engine=engine).fit(X, targets) for engine in ("auto", "reference"))
        np.testing.assert_array_equal(there.predict(X), here.predict(X))
