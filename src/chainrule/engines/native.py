"""Why: the same mathematics, several times faster: a plan run by compiled kernels, a whole epoch per call.

In: a recipe and rows. Out: a session that holds all numbers in the extension's own layout and gives them out on request.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array, Named
from chainrule.engines.base import Rows, Session, never
from chainrule.engines.plan import lower, obstacles
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.nn.optimizers import EMA_WEIGHTS, GRADIENT_SUM
from chainrule.nn.step import Recipe, State, Sums


def extension() -> Any:
    """The compiled module, or None where this installation has none."""
    try:
        return importlib.import_module("chainrule.engines._native")
    except ImportError:
        return None


class NativeSession:
    """A training run by the extension; numbers change in place there and are copied out and in."""

    def __init__(self, recipe: Recipe, rows: Rows, threads: int = 0) -> None:
        self._recipe, self.plan = recipe, lower(recipe)
        stages, reals, lines = self.plan.tables()
        settings, setting_reals = self.plan.settings()
        build, (X, Y, c) = extension().Session, (self._typed(array) for array in (rows.X, rows.Y, rows.c))
        self._run = build(stages, reals, lines, settings, setting_reals, recipe.seed, X, Y, c, threads)
        self.load(recipe.start())

    def _typed(self, array: Array) -> Array:
        """Class numbers as they are, amounts in the recipe's type: the extension takes bytes on trust."""
        return array if array.dtype.kind == "i" else np.ascontiguousarray(array, self._recipe.dtype)

    @property
    def state(self) -> State:
        """All numbers now, as copies."""
        recipe = self._recipe
        w, statistics = np.empty(recipe.net.size, recipe.dtype), np.empty(recipe.net.buffers.size, recipe.dtype)
        memory = {letter: np.empty_like(w) for letter in recipe.state_names}
        step = self._run.read(w, statistics, *_places(memory))
        return State(w, statistics, memory, step)

    def load(self, state: State) -> None:
        """Continue from a state."""
        dtype = self._recipe.dtype
        w, statistics = (np.ascontiguousarray(vector, dtype) for vector in (state.w, state.buffers))
        memory = {
            letter: np.ascontiguousarray(state.optimizer_state[letter], dtype) for letter in self._recipe.state_names
        }
        self._run.write(w, statistics, *_places(memory), int(state.step))

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Batches of an epoch without Python in between; `stop` is asked after the first and then every 20 ms."""
        return Sums(*self._run.run(int(epoch), first, np.ascontiguousarray(rates, np.float64), stop))

    def logits(self, X: Array) -> Array:
        """Z in inference."""
        X = np.ascontiguousarray(X, self._recipe.dtype)
        Z = np.empty((len(X), self._recipe.net.outputs), self._recipe.dtype)
        self._run.logits(X, Z)
        return Z

    @property
    def nbytes(self) -> int:
        """Bytes that the session holds, the data apart."""
        return int(self._run.nbytes)

    @property
    def threads(self) -> int:
        """Threads that a step uses now."""
        return int(self._run.threads)

    @property
    def isa(self) -> str:
        """The instruction set whose kernels run."""
        return str(self._run.isa)

    def profile(self) -> None:
        """Start to measure the time of each line of the plan."""
        self._run.profile()

    @property
    def seconds(self) -> tuple[float, ...]:
        """Seconds spent in each line of the plan since `profile`."""
        return tuple(1e-9 * each for each in self._run.nanoseconds)


def predictor(net: Net, w: Array, buffers: Array) -> Callable[[Array], Array] | None:
    """Logits of any rows by compiled kernels, or None where the network or the installation does not allow it."""
    recipe = Recipe(net, MeanSquaredError(), batch_size=1, dtype=str(w.dtype))
    if NativeEngine().supports(recipe):
        return None
    rows = Rows(np.zeros((1, net.inputs), w.dtype), np.zeros((1, net.outputs), w.dtype), np.ones(1, w.dtype))
    session = NativeSession(recipe, rows)
    session.load(replace(recipe.start(), w=w, buffers=buffers))
    return session.logits


def _places(memory: Named) -> tuple[Array | None, ...]:
    """The rule's first and second vector, the sum of gradients, the mean of weights; None for what is not remembered."""
    first, second, *_ = [
        *(vector for letter, vector in memory.items() if letter not in (GRADIENT_SUM, EMA_WEIGHTS)),
        None,
        None,
    ]
    return first, second, memory.get(GRADIENT_SUM), memory.get(EMA_WEIGHTS)


class NativeEngine:
    """Compiled kernels. `threads=0` chooses their number from the work of a step, within OpenMP's limit."""

    name = "native"

    def __init__(self, threads: int = 0) -> None:
        self._threads = threads

    def supports(self, recipe: Recipe) -> tuple[str, ...]:
        """What stands in the way: the extension missing, or pieces that it does not know."""
        missing = () if extension() else ("The compiled extension is not part of this installation.",)
        return (*missing, *obstacles(recipe))

    def compile(self, recipe: Recipe, rows: Rows) -> Session:
        """A session at the recipe's first state."""
        return NativeSession(recipe, rows, self._threads)
