"""Doubt gains among noise: size, chance and a second seed.

In: outcomes made by hand. Out: whether a gain is beyond doubt, and which share of what can be gained it is.
"""

import numpy as np
import pytest
from doctor_trials import PROBLEM

from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.proof import is_proven, is_proven_on_all_rows, recognizes_more, seems_to_help
from chainrule.doctor.trials.scoring import Floor, RowScores, is_better, reducible, score_logits
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows


def pair(gain, chance=0.0, loss=0.0, n=300):
    """Outcomes without and with a remedy: mean gains of mistakes and loss, and the deviation of the former by row."""
    spread = chance * np.where(np.arange(n) % 2, 1.0, -1.0)
    old = RowScores(np.full(n, 0.8), np.full(n, 0.8))
    new = RowScores(old.losses - loss - 0.1 * spread, old.mistakes - gain - spread)
    return tuple(Outcome(scores, scores, (), 1) for scores in (old, new))


@pytest.mark.parametrize(
    ("gains", "by_loss", "proven"),
    [
        ([pair(0.1), pair(0.1)], True, True),
        ([pair(0.04), pair(0.1)], True, False),  # less than the floor
        ([pair(0.1, chance=1.0), pair(0.1)], True, False),  # 1.7 standard errors
        ([pair(0.1), pair(0.01)], True, False),  # not with another seed
        ([pair(0.0, loss=0.1), pair(0.0, loss=0.1)], True, True),
        ([pair(0.0, loss=0.1), pair(0.0, loss=0.1)], False, False),  # losses in other units
        ([], True, False),
    ],
)
def test_a_gain_is_proven_by_its_size_its_error_and_a_second_seed(gains, by_loss, proven):
    assert is_proven(gains, by_loss) == proven


@pytest.mark.parametrize(
    ("found", "lost", "more"),
    [(40, 0, True), (40, 5, True), (40, 80, False), (1, 0, False), (0, 0, False)],
)
def test_class_weights_must_not_exchange_one_class_for_another(found, lost, more):
    y = class_indices(PROBLEM.validation)
    wrong = (y == 1) * 1.0
    after = wrong.copy()
    after[np.flatnonzero(y == 1)[:found]] = 0.0
    after[np.flatnonzero(y == 0)[:lost]] = 1.0
    outcomes = tuple(Outcome(RowScores(each, each), RowScores(each, each), (), 1) for each in (wrong, after))
    assert recognizes_more(PROBLEM, [outcomes, outcomes]) == more


@pytest.mark.parametrize(("old", "floor", "left"), [(0.9, 0.0, 0.9), (0.9, 0.5, 0.4), (0.8, 0.9, 0.2), (0.0, 0.0, 0.0)])
def test_only_what_lies_above_the_noise_can_be_gained(old, floor, left):
    assert reducible(old, floor) == pytest.approx(left, abs=1e-9)


@pytest.mark.parametrize("floor", [0.4, 0.5, 0.6, 0.7, 0.75])
def test_most_of_what_can_be_gained_is_enough_among_noise(floor):
    rows = np.random.default_rng(0).normal(0, 0.1, 300)
    old = RowScores(np.full(300, 1.0), np.ones(300))
    new = RowScores(floor + 0.05 + rows, np.ones(300))
    assert is_better(old, new, floor=Floor(1.0, floor))[0]
    assert is_better(old, new)[0] == (0.95 - floor >= USUAL.relative_loss_gain)


@pytest.mark.parametrize(("more_mistakes", "proven"), [(0.0, True), (0.3, False)])
def test_a_lower_loss_proves_nothing_where_mistakes_become_more(more_mistakes, proven):
    wrong = (np.arange(300) < 60) * 1.0
    old = RowScores(np.full(300, 0.8), wrong)
    new = RowScores(np.full(300, 0.6), (np.arange(300) < 60 * (1.0 + more_mistakes)) * 1.0)
    assert is_proven_on_all_rows(old, new, True, 0.1) == proven
    assert seems_to_help(old, new, True, 0.1) == proven
    pairs = [tuple(Outcome(scores, scores, (), 1) for scores in (old, new))] * 2
    assert is_proven(pairs, True) == proven


@pytest.mark.parametrize("rare", [0.01, 0.02, 0.05, 0.1, 0.3])
def test_to_give_a_rare_class_up_is_no_gain(rare):
    y = (np.arange(1000) < 1000 * rare) * 1.0
    rows = Rows.of(PROBLEM.recipe, np.zeros((1000, 2)), y)

    def loss(p):
        return score_logits(PROBLEM.recipe, np.full((1000, 1), np.log(p / (1.0 - p))), rows, rows).loss

    assert loss(rare) == pytest.approx(1.0, abs=1e-5)
    assert loss(rare / 10) > 1.2
