"""Why: a picture misleads more quietly than a number: what is drawn must stand where its value is.

In: plots and tables of known numbers. Out: positions of shapes, names of ticks, whole SVG files.
"""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from page_reader import named, points, read
from page_records import HOSTILE

from chainrule.report.plots import BarPlot, Curve, Level, LinePlot, Mark, Points, ScatterPlot
from chainrule.report.series import Table
from chainrule.report.svg import document, figure, heatmap, matrix, sheet, units
from chainrule.report.svg.markup import escaped
from chainrule.report.svg.scales import scale, thinned


def test_curves_stand_where_their_values_are():
    drawn = read(figure(LinePlot("t", [Curve("a", [0, 1, 2], [1.0, 10.0, 100.0])], y_log=True)))
    (x0, y0), (x1, y1), (x2, y2) = points(drawn)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y2 < y1 < y0


def test_curves_have_gaps_where_a_value_is_none():
    drawn = read(figure(LinePlot("t", [Curve("a", range(6), [1.0, 2.0, math.nan, 3.0, math.inf, 4.0])])))
    assert [len(points(drawn, i)) for i in range(len(named(drawn, "polyline")))] == [2]
    assert len(named(drawn, "circle")) == 2


def test_marks_and_levels_are_named_and_near_marks_joined():
    marks, levels = [Mark(50, "1"), Mark(51, "2"), Mark(90, "3")], [Level(-3, "−3")]
    text = figure(LinePlot("t", [Curve("a", [0, 100], [1.0, 2.0])], marks=marks, levels=levels))
    assert ">1 2</text>" in text
    assert ">3</text>" in text
    assert text.count('class="mark"') == 2
    assert ">−3</text>" in text
    assert text.count('class="level"') == 1


def test_thinned_curves_keep_their_spikes():
    y = np.zeros(10_000)
    y[777], y[5000] = 9.0, -9.0
    x, kept = thinned(range(10_000), y)
    assert len(x) <= 402
    assert (777.0, 9.0) in zip(x, kept, strict=True)
    assert (5000.0, -9.0) in zip(x, kept, strict=True)
    assert (x[0], x[-1]) == (0.0, 9999.0)
    assert len(figure(LinePlot("t", [Curve("a", range(10_000), y)]))) < 20_000


@pytest.mark.parametrize(
    "values", [[], [math.nan], [5.0], [0.0, 0.0], [1e-300, 1e300], [-1e9, 1e9], [1e-5, 1.1e-5], [3, 4, 1e6]]
)
@pytest.mark.parametrize("log", [False, True])
def test_scales_hold_any_values_and_their_ticks_lie_between_the_ends(values, log):
    made = scale(values, 0.0, 100.0, log=log)
    assert made.low < made.high
    ticks = made.ticks()
    assert len(ticks) <= 9
    assert all(made.low * (1 - 1e-9) - 1e-9 <= value <= made.high * (1 + 1e-9) + 1e-9 for value, _ in ticks)
    for value in values:
        if made.shows(value):
            assert -2.5 <= made.at(value) <= 102.5


def test_round_ticks():
    assert [name for _, name in scale([0, 10], 0, 1, margin=0).ticks(5)] == ["0", "2", "4", "6", "8", "10"]
    assert [name for _, name in scale([1e-6, 1], 0, 1, log=True, margin=0).ticks(4)] == ["1e−6", "1e−4", "0.01", "1"]


def test_bars_are_as_long_as_their_values():
    drawn = read(figure(BarPlot("t", ["a", HOSTILE], [1.0, 3.0])))
    short, long = (float(bar["width"]) for bar in named(drawn, "rect"))
    assert long == pytest.approx(3 * short, abs=0.05)


def test_points_and_bands_leave_out_what_is_not_finite():
    dots = ScatterPlot("t", [Points("", [1, 2, math.nan], [1, math.inf, 3])], "x", "y")
    assert len(named(read(figure(dots)), "circle")) == 1
    band = LinePlot("t", [Curve("a", [0, 1, 2], [0, math.nan, 2], low=[0, math.nan, 0], high=[1, 1, 3])])
    drawn = read(figure(band))
    (around,) = (shape["points"] for shape in named(drawn, "polygon"))
    assert len(around.split()) == 4
    read(figure(LinePlot("t", [Curve("a", [0], [math.nan], low=[0], high=[1])])))


def test_cells_are_the_stronger_the_higher_and_colored_about_the_middle():
    ratios = Table(np.array([[1e-5, 1e-3, 1e-2, math.nan]]), ("0 Dense",), tuple("abcd"))
    drawn = read(heatmap("t", ratios, log=True, middle=1e-3))
    low, middle, high = named(drawn, "rect")
    assert [cell["class"] for cell in (low, middle, high)] == ["cell below", "cell", "cell"]
    assert float(middle["fill-opacity"]) < float(high["fill-opacity"]) < float(low["fill-opacity"])
    assert len(named(drawn, "circle")) == 1
    plain = named(read(heatmap("t", Table(np.array([[1.0, 2.0, 3.0]]), ("r",), tuple("abc")))), "rect")
    strengths = [float(cell["fill-opacity"]) for cell in plain]
    assert strengths[1] - strengths[0] == pytest.approx(strengths[2] - strengths[1], abs=0.011)


def test_confusion_matrix_shows_counts_and_names_the_worst_pairs():
    counts = np.array([[8, 2, 0], [0, 9, 1], [5, 0, 0]])
    text = matrix("t", counts, ["a", HOSTILE, "c"])
    assert [words for words in ("c as a (5)", f"a as {escaped(HOSTILE)[:10]}", ">8</text>") if words not in text] == []
    assert "17 of 25 rows on the diagonal" in text
    assert len(named(read(text), "rect")) == 9
    read(matrix("t", np.eye(50, dtype=int), list(range(50))))


def test_units_are_squares_up_to_a_limit():
    assert len(named(read(units("t", [("a", np.ones(300)), ("b", np.zeros(3))])), "rect")) == 256 + 3


def test_intervals_and_single_values_are_drawn_on_their_bars():
    plot = BarPlot(
        "t", ["a", "b"], [1.0, 2.0], intervals=[(0.5, 1.5), (math.nan, math.nan)], points=[[0.9, 1.1], [2.0]]
    )
    drawn = read(figure(plot))
    (whisker,) = (shape["d"] for shape in named(drawn, "path"))
    start, end = map(float, re.findall(r"[MH]([\d.]+)", whisker))
    first, second = (float(bar["width"]) for bar in named(drawn, "rect"))
    assert end - start == pytest.approx(first, abs=0.1)
    assert second == pytest.approx(2 * first, abs=0.05)
    assert [dot["class"] for dot in named(drawn, "circle")] == ["dot s0"] * 3


def test_a_value_is_named_on_the_axis_where_it_is_asked_for():
    text = figure(LinePlot("t", [Curve("a", [20, 50, 300], [1, 2, 3])], x_log=True, x_ticks=[20, 50, 300]))
    assert [name for name in ("20", "50", "300") if f">{name}</text>" not in text] == []


def test_two_measurements_are_dots_where_they_are_not_joined():
    drawn = read(figure(LinePlot("t", [Curve("a", [0, 79], [1.0, 2.0], joined=False)])))
    assert (len(named(drawn, "circle")), len(named(drawn, "polyline"))) == (2, 0)


def test_a_background_curve_is_thin_and_not_in_the_legend():
    paths = [Curve("path", [0, 1], [1, 0]), Curve("other path", [0, 1], [0, 0])]
    text = figure(LinePlot("t", [Curve("contour", [0, 1], [0, 1], thin=True), *paths]))
    assert text.count('class="line thin') == 1
    assert re.findall(r"</span>([^<]*)</li>", text) == ["path", "other path"]


@pytest.mark.parametrize(
    "plot",
    [
        LinePlot(HOSTILE, [Curve(HOSTILE, [0, 1], [1, 2]), Curve("b", [0, 1], [2, 1], dashed=True)]),
        BarPlot("bars", [HOSTILE], [1.0]),
        ScatterPlot("points", [Points("a", [1], [2]), Points("b", [2], [1])], "x", "y"),
    ],
)
def test_a_file_stands_alone_with_its_title_legend_and_both_schemes(plot):
    text = document(plot)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == plot.title
    assert "prefers-color-scheme: dark" in text
    if isinstance(plot, LinePlot):
        assert {HOSTILE, "b"} <= set(words)
    assert not re.search(r"url\(|@import|href", text)


@pytest.mark.parametrize(
    "plots",
    [
        [LinePlot("one", [Curve("a", [0, 1], [1, 2]), Curve("b", [0, 1], [2, 1])])],
        [LinePlot("loss", [Curve("a", [0], [1])]), LinePlot("score", [Curve("a", [0], [math.nan])])],
        [LinePlot(HOSTILE, [Curve(HOSTILE, [0, 1], [1, 2])], marks=[Mark(1, HOSTILE)]), BarPlot("b", ["x"], [1.0])],
        [LinePlot("low", [Curve("a", [0], [1])], height=170.0), LinePlot("high", [Curve("a", [0], [1])])],
        [ScatterPlot("points", [Points("a", [1], [2])], "x", "y")] * 3,
    ],
)
def test_a_sheet_shows_plots_side_by_side_under_its_title(plots):
    text = sheet(HOSTILE, plots)
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    words = [element.text for element in root.iter(f"{space}text")]
    assert words[-1].removesuffix("…") in " ".join(HOSTILE.split())
    assert {plot.title for plot in plots} <= set(words)
    moved = [group.get("transform") for group in root.findall(f"{space}g")]
    assert moved == [f"translate({420 * i} 24)" for i in range(len(plots))]
    assert float(root.get("width")) == 420 * len(plots)
    assert float(root.get("height")) > 170
    assert text.count("<style>") == 1
    assert not re.search(r"url\(|@import|href", text)


def test_a_sheet_of_one_plot_draws_what_its_document_draws():
    plot = LinePlot("one", [Curve("a", [0, 1], [1, 2]), Curve("b", [0, 1], [2, 1])])
    shapes = document(plot).split("</style>")[1].removesuffix("</svg>")
    assert shapes in sheet("above", [plot])
