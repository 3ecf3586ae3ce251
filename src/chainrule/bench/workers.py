"""Why: libraries in one process share thread pools, allocators and settings; each peer gets a process of its own.

In: a peer, processors to use. Out: a handle that sets workloads up there and times runs there; idle in between.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Protocol

from chainrule.bench import peers
from chainrule.bench.peers import Peer, Runner, Skipped
from chainrule.bench.workloads import Workload
from chainrule.processes import environment

_PATIENCE = 900.0
"""Seconds that a peer may take to set a workload up, or to run once, before it is given up."""


class Timed(Protocol):
    """A workload set up somewhere, ready to be timed."""

    threads: tuple[int, ...]

    def limit(self, n: int) -> None:
        """Use n threads from now on."""

    def run(self, units: int) -> float:
        """Seconds that so many units took."""


class Worker:
    """One peer's process; a context that ends it."""

    def __init__(self, peer: Peer, processors: int) -> None:
        self.peer = peer
        self.threads: tuple[int, ...] = ()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, peer.key, processors), daemon=True)
        with environment(peer.environment):
            self._process.start()
        theirs.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def prepare(self, workload: Workload) -> None:
        """Set a workload up in place of the one before.

        Raises `Skipped` where the peer cannot run it, or its process is gone.
        """
        self.threads = self._ask("prepare", workload)

    def limit(self, n: int) -> None:
        """Use n threads from now on."""
        self._ask("limit", n)

    def run(self, units: int) -> float:
        """Seconds that so many units took, by the clock of the peer's process."""
        return float(self._ask("run", units))

    def _ask(self, verb: str, value: Any) -> Any:
        try:
            self._pipe.send((verb, value))
            if not self._pipe.poll(_PATIENCE):
                self._process.kill()
                raise Skipped(f"took more than {_PATIENCE:g} s")
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise Skipped("its process ended") from error
        if kind == "skipped":
            raise Skipped(answer)
        return answer


def serve(pipe: Connection, key: str, processors: int) -> None:
    """The other side: answers until it is ended."""
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
    """What came of it; a peer that fails is out, with the reason, and the others go on."""
    try:
        return "done", verb(value)
    except Skipped as skipped:
        return "skipped", str(skipped)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return "skipped", f"{type(error).__name__}: {lines[0][:200]}"


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def restricted(count: int) -> Iterator[None]:
    """Only so many processors for this process and those that it starts meanwhile, where the system can do that."""
    if not hasattr(os, "sched_setaffinity") or count >= processors():
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
