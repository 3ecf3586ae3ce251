"""Decide whether a remedy's gain on held-out rows is beyond doubt.

Beside much noise a remedy often seems to help: many are tested, on a few hundred rows. There a gain counts only if it is
several of its own standard errors, more than a floor, and seen again with another seed.
A few hundred rows are often too few for that. Then every training row is judged by a network trained without it, without
and with the remedy.
In: outcomes without and with a remedy, from two seeds, or scores of rows that were left out. Out: whether it is proven.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.trials.replication import Pair
from chainrule.doctor.trials.scoring import RowScores, standard_error
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.train.problem import TrainingProblem


def is_proven(pairs: Sequence[Pair], by_loss: bool) -> bool:
    """Check whether the remedy removes mistakes, or loss where losses are comparable, beyond doubt and for every seed.

    The first pair is the training in question: its gain must exceed `Limits.proof_errors` standard errors of the paired
    differences and `Thresholds.least_gain`. Every other seed must show half of the latter.
    """
    fixed = [old.held_out.mistakes - new.held_out.mistakes for old, new in pairs[:1]]
    kinds = ("mistakes", "losses") if by_loss and all(map(costs_nothing, fixed)) else ("mistakes",)
    return any(
        _gains([getattr(old.held_out, kind) - getattr(new.held_out, kind) for old, new in pairs]) for kind in kinds
    )


def seems_to_help(old: RowScores, new: RowScores, by_loss: bool, least: float) -> bool:
    """Check whether held-out rows gain enough, and by more than a standard error: then a proof is worth its trainings."""
    return any(float(each.mean()) >= max(least, standard_error(each)) for each in _removed(old, new, by_loss))


def is_proven_on_all_rows(old: RowScores, new: RowScores, by_loss: bool, least: float) -> bool:
    """Check whether rows that were left out gain enough, and by more than `Limits.proof_errors` standard errors."""
    return any(
        float(each.mean()) >= least and float(each.mean()) > LIMITS.proof_errors * standard_error(each)
        for each in _removed(old, new, by_loss)
    )


def _removed(old: RowScores, new: RowScores, by_loss: bool) -> list[Array]:
    """Return what each row gains: mistakes, and losses where they are comparable and mistakes do not clearly become more."""
    fixed = old.mistakes - new.mistakes
    return [fixed, old.losses - new.losses] if by_loss and costs_nothing(fixed) else [fixed]


def costs_nothing(fixed: Array) -> bool:
    """Check whether mistakes do not become more by more than a standard error."""
    return float(fixed.mean()) >= -standard_error(fixed)


def _gains(removed: Sequence[Array]) -> bool:
    if not removed or not _is_clear(removed[0]):
        return False
    return all(float(each.mean()) >= USUAL.second_seed_margin * USUAL.least_gain for each in removed[1:])


def _is_clear(removed: Array) -> bool:
    gain = float(removed.mean())
    return gain >= USUAL.least_gain and gain > LIMITS.proof_errors * standard_error(removed)


def recognizes_more(problem: TrainingProblem, pairs: Sequence[Pair]) -> bool:
    """Check whether class weights recognize more held-out rows, every class counting the same, at no clear cost in accuracy.

    Rows that the network was trained on say nothing: it may know them by their noise. If mistakes become more, the weights
    only exchange the rows of one class for those of another.
    """
    held = problem.validation
    y = None if held is None else class_indices(held)
    if y is None:
        return False
    count = np.bincount(y)
    share = len(y) / (np.count_nonzero(count) * count[y])
    removed = [_wrong(old.held_out) - _wrong(new.held_out) for old, new in pairs]
    plain = removed[0] if removed else np.zeros(1)
    return _gains([each * share for each in removed]) and costs_nothing(plain)


def _wrong(scores: RowScores) -> Array:
    return (scores.mistakes > 0) * 1.0
