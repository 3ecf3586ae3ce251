"""Why: a network takes its inputs as they come; columns that are broken or badly scaled show in their statistics.

In: the rows as the network sees them. Out: findings about columns of X and the scale of y.
"""

from __future__ import annotations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.pipeline.option_names import Setting
from chainrule.train.problem import TrainingProblem

_ROWS = 2000
_CODE = "X = Standardizer.fit(X_train).apply(X)"
_STANDARDIZE = (Setting("scaling", "columns"),)


def nan_input(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """NaN or infinity in X or y, of any part."""
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
        "Some numbers are missing or infinite",
        meaning="One NaN in a batch makes every weight NaN in a single step.",
        measured="; ".join(f"{count} in {where}" for where, count in bad.items()) + _named(problem, columns),
        usual="finite numbers only",
        fix=Fix(
            "Fill the gaps, or drop the rows.",
            code="kept = np.isfinite(X).all(axis=1)",
            remedy="drop-bad-rows",
        ),
        count=sum(bad.values()),
    )


def constant_feature(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Columns with one value in all training rows.

    They cost little and say nothing: information, but a warning where a weight that was never trained will act on them,
    since they vary in the validation rows, or where their size (above 10, and ten times the typical) drowns the others.
    """
    X = problem.rows.X
    constant = np.ptp(X, axis=0) == 0
    if not constant.any() or len(X) < 2:
        return None
    held_out = None if problem.validation is None else problem.validation.X
    varies = constant & (False if held_out is None else (np.abs(held_out - X[0]) > 0.1).mean(axis=0) > 0.05)
    large = constant & (np.abs(X[0]) > 10 * max(1.0, float(np.sqrt(np.median((X * X).mean(axis=0))))))
    columns = np.flatnonzero(varies | large) if (varies | large).any() else np.flatnonzero(constant)
    worse = bool(varies.any() or large.any() or constant.all())
    return make_finding(
        "constant-feature",
        "warning" if worse else "info",
        f"{int(constant.sum())} of {X.shape[1]} columns never change",
        meaning="A column with one value carries no information"
        + (", and weights that were never trained meet other values later." if varies.any() else "."),
        measured=f"{int(constant.sum())} constant columns{_named(problem, columns)}",
        usual="columns that vary",
        fix=Fix("Drop these columns.", code="X = X[:, X.std(axis=0) > 0]", safe=not varies.any()),
        count=int(constant.sum()),
        columns=X.shape[1],
    )


def duplicate_feature(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Pairs of columns that are equal up to shift and scale: |correlation| above 1 - 1e-6 over at most 2000 rows."""
    X = problem.rows.X[subsample_indices(problem.rows.X, _ROWS)].astype(np.float64)
    X = X - X.mean(axis=0)
    length = np.sqrt((X * X).sum(axis=0))
    kept = np.flatnonzero(length > 1e-12 * max(1.0, float(np.abs(X).max(initial=0.0))))
    if len(kept) < 2 or len(X) < 10 or len(kept) > 2000 or not np.isfinite(X).all():
        return None
    Z = X[:, kept] / length[kept]
    pairs = np.argwhere(np.triu(np.abs(Z.T @ Z) > 1.0 - 1e-6, 1))
    if not len(pairs):
        return None
    copies = np.unique(kept[pairs[:, 1]])
    return make_finding(
        "duplicate-feature",
        "info",
        f"{len(copies)} columns are copies of others",
        meaning="A column that repeats another adds weights and no information.",
        measured=f"{len(pairs)} pairs, first {_name(problem, kept[pairs[0, 0]])} and {_name(problem, kept[pairs[0, 1]])}",
        usual="each column once",
        fix=Fix("Drop the copies.", code=f"X = np.delete(X, {copies[:5].tolist()}, axis=1)", safe=True),
        count=len(copies),
    )


def unnormalised_inputs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Columns whose size or offset a network with usual first weights cannot take well.

    With mean m, standard deviation s and root mean square r of each column that varies: r > 10; or an offset |m| > 3 s
    with |m| > 3; or s > 3 and more than ten times the median s; or, among columns without a value that fills half
    of the rows (pixels and indicators have one), largest s over smallest s above 100.
    A range beyond ±1, or a single large entry, is no fault: standardized data has both.
    """
    X = problem.rows.X[subsample_indices(problem.rows.X, _ROWS)].astype(np.float64)
    m, s = X.mean(axis=0), X.std(axis=0)
    vary = np.flatnonzero(s > 1e-9 * np.maximum(1.0, np.abs(m)))
    if not len(vary) or not np.isfinite(X).all():
        return None
    m, s = m[vary], s[vary]
    r = np.hypot(m, s)
    dense = s[_spread_out(X[:, vary])]
    range_ = float(dense.max() / dense.min()) if len(dense) > 1 else 1.0
    wide = (s > 3) & (s > 10 * np.median(s))
    bad = (r > 10) | ((np.abs(m) > 3 * s) & (np.abs(m) > 3)) | wide
    if not bad.any() and range_ <= 100:
        return None
    worst = vary[np.argsort(-np.where(bad, r, 0.0) if bad.any() else -np.abs(np.log(s / np.median(s))))[:5]]
    k = int(np.flatnonzero(vary == worst[0])[0])
    return make_finding(
        "unnormalized-inputs",
        "warning",
        "The inputs are not on a scale that a network can take",
        meaning="Large or unequal columns make some directions of the loss thousands of times steeper than others.",
        measured=f"{_name(problem, int(worst[0]))} has mean {m[k]:.3g} and standard deviation {s[k]:.3g}; "
        f"deviations from {s.min():.2g} to {s.max():.2g}" + _named(problem, worst),
        usual="mean near 0 and standard deviation near 1 in each column",
        fix=Fix(
            "Standardize the inputs with the mean and deviation of the training rows.",
            _STANDARDIZE,
            _CODE,
            "standardize-inputs",
        ),
        mean=m[k],
        deviation=s[k],
        smallest_deviation=float(s.min()),
        largest_deviation=float(s.max()),
    )


def tiny_inputs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """No column reaches a root mean square of 0.1: scaled twice, or in units far too large."""
    X = problem.rows.X[subsample_indices(problem.rows.X, _ROWS)].astype(np.float64)
    size = float(np.sqrt((X * X).mean(axis=0)).max(initial=0.0))
    if not 0 < size < 0.1:
        return None
    return make_finding(
        "tiny-inputs",
        "warning",
        "The inputs are close to zero throughout",
        meaning="First weights are drawn for inputs of size 1; smaller ones give small signals and small gradients.",
        measured=f"the largest column has root mean square {size:.2g}",
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
    """Amounts behind an identity link with a deviation outside [0.1, 5], or a mean above five deviations (and above 1)."""
    loss = problem.recipe.loss
    if loss.classes or getattr(loss, "link", "") != "identity":
        return None
    Y = problem.rows.Y.astype(np.float64)
    m, s = Y.mean(axis=0), Y.std(axis=0)
    if not np.isfinite(Y).all() or not (s > 0).any():
        return None
    bad = (s > 0) & ((s < 0.1) | (s > 5) | ((np.abs(m) > 5 * s) & (np.abs(m) > 1)))
    if not bad.any():
        return None
    k = int(
        np.argmax(np.where(bad, np.abs(np.log(np.where(s > 0, s, 1.0))) + np.abs(m) / np.where(s > 0, s, 1.0), -1.0))
    )
    return make_finding(
        "target-scale",
        "warning",
        "The targets are not on a scale that a network can take",
        meaning="Loss and gradients grow with the square of the targets' scale, and the first answers are far from them.",
        measured=f"mean {m[k]:.3g}, standard deviation {s[k]:.3g}",
        usual="mean near 0, standard deviation near 1",
        fix=Fix("Standardize the targets.", code="y = (y - y.mean()) / y.std()", remedy="standardize-targets"),
        mean=m[k],
        deviation=s[k],
    )


def _spread_out(X: Array) -> Array:
    """Which columns have no value that fills half of the rows: the median does so where it equals a quartile."""
    low, middle, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0)
    return np.asarray((low < middle) & (middle < high))


def _name(problem: TrainingProblem, column: int) -> str:
    return problem.feature_names[column] if column < len(problem.feature_names) else f"column {column}"


def _named(problem: TrainingProblem, columns: Array) -> str:
    return f" ({', '.join(_name(problem, int(c)) for c in columns[:5])})" if len(columns) else ""
