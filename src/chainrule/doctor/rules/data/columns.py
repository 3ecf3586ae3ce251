"""Check the columns of X and the scale of y: broken or badly scaled columns show in their statistics.

In: the rows as the network sees them. Out: findings.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.doctor.vocabulary.wording import column_name
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem

_CODE = "X = Standardizer.fit(X_train).apply(X)"
_STANDARDIZE = (Setting("scaling", "columns"),)


def nan_input(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for NaN and infinity in X and y, in all parts of the data."""
    parts = {"training": problem.rows, "validation": problem.validation, "test": problem.test}
    bad = {
        f"{letter} of the {name} rows": int((~np.isfinite(array)).sum())
        for name, rows in parts.items()
        if rows is not None
        for letter, array in (("X", rows.X), ("y", rows.Y))
    }
    bad = {where: count for where, count in bad.items() if count}
    if not bad:
        return None
    columns = np.flatnonzero(~np.isfinite(problem.rows.X).all(axis=0))
    return make_finding(
        "nan-input",
        "critical",
        "Some values are missing or infinite",
        meaning="One NaN in a batch turns every weight into NaN in a single step.",
        measured="; ".join(f"{count} in {where}" for where, count in bad.items()) + _named(problem, columns),
        usual="only finite numbers",
        fix=Fix(
            "Fill the gaps, or drop the rows.",
            code="kept = np.isfinite(X).all(axis=1); X, y = X[kept], y[kept]",
            remedy="drop-bad-rows",
        ),
        count=sum(bad.values()),
    )


def constant_feature(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for columns with the same value in all training rows.

    They carry no information and cost little: information only, but a warning if they vary in the validation rows, where
    their untrained weights then matter, or if they are so large (above 10, and ten times the typical size) that they drown
    out the others.
    """
    X = problem.rows.X
    constant = np.ptp(X, axis=0) == 0
    if not constant.any() or len(X) < 2:
        return None
    held_out = None if problem.validation is None else problem.validation.X
    varies = constant & (
        False
        if held_out is None
        else (np.abs(held_out - X[0]) > DATA_LIMITS.held_out_change).mean(axis=0) > DATA_LIMITS.held_out_share
    )
    large = constant & (
        np.abs(X[0]) > DATA_LIMITS.large_column * max(1.0, float(np.sqrt(np.median((X * X).mean(axis=0)))))
    )
    columns = np.flatnonzero(varies | large) if (varies | large).any() else np.flatnonzero(constant)
    worse = bool(varies.any() or large.any() or constant.all())
    return make_finding(
        "constant-feature",
        "warning" if worse else "info",
        f"{int(constant.sum())} of {X.shape[1]} columns are constant",
        meaning="A constant column carries no information"
        + (", and its untrained weights matter as soon as it varies in new rows." if varies.any() else "."),
        measured=f"{int(constant.sum())} constant columns{_named(problem, columns)}",
        usual="columns that vary",
        fix=Fix("Drop these columns.", code="X = X[:, X.std(axis=0) > 0]", safe=not varies.any()),
        count=int(constant.sum()),
        columns=X.shape[1],
    )


def duplicate_feature(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for columns that are equal up to shift and scale: |correlation| above 1 - 1e-6 over at most 2000 rows."""
    X = problem.rows.X[subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)].astype(np.float64)
    X = X - X.mean(axis=0)
    length = np.sqrt((X * X).sum(axis=0))
    kept = np.flatnonzero(length > 1e-12 * max(1.0, float(np.abs(X).max(initial=0.0))))
    if (
        len(kept) < 2
        or len(X) < DATA_LIMITS.copies_rows
        or len(kept) > DATA_LIMITS.copies_columns
        or not np.isfinite(X).all()
    ):
        return None
    Z = X[:, kept] / length[kept]
    pairs = np.argwhere(np.triu(np.abs(Z.T @ Z) > 1.0 - DATA_LIMITS.copy_correlation, 1))
    if not len(pairs):
        return None
    copies = np.unique(kept[pairs[:, 1]])
    first, second = (column_name(problem.feature_names, int(column)) for column in kept[pairs[0]])
    return make_finding(
        "duplicate-feature",
        "info",
        f"{len(copies)} column{'s are copies of others' if len(copies) > 1 else ' is a copy of another'}",
        meaning="A column that repeats another adds weights but no information.",
        measured=f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}; the first is {first} and {second}",
        usual="no repeated columns",
        fix=Fix("Drop the copies.", code=f"X = np.delete(X, {copies[:5].tolist()}, axis=1)", safe=True),
        count=len(copies),
    )


def unnormalized_inputs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for columns whose size or offset does not suit a network with the usual initial weights.

    With mean m, standard deviation s and root mean square r of each column that varies: r > 10; or an offset |m| > 3 s with
    |m| > 3; or s > 3 and more than ten times the median s; or a ratio of largest to smallest s above 100, among columns
    without a value that fills half of the rows (pixels and indicators have one).
    A range beyond ±1 or a single large entry is not a fault: standardized data has both.
    """
    X = problem.rows.X[subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)].astype(np.float64)
    m, s = X.mean(axis=0), X.std(axis=0)
    vary = np.flatnonzero(s > 1e-9 * np.maximum(1.0, np.abs(m)))
    if not len(vary) or not np.isfinite(X).all():
        return None
    m, s = m[vary], s[vary]
    r = np.hypot(m, s)
    dense = s[_spread_out(X[:, vary])]
    range_ = float(dense.max() / dense.min()) if len(dense) > 1 else 1.0
    wide = (s > DATA_LIMITS.column_deviation) & (s > DATA_LIMITS.column_deviation_ratio * np.median(s))
    far = (np.abs(m) > DATA_LIMITS.column_offset * s) & (np.abs(m) > DATA_LIMITS.column_offset)
    bad = (r > DATA_LIMITS.column_size) | far | wide
    if not bad.any() and range_ <= DATA_LIMITS.column_range:
        return None
    worst = vary[np.argsort(-np.where(bad, r, 0.0) if bad.any() else -np.abs(np.log(s / np.median(s))))[:5]]
    k = int(np.flatnonzero(vary == worst[0])[0])
    return make_finding(
        "unnormalized-inputs",
        "warning",
        "The inputs are not normalized",
        meaning="Columns of very different or large scales make the loss far steeper in some directions than in others.",
        measured=f"{column_name(problem.feature_names, int(worst[0]))} has mean {m[k]:.3g}, standard deviation {s[k]:.3g}; "
        f"standard deviations range from {s.min():.2g} to {s.max():.2g}" + _named(problem, worst),
        usual="mean near 0 and standard deviation near 1 in each column",
        fix=Fix("Standardize the inputs.", _STANDARDIZE, _CODE, "standardize-inputs"),
        mean=m[k],
        deviation=s[k],
        smallest_deviation=float(s.min()),
        largest_deviation=float(s.max()),
    )


def tiny_inputs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether all columns have a root mean square below 0.1: scaled twice, or in units that are far too large."""
    X = problem.rows.X[subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)].astype(np.float64)
    size = float(np.sqrt((X * X).mean(axis=0)).max(initial=0.0))
    if not 0 < size < DATA_LIMITS.tiny_inputs:
        return None
    return make_finding(
        "tiny-inputs",
        "warning",
        "All inputs are close to zero",
        meaning="Initial weights are drawn for inputs of size 1; smaller inputs give small signals and small gradients.",
        measured=f"the largest column has a root mean square of {size:.2g}",
        usual="about 1",
        fix=Fix(
            "Check whether the inputs were scaled twice; standardize them once.",
            _STANDARDIZE,
            _CODE,
            "standardize-inputs",
        ),
        size=size,
    )


def target_scale(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check regression targets: standard deviation s outside [0.1, 5], or a mean above 5 s and 1; identity link only."""
    loss = problem.recipe.loss
    if not loss.links or loss.link != "identity":
        return None
    Y = problem.rows.Y.astype(np.float64)
    m, s = Y.mean(axis=0), Y.std(axis=0)
    if not np.isfinite(Y).all() or not (s > 0).any():
        return None
    far = (np.abs(m) > DATA_LIMITS.target_high * s) & (np.abs(m) > 1)
    bad = (s > 0) & ((s < DATA_LIMITS.target_low) | (s > DATA_LIMITS.target_high) | far)
    if not bad.any():
        return None
    k = int(
        np.argmax(np.where(bad, np.abs(np.log(np.where(s > 0, s, 1.0))) + np.abs(m) / np.where(s > 0, s, 1.0), -1.0))
    )
    return make_finding(
        "target-scale",
        "warning",
        "The targets are not normalized",
        meaning="The first predictions are far from such targets, and loss and gradients grow with their scale.",
        measured=f"mean {m[k]:.3g}, standard deviation {s[k]:.3g}",
        usual="mean near 0, standard deviation near 1",
        fix=Fix("Standardize the targets.", code="y = (y - y.mean()) / y.std()", remedy="standardize-targets"),
        mean=m[k],
        deviation=s[k],
    )


def _spread_out(X: Array) -> Array:
    """Return which columns have no value that fills half of the rows, as the median does if it equals a quartile."""
    low, middle, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0)
    return np.asarray((low < middle) & (middle < high))


def _named(problem: TrainingProblem, columns: Array) -> str:
    return f" ({', '.join(column_name(problem.feature_names, int(c)) for c in columns[:5])})" if len(columns) else ""
