"""Why: the terminal is where most people meet a run: its tables and cards must show what was measured.

In: scores, confusion counts, findings. Out: printed text.
"""

import io

import numpy as np
from page_records import finding, report
from rich.console import Console

from chainrule.report import terminal


def printed(table, width=60):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


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


def test_a_card_in_the_terminal_tells_everything():
    text = printed(terminal.card(finding()), 100)
    told = (
        "critical",
        "The rate is too high",
        "Steps overshoot.",
        "loss 2.9",
        "below 2.3",
        "rate/10: reduces the error by 75 %",
        "dead-units",
    )
    assert [words for words in (*told, "oscillating-loss", "Take a tenth.", "--lr 0.001") if words not in text] == []
    assert "[red]" in printed(terminal.card(finding(title="[red]x")), 100)


def test_the_verdict_is_one_line():
    assert (
        printed(terminal.verdict_line(report()), 100).strip()
        == "doctor: problem found: The rate is too high (3 probes, 0 ms)"
    )
    assert printed(terminal.verdict_line(report(findings=[])), 100).startswith("doctor: healthy (")


def test_any_table_in_the_terminal():
    text = printed(terminal.plain_table(["setting", "[a]"], [["alpha", 0.123456], ["none"], ["x", None]]))
    assert [line.split() for line in text.splitlines() if line.strip(" ─")] == [
        ["setting", "[a]"],
        ["alpha", "0.1235"],
        ["none"],
        ["x", "–"],
    ]
