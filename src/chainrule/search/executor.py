"""Executors, which train rungs for a search: processes on this machine or a cluster, behind the same two calls.

In: `RungTask` by `submit`. Out: `RungResult` by `wait`, one for each task submitted, in the order in which they finish.
"""

from __future__ import annotations

import pickle
import queue
import subprocess
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Protocol

from chainrule.errors import ChainruleError
from chainrule.processes import end, receive, send, start
from chainrule.search.rungs import RungResult, RungTask, SearchData

MOST_DEATHS = 5
"""Workers that may die at one rung before it is abandoned: the rung itself kills them, perhaps by its memory."""

_MOST_LATER = 100
"""Workers that may die in a row in one slot, if some have worked before."""


class Executor(Protocol):
    """Something that trains rungs."""

    @property
    def slots(self) -> int:
        """Number of rungs trained at a time."""

    def submit(self, task: RungTask) -> None:
        """Submit a task and return at once."""

    def wait(self, timeout: float) -> tuple[RungResult, ...]:
        """Return the results so far; wait at most `timeout` seconds for the first."""

    def close(self) -> None:
        """Stop running tasks, save what can be saved, and release the workers."""


class ProcessExecutor:
    """Long-lived processes on this machine, one thread each. If one dies, another repeats its rung."""

    def __init__(self, data: SearchData, slots: int) -> None:
        self.slots = slots
        self._data = data
        self._closed = False
        self._proven = False
        self._tasks: queue.SimpleQueue[RungTask | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[RungResult | Exception] = queue.SimpleQueue()
        self._deaths: Counter[str] = Counter()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [threading.Thread(target=self._serve, args=(i,), daemon=True) for i in range(slots)]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that are alive."""
        return tuple(process.pid for process in list(self._processes.values()) if process.poll() is None)

    def submit(self, task: RungTask) -> None:
        """Submit a task and return at once."""
        self._tasks.put(task)

    def wait(self, timeout: float) -> tuple[RungResult, ...]:
        """Return the results so far; wait at most `timeout` seconds for the first.

        Raises `ChainruleError` if workers repeatedly die before they have done anything.
        """
        results: list[RungResult] = []
        with suppress(queue.Empty):
            results.append(_result_or_raise(self._done.get(timeout=timeout)))
            while True:
                results.append(_result_or_raise(self._done.get_nowait()))
        return tuple(results)

    def close(self) -> None:
        """Ask every worker to end between two batches and save its run; kill those that do not within three seconds."""
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        processes = list(self._processes.values())
        for process in processes:
            with suppress(OSError):
                process.terminate()
        until = time.monotonic() + 3.0
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(until - time.monotonic(), 0.01))
            process.kill()
        for thread in self._threads:
            thread.join(1.0)

    def _serve(self, i: int) -> None:
        """Run slot i; an error there is raised where results are waited for."""
        try:
            self._fill(i)
        except Exception as error:
            self._done.put(error)

    def _fill(self, i: int) -> None:
        """Run one worker after another in slot i until there are no more tasks."""
        deaths = 0
        while not self._closed and deaths < (_MOST_LATER if self._proven else MOST_DEATHS):
            process = self._processes[i] = start_worker()
            deaths = 0 if self._run_tasks(process) else deaths + 1
        if not self._closed:
            fault = f"search: {deaths} workers died before they finished any task."
            self._done.put(ChainruleError(f"{fault} See their output above; the machine may have too little memory."))

    def _run_tasks(self, process: subprocess.Popen[bytes]) -> bool:
        """Send the data, then tasks, each for a result, until the worker or the tasks end; return whether any was done."""
        task: RungTask | None = None
        done = False
        try:
            send(process, self._data)
            while (task := self._tasks.get()) is not None:
                send(process, task)
                self._done.put(receive(process))
                done = self._proven = True
        except (EOFError, OSError, pickle.UnpicklingError):
            self._requeue(task)
        finally:
            end(process)
        return done

    def _requeue(self, task: RungTask | None) -> None:
        """Give the rung of a dead worker to the next one, or abandon it."""
        if task is None or self._closed:
            return
        self._deaths[task.name] += 1
        if self._deaths[task.name] < MOST_DEATHS or not self._proven:
            self._tasks.put(task)
        else:
            fault = f"{MOST_DEATHS} workers died while training it (out of memory?)"
            self._done.put(RungResult(task.name, task.end, fault=fault))


def _result_or_raise(result: RungResult | Exception) -> RungResult:
    if isinstance(result, Exception):
        raise result
    return result


def start_worker() -> subprocess.Popen[bytes]:
    """Start a worker process."""
    return start("from chainrule.search.worker import main\nmain()")
