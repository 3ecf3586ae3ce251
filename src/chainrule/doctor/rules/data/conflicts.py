"""Check whether rows with equal inputs have different labels more often than the noise of the data explains.

In: rows and classes; at most 2000 rows go into a fast model. Out: a finding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.observe.quick_models import FOLDS, Folds, one_hot, random_features, shares, standardized
from chainrule.doctor.rules.data.labels import class_codes
from chainrule.doctor.rules.data.splits import row_hashes
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, Trace
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.doctor.vocabulary.wording import percent
from chainrule.random import Purpose, Stream
from chainrule.train.problem import TrainingProblem


@dataclass(frozen=True)
class Disagreement:
    """How often two rows with equal inputs differ in their labels, and how often noise alone lets them, at most.

    `groups` is the number of groups of equal rows. `chance` bounds the probability of at least as much by noise.
    """

    groups: int
    seen: float
    expected: float
    chance: float


def label_conflict(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for equal inputs with different labels: no network can get all of them right.

    Reported from 1 % of the rows. A warning only if noise does not explain them: equal rows disagree more than a fast model
    predicts (see `disagreement`), with a probability below 1e-3, and the excess is 1 % of the rows. Otherwise information:
    inputs with few different values repeat naturally, and noise gives them different labels.
    """
    codes = class_codes(problem, problem.rows)
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
    if share < DATA_LIMITS.conflict_share:
        return None
    take = _whole_groups(group)
    found = disagreement(X[take], codes[take], group[take], max(2, problem.recipe.net.outputs))
    beyond = share * max(0.0, 1.0 - found.expected / found.seen) if found.seen > 0 else 0.0
    clear = beyond >= DATA_LIMITS.conflict_share and found.chance < DATA_LIMITS.conflict_unlikely
    conflict = np.flatnonzero(mixed)
    return make_finding(
        "label-conflict",
        "warning" if clear else "info",
        f"{percent(share)} of the rows have the same inputs as a row with another label",
        meaning="Equal inputs always get the same prediction, so some of these rows stay wrong.",
        measured=f"{int(mixed.sum())} rows in {int((lowest != highest).sum())} groups, such as {conflict[:4].tolist()}; "
        f"two equal rows disagree in {percent(found.seen)} of the cases, by noise alone in {percent(found.expected)}",
        usual="one label for equal inputs, or no more disagreement than noise explains",
        fix=Fix(
            "Check these rows and correct their labels.", code=f"X[{conflict[:4].tolist()}]", remedy="drop-bad-rows"
        ),
        share=share,
        rows=int(mixed.sum()),
        beyond=beyond,
    )


def disagreement(X: Array, codes: Array, group: Array, K: int) -> Disagreement:
    """Compare how often equal rows disagree with what noise predicts.

    Noise draws the label of each row by itself, with probabilities p that depend on the inputs alone. A fast model predicts
    them for rows whose whole group it has not seen.

    Forward    (1) d = 1 - Σₖ cₖ (cₖ - 1) / (m (m - 1)), pairs of a group of m rows that disagree, with cₖ rows of class k
               (2) u = 1 - Σₖ pₖ², the same by noise    (3) E |y - p|² = u + E |p - true p|², y one-hot

    By (3) the squared error of the model exceeds its own u by no less than u is too low; this difference over all rows, with
    two standard errors, is added. A group counts once, however many its pairs.
    """
    P = _predictions(X, codes, group, K)
    own = 1.0 - (P * P).sum(axis=1)  # (2)
    beyond = ((one_hot(codes, K) - P) ** 2).sum(axis=1) - own  # (3)
    low = max(0.0, float(beyond.mean()) + USUAL.clear_errors * float(beyond.std()) / math.sqrt(len(beyond)))
    _, rank, m = np.unique(group, return_inverse=True, return_counts=True)
    c = np.zeros((len(m), K))
    np.add.at(c, (rank, codes), 1.0)
    again = m > 1
    if not again.any():
        return Disagreement(0, 0.0, 1.0, 1.0)
    d = 1.0 - (c * (c - 1.0)).sum(axis=1)[again] / (m * (m - 1.0))[again]  # (1)
    u = (np.bincount(rank, own) / m)[again]
    seen, expected = float(d.mean()), min(1.0, float(u.mean()) + low)
    return Disagreement(len(d), seen, expected, _bound(seen, expected, len(d)))


def _bound(a: float, u: float, g: int) -> float:
    """Bound the probability that g independent numbers in [0, 1] with mean u have a mean of at least a.

    Forward    (1) P <= exp(-g (a log(a / u) + (1 - a) log((1 - a) / (1 - u))))
    Reference  [hoeffding1963]
    """
    if a <= u:
        return 1.0
    ends = (1.0 - a) * math.log((1.0 - a) / (1.0 - u)) if a < 1.0 else 0.0
    return math.exp(-g * (a * math.log(a / max(u, 1e-12)) + ends))  # (1)


def _predictions(X: Array, codes: Array, group: Array, K: int) -> Array:
    """Return class probabilities (n, K) by a fast model that has not seen the group, or by a constant if that is better."""
    Y = one_hot(codes, K)
    constant = np.broadcast_to(Y.mean(axis=0), Y.shape)
    if not np.isfinite(X).all() or len(X) < DATA_LIMITS.label_rows or max(20, len(X) / 10) < K:
        return constant
    part = _shuffle(int(group.max()) + 1)[group] % FOLDS
    if len(np.unique(part)) < FOLDS:
        return constant
    P = shares(Folds(random_features(standardized(X)), part).predict(Y))
    return P if ((P - Y) ** 2).sum() < ((constant - Y) ** 2).sum() else constant


def _whole_groups(group: Array) -> Array:
    """Return up to 2000 rows: all rows of groups that are drawn at random."""
    order = _shuffle(int(group.max()) + 1)
    return np.argsort(order[group], kind="stable")[: DATA_LIMITS.fast_rows]


def _shuffle(n: int) -> Array:
    return Stream.from_seed(0).fold(Purpose.SHUFFLE, *b"conflicts").permutation(np, n)
