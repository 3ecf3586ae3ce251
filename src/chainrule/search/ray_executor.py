"""Why: the same search on many machines: a Ray cluster does the rungs, and does those of a lost machine again.

In: a cluster's address, `Work`. Out: `Outcome`. The search's folder must be one that every machine sees, and every machine
must have the same versions of Python, Ray and this package.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from chainrule.errors import InvalidValueError, MissingError, must_be
from chainrule.search.executor import MOST_DEATHS
from chainrule.search.rungs import JobCache, Outcome, Problem, Work, perform

LEAST_VERSION = (2, 52)
"""The first Ray that can ask for a token; the ones before run code for whoever reaches their ports."""

_LOOPBACK = ("127.", "localhost", "[::1]", "::1")
_BENCHES: dict[str, JobCache] = {}
"""The problem that this process, one of Ray's workers, has scaled and encoded."""


def attach(address: str, insecure: bool = False) -> None:
    """Join a cluster: "host:port", "ray://host:port", "auto", or "local" for one of this process's own.

    Without a token (RAY_AUTH_MODE=token and its token on every machine) whoever reaches a cluster's ports can run code on
    it: such a cluster is refused unless it is on this machine alone, or `insecure` is said.

    Raises `MissingError` without Ray, `InvalidValueError` for an old Ray, a cluster without a token, one that is not there.
    """
    if find_spec("ray") is None:
        raise MissingError("search: ray must be installed for a cluster. pip install 'chainrule[cluster]'")
    if address == "local":
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray: Any = import_module("ray")
    raise_if_old(ray.__version__)
    if not (insecure or guarded() or address == "local" or on_this_machine(address)):
        hint = "Set RAY_AUTH_MODE=token on every machine, or say --insecure-cluster."
        raise InvalidValueError(must_be("search", "cluster", "one that asks for a token", address, hint))
    if ray.is_initialized():
        return
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False, **own)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise InvalidValueError(must_be("search", "cluster", "the address of a cluster", address, reason)) from None


def raise_if_old(version: str) -> None:
    """Raise `InvalidValueError` for a Ray that cannot ask for a token."""
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise InvalidValueError(must_be("search", "ray", f"of version {least} or later", version))


def guarded() -> bool:
    """Whether clusters are joined with a token."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def on_this_machine(address: str) -> bool:
    """Whether an address is that of this machine alone.

    >>> on_this_machine("127.0.0.1:6379"), on_this_machine("ray://head:10001"), on_this_machine("auto")
    (True, False, False)
    """
    return address.removeprefix("ray://").startswith(_LOOPBACK)


class RayExecutor:
    """Ray tasks of one core each; the cluster is to be joined before (`attach`), and is left as it is."""

    def __init__(self, problem: Problem, slots: int) -> None:
        ray: Any = import_module("ray")
        self.slots = slots
        self._ray, self._digest = ray, problem.digest
        self._problem = ray.put(problem)
        self._task = ray.remote(num_cpus=1, max_retries=MOST_DEATHS)(_perform)
        self._live: dict[Any, Work] = {}
        self._lost: Counter[str] = Counter()

    def submit(self, work: Work) -> None:
        """Have it done; returns at once."""
        self._live[self._task.remote(self._digest, self._problem, work)] = work

    def wait(self, timeout: float) -> tuple[Outcome, ...]:
        """What was done meanwhile; waits so many seconds at most for the first."""
        done, _ = self._ray.wait(list(self._live), num_returns=1, timeout=timeout) if self._live else ([], [])
        found = (self._outcome(reference, self._live.pop(reference)) for reference in done)
        return tuple(outcome for outcome in found if outcome is not None)

    def _outcome(self, reference: Any, work: Work) -> Outcome | None:
        """The answer, or None where all of Ray's own attempts were lost and it is begun once more."""
        try:
            answer = self._ray.get(reference)
            assert isinstance(answer, Outcome)
            return answer
        except (self._ray.exceptions.RayError, AssertionError) as error:
            self._lost[work.name] += 1
            if self._lost[work.name] < MOST_DEATHS:
                self.submit(work)
                return None
            return Outcome(work.name, work.end, fault=f"its tasks were lost: {type(error).__name__}")

    def close(self) -> None:
        """Cancel what is under way; rungs go on from their last snapshot when they are asked for again."""
        for reference in self._live:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        self._live.clear()


def _perform(digest: str, problem: Problem, work: Work) -> Outcome:
    """One rung, in one of Ray's workers, which keeps the scaled rows for the next."""
    if digest not in _BENCHES:
        _BENCHES.clear()
        _BENCHES[digest] = JobCache(problem)
    return perform(_BENCHES[digest], work)
