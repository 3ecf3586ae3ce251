"""Why: what every picture of a run shows is computed in one place; a fault there would be in all of them.

In: epochs, readings, predictions with known numbers. Out: the plots and tables as data.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
from page_records import case, epoch, finding, reading
from sklearn.metrics import confusion_matrix as oracle
from sklearn.metrics import precision_recall_fscore_support

from chainrule.pipeline.evaluation import confusion_matrix
from chainrule.report import series
from chainrule.report.plots import Curve, Mark, positive
from chainrule.train.range_test import RangeResult


def readings(n=4):
    net = case().recipe.net
    return [reading(net, i) for i in range(n)]


def test_a_learning_curve_is_the_epochs():
    plot = series.learning_curve([epoch(1, 2.0, 3.0), epoch(2, 1.0, 2.0)])
    assert [(c.name, list(c.x), c.y) for c in plot.curves] == [
        ("training", [1.0, 2.0], [2.0, 1.0]),
        ("validation", [1.0, 2.0], [3.0, 2.0]),
    ]
    assert (plot.y_log, plot.y_name) == (True, "loss")
    score = series.learning_curve([epoch(1, 2.0, 3.0)], "score")
    assert (score.y_log, score.y_name, score.title, score.curves[1].y) == (False, "accuracy", "Accuracy", [0.25])


def test_a_run_without_validation_rows_has_one_curve_and_a_loss_below_zero_a_linear_axis():
    plot = series.learning_curve([epoch(1), epoch(2, -1.0)])
    assert len(plot.curves) == 1
    assert not plot.y_log


def test_the_best_epoch_is_judged_by_validation_rows_where_there_are_some():
    assert series.best_point([epoch(1, 2.0, 3.0), epoch(2, 1.0, 2.0)], 2) == (2.0, 2.0)
    assert series.best_point([epoch(1, 2.0)], 1) == (1.0, 2.0)
    assert series.best_point([epoch(1, 2.0)], None) is None


def test_findings_are_marked_where_they_were_first_seen():
    assert series.finding_marks([finding(seen=(4, 5)), finding(seen=()), finding(seen=(2,))]) == [
        Mark(4.0, "1"),
        Mark(2.0, "3"),
    ]


def test_a_range_test_has_its_suggestion_marked():
    rates = np.geomspace(1e-5, 1, 30)
    plot = series.rate_curve(RangeResult(rates, rates + 1, rates + 2, 0.01))
    assert plot.marks == [Mark(0.01, "suggested 0.01")]
    assert plot.x_log


def test_gradient_flow_has_the_layers_with_weights_at_both_ends():
    first, last = series.gradient_flow(readings()).curves
    assert list(first.x) == [0.0, 2.0]
    assert first.y == last.y == [1e-3, 1e-1]
    table = series.gradient_table(readings())
    assert table.rows == ("0 Dense", "1 relu", "2 Dense")
    np.testing.assert_allclose(table.values, np.array([[1e-3], [1e-2], [1e-1]]) * np.ones(4))


def test_update_ratios_are_logarithms_beside_the_level_at_minus_three():
    plot = series.update_ratios(readings())
    assert [np.round(curve.y, 9).tolist() for curve in plot.curves] == [[-2, -3, -4, -5]] * 2
    assert [level.y for level in plot.levels] == [-3]
    assert series.ratio_table(readings()).values.shape == (2, 4)


def test_two_readings_are_not_joined_to_a_course():
    assert not any(curve.joined for curve in series.update_ratios(readings(2)).curves)
    assert all(curve.joined for curve in series.update_ratios(readings(3)).curves)


def test_activation_bands_are_a_standard_deviation_wide():
    (curve,) = series.activation_band(readings(), 1).curves
    assert curve.y == [0.5] * 4
    # rms² = mean² + deviation²; the last reading's rms is 4
    assert curve.high[-1] == pytest.approx(0.5 + math.sqrt(16 - 0.25))


def test_a_last_reading_of_a_broken_training_is_left_out():
    broken = replace(readings()[-1], layers=(), nonfinite="output of layer 0")
    assert len(series.complete([*readings(), broken])) == 4
    assert series.complete([]) == []


def test_silent_units_are_shares_of_their_layer():
    (curve,) = series.silent_shares(readings()).curves
    assert curve.y == [0.25] * 4
    (curve,) = series.mean_derivatives(readings()).curves
    assert curve.y == [0.25] * 4


def test_calibration_is_by_bins_with_rows():
    P = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    plot = series.calibration(P, np.array([0, 1, 1])).plot()
    np.testing.assert_allclose(plot.curves[0].x, [0.7, 0.9])
    np.testing.assert_allclose(plot.curves[0].y, [1.0, 0.5])


def test_confusion_and_class_scores_are_scikit_learns(rng):
    labels = np.array(["c", "a", "b"])
    y, predicted = labels[rng.integers(0, 3, 60)], labels[rng.integers(0, 3, 60)]
    counts = confusion_matrix(y, predicted, labels)
    np.testing.assert_array_equal(counts, oracle(y, predicted, labels=labels))
    expected = precision_recall_fscore_support(y, predicted, labels=labels)[:3]
    np.testing.assert_allclose(series.class_scores(counts), np.transpose(expected), rtol=1e-12)


def test_a_class_without_rows_has_no_recall():
    scores = series.class_scores(np.array([[2, 0], [0, 0]]))
    assert np.isnan(scores[1]).all()
    assert series.row_shares(np.array([[2, 2], [0, 0]])).tolist() == [[0.5, 0.5], [0, 0]]


def test_weight_images_begin_with_the_longest_vectors(rng):
    W = rng.normal(size=(6, 5))
    order, images = series.weight_images(W, (2, 3), 3)
    assert order.tolist() == np.argsort(-np.linalg.norm(W, axis=0))[:3].tolist()
    np.testing.assert_array_equal(images.reshape(3, 6), W[:, order].T)


def test_curves_are_positive_where_each_finite_value_is():
    assert positive([Curve("a", [0, 1], [1.0, math.nan])])
    assert not positive([Curve("a", [0, 1], [1.0, 0.0])])
    assert not positive([Curve("a", [0], [math.inf])])
    assert not positive([])
