"""Timings of peers side by side: repeats take turns, so that all see the same machine, and their spread is shown.

In: peers set up for one workload. Out: seconds per step, one figure per repeat; medians, spreads and ratios.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import MappingProxyType

from chainrule.bench.peers import Peer, Skipped
from chainrule.bench.workers import Timed, Worker
from chainrule.bench.workloads import Workload


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of the repeats."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one figure; with fewer than four, the ends stand in for the quartiles.

        >>> Spread.of([4.0, 1.0, 3.0, 2.0, 5.0])
        Spread(median=3.0, low=2.0, high=4.0)
        """
        if len(values) < 4:
            return cls(statistics.median(values), min(values), max(values))
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Timing:
    """One peer on one workload: seconds per step (or call, or program) of each repeat, or why it was skipped.

    Parameters
    ----------
    peer : str
        Key of the peer.
    seconds : tuple of float, default=()
        Seconds of each repeat; empty for a skipped peer.
    threads : int, default=None
        Threads that were fastest, where there was a choice.
    skipped : str, default=""
        Why the peer did not take part.
    """

    peer: str
    seconds: tuple[float, ...] = ()
    threads: int | None = None
    skipped: str = ""

    @property
    def spread(self) -> Spread:
        """Median and quartiles of the repeats."""
        return Spread.of(self.seconds)


@dataclass(frozen=True)
class Result:
    """One workload: every peer's timing in the order of the table of peers, and the key of this package's own."""

    workload: Workload
    ours: str
    timings: tuple[Timing, ...]

    def of(self, peer: str) -> Timing | None:
        """Return the timing of a peer, or None if it did not take part."""
        return next((t for t in self.timings if t.peer == peer and t.seconds), None)

    def ratio(self, peer: str) -> Spread | None:
        """Return a peer's time over ours, repeat by repeat; above 1 this package is faster."""
        ours, theirs = self.of(self.ours), self.of(peer)
        if ours is None or theirs is None:
            return None
        return Spread.of([b / a for a, b in zip(ours.seconds, theirs.seconds, strict=True)])

    def best(self, peers: Sequence[str]) -> str | None:
        """Return the fastest of some peers, or None if none took part."""
        present = [timing for peer in peers if (timing := self.of(peer)) is not None]
        return min(present, key=lambda timing: timing.spread.median).peer if present else None

    def rate(self, peer: str) -> float:
        """Return the floating-point operations per second in matrix products; NaN if there are none to count."""
        timing = self.of(peer)
        operations = self.workload.operations
        return operations / timing.spread.median if timing is not None and operations else math.nan


@dataclass(frozen=True)
class MeasureSettings:
    """How long to measure.

    Parameters
    ----------
    repeats : int, default=7
        Repeats of every peer.
    seconds : float, default=0.2
        Shortest duration of a repeat.
    """

    repeats: int = 7
    seconds: float = 0.2


def calibrate(run: Callable[[int], float], seconds: float) -> tuple[int, float]:
    """Return how many units take at least `seconds`, and seconds per unit; units grow at most tenfold at a time."""
    units = 1
    while (took := run(units)) < seconds:
        wanted = 1.2 * seconds / max(took, seconds / 1e4)
        units = max(units + 1, math.ceil(units * min(10.0, wanted)))
    return units, took / units


def settle(timed: Timed, seconds: float) -> tuple[int, int | None]:
    """Return the units of a repeat and the fastest number of threads, or None if the peer offers no choice."""
    if not timed.threads:
        return calibrate(timed.run, seconds)[0], None
    tried = {}
    for n in timed.threads:
        timed.limit(n)
        tried[n] = calibrate(timed.run, seconds)
    best = min(tried, key=lambda n: tried[n][1])
    timed.limit(best)
    return tried[best][0], best


def interleave(runs: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Run every peer once per repeat, each time starting with another, so that effects on the neighbor even out.

    A peer that fails in between drops out without figures.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):
        names = list(taken)
        turn = repeat % max(len(names), 1)
        for name in names[turn:] + names[:turn]:
            try:
                taken[name].append(runs[name]())
            except Skipped:
                del taken[name]
    return taken


def measure(workload: Workload, ready: Mapping[str, Timed], settings: MeasureSettings) -> list[Timing]:
    """Time peers that are set up."""
    settled: dict[str, tuple[int, int | None]] = {}
    for name, timed in ready.items():
        with suppress(Skipped):
            settled[name] = settle(timed, settings.seconds)

    def once(name: str) -> Callable[[], float]:
        units = settled[name][0]
        return lambda: ready[name].run(units) / (units * workload.per_unit)

    taken = interleave({name: once(name) for name in settled}, settings.repeats)
    lost = [Timing(name, skipped="failed while it was timed") for name in ready if name not in taken]
    return [Timing(name, tuple(seconds), settled[name][1]) for name, seconds in taken.items()] + lost


def side_by_side(
    workloads: Sequence[Workload],
    taking_part: Sequence[Peer],
    ours: str,
    settings: MeasureSettings,
    processors: int,
    tell: Callable[[str], None] = lambda text: None,
    interpreters: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Result]:
    """Yield one result per workload; each peer keeps its process from the first workload to the last.

    A peer in `interpreters` runs in that Python.
    """
    kinds = {workload.kind for workload in workloads}
    with ExitStack() as stack:
        workers = {
            p.key: stack.enter_context(Worker(p, processors, interpreters.get(p.key, "")))
            for p in taking_part
            if kinds & set(p.kinds)
        }
        for workload in workloads:
            tell(workload.name)
            part = {p.key: workers[p.key] for p in taking_part if workload.kind in p.kinds}
            timings = {timing.peer: timing for timing in _one(workload, part, settings)}
            yield Result(workload, ours, tuple(timings[key] for key in part))


def _one(workload: Workload, part: Mapping[str, Worker], settings: MeasureSettings) -> list[Timing]:
    ready: dict[str, Timed] = {}
    out: list[Timing] = []
    for key, worker in part.items():
        try:
            worker.prepare(workload)
            ready[key] = worker
        except Skipped as reason:
            out.append(Timing(key, skipped=str(reason)))
    return measure(workload, ready, settings) + out
