"""Why: what has two dimensions (layers and time, true and predicted classes, units of a layer) is seen as a field of cells.

In: tables of numbers, names. Out: figures of cells whose strength is their value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.report.page.charts import WIDTH, clipped, framed, svg
from chainrule.report.page.markup import Html, number, tag
from chainrule.report.page.scales import finite

STRONGEST = 0.85
"""Opacity of the strongest cell; letters stay legible over `LEGIBLE`."""
LEGIBLE = 0.55


def heat(
    title: str,
    values: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x_name: str = "epoch",
    log: bool = False,
    middle: float | None = None,
    unit: str = "",
    note: str = "",
) -> Html:
    """Cells (rows × columns): the stronger the higher; with a `middle`, one color above and one below it.

    Logarithms are taken where `log`; cells without a value are hatched by a dot.
    """
    values = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        shown = np.log10(values) if log else values
    shown = np.where(np.isfinite(shown), shown, np.nan)
    center = None if middle is None else (math.log10(middle) if log else middle)
    low, high = _range(shown)
    left, tall = 104.0, 20.0 if len(rows) < 18 else 12.0
    wide = (WIDTH - left - 8) / max(len(columns), 1)
    drawn = []
    for i, name in enumerate(rows):
        drawn.append(
            tag("text", clipped(name, 16), tag("title", name), class_="end", x=left - 6, y=12 + tall * (i + 0.72))
        )
        for j, column in enumerate(columns):
            box = {"x": left + wide * j, "y": 12 + tall * i, "width": wide + 0.3, "height": tall - 1.5}
            drawn.append(
                _cell(box, shown[i, j], (low, high, center), f"{name}, {x_name} {column}: {_said(values[i, j])}")
            )
    bottom = 12 + tall * len(rows)
    every = max(1, -(-len(columns) // 8))
    for j in range(0, len(columns), every):
        drawn.append(tag("text", columns[j], class_="mid", x=left + wide * (j + 0.5), y=bottom + 13))
    drawn.append(tag("text", x_name, class_="mid name", x=(left + WIDTH) / 2, y=bottom + 28))
    ends = [10.0**v if log else v for v in (low, high)]
    told = f"{len(rows)} rows over {len(columns)} columns, from {number(ends[0])} to {number(ends[1])}"
    return framed(title, svg(title, told, drawn, WIDTH, bottom + 34), _key(ends[0], ends[1], middle, unit), note)


def _range(values: Array) -> tuple[float, float]:
    known = finite(values.ravel())
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)


def _cell(box: dict[str, float], value: float, span: tuple[float, float, float | None], words: str) -> Html:
    low, high, center = span
    if math.isnan(value):
        middle = {"cx": box["x"] + box["width"] / 2, "cy": box["y"] + box["height"] / 2}
        return tag("circle", tag("title", words), r=1.2, class_="none", **middle)
    look = "cell" if center is None or value >= center else "cell below"
    return tag("rect", tag("title", words), class_=look, fill_opacity=strength(value, low, high, center), **box)


def strength(value: float, low: float, high: float, center: float | None = None) -> float:
    """Opacity of a cell: from faint at the low end (or in the middle) to strong at the high end (or both ends).

    >>> round(strength(1.0, 0.0, 1.0), 2), round(strength(0.0, -1.0, 1.0, center=0.0), 2)
    (0.85, 0.06)
    """
    if center is None:
        share = (value - low) / (high - low) if high > low else 0.5
    else:
        furthest = max(abs(high - center), abs(low - center))
        share = abs(value - center) / furthest if furthest > 0 else 0.0
    return 0.06 + (STRONGEST - 0.06) * min(max(share, 0.0), 1.0)


def _said(value: float) -> str:
    return number(value)


def _key(low: float, high: float, middle: float | None, unit: str) -> Html:
    """What the colors mean, in a line."""
    if middle is None:
        ramp = tag("span", class_="ramp")
        return tag("p", f"{number(low)} ", ramp, f" {number(high)} {unit}", class_="key-line")
    ramp = tag("span", class_="ramp two")
    return tag("p", f"below {number(middle)} ", ramp, f" above {number(middle)} {unit}", class_="key-line")


def matrix(title: str, counts: Array, names: Sequence[object], *, note: str = "") -> Html:
    """A confusion matrix: true classes down, predicted ones across, rows' shares as strength, errors in another color."""
    k = len(names)
    labels = [str(name) for name in names]
    left, side = 92.0, (WIDTH - 98) / max(k, 1)
    slanted = any(len(label) * 6.2 > side for label in labels)
    side = (WIDTH - 128) / max(k, 1) if slanted else side
    top, tall = 66.0 if slanted and k <= 26 else 30.0, min(side, 40.0)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = [tag("text", "predicted", class_="mid name", x=left + side * k / 2, y=11.0)]
    for j, label in enumerate(labels if k <= 26 else ()):
        drawn.append(_above(label, left + side * (j + 0.5), top - 6, slanted))
        y = top + tall * (j + 0.5) + 4
        drawn.append(tag("text", clipped(label, 14), tag("title", label), class_="end", x=left - 6, y=y))
    for i in range(k):
        for j in range(k):
            drawn += _counted(
                {"x": left + side * j, "y": top + tall * i, "width": side - 1, "height": tall - 1},
                int(counts[i, j]),
                float(share[i, j]),
                f"{labels[i]} called {labels[j]}: {int(counts[i, j])}",
                right=i == j,
                figures=side >= 22,
            )
    right = int(np.trace(counts))
    told = f"{right} of {int(counts.sum())} rows on the diagonal"
    pairs = worst_pairs(counts, labels)
    words = f"Most often mistaken: {pairs}." if pairs else ""
    return framed(
        title, svg(title, told, drawn, WIDTH, top + tall * k + 4), None, " ".join(filter(None, (words, note)))
    )


def _above(label: str, x: float, y: float, slanted: bool) -> Html:
    """A column's name, rising to the right where it has no room."""
    name = tag("title", label)
    if not slanted:
        return tag("text", label, name, class_="mid", x=x, y=y)
    return tag("text", clipped(label, 9), name, transform=f"translate({x:.1f} {y:.1f}) rotate(-45)")


def _counted(box: dict[str, float], count: int, share: float, words: str, *, right: bool, figures: bool) -> list[Html]:
    look = "cell" if right else "cell below"
    opacity = 0.04 + (LEGIBLE - 0.04) * share**0.7 if count else 0.03
    cell = tag("rect", tag("title", words), class_=look, fill_opacity=opacity, **box)
    if not count or not figures:
        return [cell]
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2 + 4}
    return [cell, tag("text", str(count), class_="mid strong" if right else "mid", **middle)]


def worst_pairs(counts: Array, names: Sequence[str], most: int = 3) -> str:
    """The pairs of classes that are confused most, in words.

    >>> worst_pairs(np.array([[5, 2], [0, 3]]), ["a", "b"])
    'a as b (2)'
    """
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    found = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j] > 0]
    return ", ".join(f"{clipped(names[i], 24)} as {clipped(names[j], 24)} ({int(wrong[i, j])})" for i, j in found)


def units(title: str, layers: Sequence[tuple[str, Array]], *, note: str = "", most: int = 256) -> Html:
    """Each unit of each layer as a small square, the stronger the nearer its value is to 1; at most so many a layer."""
    side, left = 11.0, 104.0
    per_row = int((WIDTH - left - 6) / side)
    drawn, y = [], 8.0
    for name, values in layers:
        drawn.append(tag("text", clipped(name, 16), tag("title", name), class_="end", x=left - 6, y=y + 9))
        for u, value in enumerate(np.asarray(values, np.float64)[:most]):
            box = {
                "x": left + side * (u % per_row),
                "y": y + side * (u // per_row),
                "width": side - 1.5,
                "height": side - 1.5,
            }
            drawn.append(_cell(box, float(value), (0.0, 1.0, None), f"{name}, unit {u}: {number(float(value))}"))
        y += side * (1 + (min(len(values), most) - 1) // per_row) + 6
    told = "; ".join(f"{name}: mean {number(float(np.mean(values)))} of {len(values)} units" for name, values in layers)
    return framed(title, svg(title, told, drawn, WIDTH, y + 2), None, note)
