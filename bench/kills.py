"""Why: a training on several processes is worth its trouble only if losing one of them costs seconds and no bits.

In: the launcher of `chainrule train --processes`, and SIGKILL and SIGSTOP at random moments. Out: seconds until all
processes are joined again and until their first step, and what they consist of; whether the final weights are those of an
undisturbed run; seconds until a stopped process is reported.

    python bench/kills.py [--kills 20] [--stops 5] [--processes 2] [--epochs 150] [--longest 45] [--watchdog 15]
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import chainrule

JOINED = "joined"
LOST = "a process was lost"
STAMP = "stamp:"
PARTS = ("noticed and left", "Python and imports", "rows, JAX, joined", "compiled, restored, first step")
"""What happens between a kill and the first step after it, in this order."""

STAMPED = """
import sys
def stamp(word):
    if sys.argv[sys.argv.index("--rank") + 1] == "0":
        print("stamp:" + word, file=sys.stderr, flush=True)
import chainrule.cli.training as training
from chainrule.engines.jax import JaxSession
stamp("imported")
def advanced(self, *arguments, advance=JaxSession._advance):
    sums = advance(self, *arguments)
    stamp("stepped")
    JaxSession._advance = advance
    return sums
JaxSession._advance = advanced
from chainrule.cli import main
main()
"""
"""The program of a rank, which says what it has done; nothing of the training is changed."""

LAUNCHER = """
import chainrule.cli.distributed as distributed
distributed._PROGRAM = {stamped!r}
from chainrule.cli import main
main()
"""

FIXED = ["digits", "--patience", "0", "--hidden", "32", "--doctor", "off", "--seed", "3"]


class Training:
    """A started `chainrule train` whose lines on standard error are read with their times."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        source = str(Path(chainrule.__file__).parents[1])
        environment = {**os.environ, "PYTHONPATH": source, "JAX_PLATFORMS": "cpu"}
        program = LAUNCHER.format(stamped=STAMPED)
        command = [sys.executable, "-c", program, "train", *arguments]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.text: list[str] = []
        self._lines: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.text.append(line)
                self._lines.put((time.monotonic(), line))
        self._lines.put((time.monotonic(), ""))

    def when(self, words: str, seconds: float = 300.0) -> float | None:
        """Return the moment of the next line with these words; None if the training ended before."""
        until = time.monotonic() + seconds
        while True:
            at, line = self._lines.get(timeout=max(0.01, until - time.monotonic()))
            if words in line and line:
                return at
            if not line:
                return None

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        return self.process.wait()


def children(pid: int) -> list[int]:
    """Return the process ids of a process's children."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass(frozen=True)
class Kills:
    """Figures of processes that were killed.

    Parameters
    ----------
    joined : tuple of float
        For each kill, the time until all processes are joined again.
    parts : tuple of tuple of float
        For each kill, the seconds of each of `PARTS`; their sum is the time until the first step of training after it.
    runs : int
        Trainings that were disturbed.
    equal : int
        Those whose final weights are those of the undisturbed training, bit for bit.
    """

    joined: tuple[float, ...]
    parts: tuple[tuple[float, ...], ...]
    runs: int
    equal: int

    @property
    def stepped(self) -> tuple[float, ...]:
        """Seconds from each kill to the first step after it."""
        return tuple(sum(parts) for parts in self.parts)


def kill(folder: Path, kills: int, processes: int, epochs: int, longest: float, seed: int = 1) -> Kills:
    """Kill random processes at random moments until there were so many kills, in as many trainings as that takes."""
    options = [*FIXED, "--epochs", str(epochs), "--processes", str(processes)]
    whole = Training([*options, "--checkpoint", "whole-kept", "--out", "whole"], folder)
    if whole.end() != 0:
        raise SystemExit("".join(whole.text))
    weights = (folder / "whole/model.safetensors").read_bytes()
    draw = random.Random(seed)
    joined: list[float] = []
    parts: list[tuple[float, ...]] = []
    runs = 0
    equal = 0
    while len(parts) < kills:
        name = f"killed-{runs}"
        more = ["--restarts", str(kills), "--checkpoint", f"{name}-kept", "--out", name]
        training = Training([*options, *more], folder)
        going = training.when(STAMP + "stepped") is not None
        while going and len(parts) < kills:
            time.sleep(draw.uniform(0.0, longest))
            ranks = children(training.process.pid) if training.process.poll() is None else []
            if len(ranks) != processes:
                break
            os.kill(ranks[draw.randrange(processes)], signal.SIGKILL)
            moments = back(training, time.monotonic())
            going = bool(moments)
            if going:
                joined.append(moments[3] - moments[0])
                parts.append(tuple(later - at for at, later in pairwise(moments)))
                print(f"  kill {len(parts)}: {', '.join(f'{part:.1f}' for part in parts[-1])} s", flush=True)
        if training.end() != 0:
            raise SystemExit("".join(training.text))
        runs += 1
        equal += (folder / name / "model.safetensors").read_bytes() == weights
    return Kills(tuple(joined), tuple(parts), runs, equal)


def back(training: Training, killed: float) -> list[float]:
    """Return the moments between which `PARTS` lie; nothing if the training ended before."""
    moments = [killed]
    for words in (LOST, STAMP + "imported", JOINED, STAMP + "stepped"):
        at = training.when(words)
        if at is None:
            return []
        moments.append(at)
    return moments


def stop(folder: Path, watchdog: float, after: float) -> float:
    """Stop one of two processes in the middle of a training; return the seconds until the other reports it and ends."""
    options = [*FIXED, "--epochs", "1000000", "--watchdog", f"{watchdog:g}", "--processes", "2"]
    options += ["--coordinator", f"127.0.0.1:{free_port()}", "--out", f"stopped-{after:g}"]
    ranks = [Training([*options, "--rank", str(rank)], folder) for rank in range(2)]
    try:
        ranks[0].when(JOINED)
        time.sleep(after)
        os.kill(ranks[1].process.pid, signal.SIGSTOP)
        began = time.monotonic()
        at = ranks[0].when("ends: no progress")
        if at is None or ranks[0].end() != 75:
            raise SystemExit("".join(ranks[0].text))
        return at - began
    finally:
        for rank in ranks:
            rank.process.kill()
            rank.process.wait()


def main() -> int:
    """Kill, stop, and print figures."""
    parser = argparse.ArgumentParser(description="Seconds that the loss of a process costs.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--longest", type=float, default=45.0, help="longest wait before a kill, in seconds")
    parser.add_argument("--watchdog", type=float, default=15.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stops = [stop(folder, arguments.watchdog, 8.0 + k) for k in range(arguments.stops)]
        if stops:
            print(
                f"{len(stops)} stopped: reported after {statistics.median(stops):.1f} s (median), {max(stops):.1f} s (most)"
            )
            print(f"  with a watchdog of {arguments.watchdog:g} s", flush=True)
        found = kill(folder, arguments.kills, arguments.processes, arguments.epochs, arguments.longest)
    for what, times in (("joined again", found.joined), ("first step", found.stepped)):
        print(f"{len(times)} killed: {what} after {statistics.median(times):.1f} s (median), {max(times):.1f} s (most)")
    for name, times in zip(PARTS, zip(*found.parts, strict=True), strict=True):
        print(f"  {name}: {statistics.median(times):.1f} s (median), {max(times):.1f} s (most)")
    print(f"  load of the machine in the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"  {found.equal} of {found.runs} trainings ended with the undisturbed weights")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"stops": stops, **asdict(found)}))
    return 0 if found.equal == found.runs else 1


if __name__ == "__main__":
    sys.exit(main())
