"""How much each member counts: greedy selection with replacement, each row judged by members that did not train on it.

In: members with predictions for the rows they held out. Out: weights, and the pack's own prediction for every row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.nn.losses import Loss

_ROUNDS = 64
"""Most changes of the counts."""

_WORTH = 1e-5
"""Share of the loss that a change must take away."""

_MOST_CELLS = 100_000
"""Rows times outputs of a fold by which members are weighed."""


def held_out_mean(predictions: Sequence[tuple[Array, Array]], counts: Array, n: int) -> tuple[Array, Array]:
    """Return the mean prediction for each row over the members that held it out, weighted by their counts.

    Parameters
    ----------
    predictions : sequence of (array of int, array of shape (m, k))
        For each member, the rows it held out and what it predicts for them.
    counts : array of shape (K,)
        How much each member counts.
    n : int
        Number of rows.

    Returns
    -------
    mean : array of shape (n, k)
        NaN for rows that no counted member held out.
    covered : array of bool
        The rows that some counted member held out.
    """
    total = np.zeros((n, predictions[0][1].shape[1]))
    weight = np.zeros(n)
    for (rows, A), count in zip(predictions, counts, strict=True):
        if count:
            total[rows] += count * A
            weight[rows] += count
    covered = weight > 0
    with np.errstate(invalid="ignore"):
        return total / weight[:, None], covered


def select(loss: Loss, predictions: Sequence[tuple[Array, Array]], Y: Array, c: Array, rounds: int = _ROUNDS) -> Array:
    """Return the weights of the members: begin with all alike, then add or drop one while the held-out loss falls.

    Reference  [caruana2004], with replacement, here from the mean of all and on disjoint folds

    Parameters
    ----------
    loss : Loss
        What is to fall; it takes f⁻¹ of the mean prediction.
    predictions : sequence of (array of int, array of shape (m, k))
        For each member, the rows it held out and its predictions (after the link) for them.
    Y : array of shape (n,) or (n, k)
        Targets as the loss takes them.
    c : array of shape (n,)
        Weights of the rows.
    rounds : int, default=64
        Most changes.

    Returns
    -------
    array of shape (K,)
        Weights that sum to 1; those of members that are left out are 0.
    """
    search = _Search(loss, [_thinned(*each) for each in predictions], Y, c)
    stale = set(range(len(predictions)))
    gains = np.zeros((len(predictions), 2))
    for _ in range(rounds):
        for k in stale:
            gains[k] = search.gain(k, search.counts[k] + 1), search.gain(k, 0.0)
        k, drop = divmod(int(np.argmax(gains)), 2)
        if gains[k, drop] <= _WORTH * abs(search.total):
            break
        search.change(k, 0.0 if drop else search.counts[k] + 1)
        stale = search.sharing[k]
    return search.counts / search.counts.sum()


class _Search:
    """The counts of the members, and the held-out loss of each row with them."""

    def __init__(self, loss: Loss, predictions: Sequence[tuple[Array, Array]], Y: Array, c: Array) -> None:
        self.loss = loss
        self.predictions = predictions
        self.Y = Y
        self.c = c
        self.counts = np.ones(len(predictions))
        self.sums = np.zeros((len(Y), predictions[0][1].shape[1]))
        self.weight = np.zeros(len(Y))
        for rows, A in predictions:
            self.sums[rows] += A
            self.weight[rows] += 1.0
        self.losses = np.zeros(len(Y))
        known = np.flatnonzero(self.weight)
        self.losses[known] = self._losses(known, self.sums[known], self.weight[known])
        self.sharing = [
            {j for j, (other, _) in enumerate(predictions) if other is rows or np.intersect1d(other, rows).size}
            for rows, _ in predictions
        ]

    @property
    def total(self) -> float:
        """The weighted sum of the rows' losses."""
        return float(self.c @ self.losses)

    def gain(self, k: int, count: float) -> float:
        """Return how much the total falls when member k counts `count`; minus infinity if rows lose their only member."""
        rows, A = self.predictions[k]
        step = count - self.counts[k]
        weight = self.weight[rows] + step
        if step == 0.0 or (weight <= 0).any():
            return -np.inf
        return float(self.c[rows] @ (self.losses[rows] - self._losses(rows, self.sums[rows] + step * A, weight)))

    def change(self, k: int, count: float) -> None:
        """Let member k count `count`."""
        rows, A = self.predictions[k]
        step = count - self.counts[k]
        self.counts[k] = count
        self.sums[rows] += step * A
        self.weight[rows] += step
        self.losses[rows] = self._losses(rows, self.sums[rows], self.weight[rows])

    def _losses(self, rows: Array, sums: Array, weight: Array) -> Array:
        Z = self.loss.inverse(np, sums / weight[:, None])
        return np.asarray(self.loss.rows(np, Z, self.Y[rows]), np.float64)


def _thinned(rows: Array, A: Array) -> tuple[Array, Array]:
    """Return every i-th of the rows, so that the search takes a moment even with many rows and classes."""
    step = -(-A.size // _MOST_CELLS)
    return (rows, A) if step == 1 else (rows[::step], A[::step])
