"""Rows to check an export with: like those of the training, and at the edges of what a model takes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.data.transforms import FeatureTransform
from chainrule.exporters.answers import Rows
from chainrule.exporters.plan import (
    Code,
    InferencePlan,
    Input,
    IsCode,
    Lookup,
    Number,
    SideBySide,
    Stage,
    Standardize,
)

EDGES = 0.2
"""Share of the rows that have cells at the edges."""

_HELD = 1e100
"""A scale above this holds a constant column at 0."""

_DAY = dt.timedelta(days=1)
_EPOCH = dt.datetime(1970, 1, 1)
_TEXTS = (
    *("the cat met the dog", "Ein gro\u00dfer \u00c4rger", "na\u00efve caf\u00e9", "x1 x_2 x-3", "word " * 20),
    *("", "!!!", "N/A", "UPPER lower", "\u65e5\u672c\u8a9e \u30c6\u30b9\u30c8", "1 2 3", "it's"),
)
_ODD_DATES = (dt.datetime(1900, 1, 1), dt.datetime(2100, 12, 31, 23, 59), dt.datetime(2000, 2, 29, 12), _EPOCH)
_ODD_LEVELS = (None, "", "NA", "never seen", "?", "caf\u00e9 \u65e5\u672c", "0", "A longer level, with a comma")
_ODD_BOOLEANS = (None, "", "TRUE", "False", "1", "0", "perhaps", " true ")


def draw_rows(plan: InferencePlan, n: int = 1000, seed: int = 0) -> Rows:
    """Return rows of the kind that a plan takes.

    Parameters
    ----------
    plan : InferencePlan
        The plan, whose transforms and codes tell what its training rows were like.
    n : int, default=1000
        Number of rows; the last fifth has cells at the edges: gaps, unknown levels, zeros, values far outside.
    seed : int, default=0
        Seed of the draw.

    Returns
    -------
    array of shape (n, d) or list of dict
    """
    rng = np.random.default_rng(seed)
    edge = np.arange(n) >= n - int(EDGES * n)
    if plan.inputs[0].kind == "matrix":
        return _matrix(plan, rng, edge)
    columns = [_column(plan, each, rng, edge) for each in plan.inputs]
    names = [each.name for each in plan.inputs]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _matrix(plan: InferencePlan, rng: np.random.Generator, edge: Array) -> Array:
    codes = dict(_code_columns(plan.networks[0].stages))
    transform = plan.transforms[0]
    columns = []
    for j in range(plan.inputs[0].width):
        if isinstance(transform, FeatureTransform):
            columns.append(_feature(transform, j, rng, edge))
        elif j in codes:
            code = rng.integers(-1, codes[j] + 2, len(edge))
            columns.append(code * transform.scale[j] + transform.mean[j])
        else:
            columns.append(_numbers(*_spread(transform, j), rng, edge, 100.0))
    return np.column_stack(columns).astype(np.float64)


def _feature(transform: FeatureTransform, j: int, rng: np.random.Generator, edge: Array) -> Array:
    """Return a column of a pack's feature matrix: numbers with gaps, or codes."""
    if j in transform.numbers:
        x = _numbers(*_spread(transform, j), rng, edge, 1e20)
        return np.where(edge & (rng.random(len(edge)) < 0.3), np.nan, x)
    size = next((size for k, size in transform.codes if k == j), None)
    known = next((codes for k, codes in transform.one_hot if k == j), ())
    if size is None:
        size = max(known, default=0) + 2
    return rng.integers(0, size + 1, len(edge)).astype(np.float64)


def _code_columns(stages: Sequence[Stage], start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the columns of the rows that are codes, with the number of codes."""
    if not stages:
        return
    if isinstance(stages[0], Lookup):
        yield from ((start + j, len(table)) for j, table in enumerate(stages[0].tables))
    if isinstance(stages[0], SideBySide):
        for width, inner in stages[0].parts:
            yield from _code_columns(inner, start)
            start += width


def _spread(transform: Any, j: int) -> tuple[float, float]:
    """Return the middle and the spread of a feature in training."""
    if isinstance(transform, Standardize):
        scale = float(transform.scale[j])
        return float(transform.mean[j]), scale if scale < _HELD else 1.0
    if j not in transform.numbers:
        return 0.0, 1.0
    i = transform.numbers.index(j)
    first, second = transform.nodes[0, i], transform.nodes[1, i]
    if transform.method == "robust":
        return float(first[0]), 1.0 / float(second[0]) if second[0] else 1.0
    return float(np.median(first)), float(first.max() - first.min()) / 2.0 or 1.0


def _numbers(middle: float, spread: float, rng: np.random.Generator, edge: Array, far: float) -> Array:
    """Return numbers around the middle; those of edge rows are zeros, the middle itself, and far outside."""
    x = middle + spread * rng.normal(size=len(edge))
    odd = middle + spread * np.array([0.0, 0.0, 5.0, -5.0, 0.1 * far, -0.1 * far, far, -far])
    odd[1] = 0.0
    return np.where(edge, rng.choice(odd, len(edge)), x)


def _column(plan: InferencePlan, given: Input, rng: np.random.Generator, edge: Array) -> list[Any]:
    if given.kind == "number":
        return _number_cells(plan, given, rng, edge)
    if given.kind == "date":
        return _date_cells(plan, given, rng, edge)
    if given.kind == "text":
        return _chosen(lambda: str(rng.choice(_TEXTS)), (None, *_TEXTS), rng, edge)
    code = next(code for code in _codes(plan) if code.source == given.name)
    if given.kind == "boolean":
        return _chosen(lambda: bool(rng.random() < 0.5), _ODD_BOOLEANS, rng, edge)
    levels = tuple(code.codes)
    padded = tuple(f"  {level} " for level in levels[:3])
    return _chosen(lambda: levels[rng.integers(len(levels))], (*_ODD_LEVELS, *padded), rng, edge)


def _codes(plan: InferencePlan) -> Iterator[Code]:
    for feature in plan.features:
        if isinstance(feature, Code | IsCode):
            yield feature.code if isinstance(feature, IsCode) else feature


def _chosen(usual: Callable[[], Any], odd: Sequence[Any], rng: np.random.Generator, edge: Array) -> list[Any]:
    """Return usual cells, and odd ones in half of the edge rows."""
    return [odd[int(rng.integers(len(odd)))] if at and rng.random() < 0.5 else usual() for at in edge]


def _number_cells(plan: InferencePlan, given: Input, rng: np.random.Generator, edge: Array) -> list[Any]:
    place, feature = next(
        (place, each)
        for place, each in enumerate(plan.features)
        if isinstance(each, Number) and each.source == given.name
    )
    middle, spread = _spread(plan.transforms[0], place)
    far = 1e15 if isinstance(plan.transforms[0], FeatureTransform) else 100.0
    x = _numbers(middle * feature.scale + feature.center, spread * feature.scale, rng, edge, far)
    gap = rng.random(len(edge)) < np.where(edge, 0.3, 0.05 * given.gaps)
    if given.missing:
        x = np.where(rng.random(len(edge)) < 0.1, rng.choice(given.missing, len(edge)), x)
    return [None if missing else float(value) for value, missing in zip(x, gap, strict=True)]


def _date_cells(plan: InferencePlan, given: Input, rng: np.random.Generator, edge: Array) -> list[Any]:
    parts = [each for each in plan.features if isinstance(each, Number) and each.source == given.name]
    origin = _EPOCH + dt.timedelta(microseconds=parts[0].origin)
    hours = any(each.part == "hour" for each in parts)

    def usual() -> dt.datetime:
        return origin + int(rng.integers(4000)) * _DAY + hours * int(rng.integers(86_400)) * dt.timedelta(seconds=1)

    missing = [_EPOCH + dt.timedelta(microseconds=at) for at in given.missing]
    return _chosen(usual, (None, *_ODD_DATES, *missing), rng, edge)


def kept(rows: Rows, keep: Array) -> Rows:
    """Return the rows where `keep` is true."""
    return rows[keep] if isinstance(rows, np.ndarray) else [row for row, stays in zip(rows, keep, strict=True) if stays]
