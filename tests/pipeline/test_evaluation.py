"""Check the scores and curves of predictions.

In: drawn labels, probabilities and values; small models. Out: passes, where scores are scikit-learn's.
"""

import math

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

from chainrule.calibration import expected_calibration_error
from chainrule.errors import InvalidValueError
from chainrule.pipeline import (
    Settings,
    build_problem,
    class_scores,
    evaluate,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
    value_scores,
)
from chainrule.train import train

RNG = np.random.default_rng(0)


def drawn(K, n=300):
    """Labels of K classes, named by letters, with probabilities that know something of them."""
    y = RNG.integers(0, K, n)
    logits = RNG.normal(size=(n, K)) + 1.5 * (y[:, None] == np.arange(K))
    P = np.exp(logits)
    return np.array(list("abcdefg"))[y], P / P.sum(axis=1, keepdims=True), list("abcdefg")[:K]


def test_scores_of_several_classes_are_scikit_learns():
    y, P, classes = drawn(4)
    scores = class_scores(y, P, classes)
    predicted = np.array(classes)[P.argmax(axis=1)]
    assert scores.accuracy == metrics.accuracy_score(y, predicted)
    assert scores.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert scores.precision == pytest.approx(metrics.precision_score(y, predicted, average="macro"))
    assert scores.recall == pytest.approx(metrics.recall_score(y, predicted, average="macro"))
    assert scores.f1 == pytest.approx(metrics.f1_score(y, predicted, average="macro"))
    assert scores.roc_auc == pytest.approx(metrics.roc_auc_score(y, P, multi_class="ovr", average="macro"))
    assert scores.log_loss == pytest.approx(metrics.log_loss(y, P, labels=classes))
    assert scores.brier == pytest.approx(metrics.brier_score_loss(y, P, labels=classes))
    hot = y[:, None] == np.array(classes)
    assert scores.average_precision == pytest.approx(metrics.average_precision_score(hot, P, average="macro"))
    assert scores.calibration_error == expected_calibration_error(P, hot.argmax(axis=1))
    assert [each.label for each in scores.classes] == classes
    assert sum(each.support for each in scores.classes) == len(y)
    assert scores.summary() == {
        "loss": scores.log_loss,
        "accuracy": scores.accuracy,
        "balanced_accuracy": scores.balanced_accuracy,
        "f1": scores.f1,
        "roc_auc": scores.roc_auc,
    }


def test_scores_of_two_classes_are_of_the_second():
    y, P, classes = drawn(2)
    scores = class_scores(y, P[:, 1], classes)
    assert scores.roc_auc == pytest.approx(metrics.roc_auc_score(y == "b", P[:, 1]))
    assert scores.average_precision == pytest.approx(metrics.average_precision_score(y == "b", P[:, 1]))
    assert scores.brier == pytest.approx(metrics.brier_score_loss(y == "b", P[:, 1]))
    second = scores.classes[1]
    predicted = P[:, 1] > 0.5
    assert (second.label, second.support) == ("b", int((y == "b").sum()))
    assert second.precision == pytest.approx(metrics.precision_score(y == "b", predicted))
    assert second.f1 == pytest.approx(metrics.f1_score(y == "b", predicted))


def test_classes_that_no_row_has_or_predicts_do_not_count():
    y, P, _ = drawn(3)
    scores = class_scores(y, np.column_stack([P, np.zeros(len(P))]), [*"abc", "never"])
    alone = class_scores(y, P)
    assert scores.f1 == pytest.approx(alone.f1)
    assert scores.recall == scores.balanced_accuracy == pytest.approx(alone.recall)
    assert scores.roc_auc == pytest.approx(alone.roc_auc)
    assert (scores.classes[3].support, scores.classes[3].precision) == (0, 0.0)
    assert math.isnan(scores.classes[3].roc_auc)


def test_rows_of_one_class_have_no_area():
    scores = class_scores(["a", "a"], [[0.9, 0.1], [0.2, 0.8]], ["a", "b"])
    assert math.isnan(scores.roc_auc)
    assert math.isnan(scores.average_precision)
    assert (scores.accuracy, scores.balanced_accuracy) == (0.5, 0.5)


def test_certain_and_wrong_is_finite_and_float32_probabilities_are_taken():
    scores = class_scores([0, 1], np.array([[0.0, 1.0], [0.3, 0.7]], np.float32), [0, 1])
    assert np.isfinite(scores.log_loss)


def test_values_are_scored_as_by_scikit_learn():
    y, predicted = RNG.normal(size=(2, 50))
    scores = value_scores(y, predicted)
    assert scores.rmse == pytest.approx(metrics.root_mean_squared_error(y, predicted))
    assert scores.mae == pytest.approx(metrics.mean_absolute_error(y, predicted))
    assert scores.r2 == pytest.approx(metrics.r2_score(y, predicted))
    assert scores.summary() == vars(scores)
    assert math.isnan(value_scores([2.0, 2.0], [1.0, 2.0]).r2)


def test_curves_are_scikit_learns():
    y, P, classes = drawn(3)
    positive, score = y == "b", P[:, 1]
    roc = roc_curve(y, P, classes, "b")
    for ours, theirs in zip(
        (roc.false_positive_rate, roc.true_positive_rate, roc.thresholds),
        metrics.roc_curve(positive, score),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert roc.auc == pytest.approx(metrics.auc(roc.false_positive_rate, roc.true_positive_rate))
    curve = precision_recall_curve(y, P, classes, "b")
    precision, recall, thresholds = metrics.precision_recall_curve(positive, score)
    np.testing.assert_array_equal(curve.precision, precision)
    np.testing.assert_array_equal(curve.recall, recall)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert (curve.label, curve.share) == ("b", positive.mean())
    assert curve.average_precision == pytest.approx(metrics.average_precision_score(positive, score))


def test_reliability_has_a_point_for_each_bin():
    y, P, classes = drawn(3)
    curve = reliability_curve(y, P, classes, bins=5)
    assert curve.confidence.shape == curve.accuracy.shape == (5,)
    assert curve.share.sum() == pytest.approx(1)
    seen = curve.share > 0
    assert curve.error == pytest.approx((curve.share * abs(curve.accuracy - curve.confidence))[seen].sum())


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: class_scores([0, 1], [[0.5, 0.5]]), r"P must be of shape \(2, 2\)"),
        (lambda: class_scores([], np.zeros((0, 2)), [0, 1]), "with a row at least"),
        (lambda: class_scores([0, 7], np.eye(2), [0, 1]), r"y must be among \[0, 1\], got \['7'\]"),
        (lambda: class_scores([0, 1], [[0.5, np.nan], [0, 1]]), "P must be finite, got nan"),
        (lambda: roc_curve([0, 1, 2], np.eye(3)), r"label must be one of \[0, 1, 2\], got None"),
        (lambda: roc_curve([0, 1], np.eye(2), label=3), r"label must be one of \[0, 1\], got 3"),
        (
            lambda: roc_curve([1, 1], np.eye(2), [0, 1]),
            "y must be both in the class and outside, got 'only rows in it'",
        ),
        (lambda: precision_recall_curve([0, 0], np.eye(2), [0, 1]), "got 'only rows outside it'"),
        (lambda: value_scores([1.0], [1.0, 2.0]), r"predicted must be of shape \(1,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, part):
    with pytest.raises(InvalidValueError, match=part):
        call()


def fitted(y, **settings):
    X = np.random.default_rng(1).normal(size=(60, 3))
    problem = build_problem(Settings((8,), max_iter=30, engine="reference", **settings), (X, y))
    return problem.model(train(problem).state), X


@pytest.mark.parametrize("K", [2, 3])
def test_a_model_is_scored_as_its_probabilities_are(K):
    y = np.array(list("abc"))[np.random.default_rng(0).integers(0, K, 60)]
    model, X = fitted(y, dtype="float64")
    assert evaluate(model, X, y) == pytest.approx(class_scores(y, model.probabilities(X), model.classes).summary())


def test_a_model_is_scored_on_rows_without_some_of_its_classes():
    model, X = fitted(np.arange(60) % 3)
    scores = evaluate(model, X[:5], np.array([0, 0, 1, 1, 1]))
    assert all(map(math.isfinite, scores.values()))
    assert math.isnan(evaluate(model, X[:5], np.zeros(5, int))["roc_auc"])


def test_rows_may_be_columns_by_name():
    y = np.arange(60) % 3
    model, X = fitted(y)
    frame = pl.DataFrame({name: X[:, j] for j, name in enumerate(model.feature_names)})
    assert evaluate(model, frame, y) == evaluate(model, X, y)


def test_a_regression_has_an_absolute_error():
    y = np.random.default_rng(0).normal(size=60)
    model, X = fitted(y)
    expected = value_scores(y, model.predict(X)).summary()
    assert {name: evaluate(model, X, y)[name] for name in expected} == expected
