"""Why: a picture misleads more quietly than a number; what is drawn must be what was measured.

In: fitted networks and predictions. Out: the data of lines, points and images on the axes.
"""

import math
import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from chainrule import NetClassifier, NetRegressor
from chainrule.calibration import expected_calibration_error, reliability
from chainrule.errors import InvalidValueError
from chainrule.report.displays import (
    CalibrationDisplay,
    ConfusionDisplay,
    TrainingCurveDisplay,
    WeightImagesDisplay,
)
from chainrule.report.matplotlib import HELD_OUT_COLOR, TRAINING_COLOR


@pytest.fixture
def ax():
    figure = Figure(figsize=(4, 4))
    yield figure.subplots()
    with warnings.catch_warnings():  # a picture that cannot be drawn fails here
        warnings.simplefilter("error")
        figure.canvas.draw()


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    return X, np.array(["ant", "bee", "cat"])[np.clip(np.rint(X[:, 0] + 1 + rng.normal(0, 0.5, 120)), 0, 2).astype(int)]


@pytest.fixture(scope="module")
def network(rows):
    return NetClassifier((6,), max_iter=8, early_stopping=True, random_state=0).fit(*rows)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


@pytest.mark.parametrize("what", ["loss", "score"])
def test_curves_are_the_epochs(what, network, ax):
    display = TrainingCurveDisplay.from_estimator(network, what=what, ax=ax)
    assert (display.ax_, display.figure_) == (ax, ax.figure)
    epochs, drawn = network.run_.epochs, lines(ax)
    for part, name, color in (("train", "training", TRAINING_COLOR), ("validation", "validation", HELD_OUT_COLOR)):
        assert drawn[name].get_color() == color
        np.testing.assert_array_equal(drawn[name].get_xdata(), [epoch.number for epoch in epochs])
        np.testing.assert_array_equal(drawn[name].get_ydata(), [getattr(epoch, f"{part}_{what}") for epoch in epochs])
    best = network.best_iteration_
    x, y = (float(np.squeeze(v)) for v in drawn[f"best: epoch {best}"].get_data())
    assert (x, y) == (best, getattr(epochs[best - 1], f"validation_{what}"))
    assert ax.get_yscale() == ("log" if what == "loss" else "linear")


def test_a_run_without_validation_has_one_curve_and_several_networks_have_a_curve_each(rows, ax):
    X, _ = rows
    model = NetRegressor((4,), max_iter=3, n_networks=2, random_state=0).fit(X, X[:, 0])
    TrainingCurveDisplay.from_estimator(model, ax=ax)
    drawn = [line.get_ydata() for line in ax.get_lines()]
    assert len(drawn) == 2
    for curve, run in zip(drawn, model.runs_, strict=True):
        np.testing.assert_array_equal(curve, [epoch.train_loss for epoch in run.epochs])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training"]


def test_a_run_by_itself_can_be_drawn_and_a_wrong_word_is_refused(network, ax):
    TrainingCurveDisplay.from_run(network.run_, ax=ax)
    with pytest.raises(InvalidValueError, match="Did you mean 'score'"):
        TrainingCurveDisplay.from_run(network.run_, what="scores", ax=ax)


def test_confusion_counts_are_scikit_learns(rows, network, ax):
    X, y = rows
    display = ConfusionDisplay.from_estimator(network, X, y, ax=ax)
    expected = confusion_matrix(y, network.predict(X))
    np.testing.assert_array_equal(display.counts, expected)
    written = {tuple(map(int, text.get_position())): int(text.get_text()) for text in ax.texts}
    assert written == {(int(j), int(i)): int(expected[i, j]) for i, j in np.argwhere(expected)}
    assert [t.get_text() for t in ax.get_yticklabels()] == ["ant", "bee", "cat"]
    assert f"{network.score(X, y):.3f}" in ax.get_title()


def test_mistakes_are_drawn_in_another_color_than_what_is_right(ax):
    ConfusionDisplay.from_predictions([0, 0, 1, 1], [0, 1, 1, 1], labels=[0, 1, 2], ax=ax)
    (image,) = ax.get_images()
    red, _, blue = np.moveaxis(np.asarray(image.get_array()), -1, 0)
    assert blue[1, 1] > red[1, 1]
    assert red[0, 1] > blue[0, 1]
    np.testing.assert_array_equal(np.asarray(image.get_array())[2], 1.0)  # a class without rows stays white


def test_labels_that_are_not_known_are_refused():
    with pytest.raises(InvalidValueError, match=r"^ConfusionDisplay: y_true must be 2 labels among \['a'\]"):
        ConfusionDisplay.from_predictions(["a", "b"], ["a", "a"], labels=["a"])


def test_calibration_points_are_the_bins(rows, network, ax):
    X, y = rows
    display = CalibrationDisplay.from_estimator(network, X, y, bins=5, ax=ax)
    P, numbers = network.predict_proba(X), np.searchsorted(network.classes_, y)
    confidence, accuracy, share = reliability(P, numbers, 5)
    (points,) = [
        each for each in ax.collections if len(each.get_offsets()) == (share > 0).sum() and len(each.get_sizes())
    ]
    np.testing.assert_allclose(points.get_offsets(), np.column_stack([confidence, accuracy])[share > 0])
    assert display.error == expected_calibration_error(P, numbers, 5)
    assert any(f"{display.error:.3f}" in text.get_text() for text in ax.get_legend().get_texts())
    CalibrationDisplay.from_predictions(y, P, name="again", ax=ax)
    assert sum(line.get_label() == "perfectly calibrated" for line in ax.get_lines()) == 1


def test_probabilities_need_a_column_for_each_label():
    with pytest.raises(InvalidValueError, match=r"^CalibrationDisplay: P must be of shape \(2, 3\)"):
        CalibrationDisplay.from_predictions([0, 1], np.full((2, 2), 0.5), labels=[0, 1, 2])


def test_weight_images_are_columns_of_the_weights(network, ax):
    display = WeightImagesDisplay.from_estimator(network, units=4, ax=ax)
    W = network.coefs_[0]
    longest = np.argsort(-(W**2).sum(axis=0))[:4]
    np.testing.assert_array_equal(display.images.reshape(4, 4), W[:, longest].T)
    (image,) = ax.get_images()
    wall = np.ma.filled(image.get_array(), math.nan)
    assert wall.shape == (5, 5)
    first = display.images[0]
    np.testing.assert_allclose(wall[:2, :2], first / np.abs(first).max())
    assert np.isnan(wall[2]).all()
    assert np.isnan(wall[:, 2]).all()


def test_pixels_must_fill_the_images(ax):
    W = np.ones((6, 2))
    assert WeightImagesDisplay.from_weights(W, shape=(2, 3), ax=ax).images.shape == (2, 2, 3)
    for shape, got in ((None, "'no square'"), ((2, 2), r"\(2, 2\)")):
        with pytest.raises(InvalidValueError, match=rf"^WeightImagesDisplay: shape must be of 6 pixels, got {got}"):
            WeightImagesDisplay.from_weights(W, shape=shape)


def test_without_axes_a_figure_is_made():
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    display = WeightImagesDisplay.from_weights(np.eye(9))
    assert pyplot.gcf() is display.figure_
    pyplot.close(display.figure_)
