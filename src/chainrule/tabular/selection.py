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
    K = len(predictions)
    n = len(Y)
    counts = np.ones(K)
    everywhere = held_out_mean(predictions, counts, n)[1]

    def score(trial: Array) -> float:
        mean, covered = held_out_mean(predictions, trial, n)
        if (covered != everywhere).any():
            return np.inf
        rows = np.flatnonzero(covered)
        return float(np.average(loss.rows(np, loss.inverse(np, mean[rows]), Y[rows]), weights=c[rows]))

    best = score(counts)
    for _ in range(rounds):
        trials = [_changed(counts, k, counts[k] + 1) for k in range(K)]
        trials += [_changed(counts, k, 0) for k in range(K) if counts[k]]
        scores = [score(trial) for trial in trials]
        least = int(np.argmin(scores))
        if not scores[least] < best * (1.0 - np.sign(best) * 1e-5):
            break
        best = scores[least]
        counts = trials[least]
    return counts / counts.sum()


def _changed(counts: Array, k: int, value: float) -> Array:
    changed = counts.copy()
    changed[k] = value
    return changed
