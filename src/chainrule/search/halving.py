"""Successive halving: short rungs stop poor trials early, on which a search would otherwise spend most of its time.

In: trials with the scores of their rungs. Out: the ends of the rungs, and which trial continues.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chainrule.search.results import Trial, rank

FACTOR = 3
"""One trial in `FACTOR` continues from each rung and trains `FACTOR` times as long."""

_MOST_RUNGS = 4


def rung_ends(epochs: int) -> tuple[int, ...]:
    """Return the epochs at the end of each rung: the last is the full training, each earlier one a third of the next.

    >>> rung_ends(100), rung_ends(2)
    ((4, 12, 34, 100), (1, 2))
    """
    ends = [-(-epochs // FACTOR**k) for k in range(_MOST_RUNGS)]
    return tuple(sorted(set(ends)))


def promoted(trials: Sequence[Trial], rungs: int, busy: Collection[int], metric: str) -> Trial | None:
    """Return the trial to continue now, from the highest rung where one is due; None if none is.

    At each rung the best third of the trials that have reached it may continue, however few have, without waiting for
    the others.

    Reference  [li2020]
    """
    for k in reversed(range(rungs - 1)):
        reached = sorted((t for t in trials if len(t.rungs) > k), key=lambda t: rank(t, metric, k))
        for trial in reached[: len(reached) // FACTOR]:
            if trial.state == "running" and len(trial.rungs) == k + 1 and trial.number not in busy:
                return trial
    return None


def last_hope(trials: Sequence[Trial], busy: Collection[int], metric: str) -> Trial | None:
    """Return the best trial of the highest rung, to continue if no trial is complete and none is due."""
    if any(trial.state == "complete" for trial in trials):
        return None
    waiting = [t for t in trials if t.state == "running" and t.rungs and t.number not in busy]
    return min(waiting, key=lambda t: (-len(t.rungs), rank(t, metric)), default=None)
