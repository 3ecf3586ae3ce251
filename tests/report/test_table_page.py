"""Check that the page of a training on a table shows each figure as given, and that no name becomes markup.

In: contents with known numbers. Out: the page's elements, read by a parser of HTML.
"""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from page_reader import named, points, read
from table_content import COLUMNS, HOSTILE, classification, many_columns, regression

from chainrule.pipeline.evaluation import roc_curve
from chainrule.report import series
from chainrule.report.page import table_page
from chainrule.report.table_run import score_text

CLASSES = tuple(f"class {k}" for k in range(48))


def titles(text):
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", text)


def part(text, title):
    """The texts of one section."""
    (found,) = [section for section in text.split("<section>") if f">{title}</h2>" in section]
    return [each for each in re.split(r"<[^>]*>", found) if each.strip()]


def rows(text, title):
    """The cells of the rows of the tables of a section."""
    (found,) = [section for section in text.split("<section>") if f">{title}</h2>" in section]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", found)]


def test_the_page_has_the_parts_that_there_are():
    both = ["Warnings", "Comparison with simple models", "Importance of the columns"]
    end = ["How the table was read", "Networks of the pack", "Settings and versions"]
    of_classes = ["Confusion matrix", "ROC and precision-recall curves", "Calibration"]
    assert titles(table_page(classification())) == [*both, *of_classes, *end]
    assert titles(table_page(regression())) == [*both, "Residuals", *end]


@pytest.mark.parametrize("content", [classification(), regression()], ids=["classes", "values"])
def test_each_score_stands_as_given(content):
    text = table_page(content)
    found = {row[0]: row[1:] for row in rows(text, "Comparison with simple models") if row}
    for model, scores, seconds in content.scores:
        shown = [score_text(name, scores.get(name)) for name in content.score_names]
        assert found[model] == [*shown, "–" if seconds is None else f"{seconds:.1f}"]
    tiles = re.findall(r'<div class="score"><span>[^<]*</span><b>([^<]*)</b>', text)
    assert tiles == [score_text(name, content.scores[0][1][name]) for name in content.score_names]


def test_the_best_is_bold_and_the_best_reference_stands_in_the_tile():
    content = regression()
    text = table_page(content)
    best = re.findall(r'<td class="number best">([^<]*)</td>', text)
    pack, trees = content.scores[0][1], content.scores[3][1]
    shown = {"rmse": trees["rmse"], "mae": pack["mae"], "r2": pack["r2"]}
    assert sorted(best) == sorted(score_text(name, value) for name, value in shown.items())
    small = re.findall(r"<small>([^<]*)</small>", text)
    assert small == [f"boosted trees: {score_text(name, trees[name])}" for name in ("rmse", "mae", "r2")]


def test_the_head_says_what_was_trained_on_what():
    reader = read(table_page(classification()))
    assert "income from census.csv" in reader.texts
    for words in ("census.csv", "1,600", "400", "3 of 4", "19.4 s", "classification"):
        assert words in reader.texts
    assert any("Use --task regression to overrule." in words for words in reader.texts)


def test_importances_are_bars_and_numbers():
    text = table_page(classification())
    found = rows(text, "Importance of the columns")[1:]
    assert found[0] == ["age", "0.1234", "0.0061"]
    assert [row[0] for row in found] == ["age", "education", "sex", "zip"]
    assert len(re.findall(r'class="whisker"', text)) == 4


def test_the_most_important_of_many_columns_are_drawn_and_all_are_listed():
    many = tuple((f"column {j}", 1.0 / (j + 1), 0.01) for j in range(300))
    text = table_page(replace(classification(), importances=many))
    assert "The 20 most important columns" in text
    assert len(rows(text, "Importance of the columns")) == 301


def test_columns_stand_with_kind_and_reason():
    text = table_page(classification())
    found = rows(text, "How the table was read")[1:]
    used = {"row": "no", HOSTILE: "no"}
    expected = [[name, kind, used.get(name, "yes"), reason] for name, kind, reason in COLUMNS]
    assert [[cell.replace("&lt;", "<").replace("&gt;", ">") for cell in row] for row in found] == expected
    shown = part(text, "How the table was read")
    assert "decimal comma" in shown
    assert "separated by &#x27;;&#x27;" in shown


def test_three_hundred_columns_are_grouped_and_listed_on_demand():
    text = table_page(replace(classification(), columns=many_columns()))
    shown = part(text, "How the table was read")
    assert "number (97)" in shown
    assert "left out (8)" in shown
    assert "All 300 columns" in shown
    assert len(rows(text, "How the table was read")) == 301


def test_networks_stand_with_weight_and_loss():
    found = rows(table_page(classification()), "Networks of the pack")
    settings = '<span class="line">128 x 3, cosine 16 (2.1), dropout 0.14, lr 0.0018</span>'
    assert found[2] == ["1", "0.1667", "0.3101", "41", "31", "2.5", settings]
    shown = part(table_page(classification()), "Networks of the pack")
    assert any("3 of 4 networks" in words and "19.4 s: the time was up." in words for words in shown)


def test_the_preset_the_seed_warnings_and_notes_are_shown():
    text = table_page(classification())
    assert ["learning_rate", "(0.001, 0.004)"] in rows(text, "Settings and versions")
    assert ["seed", "7"] in rows(text, "Settings and versions")
    assert "column &#x27;row&#x27; is left out as an id: counts the rows." in part(text, "Warnings")
    assert any("no trees" in words for words in part(text, "Comparison with simple models"))


def test_hostile_names_stay_text():
    content = classification(classes=(HOSTILE, "yes"))
    content = replace(
        content,
        title=HOSTILE,
        source=HOSTILE,
        target=HOSTILE,
        target_sentence=HOSTILE,
        facts=(HOSTILE,),
        warnings=(HOSTILE,),
        notes=(HOSTILE,),
        stopped=HOSTILE,
        rows={HOSTILE: 1},
        importances=((HOSTILE, 0.1, 0.1),),
        scores=((HOSTILE, {"loss": 1.0}, 1.0), *content.scores),
        preset={HOSTILE: HOSTILE},
        networks=(replace(content.networks[0], settings=HOSTILE),),
    )
    text = table_page(content)
    assert "<b>$x$" not in text
    reader = read(text)
    assert {name for name, _ in reader.elements}.isdisjoint({"script", "iframe", "object", "form"})
    assert sum(HOSTILE in words for words in reader.texts) >= 15


def test_a_page_loads_nothing_and_names_its_pictures():
    text = table_page(classification())
    reader = read(text)
    links = [a[key] for _, a in reader.elements for key in ("src", "href") if key in a]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\(|@import|https?:", text)
    assert len(re.findall(r"<svg[^>]*><title>[^<]*</title><desc>[^<]+</desc>", text)) == len(named(reader, "svg")) == 9


@pytest.mark.parametrize(
    "content",
    [
        replace(classification(), importances=()),
        replace(classification(), confusion=None, probabilities=None),
        replace(classification(), networks=(), columns=(), facts=(), warnings=(), scores=(), notes=()),
        replace(classification(), scores=(("chainrule", {"loss": math.nan, "accuracy": math.inf}, None),)),
        replace(classification(), probabilities=np.full((400, 2), np.nan)),
        replace(classification(), importances=(("a", math.nan, math.nan), ("b", -1.0, 0.0), ("c", 1.0, math.nan))),
        replace(regression(), predicted=np.full(400, np.nan)),
        replace(regression(), y=np.zeros(0), predicted=np.zeros(0)),
        replace(regression(), y=np.ones(400), predicted=np.ones(400)),
        classification(1),
        regression(1),
        classification(90, ("a", "b", "c")),
        classification(4800, CLASSES),
        classification(30, CLASSES),
    ],
    ids=[
        "no importances",
        "no probabilities",
        "nothing known",
        "scores that are no numbers",
        "probabilities that are no numbers",
        "importances that are no numbers",
        "predictions that are no numbers",
        "no rows",
        "one value",
        "one row of classes",
        "one row of values",
        "three classes",
        "48 classes",
        "classes without rows",
    ],
)
def test_a_page_is_whole_whatever_is_missing(content):
    text = table_page(content)
    reader = read(text)
    assert {a["href"][1:] for a in named(reader, "a")} == {a["id"] for a in named(reader, "h2")}
    assert not re.search(r'(?:points|[xy][12]?|width|height|d)="[^"]*nan', text)
    assert titles(text)[-1] == "Settings and versions"


def test_a_score_that_is_no_number_is_a_dash():
    content = replace(classification(), scores=(("chainrule", {"loss": math.nan, "accuracy": 0.5}, None),))
    text = table_page(content)
    assert re.findall(r'<div class="score"><span>[^<]*</span><b>([^<]*)</b>', text) == ["–", "0.5000"]
    assert "best" not in re.findall(r'<td class="([^"]*)"', text)


def test_two_classes_have_one_curve_and_more_have_one_each():
    content = classification()
    plot = series.roc_curves(content.probabilities, content.y, content.classes)
    known = roc_curve(content.y, content.probabilities, range(2), 1)
    assert [curve.name for curve in plot.curves] == [f"yes (area {known.auc:.3f})", "chance"]
    assert np.array_equal(plot.curves[0].y, known.true_positive_rate)
    three = classification(90, ("a", "b", "c"))
    assert len(series.roc_curves(three.probabilities, three.y, three.classes).curves) == 4
    assert len(series.precision_recall_curves(three.probabilities, three.y, three.classes).curves) == 3
    many = classification(960, CLASSES)
    assert len(series.roc_curves(many.probabilities, many.y, many.classes).curves) == 7
    assert "The 6 classes with the most rows are shown." in table_page(many)


def test_a_class_without_rows_has_no_curve():
    content = classification(90, ("a", "b", "c"))
    y = np.where(content.y == 2, 0, content.y)
    plot = series.precision_recall_curves(content.probabilities, y, content.classes)
    assert [curve.name[0] for curve in plot.curves] == ["a", "b"]
    assert series.roc_curves(content.probabilities, np.zeros(90, int), content.classes) is None


def test_the_calibration_is_that_of_the_rows():
    content = classification()
    error = series.calibration(content.probabilities, content.y).error
    assert any(f"(ECE): {error:.3g}," in words for words in part(table_page(content), "Calibration"))


def test_curves_are_drawn_from_corner_to_corner():
    section = table_page(classification()).split(">ROC and precision-recall curves</h2>")[1]
    roc = points(read(re.search(r"<svg.*?</svg>", section)[0]))
    assert roc[0][0] < roc[-1][0]
    assert roc[0][1] > roc[-1][1]
