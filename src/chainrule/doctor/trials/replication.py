"""Why: a slight harm does not show on one training's held-out rows, but it does when three seeds or all training rows agree.

In: outcomes without and with a change, from several seeds. Out: the share of mistakes that the change takes away, or 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.scoring import error_of_mean
from chainrule.doctor.vocabulary.thresholds import USUAL

Pair = tuple[Outcome, Outcome]
"""The training without a change, and with it, from one seed."""


def steady(pairs: Sequence[Pair], fitting: bool) -> float:
    """The share of mistakes that the change takes away from each seed, a little at least; else 0.

    A small harm that shows every time is a harm. The gain must exceed `Thresholds.steady` as a share of the mistakes, half
    of it where the training rows gain too (`fitting`), and one standard error over the rows.
    """
    fewer = [old.held_out.mistakes - new.held_out.mistakes for old, new in pairs]
    if not pairs or any(each.mean() <= 0 for each in fewer):
        return 0.0
    mean, first = np.mean(fewer, axis=0), max(pairs[0][0].held_out.mistake, USUAL.good_enough)
    gain, least = float(mean.mean()), USUAL.steady / 2 if fitting else USUAL.steady
    return gain / first if gain > max(least * first, error_of_mean(mean)) else 0.0


def fits(pairs: Sequence[Pair]) -> bool:
    """Whether the training loss gains from each seed, where losses are comparable."""
    return (
        bool(pairs) and min(1.0 - new.trained.loss / max(old.trained.loss, 1e-12) for old, new in pairs) > USUAL.steady
    )


def learned(pair: Pair, by_loss: bool) -> bool:
    """Whether most of the loss on the training rows is gone; most of the mistakes, where losses are not comparable."""
    before, after = (one.trained.loss if by_loss else one.trained.mistake for one in pair)
    return after <= (1.0 - USUAL.learned_loss) * before


def learns(pairs: Sequence[Pair], by_loss: bool, right: bool) -> float:
    """The share of mistakes that the change takes away from all seeds together, if it makes the network learn; else 0.

    A network that has not learned its own rows shows that on all of them, where few held-out rows leave much to chance: from
    each seed most of the training loss must go. On held-out rows mistakes must go by more than a standard error, as
    `Thresholds.learned_gain` and twice `Thresholds.fewest_rows` say; where what is put `right` cannot have been meant, it is
    enough that they are fewer.
    """
    fewer = np.array([old.held_out.mistakes - new.held_out.mistakes for old, new in pairs])
    before, gain = float(np.mean([old.held_out.mistake for old, _ in pairs])), float(fewer.mean())
    enough = gain >= max(USUAL.learned_gain * before, USUAL.learned, error_of_mean(fewer.mean(axis=0)))
    enough = enough and np.sign(fewer).sum() >= 2 * USUAL.fewest_rows
    counts = gain > 0 if right else enough
    return gain / max(before, 1e-12) if counts and all(learned(pair, by_loss) for pair in pairs) else 0.0
