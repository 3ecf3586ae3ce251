"""One process per peer, since libraries in one process would share thread pools, allocators and settings.

In: a peer, processors to use. Out: a handle that sets up workloads and times runs in that process.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Protocol

from chainrule.bench import peers
from chainrule.bench.peers import Peer, Runner, Skipped
from chainrule.bench.workloads import Workload
from chainrule.processes import SAFE_PATH, environment

_PATIENCE = 900.0
"""Seconds that a peer may take to set up a workload, or to run once, before it is stopped."""


class Timed(Protocol):
    """A workload that is set up and ready to be timed."""

    threads: tuple[int, ...]

    def limit(self, n: int) -> None:
        """Use n threads from now on."""

    def run(self, units: int) -> float:
        """Run units and return the seconds they took."""


class Process(Protocol):
    """A peer's process: of multiprocessing, or of another Python."""

    def kill(self) -> None:
        """End it at once."""


_SERVE = """
import sys
from multiprocessing.connection import Connection
from chainrule.bench.workers import serve
serve(Connection(int(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
"""


class Worker:
    """One peer's process; leaving its context ends it."""

    def __init__(self, peer: Peer, processors: int, interpreter: str = "") -> None:
        self.peer = peer
        self.threads: tuple[int, ...] = ()
        self._interpreter = interpreter
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        with environment({**peer.environment, **SAFE_PATH}):
            self._process, self._wait = _started(theirs, peer.key, processors, interpreter)
        theirs.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._wait()
        self._pipe.close()

    def prepare(self, workload: Workload) -> None:
        """Set up a workload in place of the previous one.

        Raises `Skipped` if the peer cannot run it or its process has ended.
        """
        self.threads = self._ask("prepare", workload)

    def limit(self, n: int) -> None:
        """Use n threads from now on."""
        self._ask("limit", n)

    def run(self, units: int) -> float:
        """Run units and return the seconds they took, by the clock of the peer's process."""
        return float(self._ask("run", units))

    def _ask(self, verb: str, value: Any) -> Any:
        try:
            self._pipe.send((verb, value))
            if not self._pipe.poll(_PATIENCE):
                self._process.kill()
                raise Skipped(f"took more than {_PATIENCE:g} s")
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            of = f", of {self._interpreter}: is this package installed there?" if self._interpreter else ""
            raise Skipped(f"its process ended{of}") from error
        if kind == "skipped":
            raise Skipped(answer)
        return answer


def _started(pipe: Connection, key: str, processors: int, interpreter: str) -> tuple[Process, Callable[[], object]]:
    """Start a peer's process, with this Python or with another, and return how to wait for its end."""
    if not interpreter:
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(pipe, key, processors), daemon=True)
        process.start()
        return process, process.join
    command = [interpreter, "-P", "-c", _SERVE, str(pipe.fileno()), key, str(processors)]
    other = subprocess.Popen(command, pass_fds=[pipe.fileno()], stdin=subprocess.DEVNULL)
    return other, other.wait


def serve(pipe: Connection, key: str, processors: int) -> None:
    """Answer requests in the peer's process until it is ended."""
    runner: list[Runner] = []

    def prepare(workload: Workload) -> tuple[int, ...]:
        runner.clear()
        gc.collect()
        runner.append(peers.prepare(key, workload, processors))
        return runner[0].threads

    def run(units: int) -> float:
        began = time.perf_counter()
        runner[0].run(units)
        return time.perf_counter() - began

    def limit(n: int) -> None:
        runner[0].limit(n)

    verbs: Mapping[str, Callable[[Any], Any]] = {"prepare": prepare, "limit": limit, "run": run}
    while True:
        try:
            verb, value = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(_answer(verbs[verb], value))


def _answer(verb: Callable[[Any], Any], value: Any) -> tuple[str, Any]:
    """Run a request; a peer that fails is skipped with the reason, and the others continue."""
    try:
        return "done", verb(value)
    except Skipped as skipped:
        return "skipped", str(skipped)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return "skipped", f"{type(error).__name__}: {lines[0][:200]}"


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def restricted(count: int) -> Iterator[None]:
    """Limit this process, and those that it starts, to `count` processors if the system can do that."""
    if not hasattr(os, "sched_setaffinity") or count >= processors():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
