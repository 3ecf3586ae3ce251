"""Check that validation rows are of the same kind as the training rows: their scale, their columns, their classes.

In: training and validation rows. Out: findings.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import Folds, one_hot, ridge_predictions
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import class_indices, subsample_indices
from chainrule.doctor.vocabulary.wording import column_name, percent
from chainrule.engines import Rows
from chainrule.train.problem import TrainingProblem


def validation_differs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for validation rows on another scale, or that do not follow what the training rows show.

    Another scale: in half of the columns the means differ by 1.5 standard deviations, or the standard deviations by a factor
    of four. Another relation: a fast model explains 30 % of the targets on training rows it has not seen, and less than a
    third of that on validation rows, by three standard errors, as if their columns stood in another order.
    """
    held = problem.validation
    if held is None or min(len(held), len(problem.rows)) < DATA_LIMITS.shifted_rows:
        raise NotApplicable("needs 30 rows in each part")
    if not (np.isfinite(held.X).all() and np.isfinite(problem.rows.X).all()):
        raise NotApplicable("some numbers are not finite")
    shifted = shifted_columns(problem.rows.X, held.X)
    if shifted is not None and shifted.mean() >= DATA_LIMITS.shifted_columns:
        return _on_another_scale(problem, held, shifted)
    return _another_relation(problem, held)


def shifted_columns(X: Array, X_held: Array) -> Array | None:
    """Return for each column that varies widely whether it differs in mean or scale; None if no column varies widely."""
    X, X_held = X.astype(np.float64), X_held.astype(np.float64)
    low, high = np.quantile(X, (0.05, 0.95), axis=0)
    wide = np.flatnonzero(high > low)
    if not len(wide):
        return None
    m, s = X[:, wide].mean(axis=0), X[:, wide].std(axis=0)
    moved = np.abs(X_held[:, wide].mean(axis=0) - m) > DATA_LIMITS.shifted_mean * s
    ratio = X_held[:, wide].std(axis=0) / s
    return np.asarray(moved | (ratio > DATA_LIMITS.shifted_scale) | (ratio < 1.0 / DATA_LIMITS.shifted_scale))


def _on_another_scale(problem: TrainingProblem, held: Rows, shifted: Array) -> Finding:
    X, X_held = problem.rows.X.astype(np.float64), held.X.astype(np.float64)
    distance = np.abs(X_held.mean(axis=0) - X.mean(axis=0)) / np.maximum(X.std(axis=0), 1e-12)
    j = int(np.argmax(distance))
    return make_finding(
        "validation-differs",
        "warning",
        "The validation rows are on another scale than the training rows",
        meaning="A network that has learned one scale cannot read another, so these rows do not show what it has learned.",
        measured=f"{column_name(problem.feature_names, j)} has mean {X[:, j].mean():.3g} and standard deviation "
        f"{X[:, j].std():.3g} in the training rows, {X_held[:, j].mean():.3g} and {X_held[:, j].std():.3g} in the "
        f"validation rows; {percent(shifted.mean())} of the columns differ as much",
        usual="equal means and standard deviations, up to chance",
        fix=Fix(
            "Apply the scaling of the training rows to the validation rows, once.",
            code="scaling = Standardizer.fit(X_train); X_val = scaling.apply(X_val)",
            remedy="align-validation",
        ),
        column=j,
        distance=float(distance[j]),
        columns=float(shifted.mean()),
    )


def _another_relation(problem: TrainingProblem, held: Rows) -> Finding | None:
    rows = problem.rows
    take, take_held = (subsample_indices(part.X, DATA_LIMITS.fast_rows) for part in (rows, held))
    Y, Y_held = _columns(rows, held)
    if Y is None or Y_held is None or not Y[take].std(axis=0).all():
        return None
    X, X_held, Y, Y_held = rows.X[take], held.X[take_held], Y[take], Y_held[take_held]
    center = Y.mean(axis=0)
    own = _errors(Folds.of(X).predict(Y - center) + center, Y, center)
    other = _errors(ridge_predictions(X, Y - center, X_held) + center, Y_held, center)
    explained, elsewhere = 1.0 - float(own.mean()), 1.0 - float(other.mean())
    noise = float(np.hypot(own.std() / np.sqrt(len(own)), other.std() / np.sqrt(len(other))))
    enough = explained >= DATA_LIMITS.broken_explained and elsewhere < explained / DATA_LIMITS.broken_ratio
    if not (enough and explained - elsewhere > DATA_LIMITS.broken_errors * noise):
        return None
    return make_finding(
        "validation-differs",
        "warning",
        "The validation rows do not follow what the training rows show",
        meaning="Their columns may stand in another order, or their rows and targets may not belong together.",
        measured=f"a fast model explains {percent(explained)} of the targets on training rows that it has not seen, and "
        f"{percent(elsewhere)} on validation rows",
        usual="about as much on both",
        fix=Fix("Check that both parts have the same columns in the same order.", remedy="align-validation"),
        explained=explained,
        elsewhere=elsewhere,
    )


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


def single_class(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for validation rows of one class although the training rows have several, as in a sorted file cut in two."""
    held = problem.validation
    classes = class_indices(problem.rows)
    held_classes = None if held is None else class_indices(held)
    if classes is None or held_classes is None or len(held_classes) < LIMITS.two_valued_rows:
        return None
    k, seen = int(held_classes[0]), len(np.unique(classes))
    if np.ptp(held_classes) or seen < 2:
        return None
    name = str(problem.classes[k]) if problem.classes is not None and k < len(problem.classes) else str(k)
    return make_finding(
        "single-class-validation",
        "warning",
        "All validation rows are of one class",
        meaning="Such rows cannot show whether the network tells the classes apart.",
        measured=f"{len(held_classes)} validation rows of class {name}; the training rows have {seen} classes",
        usual="all classes, in the same shares",
        fix=Fix("Shuffle the rows before you split them, and keep the classes' shares in both parts."),
        rows=len(held_classes),
        label=k,
    )
