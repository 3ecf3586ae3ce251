"""The same search on many machines: a Ray cluster trains the rungs, and repeats those of a lost machine.

In: `RungTask`. Out: `RungResult`. The search's folder must be visible to every machine, and every machine must have the
same versions of Python, Ray and this package. Connect with `chainrule.cluster.attach` first.
"""

from __future__ import annotations

import os
from dataclasses import replace

from chainrule.cluster import Tasks
from chainrule.search.rungs import ProblemCache, RungResult, RungTask, SearchData, perform

_CACHES: dict[str, ProblemCache] = {}
"""Rows that this process, one of Ray's workers, has scaled and encoded."""


class RayExecutor:
    """Ray tasks of one core each. The cluster keeps running afterwards."""

    def __init__(self, data: SearchData, slots: int) -> None:
        self.slots = slots
        self._tasks = Tasks("search", _perform, data)
        self._live: dict[str, RungTask] = {}

    def submit(self, task: RungTask) -> None:
        """Submit a task and return at once; workers have a working folder of their own."""
        task = replace(task, folder=os.path.abspath(task.folder))
        self._live[task.name] = task
        self._tasks.submit(task.name, task)

    def wait(self, timeout: float) -> tuple[RungResult, ...]:
        """Return the results so far; wait at most `timeout` seconds for the first.

        Raises `ChainruleError` where the cluster has ended.
        """
        return tuple(self._result(*each) for each in self._tasks.wait(timeout))

    def _result(self, name: str, result: RungResult | Exception) -> RungResult:
        task = self._live.pop(name)
        return RungResult(name, task.end, fault=str(result)) if isinstance(result, Exception) else result

    def close(self) -> None:
        """Cancel running tasks; their rungs resume from the last snapshot when submitted again."""
        self._tasks.close()
        self._live.clear()


def _perform(data: SearchData, task: RungTask) -> RungResult:
    """Do one rung in one of Ray's workers, which keeps the scaled rows for the next."""
    if data.digest not in _CACHES:
        _CACHES.clear()
        _CACHES[data.digest] = ProblemCache(data)
    return perform(_CACHES[data.digest], task)
