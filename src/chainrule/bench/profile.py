"""Profiles of a training step: where its time goes, and how far each part is from the machine's limit.

In: a recipe, an engine, peaks. Out: parts with seconds, operations, bytes, and the least time that those allow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.arrays import Array, Layout, Named
from chainrule.bench.machine import Peak
from chainrule.bench.workloads import LEARNING_RATE
from chainrule.engines import Rows, choose
from chainrule.errors import InvalidValueError, must_be
from chainrule.nn.layers import Context
from chainrule.nn.losses import mean_loss
from chainrule.nn.optimizers import StepContext
from chainrule.nn.step import Recipe, State
from chainrule.random import Purpose, Stream
from chainrule.report.costs import operations

_CACHED = 2**20
"""A part that touches fewer bytes than this is compared with the caches, otherwise with memory."""


@dataclass(frozen=True)
class StepPart:
    """One part of a step: seconds per step, floating-point operations, least bytes read or written."""

    text: str
    shape: str
    seconds: float
    operations: int
    nbytes: int

    def floor(self, peak: Peak) -> float:
        """Return the least seconds by the roofline model of Williams, Waterman and Patterson (2009).

        The time is limited by the peak of products or by the bytes, whichever takes longer.
        """
        rate = peak.cache if self.nbytes < _CACHED else peak.memory
        return max(self.operations / peak.product, self.nbytes / rate)

    def bound(self, peak: Peak) -> str:
        """Return what limits the part: products, cache or memory."""
        by_products = self.operations / peak.product
        rate, name = (peak.cache, "cache") if self.nbytes < _CACHED else (peak.memory, "memory")
        return "products" if by_products >= self.nbytes / rate else name


@dataclass(frozen=True)
class Profile:
    """A step's parts in order, the seconds of a step timed as a whole, and what ran it."""

    engine: str
    threads: int | None
    step: float
    parts: tuple[StepPart, ...]


@dataclass
class Clock:
    """Adds up seconds by name, in the order in which names first appear."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Time the body of the context."""
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def profile(recipe: Recipe, rows: Rows, engine: str, seconds: float = 1.0) -> Profile:
    """Time a step's parts for about `seconds`.

    Raises `InvalidValueError` for an engine that compiles the step into one program, which has no parts to time.
    """
    chosen, _ = choose(engine, recipe)
    if chosen.name not in ("native", "reference"):
        hint = "Its step is one compiled program; use JAX's own profiler."
        raise InvalidValueError(must_be("profile", "--engine", "auto, native or reference", engine, hint))
    session: Any = chosen.compile(recipe, rows)
    steps = len(recipe.batches(len(rows)))
    session.run(0, 0, np.full(steps, LEARNING_RATE))
    epochs = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        epochs += 1
        session.run(epochs, 0, np.full(steps, LEARNING_RATE))
    step = (time.perf_counter() - began) / (epochs * steps)
    if chosen.name == "native":
        return Profile(chosen.name, session.threads, step, tuple(_native(session, epochs, steps)))
    return Profile(chosen.name, None, step, tuple(_reference(recipe, rows, min(epochs * steps, 1000))))


def _native(session: Any, epochs: int, steps: int) -> Iterator[StepPart]:
    """Time the phases of the native engine's plan, as the calling thread sees them."""
    session.profile()
    before = session.seconds
    for epoch in range(epochs):
        session.run(epoch, 0, np.full(steps, LEARNING_RATE))
    took = [(after - first) / (epochs * steps) for after, first in zip(session.seconds, before, strict=True)]
    for phase, each in zip(session.plan.phases, took, strict=True):
        yield StepPart(phase.text, phase.shape, each, phase.flops, phase.nbytes)


def _reference(recipe: Recipe, rows: Rows, steps: int) -> Iterator[StepPart]:
    """Time the step's equations layer by layer, for a number of steps."""
    clock = Clock()
    state = recipe.start()
    bounds = recipe.batches(len(rows))
    order = recipe.order(np, len(rows), 0)
    for i in range(steps):
        start, end = bounds[i % len(bounds)]
        with clock.of("gather rows"):
            take = order[start:end]
            batch = rows.X[take], rows.Y[take], rows.c[take]
        state = _timed_step(recipe, state, batch, clock)
    costs = dict(_costs(recipe))
    for name, total in clock.seconds.items():
        yield StepPart(name, costs[name][0], total / steps, *costs[name][1:])


def _timed_step(recipe: Recipe, state: State, batch: Sequence[Array], clock: Clock) -> State:
    """Run `train_step` in timed parts; penalties and clipping count with the update."""
    net, (X, Y, c) = recipe.net, batch
    ctx = Context(np, training=True, stream=Stream.from_seed(recipe.seed).fold(Purpose.DROPOUT, int(state.step)))
    p, b = by_layer(net.parameters, state.w, len(net.layers)), by_layer(net.buffers, state.buffers, len(net.layers))
    A, saved, new = X, [], {}
    for i, layer in enumerate(net.layers):
        with clock.of(f"{i} {type(layer).__name__} forward"):
            within = Context(np, True, None if ctx.stream is None else ctx.stream.fold(i))
            A, kept, after = layer.forward(p[i], b[i], A, within)
        saved.append(kept)
        new.update({f"{i}.{letter}": array for letter, array in after.items()})
    with clock.of(f"{type(recipe.loss).__name__} and its gradient"):
        dA = mean_loss(recipe.loss, np, A, Y, c)[1]
    grads: dict[str, Array] = {}
    for i in reversed(range(len(net.layers))):
        with clock.of(f"{i} {type(net.layers[i]).__name__} backward"):
            dA, g = net.layers[i].backward(p[i], saved[i], dA, ctx)
        grads.update({f"{i}.{letter}": array for letter, array in g.items()})
    with clock.of(f"{type(recipe.optimizer).__name__}"):
        flat = net.parameters.pack(np, grads, state.w)
        flat = flat + recipe.penalty.gradient(np, state.w, recipe.decay) if recipe.penalty.active else flat
        flat = flat if recipe.clip is None else recipe.clip.apply(np, flat, np.sqrt((flat * flat).sum()))
        t, lr = np.asarray(state.step + 1, recipe.dtype), np.asarray(LEARNING_RATE, recipe.dtype)
        w, memory = recipe.optimizer.update(state.w, flat, state.optimizer_state, StepContext(np, t, lr, recipe.decay))
    return State(w, net.buffers.pack(np, new, state.buffers), memory, state.step + 1)


def by_layer(layout: Layout, flat: Array, count: int) -> list[Named]:
    """Return views of a flat vector, one dictionary of letters per layer."""
    layers: list[dict[str, Array]] = [{} for _ in range(count)]
    for name, view in layout.views(flat).items():
        i, letter = name.split(".")
        layers[int(i)][letter] = view
    return list(layers)


def _costs(recipe: Recipe) -> Iterator[tuple[str, tuple[str, int, int]]]:
    """Yield shape, operations and bytes of every part of the reference engine's step, temporaries not counted."""
    net, n, size = recipe.net, recipe.batch_size, np.dtype(recipe.dtype).itemsize
    yield "gather rows", (f"({n}, {net.inputs})", 0, 2 * n * net.inputs * size)
    for i, layer in enumerate(net.layers):
        kind, d, k = type(layer).__name__, net.widths[i], net.widths[i + 1]
        forward, backward = operations(layer, n, d, k)
        weights = d * k if kind == "Dense" else 0
        yield f"{i} {kind} forward", (f"({n}, {d}) -> ({n}, {k})", forward, size * (n * d + n * k + weights))
        yield f"{i} {kind} backward", (f"({n}, {k}) -> ({n}, {d})", backward, size * (2 * n * d + n * k + 2 * weights))
    k, P, vectors = net.outputs, net.size, 3 + 2 * len(recipe.optimizer.state_names)
    yield f"{type(recipe.loss).__name__} and its gradient", (f"({n}, {k})", 9 * n * k, 3 * n * k * size)
    yield f"{type(recipe.optimizer).__name__}", (f"({P})", 12 * P, vectors * P * size)


def table(measured: Profile, peak: Peak) -> Any:
    """Return a rich table: share of the time, speed, and how close each part is to the roofline."""
    from rich import box
    from rich.table import Table

    total = sum(part.seconds for part in measured.parts)
    view = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "µs", "share", "GFLOP/s", "GB/s", "reached", "bound by"):
        view.add_column(name, justify="left" if name in ("", "bound by") else "right", no_wrap=bool(name))
    for part in measured.parts:
        took = max(part.seconds, 1e-12)
        figures = (f"{1e6 * took:.2f}", f"{100 * took / total:.0f} %", f"{part.operations / took / 1e9:.1f}")
        reached = f"{100 * part.floor(peak) / took:.0f} %"
        view.add_row(part.text, *figures, f"{part.nbytes / took / 1e9:.1f}", reached, part.bound(peak))
    return view


def plain(measured: Profile, peak: Peak) -> dict[str, Any]:
    """Return the profile as plain data."""
    parts = [vars(part) | {"least": part.floor(peak), "bound": part.bound(peak)} for part in measured.parts]
    return {
        "engine": measured.engine,
        "threads": measured.threads,
        "step": measured.step,
        "parts": parts,
        "peak": vars(peak),
    }
