"""Decide whether a remedy's gain is beyond doubt.

Beside noise a remedy often seems to help: many are tested, on a few hundred rows. A gain counts only if it is several of
its own standard errors and more than a floor. A few hundred rows are often too few for that, so every training row is
judged by a network trained without it, without and with the remedy. Where rows cannot be left out, held-out rows decide, and
another seed must agree.
In: outcomes without and with a remedy, from two seeds, or scores of rows that were left out. Out: whether it is proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from chainrule.arrays import Array
from chainrule.doctor.trials.replication import Pair
from chainrule.doctor.trials.scoring import RowScores, standard_error
from chainrule.doctor.vocabulary.catalogue import find_remedy
from chainrule.doctor.vocabulary.limits import LIMITS
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.train.problem import TrainingProblem

Measure = Literal["mistakes", "losses", "surprises"]
"""What networks are compared by, beside their mistakes: a loss that both have, or the log loss of their probabilities."""


def measure_of(remedy: str) -> Measure:
    """Return what networks with and without a remedy have in common beside mistakes.

    Probabilities where it corrects the loss or the output; what else changes units may be meant to make them less sure.
    """
    entry = find_remedy(remedy)
    if not entry.changes_units:
        return "losses"
    return "surprises" if entry.corrects_error else "mistakes"


def least_gain(remedy: str) -> float:
    """Return the share of a constant's error that a remedy must remove beside noise.

    Every network gains a little by some remedies; an error in one training is hardly there by chance.
    """
    entry = find_remedy(remedy)
    if entry.helps_any:
        return LIMITS.general_gain
    return LIMITS.error_gain if entry.problem_specific and entry.corrects_error else USUAL.least_gain


def is_proven(pairs: Sequence[Pair], measure: Measure, least: float = USUAL.least_gain) -> bool:
    """Check whether the remedy removes mistakes, or what else is comparable, beyond doubt and for every seed.

    The first pair is the training in question: its gain must exceed `Limits.proof_errors` standard errors of the paired
    differences and `least`. Every other seed must show half of the latter.
    """
    removed = [_removed(old.held_out, new.held_out, measure) for old, new in pairs]
    kinds = range(min(map(len, removed), default=0))
    return any(_gains([each[kind] for each in removed], least) for kind in kinds)


def seems_to_help(old: RowScores, new: RowScores, measure: Measure, least: float) -> bool:
    """Check whether held-out rows gain enough, and by more than a standard error: then a proof is worth its trainings."""
    return any(float(each.mean()) >= max(least, standard_error(each)) for each in _removed(old, new, measure))


def is_proven_on_all_rows(old: RowScores, new: RowScores, measure: Measure, least: float) -> bool:
    """Check whether rows that were left out gain enough, and by more than `Limits.proof_errors` standard errors."""
    return any(
        float(each.mean()) >= least and float(each.mean()) > LIMITS.proof_errors * standard_error(each)
        for each in _removed(old, new, measure)
    )


def share_removed(old: RowScores, new: RowScores, measure: Measure) -> float:
    """Return the share of the mistakes that is gone, or of what else is comparable if that is more."""
    kinds = ("mistakes", measure)[: len(_removed(old, new, measure))]
    before = [float(getattr(old, kind).mean()) for kind in kinds]
    gone = [float(each.mean()) for each in _removed(old, new, measure)]
    return max(part / max(whole, 1e-12) for part, whole in zip(gone, before, strict=True))


def _removed(old: RowScores, new: RowScores, measure: Measure) -> list[Array]:
    """Return what each row gains: mistakes, and another measure where they do not clearly become more."""
    fixed = old.mistakes - new.mistakes
    before, after = (None if measure == "mistakes" else getattr(scores, measure) for scores in (old, new))
    return [fixed] if before is None or after is None or not costs_nothing(fixed) else [fixed, before - after]


def costs_nothing(fixed: Array) -> bool:
    """Check whether mistakes do not become more by more than a standard error."""
    return float(fixed.mean()) >= -standard_error(fixed)


def _gains(removed: Sequence[Array], least: float = USUAL.least_gain) -> bool:
    if not removed:
        return False
    gain = float(removed[0].mean())
    clear = gain >= least and gain > LIMITS.proof_errors * standard_error(removed[0])
    return clear and all(float(each.mean()) >= USUAL.second_seed_margin * least for each in removed[1:])


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
