"""How processes find one another before they train together, so that a missing or a doubled one is named in one line.

Rank 0 listens at the coordinator's address until every other rank has said who it is, and lets all of them go at once. JAX
then takes the same address; by itself it would end the process with a trace of C++ where a rank is missing.

In: an address, a rank, the number of processes. Out: all are there, or an error that names who is not.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from chainrule.errors import InvalidValueError, must_be

_GO = b"go"
_LONGEST = 300
"""Bytes of a greeting or an answer at most."""

_PAUSE = 0.1
"""Seconds between two attempts to reach rank 0, and the longest that it waits for one knock."""


def meet(coordinator: str, processes: int, rank: int, seconds: float, version: str) -> None:
    """Wait until all processes of a training are there.

    Parameters
    ----------
    coordinator : str
        Address "host:port" of rank 0.
    processes, rank : int
        How many there are, and which one this is.
    seconds : float
        How long to wait.
    version : str
        What all must agree on before they train: versions of libraries.

    Raises
    ------
    InvalidValueError
        Where rank 0 cannot listen at the address or be reached, where ranks are missing, or doubled, or of another version.
    """
    host, _, port = coordinator.rpartition(":")
    until = time.monotonic() + seconds
    if rank == 0:
        _Host(processes, version).gather((host.strip("[]"), int(port)), until)
    else:
        _greet((host.strip("[]"), int(port)), f"{rank} {processes} {version}", until, coordinator)


@dataclass
class _Host:
    """Rank 0: it counts the others."""

    processes: int
    version: str
    waiting: dict[int, socket.socket] = field(default_factory=dict)

    def gather(self, address: tuple[str, int], until: float) -> None:
        """Let all ranks go when the last has come; tell all of them where one is wrong or missing."""
        fault = ""
        try:
            with closing(_listening(address)) as door:
                while len(self.waiting) < self.processes - 1 and not fault:
                    fault = self._missing() if time.monotonic() > until else self._admit(door)
        finally:
            for guest in self.waiting.values():
                with suppress(OSError):
                    guest.sendall(fault.encode()[:_LONGEST] or _GO)
                guest.close()
        if fault:
            raise InvalidValueError(fault)

    def _admit(self, door: socket.socket) -> str:
        """Take in one rank, if one knocks; return what is wrong with it."""
        try:
            guest, _ = door.accept()
        except TimeoutError:
            return ""
        guest.settimeout(5.0)
        try:
            rank, processes, version = guest.recv(_LONGEST).decode("utf-8", "replace").split(" ", 2)
            number = int(rank)
            count = int(processes)
        except (OSError, ValueError):  # not one of us
            guest.close()
            return ""
        if count != self.processes or not 0 < number < count:
            self.waiting[-1] = guest
            return f"World: processes must be {self.processes} on every rank, got {count} on rank {number}."
        if number in self.waiting:
            self.waiting[-1] = guest
            return f"World: each rank from 0 to {self.processes - 1} must be started once, got rank {number} twice."
        self.waiting[number] = guest
        if version != self.version:
            return f"World: versions must be {self.version} on every rank, got {version} on rank {number}."
        return ""

    def _missing(self) -> str:
        away = [str(rank) for rank in range(1, self.processes) if rank not in self.waiting]
        ranks = f"rank{'s' if len(away) > 1 else ''} {', '.join(away)}"
        return (
            f"World: all {self.processes} ranks must join in time, got none from {ranks}. Start the same command there."
        )


def _listening(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    door = socket.socket(family)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(address)
        door.listen()
    except OSError as error:
        door.close()
        got = f"{address[0]}:{address[1]}"
        hint = f"{error.strerror or error}."
        allowed = "an address at which rank 0 can listen"
        raise InvalidValueError(must_be("World", "coordinator", allowed, got, hint)) from None
    door.settimeout(_PAUSE)
    return door


def _greet(address: tuple[str, int], greeting: str, until: float, coordinator: str) -> None:
    """Say who this is until rank 0 answers."""
    while True:
        with _dialed(address, until) as line:
            if line is not None:
                answer = _answer(line, greeting, until)
                if answer == _GO:
                    return
                if answer:
                    raise InvalidValueError(answer.decode("utf-8", "replace"))
        if time.monotonic() > until:
            raise InvalidValueError(
                must_be("World", "coordinator", "the address of rank 0", coordinator, "Nobody answers there.")
            )
        time.sleep(_PAUSE)


@contextmanager
def _dialed(address: tuple[str, int], until: float) -> Iterator[socket.socket | None]:
    """Yield a connection, None where there is none yet."""
    line = None
    with suppress(OSError):
        line = socket.create_connection(address, timeout=max(_PAUSE, min(5.0, until - time.monotonic())))
    try:
        yield line
    finally:
        if line is not None:
            line.close()


def _answer(line: socket.socket, greeting: str, until: float) -> bytes:
    """Return what rank 0 answers to a greeting, nothing where the connection breaks or the time is up."""
    line.settimeout(max(_PAUSE, until - time.monotonic() + 5.0))
    with suppress(OSError):
        line.sendall(greeting.encode())
        return line.recv(_LONGEST)
    return b""
