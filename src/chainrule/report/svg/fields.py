"""Fields of cells whose strength is their value: heatmaps, confusion matrices, units of layers.

In: tables of numbers, names. Out: `<figure>` elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.report.plots import finite
from chainrule.report.series import Table, row_shares
from chainrule.report.svg.axes import WIDTH
from chainrule.report.svg.frames import clipped, framed, svg
from chainrule.report.svg.markup import Html, number, tag

STRONGEST = 0.85
"""Opacity of the strongest cell; letters stay legible over `LEGIBLE`."""
LEGIBLE = 0.55
_NAMED = 26
"""Classes up to which a confusion matrix has their names."""


def heatmap(
    title: str,
    table: Table,
    *,
    x_name: str = "epoch",
    log: bool = False,
    middle: float | None = None,
    unit: str = "",
    note: str = "",
) -> Html:
    """Return a table as cells: the stronger the higher; with a `middle`, one color above and another below it.

    `log` takes logarithms. A cell without a value is a dot.
    """
    values = np.asarray(table.values, np.float64)
    with np.errstate(all="ignore"):
        shown = np.log10(values) if log else values
    shown = np.where(np.isfinite(shown), shown, np.nan)
    center = None if middle is None else (math.log10(middle) if log else middle)
    low, high = _range(shown)
    left = 104.0
    tall = 20.0 if len(table.rows) < 18 else 12.0
    wide = (WIDTH - left - 8) / max(len(table.columns), 1)
    drawn = [_row_name(name, left, 12 + tall * (i + 0.72)) for i, name in enumerate(table.rows)]
    for i, j in np.ndindex(shown.shape):
        box = {"x": left + wide * j, "y": 12 + tall * i, "width": wide + 0.3, "height": tall - 1.5}
        words = f"{table.rows[i]}, {x_name} {table.columns[j]}: {number(float(values[i, j]))}"
        drawn.append(_cell(box, float(shown[i, j]), (low, high, center), words))
    bottom = 12 + tall * len(table.rows)
    for j in range(0, len(table.columns), max(1, -(-len(table.columns) // 8))):
        drawn.append(tag("text", table.columns[j], class_="mid", x=left + wide * (j + 0.5), y=bottom + 14))
    drawn.append(tag("text", x_name, class_="mid name", x=(left + WIDTH) / 2, y=bottom + 29))
    ends = [10.0**v if log else v for v in (low, high)]
    words = f"{len(table.rows)} rows over {len(table.columns)} columns, from {number(ends[0])} to {number(ends[1])}"
    return framed(title, svg(title, words, drawn, WIDTH, bottom + 34), _key(ends[0], ends[1], middle, unit), note)


def _row_name(name: str, left: float, y: float) -> Html:
    return tag("text", clipped(name, 16), tag("title", name), class_="end", x=left - 6, y=y)


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
    """Return the opacity of a cell: from faint at the low end (or in the middle) to strong at the high end (or both ends).

    >>> round(strength(1.0, 0.0, 1.0), 2), round(strength(0.0, -1.0, 1.0, center=0.0), 2)
    (0.85, 0.06)
    """
    if center is None:
        share = (value - low) / (high - low) if high > low else 0.5
    else:
        furthest = max(abs(high - center), abs(low - center))
        share = abs(value - center) / furthest if furthest > 0 else 0.0
    return 0.06 + (STRONGEST - 0.06) * min(max(share, 0.0), 1.0)


def _key(low: float, high: float, middle: float | None, unit: str) -> Html:
    """Return a line that says what the colors mean."""
    if middle is None:
        ramp = tag("span", class_="ramp")
        return tag("p", f"{number(low)} ", ramp, f" {number(high)} {unit}", class_="key-line")
    ramp = tag("span", class_="ramp two")
    return tag("p", f"below {number(middle)} ", ramp, f" above {number(middle)} {unit}", class_="key-line")


def matrix(title: str, counts: Array, names: Sequence[object], *, note: str = "") -> Html:
    """Return a confusion matrix: true classes down, predicted ones across; mistakes have another color."""
    K = len(names)
    labels = [str(name) for name in names]
    left = 92.0
    side = (WIDTH - 98) / max(K, 1)
    slanted = any(len(label) * 6.6 > side for label in labels)
    side = (WIDTH - 128) / max(K, 1) if slanted else side
    top = 70.0 if slanted and K <= _NAMED else 32.0
    tall = min(side, 40.0)
    drawn = [tag("text", "predicted", class_="mid name", x=left + side * K / 2, y=12.0)]
    for j, label in enumerate(labels if K <= _NAMED else ()):
        drawn.append(_above(label, left + side * (j + 0.5), top - 6, slanted))
        y = top + tall * (j + 0.5) + 4
        drawn.append(tag("text", clipped(label, 13), tag("title", label), class_="end", x=left - 6, y=y))
    share = row_shares(counts)
    for i, j in np.ndindex(K, K):
        box = {"x": left + side * j, "y": top + tall * i, "width": side - 1, "height": tall - 1}
        words = f"{labels[i]} predicted as {labels[j]}: {int(counts[i, j])}"
        drawn += _counted(box, int(counts[i, j]), float(share[i, j]), words, right=i == j, figures=side >= 22)
    words = f"{int(np.trace(counts))} of {int(counts.sum())} rows on the diagonal"
    pairs = worst_pairs(counts, labels)
    mistaken = f"Most often confused: {pairs}." if pairs else ""
    picture = svg(title, words, drawn, WIDTH, top + tall * K + 4)
    return framed(title, picture, None, " ".join(filter(None, (mistaken, note))))


def _above(label: str, x: float, y: float, slanted: bool) -> Html:
    """Return a column's name, slanted where there is no room for it."""
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
    """Return the pairs of classes that are confused most, in words.

    >>> worst_pairs(np.array([[5, 2], [0, 3]]), ["a", "b"])
    'a as b (2)'
    """
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    found = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True) if wrong[i, j] > 0]
    return ", ".join(f"{clipped(names[i], 24)} as {clipped(names[j], 24)} ({int(wrong[i, j])})" for i, j in found)


def units(title: str, layers: Sequence[tuple[str, Array]], *, note: str = "", most: int = 256) -> Html:
    """Return each unit of each layer as a small square: the stronger, the nearer its value is to 1."""
    side = 11.0
    left = 104.0
    per_row = int((WIDTH - left - 6) / side)
    drawn = []
    y = 8.0
    for name, values in layers:
        drawn.append(_row_name(name, left, y + 9))
        for u, value in enumerate(np.asarray(values, np.float64)[:most]):
            across, down = u % per_row, u // per_row
            box = {"x": left + side * across, "y": y + side * down, "width": side - 1.5, "height": side - 1.5}
            drawn.append(_cell(box, float(value), (0.0, 1.0, None), f"{name}, unit {u}: {number(float(value))}"))
        y += side * (1 + (min(len(values), most) - 1) // per_row) + 6
    words = "; ".join(
        f"{name}: mean {number(float(np.mean(values)))} of {len(values)} units" for name, values in layers
    )
    return framed(title, svg(title, words, drawn, WIDTH, y + 2), None, note)
