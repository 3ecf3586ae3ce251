"""`chainrule train` by several processes: which world this one belongs to, and launchers for one machine and for a cluster.

In: the options that say who takes part. Out: a `World` to join; or processes that are started here, watched, and started
again from the last checkpoint where one of them is lost.
"""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.console import console
from chainrule.cluster import attach
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.processes import python
from chainrule.world import EXIT_BROKEN, World

Distributed = Annotated[
    bool,
    typer.Option(
        "--distributed", help="Take part in the run that srun or mpirun started.", rich_help_panel="Processes"
    ),
]
Processes = Annotated[
    int | None,
    typer.Option(
        help="Divide each batch among this many processes; without --rank they are started here.",
        rich_help_panel="Processes",
    ),
]
Rank = Annotated[int | None, typer.Option(help="Place of this process, from 0.", rich_help_panel="Processes")]
Coordinator = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Address at which rank 0 listens.", rich_help_panel="Processes")
]
Restarts = Annotated[
    int, typer.Option(min=0, help="How often lost processes are started again.", rich_help_panel="Processes")
]
Watchdog = Annotated[
    float,
    typer.Option(min=1.0, help="Seconds without progress after which a rank ends.", rich_help_panel="Processes"),
]

Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="A Ray cluster that trains: host:port, ray://host:port, or local.",
        rich_help_panel="Processes",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes of the cluster that share a network, or that train networks of a pack; by default all cores.",
        rich_help_panel="Processes",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option("--insecure-cluster", help="Accept a cluster that requires no token.", rich_help_panel="Processes"),
]

_PROGRAM = "from chainrule.cli import main\nmain()"

_SETTLE = 5.0
"""Seconds that the other processes have to say what is wrong and end after one has failed."""

_LEAVE = 1.0
"""Seconds that they have after one was lost: they can only wait for it, and all are started again."""

_COMPILED = "JAX_COMPILATION_CACHE_DIR"
_CACHED: Mapping[str, str] = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Variables by which JAX keeps every program that it compiles, so that processes that start again need not wait for it."""

_RETURN = 60.0
"""Seconds that a cluster has to replace machines that it lost."""

_ENDED = (0, 1, 2, 130)
"""Exit codes after which nothing is started again: done, diverged, a mistake, Ctrl-C."""


@dataclass(frozen=True)
class ProcessOptions:
    """Who takes part in a training, as it was typed.

    Parameters
    ----------
    distributed : bool, default=False
        Whether a launcher says it.
    processes, rank : int or None, default=None
        Number of processes, and the place of this one.
    coordinator : str or None, default=None
        Address of rank 0.
    restarts : int, default=3
        How often lost processes are started again.
    watchdog : float, default=60.0
        Seconds without progress after which a rank ends.
    cluster : str or None, default=None
        Address of a Ray cluster that starts the processes.
    workers : int or None, default=None
        How many it starts.
    insecure : bool, default=False
        Whether it may be one that requires no token.
    """

    distributed: bool = False
    processes: int | None = None
    rank: int | None = None
    coordinator: str | None = None
    restarts: int = 3
    watchdog: float = 60.0
    cluster: str | None = None
    workers: int | None = None
    insecure: bool = False

    @property
    def launches(self) -> bool:
        """Whether the processes are started here, or by a cluster."""
        by_us = self.processes is not None and self.rank is None and not self.distributed
        return by_us or self.cluster is not None

    @property
    def given(self) -> bool:
        """Whether several processes take part."""
        return self.distributed or self.processes is not None or self.cluster is not None

    def world(self) -> World | None:
        """Return the world that this process joins, None where it trains alone.

        Returns
        -------
        World or None

        Raises
        ------
        InvalidValueError
            For options that do not fit together, and where no launcher says who takes part.
        """
        raise_all(_faults(self))
        if self.distributed:
            found = World.of_launcher(os.environ)
            if found is None:
                hint = "Without a launcher, use --processes N, or --coordinator, --processes and --rank."
                raise InvalidValueError(must_be("train", "--distributed", "under srun or mpirun", "neither", hint))
            return World("", found.processes, found.rank, watchdog=self.watchdog)
        if self.processes is None or self.rank is None or self.coordinator is None:
            return None
        return World(self.coordinator, self.processes, self.rank, watchdog=self.watchdog)


def _faults(options: ProcessOptions) -> Iterator[str]:
    by_hand = {"--processes": options.processes, "--rank": options.rank, "--coordinator": options.coordinator}
    if options.cluster is not None:
        for name, value in {**by_hand, "--distributed": options.distributed or None}.items():
            if value is not None:
                yield must_be("train", name, "left out with --cluster", value, "The cluster starts --workers ranks.")
        if options.workers is None:
            yield "train: --workers must be given with --cluster for one network, got none."
        return
    if options.distributed:
        for name, value in by_hand.items():
            if value is not None:
                yield must_be("train", name, "left out with --distributed", value, "The launcher says it.")
        return
    if options.processes is not None and options.processes < 1:
        yield must_be("train", "--processes", "at least 1", options.processes)
    if (options.rank is None) != (options.coordinator is None):
        missing, other = ("--rank", "--coordinator") if options.rank is None else ("--coordinator", "--rank")
        yield f"train: {missing} must be given with {other}, got none."
    elif options.rank is not None and options.processes is None:
        yield "train: --processes must be given with --rank, got none."


def launch(options: ProcessOptions, arguments: Sequence[str], checkpoint: Path | None) -> int:
    """Start the processes of a training on this machine or a cluster, and start them again where some are lost.

    Parameters
    ----------
    options : ProcessOptions
        Says how many, and how often.
    arguments : sequence of str
        The command as it was typed, without the program's name.
    checkpoint : Path or None
        Where the training is kept; None starts over.

    Returns
    -------
    int
        The exit code of rank 0, or of the first process that failed.
    """
    if options.cluster is not None:
        attach("train", options.cluster, options.insecure)
    # What is compiled is run when it is read again, so it lies in a folder of this user's alone, not beside checkpoints.
    with tempfile.TemporaryDirectory(prefix="chainrule-", ignore_cleanup_errors=True) as compiled:
        return _attempts(options, arguments, checkpoint, compiled)


def _attempts(options: ProcessOptions, arguments: Sequence[str], checkpoint: Path | None, compiled: str) -> int:
    """Run the processes until they end, or were lost too often."""
    out = console(stderr=True)
    for number in range(options.restarts + 1):
        code = _one_attempt(options, arguments, compiled, first=number == 0)
        if code in _ENDED:
            return code
        if number < options.restarts:
            where = "from the last checkpoint" if checkpoint is not None else "from the beginning (no --checkpoint)"
            out.print(f"a process was lost (exit code {code}); all are started again {where}", markup=False)
    out.print(f"gave up after {options.restarts} restarts", markup=False)
    return EXIT_BROKEN


def _one_attempt(options: ProcessOptions, arguments: Sequence[str], compiled: str, first: bool) -> int:
    """Run the processes once; return 0 where all did well, else the first exit code that was not."""
    kept = _without(arguments, "--processes", "--restarts", "--cluster", "--workers")
    if options.cluster is None:
        return _run_here(options.processes or 1, kept, compiled)
    from chainrule.cli.cluster_ranks import attempt

    kept = [word for word in kept if word != "--insecure-cluster"]
    return attempt(options.workers or 1, kept, 0.0 if first else _RETURN)


def _run_here(n: int, kept: Sequence[str], compiled: str) -> int:
    """Run the processes once on this machine; compiled programs are kept in a folder unless the user names one."""
    variables = dict(os.environ) if _COMPILED in os.environ else {**os.environ, **_CACHED, _COMPILED: compiled}
    address = f"127.0.0.1:{free_port()}"
    own = ["--coordinator", address, "--processes", str(n)]
    children = [
        subprocess.Popen(
            python(_PROGRAM, *kept, *own, "--rank", str(rank)),
            stdout=None if rank == 0 else subprocess.DEVNULL,
            env=variables,
        )
        for rank in range(n)
    ]
    try:
        return _first_failure(children)
    except KeyboardInterrupt:
        _first_failure(children)
        return 130
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.wait()


def _first_failure(children: Sequence[subprocess.Popen[bytes]]) -> int:
    """Wait until all have ended, or one has failed and the others had time to end."""
    failed = 0
    until = float("inf")
    while any(child.poll() is None for child in children) and time.monotonic() < until:
        failed = failed or next((code for child in children if (code := child.poll())), 0)
        if failed:
            until = min(until, time.monotonic() + (_SETTLE if failed in _ENDED else _LEAVE))
        time.sleep(0.05)
    return failed or next((code for child in children if (code := child.poll())), 0)


def _without(arguments: Sequence[str], *options: str) -> list[str]:
    """Return arguments without some options and their values."""
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in options:
            skip = True
        elif not argument.startswith(tuple(f"{option}=" for option in options)):
            kept.append(argument)
    return kept


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of an address of this machine that nothing listens at.

    Raises `InvalidValueError` where there is none.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
            found.bind((host, 0))
            return int(found.getsockname()[1])
    except OSError as error:
        hint = "Ranks find one another at a free port."
        text = f"train: {host} must have a free port, got none ({error.strerror or error}). {hint}"
        raise InvalidValueError(text) from None
