"""Why: every row is visited once in an epoch, and a training continues at any row as if it had never stopped.

In: sizes of groups, windows, seeds, epochs and places, drawn at random. Out: a permutation, the same from any row on.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data.stream.order import RowOrder
from chainrule.data.stream.parts import TEST, TRAIN, VALIDATION, Shares, part_codes, sample_mask

SIZES = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(sum)


def whole(order, epoch, start=0):
    return np.concatenate([order.rows(window) for window in order.windows(epoch, start)])


@settings(max_examples=150, deadline=None)
@given(SIZES, st.integers(1, 5), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_every_row_comes_once_and_the_rest_is_the_same_from_any_row(sizes, per_window, seed, epoch, in_order, data):
    order = RowOrder(np.array(sizes), per_window, seed, in_order)
    rows = whole(order, epoch)
    assert sorted(rows.tolist()) == list(range(len(order)))
    start = data.draw(st.integers(0, len(order) - 1))
    assert whole(order, epoch, start).tolist() == rows[start:].tolist()


@settings(max_examples=50, deadline=None)
@given(SIZES, st.integers(1, 5), st.integers(0, 100))
def test_the_order_is_a_function_of_seed_and_epoch(sizes, per_window, seed):
    one, other = (RowOrder(np.array(sizes), per_window, seed) for _ in range(2))
    assert whole(one, 3).tolist() == whole(other, 3).tolist()


def test_epochs_and_seeds_have_orders_of_their_own():
    sizes = np.full(8, 50)
    seen = {tuple(whole(RowOrder(sizes, 2, seed), epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(seen) == 16


def test_rows_of_a_window_come_from_its_groups_alone():
    order = RowOrder(np.full(6, 10), 2, 0)
    for window in order.windows(0):
        assert {int(row) // 10 for row in order.rows(window)} == set(window.groups.tolist())


def test_groups_that_come_in_order_stay_in_order():
    order = RowOrder(np.full(6, 10), 3, 0, in_order=True)
    assert [window.groups.tolist() for window in order.windows(5)] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.2), (0.0, 0.5), (0.3, 0.0), (0.0, 0.0), (0.02, 0.01)])
def test_parts_have_their_shares_and_do_not_depend_on_the_piece(validation, test):
    shares = Shares(validation, test, 0.05, seed=3)
    codes = part_codes(shares, 4, 0, 40_000)
    for part, share in ((TRAIN, 1 - validation - test), (VALIDATION, validation), (TEST, test)):
        assert abs((codes == part).mean() - share) < 0.01
    pieces = np.concatenate([part_codes(shares, 4, start, 8000) for start in range(0, 40_000, 8000)])
    assert (pieces == codes).all()
    assert (sample_mask(shares, 4, 100, 50) == sample_mask(shares, 4, 0, 200)[100:150]).all()
    assert not (part_codes(shares, 5, 0, 40_000) == codes).all() or not validation + test


def test_keys_hold_out_whole_groups_of_rows():
    import polars as pl

    keys = pl.Series("who", [f"p{i % 37}" for i in range(1000)])
    codes = part_codes(Shares(0.2, 0.2, seed=1), 0, 0, 1000, keys)
    by_key = {}
    for key, code in zip(keys, codes, strict=True):
        by_key.setdefault(key, set()).add(int(code))
    assert all(len(found) == 1 for found in by_key.values())
    assert {code for found in by_key.values() for code in found} == {TRAIN, VALIDATION, TEST}
    again = part_codes(Shares(0.2, 0.2, seed=1), 7, 500, 1000, keys)
    assert (again == codes).all()
