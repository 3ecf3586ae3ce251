"""Checks of what enters an engine: numbers of another network are named before any of them is read.

The compiled engine checks the same once more on its side, without names: it reads raw memory.
In: rows, states, weights and batches as callers have them. Out: the same in the form that engines take, or one error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.arrays import Array
from chainrule.engines.base import Rows
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe, State

MOST_STEPS = 2**62
"""Steps that a state can count."""

MOST_ROWS = 2**32 - 1
"""Rows of a training, and epochs: row numbers are 32 bits wide, as is the word that an epoch's order comes from."""

_OTHER_NETWORK = "It belongs to another network."


def ready(array: Array, dtype: Any) -> Array:
    """Return numbers as engines take them: contiguous, aligned, of that type; a copy only where they are not."""
    array = np.ascontiguousarray(array, dtype)
    return array if array.flags.aligned else array.copy()


def checked_rows(recipe: Recipe, rows: Rows) -> Rows:
    """Return training rows in the recipe's dtype; those of `Rows.of` pass without a copy.

    Raises `InvalidValueError` for arrays of other shapes or kinds, classes that the network has no output for, and weights
    that are no finite numbers >= 0.
    """
    if rows.were_checked_for(recipe) and not (len(rows) == 1 and recipe.batch_normed):
        return rows
    X, Y, c = (np.asarray(part) for part in (rows.X, rows.Y, rows.c))
    exclusive = isinstance(recipe.loss, SoftmaxCrossEntropy)
    visited = None if rows.visited is None else np.asarray(rows.visited)
    raise_all([*_row_faults(recipe, X, Y, c, exclusive, visited), *_visited_faults(X, visited)])
    return Rows(
        ready(X, recipe.dtype),
        ready(Y, np.int64) if exclusive else ready(Y, recipe.dtype),
        ready(c, recipe.dtype),
        None if visited is None else ready(visited, np.uint32),
    )


def _visited_faults(X: Array, visited: Array | None) -> Iterator[str]:
    n = len(X) if X.ndim else 0
    if visited is None:
        return
    if visited.ndim != 1 or visited.dtype.kind not in "iu" or not len(visited):
        yield must_be("Rows", "visited", "whole numbers of shape (m,) with m > 0", _text(visited))
    elif visited.min() < 0 or visited.max() >= n:
        yield must_be("Rows", "visited", f"numbers of rows in 0..{n - 1}", f"{visited.min()}..{visited.max()}")


def _row_faults(recipe: Recipe, X: Array, Y: Array, c: Array, exclusive: bool, visited: Array | None) -> Iterator[str]:
    d, k = recipe.net.inputs, recipe.net.outputs
    n = len(X) if X.ndim else 0
    taking_part = n if visited is None else visited.size
    if not _numbers(X) or X.shape != (n, d) or not 0 < n <= MOST_ROWS:
        yield must_be("Rows", "X", f"numbers of shape (n, {d}) with n > 0", _text(X))
    elif taking_part == 1 and recipe.batch_normed:
        yield must_be("Rows", "X", "of at least two rows with batch norm", taking_part, "One row has no variance.")
    shape = (n,) if exclusive else (n, k)
    if not _numbers(Y) or Y.shape != shape:
        yield must_be("Rows", "Y", f"numbers of shape {shape}", _text(Y))
    elif exclusive and n and not (Y.dtype.kind in "iu" and Y.min() >= 0 and Y.max() < k):
        yield must_be("Rows", "Y", f"whole-number classes in 0..{k - 1}", f"{Y.dtype} {Y.min()}..{Y.max()}")
    if not _numbers(c) or c.shape != (n,):
        yield must_be("Rows", "c", f"{n} numbers, one for each row", _text(c))
    elif not (np.isfinite(c) & (c >= 0)).all():
        row = int(np.argmin(np.isfinite(c) & (c >= 0)))
        yield f"Rows: c must be finite numbers >= 0, got {c[row]} in row {row}."


def _numbers(array: Array) -> bool:
    return array.dtype.kind in "biuf"


def _text(array: Array) -> str:
    return f"{array.dtype} array of shape {array.shape}"


def checked_state(recipe: Recipe, state: State, owner: str = "Session", argument: str = "state") -> State:
    """Return a state that a recipe can continue from, without vectors that its optimizer has no use for.

    Raises `InvalidValueError` where its vectors are not those of the recipe's network, or one of the optimizer's is missing.
    """
    if not isinstance(state, State):
        raise InvalidValueError(must_be(owner, argument, "a State", type(state).__name__))
    raise_all(_state_faults(recipe, state, owner, argument))
    return replace(state, optimizer_state={name: state.optimizer_state[name] for name in recipe.state_names})


def _state_faults(recipe: Recipe, state: State, owner: str, argument: str) -> Iterator[str]:
    P = recipe.net.size
    yield from vector_faults(owner, f"{argument}.w", state.w, P)
    yield from vector_faults(owner, f"{argument}.buffers", state.buffers, recipe.net.buffers.size)
    names, given = sorted(recipe.state_names), sorted(state.optimizer_state)
    missing = not set(names) <= set(given)
    if missing:
        hint = "It is of another optimizer: convert it with Recipe.adopt."
        yield must_be(owner, f"{argument}.optimizer_state", f"of the vectors {names}", given, hint)
    for name in () if missing else names:
        place = f"{argument}.optimizer_state[{name!r}]"
        yield from vector_faults(owner, place, state.optimizer_state[name], P)
    step = np.asarray(state.step)
    if step.shape != () or step.dtype.kind not in "iu" or not 0 <= int(step) <= MOST_STEPS:
        yield must_be(owner, f"{argument}.step", f"a whole number in 0..{MOST_STEPS}", state.step)


def vector_faults(owner: str, argument: str, vector: Array, size: int) -> Iterator[str]:
    """Say what is wrong with one of a network's flat vectors."""
    dtype, shape = getattr(vector, "dtype", None), getattr(vector, "shape", None)
    if dtype is None or np.dtype(dtype).type not in (np.float32, np.float64):
        got = type(vector).__name__ if dtype is None else f"{dtype} array"
        yield must_be(owner, argument, f"an array of {size} float32 or float64 numbers", got)
    elif tuple(shape or ()) != (size,):
        yield must_be(owner, argument, f"of shape {(size,)}", tuple(shape or ()), _OTHER_NETWORK)


def weight_faults(owner: str, net: Net, w: Array, buffers: Array) -> Iterator[str]:
    """Say what is wrong with the weights and running statistics of a network."""
    yield from vector_faults(owner, "w", w, net.size)
    yield from vector_faults(owner, "buffers", buffers, net.buffers.size)


def checked_batches(batches: int, epoch: int, first: int, rates: Array) -> Array:
    """Return the learning rates of some batches of an epoch, float64.

    Raises `InvalidValueError` for batches that an epoch does not have and rates that are no finite numbers >= 0.
    """
    rates = np.asarray(rates)
    if rates.ndim != 1 or not _numbers(rates) or not (np.isfinite(rates) & (rates >= 0)).all():
        got = rates if rates.size < 10 else _text(rates)
        raise InvalidValueError(must_be("Session", "rates", "finite numbers >= 0, one for each batch", got))
    if not 0 <= first <= batches - len(rates):
        allowed = f"in 0..{batches - len(rates)} for {len(rates)} of the {batches} batches of an epoch"
        raise InvalidValueError(must_be("Session", "first", allowed, first))
    if not 0 <= epoch <= MOST_ROWS:
        raise InvalidValueError(must_be("Session", "epoch", f"in 0..{MOST_ROWS}", epoch))
    return ready(rates, np.float64)


def checked_inputs(net: Net, X: Array, dtype: Any) -> Array:
    """Return rows to predict as engines take them. Raises `InvalidValueError` for another number of columns."""
    X = np.asarray(X)
    if not _numbers(X) or X.ndim != 2 or X.shape[1] != net.inputs:
        raise InvalidValueError(must_be("Session", "X", f"numbers of shape (n, {net.inputs})", _text(X)))
    return ready(X, dtype)
