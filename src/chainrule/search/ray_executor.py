"""The same search on many machines: a Ray cluster trains the rungs, and repeats those of a lost machine.

In: a cluster's address, `RungTask`. Out: `RungResult`. The search's folder must be visible to every machine, and every
machine must have the same versions of Python, Ray and this package.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chainrule.errors import InvalidValueError, MissingError, must_be
from chainrule.search.executor import MOST_DEATHS
from chainrule.search.rungs import ProblemCache, RungResult, RungTask, SearchData, perform

LEAST_VERSION = (2, 52)
"""First Ray that can require a token; earlier ones run code for anyone who reaches their ports."""

_LOOPBACK = ("127.", "localhost", "[::1]", "::1")
_CACHES: dict[str, ProblemCache] = {}
"""Rows that this process, one of Ray's workers, has scaled and encoded."""


def attach(address: str, insecure: bool = False) -> None:
    """Connect to a cluster: "host:port", "ray://host:port", "auto", or "local" to start one in this process.

    Without a token (RAY_AUTH_MODE=token and its token on every machine), anyone who reaches a cluster's ports can run code
    on it: such a cluster is refused unless it is on this machine alone or `insecure` is set.

    Raises `MissingError` without Ray, `InvalidValueError` for an old Ray, an open cluster or one that cannot be reached.
    """
    if find_spec("ray") is None:
        raise MissingError("search: a cluster needs ray. Install it with: pip install 'chainrule[cluster]'.")
    if address == "local":
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray: Any = import_module("ray")
    raise_if_old(ray.__version__)
    if not (insecure or guarded() or address == "local" or on_this_machine(address)):
        hint = "Set RAY_AUTH_MODE=token on every machine, or pass --insecure-cluster."
        raise InvalidValueError(must_be("search", "cluster", "one that requires a token", address, hint))
    if ray.is_initialized():
        return
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        with _empty_working_folder():
            ray.init(address=address, logging_level="error", log_to_driver=False, **own)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise InvalidValueError(must_be("search", "cluster", "the address of a cluster", address, reason)) from None


@contextmanager
def _empty_working_folder() -> Iterator[None]:
    """Work in an empty folder: Ray's workers look for modules first in the folder in which the driver connected."""
    before = os.getcwd()
    folder = tempfile.mkdtemp(prefix="chainrule-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def raise_if_old(version: str) -> None:
    """Raise `InvalidValueError` for a Ray that cannot require a token."""
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise InvalidValueError(must_be("search", "ray", f"of version {least} or later", version))


def guarded() -> bool:
    """Return whether clusters are joined with a token."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def on_this_machine(address: str) -> bool:
    """Return whether an address belongs to this machine alone.

    >>> on_this_machine("127.0.0.1:6379"), on_this_machine("ray://head:10001"), on_this_machine("auto")
    (True, False, False)
    """
    return address.removeprefix("ray://").startswith(_LOOPBACK)


class RayExecutor:
    """Ray tasks of one core each; connect to the cluster first (`attach`). It keeps running afterwards."""

    def __init__(self, data: SearchData, slots: int) -> None:
        ray: Any = import_module("ray")
        self.slots = slots
        self._ray = ray
        self._digest = data.digest
        self._data = ray.put(data)
        self._remote = ray.remote(num_cpus=1, max_retries=MOST_DEATHS)(_perform)
        self._live: dict[Any, RungTask] = {}
        self._deaths: Counter[str] = Counter()

    def submit(self, task: RungTask) -> None:
        """Submit a task and return at once; workers have a working folder of their own."""
        task = replace(task, folder=os.path.abspath(task.folder))
        self._live[self._remote.remote(self._digest, self._data, task)] = task

    def wait(self, timeout: float) -> tuple[RungResult, ...]:
        """Return the results so far; wait at most `timeout` seconds for the first."""
        done, _ = self._ray.wait(list(self._live), num_returns=1, timeout=timeout) if self._live else ([], [])
        results = (self._fetch(reference, self._live.pop(reference)) for reference in done)
        return tuple(result for result in results if result is not None)

    def _fetch(self, reference: Any, task: RungTask) -> RungResult | None:
        """Return the result, or None if Ray lost all its own attempts and the task is submitted again."""
        try:
            result = self._ray.get(reference)
            assert isinstance(result, RungResult)
            return result
        except (self._ray.exceptions.RayError, AssertionError) as error:
            self._deaths[task.name] += 1
            if self._deaths[task.name] < MOST_DEATHS:
                self.submit(task)
                return None
            return RungResult(task.name, task.end, fault=f"its tasks were lost: {type(error).__name__}")

    def close(self) -> None:
        """Cancel running tasks; their rungs resume from the last snapshot when submitted again."""
        for reference in self._live:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        self._live.clear()


def _perform(digest: str, data: SearchData, task: RungTask) -> RungResult:
    """Do one rung in one of Ray's workers, which keeps the scaled rows for the next."""
    if digest not in _CACHES:
        _CACHES.clear()
        _CACHES[digest] = ProblemCache(data)
    return perform(_CACHES[digest], task)
