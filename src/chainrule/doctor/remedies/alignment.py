"""Find what makes validation rows follow the training rows again: another order of their columns, another scale.

In: a training problem with validation rows. Out: how the two parts differ; an `Alignment`, which changes the rows in a
trial and is a line of code for the user, in the units that the user has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import Folds, one_hot, ridge_predictions
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.targets import class_indices, subsample_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.train.problem import TrainingProblem

_UNSCALED = "X_val * X.std(axis=0) + X.mean(axis=0)"
_MATCHED = "(X_val - X_val.mean(axis=0)) / np.maximum(X_val.std(axis=0), 1e-12) * X.std(axis=0) + X.mean(axis=0)"
SCALES = ("", _UNSCALED, _MATCHED)
"""What may be done about the scale, the simplest first: nothing, undo a standardization, match means and deviations."""


@dataclass(frozen=True)
class Alignment:
    """A change of validation rows: the column that takes each place (none: they stay), and one of `SCALES`."""

    order: tuple[int, ...] = ()
    scale: str = ""

    def apply(self, X: Array, X_val: Array) -> Array:
        """Return validation rows (m, d) as its code leaves them; training rows are X (n, d)."""
        X_val = X_val[:, list(self.order)] if self.order else X_val
        m, s = X.mean(axis=0), X.std(axis=0)
        if self.scale == _MATCHED:
            X_val = (X_val - X_val.mean(axis=0)) / np.maximum(X_val.std(axis=0), 1e-12)
        return X_val * s + m if self.scale else X_val

    @property
    def code(self) -> str:
        """The change as a line of Python; "" for none."""
        lines = [f"X_val = X_val[:, {list(self.order)}]"] if self.order else []
        return "; ".join([*lines, f"X_val = {self.scale}"] if self.scale else lines)


@dataclass(frozen=True, eq=False)
class Relation:
    """Squared errors (n) of a fast model on unseen training rows and on validation rows, as shares of a constant's."""

    own: Array
    other: Array

    @property
    def explained(self) -> float:
        """Share of the targets that it explains on training rows."""
        return 1.0 - float(self.own.mean())

    @property
    def elsewhere(self) -> float:
        """The same on validation rows."""
        return 1.0 - float(self.other.mean())

    @property
    def breaks(self) -> bool:
        """Whether it holds on training rows and not on validation rows, by more than chance."""
        noise = float(np.hypot(*(part.std() / np.sqrt(len(part)) for part in (self.own, self.other))))
        enough = self.explained >= DATA_LIMITS.broken_explained
        enough = enough and self.elsewhere < self.explained / DATA_LIMITS.broken_ratio
        return enough and self.explained - self.elsewhere > DATA_LIMITS.broken_errors * noise


def shifted_columns(X: Array, X_held: Array) -> Array | None:
    """Return the numbers of widely varying columns, and whether each differs in mean, scale or values; None without such.

    A column of few values differs if most values of X_held are not among them.

    Shapes     X (n, d)   X_held (m, d)   result (2, k)
    """
    X, X_held = X.astype(np.float64), X_held.astype(np.float64)
    low, high = np.quantile(X, (0.05, 0.95), axis=0)
    wide = np.flatnonzero(high > low)
    if not len(wide):
        return None
    foreign = np.array([_has_other_values(X[:, j], X_held[:, j]) for j in wide])
    return np.stack([wide, differs_in_scale(X[:, wide], X_held[:, wide]) | foreign])


def differs_in_scale(X: Array, X_held: Array) -> Array:
    """Return whether each column, none of them constant, differs in mean or scale.

    Shapes     X (n, d)   X_held (m, d)   result (d)
    """
    m, s = X.mean(axis=0), X.std(axis=0)
    moved = np.abs(X_held.mean(axis=0) - m) > DATA_LIMITS.shifted_mean * s
    ratio = X_held.std(axis=0) / s
    return np.asarray(moved | (ratio > DATA_LIMITS.shifted_scale) | (ratio < 1.0 / DATA_LIMITS.shifted_scale))


def _has_other_values(x: Array, x_held: Array) -> bool:
    """Check whether a column (n) has few values and most of another (m) are none of them."""
    values = np.unique(x)
    if len(values) > DATA_LIMITS.few_values:
        return False
    distance = np.abs(x_held[:, None] - values).min(axis=1)
    return bool((distance > DATA_LIMITS.same_value * x.std()).mean() > DATA_LIMITS.foreign_share)


def is_shifted(X: Array, X_held: Array) -> bool:
    """Check whether half of the columns differ in mean, scale or values."""
    found = shifted_columns(X, X_held)
    return found is not None and bool(found[1].mean() >= DATA_LIMITS.shifted_columns)


def relations(rows: Rows, held: Rows, candidates: list[Array]) -> list[Relation]:
    """Return the relation of inputs and targets for each version of the validation rows; none if there is no target."""
    take, take_held = (subsample_indices(part.X, DATA_LIMITS.fast_rows) for part in (rows, held))
    Y, Y_held = _columns(rows, held)
    if Y is None or Y_held is None or not Y[take].std(axis=0).all():
        return []
    X, Y, Y_held = rows.X[take], Y[take], Y_held[take_held]
    center = Y.mean(axis=0)
    own = _errors(Folds.of(X).predict(Y - center) + center, Y, center)
    P = ridge_predictions(X, Y - center, np.vstack([each[take_held] for each in candidates])) + center
    return [Relation(own, _errors(part, Y_held, center)) for part in np.split(P, len(candidates))]


def alignment(problem: TrainingProblem) -> Alignment | None:
    """Return the simplest change after which the validation rows differ no more, and are predicted about best; else None.

    Where the inputs say too little about the targets to tell by that, another order counts only if no column differs in it.
    """
    held = problem.validation
    if held is None:
        return None
    X, X_held = raw_inputs(problem, problem.rows.X), raw_inputs(problem, held.X)
    known = [Alignment(order, scale) for order in _orders(problem.rows, held, X, X_held) for scale in SCALES][1:]
    versions = [each.apply(X, X_held) for each in known]
    fit = [i for i, each in enumerate(versions) if not is_shifted(X, each)]
    seen = relations(problem.rows, held, [scaled_inputs(problem, versions[i]) for i in fit]) if fit else []
    if not seen or seen[0].explained < DATA_LIMITS.broken_explained:
        return _by_scale_alone(X, [(known[i], versions[i]) for i in fit])
    good = [(known[i], each) for i, each in zip(fit, seen, strict=True) if not each.breaks]
    best = max((each.elsewhere for _, each in good), default=0.0)
    return next((found for found, each in good if each.elsewhere >= best - DATA_LIMITS.aligned), None)


def _by_scale_alone(X: Array, candidates: list[tuple[Alignment, Array]]) -> Alignment | None:
    """Return the order in which no column differs, at its nearest; else the simplest scale at which fewer than half do."""
    alike = []
    for change, X_val in candidates:
        shifted = shifted_columns(X, X_val)
        if change.order and not change.scale and shifted is not None and not shifted[1].any():
            alike.append((float(np.diag(_quantile_distances(X, X_val)).mean()), change))
    if alike:
        return min(alike, key=lambda pair: pair[0])[1]
    return next((change for change, _ in candidates if not change.order), None)


def _quantile_distances(X: Array, X_held: Array) -> Array:
    """Return for each pair of a training and a validation column how far their quantiles are apart, in deviations (d, d)."""
    own, other = (np.quantile(part, np.linspace(0.05, 0.95, 9), axis=0).T for part in (X, X_held))
    return np.asarray(np.abs(own[:, None] - other[None]).mean(axis=2) / np.maximum(X.std(axis=0), 1e-12)[:, None])


def aligned_rows(problem: TrainingProblem, change: Alignment) -> Rows:
    """Return the validation rows after a change, as the network sees them."""
    held = problem.validation
    assert held is not None
    changed = change.apply(raw_inputs(problem, problem.rows.X), raw_inputs(problem, held.X))
    return replace(held, X=scaled_inputs(problem, changed).astype(held.X.dtype))


def raw_inputs(problem: TrainingProblem, X: Array) -> Array:
    """Return inputs (n, d) in the user's units, float64."""
    X = X.astype(np.float64)
    return X if problem.inputs is None else X * problem.inputs.scale + problem.inputs.mean


def scaled_inputs(problem: TrainingProblem, X: Array) -> Array:
    """Return inputs (n, d) as the network sees them."""
    return X if problem.inputs is None else (X - problem.inputs.mean) / problem.inputs.scale


def _orders(rows: Rows, held: Rows, X: Array, X_held: Array) -> Iterator[tuple[int, ...]]:
    """Yield orders of the columns that are likely mistakes; () leaves them.

    The columns reversed or one place off; paired by their quantiles; paired by their relation to the target.
    """
    yield ()
    d = X.shape[1]
    likely = [np.roll(np.arange(d), 1), np.roll(np.arange(d), -1), np.arange(d)[::-1]]
    likely.append(_paired(_quantile_distances(X, X_held)))
    likely.append(related_order(rows, held))
    seen = {tuple(range(d))}
    for order in likely:
        found = tuple(order.tolist())
        if found not in seen:
            seen.add(found)
            yield found


def related_order(rows: Rows, held: Rows) -> Array:
    """Return for each training column the validation column that is related to the target most alike.

    Columns are paired one by one, the most alike first; where columns are no more alike than others, they stay in place.
    """
    own, other = _relations(rows), _relations(held)
    distance = np.abs(own[:, None, :] - other[None, :, :]).max(axis=2)
    chance = USUAL.clear_errors * np.sqrt(1.0 / len(rows) + 1.0 / len(held))
    return np.arange(len(distance)) if (np.diag(distance) <= chance).all() else _paired(distance)


def _paired(distance: Array) -> Array:
    """Return for each row of a table of distances (d, d) a column of its own, the nearest pairs first."""
    distance = distance.copy()
    order = np.full(len(distance), -1)
    for _ in range(len(distance)):
        i, j = np.unravel_index(int(np.argmin(distance)), distance.shape)
        order[i] = j
        distance[i, :] = distance[:, j] = np.inf
    return order


def _relations(rows: Rows) -> Array:
    """Return the correlation of each input column with each target column (d, k)."""
    classes = class_indices(rows)
    Y = rows.Y.astype(np.float64) if classes is None else (classes[:, None] == np.arange(USUAL.related_classes)) * 1.0
    X = rows.X.astype(np.float64)
    X, Y = (A - A.mean(axis=0) for A in (X, Y))
    length = np.sqrt(np.outer((X * X).sum(axis=0), (Y * Y).sum(axis=0)))
    return np.asarray(X.T @ Y / np.where(length > 0, length, 1.0))


def _columns(rows: Rows, held: Rows) -> tuple[Array | None, Array | None]:
    """Return the targets of both parts as columns; None if they have no common form."""
    classes, held_classes = class_indices(rows), class_indices(held)
    if classes is not None and held_classes is not None:
        K = 1 + int(max(classes.max(), held_classes.max()))
        return one_hot(classes, K), one_hot(held_classes, K)
    if rows.Y.ndim < 2 or held.Y.ndim < 2 or not (np.isfinite(rows.Y).all() and np.isfinite(held.Y).all()):
        return None, None
    return rows.Y.astype(np.float64), held.Y.astype(np.float64)


def _errors(P: Array, Y: Array, center: Array) -> Array:
    """Return squared errors (n) as shares of a constant's, at most 10 each."""
    constant = float(((Y - center) ** 2).sum(axis=1).mean())
    return np.minimum(((P - Y) ** 2).sum(axis=1) / max(constant, 1e-300), 10.0)
