"""Ctrl-C as the answer to the question "stop now?", so that what was learned is kept.

In: signals, or another thread's answer. Out: a function that says whether to stop, to be called between two batches.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_ELSEWHERE: ContextVar[Callable[[], bool] | None] = ContextVar("elsewhere", default=None)
"""What answers "stop now?" for the runs of this thread, where it is not the main thread's signals."""


@contextmanager
def stopping_when(stop: Callable[[], bool]) -> Iterator[None]:
    """Have the runs of this thread ask `stop` whether to stop, and leave signals alone, within this context."""
    token = _ELSEWHERE.set(stop)
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


class _Elsewhere:
    """Runs of other threads than the main one, which end when the process does: Ctrl-C reaches the main thread only."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self.runs: set[threading.Event] = set()

    def end(self) -> None:
        """End the runs between two batches, so that they are saved, as the process exits."""
        self.ending.set()
        until = time.monotonic() + _AT_EXIT
        for ended in list(self.runs):
            ended.wait(max(0.0, until - time.monotonic()))

    @contextmanager
    def run(self) -> Iterator[Callable[[], bool]]:
        """Yield a function that says whether to stop: the process exits, or an uncaught Ctrl-C ended the main thread's work.

        In the second case Python would otherwise wait until the run is done with all epochs.
        """
        before = getattr(sys, "last_value", None)
        ended = threading.Event()

        def interrupted() -> bool:
            last = getattr(sys, "last_value", None)
            return self.ending.is_set() or (last is not before and isinstance(last, KeyboardInterrupt))

        self.runs.add(ended)
        try:
            yield interrupted
        finally:
            self.runs.discard(ended)
            ended.set()


_AT_EXIT = 4.0
"""Seconds that a process which exits waits for runs in other threads."""

_OTHERS = _Elsewhere()
atexit.register(_OTHERS.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_OTHERS.runs.clear)  # a forked child has none of these threads


@contextmanager
def interruptible(*signals: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Turn the first of these signals into an answer to "stop now?"; the second one acts as usual.

    Within `stopping_when` the answer is the one given there. Otherwise, outside the main thread, where Python delivers no
    signals, it is yes once Ctrl-C has ended the main thread's work, or the process exits.
    """
    elsewhere = _ELSEWHERE.get()
    if elsewhere is not None:
        yield elsewhere
        return
    if threading.current_thread() is not threading.main_thread():
        with _OTHERS.run() as ended:
            yield ended
        return
    usual = {number: signal.getsignal(number) or signal.SIG_DFL for number in signals}
    received: list[int] = []

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: Any) -> None:
        received.append(number)
        restore()

    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield lambda: bool(received)
    finally:
        restore()
