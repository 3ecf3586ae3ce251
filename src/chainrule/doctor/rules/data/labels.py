"""Check the labels with fast models: their balance, their consistency, their noise, and whether there are enough rows.

In: rows and targets; at most 2000 rows go into a fast model. Out: findings.
"""

from __future__ import annotations

import math

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import Folds, neighbor, one_hot, shares
from chainrule.doctor.rules.data.confident_learning import doubts, in_doubt
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.targets import are_continuous, subsample_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.nn.losses import TargetKind
from chainrule.pipeline.option_names import Setting
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem


def class_codes(problem: TrainingProblem, rows: Rows) -> Array | None:
    """Return class numbers (n), or None for continuous targets and several labels per row."""
    if problem.recipe.loss.targets is TargetKind.CLASSES:
        return rows.Y
    if (
        problem.recipe.loss.targets is TargetKind.LABELS
        and problem.recipe.loss.link == "sigmoid"
        and rows.Y.shape[1] == 1
        and not are_continuous(rows)
    ):
        return (rows.Y[:, 0] > 0.5).astype(np.int64)
    return None


def class_imbalance(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for classes of very different size: largest over smallest above 10, or (e^H - 1) / (K - 1) below 0.5.

    H is the entropy of the class shares. Row weights count, since they are a remedy. Only training shows whether imbalance
    hurts: a warning if the recall of a rare class is below 0.5, critical below 0.3, else information.
    """
    codes = class_codes(problem, problem.rows)
    K = max(2, problem.recipe.net.outputs)
    if codes is None:
        return None
    weight = np.bincount(codes, weights=problem.rows.c.astype(np.float64), minlength=K)
    p = weight[weight > 0] / weight.sum()
    evenness = (math.exp(-float((p * np.log(p)).sum())) - 1.0) / (K - 1)
    ratio = float(p.max() / p.min()) if (weight > 0).all() else math.inf
    if len(p) < 2 or (ratio <= DATA_LIMITS.imbalance_ratio and evenness >= DATA_LIMITS.evenness):
        return None
    recall = math.nan if trace is None else _lowest_recall(problem, trace, weight)
    return make_finding(
        "class-imbalance",
        "critical"
        if recall < DATA_LIMITS.recall_critical
        else "warning"
        if recall < DATA_LIMITS.recall_warning
        else "info",
        f"The largest class has {ratio:.0f} times as many rows as the smallest"
        if ratio < math.inf
        else "Some classes have no rows",
        meaning="Predicting only the common classes already gives a low loss, so rare classes are learned late or never.",
        measured=f"class shares from {percent(weight.min() / weight.sum())} to {percent(p.max())}, evenness {evenness:.2f}"
        + ("" if recall != recall else f"; lowest recall of a rare class {percent(recall)}"),
        usual="a ratio below 10, or class weights that compensate",
        fix=Fix(
            "Give rare classes a larger weight.",
            (Setting("class_weight", "balanced"),),
            _weights_in_code(problem, codes),
            "class-weights",
        ),
        ratio=ratio,
        evenness=evenness,
        recall=recall,
    )


def _weights_in_code(problem: TrainingProblem, codes: Array) -> str:
    """Return the call of `fit` in which every class of its own targets counts the same."""
    count = np.bincount(codes, minlength=2)
    if problem.recipe.loss.targets is TargetKind.CLASSES:
        return f"fit(..., sample_weight=len(y) / ({np.count_nonzero(count)} * np.bincount(y)[y]))"
    zero, one = len(codes) / (2.0 * np.maximum(count, 1))
    return f"fit(..., sample_weight=np.where(np.ravel(y) > 0.5, {one:.4g}, {zero:.4g}))"


def label_noise(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for labels that contradict the confident predictions of a fast model (see `confident_learning.doubts`)."""
    take, P, codes = _probabilities(problem)
    seen = doubts(P, codes)
    error, chance = _held_out_error(problem, trace)
    if not seen.noisy or error < DATA_LIMITS.doubt_refuted * seen.sure_error:
        return None
    rows = take[seen.rows]
    share = max(seen.sure_error, len(rows) / len(take))
    smoothed = _is_smoothed(problem)
    helps = "the labels are smoothed already." if smoothed else "label smoothing makes wrong labels less harmful."
    return make_finding(
        "label-noise",
        "info" if smoothed else "warning",
        f"About {percent(share)} of the labels look wrong",
        meaning="A network eventually memorizes wrong labels: its training loss falls while its predictions get worse.",
        measured=f"a fast model disagrees with {percent(seen.sure_error)} of the labels where it is confident, and with "
        f"{percent(seen.label_error)} of those it predicts as class {seen.label}; most doubtful rows: {rows[:5].tolist()}",
        usual="almost none where the model is confident",
        fix=Fix(
            f"Check the doubtful rows first; {helps}",
            () if smoothed else (Setting("label_smoothing", USUAL.label_smoothing),),
            code=f"X[{rows[:5].tolist()}]",
            remedy="drop-bad-rows",
        ),
        rows=len(rows),
        share=share,
        sure_error=seen.sure_error,
        error=1.0 if error != error else max(0.0, error - USUAL.clear_errors * chance),
        label=seen.label,
        label_error=seen.label_error,
    )


def _is_smoothed(problem: TrainingProblem) -> bool:
    """Check whether labels are smoothed, by the loss or by the encoding of the targets: then that advice was followed."""
    encoded = 0.0 if problem.target is None else problem.target.smoothing
    return max(float(getattr(problem.recipe.loss, "label_smoothing", 0.0)), encoded) > 0


def _held_out_error(problem: TrainingProblem, trace: Trace | None) -> tuple[float, float]:
    """Return the share of held-out rows on which the network errs, and its standard error; NaN without such rows.

    Far below what the fast model doubts, that model is too simple; not above it, the network is as good as the labels allow.
    """
    held = problem.validation
    codes = None if held is None else class_codes(problem, held)
    if trace is None or held is None or codes is None or len(codes) < DATA_LIMITS.recall_rows:
        return math.nan, math.nan
    with np.errstate(all="ignore"):
        Z = logits(problem.recipe.net, problem.recipe.weights(trace.final), trace.final.buffers, held.X)
    predicted = Z.argmax(axis=1) if Z.shape[1] > 1 else (Z[:, 0] > 0).astype(np.int64)
    error = float((predicted != codes).mean())
    return error, math.sqrt(error * (1.0 - error) / len(codes))


def suspicious_rows(problem: TrainingProblem) -> Array:
    """Return the numbers of training rows with a doubtful label, the most doubtful first; among at most 2000 rows.

    Raises `NotApplicable` if the targets are not classes, or if there are too few rows.
    """
    take, P, codes = _probabilities(problem)
    return take[in_doubt(P, codes)]


def misaligned_labels(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for targets that are unrelated to the inputs, as if only one of the two had been shuffled.

    Two fast models, ridge regression on random features and the nearest neighbor, predict held-out rows no better than
    shuffled targets (both within three standard deviations of 30 shuffles). Needs 100 rows, and of classes 60 rows outside
    the largest one: fewer do not stand out from shuffled ones even where the inputs predict them. A warning only if both
    are within two deviations, and the rows are enough for ridge regression to show a weak relation, of a tenth of the
    variance, at four; else information, since such a relation may be there.
    """
    take = subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)
    if len(take) < DATA_LIMITS.chance_rows:
        raise NotApplicable("needs at least 100 rows")
    codes = class_codes(problem, problem.rows)
    if codes is not None and len(take) - np.bincount(codes[take]).max() < DATA_LIMITS.chance_rare_rows:
        raise NotApplicable("needs at least 60 rows outside the largest class")
    X, Y = problem.rows.X[take], _columns(problem, take)
    _usable(X, Y)
    by_ridge, by_neighbor, deviation = _signal(X, Y)
    if by_ridge >= DATA_LIMITS.chance_deviations or by_neighbor >= DATA_LIMITS.chance_deviations:
        return None
    powerful = DATA_LIMITS.weak_deviations * deviation <= DATA_LIMITS.weak_relation
    return make_finding(
        "misaligned-labels",
        "warning" if powerful and max(by_ridge, by_neighbor) < DATA_LIMITS.unrelated_deviations else "info",
        "The inputs do not predict the targets",
        meaning="Fast models do no better than on shuffled targets, so the rows of X and y may be misaligned.",
        measured=f"ridge regression {by_ridge:.1f}, nearest neighbor {by_neighbor:.1f} standard deviations above chance",
        usual="above 5",
        fix=Fix(
            "Check that the rows of X and y were kept, shuffled and sorted together. No setting can pair them again: make "
            "the table anew from its sources, joined by a key and not by position. If the pairs are right, the inputs say "
            "nothing about the target."
        ),
        ridge=by_ridge,
        neighbor=by_neighbor,
        rows=len(take),
    )


def noisy_inputs(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for rows that do not follow the correlations between the columns, and that are predicted far worse than others.

    A row is an outlier if the part of it outside the leading principal directions (90 % of the variance) is more than four
    times the median. Reported if 5 % to 60 % of the rows are, and a fast model errs on them three times as often and by at
    least 15 points more. Needs 8 columns.
    """
    X = problem.rows.X[subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)].astype(np.float64)
    if not DATA_LIMITS.noise_columns_low <= X.shape[1] <= DATA_LIMITS.noise_columns_high:
        raise NotApplicable("needs 8 to 512 columns")
    _, P, codes = _probabilities(problem)
    out = _outliers(X)
    wrong = P.argmax(axis=1) != codes
    if not DATA_LIMITS.noise_share_low <= out.mean() <= DATA_LIMITS.noise_share_high:
        return None
    bad, good = float(wrong[out].mean()), float(wrong[~out].mean())
    if bad < max(DATA_LIMITS.noise_error_ratio * good, good + DATA_LIMITS.noise_error_gap):
        return None
    return make_finding(
        "noisy-inputs",
        "info",
        f"{percent(out.mean())} of the rows look noisy",
        meaning="These rows do not follow the correlations between the columns, and their labels are hard to predict.",
        measured=f"a fast model is wrong on {percent(bad)} of them and on {percent(good)} of the others",
        usual="similar errors in all rows",
        fix=Fix("Check where these rows come from.", remedy="drop-bad-rows"),
        share=float(out.mean()),
        error=bad,
        other_error=good,
    )


def _outliers(X: Array) -> Array:
    """Return which rows have a large part outside the leading principal directions."""
    Z = X - np.median(X, axis=0)
    spread = Z.std(axis=0)
    Z /= np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(Z.T @ Z)
    total = values.sum()
    kept = vectors[:, np.cumsum(values[::-1])[::-1] > DATA_LIMITS.noise_variance * total] if total > 0 else vectors
    rest = ((Z - Z @ kept @ kept.T) ** 2).sum(axis=1)
    return np.asarray(rest > DATA_LIMITS.noise_distance * np.median(rest))


def too_little_data(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check whether more rows would help a lot.

    A warning below 30 rows, or below 5 rows of the median class; information below 20 rows, where nothing can show it.
    Otherwise information: the squared error of a fast model on held-out rows is above a quarter of the variance, and falls
    by more than a fifth (and three standard errors) from half of the rows to all.
    """
    n = len(problem.rows)
    codes = class_codes(problem, problem.rows)
    typical = float(np.median(np.bincount(codes)[np.bincount(codes) > 0])) if codes is not None else math.inf
    if n < DATA_LIMITS.few_rows or typical < DATA_LIMITS.few_rows_per_class:
        measured = f"{n} rows" + (f", {typical:.0f} in the median class" if codes is not None else "")
        return too_few(n, typical, "warning" if n >= USUAL.fewest_to_judge else "info", measured)
    take = subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)
    X, Y = problem.rows.X[take], _columns(problem, take)
    _usable(X, Y)
    folds = Folds.of(X)
    half, full = (((folds.predict(Y, share) - Y) ** 2).mean(axis=1) for share in (0.5, 1.0))
    drop = half - full
    variance = float((Y * Y).mean())
    error = float(drop.std()) / math.sqrt(len(drop))
    needed = max(DATA_LIMITS.few_rows_drop * full.mean(), DATA_LIMITS.few_rows_errors * error)
    if full.mean() < DATA_LIMITS.few_rows_error * variance or drop.mean() < needed:
        return None
    measured = (
        f"with all {n} rows instead of half, the error of a fast model is {percent(drop.mean() / half.mean())} lower"
    )
    return too_few(n, typical, "info", measured)


def too_few(n: int, typical: float, severity: str, measured: str) -> Finding:
    """Return the finding that there are too few rows: n in all, `typical` in the median class, by what was measured."""
    return make_finding(
        "too-little-data",
        severity,
        "There are too few rows",
        meaning="With so few rows a network memorizes them instead of learning what they have in common.",
        measured=measured,
        usual="at least hundreds of rows per class",
        fix=Fix("Collect more rows; or use a smaller network, early stopping or a penalty.", remedy="smaller-network"),
        rows=n,
        per_class=typical,
    )


def _columns(problem: TrainingProblem, take: Array) -> Array:
    """Return the targets as columns with mean 0, float64: one per class, or the continuous values."""
    codes = class_codes(problem, problem.rows)
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
        raise NotApplicable("too many classes for so few rows")


def _probabilities(problem: TrainingProblem) -> tuple[Array, Array, Array]:
    """Return the rows used, their out-of-fold probabilities (n, K), and their class numbers."""
    codes = class_codes(problem, problem.rows)
    if codes is None:
        raise NotApplicable("the targets are not classes")
    take = subsample_indices(problem.rows.X, DATA_LIMITS.fast_rows)
    codes = codes[take]
    K = max(2, problem.recipe.net.outputs)
    if len(take) < DATA_LIMITS.label_rows or len(take) < DATA_LIMITS.label_rows_per_class * len(np.unique(codes)):
        raise NotApplicable("needs at least 60 rows, and 10 per class")
    _usable(problem.rows.X[take], codes)
    return take, shares(Folds.of(problem.rows.X[take]).predict(one_hot(codes, K))), codes


def _signal(X: Array, Y: Array) -> tuple[float, float, float]:
    """Return how far ridge regression and the nearest neighbor are above chance, in standard deviations.

    Also the deviation of ridge regression, as a share of the variance.
    """
    orders = [_shuffle(len(Y), i) for i in range(DATA_LIMITS.shuffles)]
    stacked = np.hstack([Y, *(Y[order] for order in orders)])
    gains = (stacked * Folds.of(X).predict(stacked)).mean(axis=0).reshape(-1, Y.shape[1]).sum(axis=1)
    near = neighbor(X)
    alike = (stacked * stacked[near]).mean(axis=0).reshape(-1, Y.shape[1]).sum(axis=1)
    return _above(gains), _above(alike), float(gains[1:].std()) / float((Y * Y).mean(axis=0).sum())


def _above(values: Array) -> float:
    """Return the distance of the first value from the mean of the others, in their standard deviations."""
    return float((values[0] - values[1:].mean()) / max(float(values[1:].std()), 1e-12))


def _lowest_recall(problem: TrainingProblem, trace: Trace, weight: Array) -> float:
    """Return the lowest recall of classes with at most half an even share of the rows, on held-out rows if there are any."""
    rows = problem.rows if problem.validation is None else problem.validation
    codes = class_codes(problem, rows)
    take = subsample_indices(rows.X, DATA_LIMITS.fast_rows)
    assert codes is not None
    with np.errstate(all="ignore"):
        Z = logits(problem.recipe.net, trace.final.w, trace.final.buffers, rows.X[take])
    predicted = Z.argmax(axis=1) if Z.shape[1] > 1 else (Z[:, 0] > 0).astype(np.int64)
    rare = [
        k
        for k in np.flatnonzero(weight <= DATA_LIMITS.rare_share * weight.sum() / len(weight))
        if (codes[take] == k).sum() >= DATA_LIMITS.recall_rows
    ]
    return min((float((predicted[codes[take] == k] == k).mean()) for k in rare), default=math.nan)


def _shuffle(n: int, i: int) -> Array:
    return Stream.from_seed(0).fold(Purpose.SHUFFLE, i).permutation(np, n)
