"""Several networks trained side by side on the machine's cores: together they predict better than one, for little more time.

In: calls that each train one network. Out: their results, in order; the mean and the spread of predictions.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from chainrule.arrays import Array
from chainrule.constraints import COUNT
from chainrule.engines.native import extension
from chainrule.errors import InvalidValueError, must_be
from chainrule.train.interrupts import interruptible, stopping_when

T = TypeVar("T")

_POLL, _SOON = 0.05, 0.0002
"""Seconds between two checks: of threads that work, so that Ctrl-C is noticed on every system; of threads about to end."""


def train_together(
    calls: Sequence[Callable[[], T]],
    workers: int | None = None,
    signals: Sequence[signal.Signals] = (signal.SIGINT,),
) -> list[T]:
    """Run calls at the same time on threads and return their results in order.

    The compiled engine holds no lock while it computes; the reference engine, which is Python, gains less. Ctrl-C, or
    another of the `signals`, ends every run of `chainrule.train` in the calls between two batches, and keeps what was
    learned, as in a single run. No further call begins, so that only the results of the first calls are returned. A
    second Ctrl-C is raised once the threads have ended.

    Reference  [hansen1990], [lakshminarayanan2017] for what several networks are good for

    Parameters
    ----------
    calls : sequence of callables
        Functions without arguments, each of which trains one network.
    workers : int, default=None
        Number of threads. None takes as many as the machine's cores and OpenMP's limit allow, at most one for each
        call; each call then computes with its share of the cores, mostly one.
    signals : sequence of signals, default=(SIGINT,)
        Signals that end the training.

    Returns
    -------
    list
        The results of the calls, in their order.

    Raises
    ------
    InvalidValueError
        For fewer than one worker.
    Exception
        The first error of a call, with a note of the call's number. It ends the runs of the others.

    Examples
    --------
    >>> train_together([lambda: "first", lambda: "second"])
    ['first', 'second']
    """
    if workers is not None and not COUNT.allows(workers):
        raise InvalidValueError(must_be("train_together", "workers", f"{COUNT} or None", workers))
    count = min(len(calls), workers or cores())
    with interruptible(*signals) as asked:
        work = _Work(iter(enumerate(calls)), asked)
        if count <= 1:
            work.take()
        else:
            _share(work, count)
    if work.failed:
        raise work.failed[0]
    if calls and not work.done:
        raise KeyboardInterrupt
    return [work.done[i] for i in sorted(work.done)]


def cores() -> int:
    """Return how many threads may compute at the same time: this process's cores, within OpenMP's limit.

    Returns
    -------
    int

    Examples
    --------
    >>> cores() >= 1
    True
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    module = extension()
    return usable if module is None else max(1, min(usable, int(module.allowed_threads())))


class _Work(Generic[T]):
    """Calls that threads take one after the other until `asked` returns True, and their results."""

    def __init__(self, calls: Iterator[tuple[int, Callable[[], T]]], asked: Callable[[], bool]) -> None:
        self.calls = calls
        self.asked = asked
        self.done: dict[int, T] = {}
        self.failed: list[BaseException] = []
        self.taking = threading.Lock()

    def over(self) -> bool:
        """Return True if runs must end and no call may begin."""
        return bool(self.failed) or self.asked()

    def take(self) -> None:
        """Run calls until none are left or all must end."""
        try:
            with stopping_when(self.over):
                while not self.over() and (taken := self._next()):
                    self.done[taken[0]] = _numbered(*taken)
        except BaseException as error:
            self.failed.append(error)

    def _next(self) -> tuple[int, Callable[[], T]] | None:
        with self.taking:
            return next(self.calls, None)


def _numbered(number: int, call: Callable[[], T]) -> T:
    """Run a call; add its number to an error as a note."""
    try:
        return call()
    except Exception as error:
        error.add_note(f"Raised by network {number}.")
        raise


def _share(work: _Work[Any], count: int) -> None:
    """Run the work on `count` threads and wait for them; a second Ctrl-C counts as a failure, which ends them."""
    ended, share = SimpleQueue[None](), max(1, cores() // count)

    def take() -> None:
        try:
            threadpool_limits(share, user_api="openmp")  # OpenMP's limit is one of each thread
            work.take()
        finally:
            ended.put(None)

    threads, running = [threading.Thread(target=take, daemon=True) for _ in range(count)], count
    with threadpool_limits(1, user_api="blas"):
        try:
            for thread in threads:
                thread.start()
            while running:
                with suppress(Empty):
                    ended.get(timeout=_POLL)
                    running -= 1
        except BaseException as error:
            work.failed.insert(0, error)
        while any(thread.is_alive() for thread in threads):  # in 3.11 an interrupted join takes a thread for dead
            time.sleep(_SOON)


def average(predictions: Sequence[Array], weights: Sequence[float] | None = None) -> Array:
    """Average the predictions of several networks: the mean of probabilities is a probability.

    Equations  (1) ā = Σᵢ wᵢ aᵢ / Σᵢ wᵢ

    Reference  [hansen1990]

    Parameters
    ----------
    predictions : sequence of arrays of one shape
        The predictions of each network.
    weights : sequence of float, default=None
        Weight of each network; None weighs all alike.

    Returns
    -------
    array of the shape of one prediction

    Raises
    ------
    InvalidValueError
        For no predictions, or predictions of different shapes.

    Examples
    --------
    >>> average([np.array([0.2, 0.8]), np.array([0.6, 0.4])]).tolist()
    [0.4, 0.6000000000000001]
    """
    mean: Array = np.average(_stacked(predictions), axis=0, weights=weights)  # (1)
    return mean


def spread(predictions: Sequence[Array]) -> Array:
    """Return the standard deviation of the networks' predictions: where they disagree, they are uncertain.

    Reference  [lakshminarayanan2017]

    Parameters
    ----------
    predictions : sequence of arrays of one shape
        The predictions of each network.

    Returns
    -------
    array of the shape of one prediction

    Examples
    --------
    >>> spread([np.array([1.0, 5.0]), np.array([3.0, 5.0])]).tolist()
    [1.0, 0.0]
    """
    deviation: Array = np.std(_stacked(predictions), axis=0)
    return deviation


def _stacked(predictions: Sequence[Array]) -> Array:
    shapes = {np.shape(answer) for answer in predictions}
    if len(shapes) != 1:
        raise InvalidValueError(must_be("average", "predictions", "arrays of one shape, at least one", sorted(shapes)))
    return np.stack(predictions)
