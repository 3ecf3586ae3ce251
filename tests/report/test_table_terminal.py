"""Check that the terminal shows what a training on a table found, briefly, and takes no name as markup.

In: contents with known numbers. Out: printed text.
"""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from table_content import COLUMNS, HOSTILE, classification, many_columns, regression

from chainrule.report import table_terminal
from chainrule.report.table_run import best_text, column_groups, listing, score_text


def printed(shown, width=100, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    console.print(shown)
    return console.file.getvalue()


def lines(shown, width=100):
    return [line.strip() for line in printed(shown, width).splitlines() if line.strip(" ─")]


def row(shown, start):
    (found,) = [line.split() for line in lines(shown) if line.startswith(start)]
    return found


def test_few_columns_stand_one_by_one_with_their_reasons():
    found = [line.split(maxsplit=2) for line in lines(table_terminal.columns_table(COLUMNS))]
    assert found == [[name, kind, reason] for name, kind, reason in COLUMNS]


@pytest.mark.parametrize("width", [80, 200])
def test_many_columns_stand_in_groups(width):
    shown = lines(table_terminal.columns_table(many_columns()), width)
    assert len(shown) <= 12
    starts = [line.split("  ")[0] for line in shown if line.split("  ")[0].endswith(")")]
    assert starts == [
        "number (97)",
        "category (97)",
        "text (97)",
        "number (1)",
        "constant (8)",
    ]
    words = " ".join(" ".join(shown).split())
    assert "number (97) measurement 0, measurement 3, measurement 6, measurement 9, measurement 12, " in words
    assert words.count("and 91 more") == 3
    assert "number (1) wide: asked for (--columns wide=number)" in words
    assert words.endswith("and 3 more: empty")


def test_columns_left_out_for_many_reasons_stay_in_a_few_lines():
    columns = tuple((f"n{j}", "number", "numbers") for j in range(20))
    columns += tuple((f"copy {j}", "duplicate", f"equals column 'n{j}'") for j in range(20))
    shown = lines(table_terminal.columns_table(columns), 80)
    assert len(shown) == 8
    assert shown[1].split(maxsplit=2)[2] == "copy 0: equals column 'n0'"
    assert shown[-1].startswith("left out (14)")


def test_long_and_hostile_names_fit():
    columns = (*[("x" * 500, "number", "numbers")] * 20, (HOSTILE, "id", "counts the rows"))
    shown = lines(table_terminal.columns_table(columns), 80)
    assert len(shown) <= 4
    assert HOSTILE in shown[-1]


def test_no_columns_print_nothing():
    assert lines(table_terminal.columns_table(())) == []


def test_the_pack_stands_beside_the_references():
    content = classification()
    table = table_terminal.comparison_table(content)
    scores = content.scores[0][1]
    shown = [f"{scores[name]:.4f}" for name in ("loss", "accuracy", "f1", "roc_auc")]
    assert row(table, "chainrule") == ["chainrule", *shown, "19.4"]
    assert row(table, "constant") == ["constant", "0.6931", "0.5121", "0.3404", "0.5000", "0.0"]
    assert row(table, "boosted trees") == ["boosted", "trees", "–", "–", "–", "–", "–"]
    assert "on 400 test rows" in printed(table)
    assert "log loss" in printed(table)


def test_the_best_of_each_score_is_bold():
    content = regression()
    text = printed(table_terminal.comparison_table(content), force_terminal=True, color_system="standard")
    bold = [part.split("\x1b[0m")[0].strip() for part in text.split("\x1b[1m")[1:]]
    trees, pack = content.scores[3][1], content.scores[0][1]
    best = {score_text("rmse", trees["rmse"]), score_text("mae", pack["mae"]), score_text("r2", pack["r2"])}
    assert best <= set(bold)
    worst = {score_text(name, value) for name, value in content.scores[1][1].items()}
    assert not worst & set(bold)


def test_scores_that_are_no_number_are_dashes():
    content = classification()
    scores = (("chainrule", {"loss": math.nan, "accuracy": 0.5}, None), ("linear", {"loss": 0.7, "accuracy": 0.4}, 1.0))
    table = table_terminal.comparison_table(replace(content, scores=scores))
    assert row(table, "chainrule") == ["chainrule", "–", "0.5000", "–"]
    assert best_text(replace(content, scores=scores), "loss") is None


def test_the_most_important_columns_are_bars():
    text = printed(table_terminal.importance_lines(classification())).splitlines()
    assert text[0].split() == ["age", "█" * 24, "+0.123", "±", "0.006"]
    assert text[1].split()[1].startswith("█" * 9)
    assert text[2].split() == ["sex", "▏", "+0.0004", "±", "0.0009"]
    assert text[3].split() == ["zip", "-0.0002", "±", "0.0003"]


def test_only_the_first_importances_are_shown():
    content = replace(classification(), importances=tuple((f"{HOSTILE}{j}", 1.0 / (j + 1), 0.1) for j in range(300)))
    text = lines(table_terminal.importance_lines(content))
    assert len(text) == 8
    assert text[0].startswith(f"{HOSTILE}0 ")


def test_an_importance_of_a_single_shuffle_has_no_error():
    content = replace(classification(), importances=(("a", 0.5, math.nan),))
    assert lines(table_terminal.importance_lines(content))[0].endswith("+0.5")


@pytest.mark.parametrize("rises", [(), (("a", math.nan, math.nan),), (("a", 0.0, 0.0), ("b", -1.0, 0.5))])
def test_importances_without_a_bar_are_shown(rises):
    assert len(lines(table_terminal.importance_lines(replace(classification(), importances=rises)))) == len(rises)


def test_classes_have_precision_recall_and_f1():
    counts = np.array([[3, 1], [0, 4]])
    table = table_terminal.class_table(replace(classification(classes=("no", HOSTILE)), confusion=counts))
    assert row(table, "no") == ["no", "4", "1.0000", "0.7500", "0.8571"]
    assert row(table, HOSTILE) == [HOSTILE, "4", "0.8000", "1.0000", "0.8889"]


def test_a_class_that_was_never_predicted_has_no_precision():
    table = table_terminal.class_table(replace(classification(), confusion=np.array([[3, 0], [1, 0]])))
    assert row(table, "yes") == ["yes", "1", "–", "0.0000", "0.0000"]


def test_too_many_classes_and_values_have_no_table():
    assert table_terminal.class_table(classification(480, tuple(f"class {k}" for k in range(48)))) is None
    assert table_terminal.class_table(regression()) is None
    assert table_terminal.class_table(classification(400, tuple(f"class {k}" for k in range(20)))) is not None


def test_one_row_is_enough():
    for content in (classification(1), regression(1)):
        assert len(lines(table_terminal.comparison_table(content))) == 6


def test_columns_that_need_a_line_are_not_grouped():
    groups = column_groups(COLUMNS)
    assert groups.used == {
        "number": ("age", "fnlwgt"),
        "category": ("education",),
        "boolean": ("sex",),
        "date": ("since",),
    }
    assert [(kind, names) for kind, _, names in groups.single] == [
        ("category", ("zip",)),
        ("id", ("row",)),
        ("constant", (HOSTILE,)),
    ]


def test_a_listing_keeps_its_length():
    assert len(listing([f"column {j}" for j in range(1000)], 50)) <= 50
    assert listing(["x" * 99, "b"], 10) == "xxxxxxxxx… and 1 more"
    assert listing([], 50) == ""
