"""Why: what a step costs is known only by how it grows: curves of time and memory with their exponents, and where they bend.

In: nothing. Out: a Markdown table and an SVG figure: time against rows, columns, width, depth, batch, members and threads.

    python bench/growth.py [--repeats 5] [--seconds 0.05] [--figures FOLDER] [--axis NAME ...]

One quantity grows at a time, from a network of 64 columns, two hidden layers of 128 and ten classes, batches of 128 and one
thread. The points of a curve take turns, so that all see the same machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chainrule.bench.measure import Spread, calibrate, interleave
from chainrule.bench.workers import processors
from chainrule.bench.workloads import LEARNING_RATE, Workload
from chainrule.engines import Rows
from chainrule.engines.native import NativeEngine
from chainrule.report.plots import Curve, LinePlot
from chainrule.report.svg import document
from chainrule.train.many import train_many
from chainrule.train.problem import TrainConfig, TrainingProblem

BASE = Workload("base", "training", (64, 128, 128, 10), 128, 1024)
ALONE = Workload("alone", "training", (64, 1024, 1024, 10), 256, 1024)
"""The network whose threads are counted: a step of the base has too little work to divide."""

MEMBER = Workload("member", "training", (16, 32, 2), 32, 256)
"""A network of those that are trained together."""

_EPOCHS = 20
"""Epochs of a unit of such a training: with a single one there is nothing to do in one call."""

BEND = 0.5
"""A curve bends where its local exponent comes within this share of the exponent at its end."""


@dataclass(frozen=True)
class Point:
    """A value of what grows, what is run for it, and the bytes that the session holds."""

    value: int
    run: Callable[[int], float]
    nbytes: int
    units: float = 1.0


def _session(workload: Workload, threads: int = 1) -> tuple[Callable[[int], float], int]:
    """Return what trains some epochs and says how many seconds they took, and the bytes of the session."""
    recipe = workload.recipe
    session = NativeEngine(threads).compile(recipe, Rows.of(recipe, *workload.data()))
    rates = np.full(workload.per_epoch, LEARNING_RATE)

    def run(epochs: int) -> float:
        began = time.perf_counter()
        for epoch in range(epochs):
            session.run(epoch, 0, rates)
        return time.perf_counter() - began

    return run, session.nbytes


def _step(value: int, workload: Workload, threads: int = 1) -> Point:
    run, nbytes = _session(workload, threads)
    return Point(value, run, nbytes, workload.per_epoch)


def _epoch(value: int, workload: Workload) -> Point:
    return Point(value, *_session(workload))


def _together(value: int) -> Point:
    """Return an epoch of many networks of one shape, trained in the same calls on all threads."""
    recipe = MEMBER.recipe
    rows = Rows.of(recipe, *MEMBER.data())

    def run(units: int) -> float:
        config = TrainConfig(_EPOCHS * units, LEARNING_RATE)
        problems = [TrainingProblem(recipe, rows, config).with_seed(seed) for seed in range(value)]
        began = time.perf_counter()
        assert train_many(problems, [()] * len(problems), processors()) is not None
        return time.perf_counter() - began

    return Point(value, run, value * _session(MEMBER)[1], _EPOCHS)


def _hidden(width: int, depth: int = 2) -> Workload:
    return replace(BASE, widths=(64, *(width,) * depth, 10))


AXES: dict[str, tuple[str, Callable[[], list[Point]]]] = {
    "rows": ("an epoch", lambda: [_epoch(n, replace(BASE, rows=n)) for n in _doubled(256, 65536)]),
    "columns": ("a step", lambda: [_step(d, replace(BASE, widths=(d, 128, 128, 10))) for d in _doubled(8, 4096)]),
    "width": ("a step", lambda: [_step(k, _hidden(k)) for k in _doubled(8, 2048)]),
    "depth": ("a step", lambda: [_step(n, _hidden(128, n)) for n in _doubled(1, 32)]),
    "batch": ("a step", lambda: [_step(n, replace(BASE, batch=n, rows=max(n, 1024))) for n in _doubled(1, 4096)]),
    "members": ("an epoch of all", lambda: [_together(n) for n in _doubled(2, 256)]),
    "threads": ("a step of 64-1024-1024-10", lambda: [_step(n, ALONE, n) for n in range(1, processors() + 1)]),
}
"""By what grows: what is timed, and its points."""


def _doubled(first: int, last: int) -> list[int]:
    return [first << i for i in range((last // first).bit_length())]


def exponents(values: Sequence[float], figures: Sequence[float]) -> list[float]:
    """Return the local exponents: the slopes between neighbors where both are logarithms.

    >>> exponents([1, 2, 4], [3.0, 6.0, 24.0])
    [1.0, 2.0]
    """
    return [float(slope) for slope in np.diff(np.log2(figures)) / np.diff(np.log2(values))]


def bend(values: Sequence[float], figures: Sequence[float]) -> float | None:
    """Return the first value from which each local exponent is near that at the end, or None if all of them are.

    >>> bend([1, 2, 4, 8, 16], [1.0, 1.1, 1.2, 2.4, 4.8])
    4
    """
    slopes = exponents(values, figures)
    last = float(np.mean(slopes[-2:]))
    far = [i for i, slope in enumerate(slopes) if abs(slope - last) > BEND * max(abs(last), 0.1)]
    return values[far[-1] + 1] if far else None


def measured(points: Sequence[Point], repeats: int, seconds: float) -> list[Spread]:
    """Return the seconds of each point's unit; the points take turns."""
    runs = {}
    for point in points:
        units = calibrate(point.run, seconds)[0]
        runs[str(point.value)] = lambda point=point, units=units: point.run(units) / (units * point.units)
    taken = interleave(runs, repeats)
    return [Spread.of(taken[str(point.value)]) for point in points]


def row(axis: str, what: str, points: Sequence[Point], spreads: Sequence[Spread]) -> str:
    """Return the line of a table: ends of the curve, exponents of time and memory, and the bend."""
    values = [point.value for point in points]
    times = [spread.median for spread in spreads]
    slopes = exponents(values, times)
    memory = exponents(values, [point.nbytes for point in points])
    bends = bend(values, times)
    wide = max((spread.high - spread.low) / 2 / spread.median for spread in spreads)
    cells = (
        axis,
        what,
        f"{values[0]:,} to {values[-1]:,}",
        f"{1e6 * times[0]:,.3g} to {1e6 * times[-1]:,.3g}",
        f"{slopes[0]:.2f}",
        f"{np.mean(slopes[-2:]):.2f}",
        "-" if bends is None else f"{bends:,}",
        f"{points[0].nbytes / 1e3:,.3g} to {points[-1].nbytes / 1e3:,.3g}",
        f"{np.mean(memory[-2:]):.2f}",
        f"{100 * wide:.0f} %",
    )
    return "| " + " | ".join(cells) + " |"


HEAD = """| what grows | timed | from, to | µs | exponent first | last | bends at | kB of the session | exponent | spread |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|"""


def main() -> None:
    """Measure every curve, print the table and write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--axis", nargs="+", choices=list(AXES), default=list(AXES))
    given = parser.parse_args()
    print(HEAD, flush=True)
    curves = []
    for axis in given.axis:
        what, make = AXES[axis]
        points = make()
        spreads = measured(points, given.repeats, given.seconds)
        print(row(axis, what, points, spreads), flush=True)
        x = [point.value for point in points]
        relative = [[getattr(s, name) / spreads[0].median for s in spreads] for name in ("median", "low", "high")]
        curves.append(Curve(axis, x, relative[0], low=relative[1], high=relative[2], dots=True))
    if given.figures is not None:
        plot = LinePlot("Time, relative to the first point", curves, x_name="what grows", x_log=True, y_log=True)
        given.figures.mkdir(parents=True, exist_ok=True)
        (given.figures / "growth.svg").write_text(document(plot), "utf-8")


if __name__ == "__main__":
    main()
