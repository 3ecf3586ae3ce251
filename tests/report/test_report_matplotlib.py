"""Why: pictures are what people look at, so they must show the numbers that were measured.

In: epochs, range tests, readings. Out: the data that matplotlib draws.
"""

import math
import sys
from dataclasses import fields

import numpy as np
import pytest
from matplotlib.figure import Figure
from page_records import case, reading

from chainrule.report import matplotlib, series
from chainrule.report.plots import Mark
from chainrule.train import Epoch
from chainrule.train.range_test import RangeResult


def epoch(number, train=1.0, held_out=math.nan, metric="accuracy"):
    given = {
        "number": number,
        "metric": metric,
        "train_loss": train,
        "train_score": 0.5,
        "validation_loss": held_out,
        "validation_score": 0.25,
    }
    return Epoch(**{field.name: given.get(field.name, 0.0) for field in fields(Epoch)})


def drawn(epochs, part="loss", marks=()):
    return matplotlib.draw(Figure().subplots(), series.learning_curve(epochs, part, marks))


def test_a_learning_curve_draws_losses_and_scores():
    epochs = [epoch(i + 1, train=2.0 / (i + 1), held_out=2.5 / (i + 1)) for i in range(4)]
    marks = [Mark(3, "best: epoch 3")]
    left, right = (drawn(epochs, part, marks) for part in ("loss", "score"))
    train, held_out, mark = left.lines
    assert train.get_xydata().tolist() == [[i + 1, 2.0 / (i + 1)] for i in range(4)]
    assert held_out.get_ydata().tolist() == [2.5 / (i + 1) for i in range(4)]
    assert mark.get_xdata()[0] == 3
    assert left.get_yscale() == "log"
    assert right.get_ylabel() == "accuracy"
    assert right.lines[1].get_ydata().tolist() == [0.25] * 4
    assert "best: epoch 3" in [text.get_text() for text in left.get_legend().get_texts()]


def test_curve_without_validation_or_with_losses_below_zero():
    left = drawn([epoch(1), epoch(2, train=-1.0)])
    assert len(left.lines) == 1
    assert left.get_yscale() == "linear"


@pytest.mark.parametrize(
    "epochs", [[epoch(1)], [epoch(1, train=math.nan)], [epoch(1, 1.0, 1.0), epoch(2, math.inf, math.inf)]]
)
def test_short_and_diverged_runs_still_make_a_picture(epochs):
    picture = matplotlib.png(drawn(epochs).figure)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 5000


def test_rate_curve_marks_the_suggestion():
    rates = np.geomspace(1e-5, 1, 30)
    losses = np.linspace(2, 1, 30)
    axes = matplotlib.rate_curve(RangeResult(rates, losses, losses - 0.1, 0.01)).axes[0]
    assert axes.get_xscale() == "log"
    assert axes.lines[0].get_ydata().tolist() == losses.tolist()
    assert axes.lines[2].get_xdata()[0] == 0.01


def test_pictures_need_no_display_and_leave_no_global_state():
    def open_figures():
        pyplot = sys.modules.get("matplotlib.pyplot")
        return None if pyplot is None else pyplot.get_fignums()

    before = open_figures()
    matplotlib.png(drawn([epoch(1)]).figure)
    assert open_figures() == before


def test_any_plot_of_curves_is_drawn_on_given_axes():
    net = case().recipe.net
    ax = matplotlib.draw(Figure().subplots(), series.update_ratios([reading(net, i) for i in range(4)]))
    *layers, level = ax.lines
    assert [np.round(line.get_ydata(), 9).tolist() for line in layers] == [[-2, -3, -4, -5]] * 2
    assert level.get_ydata() == [-3, -3]


def test_a_band_is_filled_between_its_ends():
    net = case().recipe.net
    ax = matplotlib.draw(Figure().subplots(), series.activation_band([reading(net, i) for i in range(4)], 1))
    (band,) = ax.collections
    # rms² = mean² + deviation²; the last reading's rms is 4
    assert max(y for _, y in band.get_paths()[0].vertices) == pytest.approx(0.5 + math.sqrt(16 - 0.25))
    assert ax.get_title() == "1 relu"
