"""The runs of one training, numbered, so that a stop means the runs that were asked for before it.

A page sends its run and its stop over two connections, so the stop may arrive first, or before the run's thread has
started. Its number says what it means in either case.

In: numbers of a page. Out: whether a run is to stop; a wait that a stop ends.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class RunRequest:
    """What a page asks for when it trains.

    Parameters
    ----------
    number : int
        The run's number.
    steps : int
        The most steps.
    watched : bool, default=True
        Whether frames are drawn meanwhile; otherwise the last one alone is sent.
    pace : float, default=0.0
        The least seconds of an epoch, so that each of a small network can be seen.
    """

    number: int
    steps: int
    watched: bool = True
    pace: float = 0.0


class Runs:
    """Which runs were begun, and up to which one they are stopped."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._last = 0
        self._stopped: float = 0

    def begin(self, number: int | None = None) -> int:
        """Return the number of a run that begins: the page's own, or the next one.

        Parameters
        ----------
        number : int, default=None
            The page's own number.

        Returns
        -------
        int
        """
        with self._change:
            found = self._last + 1 if number is None else number
            self._last = max(self._last, found)
            return found

    def stop(self, number: int | None = None) -> None:
        """Stop a run and all before it, whether they have begun or not.

        Parameters
        ----------
        number : int, default=None
            The run; None means all that have begun.
        """
        with self._change:
            self._stopped = max(self._stopped, self._last if number is None else number)
            self._change.notify_all()

    def end(self) -> None:
        """Stop all runs, those to come as well."""
        with self._change:
            self._stopped = math.inf
            self._change.notify_all()

    def stopped(self, number: int) -> bool:
        """Check whether a run is to stop."""
        return number <= self._stopped

    def wait(self, number: int, until: float) -> None:
        """Wait for a time of `time.perf_counter`, or until the run is to stop."""
        with self._change:
            while not self.stopped(number) and (left := until - time.perf_counter()) > 0:
                self._change.wait(left)
