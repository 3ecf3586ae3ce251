"""Decide about small gains: they do not show on one training's held-out rows, but do when several seeds agree.

In: outcomes without and with a remedy, from several seeds. Out: the share of the mistakes that the remedy removes, or 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.scoring import standard_error
from chainrule.doctor.vocabulary.thresholds import USUAL

Pair = tuple[Outcome, Outcome]
"""The training without a remedy, and with it, from one seed."""


def consistent_gain(pairs: Sequence[Pair], training_gains: bool) -> float:
    """Return the share of the mistakes that the remedy removes if it helps for every seed, at least a little; else 0.

    The gain must exceed `Thresholds.consistent_gain` as a share of the
    mistakes (half of it if `training_gains`: the training loss improves as well), and one standard error over the rows.
    """
    removed = [old.held_out.mistakes - new.held_out.mistakes for old, new in pairs]
    if not pairs or any(each.mean() <= 0 for each in removed):
        return 0.0
    mean = np.mean(removed, axis=0)
    before = max(pairs[0][0].held_out.mistake, USUAL.good_enough)
    gain = float(mean.mean())
    least = USUAL.consistent_gain / 2 if training_gains else USUAL.consistent_gain
    return gain / before if gain > max(least * before, standard_error(mean)) else 0.0


def training_loss_improves(pairs: Sequence[Pair]) -> bool:
    """Check whether the training loss falls for every seed; losses must be comparable."""
    shares = [1.0 - new.trained.loss / max(old.trained.loss, 1e-12) for old, new in pairs]
    return bool(shares) and min(shares) > USUAL.consistent_gain


def has_learned(pair: Pair, by_loss: bool) -> bool:
    """Check whether most of the loss on the training rows is gone; most of the mistakes if losses are not comparable."""
    before, after = (one.trained.loss if by_loss else one.trained.mistake for one in pair)
    return after <= (1.0 - USUAL.learned_loss) * before


def starts_learning(pairs: Sequence[Pair], by_loss: bool, corrects_error: bool) -> float:
    """Return the share of the mistakes that the remedy removes, over all seeds, if the network learns only with it; else 0.

    A network that has not learned its training rows shows that on all of them, while a few held-out rows leave much to
    chance: for every seed most of the training loss must go. Mistakes on held-out rows must fall by more than a standard
    error, as `Thresholds.learned_gain` and twice `Thresholds.fewest_rows` say; if the remedy `corrects_error`, something
    that cannot have been intended, it is enough that they fall.
    """
    removed = np.array([old.held_out.mistakes - new.held_out.mistakes for old, new in pairs])
    before = float(np.mean([old.held_out.mistake for old, _ in pairs]))
    gain = float(removed.mean())
    enough = gain >= max(USUAL.learned_gain * before, USUAL.learned, standard_error(removed.mean(axis=0)))
    enough = enough and np.sign(removed).sum() >= 2 * USUAL.fewest_rows
    counts = gain > 0 if corrects_error else enough
    return gain / max(before, 1e-12) if counts and all(has_learned(pair, by_loss) for pair in pairs) else 0.0
