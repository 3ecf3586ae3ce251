"""Why: the chapters' pictures must show what the package computes, and be legible in both schemes and without eyes.

In: the pictures' tool, their files, the chapters. Out: passes, or the picture that is stale, unused or without words.
"""

import re
import sys
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.append(str(DOCS / "tools"))

import pictures  # noqa: E402  (the tools of the documentation are no package)

FILES = {path.stem: path.read_text("utf-8") for path in pictures.FOLDER.glob("*.svg")}
IMAGE = re.compile(r"!\[([^\]]*)\]\(\.\./drawings/charts/([\w-]+)\.svg\)")
USED = {
    name: (words, page.stem)
    for page in sorted((DOCS / "learn").glob("*.md"))
    for words, name in IMAGE.findall(page.read_text("utf-8"))
}


def shape(svg):
    """What a picture is made of, in order, without its numbers: kinds of elements and words."""
    found = []
    for element in ElementTree.fromstring(svg).iter():
        kind = element.tag.split("}")[1]
        text = (element.text or "").strip()
        words = "" if kind in ("desc", "style") or re.fullmatch(r"[−\d.e]*", text) else text
        found.append((kind, element.get("class", ""), words))
    return [key for key, _ in groupby(entry for entry in found if entry[:2] != ("text", "mid") and entry[1] != "grid")]


def test_every_picture_has_a_file_and_a_place_in_a_chapter():
    assert set(pictures.CHARTS) == set(FILES) == set(USED)
    assert len({page for _, page in USED.values()}) == 9


@pytest.mark.parametrize("name", pictures.CHARTS)
def test_a_file_has_the_shape_of_what_is_drawn_today(name):
    assert shape(pictures.drawn(name)) == shape(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_picture_says_in_words_what_it_shows(name):
    words, _ = USED[name]
    assert len(words) > 40
    assert words.endswith(".")
    assert '"' not in words
    assert re.search(r"<title>[^<]{5,}</title><desc>[^<]{20,}</desc>", FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_the_style_of_a_picture_touches_nothing_else_and_has_both_schemes(name):
    css = re.search(r"<style>(.*?)</style>", FILES[name], re.DOTALL)[1]
    assert css.count("@media (prefers-color-scheme: dark)") == 1
    assert css.count("--paper:") == 2
    selectors = re.findall(r"(?:^|[{}])\s*([^{}@;]+?)\s*\{", css, re.MULTILINE)
    assert len(selectors) > 20
    assert all(part.strip().startswith(".chart") for each in selectors for part in each.split(","))


def test_pictures_take_the_colors_of_the_page():
    page = pictures.inside('<p><img alt="Two lines." src="../drawings/charts/pair-loss.svg" /></p>')
    assert "<img" not in page
    assert 'aria-label="Two lines."' in page
    assert "[data-md-color-scheme=slate] .chart {" in page
    assert pictures.inside("<p>nothing</p>") == "<p>nothing</p>"
