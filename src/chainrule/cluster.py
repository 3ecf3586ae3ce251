"""A Ray cluster whose cores work for this process: joined with care, its lost machines replaced, its end said in one line.

In: a cluster's address, a function with what all its calls share. Out: results, one for each call; or a sentence.
"""

from __future__ import annotations

import atexit
import os
import platform
import secrets
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, Self, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

import chainrule
from chainrule.errors import ChainruleError, InvalidValueError, MissingError, must_be

LEAST_VERSION = (2, 52)
"""First Ray that can require a token; earlier ones run code for anyone who reaches their ports."""

MOST_DEATHS = 5
"""Workers that may die at one call before it is abandoned: the call itself kills them, perhaps by its memory."""

_LOOPBACK = ("127.", "localhost", "[::1]", "::1")
_PATIENCE = 5.0
"""Seconds that nothing answers at a cluster's address before it counts as gone; Ray itself waits a minute, then aborts."""

Result = TypeVar("Result")


def attach(owner: str, address: str, insecure: bool = False) -> None:
    """Connect to a cluster: "host:port", "ray://host:port", "auto", or "local" to start one in this process.

    Without a token (RAY_AUTH_MODE=token and its token on every machine), anyone who reaches a cluster's ports can run code
    on it: such a cluster is refused unless it is on this machine alone or `insecure` is set. A connection that the process
    has already is kept, and "auto" then takes it as it is.

    Parameters
    ----------
    owner : str
        Who asks, for messages: a command or an estimator.
    address : str
        Where the cluster is.
    insecure : bool, default=False
        Whether a cluster that requires no token is accepted.

    Raises
    ------
    MissingError
        Without Ray.
    InvalidValueError
        For an old Ray, an open cluster, one of another version or one that cannot be reached.
    """
    if find_spec("ray") is None:
        raise MissingError(f"{owner}: a cluster needs ray. Install it with: pip install 'chainrule[cluster]'.")
    if address == "local":
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray: Any = import_module("ray")
    raise_if_old(owner, ray.__version__)
    connected = ray.is_initialized()
    trusted = (
        insecure or guarded() or address == "local" or on_this_machine(address) or (connected and address == "auto")
    )
    if not trusted:
        hint = (
            "Set RAY_AUTH_MODE=token on every machine, or pass --insecure-cluster (in Python: ray.init, then 'auto')."
        )
        raise InvalidValueError(must_be(owner, "cluster", "one that requires a token", address, hint))
    if connected:
        return
    own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    try:
        with _empty_working_folder():
            ray.init(address=address, logging_level="error", log_to_driver=False, **own)
    except Exception as error:
        raise InvalidValueError(_not_attached(owner, address, error)) from None


def _not_attached(owner: str, address: str, error: Exception) -> str:
    """Return why a cluster cannot be joined, in one line."""
    said = " ".join(str(error).split())
    if "ersion mismatch" in said:
        said = said.replace("Version mismatch: ", "").split(" This process")[0]
        mine = f"Ray {import_module('ray').__version__} and Python {platform.python_version()}"
        return must_be(owner, "cluster", f"of {mine}, as this process is", address, f"{said[:200].rstrip('.')}.")
    return must_be(owner, "cluster", "the address of a cluster", address, f"{said[:200].rstrip('.')}.")


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


def raise_if_old(owner: str, version: str) -> None:
    """Raise `InvalidValueError` for a Ray that cannot require a token."""
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise InvalidValueError(must_be(owner, "ray", f"of version {least} or later", version))


def guarded() -> bool:
    """Return whether clusters are joined with a token."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def on_this_machine(address: str) -> bool:
    """Return whether an address belongs to this machine alone.

    >>> on_this_machine("127.0.0.1:6379"), on_this_machine("ray://head:10001"), on_this_machine("auto")
    (True, False, False)
    """
    return address.removeprefix("ray://").startswith(_LOOPBACK)


def cluster_cores() -> int:
    """Return the number of cores of all machines that the cluster has now."""
    ray: Any = import_module("ray")
    with suppress(Exception):
        return int(ray.cluster_resources().get("CPU", 0))
    return 0


def this_address() -> str:
    """Return the address by which the other machines of the cluster reach this one."""
    ray: Any = import_module("ray")
    return str(ray.util.get_node_ip_address())


class Heart:
    """Notices that a cluster has ended: Ray would wait for a minute, then end the process with a trace of C++.

    Parameters
    ----------
    owner : str
        Who asks, for the message.
    """

    def __init__(self, owner: str) -> None:
        ray: Any = import_module("ray")
        self._owner = owner
        self._address = str(ray.get_runtime_context().gcs_address)
        self._client = bool(getattr(ray.util.client.ray, "is_connected", lambda: False)())
        self._seen = time.monotonic()
        self._asked = 0.0

    def check(self) -> None:
        """Raise `ChainruleError` where nothing has answered for some seconds."""
        now = time.monotonic()
        if now - self._asked < 1.0:
            return
        self._asked = now
        if self._answers():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > _PATIENCE:
            hint = "It ended, or cannot be reached. Run the same command again when it is up."
            raise ChainruleError(
                f"{self._owner}: cluster must be up until the end, got none at {self._address}. {hint}"
            )

    def _answers(self) -> bool:
        if self._client:
            ray: Any = import_module("ray")
            return bool(ray.util.client.ray.is_connected())
        host, _, port = self._address.rpartition(":")
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2.0):
            return True
        return False


class Tasks(Generic[Result]):
    """Calls of one function on the cores of a cluster; each comes back once, and those of a lost machine are repeated.

    Parameters
    ----------
    owner : str
        Who asks, for messages.
    call : callable
        A function of a module, called as `call(shared, *arguments)`.
    shared : object
        What all calls need; sent once to each machine.
    """

    def __init__(self, owner: str, call: Callable[..., Result], shared: Any) -> None:
        ray: Any = import_module("ray")
        self._ray = ray
        self._heart = Heart(owner)
        self._first = (owner, versions(), call, [ray.put(shared)])
        self._remote = ray.remote(num_cpus=1, max_retries=MOST_DEATHS)(_perform)
        self._live: dict[Any, tuple[str, tuple[Any, ...]]] = {}
        self._deaths: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Number of calls under way."""
        return len(self._live)

    def submit(self, name: str, *arguments: Any) -> None:
        """Submit a call and return at once.

        Parameters
        ----------
        name : str
            Its name, under which its result comes back.
        *arguments : object
            What the function gets besides the shared object.
        """
        self._live[self._remote.remote(*self._first, *arguments)] = (name, arguments)

    def wait(self, timeout: float) -> list[tuple[str, Result | Exception]]:
        """Return the results so far with their names; wait at most `timeout` seconds for the first.

        Parameters
        ----------
        timeout : float
            Seconds.

        Returns
        -------
        list of pairs
            A name with the result, or with the error that ended the call.

        Raises
        ------
        ChainruleError
            Where the cluster has ended.
        """
        self._heart.check()
        done, _ = self._ray.wait(list(self._live), num_returns=1, timeout=timeout) if self._live else ([], [])
        fetched = [(self._live[reference][0], self._fetch(reference)) for reference in done]
        return [(name, result) for name, result in fetched if not isinstance(result, _Again)]

    def _fetch(self, reference: Any) -> Result | Exception:
        """Return the result or the error of a call; `_Again` where its machine was lost and it is submitted again."""
        name, arguments = self._live.pop(reference)
        try:
            result: Result = self._ray.get(reference)
            return result
        except self._ray.exceptions.RayTaskError as error:
            return error.cause if isinstance(error.cause, Exception) else error
        except self._ray.exceptions.RayError as error:
            self._deaths[name] += 1
            if self._deaths[name] < MOST_DEATHS:
                self.submit(name, *arguments)
                return _Again()
            return ChainruleError(f"its tasks were lost: {type(error).__name__}")

    def close(self) -> None:
        """Cancel the calls under way."""
        for reference in self._live:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        self._live.clear()


class Gang:
    """Objects that live in processes of their own on the machines of a cluster, started together or not at all.

    Parameters
    ----------
    owner : str
        Who asks, for messages.
    kind : type
        Their class, of a module.
    size : int
        How many; each takes one core, on as many machines as there are.
    """

    _STARTING = 60.0
    """Seconds to wait for free cores, and for the first answer."""

    def __init__(self, owner: str, kind: type, size: int) -> None:
        self._owner = owner
        self._kind = kind
        self.size = size
        self._ray: Any = import_module("ray")

    def __enter__(self) -> Self:
        """Reserve the cores and start the objects.

        Raises `InvalidValueError` where the cores are not free in time.
        """
        placing: Any = import_module("ray.util.placement_group")
        strategies: Any = import_module("ray.util.scheduling_strategies")
        self._cores = placing.placement_group([{"CPU": 1}] * self.size, strategy="SPREAD")
        if not self._cores.wait(timeout_seconds=self._STARTING):
            placing.remove_placement_group(self._cores)
            hint = f"Of its {cluster_cores()} cores others use too many."
            raise InvalidValueError(must_be(self._owner, "cluster", f"one with {self.size} free cores", "fewer", hint))
        make = self._ray.remote(num_cpus=1, max_restarts=0)(self._kind)
        self._objects = [
            make.options(
                scheduling_strategy=strategies.PlacementGroupSchedulingStrategy(
                    self._cores, placement_group_bundle_index=i
                )
            ).remote()
            for i in range(self.size)
        ]
        return self

    def __exit__(self, *error: object) -> None:
        """End the objects and free the cores."""
        placing: Any = import_module("ray.util.placement_group")
        for each in self._objects:
            with suppress(Exception):
                self._ray.kill(each)
        with suppress(Exception):
            placing.remove_placement_group(self._cores)

    def ask(self, method: str, *arguments: Any, only: Sequence[int] | int | None = None) -> list[Any]:
        """Call a method of the objects and return their answers.

        Parameters
        ----------
        method : str
            Its name.
        *arguments : object
            What it gets.
        only : sequence of int or int, default=None
            Numbers of the objects; None asks all.

        Returns
        -------
        list
            In their order; the error in place of the answer of an object that is gone.
        """
        numbers = range(self.size) if only is None else [only] if isinstance(only, int) else only
        asked = [getattr(self._objects[number], method).remote(*arguments) for number in numbers]
        return [self._answer(each) for each in asked]

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference, timeout=self._STARTING)
        except self._ray.exceptions.RayTaskError:
            raise
        except (self._ray.exceptions.RayError, TimeoutError) as error:
            return error


class _Again(Exception):
    """A call that was submitted again."""


def versions() -> str:
    """Return what must be alike on all machines besides Python and Ray, which Ray compares itself."""
    return f"chainrule {chainrule.__version__}, numpy {np.__version__}"


def _perform(owner: str, wanted: str, call: Callable[..., Result], shared: list[Any], *arguments: Any) -> Result:
    """Make one call in one of Ray's workers, on one core."""
    if versions() != wanted:
        text = must_be(
            owner, "cluster", f"of {wanted} on every machine", versions(), f"That is {socket.gethostname()}."
        )
        raise InvalidValueError(text)
    ray: Any = import_module("ray")
    with threadpool_limits(1):
        return call(ray.get(shared[0]), *arguments)
