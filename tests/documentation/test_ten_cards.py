"""Why: a picture of a card must show what the code above it makes the doctor say.

In: the page of ten cards and its pictures. Out: each mark has its picture, and the picture the card's words.
"""

import re
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "docs" / "tools"
sys.path.insert(0, str(TOOLS))
import cards  # noqa: E402  (the tools of the documentation are no package)

MARKS = cards.MARK.findall(cards.PAGE.read_text("utf-8"))


def test_ten_marks_have_ten_pictures():
    assert len(MARKS) == 10
    assert sorted(MARKS) == sorted(path.stem for path in cards.FOLDER.glob("*.html"))


def test_pictures_take_the_place_of_marks_and_keep_their_style_inside():
    page = cards.inside("<p>before</p><!-- card: copy --><p>after</p>")
    assert "<!-- card" not in page
    assert page.index("before") < page.index("shadowrootmode") < page.index("after")
    assert ":root" not in page
    assert "[data-md-color-scheme=slate] .doctor-card" in page
    assert cards.inside("<p>nothing</p>") == "<p>nothing</p>"


@pytest.mark.slow
def test_pictures_say_what_the_doctor_says():
    reports = cards.reports(cards.PAGE.read_text("utf-8"))
    for name, report in reports.items():
        drawn = (cards.FOLDER / f"{name}.html").read_text("utf-8")
        title = re.search(r"<h3>1\. (.*?)</h3>", drawn)[1]
        shown = re.search(r"<h3>1\. (.*?)</h3>", cards.fragment(report))[1]
        assert title == shown, name
        assert report.primary.symptom in drawn
