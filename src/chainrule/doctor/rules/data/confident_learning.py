"""Find labels that are probably wrong: a model that never saw the row confidently predicts another class.

In: out-of-fold probabilities (n, K) and the labels. Out: rows with a doubtful label, and whether the doubts look like label
errors rather than overlapping classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS


@dataclass(frozen=True, eq=False)
class Doubts:
    """What out-of-fold probabilities say about the labels.

    `rows` are doubtful, the most doubtful first. `error` is the share of rows whose prediction differs from the label,
    `sure_error` that share in the most confident quarter. `label` is the predicted class whose confident rows disagree
    most, `label_error` their share. `noisy` says whether label errors explain this better than overlapping classes.
    """

    rows: Array
    error: float
    sure_error: float
    label: int
    label_error: float
    noisy: bool


def in_doubt(P: Array, labels: Array) -> Array:
    """Return rows whose probability of another class reaches that class's average, the most doubtful first.

    Forward    (1) tₖ = mean of Pₖ over rows labeled k    (2) j(i) = argmax Pᵢₖ over k with Pᵢₖ >= tₖ
               (3) doubtful: j(i) is not the label
    Reference  [northcutt2021]
    """
    K = P.shape[1]
    counts = np.bincount(labels, minlength=K)
    own = np.bincount(labels, weights=P[np.arange(len(P)), labels], minlength=K)
    t = np.where(counts > 0, own / np.maximum(counts, 1), np.inf)  # (1)
    reached = np.where(t <= P, P, 0.0)
    j = reached.argmax(axis=1)  # (2)
    rows = np.flatnonzero((reached.max(axis=1) > 0) & (j != labels))  # (3)
    return rows[np.argsort(P[rows, labels[rows]] - P[rows, j[rows]])]


def doubts(P: Array, labels: Array) -> Doubts:
    """Decide whether labels are wrong at random, by the most confident predictions.

    If classes merely overlap, disagreement is rare in the most confident quarter of each predicted class; wrong labels are
    as common there as elsewhere. Noise means that this quarter disagrees in at least 3 % of its rows and in a large part of
    the overall share: half of it up to 15 %, 0.7 of it above. The overall share itself is at most 60 % of the error of
    always predicting the most common class. Or, if at most 15 % of all rows disagree, that one predicted class does so in
    6 % and in half of its share, but in at most half of its rows: a class that is rarely predicted rightly is one that the
    model does not know. Always in four rows or more, and with a probability below 1e-4 if one label in a hundred were wrong.
    """
    wrong = P.argmax(axis=1) != labels
    quarter = _surest(P)
    K = P.shape[1]
    predicted = P.argmax(axis=1)
    error, sure = float(wrong.mean()), float(wrong[quarter].mean())
    constant_error = 1.0 - float(np.bincount(labels).max()) / len(labels)
    part = _required_part(error, constant_error)
    everywhere = sure >= max(DATA_LIMITS.doubt_quarter, part * error) and _unlikely(
        int(wrong[quarter].sum()), int(quarter.sum()), 1
    )
    classes = [
        (float(wrong[quarter & (predicted == k)].mean()), k) for k in range(K) if (quarter & (predicted == k)).any()
    ]
    share, label = max(classes)
    mine = predicted == label
    bad, count = int(wrong[quarter & mine].sum()), int((quarter & mine).sum())
    needed = max(DATA_LIMITS.doubt_class, DATA_LIMITS.doubt_part_small * float(wrong[mine].mean()))
    here = (
        part < math.inf
        and error <= DATA_LIMITS.doubt_small
        and needed <= share <= DATA_LIMITS.doubt_most
        and _unlikely(bad, count, K)
    )
    return Doubts(in_doubt(P, labels), error, sure, label, share, everywhere or here)


def _required_part(error: float, constant_error: float) -> float:
    """Return the part of the overall disagreement that the most confident predictions must reach; ∞ if it is too large.

    A model that is hardly better than a constant is unsure everywhere, so that its disagreement says nothing.
    """
    if error > DATA_LIMITS.doubt_large * constant_error:
        return math.inf
    return DATA_LIMITS.doubt_part_small if error <= DATA_LIMITS.doubt_small else DATA_LIMITS.doubt_part_large


def _surest(P: Array) -> Array:
    """Return which rows are in the most confident quarter of their predicted class."""
    sure = P.max(axis=1)
    predicted = P.argmax(axis=1)
    chosen = np.zeros(len(P), bool)
    for k in range(P.shape[1]):
        rows = np.flatnonzero(predicted == k)
        chosen[rows[np.argsort(-sure[rows], kind="stable")[: math.ceil(len(rows) / 4)]]] = True
    return chosen


def _unlikely(bad: int, count: int, comparisons: int) -> bool:
    """Check whether `bad` wrong labels are unlikely at a rate of 1 %: binomial tail, times comparisons, below 1e-4."""
    if bad < DATA_LIMITS.doubt_rows:
        return False
    logs = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * math.log(DATA_LIMITS.doubt_rate)
        + (count - k) * math.log(1.0 - DATA_LIMITS.doubt_rate)
        for k in range(bad, count + 1)
    ]  # fmt: skip
    return comparisons * sum(map(math.exp, logs)) < DATA_LIMITS.doubt_chance
