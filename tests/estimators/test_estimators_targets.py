"""Why: what is asked of a network (labels, several targets, quantiles, medians) must be answered in the user's own terms.

In: targets of every kind. Out: the answers of single networks, of scikit-learn's metrics and of known distributions.
"""

import re

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.metrics import accuracy_score, d2_pinball_score, log_loss, mean_pinball_loss
from sklearn.utils.class_weight import compute_sample_weight

from chainrule import NetClassifier, NetRegressor
from chainrule.errors import InvalidValueError
from chainrule.io import load_model, save_model
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    Huber,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.pipeline import evaluate


def classifier(*arguments, **options):
    return NetClassifier(*arguments, **{"engine": "reference", "random_state": 0, "max_iter": 20} | options)


def regressor(*arguments, **options):
    return NetRegressor(*arguments, **{"engine": "reference", "random_state": 0, "max_iter": 20} | options)


def labels():
    return make_multilabel_classification(200, 6, n_classes=4, random_state=0)


def several(n=240):
    """Two targets of classes, text and of unequal number, that two columns decide."""
    X = np.random.default_rng(0).normal(size=(n, 3))
    first = np.array(["ash", "elm"])[(X[:, 0] > 0).astype(int)]
    second = np.array(["low", "mid", "top"])[np.digitize(X[:, 1], [-0.5, 0.5])]
    return X, np.column_stack([first, second])


def test_independent_labels():
    X, Y = labels()
    network = classifier((32,), max_iter=150, learning_rate_init=0.02).fit(X, Y)
    P = network.predict_proba(X)
    assert P.shape == (200, 4)
    np.testing.assert_array_equal(network.predict(X), P > 0.5)
    assert network.predict(X).dtype == np.int64
    assert network.classes_.tolist() == [0, 1, 2, 3]
    assert network.score(X, Y) == accuracy_score(Y, network.predict(X)) > 0.6
    assert (network.n_outputs_, network.out_activation_) == (4, "logistic")
    assert evaluate(network.model_, X, Y)["accuracy"] == network.score(X, Y)


def test_one_column_of_labels_is_two_classes():
    X, Y = labels()
    with pytest.warns(UserWarning, match="column-vector"):
        column = classifier((4,)).fit(X, Y[:, :1])
    np.testing.assert_array_equal(column.predict_proba(X), classifier((4,)).fit(X, Y[:, 0]).predict_proba(X))


def test_several_targets_of_classes():
    X, y = several()
    network = classifier((16,), max_iter=60, learning_rate_init=0.01).fit(X, y)
    assert [known.tolist() for known in network.classes_] == [["ash", "elm"], ["low", "mid", "top"]]
    P = network.predict_proba(X)
    assert [part.shape for part in P] == [(240, 2), (240, 3)]
    for part in P:
        np.testing.assert_allclose(part.sum(axis=1), 1.0)
    predicted = network.predict(X)
    assert predicted.shape == (240, 2)
    assert (predicted == y).all(axis=1).mean() > 0.9
    np.testing.assert_array_equal(predicted[:, 1], network.classes_[1][P[1].argmax(axis=1)])
    np.testing.assert_allclose(np.exp(network.predict_log_proba(X)[0]), P[0])
    assert isinstance(network.model_.loss, MultiSoftmaxCrossEntropy)
    assert evaluate(network.model_, X, y)["accuracy"] == (predicted == y).all(axis=1).mean()


def test_the_loss_of_two_targets_is_the_mean_of_theirs():
    X, y = several()
    network = classifier((8,), max_iter=3).fit(X, y)
    each = [log_loss(y[:, j], network.predict_proba(X)[j]) for j in range(2)]
    assert evaluate(network.model_, X, y)["loss"] == pytest.approx(np.mean(each), rel=1e-9)


@pytest.mark.parametrize("kind", ["labels", "several"])
def test_models_of_several_targets_survive_a_file(tmp_path, kind):
    X, y = labels() if kind == "labels" else several()
    network = classifier((8,), max_iter=3).fit(X, y)
    save_model(network.model_, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(X), network.predict(X))
    np.testing.assert_array_equal(again.probabilities(X), network.model_.probabilities(X))


def test_class_weights_of_several_targets_multiply():
    X, y = several()
    options = {"batch_size": "full", "dtype": "float64", "max_iter": 5}
    by_word = classifier((4,), class_weight="balanced", **options).fit(X, y)
    by_rows = classifier((4,), **options).fit(X, y, sample_weight=compute_sample_weight("balanced", y))
    for a, b in zip(by_word.predict_proba(X), by_rows.predict_proba(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    tables = [{"ash": 2.0}, {"top": 3.0}]
    by_table = classifier((4,), class_weight=tables, **options).fit(X, y)
    factor = np.where(y[:, 0] == "ash", 2.0, 1.0) * np.where(y[:, 1] == "top", 3.0, 1.0)
    by_rows = classifier((4,), **options).fit(X, y, sample_weight=factor)
    np.testing.assert_array_equal(by_table.predict_proba(X)[1], by_rows.predict_proba(X)[1])


def test_class_weights_of_labels():
    X, Y = labels()
    options = {"batch_size": "full", "max_iter": 5}
    by_table = classifier((4,), class_weight=[{1: 2.0}, None, {0: 3.0}, None], **options).fit(X, Y)
    factor = np.where(Y[:, 0] == 1, 2.0, 1.0) * np.where(Y[:, 2] == 0, 3.0, 1.0)
    by_rows = classifier((4,), **options).fit(X, Y, sample_weight=factor)
    np.testing.assert_array_equal(by_table.predict_proba(X), by_rows.predict_proba(X))
    with pytest.raises(InvalidValueError, match="a list of 4 mappings, one for each target"):
        classifier(class_weight={1: 2.0}).fit(X, Y)


@pytest.mark.parametrize("kind", ["labels", "several"])
def test_smoothing_moves_every_target_to_the_middle(kind):
    y = (labels() if kind == "labels" else several())[1]
    settings = {"max_iter": 600, "n_iter_no_change": 600, "batch_size": "full", "learning_rate_init": 0.05}
    network = classifier((), label_smoothing=0.2, **settings)
    constant = np.zeros((len(y), 1))
    P = network.fit(constant, y).predict_proba(constant)
    # with nothing to tell rows apart the loss is least at the mean smoothed target
    if kind == "labels":
        np.testing.assert_allclose(P[0], 0.8 * y.mean(axis=0) + 0.1, atol=1e-3)
    else:
        share = (y[:, 1][:, None] == network.classes_[1]).mean(axis=0)
        np.testing.assert_allclose(P[1][0], 0.8 * share + 0.2 / 3, atol=1e-3)


def test_own_losses_of_classes():
    X, y = load_iris(return_X_y=True)
    two = classifier((4,), loss=SoftmaxCrossEntropy()).fit(X, y == 0)
    assert two.n_outputs_ == 2
    assert two.predict_proba(X).shape == (150, 2)
    given = classifier((4,), loss=SoftmaxCrossEntropy(label_smoothing=0.1)).fit(X, y)
    same = classifier((4,), label_smoothing=0.1).fit(X, y)
    np.testing.assert_array_equal(given.predict_proba(X), same.predict_proba(X))
    for loss, targets in (
        (BinaryCrossEntropy(), y),
        (MeanSquaredError(), y),
        (SoftmaxCrossEntropy(), labels()[1][:150]),
    ):
        with pytest.raises(InvalidValueError, match=r"loss must be \w+ or None for these targets"):
            classifier((4,), loss=loss).fit(X, targets)
    with pytest.raises(InvalidValueError, match=re.escape("one of 'squared_error'")):
        classifier((4,), loss="log_loss").fit(X, y)


def test_own_losses_of_amounts():
    X, y = load_iris(return_X_y=True)
    given, named = (regressor((4,), loss=loss).fit(X[:, :3], X[:, 3]) for loss in (Huber(), "huber"))
    np.testing.assert_array_equal(given.predict(X[:, :3]), named.predict(X[:, :3]))
    bounded = regressor((4,), loss=MeanSquaredError("sigmoid")).fit(X, y == 0)
    assert 0 <= bounded.predict(X).min() <= bounded.predict(X).max() <= 1
    assert bounded.out_activation_ == "sigmoid"
    with pytest.raises(InvalidValueError, match="loss must be for continuous targets"):
        regressor(loss=BinaryCrossEntropy()).fit(X, y)


def noisy(n=3000):
    """y of spread 1 + x around 2x, for x in (0, 1)."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=n)
    return x[:, None], 2.0 * x + (1.0 + x) * rng.normal(size=n)


def test_quantiles():
    X, y = noisy()
    options = {"max_iter": 80, "learning_rate_init": 0.01, "schedule": "cosine", "n_iter_no_change": 80}
    network = regressor((16,), loss="quantile", quantiles=(0.1, 0.5, 0.9), **options).fit(X, y)
    Q = network.predict_quantiles(X)
    assert Q.shape == (3000, 3)
    assert (np.diff(Q, axis=1) >= 0).all()
    # 3000 independent rows: the share below has a standard error of at most 0.009
    np.testing.assert_allclose((y[:, None] <= Q).mean(axis=0), [0.1, 0.5, 0.9], atol=0.03)
    np.testing.assert_allclose(Q.mean(axis=0), [1 - 1.2816 * 1.5, 1.0, 1 + 1.2816 * 1.5], atol=0.15)
    np.testing.assert_array_equal(network.predict(X), Q[:, 1])
    np.testing.assert_array_equal(network.predict_interval(X, coverage=0.8), Q[:, [0, 2]])
    assert d2_pinball_score(y, Q[:, 2], alpha=0.9) > 0
    with pytest.raises(InvalidValueError, match=re.escape("coverage must be one of [0.8], got 0.9.")):
        network.predict_interval(X)
    # the loss is the pinball loss of the scaled targets, averaged over levels
    scale = network.model_.targets.scale[0]
    expected = np.mean([mean_pinball_loss(y, Q[:, i], alpha=a) for i, a in enumerate((0.1, 0.5, 0.9))]) / scale
    assert evaluate(network.model_, X, y)["loss"] == pytest.approx(expected, rel=1e-6)


def test_quantiles_of_several_targets(tmp_path):
    X, y = noisy(400)
    network = regressor((8,), loss="quantile", max_iter=30).fit(X, np.c_[y, 100.0 - 10.0 * y])
    assert network.predict_quantiles(X).shape == (400, 2, 3)
    assert network.predict(X).shape == (400, 2)
    assert network.predict_interval(X).shape == (400, 2, 2)
    assert network.predict_quantiles(X)[:, 1].mean() > 50 > network.predict_quantiles(X)[:, 0].mean()
    save_model(network.model_, tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict_quantiles(X), network.predict_quantiles(X))
    assert again.loss == Quantile((0.05, 0.5, 0.95))


def test_what_predict_gives_is_the_level_nearest_to_a_half():
    X, y = noisy(200)
    network = regressor((), loss="quantile", quantiles=(0.2, 0.6)).fit(X, y)
    np.testing.assert_array_equal(network.predict(X), network.predict_quantiles(X)[:, 1])


@pytest.mark.parametrize("levels", [(), (0.5, 0.1), (0.0, 0.5), (0.5, 0.5), "median"])
def test_levels_that_mean_nothing_are_refused(levels):
    with pytest.raises(InvalidValueError, match=r"quantiles must be ascending numbers in \(0, 1\)"):
        regressor(quantiles=levels).fit(*noisy(20))


def test_quantiles_need_their_loss():
    X, y = noisy(50)
    network = regressor((), max_iter=2).fit(X, y)
    for ask in (network.predict_quantiles, network.predict_interval):
        with pytest.raises(
            InvalidValueError, match=r"Model: loss must be Quantile, got 'MeanSquaredError'\. Train with"
        ):
            ask(X)


def test_layers_of_their_own_activation_and_dropout():
    X, y = load_iris(return_X_y=True)
    network = classifier((8, 6), activation=("tanh", "relu"), dropout=(0.0, 0.25)).fit(X, y)
    functions = [layer.function for layer in network.model_.net.layers if hasattr(layer, "function")]
    rates = [layer.rate for layer in network.model_.net.layers if hasattr(layer, "rate")]
    assert (functions, rates) == (["tanh", "relu"], [0.25])


@pytest.mark.parametrize("y", [labels()[1], several()[1]], ids=["labels", "several"])
def test_validation_rows_are_held_out_of_several_targets(y):
    X = np.random.default_rng(0).normal(size=(len(y), 3))
    network = classifier((4,), early_stopping=True, max_iter=3).fit(X, y)
    assert len(network.validation_loss_curve_) == 3


def test_labels_that_the_training_rows_did_not_have_are_refused():
    X, y = several()
    strange = y.astype(object)
    strange[3, 1] = "none"
    with pytest.raises(
        InvalidValueError, match=re.escape("validation rows: labels must be among ['low', 'mid', 'top'], got ['none']")
    ):
        classifier((4,)).fit(X, y, X_val=X, y_val=strange)
