"""Why: a comparison that hides a difference, or shows one that is not there, teaches the wrong lesson.

In: runs as their folders tell them. Out: settings that differ, figures, differences, the page.
"""

import math
import re

import pytest
from page_records import HOSTILE

from chainrule.report.compare import RecordedRun, compare, compare_page, figures_of


def kept(name, losses=(1.0, 0.5), accuracy=0.9, **settings):
    epochs = [
        {"epoch": i + 1, "train_loss": v, "validation_loss": 2 * v, "learning_rate": None} for i, v in enumerate(losses)
    ]
    result = {"test": {"loss": losses[-1], "accuracy": accuracy}, "epochs": len(losses), "stopped": "all epochs done"}
    return RecordedRun(
        name, {"source": "digits", "alpha": 0.0, "seed": 0} | settings, result | {"best_epoch": None}, epochs
    )


def test_only_what_differs_is_shown():
    found = compare([kept("a"), kept("b", alpha=0.1), kept("c", extra="new")])
    assert found.settings == {"alpha": (0.0, 0.1, 0.0), "extra": (None, None, "new")}
    assert [effect["changed"] for effect in found.effects] == [{"alpha": (0.0, 0.1)}, {"extra": (None, "new")}]


def test_effects_are_differences_from_the_first_run():
    found = compare([kept("a", (1.0, 0.5)), kept("b", (1.0, 0.25, 0.125), 0.95)])
    assert found.figures["test loss"] == (0.5, 0.125)
    assert found.effects[0]["figures"]["test loss"] == -0.375
    assert found.effects[0]["figures"]["test accuracy"] == pytest.approx(0.05)
    assert found.effects[0]["figures"]["epochs"] == 1.0


def test_figures_are_numbers_that_all_runs_have():
    bare = kept("b")
    other = RecordedRun("b", bare.settings, {"test": {"loss": 0.5}, "parameters": 5, "flag": True, "none": None}, ())
    assert figures_of(other) == {"test loss": 0.5, "parameters": 5.0}
    assert compare([kept("a"), other]).figures == {"test loss": (0.5, 0.5)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source": "iris"}, "used a different source"),
        ({"seed": 1}, "The seeds differ"),
        ({"alpha": 1.0}, "Each configuration ran once"),
        ({}, "The settings are the same"),
    ],
)
def test_notes_say_how_far_to_trust_it(settings, words):
    assert any(words in note for note in compare([kept("a"), kept("b", **settings)]).notes)


def test_page_overlays_the_curves_and_escapes_names():
    text = compare_page([kept("a"), kept(HOSTILE, (1.0, math.nan), alpha=0.1)])
    assert "<script" not in text
    titles = re.findall(r"<figcaption>([^<]*)</figcaption>", text)
    assert titles == ["Test accuracy", "Validation loss", "Train loss"]
    chart = text[text.index("Validation loss") :]
    assert chart[: chart.index("</figure>")].count("<polyline") == 1
    assert "0.5" in text
    assert "alpha" in text
    assert "seed</td>" not in text


def test_many_runs_have_lines_of_their_own():
    text = compare_page([kept(f"run {i}", alpha=float(i)) for i in range(10)])
    chart = text[text.index("Validation loss") :]
    chart = chart[: chart.index("</figure>")]
    assert chart.count("<polyline") == 10
    assert chart.count("stroke-dasharray") == 2


def test_runs_without_epochs_have_a_page():
    bare = kept("a")
    assert "Curves" not in compare_page([RecordedRun("a", bare.settings, bare.result, ())] * 2)
