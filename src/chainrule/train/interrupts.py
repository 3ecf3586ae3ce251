"""Ctrl-C as the answer to the question "stop now?", so that what was learned is kept.

In: signals, or another thread's answer. Out: a function that says whether to stop, to be called between two batches.
"""

from __future__ import annotations

import signal
import sys
import threading
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


def _main_thread_interrupted() -> Callable[[], bool]:
    """Return a function that says whether, from now on, an uncaught Ctrl-C has ended what the main thread did.

    Otherwise the process would wait for its other threads until they are done with all epochs.
    """
    before = getattr(sys, "last_value", None)

    def interrupted() -> bool:
        last = getattr(sys, "last_value", None)
        return last is not before and isinstance(last, KeyboardInterrupt)

    return interrupted


@contextmanager
def interruptible(*signals: signal.Signals) -> Iterator[Callable[[], bool]]:
    """Turn the first of these signals into an answer to "stop now?"; the second one acts as usual.

    Within `stopping_when` the answer is the one given there. Otherwise, outside the main thread, where Python delivers no
    signals, it is yes once Ctrl-C has ended the main thread's work.
    """
    elsewhere = _ELSEWHERE.get()
    interrupted = threading.Event()
    if elsewhere is not None or threading.current_thread() is not threading.main_thread():
        yield elsewhere or _main_thread_interrupted()
        return
    usual = {number: signal.getsignal(number) or signal.SIG_DFL for number in signals}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def interrupt(number: int, frame: Any) -> None:
        interrupted.set()
        restore()

    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield interrupted.is_set
    finally:
        restore()
