"""Why: members are weighed by rows they did not train on, and every step of the search lowers that loss."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.nn.losses import MeanSquaredError
from chainrule.tabular.selection import held_out_mean, select

Y = np.array([[0.0], [2.0], [4.0], [6.0]])
ONES = np.ones(4)
LEFT = np.array([0, 1])
RIGHT = np.array([2, 3])


def test_the_held_out_mean_counts_only_members_that_held_a_row_out():
    predictions = [
        (LEFT, np.array([[1.0], [3.0]])),
        (LEFT, np.array([[4.0], [6.0]])),
        (RIGHT, np.array([[5.0], [7.0]])),
    ]
    mean, covered = held_out_mean(predictions, np.array([1.0, 2.0, 1.0]), 5)
    np.testing.assert_allclose(mean[:4, 0], [3.0, 5.0, 5.0, 7.0])
    assert covered.tolist() == [True, True, True, True, False]


def test_a_bad_member_is_left_out_where_another_holds_out_the_same_rows():
    good = (LEFT, Y[LEFT])
    bad = (LEFT, Y[LEFT] + 10.0)
    only = (RIGHT, Y[RIGHT] + 1.0)
    weights = select(MeanSquaredError(), [good, bad, only], Y, ONES)
    assert weights.tolist() == [0.5, 0.0, 0.5]


def test_the_only_member_of_some_rows_stays_however_bad():
    weights = select(MeanSquaredError(), [(LEFT, Y[LEFT]), (RIGHT, Y[RIGHT] + 100.0)], Y, ONES)
    assert weights.tolist() == [0.5, 0.5]


def test_opposite_errors_cancel():
    above, below = (LEFT, Y[LEFT] + 1.0), (LEFT, Y[LEFT] - 0.5)
    weights = select(MeanSquaredError(), [above, below, (RIGHT, Y[RIGHT])], Y, ONES)
    assert weights[1] / weights[0] == pytest.approx(2.0)


def test_rows_of_weight_zero_do_not_count():
    one = (LEFT, np.array([[0.0], [100.0]]))
    two = (LEFT, np.array([[5.0], [2.0]]))
    weights = select(MeanSquaredError(), [one, two, (RIGHT, Y[RIGHT])], Y, np.array([1.0, 0.0, 1.0, 1.0]))
    assert weights[1] == 0.0


def test_weights_sum_to_one_and_never_raise_the_held_out_loss():
    rng = np.random.default_rng(0)
    n = 60
    target = rng.normal(size=(n, 1))
    fold = np.arange(n) % 3
    loss = MeanSquaredError()
    predictions = []
    for k in range(9):
        rows = np.flatnonzero(fold == k % 3)
        predictions.append((rows, target[rows] + rng.normal(size=(len(rows), 1)) * (0.2 + 0.2 * (k // 3))))
    weights = select(loss, predictions, target, np.ones(n))
    uniform, _ = held_out_mean(predictions, np.ones(9), n)
    chosen, _ = held_out_mean(predictions, weights, n)
    assert weights.sum() == pytest.approx(1.0)
    assert loss.rows(np, chosen, target).mean() <= loss.rows(np, uniform, target).mean()
