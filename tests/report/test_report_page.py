"""Why: the page is what people keep of a run: it must show the numbers that were measured, run nothing, and load nothing.

In: hand-made records, hostile names, runs that broke. Out: the page's elements, read by a parser of HTML.
"""

import math
import re
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from page_reader import named, points, read
from page_records import HOSTILE, case, epoch, finding, report, trace

from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.report.page import Section, doctor_page, page
from chainrule.report.page.html import table
from chainrule.report.page.predictions import JudgedRows, sections
from chainrule.report.page.sections import learning_curves
from chainrule.report.svg.markup import Html, escaped, number, tag
from chainrule.report.svg.pixels import gray, png, signed


@pytest.mark.parametrize("value", [HOSTILE, "a & b", "\"'", "</style>", "\x00\x1b[31m", "\ud800"])
def test_text_never_becomes_markup(value):
    shown = escaped(value)
    assert not re.search(r"[<>\"'\x00\x1b\ud800]", shown)
    assert "<" not in tag("p", value)[3:-4]
    attribute = tag("p", title=value)
    assert attribute.count('"') == 2
    assert named(read(attribute), "p") == [{"title": re.sub("[\x00\x1b\ud800]", "\ufffd", value)}]


def test_markup_is_taken_as_it_is_once():
    assert tag("div", tag("b", "x < y")) == "<div><b>x &lt; y</b></div>"
    assert isinstance(tag("b") + "", str)
    assert escaped(Html("&amp;")) == "&amp;"


def test_a_page_loads_nothing_and_runs_nothing():
    text = doctor_page(report())
    reader = read(text)
    names = {name for name, _ in reader.elements}
    assert names.isdisjoint({"script", "iframe", "object", "embed", "form", "base"})
    assert not [a for _, a in reader.elements for key in a if key.startswith("on")]
    links = [a[key] for _, a in reader.elements for key in ("src", "href") if key in a]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\(|@import|https?:", text)
    (policy,) = [a["content"] for a in named(reader, "meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert {a["href"][1:] for a in named(reader, "a")} == {a["id"] for a in named(reader, "h2")}


def test_hostile_labels_columns_and_messages_stay_text():
    of = case((HOSTILE, "b", "c"), inputs=5, names=(HOSTILE, "b", "c", "d", "e"))
    words = dict.fromkeys(("title", "meaning", "measured", "usual", "symptom", "severity"), HOSTILE)
    text = doctor_page(report(of, [finding(**words)], notes=(HOSTILE,), skipped=(HOSTILE,)), HOSTILE)
    reader = read(text)
    assert "<script" not in text.lower()
    assert "script" not in {name for name, _ in reader.elements}
    assert sum(HOSTILE in told for told in reader.texts) >= 8


def test_every_picture_has_a_name_and_words():
    reader = read(doctor_page(report()))
    pictures = named(reader, "svg")
    assert len(pictures) > 8
    assert all(picture["role"] == "img" for picture in pictures)
    text = doctor_page(report())
    assert len(re.findall(r"<svg[^>]*><title>[^<]*</title><desc>[^<]+</desc>", text)) == len(pictures)
    assert all(image["alt"] for image in named(reader, "img"))


def test_the_page_has_the_parts_that_there_are():
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", doctor_page(report()))
    assert titles == [
        "Findings",
        "Learning curves",
        "Confusion matrix",
        "Calibration",
        "Worst examples",
        "Gradient flow",
        "Update-to-weight ratios",
        "Activations",
        "Dead and saturated units",
        "Weights as images",
        "Settings and versions",
    ]
    amounts = re.findall(r"<h2[^>]*>([^<]*)</h2>", doctor_page(report(case(None, 5), [])))
    assert "Residuals" in amounts
    assert not {"Findings", "Calibration", "Confusion matrix", "Weights as images"} & set(amounts)


def test_a_card_tells_everything():
    text = doctor_page(report(findings=[finding()]))
    told = [
        "▲ critical",
        "The rate is too high",
        "Steps overshoot.",
        "loss 2.9",
        "below 2.3",
        "dead-units",
        "epochs 2–3",
    ]
    told += [
        "Take a tenth.",
        "fit(..., learning_rate=0.001)",
        "reduces the error by 75 %",
        "oscillating-loss",
    ]
    assert [words for words in told if words not in text] == []
    assert "ill" in read(text).texts[read(text).texts.index("✗ ill")]


def test_trial_curves_are_those_of_the_trial():
    unchanged, changed = points(read(doctor_page(report())), 0), points(read(doctor_page(report())), 1)
    assert [x for x, _ in unchanged] == [x for x, _ in changed]
    assert unchanged[0] == changed[0]
    assert unchanged[2][1] < unchanged[0][1] < changed[1][1] < changed[2][1]
    # halving twice on a logarithmic axis: equal steps, each the difference of two positions rounded to 0.1
    assert changed[2][1] - changed[1][1] == pytest.approx(changed[1][1] - changed[0][1], abs=0.2)


def test_remarks_say_what_was_skipped_and_suppressed():
    text = doctor_page(report(skipped=("x: no rows",), suppressed={"overfitting": "wanted"}, notes=("held out",)))
    assert [w for w in ("Skipped: x: no rows", "Suppressed: overfitting (wanted)", "held out") if w not in text] == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_runs_that_broke_still_make_a_page(value):
    of = case()
    broken = trace(of)
    layer = replace(broken.readings[-1].layers[0], rms=value, gradient_rms=value, update_ratio=value)
    bad = replace(broken.readings[-1], layers=(layer, *broken.readings[-1].layers[1:]))
    last = replace(bad, layers=(), nonfinite="output of layer 0")
    of_one = replace(broken, epochs=(epoch(1, value, value),), readings=(broken.readings[0], bad, last))
    reader = read(doctor_page(replace(report(of), trace=of_one)))
    coordinates = [
        v for _, a in reader.elements for k, v in a.items() if k in ("x", "y", "cx", "cy", "points", "width")
    ]
    assert not [v for v in coordinates if "nan" in v or "inf" in v]
    assert "nothing finite to draw" in " ".join(reader.texts)


def test_a_report_without_a_training_makes_a_page():
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", doctor_page(replace(report(), trace=None)))
    assert titles == ["Findings", "Settings and versions"]


def test_findings_are_marked_on_the_curves_where_they_were_first_seen():
    section = learning_curves([epoch(i, 1.0 / i) for i in range(1, 11)], [finding(seen=(4, 5)), finding(seen=())])
    first = section.body[section.body.index("<svg") : section.body.index("</svg>") + 6]
    (mark,) = re.findall(r'<line x1="([\d.]+)"[^>]*class="mark"', first)
    across = points(read(first))
    assert float(mark) == pytest.approx(across[3][0], abs=0.06)


def decoded(data):
    """Pixels of a PNG of 8 bits with opacity and no filters."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    parts, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0]
        parts[kind], at = body, at + 12 + size
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, 1 + 4 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 4)


def test_images_hold_the_pixels(rng):
    pixels = rng.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels)


def test_weights_are_colored_by_sign_and_strength():
    shown = signed(np.array([[2.0, -1.0], [0.0, math.nan]]))
    assert shown[..., 3].tolist() == [[255, 128], [0, 0]]
    assert shown[0, 0, 2] > shown[0, 0, 0]
    assert shown[0, 1, 0] > shown[0, 1, 2]
    assert gray(np.array([[1.0, 3.0], [2.0, 1.0]]))[..., 0].tolist() == [[0, 255], [128, 0]]
    assert gray(np.full((2, 2), 7.0))[..., 3].tolist() == [[255, 255], [255, 255]]


def test_predictions_show_calibration_and_the_surest_mistakes():
    P = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.3, 0.7]])
    judged = JudgedRows(
        "test", np.arange(8.0).reshape(4, 2), np.array([0, 1, 1, 1]), P.argmax(1), P, ("no", "yes"), ("u", "v")
    )
    found = {section.title: section for section in sections(judged) if section is not None}
    assert list(found) == ["Confusion matrix", "Calibration", "Worst examples"]
    # four bins of one row each: (|0.9 - 1| + |0.8 - 0| + |0.95 - 0| + |0.7 - 1|) / 4 = 0.5375
    assert "Mean distance from the dashed line: 54 points" in found["Calibration"].lead
    rows = re.findall(r"<tr><td[^>]*>(\d+)</td><td[^>]*>(\w+)</td><td[^>]*>([^<]*)</td>", found["Worst examples"].body)
    assert rows == [("2", "yes", "no (95 %)"), ("1", "yes", "no (80 %)")]


def test_residuals_are_of_the_first_target_in_its_unit():
    y = np.array([1.0, 2.0, 3.0, 4.0])
    judged = JudgedRows("test", np.ones((4, 2)), y, y + np.array([0.5, -0.5, 0.5, -2.5]), feature_names=("u", "v"))
    residuals, worst = sections(judged)
    assert "On 4 test rows: mean −0.5, standard deviation 1.22" in residuals.lead
    assert re.search(r"<tr><td[^>]*>3</td><td[^>]*>4</td><td[^>]*>1.5</td>", worst.body)


def test_nothing_is_shown_of_rows_without_mistakes():
    P = np.eye(2)
    judged = JudgedRows("test", np.ones((2, 2)), np.array([0, 1]), np.array([0, 1]), P, ("a", "b"))
    assert [s is None for s in sections(judged)] == [False, False, True]


def test_any_page_may_be_made_of_sections():
    text = page(
        "A <study>",
        [Section("One", tag("p", "x")), None, Section("Empty", Html("")), Section("T", table(["a"], [[1.5], [2]]))],
    )
    reader = read(text)
    assert [told for told in reader.texts if told in ("One", "Empty", "T")] == ["One", "T", "One", "T"]
    assert "A &lt;study&gt;" in text
    assert "prefers-color-scheme: dark" in text
    assert [cell["class"] for cell in named(reader, "td")] == ["number", "number"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-0.5, "−0.5"),
        (12345.6, "12346"),
        (123456.0, "1.23e5"),
        (2e-4, "2e−4"),
        (math.inf, "∞"),
        (1e-310, "1e−310"),
    ],
)
def test_numbers_for_people(value, shown):
    assert number(value) == shown


def test_judged_rows_of_a_case_are_those_that_the_state_says():
    of = case(("a", "b"), 4)
    net, state = of.recipe.net, of.recipe.start()
    Z = net(state, of.rows.X)
    right = int((Z.argmax(axis=1) == of.rows.Y).sum())
    assert isinstance(of.recipe.loss, SoftmaxCrossEntropy)
    assert f"{right} of 40 rows on the diagonal" in doctor_page(report(of))
