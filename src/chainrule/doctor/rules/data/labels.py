"""Why: no network is better than its labels; quick models show what inputs and labels have to do with each other.

In: rows and targets; at most 2000 rows go into a quick model. Out: findings about labels, their number, and noise.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.data.confident_learning import doubts, in_doubt
from chainrule.doctor.rules.data.ridge_baseline import Folds, neighbor, one_hot, shares
from chainrule.doctor.rules.data.splits import row_hashes
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import subsample_indices
from chainrule.doctor.vocabulary.wording import percent
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.nn.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from chainrule.pipeline.option_names import Setting
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem

_ROWS = 2000
_SHUFFLES = 30


def codes_of(problem: TrainingProblem, rows: Rows) -> Array | None:
    """Class numbers (n), or None where targets are amounts or several labels at once."""
    if isinstance(problem.recipe.loss, SoftmaxCrossEntropy):
        return rows.Y
    if isinstance(problem.recipe.loss, BinaryCrossEntropy) and rows.Y.shape[1] == 1:
        return (rows.Y[:, 0] > 0.5).astype(np.int64)
    return None


def class_imbalance(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Classes of very different weight: largest over smallest above 10, or (e^H - 1) / (K - 1) below 0.5.

    H is the entropy of the classes' shares; row weights count, since they are a remedy. Whether it hurts shows only
    after training: a warning where a rare class ends with a recall below one half, critical below 0.3, else information.
    """
    codes, K = codes_of(problem, problem.rows), max(2, problem.recipe.net.outputs)
    if codes is None:
        return None
    weight = np.bincount(codes, weights=problem.rows.c.astype(np.float64), minlength=K)
    p = weight[weight > 0] / weight.sum()
    evenness = (math.exp(-float((p * np.log(p)).sum())) - 1.0) / (K - 1)
    ratio = float(p.max() / p.min()) if (weight > 0).all() else math.inf
    if len(p) < 2 or (ratio <= 10 and evenness >= 0.5):
        return None
    recall = math.nan if trace is None else _lowest_recall(problem, trace, weight)
    return make_finding(
        "class-imbalance",
        "critical" if recall < 0.3 else "warning" if recall < 0.5 else "info",
        f"The largest class has {ratio:.0f} times the rows of the smallest"
        if ratio < math.inf
        else "Some classes never occur",
        meaning="A network that always says the common class has a low loss; rare classes are learned late, or never.",
        measured=f"shares from {percent(weight.min() / weight.sum())} to {percent(p.max())}, evenness {evenness:.2f}"
        + ("" if recall != recall else f"; lowest recall of a rare class {percent(recall)}"),
        usual="a ratio below 10, or weights that make up for it",
        fix=Fix("Give rare classes a larger weight.", (Setting("class_weight", "balanced"),), remedy="class-weights"),
        ratio=ratio,
        evenness=evenness,
        recall=recall,
    )


def label_conflict(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Equal inputs with different labels: no network can be right on all of them.

    Named from 1 % of the rows on, as a warning only where at most a fifth of the other rows repeat one another: inputs of
    few different values meet with different labels in a natural way.
    """
    codes = codes_of(problem, problem.rows)
    if codes is None:
        return None
    X = problem.rows.X
    spread = X.std(axis=0, dtype=np.float64)
    _, group = np.unique(row_hashes(X, np.where(spread > 0, spread, 1.0)), return_inverse=True)
    size = np.bincount(group)
    lowest, highest = np.full(len(size), np.iinfo(np.int64).max), np.full(len(size), -1)
    np.minimum.at(lowest, group, codes)
    np.maximum.at(highest, group, codes)
    mixed = (lowest != highest)[group]
    share = float(mixed.mean())
    if share < 0.01:
        return None
    repeated = float((size[group][~mixed] > 1).mean()) if (~mixed).any() else 0.0
    conflict = np.flatnonzero(mixed)
    return make_finding(
        "label-conflict",
        "warning" if repeated <= 0.2 else "info",
        f"{percent(share)} of the rows have a twin with another label",
        meaning="Equal inputs cannot get different answers, so these rows pull against each other for ever.",
        measured=f"{int(mixed.sum())} rows in {int((lowest != highest).sum())} groups, first rows {conflict[:4].tolist()}",
        usual="one label for equal inputs",
        fix=Fix(
            "Check these rows and correct their labels.", code=f"X[{conflict[:4].tolist()}]", remedy="drop-bad-rows"
        ),
        share=share,
        rows=int(mixed.sum()),
    )


def label_noise(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Labels that a quick model, sure of itself on rows it never saw, takes for wrong (see `confidence.doubts`)."""
    take, P, codes = _probabilities(problem)
    seen = doubts(P, codes)
    if not seen.noisy:
        return None
    rows = take[seen.rows]
    share = max(seen.sure_error, len(rows) / len(take))
    return make_finding(
        "label-noise",
        "warning",
        f"About {percent(share)} of the labels look wrong",
        meaning="A network learns wrong labels by heart in the end, and its answers get worse while its loss still falls.",
        measured=f"a quick model disagrees with {percent(seen.sure_error)} of the labels it is surest of, and in class "
        f"{seen.label} with {percent(seen.label_error)}; most doubtful rows {rows[:5].tolist()}",
        usual="hardly any where the model is sure",
        fix=Fix(
            "Check the doubtful rows first; label smoothing makes wrong labels less harmful.",
            (Setting("label_smoothing", 0.1),),
            code=f"X[{rows[:5].tolist()}]",
            remedy="drop-bad-rows",
        ),
        rows=len(rows),
        share=share,
        sure_error=seen.sure_error,
        label=seen.label,
        label_error=seen.label_error,
    )


def suspicious_rows(problem: TrainingProblem) -> Array:
    """Numbers of training rows whose label is in doubt, the surest first; among at most 2000 rows.

    Raises `NotApplicable` where targets are no classes, or too few rows to tell.
    """
    take, P, codes = _probabilities(problem)
    return take[in_doubt(P, codes)]


def misaligned_labels(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Targets that have nothing to do with the inputs, as when one of the two was shuffled alone.

    Two quick models, ridge regression on random features and the nearest neighbor, guess left-out rows no better than they
    guess shuffled targets (both below three standard deviations of 30 shuffles). From 100 rows on.
    """
    take = subsample_indices(problem.rows.X, _ROWS)
    if len(take) < 100:
        raise NotApplicable("fewer than 100 rows say too little about chance")
    X, Y = problem.rows.X[take], _columns(problem, take)
    _usable(X, Y)
    by_ridge, by_neighbor = _signal(X, Y)
    if by_ridge >= 3 or by_neighbor >= 3:
        return None
    return make_finding(
        "misaligned-labels",
        "warning",
        "The inputs say nothing about the targets",
        meaning="Quick models guess the targets no better than shuffled ones, so rows and targets may have lost each other.",
        measured=f"ridge {by_ridge:.1f} and nearest neighbor {by_neighbor:.1f} standard deviations above chance",
        usual="above 5",
        fix=Fix("Check that the rows of X and y were kept, shuffled and sorted together."),
        ridge=by_ridge,
        neighbor=by_neighbor,
        rows=len(take),
    )


def noisy_inputs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Rows that stick out of what the columns have in common, and are guessed far worse than the others.

    A row sticks out when the part of it that the leading directions (90 % of the variance) do not hold is more than four
    times the median. Named when 5 % to 60 % of the rows do, and a quick model errs on them three times as often, by 15
    points at least. From 8 columns on.
    """
    X = problem.rows.X[subsample_indices(problem.rows.X, _ROWS)].astype(np.float64)
    if X.shape[1] < 8 or X.shape[1] > 512:
        raise NotApplicable("noise in rows shows only in 8 to 512 columns")
    _, P, codes = _probabilities(problem)
    Z = X - np.median(X, axis=0)
    Z /= np.where((spread := Z.std(axis=0)) > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(Z.T @ Z)
    kept = vectors[:, np.cumsum(values[::-1])[::-1] > 0.1 * values.sum()] if values.sum() > 0 else vectors
    rest = ((Z - Z @ kept @ kept.T) ** 2).sum(axis=1)
    out = rest > 4.0 * np.median(rest)
    wrong = P.argmax(axis=1) != codes
    if not 0.05 <= out.mean() <= 0.6:
        return None
    bad, good = float(wrong[out].mean()), float(wrong[~out].mean())
    if bad < max(3.0 * good, good + 0.15):
        return None
    return make_finding(
        "noisy-inputs",
        "info",
        f"{percent(out.mean())} of the rows look noisy",
        meaning="These rows do not follow what the columns have in common, and labels are hard to guess from them.",
        measured=f"a quick model errs on {percent(bad)} of them and on {percent(good)} of the others",
        usual="errors alike in all rows",
        fix=Fix("Check where these rows come from.", remedy="drop-bad-rows"),
        share=float(out.mean()),
        error=bad,
        other_error=good,
    )


def too_little_data(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """So few rows that more of them would help a lot.

    A warning below 5 rows of the median class, or below 30 rows in all. Else information: the squared error of a quick
    model on left-out rows is still above a quarter of the variance, and falls by more than a fifth (three standard errors
    at least) from half of the rows to all.
    """
    n, codes = len(problem.rows), codes_of(problem, problem.rows)
    typical = float(np.median(np.bincount(codes)[np.bincount(codes) > 0])) if codes is not None else math.inf
    if n < 30 or typical < 5:
        return too_few(
            n, typical, "warning", f"{n} rows" + (f", {typical:.0f} of the median class" if codes is not None else "")
        )
    take = subsample_indices(problem.rows.X, _ROWS)
    X, Y = problem.rows.X[take], _columns(problem, take)
    _usable(X, Y)
    folds = Folds.of(X)
    half, full = (((folds.predict(Y, share) - Y) ** 2).mean(axis=1) for share in (0.5, 1.0))
    drop, variance = half - full, float((Y * Y).mean())
    error = float(drop.std()) / math.sqrt(len(drop))
    if full.mean() < 0.25 * variance or drop.mean() < max(0.2 * full.mean(), 3.0 * error):
        return None
    measured = f"a quick model's error falls by {percent(drop.mean() / full.mean())} from half of the {n} rows to all"
    return too_few(n, typical, "info", measured)


def too_few(n: int, typical: float, severity: str, measured: str) -> Finding:
    """That there are too few rows (n of them, so many of the median class), by what was measured."""
    return make_finding(
        "too-little-data",
        severity,
        "There are too few rows",
        meaning="With so few rows a network learns the rows and not what they stand for.",
        measured=measured,
        usual="hundreds of rows per class or more",
        fix=Fix("Collect more rows; or use a smaller network, early stopping or a penalty.", remedy="smaller-network"),
        rows=n,
        per_class=typical,
    )


def _columns(problem: TrainingProblem, take: Array) -> Array:
    """Targets as columns with mean 0, float64: one per class, or the amounts."""
    codes = codes_of(problem, problem.rows)
    Y = (
        problem.rows.Y[take].astype(np.float64)
        if codes is None
        else one_hot(codes[take], max(2, problem.recipe.net.outputs))
    )
    return np.asarray(Y - Y.mean(axis=0))


def _usable(X: Array, Y: Array) -> None:
    if not (np.isfinite(X).all() and np.isfinite(Y).all()):
        raise NotApplicable("some numbers are not finite")
    if not np.ptp(Y, axis=0).any():
        raise NotApplicable("all targets are equal")
    if Y.ndim == 2 and Y.shape[1] > max(20, len(Y) / 10):
        raise NotApplicable("there are too many classes for so few rows")


def _probabilities(problem: TrainingProblem) -> tuple[Array, Array, Array]:
    """Rows looked at, their out-of-fold probabilities (n, K), their class numbers."""
    codes = codes_of(problem, problem.rows)
    if codes is None:
        raise NotApplicable("the targets are no classes")
    take = subsample_indices(problem.rows.X, _ROWS)
    codes, K = codes[take], max(2, problem.recipe.net.outputs)
    if len(take) < 60 or len(take) < 10 * len(np.unique(codes)):
        raise NotApplicable("fewer than 60 rows, or than 10 for each class, are too few to judge labels")
    _usable(problem.rows.X[take], codes)
    return take, shares(Folds.of(problem.rows.X[take]).predict(one_hot(codes, K))), codes


def _signal(X: Array, Y: Array) -> tuple[float, float]:
    """How far ridge regression and the nearest neighbor are above chance, in standard deviations of shuffled targets."""
    orders = [_shuffle(len(Y), i) for i in range(_SHUFFLES)]
    stacked = np.hstack([Y, *(Y[order] for order in orders)])
    gains = (stacked * Folds.of(X).predict(stacked)).mean(axis=0).reshape(-1, Y.shape[1]).sum(axis=1)
    near = neighbor(X)
    alike = (stacked * stacked[near]).mean(axis=0).reshape(-1, Y.shape[1]).sum(axis=1)
    return _above(gains), _above(alike)


def _above(values: Array) -> float:
    """The first value's distance from the mean of the others in their standard deviations."""
    return float((values[0] - values[1:].mean()) / max(float(values[1:].std()), 1e-12))


def _lowest_recall(problem: TrainingProblem, trace: Trace, weight: Array) -> float:
    """Lowest recall, among held-out rows where there are any, of classes with half an even share of the rows or less."""
    rows = problem.rows if problem.validation is None else problem.validation
    codes, take = codes_of(problem, rows), subsample_indices(rows.X, _ROWS)
    assert codes is not None
    with np.errstate(all="ignore"):
        Z = logits(problem.recipe.net, trace.final.w, trace.final.buffers, rows.X[take])
    predicted = Z.argmax(axis=1) if Z.shape[1] > 1 else (Z[:, 0] > 0).astype(np.int64)
    rare = [k for k in np.flatnonzero(weight <= 0.5 * weight.sum() / len(weight)) if (codes[take] == k).sum() >= 3]
    return min((float((predicted[codes[take] == k] == k).mean()) for k in rare), default=math.nan)


def _shuffle(n: int, i: int) -> Array:
    return Stream.from_seed(0).fold(Purpose.SHUFFLE, i).permutation(np, n)
