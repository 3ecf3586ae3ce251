"""A thread that reads ahead: while a network is trained on some rows, the next are read, decoded and scaled.

In: an iterator. Out: the same items in the same order, read ahead as far as a limit of bytes allows; its faults too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from chainrule.errors import FormatError

T = TypeVar("T")

_WAIT = 0.2
"""Seconds between checks that the other side is still there."""


class Prefetch(Generic[T]):
    """Items of an iterator, read ahead by a thread that ends with `close`, at the end, and at the first fault.

    Parameters
    ----------
    items : iterator
        What is read; only the thread touches it.
    size_of : callable
        Bytes of an item.
    room : int
        Bytes that may wait; one item always may.
    """

    def __init__(self, items: Iterator[T], size_of: Callable[[T], int], room: int) -> None:
        self._items = items
        self._size_of = size_of
        self._room = room
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._fault: BaseException | None = None
        self._ended = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="chainrule-reader", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for item in self._items:
                size = self._size_of(item)
                with self._changed:
                    while self._waiting and self._bytes + size > self._room and not self._closed:
                        self._changed.wait(_WAIT)
                    if self._closed:
                        return
                    self._waiting.append(item)
                    self._bytes += size
                    self._changed.notify_all()
                del item
        except BaseException as error:
            self._fault = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def get(self) -> T | None:
        """Return the next item, None at the end; raise the fault that ended the reading."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait(_WAIT)
                if not self._thread.is_alive() and not self._ended:
                    raise FormatError("stream: the thread that reads rows must run, got one that ended.")
            if self._waiting:
                item = self._waiting.popleft()
                self._bytes -= self._size_of(item)
                self._changed.notify_all()
                return item
        if self._fault is not None:
            raise self._fault
        return None

    def close(self) -> None:
        """End the thread and forget what waits."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()
        self._thread.join(timeout=60)
