"""The JAX engine: the same equations compiled by XLA for CPU, GPU or TPU, without writing any layer again.

In: a recipe and rows. Out: a session whose rows and state stay on the device, where the batches are looped. In a process
that has joined a `World`, each batch is divided among the devices of all processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np

from chainrule import world as the_world
from chainrule.arrays import Array
from chainrule.constraints import Checked, OneOf, constrained
from chainrule.engines.base import Rows, Session, never
from chainrule.engines.border import checked_batches, checked_inputs, checked_rows, checked_state
from chainrule.errors import InvalidValueError, MissingError, must_be
from chainrule.nn.layers import Context
from chainrule.nn.step import Recipe, State, Sums, train_step

_CHUNK = 4096
"""Most rows per pass in inference; bounds the memory of activations."""

_MOST_STEPS = 2**32 - 1
"""Steps that 32 bits can count."""

_PACE = 0.25
"""Seconds of work sent to the device at a time; after each, `stop` is called."""

_FIRST = 32
"""Steps sent the first time, before any has been timed."""

_TOGETHER = 256
"""Steps sent at a time where several processes train together: all must send the same ones, whatever their clocks say."""

_PRODUCTS = {"float32": "highest", "tf32": "TF32_TF32_F32", "bf16": "BF16_BF16_F32"}
"""XLA's names for how the factors of a matrix product are rounded; sums are float32 in every case."""


@cache
def _jax() -> Any:
    """Import JAX and register `State` and `Sums` as trees of arrays.

    Raises `MissingError` if JAX is not installed.
    """
    try:
        import jax
    except ImportError as error:
        hint = "Install it with: pip install 'chainrule[jax]'."
        raise MissingError(f"fit: engine 'jax' is not available. {hint}") from error
    for record in (State, Sums):
        jax.tree_util.register_dataclass(record, [f.name for f in fields(record)], [])
    return jax


@dataclass(frozen=True)
class _Place:
    """Where arrays lie: on the device of this process, or on the devices of all processes of a world.

    `whole` is the sharding of an array that every device holds, `parted` that of rows divided among them; both are None on
    one device.
    """

    jax: Any
    whole: Any = None
    parted: Any = None

    @classmethod
    def of(cls, jax: Any, together: bool) -> _Place:
        """Return all devices of a world as one line, or this process's own device."""
        if not together:
            return cls(jax)
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
        return cls(
            jax,
            jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()),
            jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows")),
        )

    def put(self, array: Array) -> Array:
        """Return a copy of a host array where every device has it."""
        if self.whole is None:
            return self.jax.numpy.array(array)
        return self.jax.device_put(np.array(array), self.whole)

    def divided(self, array: Array) -> Array:
        """Return rows inside a compiled function, divided among the devices."""
        return array if self.parted is None else self.jax.lax.with_sharding_constraint(array, self.parted)

    def compiled(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """Return a compiled function whose results every device has."""
        if self.whole is not None:
            options = {**options, "out_shardings": self.whole}
        found: Callable[..., Any] = self.jax.jit(function, **options)
        return found


def _steps(recipe: Recipe, place: _Place) -> Callable[..., tuple[State, Sums]]:
    """Return a function that runs batches first .. last-1 of an epoch, all of `size` rows, as one loop on the device.

    Only `size` is compiled in, so one program serves any number of steps, and a step's bits do not depend on how many
    run at once. The state passed in is consumed: its memory holds the new one.
    """
    jax = place.jax
    jnp = jax.numpy
    zero = np.zeros((), recipe.dtype)

    def run(
        state: State, data: tuple[Array, ...], order: Array, rates: Array, first: Array, last: Array, size: int
    ) -> Any:
        def step(i: Array, carry: tuple[State, Sums]) -> tuple[State, Sums]:
            take = jax.lax.dynamic_slice(order, (i * recipe.batch_size,), (size,))
            X, Y, c = (place.divided(rows.at[take].get(mode="promise_in_bounds")) for rows in data)
            state, measured = train_step(recipe, jnp, carry[0], X, Y, c, rates[i])
            return state, carry[1] + measured

        return jax.lax.fori_loop(first, last, step, (state, Sums(zero, zero, zero, zero, np.int32(0))))

    return place.compiled(run, static_argnames="size", donate_argnames="state")


class JaxSession:
    """A training run by `train_step` under `jax.jit`."""

    def __init__(self, recipe: Recipe, rows: Rows, products: str) -> None:
        jax = self._jax = _jax()
        world = the_world.current()
        place = self._place = _Place.of(jax, world is not None)
        self._world = world
        self._checked = False
        self._watchdog = None if world is None else the_world.Watchdog(world)
        rows = checked_rows(recipe, rows.gathered())
        self._recipe = recipe
        self._products = products
        self._sizes = [end - start for start, end in recipe.batches(len(rows))]
        self._chunk = _FIRST if world is None else _TOGETHER
        self._order: tuple[int, Array] = (-1, None)
        with self._numerics():
            Y = rows.Y.astype(np.int32) if rows.Y.dtype.kind == "i" else rows.Y
            if world is not None:
                the_world.check_agreement("training rows and options", recipe, rows.X, Y, rows.c)
            self._data = tuple(place.put(array) for array in (rows.X, Y, rows.c))
        self._shuffle = place.compiled(lambda epoch: recipe.order(jax.numpy, len(rows), epoch))
        self._steps = _steps(recipe, place)
        self._logits = place.compiled(
            lambda w, buffers, X: recipe.net(w, buffers, place.divided(X), Context(jax.numpy))
        )
        self.load(recipe.start())

    def _together(self, kind: str) -> AbstractContextManager[None]:
        """Return a context that watches work that needs the other processes, where there are some."""
        return nullcontext() if self._watchdog is None else self._watchdog.watching(kind)

    def _numerics(self) -> ExitStack:
        """Return a context with the recipe's dtype and the engine's products; the process's own settings stay."""
        stack = ExitStack()
        stack.enter_context(self._jax.enable_x64(self._recipe.dtype == "float64"))
        stack.enter_context(self._jax.default_matmul_precision(_PRODUCTS[self._products]))
        return stack

    @property
    def state(self) -> State:
        """All numbers now, copied to the host."""
        now = self._jax.tree.map(np.array, self._state)
        return State(now.w, now.buffers, now.optimizer_state, int(now.step))

    def load(self, state: State) -> None:
        """Continue from a copy of a state."""
        dtype = self._recipe.dtype
        state = checked_state(self._recipe, state)
        if int(state.step) > _MOST_STEPS:
            raise InvalidValueError(must_be("Session", "state.step", f"at most {_MOST_STEPS} with JAX", state.step))
        memory = {letter: np.array(vector, dtype) for letter, vector in state.optimizer_state.items()}
        copy = State(np.array(state.w, dtype), np.array(state.buffers, dtype), memory, np.uint32(state.step))
        with self._numerics():
            self._state = self._jax.tree.map(self._place.put, copy)

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Run batches of an epoch, about `_PACE` seconds at a time; `stop` is called in between."""
        rates = checked_batches(len(self._sizes), epoch, first, rates)
        at = first
        last = first + len(rates)
        sums = Sums()
        padded = np.zeros(len(self._sizes), self._recipe.dtype)
        padded[first:last] = rates
        with self._numerics():
            if self._world is not None and (first == 0 or not self._checked):
                self._check_ranks(epoch, first)
            if self._order[0] != epoch:
                self._order = (epoch, self._shuffle(np.uint32(epoch)))
            while at < last:
                began = time.perf_counter()
                until = self._until(at, last)
                sums = sums + self._advance(padded, at, until)
                if self._world is None:
                    pace = min(4.0, max(0.5, _PACE / (time.perf_counter() - began)))
                    self._chunk = max(1, int(self._chunk * pace))
                at = until
                if stop():
                    break
        return sums

    def _check_ranks(self, epoch: int, first: int) -> None:
        """Compare the numbers of all processes, when they set out and at the start of every epoch."""
        now = self.state
        vectors = the_world.tree_parts(now.optimizer_state)
        with self._together("comparison"):
            the_world.check_agreement(
                "weights and place in the training", epoch, first, now.step, now.w, now.buffers, *vectors
            )
        self._checked = True

    def _until(self, at: int, last: int) -> int:
        """Return where the next piece of work ends: at the chunk's end, or where the batch size changes."""
        until = min(at + self._chunk, last)
        return until if self._sizes[until - 1] == self._sizes[at] else until - 1

    def _advance(self, rates: Array, first: int, last: int) -> Sums:
        size = self._sizes[first]
        with self._together("steps"):
            moved = self._steps(
                self._state, self._data, self._order[1], rates, np.int32(first), np.int32(last), size=size
            )
            self._state, measured = moved
            sums: Sums = self._jax.tree.map(lambda number: number.item(), self._jax.device_get(measured))
        return sums

    def logits(self, X: Array) -> Array:
        """Compute Z in inference; rows are padded to a power of two, so that few shapes are ever compiled."""
        X = checked_inputs(self._recipe.net, X, self._recipe.dtype)
        chunks = [self._padded(X[start : start + _CHUNK]) for start in range(0, max(len(X), 1), _CHUNK)]
        with self._numerics(), self._together(f"answers for {len(X)} rows"):
            w = self._recipe.weights(self._state)
            Z = [self._logits(w, self._state.buffers, chunk) for chunk in chunks]
            return np.concatenate([np.asarray(part) for part in Z])[: len(X)]

    def _padded(self, X: Array) -> Array:
        size = 1 << max(len(X) - 1, 0).bit_length()
        return np.concatenate([X, np.zeros((size - len(X), X.shape[1]), X.dtype)])


@dataclass(frozen=True)
class JaxEngine(Checked):
    """The mathematics of `nn`, compiled by JAX for its default device.

    Parameters
    ----------
    products : {"float32", "tf32", "bf16"}, default="float32"
        How a GPU rounds the factors of matrix products; weights, sums and everything else stay float32. "float32"
        does not round, so results equal the other engines'; "tf32" keeps 10 bits of the fraction, "bf16" 7 bits.

    Raises
    ------
    MissingError
        If the package jax is not installed.
    """

    products: str = constrained(OneOf(tuple(_PRODUCTS)), "float32")
    name = "jax"

    def __post_init__(self) -> None:
        super().__post_init__()
        _jax()

    def supports(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the reasons why this engine cannot run a recipe: rounded products need float32 and a GPU.

        Parameters
        ----------
        recipe : Recipe
            The training to run.

        Returns
        -------
        tuple of str
            One sentence per reason; empty if the engine can run the recipe.
        """
        if self.products == "float32":
            return ()
        device = _jax().default_backend()
        reasons = []
        if recipe.dtype != "float32":
            reasons.append(f"{self.products} products need dtype float32, got {recipe.dtype}.")
        if device != "gpu":
            reasons.append(f"{self.products} products need a GPU, but JAX runs on {device}.")
        return tuple(reasons)

    def compile(self, recipe: Recipe, rows: Rows) -> Session:
        """Return a session at the recipe's initial state; it is compiled when it first runs.

        Parameters
        ----------
        recipe : Recipe
            The training to run.
        rows : Rows
            Training rows, as `Rows.of` checks them.

        Returns
        -------
        Session
            A training in progress.
        """
        return JaxSession(recipe, rows, self.products)
