"""Why: networks with different losses, targets in different units and curves that explode are compared by one figure.

In: logits and rows. Out: per row, the share of a constant prediction's loss and mistakes that is left; whether one
network is better than another by more than chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.nn.losses import LOSSES, BinaryCrossEntropy, Loss, MultiSoftmaxCrossEntropy, Poisson, SoftmaxCrossEntropy
from chainrule.nn.step import Recipe, State


@dataclass(frozen=True, eq=False)
class Verdict:
    """Each row's share of the best constant prediction's loss and mistakes (n): 0 perfect, 1 as good as a constant.

    Numbers are cut at `Thresholds.worst_share`; what is not finite counts as that.
    """

    losses: Array
    mistakes: Array

    @property
    def loss(self) -> float:
        """Mean share of the loss."""
        return float(self.losses.mean())

    @property
    def mistake(self) -> float:
        """Mean share of the mistakes: wrong classes, or squared error."""
        return float(self.mistakes.mean())


def row_losses(recipe: Recipe, Z: Array, Y: Array) -> Array:
    """Loss of each row (n), in batches of the recipe's size where the loss is not one of the library's.

    A loss written by hand may (by mistake) depend on how many rows it sees.
    """
    size = max(len(Z), 1) if type(recipe.loss) in LOSSES.values() else recipe.batch_size
    with np.errstate(all="ignore"):
        parts = [recipe.loss.rows(np, Z[i : i + size], Y[i : i + size]) for i in range(0, len(Z), size)]
    return np.concatenate([np.zeros(0), *(np.asarray(part, np.float64) for part in parts)])


def best_constant(loss: Loss, rows: Rows) -> Array:
    """Logits (k) of the best prediction that does not look at the inputs, float64.

    Logarithms of the shares for classes; else, per column, the best of the mean and 41 quantiles of the targets through
    the inverse of the link.
    """
    Y, c = np.asarray(rows.Y, np.float64), np.asarray(rows.c, np.float64)
    if rows.Y.ndim == 1:
        share = np.bincount(rows.Y, weights=c)
        return np.log(np.maximum(share / share.sum(), 1e-12))
    mean = (c[:, None] * Y).sum(axis=0) / c.sum()
    if isinstance(loss, MultiSoftmaxCrossEntropy):
        return np.log(np.maximum(mean, 1e-12))
    if loss.classes:
        mean = np.clip(mean, 1e-9, 1 - 1e-9)
        return np.log(mean / (1 - mean))
    candidates = np.vstack([mean, np.quantile(Y, np.linspace(0, 1, 41), axis=0)])
    Z = np.column_stack([_through_link(loss, candidates[:, j]) for j in range(Y.shape[1])])
    take = np.linspace(0, len(Y) - 1, min(len(Y), 2000)).astype(int)
    return _by_column(loss, Z, Y[take], c[take])


def _by_column(loss: Loss, candidates: Array, Y: Array, c: Array) -> Array:
    """For each column the candidate (m, k) of least loss; columns do not mix in any loss of amounts."""
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
    """Logits whose predictions are nearest to the targets."""
    grid = np.linspace(-30.0, 30.0, 6001)
    with np.errstate(all="ignore"):
        A = np.asarray(loss.predict(np, grid[:, None]))[:, 0]
    return targets if np.array_equal(A, grid) else np.interp(targets, A, grid)


def floors(loss: Loss, rows: Rows) -> Array:
    """Loss of each row under a perfect prediction (n): above 0 with smoothed targets or counts."""
    Y = np.asarray(rows.Y, np.float64)
    if isinstance(loss, SoftmaxCrossEntropy) and loss.label_smoothing:
        k, e = int(rows.Y.max()) + 1, loss.label_smoothing
        shares = np.array([1 - e + e / k, *([e / k] * (k - 1))])
        return np.full(len(Y), -(shares * np.log(shares)).sum())
    if isinstance(loss, Poisson):
        return (Y - Y * np.log(np.maximum(Y, 1e-12))).mean(axis=1)
    if isinstance(loss, BinaryCrossEntropy):
        P = np.clip(Y, 1e-12, 1 - 1e-12)
        return -(P * np.log(P) + (1 - P) * np.log(1 - P)).mean(axis=1)
    return np.zeros(len(Y))


def constant_losses(recipe: Recipe, train: Rows, rows: Rows) -> Array:
    """Loss of each row under the best constant prediction of the training rows."""
    z = _padded(recipe, best_constant(recipe.loss, train))
    return row_losses(recipe, np.tile(z, (len(rows), 1)), rows.Y)


def _padded(recipe: Recipe, z: Array) -> Array:
    """Logits for classes that never occur."""
    return np.pad(z, (0, max(recipe.net.outputs - len(z), 0)), constant_values=-27.0)


def baseline(recipe: Recipe, rows: Rows) -> float:
    """Mean loss of the best constant prediction on its own rows."""
    return float(np.average(constant_losses(recipe, rows, rows), weights=rows.c))


def codes(rows: Rows) -> Array | None:
    """Classes (n) where the targets are some: whole numbers, 0/1 of one column, or one 1 in each row."""
    Y = rows.Y
    if Y.ndim == 1:
        return Y
    if not np.isin(Y, (0.0, 1.0)).all():
        return None
    if Y.shape[1] == 1:
        return Y[:, 0].astype(np.int64)
    return np.argmax(Y, axis=1) if (Y.sum(axis=1) == 1).all() else None


def said(recipe: Recipe, Z: Array) -> Array:
    """Classes (n) that are predicted: the largest, or whether the prediction is above one half.

    The links of the library's own losses keep the order of logits, where a loss written by hand may cut them off.
    """
    if Z.shape[1] > 1 and type(recipe.loss) in LOSSES.values():
        return np.argmax(Z, axis=1)
    with np.errstate(all="ignore"):
        P = np.asarray(recipe.loss.predict(np, Z))
    return np.argmax(P, axis=1) if P.shape[1] > 1 else (P[:, 0] > 0.5).astype(np.int64)


def _mistakes(recipe: Recipe, Z: Array, train: Rows, rows: Rows) -> Array:
    """Wrong rows over the share that a constant gets wrong; squared errors over those of a constant."""
    y, known = codes(rows), codes(train)
    if y is not None and known is not None:
        wrong = np.where(np.isfinite(Z).all(axis=1), said(recipe, Z) != y, 1.0)
        trivial = float((y != np.argmax(np.bincount(known))).mean())
        return wrong / max(trivial, 1.0 / max(len(y), 1))
    constant = np.tile(_padded(recipe, best_constant(recipe.loss, train)), (len(rows), 1))
    with np.errstate(all="ignore"):
        scores, usual = (np.asarray(recipe.loss.score(np, each, rows.Y), np.float64) for each in (Z, constant))
    if recipe.loss.classes:
        return np.where(np.isfinite(Z).all(axis=1), 1.0 - scores, 1.0) / max(
            float(1.0 - usual.mean()), 1.0 / len(usual)
        )
    return scores / max(float(usual.mean()), 1e-300)


def judge(recipe: Recipe, Z: Array, train: Rows, rows: Rows) -> Verdict:
    """What logits Z of some rows are worth, beside a constant prediction learned from the training rows."""
    floor = floors(recipe.loss, rows)
    with np.errstate(all="ignore"):
        excess = float((constant_losses(recipe, train, rows) - floor).mean())
        losses = (row_losses(recipe, Z.astype(np.float64), rows.Y) - floor) / max(excess, 1e-300)
    return Verdict(_cut(losses), _cut(_mistakes(recipe, Z, train, rows)))


def _cut(shares: Array) -> Array:
    worst = USUAL.worst_share
    return np.clip(np.nan_to_num(shares, nan=worst, posinf=worst, neginf=worst), 0.0, worst)


def judge_state(recipe: Recipe, state: State, train: Rows, rows: Rows) -> Verdict:
    """What a state is worth on some rows, in inference."""
    with np.errstate(all="ignore"):
        Z = logits(recipe.net, recipe.weights(state), state.buffers, rows.X)
    return judge(recipe, Z, train, rows)


def error_of_mean(differences: Array) -> float:
    """Standard error of the mean of paired differences."""
    return float(differences.std(ddof=1) / math.sqrt(len(differences))) if len(differences) > 1 else math.inf


def better(
    old: Verdict, new: Verdict, by_loss: bool = True, suspected: bool = False, weighted: bool = False
) -> tuple[bool, float]:
    """Whether the second is better by more than chance and by enough to matter; the share of mistakes or loss it takes away.

    Enough is a share of the mistakes and of the baseline (`Thresholds`), beyond two standard errors of the paired
    differences; beyond 1.3 where the cause was `suspected` before the experiment. Where mistakes do not tell them apart, a
    much lower loss counts, if mistakes are not more. Rows that come right are counted net of those that go wrong; where
    they are `weighted`, in units of the heaviest.
    """
    errors = USUAL.suspected_errors if suspected else USUAL.errors
    fewer = old.mistakes - new.mistakes
    gain, error = float(fewer.mean()), error_of_mean(fewer)
    relative = max(gain / max(old.mistake, 1e-12), -USUAL.worst_share)
    enough = USUAL.suspected_gain if suspected else USUAL.gain
    share = USUAL.suspected_relative if suspected else USUAL.relative_gain
    rows = fewer.sum() / max(np.abs(fewer).max(), 1e-300) if weighted else np.sign(fewer).sum()
    if gain >= enough and relative >= share and gain > errors * error and rows >= USUAL.fewest_rows:
        return True, relative
    lower = old.losses - new.losses
    saved = float(lower.mean())
    share = max(saved / max(old.loss, 1e-12), -USUAL.worst_share)
    large = saved >= USUAL.loss_gain and share >= USUAL.relative_loss_gain and saved > 2.0 * error_of_mean(lower)
    if by_loss and large and gain >= -error:
        return True, share
    return False, relative if not by_loss or abs(relative) >= abs(share) else share
