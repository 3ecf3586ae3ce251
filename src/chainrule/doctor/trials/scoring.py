"""Score networks with different losses, units and curves on one scale, and decide whether one is better than another.

In: logits and rows. Out: for every row the share of a constant prediction's loss and mistakes that remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.own_code import is_own_loss
from chainrule.doctor.vocabulary.targets import (
    are_continuous,
    best_constant,
    class_indices,
    constant_losses,
    floors,
    padded_logits,
    row_losses,
)
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.engines.reference import logits
from chainrule.nn.losses import LOSSES
from chainrule.nn.step import Recipe, State


@dataclass(frozen=True, eq=False)
class RowScores:
    """Every row's share of the best constant prediction's loss and mistakes (n): 0 perfect, 1 no better than a constant.

    Numbers are clipped at `Thresholds.worst_share`; what is not finite counts as that. The loss of a row of a rare class is
    clipped at as many times what the constant loses on that row: else a network that gives the class up would do better.
    `surprises` are the shares of the log loss of the predicted probabilities, which networks with different losses have in
    common; None where targets are not one class each, or the loss is the user's own.
    """

    losses: Array
    mistakes: Array
    surprises: Array | None = None

    @classmethod
    def joined(cls, parts: Sequence[RowScores], order: Array) -> RowScores:
        """Return the scores of several parts of the rows as one, in an order of all of them."""
        losses = np.concatenate([part.losses for part in parts])[order]
        mistakes = np.concatenate([part.mistakes for part in parts])[order]
        surprises = [part.surprises for part in parts if part.surprises is not None]
        return cls(losses, mistakes, np.concatenate(surprises)[order] if len(surprises) == len(parts) else None)

    @property
    def loss(self) -> float:
        """Mean share of the loss."""
        return float(self.losses.mean())

    @property
    def mistake(self) -> float:
        """Mean share of the mistakes: wrong classes, or squared error."""
        return float(self.mistakes.mean())


def predicted_classes(recipe: Recipe, Z: Array) -> Array:
    """Return the predicted classes (n): the largest logit, or whether the prediction is above one half.

    The links of the library's own losses keep the order of logits; a custom loss may not.
    """
    if Z.shape[1] > 1 and type(recipe.loss) in LOSSES.values():
        return np.argmax(Z, axis=1)
    P = own_or(recipe, lambda: np.asarray(recipe.loss.predict(np, Z)).reshape(Z.shape), lambda: 1.0 * (Z > 0))
    return np.argmax(P, axis=1) if P.shape[1] > 1 else (P[:, 0] > 0.5).astype(np.int64)


def own_or(recipe: Recipe, compute: Callable[[], Array], instead: Callable[[], Array]) -> Array:
    """Return what a method of the loss computes; something else where the user's own loss fails."""
    with np.errstate(all="ignore"):
        try:
            return compute()
        except Exception:
            if not is_own_loss(recipe.loss):
                raise
            return instead()


def score_logits(recipe: Recipe, Z: Array, train: Rows, rows: Rows) -> RowScores:
    """Score the logits Z of some rows against the best constant prediction of the training rows."""
    floor = floors(recipe.loss, rows)
    with np.errstate(all="ignore"):
        constant = constant_losses(recipe, train, rows) - floor
        excess = max(float(constant.mean()), 1e-300)
        losses = (row_losses(recipe, Z.astype(np.float64), rows.Y) - floor) / excess
    usual = constant / excess if recipe.loss.targets.are_classes and not are_continuous(train) else np.ones(len(rows))
    surprises = _surprises(recipe, Z, train, rows)
    return RowScores(
        _clipped(losses, usual),
        _clipped(_mistakes(recipe, Z, train, rows)),
        None if surprises is None else _clipped(surprises, usual),
    )


def score_state(recipe: Recipe, state: State, train: Rows, rows: Rows) -> RowScores:
    """Score a state on some rows, in inference mode."""
    with np.errstate(all="ignore"):
        Z = logits(recipe.net, recipe.weights(state), state.buffers, rows.X)
    return score_logits(recipe, Z, train, rows)


def _surprises(recipe: Recipe, Z: Array, train: Rows, rows: Rows) -> Array | None:
    """Return the log loss of the probability of each row's class over that of the constant prediction.

    What a loss for values predicts is taken for probabilities; none is taken for surer than `Limits.surest`.
    """
    y = class_indices(rows)
    y_train = class_indices(train)
    if y is None or y_train is None or are_continuous(train) or type(recipe.loss) not in LOSSES.values():
        return None
    with np.errstate(all="ignore"):
        P = np.asarray(recipe.loss.predict(np, Z), np.float64).reshape(len(Z), -1)
    P = np.hstack([1.0 - P, P]) if P.shape[1] == 1 else P
    if max(int(y.max(initial=0)), int(y_train.max(initial=0))) >= P.shape[1]:
        return None
    p = np.clip(np.nan_to_num(P[np.arange(len(y)), y]), 1.0 - LIMITS.surest, LIMITS.surest)
    share = np.bincount(y_train, minlength=P.shape[1])[y] / len(y_train)
    constant = -np.log(np.clip(share, 1.0 - LIMITS.surest, LIMITS.surest))
    return -np.log(p) / max(float(constant.mean()), 1e-300)


def _mistakes(recipe: Recipe, Z: Array, train: Rows, rows: Rows) -> Array:
    """Return wrong rows over the share that a constant gets wrong, or squared errors over those of a constant.

    The targets decide which, not the loss, so that a remedy may change the loss.
    """
    if recipe.loss.targets.are_classes and are_continuous(train):
        return _squared_shares(recipe, Z, train, rows)
    y = class_indices(rows)
    y_train = class_indices(train)
    if y is not None and y_train is not None:
        wrong = np.where(np.isfinite(Z).all(axis=1), predicted_classes(recipe, Z) != y, 1.0)
        trivial = float((y != np.argmax(np.bincount(y_train))).mean())
        return wrong / max(trivial, 1.0 / max(len(y), 1))
    constant = np.tile(padded_logits(recipe, best_constant(recipe.loss, train)), (len(rows), 1))
    scores, usual = (_scores(recipe, each, rows.Y) for each in (Z, constant))
    if recipe.loss.targets.are_classes:
        wrong = np.where(np.isfinite(Z).all(axis=1), 1.0 - scores, 1.0)
        return wrong / max(float(1.0 - usual.mean()), 1.0 / len(usual))
    return scores / max(float(usual.mean()), 1e-300)


def _scores(recipe: Recipe, Z: Array, Y: Array) -> Array:
    """Return what the metric averages over the rows (n); the loss of each row where the user's own metric fails."""
    compute = lambda: np.asarray(recipe.loss.score(np, Z, Y), np.float64).reshape(len(Z))  # noqa: E731
    return own_or(recipe, compute, lambda: row_losses(recipe, Z, Y))


def _squared_shares(recipe: Recipe, Z: Array, train: Rows, rows: Rows) -> Array:
    """Return the squared errors of what a loss for classes predicts of continuous targets, over those of a constant."""
    Y_train, Y = (part.Y.astype(np.float64).reshape(len(part), -1) for part in (train, rows))
    with np.errstate(all="ignore"):
        P = predicted_classes(recipe, Z)[:, None] if rows.Y.ndim == 1 else np.asarray(recipe.loss.predict(np, Z))
        squares = ((P - Y) ** 2).sum(axis=1)
        return squares / max(float(((Y_train.mean(axis=0) - Y) ** 2).sum(axis=1).mean()), 1e-300)


def _clipped(shares: Array, usual: Array | float = 1.0) -> Array:
    """Return shares of at most `Thresholds.worst_share` times what is usual on a row, or on the mean row if that is more."""
    worst = USUAL.worst_share * np.maximum(np.nan_to_num(usual, nan=1.0, posinf=1.0), 1.0)
    return np.clip(np.where(np.isfinite(shares), shares, worst), 0.0, worst)


def standard_error(differences: Array) -> float:
    """Return the standard error of the mean of paired differences."""
    return float(differences.std(ddof=1) / math.sqrt(len(differences))) if len(differences) > 1 else math.inf


@dataclass(frozen=True)
class Floor:
    """What quick models leave of mistakes and losses where much of both is noise; 0 where it is not."""

    mistake: float = 0.0
    loss: float = 0.0


def reducible(share: float, floor: float) -> float:
    """Return what is left above a floor, and a quarter at least: quick models are not the best that there is.

    >>> reducible(0.9, 0.5), reducible(0.8, 0.9)
    (0.4, 0.2)
    """
    return max(share - floor, LIMITS.reducible_least * share, 1e-12)


def is_better(
    old: RowScores,
    new: RowScores,
    by_loss: bool = True,
    suspected: bool = False,
    weighted: bool = False,
    floor: Floor = Floor(),
) -> tuple[bool, float]:
    """Return whether the second is better by more than chance and by enough to matter, and the share that it removes.

    Enough is a share of the mistakes and of the baseline (`Thresholds`), beyond two standard errors of the paired
    differences; beyond 1.3 if the cause was `suspected` before the experiment. If mistakes do not differ enough, a much
    lower loss counts, as long as mistakes are not more. Rows that become right are counted net of those that become wrong;
    if they are `weighted`, in units of the heaviest. Shares are of what lies above the `floor` of noise.
    """
    enough, relative = _fewer_mistakes(old, new, suspected, weighted, floor)
    if enough:
        return True, relative
    fixed = old.mistakes - new.mistakes
    lower = old.losses - new.losses
    saved = float(lower.mean())
    share = max(saved / reducible(old.loss, floor.loss), -USUAL.worst_share)
    clear = saved > USUAL.clear_errors * standard_error(lower)
    least = max(USUAL.least_gain, USUAL.loss_gain * (1.0 - floor.loss))
    large = saved >= least and share >= USUAL.relative_loss_gain and clear
    if by_loss and large and float(fixed.mean()) >= -standard_error(fixed):
        return True, share
    return False, relative if not by_loss or abs(relative) >= abs(share) else share


def _fewer_mistakes(
    old: RowScores, new: RowScores, suspected: bool, weighted: bool, floor: Floor
) -> tuple[bool, float]:
    """Return whether mistakes fall by enough and by more than chance, and the share of them that is removed."""
    errors = USUAL.suspected_errors if suspected else USUAL.errors
    enough = USUAL.suspected_gain if suspected else USUAL.gain
    share = USUAL.suspected_relative if suspected else USUAL.relative_gain
    fixed = old.mistakes - new.mistakes
    gain = float(fixed.mean())
    relative = max(gain / reducible(old.mistake, floor.mistake), -USUAL.worst_share)
    rows = fixed.sum() / max(np.abs(fixed).max(), 1e-300) if weighted else np.sign(fixed).sum()
    clear = gain > errors * standard_error(fixed) and rows >= USUAL.fewest_rows
    return bool(gain >= enough and relative >= share and clear), relative
