"""Why: pictures and tables are what people look at, so they must show the numbers that were measured.

In: epochs, range tests, scores, confusion counts. Out: the data that the figures draw, and the text of the tables.
"""

import io
import math
import sys
from dataclasses import fields

import numpy as np
import pytest
from rich.console import Console

from chainrule.report import figures, terminal
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


def printed(table, width=60):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_learning_curve_draws_losses_and_scores():
    epochs = [epoch(i + 1, train=2.0 / (i + 1), held_out=2.5 / (i + 1)) for i in range(4)]
    left, right = figures.learning_curve(epochs, best_epoch=3, title="digits").axes
    train, held_out, mark = left.lines
    assert train.get_xydata().tolist() == [[i + 1, 2.0 / (i + 1)] for i in range(4)]
    assert held_out.get_ydata().tolist() == [2.5 / (i + 1) for i in range(4)]
    assert mark.get_xdata()[0] == 3
    assert left.get_yscale() == "log"
    assert right.get_ylabel() == "accuracy"
    assert right.lines[1].get_ydata().tolist() == [0.25] * 4
    assert "kept: epoch 3" in [text.get_text() for text in left.get_legend().get_texts()]


def test_curve_without_validation_or_with_losses_below_zero():
    left, _ = figures.learning_curve([epoch(1), epoch(2, train=-1.0)]).axes
    assert len(left.lines) == 1
    assert left.get_yscale() == "linear"


@pytest.mark.parametrize(
    "epochs", [[epoch(1)], [epoch(1, train=math.nan)], [epoch(1, 1.0, 1.0), epoch(2, math.inf, math.inf)]]
)
def test_short_and_diverged_runs_still_make_a_picture(epochs):
    picture = figures.png(figures.learning_curve(epochs))
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 5000


def test_rate_curve_marks_the_suggestion():
    rates = np.geomspace(1e-5, 1, 30)
    losses = np.linspace(2, 1, 30)
    axes = figures.rate_curve(RangeResult(rates, losses, losses - 0.1, 0.01)).axes[0]
    assert axes.get_xscale() == "log"
    assert axes.lines[0].get_ydata().tolist() == losses.tolist()
    assert axes.lines[2].get_xdata()[0] == 0.01


def test_pictures_need_no_display_and_leave_no_global_state():
    figures.png(figures.learning_curve([epoch(1)]))
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_scores_stand_in_one_row_a_part():
    text = printed(
        terminal.scores_table({"train": {"loss": 0.12345, "accuracy": 1.0}, "test": {"loss": 2.0, "accuracy": 0.5}})
    )
    rows = [line.split() for line in text.splitlines() if line.strip()]
    assert ["loss", "accuracy"] in rows
    assert ["train", "0.1235", "1.0000"] in rows or ["train", "0.1234", "1.0000"] in rows
    assert ["test", "2.0000", "0.5000"] in rows


def test_confusion_shows_counts_and_dots_for_none():
    text = printed(terminal.confusion_table(np.array([[12, 0], [3, 4]]), ["no", "yes"]))
    rows = [line.split() for line in text.splitlines() if line.strip()]
    assert ["no", "12", "·"] in rows
    assert ["yes", "3", "4"] in rows


def test_labels_are_text_and_not_markup():
    text = printed(terminal.confusion_table(np.eye(2, dtype=int), ["[red]a[/red]", "[/]"]))
    assert "[red]a[/red]" in text
    assert "[/]" in text
