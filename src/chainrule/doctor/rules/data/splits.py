"""Check that held-out rows had no part in the training, neither directly nor through the scaling.

In: training, validation and test rows. Out: findings about rows in two parts and statistics over both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.rules.finding import make_finding
from chainrule.doctor.vocabulary.data_limits import DATA_LIMITS
from chainrule.doctor.vocabulary.records import Finding, Fix, NotApplicable, Trace
from chainrule.doctor.vocabulary.wording import percent
from chainrule.pipeline.option_names import FIT
from chainrule.random import Stream
from chainrule.train.problem import TrainingProblem

_ENTRIES = 20_000_000
"""Most entries over which the scale of the columns is computed; of larger data the first rows are used."""


def duplicate_rows_across_split(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for held-out rows that are training rows too, up to 1e-5 of each column's spread.

    Rows with few different values repeat by chance, training rows among themselves as well: a held-out share below three
    times theirs is not reported, unless it is higher by a fifth of the rows and six standard errors, nor a number that such
    repeats reach more often than once in a thousand times. But if rows
    of a table were copied before the split, training rows repeat as often. Copies come in twos, while rows that are alike by
    chance come in threes and more, too (see `_in_twos`). Fewer than two rows, or less than 1 %, are information only.
    """
    found_in = [
        (name, rows) for name, rows in (("validation", problem.validation), ("test", problem.test)) if rows is not None
    ]
    if not found_in:
        raise NotApplicable("needs held-out rows")
    scale = _scale(problem.rows.X)
    own = row_hashes(problem.rows.X, scale)
    _, counts = np.unique(own, return_counts=True)
    chance = 1.0 - float((counts == 1).sum()) / len(own)
    for name, rows in found_in:
        hashes = row_hashes(rows.X, scale)
        repeated = np.isin(hashes, own)
        beyond = _beyond_chance(repeated, chance)
        if beyond or (repeated.any() and _in_twos(np.concatenate([own, hashes]))):
            return _repeats(name, repeated, chance, beyond, problem.interface)
    return None


def _beyond_chance(repeated: Array, chance: float) -> bool:
    """Check whether more held-out rows (m) are training rows than chance makes, a share for each row."""
    share = float(repeated.mean())
    error = math.sqrt(chance * (1.0 - chance) / len(repeated))
    if share - chance > max(DATA_LIMITS.repeats_excess, DATA_LIMITS.repeats_errors * error):
        return True
    unlikely = _tail(int(repeated.sum()), chance * len(repeated)) < DATA_LIMITS.repeats_unlikely
    return share > DATA_LIMITS.repeats_by_chance * chance and unlikely


_WITHOUT_COPIES = "rows = np.sort(np.unique(X, axis=0, return_index=True)[1]); X, y = X[rows], y[rows]"


def _without_taken(name: str) -> str:
    X, y = ("X_val", "y_val") if name == "validation" else ("X_test", "y_test")
    seen = "seen = {row.tobytes() for row in X}"
    return f"{seen}; new = [row.tobytes() not in seen for row in {X}]; {X}, {y} = {X}[new], {y}[new]"


def _in_twos(hashes: Array) -> bool:
    """Check whether rows that repeat do so in twos far more than chance allows.

    Forward    (1) 1 - exp(-r) = share of the rows that repeat, with r other rows like a row on average
               (2) t = n (1 - exp(-r) (1 + r)), rows with two others like them, if every row is as likely
               (3) such rows: as few as a number with the mean t / 3 is less than once in a thousand times

    Where some rows are likelier than others, more rows have two others like them than (2) says, as -u log u is concave.
    """
    _, counts = np.unique(hashes, return_counts=True)
    n = len(hashes)
    alone = max(float((counts == 1).sum()), 0.5) / n
    if alone == 1.0:
        return False
    r = -math.log(alone)  # (1)
    expected = n * (1.0 - alone * (1.0 + r))  # (2)
    return 1.0 - _tail(int(counts[counts > 2].sum()) // 3 + 1, expected / 3.0) < DATA_LIMITS.repeats_unlikely  # (3)


def _tail(count: int, expected: float) -> float:
    """Return the probability of at least `count` events where a number is expected (Poisson).

    >>> round(_tail(2, 0.45), 3), _tail(1, 0.0)
    (0.075, 0.0)
    """
    term = math.exp(-expected)
    below = 0.0
    for k in range(count):
        below += term
        term *= expected / (k + 1)
    return max(0.0, 1.0 - below)


def _repeats(name: str, repeated: Array, chance: float, taken: bool, interface: str) -> Finding:
    """Report held-out rows that are training rows: copied before a split, or `taken` if training rows repeat less.

    Callers of `fit` have split the rows themselves, so that copies must go from both parts.
    """
    code = _without_taken(name)
    if not taken:
        code = f"{_WITHOUT_COPIES}; {code}" if interface == FIT else _WITHOUT_COPIES
    share = float(repeated.mean())
    few = repeated.sum() < 2 or share < DATA_LIMITS.repeats_few
    return make_finding(
        "duplicate-rows-across-split",
        "info" if few else "critical" if share > DATA_LIMITS.repeats_critical else "warning",
        f"{percent(share)} of the {name} rows are also training rows",
        meaning="Scores on training rows say nothing about new rows.",
        measured=f"{int(repeated.sum())} of {len(repeated)} rows, the first is row {int(np.argmax(repeated))}; "
        f"{percent(chance)} of the training rows repeat each other",
        usual="none",
        fix=Fix(
            f"Drop the {name} rows that are training rows." if taken else "Drop repeated rows before splitting.",
            code=code,
        ),
        share=share,
        rows=int(repeated.sum()),
        by_chance=chance,
    )


def statistics_leakage(problem: TrainingProblem, trace: Trace | None) -> Finding | None:
    """Check for inputs that were scaled with statistics of the held-out rows.

    All rows together (training with validation, test, or both) have exactly mean 0 and standard deviation 1, or exactly the
    range [0, 1], while the training rows alone do not.
    """
    others = [Moments.of(rows.X) for rows in (problem.validation, problem.test) if rows is not None]
    if not others:
        raise NotApplicable("needs held-out rows")
    training = Moments.of(problem.rows.X)
    unions = [
        reduce(Moments.join, chosen, training) for k in range(len(others)) for chosen in combinations(others, k + 1)
    ]
    for together in unions:
        for kind, measure in (("standardized", _off_standard), ("scaled to [0, 1]", _off_unit)):
            own, joint = measure(training), measure(together)
            if joint < DATA_LIMITS.leak_together and own > max(DATA_LIMITS.leak_alone, DATA_LIMITS.leak_ratio * joint):
                return _leak(kind, joint, own)
    return None


def _leak(kind: str, joint: float, own: float) -> Finding:
    return make_finding(
        "statistics-leakage",
        "warning",
        "The scaling was fitted on held-out rows too",
        meaning="The scaling has seen the rows that stand for new data, so their score is slightly too good.",
        measured=f"all rows together are {kind} up to {joint:.0e}, the training rows alone up to {own:.1g}",
        usual="a scaling fitted on training rows only",
        fix=Fix("Split first, then fit the scaling on the training rows.", code="scaling = Standardizer.fit(X_train)"),
        together=joint,
        training=own,
    )


@dataclass(frozen=True, eq=False)
class Moments:
    """Number of rows n, and for each column its mean, sum of squared deviations, lowest and highest value; float64."""

    n: int
    mean: Array
    squares: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, X: Array) -> Moments:
        """Compute the moments of rows (n, d) in blocks, so that a large float32 array needs no float64 copy."""
        return reduce(cls.join, (cls._block(X[i : i + 4096].astype(np.float64)) for i in range(0, len(X), 4096)))

    @classmethod
    def _block(cls, X: Array) -> Moments:
        mean = X.mean(axis=0)
        return cls(len(X), mean, ((X - mean) ** 2).sum(axis=0), X.min(axis=0), X.max(axis=0))

    def join(self, other: Moments) -> Moments:
        """Return the moments of both parts together.

        Forward    (1) δ = m₂ - m₁    (2) m = m₁ + δ n₂ / n    (3) S = S₁ + S₂ + δ² n₁ n₂ / n
        Reference  [chan1983]
        """
        n = self.n + other.n
        delta = other.mean - self.mean  # (1)
        mean = self.mean + delta * other.n / n  # (2)
        squares = self.squares + other.squares + delta**2 * self.n * other.n / n  # (3)
        return Moments(n, mean, squares, np.minimum(self.low, other.low), np.maximum(self.high, other.high))


def row_hashes(X: Array, scale: Array) -> Array:
    """Return a 64-bit number for each row, the same for rows that are equal up to 1e-5 of the columns' scale.

    Forward    (1) qⱼ = round(1e5 xⱼ / scaleⱼ)    (2) h = Σⱼ aⱼ qⱼ mod 2⁶⁴, with random odd aⱼ
    """
    n, d = X.shape
    words = Stream.from_seed(0).fold(*b"rows").words(np, 2 * d).astype(np.uint64)
    a = (words[:d] << np.uint64(32)) | words[d:] | np.uint64(1)
    h = np.empty(n, np.uint64)
    with np.errstate(all="ignore"):
        for start in range(0, n, 4096):
            block = slice(start, start + 4096)
            q = np.rint(np.nan_to_num(1e5 * (X[block] / scale))).clip(-9e15, 9e15).astype(np.int64)  # (1)
            h[block] = (q.view(np.uint64) * a).sum(axis=1, dtype=np.uint64)  # (2)
    return h


def _scale(X: Array) -> Array:
    spread = X[: max(1, _ENTRIES // X.shape[1])].std(axis=0, dtype=np.float64)
    return np.where(spread > 0, spread, 1.0)


def _off_standard(rows: Moments) -> float:
    """Return the median distance of the columns that vary from mean 0 and deviation 1 (over n or n - 1)."""
    s = np.sqrt(rows.squares / rows.n)
    n = rows.n
    vary = s > 1e-6
    if n < 10 or not vary.any():
        return np.inf
    off = np.minimum(np.abs(s - 1.0), np.abs(s * np.sqrt(n / (n - 1)) - 1.0))
    return float(np.median(np.maximum(np.abs(rows.mean), off)[vary]))


def _off_unit(rows: Moments) -> float:
    """Return the mean distance of the ends of the columns that vary from 0 and 1."""
    vary = rows.high > rows.low
    if rows.n < 10 or vary.sum() < 2:
        return np.inf
    return float(np.maximum(np.abs(rows.low), np.abs(rows.high - 1.0))[vary].astype(np.float64).mean())
