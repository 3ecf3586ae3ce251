"""Why: most of a search's time goes to trials that a short look would have ended; a few rungs take that look.

In: trials with the scores of their rungs. Out: the ends of the rungs, and which trial goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chainrule.search.results import Trial, rank

FACTOR = 3
"""One trial of so many goes on from each rung, and trains so many times as long."""

_MOST_RUNGS = 4


def rung_ends(epochs: int) -> tuple[int, ...]:
    """Epochs at the end of each rung: the last is the whole course, each one before a third of the next.

    >>> rung_ends(100), rung_ends(2)
    ((4, 12, 34, 100), (1, 2))
    """
    ends = [-(-epochs // FACTOR**k) for k in range(_MOST_RUNGS)]
    return tuple(sorted(set(ends)))


def promoted(trials: Sequence[Trial], rungs: int, busy: Collection[int], metric: str) -> Trial | None:
    """The trial that goes on now, from the highest rung where one is due; None where none is.

    At each rung the best third of the trials that have reached it may go on, however few have: nobody waits for the others.

    Reference  [li2020]
    """
    for k in reversed(range(rungs - 1)):
        reached = sorted((t for t in trials if len(t.rungs) > k), key=lambda t: rank(t, metric, k))
        for trial in reached[: len(reached) // FACTOR]:
            if trial.state == "running" and len(trial.rungs) == k + 1 and trial.number not in busy:
                return trial
    return None


def last_hope(trials: Sequence[Trial], busy: Collection[int], metric: str) -> Trial | None:
    """The best trial of the highest rung, to go on where no trial is complete and none is due."""
    if any(trial.state == "complete" for trial in trials):
        return None
    waiting = [t for t in trials if t.state == "running" and t.rungs and t.number not in busy]
    return min(waiting, key=lambda t: (-len(t.rungs), rank(t, metric)), default=None)
