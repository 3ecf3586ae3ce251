"""Why: an argument that is given and has no effect deceives whoever gave it, so that `fit` refuses it.

In: every argument of both estimators, in situations in which they have no effect. Out: one error that says what to do.
"""

from __future__ import annotations

import inspect
from functools import cache

import numpy as np
import pytest
from estimator_cases import network
from sklearn.base import clone
from sklearn.datasets import load_iris

from chainrule import NetClassifier, NetRegressor
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import Huber, Quantile, SoftmaxCrossEntropy
from chainrule.pipeline.unused import USES

KINDS = {"classifier": NetClassifier, "regressor": NetRegressor}

USELESS = {
    "activation of no layer": ("classifier", {"hidden_layer_sizes": (), "activation": "tanh"}, "without hidden layers"),
    "dropout of no layer": ("regressor", {"hidden_layer_sizes": (), "dropout": 0.2}, "without hidden layers"),
    "batch norm of no layer": ("classifier", {"hidden_layer_sizes": (), "batch_norm": True}, "without hidden layers"),
    "layer norm of no layer": ("regressor", {"hidden_layer_sizes": (), "layer_norm": True}, "without hidden layers"),
    "quantiles of a mean": ("regressor", {"quantiles": (0.1, 0.9)}, "unless loss is 'quantile'"),
    "quantiles of huber": ("regressor", {"loss": "huber", "quantiles": [0.1, 0.9]}, "unless loss is 'quantile'"),
    "quantiles of an own loss": (
        "regressor",
        {"loss": Quantile((0.5,)), "quantiles": (0.1, 0.9)},
        "unless loss is 'quantile'",
    ),
    "smoothing of an own loss": (
        "classifier",
        {"loss": SoftmaxCrossEntropy(), "label_smoothing": 0.1},
        "beside a loss of your own",
    ),
    "fraction of no validation": ("classifier", {"validation_fraction": 0.3}, "without early_stopping"),
    "fraction of no validation of values": ("regressor", {"validation_fraction": 0.3}, "without early_stopping"),
    "tolerance of no patience": ("classifier", {"n_iter_no_change": None, "tol": 1e-3}, "if n_iter_no_change is None"),
    "scorer without validation rows": ("classifier", {"scoring": "accuracy"}, "without validation rows"),
    "calibration without validation rows": ("classifier", {"calibrate": "temperature"}, "without validation rows"),
}


@pytest.mark.parametrize(("kind", "options", "sentence"), USELESS.values(), ids=USELESS)
def test_an_argument_without_effect_is_refused(iris, kind, options, sentence):
    with pytest.raises(InvalidValueError, match=sentence) as caught:
        network(KINDS[kind], **options).fit(*iris)
    assert str(caught.value).count("\n") == 0


def test_a_fraction_beside_own_validation_rows_is_refused(iris):
    X, y = iris
    own = {"X_val": X[::3], "y_val": y[::3]}
    for options in ({}, {"early_stopping": True}):
        with pytest.raises(
            InvalidValueError, match="validation_fraction must be left out beside validation rows of your"
        ):
            network(validation_fraction=0.3, **options).fit(X, y, **own)
    network(early_stopping=True).fit(X, y, **own)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_layer_sizes": (5,)},
        {"activation": "tanh"},
        {"batch_norm": True},
        {"dropout": 0.5},
        {"initializer": "orthogonal"},
        {"scaling": "none"},
    ],
    ids=str,
)
def test_the_layers_of_a_model_that_is_taken_over_cannot_be_others(iris, options):
    base = network(max_iter=2).fit(*iris)
    (name,) = options
    with pytest.raises(InvalidValueError, match=rf"{name} must be left out beside init_from"):
        network(init_from=base, **options).fit(*iris)
    network(init_from=base).fit(*iris)
    network(init_from=base, hidden_layer_sizes=(100,), max_iter=2).set_params(hidden_layer_sizes=(8,)).fit(*iris)


@pytest.mark.parametrize(
    "changed",
    [{"hidden_layer_sizes": (5,)}, {"activation": "tanh"}, {"dropout": 0.5}, {"scaling": "none"}, {"dtype": "float32"}],
    ids=str,
)
def test_a_network_that_continues_cannot_be_built_anew(iris, changed):
    for method in ("fit", "partial_fit"):
        first = network(warm_start=True, max_iter=2).fit(*iris)
        first.set_params(**changed)
        with pytest.raises(InvalidValueError, match=f"{next(iter(changed))} must be .*, as in the first fit"):
            getattr(first, method)(*iris)


def test_a_loss_that_continues_stays(iris):
    first = network(NetRegressor, warm_start=True, max_iter=2).fit(*iris)
    with pytest.raises(
        InvalidValueError, match=r"loss must be None, as in the first fit|'squared_error', as in the first"
    ):
        first.set_params(loss=Huber()).fit(*iris)


def test_a_clone_and_a_new_fit_may_be_others(iris):
    first = network(max_iter=2).fit(*iris)
    first.set_params(hidden_layer_sizes=(5,), activation="tanh").fit(*iris)
    assert first.coefs_[0].shape == (4, 5)
    clone(first).set_params(hidden_layer_sizes=[4, 4]).fit(*iris)


CHANGED = {
    "hidden_layer_sizes": (5,),
    "activation": "tanh",
    "batch_norm": True,
    "layer_norm": True,
    "dropout": 0.3,
    "initializer": "orthogonal",
    "optimizer": "sgd",
    "learning_rate_init": 0.02,
    "schedule": "cosine",
    "learning_rate_multipliers": {"0.*": 0.1},
    "batch_size": 16,
    "accumulate_grad_batches": 2,
    "max_iter": 4,
    "alpha": 0.1,
    "l1_alpha": 0.1,
    "max_grad_norm": 0.01,
    "max_weight_norm": 0.3,
    "ema_decay": 0.5,
    "early_stopping": True,
    "validation_fraction": 0.3,
    "n_iter_no_change": 2,
    "tol": 10.0,
    "scoring": lambda estimator, X, y: 0.0,
    "class_weight": {0: 5.0},
    "label_smoothing": 0.2,
    "calibrate": "temperature",
    "scaling": "none",
    "n_networks": 2,
    "random_state": 3,
    "dtype": "float32",
    "loss": "huber",
    "quantiles": (0.2, 0.8),
}
BESIDE = {"n_iter_no_change": {"tol": 10.0}, "tol": {"n_iter_no_change": 3}, "quantiles": {"loss": "quantile"}}
"""What an argument needs beside it to show in so few epochs."""

ELSEWHERE = {"init_from", "warm_start", "callbacks", "engine", "verbose"}
"""Arguments that other tests show to have an effect."""


def argument_names(kind):
    return [name for name in inspect.signature(kind).parameters if name not in ELSEWHERE]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in KINDS for name in argument_names(KINDS[kind])], ids=str
)
def test_every_argument_changes_the_network_or_is_refused(iris, kind, name):
    X, y = iris
    make = KINDS[kind]
    value = Huber() if (kind, name) == ("regressor", "loss") else CHANGED[name]
    value = SoftmaxCrossEntropy(label_smoothing=0.1) if (kind, name) == ("classifier", "loss") else value
    usual = {"hidden_layer_sizes": (8,), "max_iter": 8, "random_state": 0, "learning_rate_init": 0.01}
    effects = []
    for base in ({}, {"early_stopping": True}, {"hidden_layer_sizes": ()}):
        options = {**usual, **base, **BESIDE.get(name, {})}
        if name in base:
            continue
        plain = fitted(make, tuple(options.items()))
        other = fitted_or_refused(make(**{**options, name: value}), X, y, name)
        if other is None:
            continue
        same = plain.predict(X[:9]).shape == other.predict(X[:9]).shape and np.array_equal(
            answers(plain, X), answers(other, X)
        )
        effects.append(not same)
    assert all(effects)
    assert effects, "there is a situation in which it has an effect"


@cache
def fitted(make, options):
    """Return an estimator fitted to the iris rows; many arguments are compared with the same one."""
    return make(**dict(options)).fit(*load_iris(return_X_y=True))


def fitted_or_refused(estimator, X, y, name):
    """Return the fitted estimator; None where it names the argument as one without effect."""
    try:
        return estimator.fit(X, y)
    except InvalidValueError as error:
        if f" {name} must be left out" not in str(error) and "validation rows" not in str(error):
            raise
        return None


def answers(estimator, X):
    return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)


def test_every_use_is_of_settings():
    from dataclasses import fields

    from chainrule.pipeline import Settings

    assert {name for use in USES for name in use.names} <= {field.name for field in fields(Settings)}
