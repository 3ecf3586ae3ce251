"""A thread that ends a process where the others are waited for in vain: one stuck process would hold up all of them.

In: a world, and pieces of work that need all of its processes. Out: an end in time, with the place where it waited.
"""

from __future__ import annotations

import faulthandler
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from chainrule.world.membership import World

EXIT_BROKEN = 75
"""Exit code of a process whose world broke: run the same command again to continue from the checkpoint."""

_PATIENCE = 20
"""Times a usual piece of work that a process waits for the others before it gives up, at most twice the world's least."""

_LEAST_PATIENCE = 3
"""Times the longest piece of work so far that it waits in any case."""

_KEPT = 50
"""Pieces of work whose duration is remembered."""


class Watchdog:
    """A thread that ends the process where the others are waited for in vain: a stuck process holds up all of them.

    Parameters
    ----------
    world : World
        Its processes, and the least time to wait.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._durations: dict[str, list[float]] = {}
        self._now: tuple[float, str] | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, kind: str = "steps") -> Iterator[None]:
        """Watch a piece of work that needs all processes; a fault of another one ends this one.

        Parameters
        ----------
        kind : str, default="steps"
            What is done: pieces of one kind take about equally long, but for the first, which is compiled.

        Yields
        ------
        None
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="chainrule watchdog", daemon=True)
            self._thread.start()
        began = time.monotonic()
        self._now = (began, kind)
        try:
            yield
        except Exception as error:
            if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
                raise
            give_up(self._world, f"a collective failed: {str(error).splitlines()[0][:200]}")
        finally:
            self._now = None
            self._durations[kind] = [*self._durations.get(kind, [])[1 - _KEPT :], time.monotonic() - began]

    def allowed(self, kind: str = "steps") -> float:
        """Return the seconds that a piece of work may take.

        That is the world's least; up to twice as much where pieces of this kind take long, or are compiled; and never less
        than three times the longest.

        Parameters
        ----------
        kind : str, default="steps"
            What is done.

        Returns
        -------
        float
        """
        least = self._world.watchdog
        known = self._durations.get(kind, [])
        if len(known) < 2:
            return 2 * least
        usual = statistics.median(known[1:])
        return max(least, min(_PATIENCE * usual, 2 * least), _LEAST_PATIENCE * max(known[1:]))

    def _watch(self) -> None:
        while True:
            time.sleep(min(1.0, self._world.watchdog / 10))
            now = self._now
            if now is not None and time.monotonic() - now[0] > self.allowed(now[1]):
                faulthandler.dump_traceback(sys.stderr)
                waited = f"{time.monotonic() - now[0]:.0f} s"
                give_up(self._world, f"no progress for {waited}: another rank is stuck or cannot be reached")


def give_up(world: World, why: str) -> NoReturn:
    """End the process at once: JAX's own end would wait for the processes that are gone.

    Parameters
    ----------
    world : World
        Its processes.
    why : str
        What is printed on standard error.
    """
    text = (
        f"rank {world.rank} of {world.processes} ends: {why}. Run the same command again to continue from a checkpoint."
    )
    print(text, file=sys.stderr, flush=True)
    os._exit(EXIT_BROKEN)
