"""Why: dividing a batch among machines pays only while a step takes longer than sending the weights: figures of when.

In: the time of training steps, measured here on one core; networks as latency and bandwidth; machines of unlike speed that
fail. Out: Markdown tables and SVG figures: up to 1,024 workers that divide a batch, or train the networks of a pack.

    python bench/scale.py [--quick] [--figures FOLDER] [--processes 1 2 4] [--json FILE | --measured FILE]

Only the steps, one network of a pack and `--processes` are measured; all else is computed from them by the model below:
a step lasts as long as its slowest worker, then the gradients are summed by a ring or by a tree, whichever is faster.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import chainrule
from chainrule import mlp
from chainrule.engines import Rows
from chainrule.engines.native import NativeEngine
from chainrule.engines.reference import ReferenceEngine
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe
from chainrule.report.plots import Curve, LinePlot
from chainrule.report.svg import document

SHAPES = ("64-128-10", "784-256-128-10", "784-2048-2048-10", "4096-4096-4096-1000")
BATCHES = (32, 256)
"""Rows of the two steps that are timed; between and beyond them the time is a straight line."""

FIXED_BATCH = 1024
SCALED_BATCH = 128
"""Rows of a batch that all workers share; rows of each worker where the batch grows with them."""

WORKERS = tuple(2**k for k in range(11))
MEMBERS = 1024
REPAIR = 60.0
"""Seconds until a worker that failed is replaced."""

FAILURES = (0.0, 1.0, 20.0)
"""Failures of a worker in an hour."""


@dataclass(frozen=True)
class Link:
    """A network between workers.

    Parameters
    ----------
    name : str
        What it is.
    latency : float
        Seconds until the first byte of a message arrives.
    bandwidth : float
        Bytes in a second, each way.
    spread : float
        Standard deviation of the logarithm of a worker's time for a step.
    """

    name: str
    latency: float
    bandwidth: float
    spread: float


LINKS = (
    Link("data center, 25 Gbit/s", 25e-6, 25e9 / 8, 0.02),
    Link("Ethernet, 1 Gbit/s", 100e-6, 1e9 / 8, 0.05),
    Link("internet, 20 Mbit/s", 30e-3, 20e6 / 8, 0.3),
)


@dataclass(frozen=True)
class Step:
    """The time of a training step on one core: a part for each step, which updates the weights, and one for each row.

    Parameters
    ----------
    shape : str
        The network.
    parameters : int
        Its weights and biases, of 4 bytes each.
    fixed, per_row : float
        Seconds.
    """

    shape: str
    parameters: int
    fixed: float
    per_row: float

    def seconds(self, rows: float) -> float:
        """Return the time of a step with some rows."""
        return self.fixed + self.per_row * rows

    @property
    def size(self) -> int:
        """Bytes of the gradient."""
        return 4 * self.parameters


def measured(shape: str, budget: float) -> Step:
    """Time steps of a network with few and with many rows."""
    sizes = [int(part) for part in shape.split("-")]
    net = mlp(sizes[0], sizes[1:-1], sizes[-1])
    few, many = (_fastest(net, sizes, rows, budget) for rows in BATCHES)
    per_row = max((many - few) / (BATCHES[1] - BATCHES[0]), 1e-12)
    return Step(shape, net.size, max(few - per_row * BATCHES[0], 0.0), per_row)


def _fastest(net: Any, sizes: Sequence[int], rows: int, budget: float) -> float:
    draw = np.random.default_rng(0)
    recipe = Recipe(net, SoftmaxCrossEntropy(), batch_size=rows)
    data = Rows.of(recipe, draw.normal(size=(rows, sizes[0])), draw.integers(sizes[-1], size=rows))
    native = NativeEngine(threads=1)
    engine = native if not native.supports(recipe) else ReferenceEngine()
    session = engine.compile(recipe, data)
    rates = np.array([0.001])
    best = np.inf
    until = time.perf_counter() + budget
    count = 0
    while count < 3 or time.perf_counter() < until:
        began = time.process_time()  # what others do on this core does not count
        session.run(count, 0, rates)
        best = min(best, time.process_time() - began)
        count += 1
    return float(best)


def ring(link: Link, workers: int, size: float) -> float:
    """Return the time to sum gradients in a ring: each worker sends its n-th part 2 (n - 1) times."""
    return 2 * (workers - 1) * (link.latency + size / workers / link.bandwidth)


def tree(link: Link, workers: int, size: float) -> float:
    """Return the time to sum gradients in a tree, up and down again."""
    return 2 * int(np.ceil(np.log2(workers))) * (link.latency + size / link.bandwidth)


def summed(link: Link, workers: int, size: float) -> float:
    """Return the time of the faster way."""
    return 0.0 if workers == 1 else min(ring(link, workers, size), tree(link, workers, size))


@cache
def slowest(workers: int, spread: float, draws: int = 400) -> float:
    """Return the mean time of the slowest of some workers, as a multiple of the usual one's."""
    sample = np.random.default_rng(workers).normal(scale=spread, size=(draws, workers))
    return float(np.exp(sample.max(axis=1)).mean())


def fixed_step(step: Step, link: Link, workers: int) -> float:
    """Return the time of a step whose batch is divided."""
    rows = int(np.ceil(FIXED_BATCH / workers))
    return slowest(workers, link.spread) * step.seconds(rows) + summed(link, workers, step.size)


def scaled_step(step: Step, link: Link, workers: int) -> float:
    """Return the time of a step in which every worker has a batch of its own."""
    return slowest(workers, link.spread) * step.seconds(SCALED_BATCH) + summed(link, workers, step.size)


def speedups(step: Step, link: Link) -> list[float]:
    """Return how much sooner a step of a divided batch is done than on one worker."""
    return [fixed_step(step, link, 1) / fixed_step(step, link, n) for n in WORKERS]


def efficiencies(step: Step, link: Link) -> list[float]:
    """Return the share of rows in a second that n workers reach of n times one worker's."""
    return [scaled_step(step, link, 1) / scaled_step(step, link, n) for n in WORKERS]


@dataclass(frozen=True)
class Member:
    """One network of a pack, measured here.

    Parameters
    ----------
    seconds : float
        Time of its training on one core.
    rows, weights : int
        Bytes that a worker receives once, and sends back for each network.
    """

    seconds: float
    rows: int
    weights: int


def measured_member(quick: bool) -> Member:
    """Train a pack of two networks on made rows, one after the other; return their mean."""
    draw = np.random.default_rng(0)
    X = draw.normal(size=(500 if quick else 5000, 10))
    preset = {"members": 2, "folds": 5} | ({"epochs": [6, 6]} if quick else {})
    model = chainrule.TableRegressor(preset=preset, seconds=None, n_jobs=1, random_state=0)
    began = time.process_time()
    members = model.fit(X, X[:, 0] * X[:, 1]).run_.members
    seconds = (time.process_time() - began) / len(members)
    return Member(seconds, 4 * X.size, int(np.mean([m.w.nbytes for m in members])))


def pack_seconds(member: Member, link: Link, workers: int, failures: float, seed: int = 0) -> tuple[float, int]:
    """Simulate the networks of a pack on workers that fail; return the time until the last is done, and the failures.

    A worker that fails loses the network that it trains; that is trained again, whole, by the next free worker.
    """
    draw = np.random.default_rng(seed)
    chance = np.random.default_rng(seed + 1)
    arrival = link.latency + member.rows / link.bandwidth
    free = [(arrival, k) for k in range(workers)]
    heapq.heapify(free)
    back = link.latency + member.weights / link.bandwidth
    left = MEMBERS
    lost = 0
    end = 0.0
    while left:
        at, worker = heapq.heappop(free)
        needed = member.seconds * float(np.exp(draw.normal(scale=link.spread))) + back
        until = chance.exponential(3600.0 / failures) if failures else np.inf
        if until < needed:
            lost += 1
            heapq.heappush(free, (at + until + REPAIR + arrival, worker))
        else:
            left -= 1
            end = max(end, at + needed)
            heapq.heappush(free, (at + needed, worker))
    return end, lost


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def time_text(seconds: float) -> str:
    """Return a time in a unit that suits it.

    >>> time_text(0.0123), time_text(75), time_text(7200)
    ('12.3 ms', '75.0 s', '2.0 h')
    """
    for limit, scale, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "min")):
        if seconds < limit:
            return f"{seconds * scale:.3g} {unit}" if scale > 1 else f"{seconds * scale:.1f} {unit}"
    return f"{seconds / 3600:.1f} h"


def step_table(steps: Sequence[Step]) -> str:
    """Return what was measured, and what sending it costs."""
    head = ["network", "parameters", "step, 128 rows", *(f"sum of 16, {link.name}" for link in LINKS)]
    return table(
        head,
        (
            [
                s.shape,
                f"{s.parameters:,}",
                time_text(s.seconds(128)),
                *(time_text(summed(k, 16, s.size)) for k in LINKS),
            ]
            for s in steps
        ),
    )


def fixed_table(steps: Sequence[Step]) -> str:
    """Return where more workers for a batch of fixed size stop paying."""

    def cell(step: Step, link: Link) -> str:
        found = speedups(step, link)
        best = int(np.argmax(found))
        return f"{found[best]:.1f} x with {WORKERS[best]}" if best else "never"

    return table(["network", *(k.name for k in LINKS)], ([s.shape, *(cell(s, k) for k in LINKS)] for s in steps))


def scaled_table(steps: Sequence[Step]) -> str:
    """Return the most workers of which half of the time is work, where the batch grows with them."""

    def cell(step: Step, link: Link) -> str:
        good = [n for n, share in zip(WORKERS, efficiencies(step, link), strict=True) if share >= 0.5]
        return f"{max(good):,}" + (" or more" if max(good) == WORKERS[-1] else "")

    return table(["network", *(k.name for k in LINKS)], ([s.shape, *(cell(s, k) for k in LINKS)] for s in steps))


def pack_table(member: Member) -> str:
    """Return the time of a pack on more and more workers that fail, over the internet."""
    link = LINKS[-1]

    def row(workers: int) -> list[str]:
        found = [pack_seconds(member, link, workers, failures) for failures in FAILURES]
        ideal = MEMBERS * member.seconds / workers
        return [
            f"{workers:,}",
            *(f"{time_text(end)} ({lost} lost)" for end, lost in found),
            f"{ideal / found[0][0]:.0%}",
        ]

    head = ["workers", *(f"{failures:g} failures per hour" for failures in FAILURES), "of the ideal, without failures"]
    return table(head, (row(n) for n in WORKERS if n in (1, 4, 16, 64, 256, 1024)))


def plots(steps: Sequence[Step], member: Member) -> dict[str, LinePlot]:
    """Return the figures."""
    chosen = steps[min(2, len(steps) - 1)]
    one = pack_seconds(member, LINKS[-1], 1, 0.0)[0]
    pack = [one / pack_seconds(member, LINKS[-1], n, 1.0)[0] for n in WORKERS]
    ideal = Curve("ideal", WORKERS, WORKERS, 7, dashed=True)
    divided = [Curve(link.name, WORKERS, speedups(chosen, link), k, dots=True) for k, link in enumerate(LINKS)]
    alone = Curve("a pack over the internet", WORKERS, pack, 3, dots=True)
    shares = [Curve(link.name, WORKERS, efficiencies(chosen, link), k, dots=True) for k, link in enumerate(LINKS)]
    logarithmic = {"x_name": "workers", "x_log": True}
    batch = f"{chosen.shape}, batch of {FIXED_BATCH:,} rows divided"
    return {
        "scale-fixed": LinePlot(
            f"Speedup: {batch}", [*divided, alone, ideal], y_name="times one worker", y_log=True, **logarithmic
        ),
        "scale-grown": LinePlot(
            f"Efficiency: {chosen.shape}, {SCALED_BATCH} rows for each worker", shares, y_name="share", **logarithmic
        ),
    }


def _lo_up() -> None:
    """Start the loopback of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        flags = 0x8914
        fcntl.ioctl(handle, flags, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


def _lo_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    return 0


def run_processes(processes: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Train digits on some processes of this machine; return times, bytes over the loopback, losses, weights."""
    source = str(Path(chainrule.__file__).parents[1])
    options = ["digits", "--hidden", "128", "--patience", "0", "--doctor", "off", "--seed", "3", "--json"]
    options += ["--epochs", str(epochs), "--batch-size", "128", "--out", str(folder)]
    options += ["--engine", "jax"] if processes == 1 else ["--processes", str(processes)]
    before = _lo_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "chainrule", "train", *options],
        env={**os.environ, "PYTHONPATH": source, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    records = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    return {
        "seconds": [epoch["seconds"] / epoch["steps"] for epoch in records[1:]],  # the first is compiled
        "bytes": _lo_bytes() - before,
        "losses": [epoch["train_loss"] for epoch in records],
        "weights": chainrule.load_model(folder / "model.safetensors").w.tolist(),
    }


def apart(processes: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Run processes in a network namespace of their own, so that nobody else's bytes are counted."""
    words = [sys.executable, __file__, "--inside", str(processes), str(epochs), str(folder)]
    done = subprocess.run(["unshare", "--net", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    plain: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return plain


def process_table(counts: Sequence[int], epochs: tuple[int, int] = (2, 12)) -> str:
    """Measure the same training on several processes: seconds and bytes of one step, and how far the losses are apart."""
    if shutil.which("unshare") is None:
        return "unshare is needed to count bytes; nothing was measured."
    found = {}
    with tempfile.TemporaryDirectory() as name:
        for count in counts:
            found[count] = [apart(count, length, Path(name) / f"{count}-{length}") for length in epochs]
    rows = 1797 * 0.8 * 0.8
    steps = int(np.ceil(rows / 128)) * (epochs[1] - epochs[0])
    parameters = 64 * 128 + 128 + 128 * 10 + 10

    def row(count: int) -> list[str]:
        short, long = found[count]
        each = (long["bytes"] - short["bytes"]) / steps
        sent = 2 * (count - 1) * 4 * parameters
        first = found[counts[0]][1]
        far = [float(np.abs(np.subtract(long[name], first[name])).max()) for name in ("losses", "weights")]
        low, usual, high = np.quantile(long["seconds"], (0.0, 0.5, 1.0))
        seconds = f"{time_text(usual)} ({time_text(low)} to {time_text(high)})"
        return [str(count), seconds, f"{each / 1e3:,.0f} kB", f"{sent / 1e3:,.0f} kB", *(f"{by:.1e}" for by in far)]

    head = [
        "processes",
        "time of a step, median (range) of epochs",
        "bytes of a step, all processes",
        "of which gradients (ring)",
        "losses apart",
        "weights apart",
    ]
    return table(head, (row(count) for count in counts))


def all_measured(quick: bool) -> tuple[list[Step], Member]:
    """Time steps of all networks, and one network of a pack."""
    shapes = SHAPES[: 2 if quick else None]
    return [measured(shape, 0.05 if quick else 2.0) for shape in shapes], measured_member(quick)


def read(path: Path) -> tuple[list[Step], Member]:
    """Return what `--json` wrote."""
    plain = json.loads(path.read_text())
    return [Step(**step) for step in plain["steps"]], Member(**plain["member"])


def main() -> int:
    """Measure, simulate, print and draw."""
    parser = argparse.ArgumentParser(description="Where dividing a batch stops paying, and what a pack does instead.")
    parser.add_argument("--quick", action="store_true", help="two small networks, short measurements")
    parser.add_argument("--figures", type=Path, help="folder for the SVG figures")
    parser.add_argument("--processes", type=int, nargs="*", default=[], help="measure these numbers of processes too")
    parser.add_argument("--json", type=Path, help="file for what was measured")
    parser.add_argument("--measured", type=Path, help="such a file, in place of measuring again")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        processes, epochs, folder = arguments.inside
        _lo_up()
        print(json.dumps(run_processes(int(processes), int(epochs), Path(folder))))
        return 0
    steps, member = all_measured(arguments.quick) if arguments.measured is None else read(arguments.measured)
    print("## A step and a sum of gradients\n\n" + step_table(steps))
    print(f"\n## A batch of {FIXED_BATCH:,} rows, divided: where one more worker stops paying\n\n" + fixed_table(steps))
    print(f"\n## {SCALED_BATCH} rows for each worker: where half of the time is waiting\n\n" + scaled_table(steps))
    print(
        f"\n## {MEMBERS:,} networks of a pack over the internet, {time_text(member.seconds)} each\n\n"
        + pack_table(member)
    )
    if arguments.processes:
        print("\n## Processes of this machine\n\n" + process_table(arguments.processes))
    for name, plot in plots(steps, member).items() if arguments.figures else ():
        arguments.figures.mkdir(parents=True, exist_ok=True)
        (arguments.figures / f"{name}.svg").write_text(document(plot), "utf-8")
    if arguments.json is not None:
        plain = {"steps": [asdict(step) for step in steps], "member": asdict(member)}
        arguments.json.write_text(json.dumps(plain, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
