"""What every loss says about itself, and the weighted mean over a batch.

A loss takes logits and owns the output function (its link), so that no wrong pair of the two can be built. It also says
which targets it takes, so that nobody else has to know the losses one by one.
In: logits Z (n, k), targets Y, row weights c. Out: one loss per row, the mean and its gradient, the best constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import ClassVar, Protocol, cast

import numpy as np

from chainrule.arrays import Array, Namespace
from chainrule.nn.activations import InvertibleFunction, activation


class TargetKind(Enum):
    """The targets that a loss takes."""

    CLASSES = "classes"
    """One of k exclusive classes a row: whole numbers, shape (n)."""
    LABELS = "labels"
    """Independent yes/no labels: numbers in [0, 1], shape (n, k); one column is the binary case."""
    CLASS_BLOCKS = "class blocks"
    """Several targets of exclusive classes: blocks of 0 and 1 side by side, shape (n, k)."""
    CONTINUOUS = "continuous values"
    """Real numbers, shape (n, k)."""
    COUNTS = "counts"
    """Numbers >= 0, shape (n, k)."""

    @property
    def are_classes(self) -> bool:
        """Whether the targets name classes rather than numbers."""
        return self in (TargetKind.CLASSES, TargetKind.LABELS, TargetKind.CLASS_BLOCKS)


class Loss(Protocol):
    """A link and a loss, row by row.

    To write one, subclass `LossDefaults` and define `targets`, `link`, `metric` and the four functions below.

    Z are logits (n, k), Y targets of the kind in `targets`, `xp` the array namespace (NumPy or `jax.numpy`).
    """

    @property
    def targets(self) -> TargetKind:
        """Kind of targets."""

    @property
    def link(self) -> str:
        """Name of the output function: an activation's, or "softmax"."""

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the output functions among which the user may choose; empty where the link is fixed."""

    @property
    def metric(self) -> str:
        """Name of the score: "accuracy" is the mean of `score`, "rmse" the root of that mean."""

    @property
    def outputs_per_target(self) -> int:
        """Columns of logits for each column of targets: 1, or the number of quantile levels."""

    def rows(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return the loss of each row.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        Z : array (n, k)
            Logits.
        Y : array (n) or (n, k)
            Targets of the kind in `targets`.

        Returns
        -------
        array (n)
            Loss of each row, without row weights.
        """

    def gradient(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return dLᵢ/dZᵢ, the gradient of each row's loss with respect to its logits.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        Z : array (n, k)
            Logits.
        Y : array (n) or (n, k)
            Targets of the kind in `targets`.

        Returns
        -------
        array (n, k)
            Gradient of each row, neither weighted nor divided by n: `mean_loss` does both.
        """

    def predict(self, xp: Namespace, Z: Array) -> Array:
        """Apply the link to the logits.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        Z : array (n, k)
            Logits.

        Returns
        -------
        array (n, k)
            Predictions: probabilities for classes, values in the unit of Y for numbers.
        """

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Return the logits whose predictions are A.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        A : array (n, k)
            Predictions. Values at the edge of the link's range are moved inside it, so that the logits are finite.

        Returns
        -------
        array (n, k)
            Logits; one of several where the link is not one-to-one.
        """

    def score(self, xp: Namespace, Z: Array, Y: Array) -> Array:
        """Return what the metric averages over the rows.

        Parameters
        ----------
        xp : module
            Array namespace: `numpy` or `jax.numpy`.
        Z : array (n, k)
            Logits.
        Y : array (n) or (n, k)
            Targets of the kind in `targets`.

        Returns
        -------
        array (n)
            For "accuracy" True where the whole row is right; for "rmse" its squared error, the mean over the columns scored.
        """

    def lowest(self, Y: Array) -> Array:
        """Return the least possible loss of each row, that of a perfect prediction.

        Parameters
        ----------
        Y : array (n) or (n, k)
            Targets of the kind in `targets`.

        Returns
        -------
        array (n)
            Least loss of each row, float64: 0 for most losses, the entropy of soft or smoothed targets for the
            cross-entropies, possibly below 0 for counts.
        """

    def output_faults(self, k: int) -> Iterator[str]:
        """Yield what the number of outputs must be, for each requirement that k outputs do not meet.

        Parameters
        ----------
        k : int
            Number of the network's outputs.

        Yields
        ------
        str
            A requirement that completes "net must be ...", such as "of 5 outputs, the sum of (2, 3)".
        """


class LossDefaults:
    """Usual answers to the questions of `Loss`: subclass it and override what differs."""

    links: ClassVar[tuple[str, ...]] = ()

    @property
    def outputs_per_target(self) -> int:
        """One."""
        return 1

    def inverse(self, xp: Namespace, A: Array) -> Array:
        """Invert the link; a probability of 0 counts as the smallest normal number."""
        link: str = self.link  # type: ignore[attr-defined]  # (defined by the loss)
        if link == "softmax":
            return xp.log(xp.maximum(A, np.finfo(A.dtype).tiny))
        function = cast(InvertibleFunction, activation(link))
        return function.inverse(xp, A)

    def lowest(self, Y: Array) -> Array:
        """Return zeros."""
        return np.zeros(len(Y))

    def output_faults(self, k: int) -> Iterator[str]:
        """Yield nothing: any number of outputs will do."""
        yield from ()


def mean_loss(loss: Loss, xp: Namespace, Z: Array, Y: Array, c: Array) -> tuple[Array, Array]:
    """Return the weighted mean loss of a batch and its gradient with respect to the logits.

    It is the only place in the package that divides by the number of rows. A batch whose weights are all zero has loss 0
    and gradient 0.

    Forward    (1) C = Σᵢ cᵢ    (2) J = Σᵢ cᵢ Lᵢ / C
    Backward   (3) dZᵢ = cᵢ / C · dLᵢ/dZᵢ
    Shapes     Z (n, k)   Y (n) or (n, k)   c (n), weights >= 0   J ()   dZ (n, k)
    Reference  [ng2018] 7.1: the derivative of a mean is the mean of the derivatives

    Parameters
    ----------
    loss : Loss
        The loss.
    xp : module
        Array namespace: `numpy` or `jax.numpy`.
    Z : array (n, k)
        Logits.
    Y : array (n) or (n, k)
        Targets of the kind that the loss takes.
    c : array (n)
        Weights of the rows, >= 0.

    Returns
    -------
    J : array ()
        The mean loss.
    dZ : array (n, k)
        Its gradient with respect to Z.

    Examples
    --------
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> J, dZ = mean_loss(MeanSquaredError(), np, np.array([[1.0], [3.0]]), np.zeros((2, 1)), np.ones(2))
    >>> float(J), dZ.tolist()
    (5.0, [[1.0], [3.0]])
    """
    C = c.sum()  # (1)
    share = c / xp.where(C > 0, C, xp.ones_like(C))
    J = (share * loss.rows(xp, Z, Y)).sum()  # (2)
    dZ = share[:, None] * loss.gradient(xp, Z, Y)  # (3)
    return J, dZ


def best_constant(loss: Loss, Y: Array, c: Array) -> Array:
    """Return the logits of the best prediction that ignores the inputs.

    For classes these are the logarithms (or log odds) of the class shares. For values it is, column by column, the best of
    the mean and 41 quantiles of the targets, taken back through the link.

    Parameters
    ----------
    loss : Loss
        The loss to be made small.
    Y : array (n) or (n, k)
        Targets.
    c : array (n)
        Weights of the rows, >= 0.

    Returns
    -------
    array (k)
        Logits, float64; for exclusive classes up to the largest class in Y.

    Examples
    --------
    >>> from chainrule.nn.losses import MeanSquaredError
    >>> best_constant(MeanSquaredError(), np.array([[1.0], [2.0], [6.0]]), np.ones(3))
    array([3.])
    """
    values, c = np.asarray(Y, np.float64), np.asarray(c, np.float64)
    if Y.ndim == 1:
        share = np.bincount(Y, weights=c)
        return np.log(np.maximum(share / share.sum(), 1e-12))
    mean = (c[:, None] * values).sum(axis=0) / c.sum()
    if loss.targets is TargetKind.CLASS_BLOCKS:
        return np.log(np.maximum(mean, 1e-12))
    if loss.targets.are_classes:
        mean = np.clip(mean, 1e-9, 1 - 1e-9)
        return np.log(mean / (1 - mean))
    candidates = np.vstack([mean, np.quantile(values, np.linspace(0, 1, 41), axis=0)])
    Z = np.column_stack([_through_link(loss, candidates[:, j]) for j in range(values.shape[1])])
    take = np.linspace(0, len(values) - 1, min(len(values), 2000)).astype(int)
    return _by_column(loss, Z, values[take], c[take])


def _by_column(loss: Loss, candidates: Array, Y: Array, c: Array) -> Array:
    """Return for each column the candidate (m, k) of least loss; no loss of values mixes columns."""
    best = candidates[0].copy()
    for j in range(candidates.shape[1]):
        total = []
        for z in candidates[:, j]:
            trial = np.where(np.arange(len(best)) == j, z, best)
            with np.errstate(all="ignore"):
                total.append(float(loss.rows(np, np.tile(trial, (len(Y), 1)), Y) @ c))
        if np.isfinite(total).any():
            best[j] = candidates[int(np.nanargmin(total)), j]
    return best


def _through_link(loss: Loss, targets: Array) -> Array:
    """Return the logits whose predictions are nearest to the targets, also where the link cannot reach them."""
    grid = np.linspace(-30.0, 30.0, 6001)
    with np.errstate(all="ignore"):
        A = np.asarray(loss.predict(np, grid[:, None]))[:, 0]
    return targets if np.array_equal(A, grid) else np.interp(targets, A, grid)
