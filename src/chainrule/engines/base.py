"""Why: whoever trains talks to any engine through the same two small protocols.

In: a recipe and rows. Out: a session that runs batches of an epoch, gives and takes the state, and computes logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe, State, Sums


@dataclass(frozen=True)
class Rows:
    """Training rows in the form that engines take: X (n, d) and Y in one dtype, contiguous; c (n) weights.

    Y is (n) int64 for softmax cross-entropy, else (n, k) in the dtype of X.
    """

    X: Array
    Y: Array
    c: Array

    @classmethod
    def of(cls, recipe: Recipe, X: Array, Y: Array, c: Array | None = None) -> Rows:
        """Check shapes, values and weights against the recipe, and convert.

        Raises `InvalidValueError` naming every fault: widths that do not match, classes outside 0..k-1, rows whose
        targets or weights are missing, weights below 0 or all zero, numbers that are not finite.
        """
        X, Y = np.atleast_1d(X), np.atleast_1d(Y)
        c = np.ones(len(X)) if c is None else np.asarray(c)
        raise_all(_not_numbers(X=X, y=Y, sample_weight=c))
        exclusive = isinstance(recipe.loss, SoftmaxCrossEntropy)
        with np.errstate(over="ignore"):
            X, c = np.ascontiguousarray(X, recipe.dtype), c.astype(recipe.dtype)
            Y = Y if exclusive else np.ascontiguousarray(Y[:, None] if Y.ndim == 1 else Y, recipe.dtype)
        raise_all(_faults(recipe, X, Y, c, exclusive))
        return cls(X, np.ascontiguousarray(Y, np.int64) if exclusive else Y, c)

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, take: slice | Array) -> Rows:
        """Some of the rows: a slice of them without a copy, or those of which numbers or a mask tell."""
        return Rows(self.X[take], self.Y[take], self.c[take])


def _not_numbers(**arrays: Array) -> Iterator[str]:
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            yield must_be("fit", name, "numbers", f"{array.dtype} array", "Encode text and dates first.")


def _faults(recipe: Recipe, X: Array, Y: Array, c: Array, exclusive: bool) -> Iterator[str]:
    n, k = len(X), recipe.net.outputs
    if X.ndim != 2 or X.shape[1] != recipe.net.inputs or n == 0:
        yield must_be("fit", "X", f"of shape (n, {recipe.net.inputs}) with n > 0", X.shape)
    elif not np.isfinite(X).all():
        row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(X)))
        yield f"fit: X must be finite, got {X[row, column]} in row {row}, column {column}."
    if Y.shape != ((n,) if exclusive else (n, k)):
        yield must_be("fit", "y", f"of shape {(n,) if exclusive else (n, k)}", Y.shape, "One target for each row.")
    elif n and exclusive and not (Y.dtype.kind in "iu" and Y.min() >= 0 and Y.max() < k):
        yield must_be("fit", "y", f"classes as whole numbers in 0..{k - 1}", f"{Y.dtype} {Y.min()}..{Y.max()}")
    elif not np.isfinite(Y).all():
        yield f"fit: y must be finite, got {Y[~np.isfinite(Y)][0]} in row {int(np.nonzero(~np.isfinite(Y))[0][0])}."
    if c.shape != (n,):
        yield must_be("fit", "sample_weight", f"{n} numbers, one for each row", c.shape)
    elif not (np.isfinite(c) & (c >= 0)).all():
        row = int(np.nonzero(~(np.isfinite(c) & (c >= 0)))[0][0])
        yield f"fit: sample_weight must be finite numbers >= 0, got {c[row]} in row {row}."
    elif n and not c.any():
        yield "fit: sample_weight must be above 0 for some row, got 0 for all."


def never() -> bool:
    """The question "stop now?" for who never wants to."""
    return False


class Session(Protocol):
    """One training in progress on one engine; the only place where numbers change in place."""

    @property
    def state(self) -> State:
        """All numbers now, as host arrays that later steps do not change."""

    def load(self, state: State) -> None:
        """Continue from a state."""

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Batches first .. first + len(rates) - 1 of an epoch (from 0), one learning rate for each.

        `stop` is asked between batches; when it says True the sums tell how many steps were done.
        """

    def logits(self, X: Array) -> Array:
        """Z (n, k) in inference, in the recipe's dtype."""


class Engine(Protocol):
    """A way to run the mathematics."""

    name: str

    def supports(self, recipe: Recipe) -> tuple[str, ...]:
        """Why this engine cannot run the recipe; empty when it can."""

    def compile(self, recipe: Recipe, rows: Rows) -> Session:
        """A session at the recipe's first state."""


def refuse(engine: Any, recipe: Recipe) -> None:
    """Raise when the engine says that it cannot run the recipe."""
    reasons = engine.supports(recipe)
    if reasons:
        raise InvalidValueError(must_be("fit", "engine", "able to run this network", engine.name, " ".join(reasons)))
