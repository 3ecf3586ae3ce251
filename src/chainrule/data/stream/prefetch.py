"""A thread that reads ahead: while a network is trained on some rows, the next are read, decoded and scaled.

In: an iterator. Out: the same items in the same order, as many ahead as there are places for them; its faults too.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from chainrule.errors import FormatError

T = TypeVar("T")

_WAIT = 0.2
"""Seconds between checks that the other side is still there."""


class Prefetch(Generic[T]):
    """Items of an iterator, read ahead by a thread that ends with `close`, at the end, and at the first fault.

    An item may occupy memory that is used again: the thread begins an item only when fewer than `places` are in use, and an
    item is in use until `free` is called for it.

    Parameters
    ----------
    items : iterator
        What is read; only the thread touches it.
    places : int
        Items that may be in use at one time.
    """

    def __init__(self, items: Iterator[T], places: int) -> None:
        self._items = items
        self._free = places
        self._waiting: deque[T] = deque()
        self._fault: BaseException | None = None
        self._ended = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="chainrule-reader", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while self._place():
                item = next(self._items)
                with self._changed:
                    self._waiting.append(item)
                    self._changed.notify_all()
                del item
        except StopIteration:
            pass
        except BaseException as error:
            self._fault = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _place(self) -> bool:
        """Wait for a place and take it; return False where nothing more is wanted."""
        with self._changed:
            while not self._free and not self._closed:
                self._changed.wait(_WAIT)
            self._free -= 1
            return not self._closed

    def get(self) -> T | None:
        """Return the next item, None at the end; raise the fault that ended the reading."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait(_WAIT)
                if not self._thread.is_alive() and not self._ended:
                    raise FormatError("stream: the thread that reads rows must run, got one that ended.")
            if self._waiting:
                return self._waiting.popleft()
        if self._fault is not None:
            raise self._fault
        return None

    def free(self) -> None:
        """Give back the place of the oldest item in use."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread and forget what waits."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(timeout=60)
