"""`chainrule train` by several processes: which world this one belongs to, and a launcher for one machine.

In: the options that say who takes part. Out: a `World` to join; or processes that are started here, watched, and started
again from the last checkpoint where one of them is lost.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.console import console
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

_PROGRAM = "from chainrule.cli import main\nmain()"

_SETTLE = 5.0
"""Seconds that the other processes have to end by themselves after one is lost."""

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
    """

    distributed: bool = False
    processes: int | None = None
    rank: int | None = None
    coordinator: str | None = None
    restarts: int = 3
    watchdog: float = 60.0

    @property
    def launches(self) -> bool:
        """Whether the processes are started here."""
        return self.processes is not None and self.rank is None and not self.distributed

    @property
    def given(self) -> bool:
        """Whether several processes take part."""
        return self.distributed or self.processes is not None

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
    """Start the processes of a training on this machine, and start them again where some are lost.

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
    out = console(stderr=True)
    for attempt in range(options.restarts + 1):
        code = _one_attempt(options.processes or 1, arguments)
        if code in _ENDED:
            return code
        if attempt < options.restarts:
            where = "from the last checkpoint" if checkpoint is not None else "from the beginning (no --checkpoint)"
            out.print(f"a process was lost (exit code {code}); all are started again {where}", markup=False)
    out.print(f"gave up after {options.restarts} restarts", markup=False)
    return EXIT_BROKEN


def _one_attempt(n: int, arguments: Sequence[str]) -> int:
    """Run the processes once; return 0 where all did well, else the first exit code that was not."""
    address = f"127.0.0.1:{_free_port()}"
    own = ["--coordinator", address, "--processes", str(n)]
    kept = _without(arguments, "--processes", "--restarts")
    children = [
        subprocess.Popen(
            python(_PROGRAM, *kept, *own, "--rank", str(rank)),
            stdout=None if rank == 0 else subprocess.DEVNULL,
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
            until = min(until, time.monotonic() + _SETTLE)
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


def _free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
