"""Several processes that train one network together: who takes part, whether all agree, and what happens if one is gone.

JAX joins processes once and for good, so membership is a fact of the process, as it is of JAX: `join` makes it, `current`
tells it, and the JAX engine reads it. Every process runs the same program on the same rows; JAX divides each batch among
them and sums what must be summed. So the gradient, and batch norm's statistics, are those of the whole batch.

In: an address, the number of processes, the place of this one. Out: a joined world; a clear end where it breaks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import chainrule
from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, MissingError, must_be, raise_all
from chainrule.world.rendezvous import meet

_HEARTBEAT = 15
"""Seconds that JAX waits for a sign of life beyond twice the watchdog's, so that the watchdog speaks first."""

_LAUNCHERS = (
    ("SLURM_NTASKS", "SLURM_PROCID"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
)
"""Variables in which launchers that JAX knows say how many processes there are, and which one this is."""


@dataclass(frozen=True)
class World:
    """The processes that train one network together.

    Parameters
    ----------
    coordinator : str
        Address "host:port" at which process 0 listens; "" where the launcher (Slurm, Open MPI) tells it to JAX.
    processes : int
        Number of processes.
    rank : int
        Place of this one, from 0.
    join_seconds : float, default=60.0
        How long to wait for the others at the start.
    watchdog : float, default=60.0
        Least number of seconds without progress after which a process gives the others up and ends.

    Raises
    ------
    InvalidValueError
        With all faults: an address without a port, no process, a rank outside of 0 .. processes - 1.
    """

    coordinator: str
    processes: int
    rank: int
    join_seconds: float = 60.0
    watchdog: float = 60.0

    def __post_init__(self) -> None:
        raise_all(_faults(self))

    @property
    def leads(self) -> bool:
        """True for the one process that prints and writes."""
        return self.rank == 0

    @classmethod
    def of_launcher(cls, environ: Mapping[str, str]) -> World | None:
        """Return the world that Slurm or Open MPI started, None where neither did.

        Parameters
        ----------
        environ : mapping of str to str
            The process's environment.

        Returns
        -------
        World or None

        Examples
        --------
        >>> World.of_launcher({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}).rank
        2
        """
        for size, rank in _LAUNCHERS:
            if size in environ and rank in environ:
                return cls("", int(environ[size]), int(environ[rank]))
        return None


def _faults(world: World) -> Iterator[str]:
    host, _, port = world.coordinator.rpartition(":")
    if world.coordinator and not (host and port.isdigit() and 0 < int(port) < 65536):
        yield must_be("World", "coordinator", "host:port, such as 10.0.0.1:5000", world.coordinator)
    if world.processes < 1:
        yield must_be("World", "processes", "at least 1", world.processes)
    elif not 0 <= world.rank < world.processes:
        allowed = f"between 0 and {world.processes - 1} for {world.processes} processes"
        yield must_be("World", "rank", allowed, world.rank, "Ranks count from 0.")


_joined: list[World] = []


def current() -> World | None:
    """Return the world that this process has joined.

    Returns
    -------
    World or None
        None for a process that trains alone.
    """
    return _joined[0] if _joined else None


@contextmanager
def joined(world: World) -> Iterator[None]:
    """Join a world for the duration of a block; must come before any computation with JAX.

    Parameters
    ----------
    world : World
        Its processes.

    Yields
    ------
    None

    Raises
    ------
    MissingError
        Without JAX.
    InvalidValueError
        Where the processes do not find one another in time, the port is taken, or versions differ.
    """
    jax = _jax()
    if world.coordinator:
        versions = f"chainrule {chainrule.__version__}, jax {jax.__version__}, numpy {np.__version__}"
        meet(world.coordinator, world.processes, world.rank, world.join_seconds, versions)
    try:
        jax.distributed.initialize(
            world.coordinator or None,
            world.processes if world.coordinator else None,
            world.rank if world.coordinator else None,
            heartbeat_timeout_seconds=_HEARTBEAT + int(2 * world.watchdog),
            initialization_timeout=int(world.join_seconds),
            coordinator_bind_address=world.coordinator or None,  # by itself JAX listens at all addresses of the machine
        )
    except Exception as error:
        raise InvalidValueError(_not_joined(world, error)) from error
    if jax.process_count() != world.processes:
        got = f"{jax.process_count()} of them"
        raise InvalidValueError(must_be("World", "processes", f"{world.processes} that find one another", got))
    _joined[:] = [world]
    try:
        yield
    finally:
        _joined.clear()
        jax.distributed.shutdown()


def _jax() -> Any:
    try:
        import jax
    except ImportError as error:
        raise MissingError("World: needs JAX. Install it with: pip install 'chainrule[jax]'.") from error
    return jax


def _not_joined(world: World, error: Exception) -> str:
    """Return why the processes did not find one another, in one line."""
    said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    where = world.coordinator or "the launcher's address"
    hint = f"Is each of the ranks 0 to {world.processes - 1} started once, and is the port of rank 0 free and open?"
    return f"World: rank {world.rank} of {world.processes} cannot join at {where}: {said}. {hint}"


def fingerprint(*parts: Any) -> Array:
    """Return the hash of arrays and values as 4 whole numbers, equal for equal bits.

    Parameters
    ----------
    *parts : array or object
        Arrays count by their type, shape and bytes, all else by its `repr`.

    Returns
    -------
    array of shape (4,)
        uint32.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        of_array = isinstance(part, np.ndarray)
        digest.update(f"{part.dtype.str}{part.shape}".encode() if of_array else repr(part).encode())
        digest.update(np.ascontiguousarray(part).tobytes() if of_array else b"")
    return np.frombuffer(digest.digest(), np.uint32)


def check_agreement(what: str, *parts: Any) -> None:
    """Check that every process of the world holds the same bits; all of them must call it.

    Parameters
    ----------
    what : str
        What is compared, for the message.
    *parts : array or object
        What `fingerprint` takes.

    Raises
    ------
    InvalidValueError
        Names the processes that differ from process 0.
    """
    from jax.experimental import multihost_utils

    all_of_them = np.asarray(multihost_utils.process_allgather(fingerprint(*parts)))
    others = [str(r) for r, mine in enumerate(all_of_them) if (mine != all_of_them[0]).any()]
    if others:
        ranks = f"rank{'s' if len(others) > 1 else ''} {', '.join(others)}"
        text = f"World: every rank must have the same {what}, got others on {ranks} than on rank 0"
        raise InvalidValueError(f"{text}. Use the same files, options and versions everywhere.")


def tree_parts(vectors: Mapping[str, Array]) -> Sequence[Any]:
    """Return named arrays in one order, as `fingerprint` takes them."""
    return [part for name in sorted(vectors) for part in (name, np.asarray(vectors[name]))]
