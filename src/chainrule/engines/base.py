"""The two protocols through which training code uses every engine, and the rows that engines take.

In: a recipe and rows. Out: a session that runs batches of an epoch, returns and loads the state, and computes logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from chainrule.arrays import Array
from chainrule.errors import InvalidValueError, must_be, raise_all
from chainrule.nn.losses import SoftmaxCrossEntropy
from chainrule.nn.step import Recipe, State, Sums


@dataclass(frozen=True)
class Rows:
    """Training rows in the form that engines take; build them with `Rows.of`, which checks and converts.

    Parameters
    ----------
    X : array of shape (n, d)
        Inputs, contiguous, in the recipe's dtype.
    Y : array of shape (n,) or (n, k)
        Targets: int64 classes (n) for softmax cross-entropy, otherwise (n, k) in the dtype of X.
    c : array of shape (n,)
        Sample weights, in the dtype of X.
    visited : array of shape (m,) or None, default=None
        Numbers of the rows that take part, in the order in which they are counted; None: all of them. Several trainings
        on parts of one table then share its arrays.

    Examples
    --------
    >>> from chainrule import Dense, Net
    >>> from chainrule.nn.losses import SoftmaxCrossEntropy
    >>> recipe = Recipe(Net(2, [Dense(3)]), SoftmaxCrossEntropy())
    >>> rows = Rows.of(recipe, np.zeros((4, 2)), [0, 1, 2, 1])
    >>> len(rows), rows.X.dtype.name, rows.c.tolist()
    (4, 'float32', [1.0, 1.0, 1.0, 1.0])
    """

    X: Array
    Y: Array
    c: Array
    visited: Array | None = None

    def __repr__(self) -> str:
        return f"Rows({len(self)} rows, {self.X.shape[1]} columns)"

    @classmethod
    def of(cls, recipe: Recipe, X: Array, Y: Array, c: Array | None = None) -> Rows:
        """Check rows against a recipe and convert them.

        Parameters
        ----------
        recipe : Recipe
            Its network, loss and dtype say what the rows must look like.
        X : array-like of shape (n, d)
            Inputs, d being the network's.
        Y : array-like of shape (n,) or (n, k)
            Targets: classes 0..k-1 for softmax cross-entropy, otherwise one value per output.
        c : array-like of shape (n,), default=None
            Sample weights, at least 0 and not all 0; None weights all rows equally.

        Returns
        -------
        Rows
            Contiguous arrays in the recipe's dtype.

        Raises
        ------
        InvalidValueError
            Names every fault: wrong shapes, classes out of range, invalid weights, numbers that are not finite or beyond
            the range of the recipe's dtype.
        """
        X, Y = np.atleast_1d(X), np.atleast_1d(Y)
        c = np.ones(len(X)) if c is None else np.asarray(c)
        ready = _ready(recipe, X, Y, c)
        if ready is not None:
            return cls(*ready)._as_checked(recipe)
        raise_all(_not_numbers(X=X, y=Y, sample_weight=c))
        exclusive = isinstance(recipe.loss, SoftmaxCrossEntropy)
        raise_all(_too_large(recipe.dtype, X=X, y=Y, sample_weight=c))
        with np.errstate(over="ignore"):
            X, c = np.ascontiguousarray(X, recipe.dtype), c.astype(recipe.dtype)
            Y = Y if exclusive else np.ascontiguousarray(Y[:, None] if Y.ndim == 1 else Y, recipe.dtype)
        raise_all(_faults(recipe, X, Y, c, exclusive))
        return cls(X, np.ascontiguousarray(Y, np.int64) if exclusive else Y, c)._as_checked(recipe)

    def _as_checked(self, recipe: Recipe) -> Rows:
        """Return the rows with the mark of what they were checked for."""
        if all(part.flags.aligned for part in (self.X, self.Y, self.c)):
            object.__setattr__(self, "_checked_for", _kind(recipe))
        return self

    def were_checked_for(self, recipe: Recipe) -> bool:
        """Check whether they were checked for a network of this kind; parts of them, and copies, were not.

        Parameters
        ----------
        recipe : Recipe
            What trains on them.

        Returns
        -------
        bool
        """
        return vars(self).get("_checked_for") == _kind(recipe)

    def __len__(self) -> int:
        return len(self.X) if self.visited is None else len(self.visited)

    def __getitem__(self, take: slice | Array) -> Rows:
        """Return some of the rows: a slice without a copy, or those that indices or a mask select."""
        if self.visited is not None:
            take = self.visited[take]
        return Rows(self.X[take], self.Y[take], self.c[take])

    def visiting(self, rows: Array) -> Rows:
        """Return these rows without a copy of what they hold.

        Parameters
        ----------
        rows : array of int
            Their numbers.

        Returns
        -------
        Rows
        """
        return replace(self, visited=rows if self.visited is None else self.visited[rows])

    def gathered(self) -> Rows:
        """Return the same rows in arrays of their own, for engines that visit all rows of an array.

        Returns
        -------
        Rows
        """
        return self if self.visited is None else self[:]


def _kind(recipe: Recipe) -> tuple[int, int, str, bool]:
    """Return what rows must fit: inputs, outputs, type, and whether targets are the numbers of classes."""
    return recipe.net.inputs, recipe.net.outputs, recipe.dtype, isinstance(recipe.loss, SoftmaxCrossEntropy)


def _ready(recipe: Recipe, X: Array, Y: Array, c: Array) -> tuple[Array, Array, Array] | None:
    """Return rows that are without fault and of the right type already; None for all others, which must be looked at."""
    inputs, outputs, dtype, exclusive = _kind(recipe)
    n = len(X)
    if not (n and X.dtype == dtype and c.dtype == dtype and X.shape == (n, inputs) and c.shape == (n,)):
        return None
    if Y.dtype != (np.int64 if exclusive else dtype) or Y.shape != ((n,) if exclusive else (n, outputs)):
        return None
    low, high = (0, outputs - 1) if exclusive else (-_MOST, _MOST)
    within = X.min() >= -_MOST and X.max() <= _MOST and Y.min() >= low and Y.max() <= high
    if not (within and c.min() >= 0.0 and 0.0 < c.max() <= _MOST / n):  # nor where one is NaN
        return None
    return np.ascontiguousarray(X), np.ascontiguousarray(Y), c.copy()


_MOST = 1e37
"""Numbers up to this size are far within the range of every type."""


def _not_numbers(**arrays: Array) -> Iterator[str]:
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf":
            yield must_be("fit", name, "numbers", f"{array.dtype} array", "Encode text and dates first.")


def _too_large(dtype: str, **arrays: Array) -> Iterator[str]:
    """Name finite numbers that the dtype cannot hold, and weights whose sum it cannot hold."""
    largest = float(np.finfo(dtype).max)
    for name, array in arrays.items():
        if array.size and array.dtype.kind == "f" and max(float(array.max()), -float(array.min())) > largest:
            places = np.argwhere(np.isfinite(array) & (np.abs(array.astype(np.float64)) > largest))
            for place in places[:1]:
                where = ", ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), place, strict=False))
                hint = "It may stand for a missing value; otherwise use another unit."
                yield f"fit: {name} must be within the range of {dtype}, got {array[tuple(place)]} in {where}. {hint}"
    with np.errstate(over="ignore"):
        total = float(np.sum(arrays["sample_weight"], dtype=np.float64))
    if math.isfinite(total) and total > largest:
        yield must_be("fit", "sample_weight", f"of a sum within the range of {dtype}", total, "Divide all weights.")


def _faults(recipe: Recipe, X: Array, Y: Array, c: Array, exclusive: bool) -> Iterator[str]:
    n = len(X)
    k = recipe.net.outputs
    if X.ndim != 2 or X.shape[1] != recipe.net.inputs or n == 0:
        yield must_be("fit", "X", f"of shape (n, {recipe.net.inputs}) with n > 0", X.shape)
    elif not np.isfinite(X).all():
        row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(X)))
        yield f"fit: X must be finite, got {X[row, column]} in row {row}, column {column}."
    if Y.shape != ((n,) if exclusive else (n, k)):
        yield must_be("fit", "y", f"of shape {(n,) if exclusive else (n, k)}", Y.shape, "One target for each row.")
    elif n and exclusive and not (Y.dtype.kind in "iu" and Y.min() >= 0 and Y.max() < k):
        yield must_be("fit", "y", f"whole-number classes in 0..{k - 1}", f"{Y.dtype} {Y.min()}..{Y.max()}")
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
    """Return False, the default answer to the question whether to stop.

    Returns
    -------
    bool
        Always False.
    """
    return False


class Session(Protocol):
    """A training in progress on one engine; the only place where numbers change in place."""

    @property
    def state(self) -> State:
        """All numbers now, as host arrays that later steps do not change."""

    def load(self, state: State) -> None:
        """Continue from a state.

        Parameters
        ----------
        state : State
            Numbers of the session's recipe; copied.
        """

    def run(self, epoch: int, first: int, rates: Array, stop: Callable[[], bool] = never) -> Sums:
        """Run consecutive batches of an epoch.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0; it fixes the order of the rows.
        first : int
            Number of the first batch, from 0.
        rates : array of shape (m,)
            One learning rate per batch; batches first .. first + m - 1 are run.
        stop : callable, default=never
            Called without arguments between batches; True ends the run early.

        Returns
        -------
        Sums
            What the steps measured, and how many there were.
        """

    def logits(self, X: Array) -> Array:
        """Compute logits in inference.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows.

        Returns
        -------
        array of shape (n, k)
            Z in the recipe's dtype.
        """


class RawPredictor(Protocol):
    """Predictions of one network for rows in the user's units."""

    def logits(self, X: Array) -> Array | None:
        """Return the logits of rows, or None where the rows must be checked and scaled before.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows in the user's units.

        Returns
        -------
        array of shape (n, k) or None
            None if a number is not finite or out of range, or of a type that is not read.
        """

    def classes(self, X: Array, temperature: float) -> Array | None:
        """Return the most probable class of each row, by its number.

        Parameters
        ----------
        X : array of shape (n, d)
            Rows in the user's units.
        temperature : float
            What the logits are divided by.

        Returns
        -------
        array of shape (n,) or None
            -1 for a row whose best two classes are so close that only their rounded probabilities can decide; None as for
            `logits`.
        """


class Engine(Protocol):
    """A way to run the mathematics: it says what it cannot run, and compiles recipes to sessions."""

    name: str

    def supports(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the reasons why this engine cannot run a recipe.

        Parameters
        ----------
        recipe : Recipe
            The training to run.

        Returns
        -------
        tuple of str
            One sentence per reason; empty if the engine can run the recipe.
        """

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


def refuse(engine: Engine, recipe: Recipe) -> None:
    """Raise `InvalidValueError` if the engine cannot run the recipe."""
    reasons = engine.supports(recipe)
    if reasons:
        raise InvalidValueError(must_be("fit", "engine", "able to run this network", engine.name, " ".join(reasons)))
