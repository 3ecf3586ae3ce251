"""Find single values that do not belong to a column: codes for gaps, mistyped cells, wild targets.

In: a column of numbers. Out: the rows of values far from all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.data.checks import LARGEST

_DISTINCT = 10
"""Distinct values that the rest of a column must have."""
_FEW = 0.005
"""Share of the rows that may be wild."""
_GAP = 5.0
"""Empty stretch before them, in ranges of the rest."""
_CODE_SHARE = 0.2
"""Share of the rows that a code for a gap fills at most."""
_CODE_GAP = 2.0
"""Empty stretch before it, in ranges of the rest."""
_FAR_DISTINCT = 3
"""Distinct values that the rest of a target must have, if the others are very far."""
_FAR_SHARE = 0.02
"""Share of the rows whose targets may be very far."""
_FAR_GAP = 50.0
"""Empty stretch before them, in ranges of the rest."""
_ALIKE = 1.01
"""Range of many far targets beside few distinct values at most, in ranges of the rest: of a shifted copy, and rounding."""
_SOME_DISTINCT = 6
"""Distinct values of a rest beside which few targets need not be as far."""
_SOME_GAP = 12.0
"""Empty stretch before these, in ranges of the rest."""


@dataclass(frozen=True, eq=False)
class WildCells:
    """Values far from the rest of their column.

    `rows` hold them, `value` is the farthest, `distance` its distance from the median in spreads of the rest, and `middle`
    the median of the rest.
    """

    rows: Array
    value: float
    distance: float
    middle: float


def wild_cells(x: Array) -> WildCells | None:
    """Return the values of a column (n) that are far from all others; None if there are none.

    They are either one value that repeats (a code for gaps, in at most a fifth of the rows) or a few values (at most one
    row in 200), and an empty stretch separates them: at least five times as long as the range of all other values, or
    twice for one value. Columns with fewer than ten distinct other values have none.

    Forward    (1) gap >= 5 (max - min of the rest), or 2 (max - min of the rest) for one value
    """
    x = np.asarray(x, np.float64)
    ordered = np.sort(x[np.isfinite(x)])
    if len(ordered) <= _DISTINCT or _without_a_gap(ordered):
        return None
    values, counts = np.unique(ordered, return_counts=True)
    if len(values) <= _DISTINCT:
        return None
    cut = _cut(values, counts)
    code = len(cut.outside) == 1 and cut.count <= _CODE_SHARE * len(x)
    few = cut.at_most(_FEW, len(x))
    wild = (few and cut.gap >= _GAP * cut.width) or (code and cut.gap >= _CODE_GAP * cut.width)  # (1)
    if len(cut.rest) < _DISTINCT or not (cut.width > 0 and wild):
        return None
    return _described(x, np.flatnonzero(np.isin(x, cut.outside)))


def far_targets(y: Array) -> WildCells | None:
    """Return the values of a target column (n) that are far from all others; None if there are none.

    Those of `wild_cells`, and at most one row in 50 that is 50 ranges of all others away, however few distinct values these
    have, from three on; 12 ranges for at most one row in 200 beside six distinct values, as counts have. More than one row
    in 200 beside fewer than ten distinct values must be the same value, or span no more than these: many different
    large values beside counts are another population.

    Forward    (1) gap >= 50 (max - min of the rest), or 12 (max - min of the rest)

    >>> far_targets(np.r_[np.arange(500) % 4, 1e6]).rows
    array([500])
    """
    y = np.asarray(y, np.float64)
    found = wild_cells(y)
    if found is not None:
        return found
    values, counts = np.unique(y[np.isfinite(y)], return_counts=True)
    if len(values) <= _FAR_DISTINCT:
        return None
    cut = _cut(values, counts)
    few = cut.at_most(_FEW, len(y))
    distinct = len(cut.rest)
    alike = few or distinct >= _DISTINCT or np.ptp(cut.outside) <= _ALIKE * cut.width
    far = alike and cut.at_most(_FAR_SHARE, len(y)) and distinct >= _FAR_DISTINCT and cut.gap >= _FAR_GAP * cut.width
    near = few and distinct >= _SOME_DISTINCT and cut.gap >= _SOME_GAP * cut.width
    if not (cut.width > 0 and (far or near)):  # (1)
        return None
    return _described(y, np.flatnonzero(np.isin(y, cut.outside)))


def _without_a_gap(values: Array) -> bool:
    """Check whether the longest empty stretch is too short, whichever side of it the rest is on: most columns end here."""
    place = int((values[1:] - values[:-1]).argmax())
    low, below, above, high = values[[0, place, place + 1, -1]].tolist()
    return bool(above - below < min(_GAP, _CODE_GAP) * min(below - low, high - above))


@dataclass(frozen=True, eq=False)
class _Cut:
    """Distinct values `outside`, beyond the longest empty stretch on the side with fewer rows, and the `rest`.

    `width` is the range of the rest, `gap` the empty stretch, and `count` the number of rows outside.
    """

    outside: Array
    rest: Array
    width: float
    gap: float
    count: int

    def at_most(self, share: float, n: int) -> bool:
        """Check whether no more than this share of n rows is outside; one row is always few."""
        return self.count <= max(1, int(share * n))


def _cut(values: Array, counts: Array) -> _Cut:
    """Return distinct values, in order and with their counts, cut at the longest empty stretch."""
    gaps = np.diff(values)
    place = int(np.argmax(gaps))
    low = np.arange(len(values)) <= place
    outside = low if counts[low].sum() <= counts[~low].sum() else ~low
    rest = values[~outside]
    return _Cut(values[outside], rest, float(rest[-1] - rest[0]), float(gaps[place]), int(counts[outside].sum()))


def _described(x: Array, rows: Array) -> WildCells:
    rest = np.delete(x, rows)
    rest = rest[np.isfinite(rest)]
    middle = float(np.median(rest))
    away = np.abs(x[rows] - middle)
    order = np.argsort(-away, kind="stable")
    return WildCells(rows[order], float(x[rows[order[0]]]), float(away.max() / max(rest.std(), 1e-300)), middle)


def without_wild_targets(
    owner: str, y: Array, weights: Array | None = None, in_order: bool = True, training: int | None = None
) -> tuple[Array | None, str]:
    """Return weights that leave out rows whose target is far from all others (see `far_targets`), and a sentence about them.

    Parameters
    ----------
    owner : str
        The object that the sentence names.
    y : array of shape (n,) or (n, k)
        Continuous targets.
    weights : array of shape (n,), default=None
        Weights of the rows; a row of weight 0 is not looked at. None is 1.
    in_order : bool, default=True
        Whether the rows are in the user's order, so that the sentence can name one.
    training : int, default=None
        Number of training rows; those after them are validation rows, and counted by themselves. None: all.

    Returns
    -------
    weights : array of shape (n,) or None
        0 for the rows that are left out, as given for the others; as given where there are none.
    sentence : str
        "" where there are none.

    Examples
    --------
    >>> without_wild_targets("fit", np.r_[np.arange(20.0), 1e6])[1][:60]
    'fit: the target of row 21 is 1e+06, 1.73e+05 standard deviat'
    """
    columns = np.asarray(y, np.float64).reshape(len(y), -1)
    if not (np.abs(columns) <= LARGEST).all():
        return weights, ""
    counted = slice(None) if weights is None else np.flatnonzero(weights)
    found = [cells for column in columns[counted].T if (cells := far_targets(column)) is not None]
    if not found:
        return weights, ""
    counted = np.arange(len(y))[counted]
    rows = counted[np.unique(np.concatenate([cells.rows for cells in found]))]
    worst = max(found, key=lambda cells: cells.distance)
    kept = np.ones(len(y)) if weights is None else np.array(weights, np.float64)
    kept[rows] = 0.0
    first = _named(int(counted[worst.rows[0]]), training) if in_order else ""
    return kept, f"{owner}: {_in_words(worst, first, len(rows))} Correct such targets if they are mistakes."


def _named(row: int, training: int | None) -> str:
    """Return what the user calls a row of training and validation rows, one after another."""
    return f"row {row + 1}" if training is None or row < training else f"validation row {row - training + 1}"


def _in_words(worst: WildCells, row: str, count: int) -> str:
    """Say how many targets are left out and which is the farthest; `row` is its row, "" if no number would help."""
    value = f"is {worst.value:.6g}, {worst.distance:.3g} standard deviations from"
    if count == 1:
        return f"the target of {row or 'one row'} {value} the others. It is left out of the training."
    farthest = f"the farthest, of {row}," if row else "the farthest"
    return f"{count} targets are far from the others; {farthest} {value} them. They are left out of the training."
