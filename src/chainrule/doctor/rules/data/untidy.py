"""Check the rows for what untidy tables hold: codes for gaps, mistyped values, row counters, copies of the target.

In: the rows as the network sees them. Out: findings that name column and value, in the user's units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from chainrule.arrays import Array
from chainrule.data.outliers import WildCells, far_targets, wild_cells
from chainrule.doctor.observe.quick_models import Folds
from chainrule.doctor.rules.data.codes import missing_settings
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import class_indices, subsample_indices
from chainrule.doctor.vocabulary.wording import column_name, percent
from chainrule.train.problem import TrainingProblem


def strange_cells(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for columns in which a value that repeats, or a few values, lie far from all others (see `wild_cells`)."""
    found = {j: cells for j, x in enumerate(problem.rows.X.T) if (cells := wild_cells(x)) is not None}
    if not found:
        return None
    worst = max(found, key=lambda j: found[j].distance)
    cells = found[worst]
    value, middle = (raw_input(problem, worst, each) for each in (cells.value, cells.middle))
    share = len(cells.rows) / len(problem.rows)
    others = "" if len(found) == 1 else f"; {len(found) - 1} more columns have such values"
    settings = missing_settings(problem, found)
    return make_finding(
        "strange-cells",
        "warning",
        f"{column_name(problem.feature_names, worst)} has values that do not belong to it",
        meaning="A code for a missing value, or a typing error, is read as a number. After scaling, all other values of "
        "the column are nearly equal.",
        measured=f"{value:.6g} in {_rows(len(cells.rows), share)}, {cells.distance:.3g} standard deviations from the "
        f"others, whose median is {middle:.6g}{others}",
        usual="no value far from all others",
        fix=Fix(
            "Correct these cells, or read them as missing."
            if settings
            else "Correct these cells. In a table, leave codes for missing values empty; in an array, fill them.",
            settings,
            _filled(problem, found),
            "fill-strange-cells",
        ),
        column=worst,
        value=value,
        share=share,
        distance=cells.distance,
        columns=len(found),
    )


def _filled(problem: TrainingProblem, found: Mapping[int, WildCells]) -> str:
    """Return the line that fills such cells with the median of the others, in the user's units.

    Where the user scaled the rows, the column must be scaled again: the cells had made all others nearly equal.
    """
    limits = [(j, *_middle_and_limit(problem, j, cells)) for j, cells in found.items()]
    scaled = "" if problem.inputs is not None else _scaling_of(problem.rows.X[:, [*found]])
    if len(limits) == 1 and not scaled:
        j, middle, limit = limits[0]
        return f"X[np.abs(X[:, {j}] - {middle:.6g}) > {limit:.6g}, {j}] = {middle:.6g}"
    each = ", ".join(f"({j}, {middle:.6g}, {limit:.6g})" for j, middle, limit in limits)
    filled = "np.where(np.abs(X[:, j] - m) > far, m, X[:, j])"
    return f"for j, m, far in [{each}]: x = {filled}; X[:, j] = {scaled or 'x'}"


def _middle_and_limit(problem: TrainingProblem, j: int, cells: WildCells) -> tuple[float, float]:
    """Return the median of the other values, and the distance from it beyond which a value is filled."""
    middle = raw_input(problem, j, cells.middle)
    return middle, 0.5 * min(abs(raw_input(problem, j, float(x)) - middle) for x in problem.rows.X[cells.rows, j])


def _scaling_of(X: Array) -> str:
    """Return how columns (n, k) that the user scaled are scaled again; "" where they are not scaled."""
    X = X.astype(np.float64)
    near = DATA_LIMITS.scaled_by_user
    if np.allclose(X.mean(axis=0), 0.0, atol=near) and np.allclose(X.std(axis=0), 1.0, atol=near):
        return "(x - x.mean()) / x.std()"
    if np.allclose(X.min(axis=0), 0.0, atol=near) and np.allclose(X.max(axis=0), 1.0, atol=near):
        return "(x - x.min()) / (x.max() - x.min())"
    return ""


def wild_targets(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for continuous targets far from all others (see `far_targets`)."""
    if problem.recipe.loss.targets.are_classes or problem.rows.Y.ndim < 2 or class_indices(problem.rows) is not None:
        return None
    found = {k: cells for k, y in enumerate(problem.rows.Y.T) if (cells := far_targets(y)) is not None}
    if not found:
        return None
    k = max(found, key=lambda k: found[k].distance)
    cells = found[k]
    value, middle = (raw_target(problem, k, each) for each in (cells.value, cells.middle))
    y = "np.ravel(y)" if problem.rows.Y.shape[1] == 1 else f"y[:, {k}]"
    return make_finding(
        "wild-targets",
        "warning",
        "Some targets are far from all others",
        meaning="The squared error of such a row outweighs all others, and scaling by it makes them nearly equal.",
        measured=f"{value:.6g} in {_rows(len(cells.rows), len(cells.rows) / len(problem.rows))}, "
        f"{cells.distance:.3g} standard deviations from the others, whose median is {middle:.6g}",
        usual="no target far from all others",
        fix=Fix(
            "Correct these targets, or leave the rows out.",
            code=f"kept = np.abs({y} - {middle:.6g}) < {0.5 * abs(value - middle):.6g}; X, y = X[kept], y[kept]",
            remedy="drop-wild-targets",
        ),
        value=value,
        distance=cells.distance,
        rows=len(cells.rows),
    )


def left_out_targets(problem: TrainingProblem) -> Finding | None:
    """Return, as information, targets far from all others whose rows have weight 0 and are left out of the training."""
    found = wild_targets(problem, None) if not problem.rows.c.all() else None
    if found is None or wild_targets(replace(problem, rows=problem.rows[problem.rows.c > 0]), None) is not None:
        return None
    text = "They are left out of the training. Correct them if they are mistakes."
    return replace(found, severity="info", fix=Fix(text))


def row_counter(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for columns that count the rows: all values are distinct and lie on an even grid with few empty places.

    A warning if such a column alone explains half of the targets' variance and more than all others together: then the rows
    were sorted, and new rows will not continue the count. Otherwise information.
    """
    X = problem.rows.X
    counters = [j for j in range(X.shape[1]) if counts_rows(X[:, j])]
    if not counters:
        return None
    alone, others = _explained(problem, counters)
    tells = alone > max(DATA_LIMITS.counter_explains, others + DATA_LIMITS.counter_lead)
    name = column_name(problem.feature_names, counters[0])
    return make_finding(
        "row-counter",
        "warning" if tells else "info",
        f"{name} counts the rows" + (", and tells the targets" if tells else ""),
        meaning="The number of a row says nothing about new rows. If the rows were sorted by the target, it looks like the "
        "best input of all.",
        measured=f"{len(np.unique(X[:, counters[0]]))} different values at even distances; alone it explains "
        f"{percent(alone)} of the targets' variance, all other columns {percent(others)}",
        usual="inputs that are known of new rows",
        fix=Fix(f"Leave {name} out.", code=f"X = np.delete(X, {counters[:5]}, axis=1)"),
        column=counters[0],
        explained=alone,
        others=others,
    )


def target_copy(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for a column that is the target itself, exactly or nearly: a straight line of it, or one value for each class.

    Needs 30 rows and another column: of a single column it may be the task itself.
    """
    X, n = problem.rows.X, len(problem.rows)
    if n < DATA_LIMITS.counter_rows or X.shape[1] < 2 or not np.isfinite(X).all():
        raise NotApplicable("needs 30 rows and two columns")
    classes = class_indices(problem.rows)
    told = np.array([_told_by(x, problem.rows.Y) if classes is None else _told_apart(x, classes) for x in X.T])
    copies = np.flatnonzero(told > DATA_LIMITS.copy_told).tolist()
    if not copies:
        return None
    copies.sort(key=lambda j: -told[j])
    exact = told[copies[0]] > 1.0 - DATA_LIMITS.copy_exact
    most = "" if exact else f", but for {percent(1.0 - told[copies[0]])} of the variance"
    name = column_name(problem.feature_names, copies[0])
    return make_finding(
        "target-copy",
        "warning",
        f"{name} is the target in other words",
        meaning="A column that alone tells the target is usually made from it, and missing or wrong in new rows.",
        measured=f"{name} is a straight line of the target{most}"
        if classes is None
        else f"each of the {len(np.unique(classes))} classes has its own value of {name}{most}",
        usual="inputs that are known before the target is",
        fix=Fix(
            f"Leave {name} out, unless it is known before the target.", code=f"X = np.delete(X, {copies[:5]}, axis=1)"
        ),
        column=copies[0],
    )


def counts_rows(x: Array) -> bool:
    """Check whether all values (n) are different and lie on an even grid with at most 2.5 places for each.

    >>> counts_rows(np.arange(40.0)), counts_rows(np.random.default_rng(0).normal(size=40))
    (True, False)
    """
    values = np.unique(np.asarray(x, np.float64))
    if len(values) < max(len(x), DATA_LIMITS.counter_rows) or not np.isfinite(values).all():
        return False
    gaps = np.diff(values)
    step = float(np.median(gaps))
    step = float(gaps[gaps < 1.5 * step].mean()) if step > 0 else 0.0
    if step <= 0 or values[-1] - values[0] > DATA_LIMITS.counter_room * len(x) * step:
        return False
    return bool(
        (np.abs(gaps / step - np.rint(gaps / step)) < DATA_LIMITS.counter_tolerance).all() and (gaps > 0.5 * step).all()
    )


def raw_input(problem: TrainingProblem, column: int, value: float) -> float:
    """Return an input in the user's units."""
    scaling = problem.inputs
    return value if scaling is None else float(value * scaling.scale[column] + scaling.mean[column])


def raw_target(problem: TrainingProblem, column: int, value: float) -> float:
    """Return a target in the user's units."""
    scaling = None if problem.target is None else problem.target.scaling
    return value if scaling is None else float(value * scaling.scale[column] + scaling.mean[column])


def _rows(count: int, share: float) -> str:
    return "one row" if count == 1 else f"{count} rows ({percent(share)})"


def _explained(problem: TrainingProblem, counters: list[int]) -> tuple[float, float]:
    """Return the shares of the targets' variance that the counters and the other columns explain on unseen rows."""
    take = subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)
    X = problem.rows.X[take]
    classes = class_indices(problem.rows)
    Y = problem.rows.Y[take].astype(np.float64) if classes is None else np.eye(int(classes.max()) + 1)[classes[take]]
    Y = Y - Y.mean(axis=0)
    rest = np.delete(X, counters, axis=1)
    return _share(X[:, counters], Y), _share(rest, Y) if rest.shape[1] else 0.0


def _share(X: Array, Y: Array) -> float:
    return 1.0 - float(((Folds.of(X).predict(Y) - Y) ** 2).sum() / max(float((Y**2).sum()), 1e-300))


def _told_by(x: Array, Y: Array) -> float:
    """Return the largest share of the variance of a target that a straight line in a column explains; 0 for a constant."""
    x = x.astype(np.float64) - x.mean(dtype=np.float64)
    Y = Y.astype(np.float64) - Y.mean(axis=0, dtype=np.float64)
    length = np.atleast_1d((x @ x) * (Y * Y).sum(axis=0))
    return float((np.atleast_1d(x @ Y) ** 2 / length).max()) if (length > 0).all() else 0.0


def _told_apart(x: Array, classes: Array) -> float:
    """Return the share of a column's variance that lies between the classes, if these do not overlap; else 0."""
    x = x.astype(np.float64)
    count = np.bincount(classes)
    seen = count > 0
    means = np.bincount(classes, x)[seen] / count[seen]
    between = float((count[seen] * (means - x.mean()) ** 2).sum())
    total = float(((x - x.mean()) ** 2).sum())
    within = math.sqrt(max(total - between, 0.0) / len(x))
    apart = len(means) > 1 and np.diff(np.sort(means)).min() > DATA_LIMITS.copy_apart * within
    return between / total if total > 0 and apart else 0.0
