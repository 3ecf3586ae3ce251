"""The reference engine, which defines correct results: the mathematics of `nn` as written, run with NumPy.

In: a recipe and rows. Out: a session in float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np

from chainrule.arrays import Array
from chainrule.engines.base import Rows, Session, never
from chainrule.engines.border import checked_batches, checked_inputs, checked_rows, checked_state
from chainrule.nn.layers import Context
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe, State, Sums, train_step

_CHUNK = 4096
"""Rows per pass in inference; bounds the memory of activations."""


class ReferenceSession:
    """A training run by `train_step`; its state is replaced, never changed."""

    def __init__(self, recipe: Recipe, rows: Rows) -> None:
        self._recipe = recipe
        self._rows = checked_rows(recipe, rows)
        self._bounds = recipe.batches(len(self._rows))
        self._order: tuple[int, Array] = (-1, np.zeros(0))
        self.state = recipe.start()

    def load(self, state: State) -> None:
        """Continue from a state."""
        self.state = checked_state(self._recipe, state)

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Run batches of an epoch, one after another."""
        checked_batches(len(self._bounds), epoch, first, rates)
        if self._order[0] != epoch:
            self._order = (epoch, self._recipe.order(np, len(self._rows), epoch))
        sums = Sums()
        with np.errstate(all="ignore"):
            return self._steps(first, rates, stop, sums)

    def _steps(self, first: int, rates: Array, stop: Callable[[], bool], sums: Sums) -> Sums:
        """Run batch by batch; overflow shows in the sums, not as warnings."""
        for (start, end), rate in zip(self._bounds[first : first + len(rates)], rates, strict=True):
            rows = self._rows[self._order[1][start:end]]
            self.state, measured = train_step(self._recipe, np, self.state, rows.X, rows.Y, rows.c, rate)
            sums = sums + Sums(*(float(getattr(measured, f.name)) for f in fields(Sums)))
            if stop():
                break
        return sums

    def logits(self, X: Array) -> Array:
        """Compute Z in inference."""
        X = checked_inputs(self._recipe.net, X, self._recipe.dtype)
        return logits(self._recipe.net, self._recipe.weights(self.state), self.state.buffers, X)


def logits(net: Net, w: Array, buffers: Array, X: Array) -> Array:
    """Compute Z (n, k) in inference and in w's dtype, a chunk of rows at a time."""
    X = np.asarray(X, w.dtype)
    chunks = [X[start : start + _CHUNK] for start in range(0, max(len(X), 1), _CHUNK)]
    return np.concatenate([net(w, buffers, chunk, Context(np)) for chunk in chunks])


class ReferenceEngine:
    """NumPy, one expression per equation: slow, exact to read, and able to run every recipe."""

    name = "reference"

    def supports(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the reasons why this engine cannot run a recipe: none.

        Parameters
        ----------
        recipe : Recipe
            The training to run.

        Returns
        -------
        tuple of str
            Empty: the reference engine runs every recipe.
        """
        return ()

    def compile(self, recipe: Recipe, rows: Rows) -> Session:
        """Return a session at the recipe's initial state.

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
        return ReferenceSession(recipe, rows)
