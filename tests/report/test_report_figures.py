"""Why: pictures and tables are what people look at, so they must show the numbers that were measured.

In: epochs, range tests, scores, confusion counts. Out: the data that the figures draw, and the text of the tables.
"""

import io
import math
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from page_records import case, finding, reading, report
from rich.console import Console

from chainrule.report import figures, notebook, terminal
from chainrule.train import Epoch, Run
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


def readings():
    net = case().recipe.net
    return [reading(net, i) for i in range(4)]


def test_gradient_flow_draws_the_first_and_the_last_reading():
    ax = figures.gradient_flow(Figure().subplots(), readings())
    first, last = (line.get_ydata().tolist() for line in ax.lines)
    assert first == last == [1e-3, 1e-2, 1e-1]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0 Dense", "1 relu", "2 Dense"]
    assert ax.get_yscale() == "log"


def test_update_ratios_are_logarithms_beside_the_line_at_minus_three():
    ax = figures.update_ratios(Figure().subplots(), readings())
    *layers, mark = ax.lines
    assert [np.round(line.get_ydata(), 9).tolist() for line in layers] == [[-2, -3, -4, -5]] * 2
    assert mark.get_ydata() == [-3, -3]


def test_activation_bands_are_a_standard_deviation_wide():
    ax = figures.activation_bands(Figure().subplots(), readings(), 1)
    (mean,) = ax.lines
    assert mean.get_ydata().tolist() == [0.5] * 4
    (band,) = ax.collections
    # rms² = mean² + deviation²; the last reading's rms is 4
    top = max(y for _, y in band.get_paths()[0].vertices)
    assert top == pytest.approx(0.5 + math.sqrt(16 - 0.25))
    assert ax.get_title() == "1 relu"


def test_a_last_reading_of_a_broken_training_is_left_out():
    broken = replace(readings()[-1], layers=(), nonfinite="output of layer 0")
    ax = figures.update_ratios(Figure().subplots(), [*readings(), broken])
    assert len(ax.lines[0].get_xdata()) == 4


def test_confusion_shows_counts_and_any_label():
    ax = figures.confusion(Figure().subplots(), np.array([[3, 1], [0, 2]]), ["a$b$", "<b>"])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "2", "3"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a$b$", "<b>"]
    assert ax.images[0].get_array().tolist() == [[0.75, 0.25], [0, 1]]
    assert figures.png(ax.figure).startswith(b"\x89PNG")


def test_calibration_draws_shares_right_by_confidence():
    P = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7]])
    ax = figures.calibration(Figure().subplots(), P, np.array([0, 1, 1]))
    np.testing.assert_allclose(ax.lines[1].get_xydata(), [[0.7, 1.0], [0.9, 0.5]])


def test_curves_on_given_axes():
    ax = figures.curves(Figure().subplots(), [epoch(1, 2.0, 3.0), epoch(2, 1.0, 2.0)], "score")
    assert ax.get_ylabel() == "accuracy"
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.5, 0.5], [0.25, 0.25]]


def test_a_card_in_the_terminal_tells_everything():
    text = printed(terminal.card(finding()), 100)
    told = (
        "critical",
        "The rate is too high",
        "Steps overshoot.",
        "loss 2.9",
        "below 2.3",
        "rate/10: helps",
        "dead-units",
    )
    assert [words for words in (*told, "oscillating-loss", "Take a tenth.", "--lr 0.001") if words not in text] == []
    assert "[red]" in printed(terminal.card(finding(title="[red]x")), 100)


def test_the_verdict_is_one_line():
    assert printed(terminal.verdict_line(report()), 100).strip() == "doctor: ill: The rate is too high (3 looks, 0 ms)"
    assert printed(terminal.verdict_line(report(findings=[])), 100).startswith("doctor: healthy (")


def test_any_table_in_the_terminal():
    text = printed(terminal.plain_table(["setting", "[a]"], [["alpha", 0.123456], ["none"], ["x", None]]))
    assert [line.split() for line in text.splitlines() if line.strip(" ─")] == [
        ["setting", "[a]"],
        ["alpha", "0.1235"],
        ["none"],
        ["x", "–"],
    ]


class Shell:
    """What the notebook's shell is to `enable`."""

    def __init__(self):
        self.kinds = {}
        self.display_formatter = self
        self.formatters = {"text/html": self}

    def for_type(self, kind, show):
        self.kinds[kind] = show


def test_notebooks_show_networks_runs_and_diagnoses_in_frames():
    shell = Shell()
    assert notebook.enable(shell)
    of = report()
    run = Run(of.trace.epochs, of.trace.final, 2, "", "reference", (), 1.0)
    shown = {type(value): shell.kinds[type(value)](value) for value in (of, of.findings[0], of.problem.recipe.net, run)}
    assert len(shown) == 4
    for text in shown.values():
        assert text.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
        assert 'sandbox=""' in text
        assert text.count("<") == 2


def test_without_a_notebook_nothing_is_enabled(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert notebook.enable() is False
