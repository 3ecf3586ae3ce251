"""What passes over streamed rows find out before a training: how many rows each part has, and how inputs are scaled.

In: rows that are divided into parts. Out: a `Count`, then a `Survey` with the rows that stay in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from chainrule.arrays import Array
from chainrule.data.outliers import without_wild_targets
from chainrule.data.row_sketch import RowSketch
from chainrule.data.scaling import Standardizer
from chainrule.data.stream.blocks import LEFT_OUT, ReadBlock, read_ahead
from chainrule.data.stream.described import Draft
from chainrule.data.stream.design import Design
from chainrule.data.stream.moments import Moments, deviations_of
from chainrule.data.stream.parts import TEST, TRAIN, VALIDATION, sample_mask
from chainrule.data.stream.rows import Cut
from chainrule.errors import InvalidValueError

Weigh = Callable[[Array], Array | None]
"""Weights of rows from their targets (numbers of classes, or values); None is 1."""


@dataclass(frozen=True, eq=False)
class Count:
    """Rows of each part, and what the training rows' targets are.

    Parameters
    ----------
    sizes : array of int of shape (G,)
        Training rows of each group.
    rows : int
        Rows that have a target.
    classes : array of int of shape (K,) or None
        Training rows of each class.
    values : Standardizer or None
        Mean and scale of the training rows' values.
    within : tuple of float
        Limits beyond which a value is left out of the training.
    sentence : str
        What the user should know about values that are left out.
    """

    sizes: Array
    rows: int
    classes: Array | None
    values: Standardizer | None
    within: tuple[float, float] = (-np.inf, np.inf)
    sentence: str = ""


def count(owner: str, cut: Cut, *, wild: bool, memory: int, weigh: Weigh = lambda y: None) -> Count:
    """Count the rows of each part in a pass over the targets alone.

    Parameters
    ----------
    owner : str
        The object that messages name.
    cut : Cut
        The rows.
    wild : bool
        Whether values far from all others are left out, as far as all values fit in memory.
    memory : int
        Bytes that this may take.
    weigh : callable, default=no weights
        Weights of values for their scaling.

    Returns
    -------
    Count
    """
    groups = len(cut.source.manifest.sizes)
    sizes = np.zeros(groups, np.int64)
    classes = None if cut.target.classes is None else np.zeros(len(cut.target.classes), np.int64)
    parts: list[Array] | None = [] if classes is None else None
    total = 0
    moments = Moments(1)
    for group in range(groups):
        for _, _, rows, codes, y in cut.divided(group, ()):
            total += len(rows)
            mine = y[codes == TRAIN]
            sizes[group] += len(mine)
            if classes is not None:
                classes += np.bincount(mine, minlength=len(classes))
            else:
                moments.add(mine[:, None])
                if parts is not None and cut.source.manifest.rows * 8 * 4 <= memory:
                    parts.append(mine)
    if classes is not None or not moments.weight:
        return Count(sizes, total, classes, None)
    within, sentence = _limits(owner, np.concatenate(parts)) if wild and parts else ((-np.inf, np.inf), "")
    if sentence and parts:
        values = np.concatenate(parts)
        moments = Moments(1)
        moments.add(values[(values >= within[0]) & (values <= within[1])][:, None])
    return Count(sizes, total, None, moments.standardizer(False, False), within, sentence)


def _limits(owner: str, values: Array) -> tuple[tuple[float, float], str]:
    """Return the limits of the values that take part, and a sentence about the others."""
    weights, sentence = without_wild_targets(owner, values, None, in_order=False)
    if weights is None:
        return (-np.inf, np.inf), ""
    kept = values[weights > 0]
    return (float(kept.min()), float(kept.max())), sentence


@dataclass(frozen=True, eq=False)
class HeldRows:
    """Rows that stay in memory: X (m, d) float64 in the user's units, and targets as `StreamTarget.read` gives them."""

    X: Array = field(repr=False)
    y: Array = field(repr=False)


@dataclass(frozen=True, eq=False)
class Survey:
    """What the pass over all rows found.

    Parameters
    ----------
    scaling : Standardizer
        The scaling of the inputs, from training rows.
    parts : mapping of int to HeldRows
        The rows of each part that stay in memory; of the training rows a sample.
    sketch : RowSketch
        Hashes of the rows that are trained and chosen on.
    """

    scaling: Standardizer
    parts: dict[int, HeldRows]
    sketch: RowSketch


def survey(cut: Cut, design: Design, scaling: str, weigh: Weigh, draft: Draft | None = None) -> Survey:
    """Compute the scaling of the inputs and collect the rows that stay in memory, in one pass.

    Parameters
    ----------
    cut : Cut
        The rows.
    design : Design
        What makes a matrix of them.
    scaling : {"columns", "shared", "none"}
        How inputs are scaled.
    weigh : callable
        Weights of training rows.
    draft : Draft or None, default=None
        The description of the columns, of numbers without gaps, whose quartiles are found in the same pass.

    Returns
    -------
    Survey
    """
    open_ = [] if draft is None else [design.columns.index(name) for name in draft.begin(design.columns)]
    moments = Moments(len(design.names))
    held: dict[int, list[tuple[Array, Array]]] = {TRAIN: [], VALIDATION: [], TEST: []}
    sketch = RowSketch(np.empty(0, np.uint64))
    with closing(read_ahead(cut, design)) as read:
        for block in read:
            codes = block.codes
            hashes = np.empty(len(codes), np.uint64)
            mine = codes == TRAIN
            _add(moments, block, design, mine, weigh, hashes)
            if draft is not None and open_:
                draft.collect(block.column(j) for j in open_)
            sketch = sketch.with_hashes(_where(hashes, (codes == TRAIN) | (codes == VALIDATION)))
            kept = codes.copy()
            kept[mine & ~sample_mask(cut.shares, block.group, block.start, len(codes))] = LEFT_OUT
            for part, found in held.items():
                take = np.flatnonzero(kept == part)
                if len(take):
                    found.append((block.rows(design, take), block.y[take]))
    if draft is not None and open_:
        draft.end()
    parts = {part: _joined(found) for part, found in held.items() if found}
    if scaling == "none":
        return Survey(Standardizer.identity(len(design.names)), parts, sketch)
    shared = scaling == "shared"
    tiny = moments.tiny if not shared else np.empty(0, np.int64)
    deviations = deviations_of(moments, tiny, _training(cut, design, weigh)) if len(tiny) else None
    return Survey(moments.standardizer(shared, scaling == "columns", deviations), parts, sketch)


def _add(moments: Moments, block: ReadBlock, design: Design, mine: Array, weigh: Weigh, hashes: Array) -> None:
    """Add the training rows of a block; a number that is not finite is named with its place."""
    weights = weigh(block.y)
    try:
        moments.add(block.X, weights, None if mine.all() else mine, hashes)
    except InvalidValueError:
        design.plain(block.place, block.piece)
        raise


def collected(cut: Cut, design: Design) -> HeldRows:
    """Return the rows of a source of its own that its shares hold out, all in memory.

    Parameters
    ----------
    cut : Cut
        The rows, with the share that is taken.
    design : Design
        What makes a matrix of them.

    Returns
    -------
    HeldRows

    Raises
    ------
    InvalidValueError
        Where no row has a target.
    """
    found = []
    for group in range(len(cut.source.manifest.sizes)):
        for _, _, X, codes, y in _plain(cut, design, group):
            take = codes == VALIDATION
            if take.any():
                found.append((X[take].astype(np.float64), y[take]))
    if not found:
        raise InvalidValueError(f"{cut.source.name}: there must be rows with a target, got none.")
    return _joined(found)


def _plain(cut: Cut, design: Design, group: int) -> Iterator[tuple[int, Array, Array, Array, Array]]:
    """Yield the rows of a group that have a target: first row, numbers, matrix, parts, targets."""
    place = cut.source.place(group)
    for start, piece, rows, codes, y in cut.divided(group, design.columns):
        X = design.plain(place, piece)
        yield start, rows, X if len(rows) == piece.height else X[rows], codes, y


def _training(cut: Cut, design: Design, weigh: Weigh) -> Iterator[tuple[Array, Array | None]]:
    """Yield the training rows with their weights."""
    for group in range(len(cut.source.manifest.sizes)):
        for _, _, X, codes, y in _plain(cut, design, group):
            mine = codes == TRAIN
            yield X[mine], weigh(y[mine])


def _where(rows: Array, mask: Array) -> Array:
    """Return the rows of a mask, without a copy where these are all."""
    return rows if mask.all() else rows[mask]


def _joined(found: list[tuple[Array, Array]]) -> HeldRows:
    return HeldRows(np.concatenate([X for X, _ in found]), np.concatenate([y for _, y in found]))
