"""Why: who trains a rung is no business of the search: processes here, or a cluster, behind the same two calls.

In: `Work` by `submit`. Out: `Outcome` by `wait`, one for each work submitted, in whatever order they are done.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from chainrule.errors import ChainruleError
from chainrule.processes import ONE_THREAD
from chainrule.search.rungs import Outcome, Problem, Work

MOST_DEATHS = 5
"""So many workers may die at one rung before it is given up: it is what kills them, by its memory perhaps."""

_MOST_LATER = 100
"""So many may die in a row, in one place, where some have worked before."""


class Executor(Protocol):
    """Whoever does the work."""

    @property
    def slots(self) -> int:
        """How many rungs are done at a time."""

    def submit(self, work: Work) -> None:
        """Have it done; returns at once."""

    def wait(self, timeout: float) -> tuple[Outcome, ...]:
        """What was done meanwhile; waits so many seconds at most for the first."""

    def close(self) -> None:
        """Stop what is under way, keeping what can be kept, and let go."""


class ProcessExecutor:
    """Long-lived processes on this machine, one thread each. The rung of one that dies is done by another in its place."""

    def __init__(self, problem: Problem, slots: int) -> None:
        self.slots = slots
        self._problem, self._closed, self._proven = problem, False, False
        self._works: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome | Exception] = queue.SimpleQueue()
        self._deaths: Counter[str] = Counter()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [threading.Thread(target=self._serve, args=(i,), daemon=True) for i in range(slots)]
        for thread in self._threads:
            thread.start()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that live now."""
        return tuple(process.pid for process in list(self._processes.values()) if process.poll() is None)

    def submit(self, work: Work) -> None:
        """Have it done; returns at once."""
        self._works.put(work)

    def wait(self, timeout: float) -> tuple[Outcome, ...]:
        """What was done meanwhile; waits so many seconds at most for the first.

        Raises `ChainruleError` when workers die before they have done anything, again and again.
        """
        found: list[Outcome] = []
        with suppress(queue.Empty):
            found.append(_given(self._done.get(timeout=timeout)))
            while True:
                found.append(_given(self._done.get_nowait()))
        return tuple(found)

    def close(self) -> None:
        """Ask every worker to end between two batches, keeping its run; end those that do not within three seconds."""
        self._closed = True
        for _ in self._threads:
            self._works.put(None)
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
        """What a place does; whatever goes wrong there is raised where outcomes are waited for."""
        try:
            self._fill(i)
        except Exception as error:
            self._done.put(error)

    def _fill(self, i: int) -> None:
        """One worker after another in place i, until there is no more work."""
        deaths = 0
        while not self._closed and deaths < (_MOST_LATER if self._proven else MOST_DEATHS):
            process = self._processes[i] = start_worker()
            deaths = 0 if self._converse(process) else deaths + 1
        if not self._closed:
            fault = f"search: workers must be able to run, got {deaths} that died before any work was done."
            self._done.put(ChainruleError(f"{fault} What they said stands above; it may be too little memory."))

    def _converse(self, process: subprocess.Popen[bytes]) -> bool:
        """Problem, then work and outcome in turns, until the worker or the work ends; whether any was done."""
        work: Work | None = None
        done = False
        try:
            send(process, self._problem)
            while (work := self._works.get()) is not None:
                send(process, work)
                self._done.put(receive(process))
                done = self._proven = True
        except (EOFError, OSError, pickle.UnpicklingError):
            self._lost(work)
        finally:
            end(process)
        return done

    def _lost(self, work: Work | None) -> None:
        """A worker is dead: its rung goes to the next one, or is given up."""
        if work is None or self._closed:
            return
        self._deaths[work.name] += 1
        if self._deaths[work.name] < MOST_DEATHS or not self._proven:
            self._works.put(work)
        else:
            fault = f"{MOST_DEATHS} workers died at it (out of memory?)"
            self._done.put(Outcome(work.name, work.end, fault=fault))


def _given(answer: Outcome | Exception) -> Outcome:
    if isinstance(answer, Exception):
        raise answer
    return answer


def start_worker() -> subprocess.Popen[bytes]:
    """A worker process with one thread for its arithmetic, out of reach of the terminal's Ctrl-C."""
    command = [sys.executable, "-m", "chainrule.search.worker"]
    apart: dict[str, Any] = {"process_group": 0} if os.name == "posix" else {}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(), **apart)


def _environment() -> Mapping[str, str]:
    """This process's own, with one thread for every library and the same places to import from."""
    return {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a worker at once, what was not sent to it left unsent."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()
    process.wait()


def send(process: subprocess.Popen[bytes], value: Any) -> None:
    """One pickled object to a worker."""
    assert process.stdin is not None
    pickle.dump(value, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
    process.stdin.flush()


def receive(process: subprocess.Popen[bytes]) -> Outcome:
    """One outcome from a worker; raises `EOFError` when it died."""
    assert process.stdout is not None
    answer = pickle.load(process.stdout)
    assert isinstance(answer, Outcome)
    return answer
