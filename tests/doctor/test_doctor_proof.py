"""Doubt gains among noise: size, chance and a second seed.

In: outcomes made by hand. Out: whether a gain is beyond doubt, and which share of what can be gained it is.
"""

from dataclasses import replace

import numpy as np
import pytest
from doctor_trials import PROBLEM

from chainrule import mlp
from chainrule.doctor.trials.evaluate import Outcome
from chainrule.doctor.trials.proof import (
    is_proven,
    is_proven_on_all_rows,
    measure_of,
    recognizes_more,
    seems_to_help,
    share_removed,
)
from chainrule.doctor.trials.scoring import Floor, RowScores, is_better, reducible, score_logits
from chainrule.doctor.vocabulary.targets import class_indices
from chainrule.doctor.vocabulary.thresholds import USUAL
from chainrule.engines import Rows
from chainrule.nn.losses import BinaryCrossEntropy, MeanSquaredError


def pair(gain, chance=0.0, loss=0.0, n=300):
    """Outcomes without and with a remedy: mean gains of mistakes and loss, and the deviation of the former by row."""
    spread = chance * np.where(np.arange(n) % 2, 1.0, -1.0)
    old = RowScores(np.full(n, 0.8), np.full(n, 0.8))
    new = RowScores(old.losses - loss - 0.1 * spread, old.mistakes - gain - spread)
    return tuple(Outcome(scores, scores, (), 1) for scores in (old, new))


@pytest.mark.parametrize(
    ("gains", "measure", "proven"),
    [
        ([pair(0.1), pair(0.1)], "losses", True),
        ([pair(0.04), pair(0.1)], "losses", False),  # less than the floor
        ([pair(0.1, chance=1.0), pair(0.1)], "losses", False),  # 1.7 standard errors
        ([pair(0.1), pair(0.01)], "losses", False),  # not with another seed
        ([pair(0.0, loss=0.1), pair(0.0, loss=0.1)], "losses", True),
        ([pair(0.0, loss=0.1), pair(0.0, loss=0.1)], "mistakes", False),  # losses in other units
        ([], "losses", False),
    ],
)
def test_a_gain_is_proven_by_its_size_its_error_and_a_second_seed(gains, measure, proven):
    assert is_proven(gains, measure) == proven


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
    assert is_proven_on_all_rows(old, new, "losses", 0.1) == proven
    assert seems_to_help(old, new, "losses", 0.1) == proven
    pairs = [tuple(Outcome(scores, scores, (), 1) for scores in (old, new))] * 2
    assert is_proven(pairs, "losses") == proven


@pytest.mark.parametrize("rare", [0.01, 0.02, 0.05, 0.1, 0.3])
def test_to_give_a_rare_class_up_is_no_gain(rare):
    y = (np.arange(1000) < 1000 * rare) * 1.0
    rows = Rows.of(PROBLEM.recipe, np.zeros((1000, 2)), y)

    def loss(p):
        return score_logits(PROBLEM.recipe, np.full((1000, 1), np.log(p / (1.0 - p))), rows, rows).loss

    assert loss(rare) == pytest.approx(1.0, abs=1e-5)
    assert loss(rare / 10) > 1.2


def test_networks_with_different_losses_are_compared_by_their_probabilities():
    y = np.array([0, 1, 1, 0])
    logistic = replace(PROBLEM.recipe, loss=BinaryCrossEntropy(), net=mlp(2, (3,), 1))
    squared = replace(logistic, loss=MeanSquaredError())
    rows = Rows(np.zeros((4, 2)), y[:, None] * 1.0, np.ones(4))
    p = np.array([[0.2], [0.7], [1.5], [-1.0]])
    constant = -np.log(0.5)
    said = score_logits(squared, p, rows, rows).surprises
    np.testing.assert_allclose(said, -np.log([0.8, 0.7, 0.98, 0.98]) / constant)
    said = score_logits(logistic, np.log(p[:2] / (1 - p[:2])), rows, rows[:2]).surprises
    np.testing.assert_allclose(said, -np.log([0.8, 0.7]) / constant)


def test_what_is_lost_on_no_mistake_is_proven_by_probabilities():
    wrong = (np.arange(300) < 60) * 1.0
    old = RowScores(np.full(300, 0.8), wrong, np.full(300, 0.8))
    new = RowScores(np.full(300, 2.0), wrong, np.full(300, 0.6))
    assert is_proven_on_all_rows(old, new, measure_of("matching-loss"), 0.1)
    assert not is_proven_on_all_rows(old, new, measure_of("label-smoothing"), 0.1)
    assert share_removed(old, new, "surprises") == pytest.approx(0.25)
    assert RowScores.joined([old, new], np.arange(600)).surprises[0] == 0.8
    assert RowScores.joined([old, replace(new, surprises=None)], np.arange(600)).surprises is None
