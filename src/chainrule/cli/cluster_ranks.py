"""`chainrule train --cluster ADDRESS --workers N` with one network: a Ray cluster starts the ranks, and starts them again.

Ray only places and watches processes. Each rank is the program that `--coordinator` starts, so that it is the same training;
Ray's own trainer for JAX lets every process train alone on CPUs, without a word.

In: a cluster that this process has joined, and the command as it was typed. Out: an exit code, and what rank 0 printed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chainrule.cli.distributed import free_port
from chainrule.cluster import Gang, Heart, cluster_cores, this_address, versions
from chainrule.errors import InvalidValueError, must_be
from chainrule.processes import python
from chainrule.world import EXIT_BROKEN

_PROGRAM = "from chainrule.cli.cluster_ranks import rank\nrank()"

_LOST = 137
"""Exit code of a rank whose machine is gone, as of one that was killed."""

_SETTLE = 5.0
"""Seconds that the other ranks have to end by themselves after one is lost."""

_SAVING = 30.0
"""Seconds that ranks have after Ctrl-C to save and end."""

_POLL = 0.2


@dataclass(frozen=True)
class News:
    """What a rank has printed since the last question, and its exit code once it has ended."""

    out: bytes = b""
    err: bytes = b""
    code: int | None = None


class Rank:
    """A process on one machine of the cluster, with what it prints; it lives in one of Ray's actors and ends with it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._printed: dict[str, list[bytes]] = {"out": [], "err": []}
        self._readers: list[threading.Thread] = []

    def place(self, wanted: str, folder: str) -> tuple[str, str]:
        """Return an address at which this machine can listen, and what is wrong with the machine, or nothing."""
        host = this_address()
        if versions() != wanted:
            return "", must_be("train", "cluster", f"of {wanted} on every machine", versions(), f"That is {host}.")
        if not Path(folder).is_dir():
            hint = "Ranks work in the folder in which the command was typed; share it."
            return "", f"train: folder {folder!r} must be on every machine of the cluster, got none on {host}. {hint}"
        try:
            port = free_port(host)
        except InvalidValueError as error:
            return "", str(error)
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", ""

    def start(self, folder: str, arguments: Sequence[str]) -> None:
        """Start the rank's program."""
        command = python(_PROGRAM, *arguments)
        pipe = subprocess.PIPE
        process = self._process = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe)
        for name, stream in (("out", process.stdout), ("err", process.stderr)):
            reader = threading.Thread(target=self._read, args=(stream, self._printed[name]), daemon=True)
            reader.start()
            self._readers.append(reader)

    @staticmethod
    def _read(pipe: IO[bytes], printed: list[bytes]) -> None:
        while data := os.read(pipe.fileno(), 1 << 16):
            printed.append(data)

    def news(self) -> News:
        """Return what is new; the exit code comes once all that was printed has been read."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            for reader in self._readers:
                reader.join(2.0)
        found = {name: b"".join(self._taken(printed)) for name, printed in self._printed.items()}
        return News(found["out"], found["err"], code)

    @staticmethod
    def _taken(printed: list[bytes]) -> list[bytes]:
        count = len(printed)
        taken = printed[:count]
        del printed[:count]
        return taken

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def end(self) -> None:
        """Kill the process, if it runs."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for reader in self._readers:
            reader.join(2.0)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def rank() -> None:
    """Run the command line as one rank; end when the process that started this one does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from chainrule.cli import main

    main()


def _end_with_parent() -> None:
    with suppress(OSError):
        while os.read(0, 1):  # not sys.stdin, whose lock would be held when this process ends by itself
            pass
    os._exit(EXIT_BROKEN)


def attempt(workers: int, arguments: Sequence[str], wait: float) -> int:
    """Run all ranks once.

    Parameters
    ----------
    workers : int
        Number of ranks.
    arguments : sequence of str
        The command of every rank, without what says which one it is.
    wait : float
        Seconds to wait for enough cores, where machines have just been lost.

    Returns
    -------
    int
        0 where all did well, else the first exit code that was not.

    Raises
    ------
    InvalidValueError
        Where the cluster has too few cores, a machine lacks the folder, a free port or this version.
    ChainruleError
        Where the cluster has ended.
    """
    heart = Heart("train")
    _check_cores(workers, wait, heart)
    with _started(workers, arguments, heart) as ranks:
        try:
            return ranks.watch()
        except KeyboardInterrupt:
            ranks.interrupt()
            ranks.watch(_SAVING)
            return 130


def _check_cores(workers: int, wait: float, heart: Heart) -> None:
    until = time.monotonic() + wait
    while (found := cluster_cores()) < workers:
        heart.check()
        if time.monotonic() > until:
            hint = "Each rank needs one."
            raise InvalidValueError(
                must_be("train", "--workers", f"at most the cluster's {found} cores", workers, hint)
            )
        time.sleep(_POLL)


@contextmanager
def _started(workers: int, arguments: Sequence[str], heart: Heart) -> Iterator[_Ranks]:
    """Start the ranks on machines of the cluster; end them afterwards whatever happens."""
    folder = os.getcwd()
    with Gang("train", Rank, workers) as gang:
        places = gang.ask("place", versions(), folder)
        faults = [_fault(place) for place in places]
        if any(faults):
            raise InvalidValueError(next(filter(None, faults)))
        address = places[0][0] if isinstance(places[0], tuple) else ""
        if not address:
            yield _Ranks(gang, heart, News(code=_LOST))
            return
        for number in range(workers):
            own = ["--coordinator", address, "--processes", str(workers), "--rank", str(number)]
            gang.ask("start", folder, [*arguments, *own], only=number)
        try:
            yield _Ranks(gang, heart)
        finally:
            gang.ask("end")


def _fault(place: tuple[str, str] | Exception) -> str:
    """Return what is wrong with a machine; nothing for one that was lost, which is tried again."""
    if isinstance(place, tuple):
        return place[1]
    found = re.search(r"(No module named \S+)", str(place))
    return f"train: every machine of the cluster must have {versions()}, got: {found[1]}." if found else ""


class _Ranks:
    """The ranks of one attempt, as this process sees them."""

    def __init__(self, gang: Gang, heart: Heart, first: News = News()) -> None:
        self._gang = gang
        self._heart = heart
        self._codes: dict[int, int | None] = dict.fromkeys(range(gang.size), first.code)

    def watch(self, seconds: float = float("inf")) -> int:
        """Print what rank 0 prints until all have ended, or one has failed and the others had time to end."""
        failed = 0
        until = time.monotonic() + seconds
        while None in self._codes.values() and time.monotonic() < until:
            self._heart.check()
            self._ask()
            failed = failed or self._failure()
            if failed:
                until = min(until, time.monotonic() + _SETTLE)
            time.sleep(_POLL)
        return failed or self._failure()

    def _failure(self) -> int:
        return next((code for code in self._codes.values() if code), 0)

    def _ask(self) -> None:
        running = [number for number, code in self._codes.items() if code is None]
        for number, answer in zip(running, self._gang.ask("news", only=running), strict=True):
            news = News(code=_LOST) if isinstance(answer, Exception) else answer
            self._codes[number] = news.code
            _print(sys.stdout, news.out if number == 0 else b"")
            _print(sys.stderr, news.err)

    def interrupt(self) -> None:
        """Let every rank end as Ctrl-C would."""
        self._gang.ask("interrupt", only=[number for number, code in self._codes.items() if code is None])


def _print(stream: IO[str], data: bytes) -> None:
    if data:
        stream.write(data.decode("utf-8", "replace"))
        stream.flush()
