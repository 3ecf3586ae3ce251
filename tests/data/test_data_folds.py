"""Check splits and folds by group and by time.

In: drawn groups, times and labels. Out: passes, where rows are divided without overlap and in proportion.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.data import Dataset, folds, load, split_by_group, split_by_time, three_way
from chainrule.errors import InvalidValueError

RNG = np.random.default_rng(0)


def is_partition(parts, n):
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert all(len(part) and (np.diff(part) > 0).all() for part in parts)


@settings(max_examples=100, deadline=None)
@given(
    groups=st.lists(st.integers(0, 8), min_size=2, max_size=60).filter(lambda g: len(set(g)) > 1),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_group_is_on_one_side(groups, fraction, seed):
    groups = np.array(groups)
    rest, held_out = split_by_group(groups, fraction, seed)
    is_partition([rest, held_out], len(groups))
    assert not set(groups[rest]) & set(groups[held_out])
    np.testing.assert_array_equal(held_out, split_by_group(groups.astype(str), fraction, seed)[1])


def test_many_groups_give_the_share_and_the_classes_in_proportion():
    groups = RNG.integers(0, 200, 2000)
    y = RNG.random(2000) < 0.1
    for seed in range(5):
        _rest, held_out = split_by_group(groups, 0.2, seed, y)
        assert abs(len(held_out) - 400) < 30
        assert abs(y[held_out].mean() - y.mean()) < 0.02
    assert not np.array_equal(split_by_group(groups, 0.2, 0)[1], split_by_group(groups, 0.2, 1)[1])


@settings(max_examples=100, deadline=None)
@given(
    times=st.lists(st.integers(0, 20), min_size=2, max_size=60).filter(lambda t: len(set(t)) > 1),
    fraction=st.floats(0.01, 0.99),
)
def test_the_latest_rows_are_held_out(times, fraction):
    times = np.array(times)
    rest, held_out = split_by_time(times, fraction)
    is_partition([rest, held_out], len(times))
    assert times[rest].max() < times[held_out].min()


def test_times_may_be_numbers_dates_and_text_in_any_order():
    order = RNG.permutation(100)
    for times in (order / 3, np.datetime64("2020-01-01") + order, np.array([f"2020-{i:03}" for i in order])):
        rest, held_out = split_by_time(times, 0.2)
        assert sorted(order[held_out]) == list(range(80, 100))
        assert len(rest) == 80


@pytest.mark.parametrize("k", [2, 5, 10])
def test_every_row_is_held_out_once(k):
    y = RNG.integers(0, 3, 103)
    groups = RNG.integers(0, 30, 103)
    kinds = ({}, {"stratify": True}, {"groups": groups}, {"groups": groups, "stratify": True}, {"times": groups})
    for options in kinds:
        found = folds(y, k, 0, **options)
        assert len(found) == k
        is_partition([held_out for _, held_out in found], 103)
        for train, held_out in found:
            is_partition([train, held_out], 103)
            if "groups" in options or "times" in options:
                assert not set(groups[train]) & set(groups[held_out])


def test_folds_are_of_equal_size_and_of_classes_in_proportion():
    y = np.repeat(["a", "b", "c"], [50, 31, 22])
    found = folds(y, 5, 3, stratify=True)
    for label, low in (("a", 10), ("b", 6), ("c", 4)):
        assert {int((y[held_out] == label).sum()) for _, held_out in found} <= {low, low + 1}
    assert {len(held_out) for _, held_out in found} <= {20, 21}
    again = folds(y, 5, 3, stratify=True)
    assert all(
        np.array_equal(a, b) for one, other in zip(found, again, strict=True) for a, b in zip(one, other, strict=True)
    )
    assert not np.array_equal(found[0][1], folds(y, 5, 4, stratify=True)[0][1])


def test_folds_of_groups_are_balanced():
    groups = np.repeat(np.arange(20), RNG.integers(1, 30, 20))
    sizes = [len(held_out) for _, held_out in folds(len(groups), 4, 0, groups=groups)]
    assert max(sizes) - min(sizes) <= 3
    big = np.repeat([0, 1, 2], [90, 5, 5])
    assert sorted(len(held_out) for _, held_out in folds(100, 3, 0, groups=big)) == [5, 5, 90]


def test_folds_of_time_are_blocks():
    times = RNG.permutation(50)
    blocks = [sorted(times[held_out].tolist()) for _, held_out in folds(50, 5, 0, times=times)]
    assert blocks == [list(range(10 * i, 10 * i + 10)) for i in range(5)]


def numbered(n=60, test=None):
    return Dataset("own", np.arange(n)[:, None] * 1.0, np.arange(n) % 2, "classification", ("x",), "y", test=test)


def test_three_way_by_group():
    groups = RNG.integers(0, 20, 60)
    parts = three_way(numbered(), 0.2, 0.2, 0, group=groups)
    sides = [set(groups[part.X[:, 0].astype(int)]) for part in (parts.train, parts.validation, parts.test)]
    assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])
    assert sum(map(len, sides)) == len(set(groups))


def test_three_way_by_time():
    order = RNG.permutation(60)
    parts = three_way(numbered(), 0.2, 0.25, 0, time=order)
    times = [sorted(order[part.X[:, 0].astype(int)]) for part in (parts.train, parts.validation, parts.test)]
    assert times == [list(range(36)), list(range(36, 48)), list(range(48, 60))]


def test_three_way_with_rows_that_are_given():
    validation, test = numbered(7), numbered(9)
    parts = three_way(numbered(), 0.2, 0.2, 0, validation=validation, test=test)
    assert (len(parts.train.y), parts.validation, parts.test) == (60, validation, test)
    parts = three_way(numbered(test=numbered(5)), 0.2, 0.2, 0, test=test)
    assert (len(parts.train.y), len(parts.validation.y), parts.test) == (48, 12, test)
    parts = three_way(numbered(), 0.2, 0.2, 0, validation=validation)
    assert (len(parts.train.y), len(parts.test.y)) == (48, 12)


def test_without_keys_rows_are_divided_as_ever():
    whole = load("iris")
    parts = three_way(whole, 0.2, 0.25, seed=0)
    assert parts.test.X.sum() == pytest.approx(400.7, abs=60)
    assert [len(part.y) for part in (parts.train, parts.validation, parts.test)] == [90, 30, 30]


GAP = np.array([1.0, np.nan, 3.0])


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (
            lambda: split_by_group(np.zeros(5), 0.2, 0),
            r"group must be of at least 2 values, got 1. Each side needs one",
        ),
        (lambda: split_by_group(GAP, 0.2, 0), r"group must be without gaps, got '1 missing'. .* row 1"),
        (lambda: split_by_group(np.array(["a", None, "b"], object), 0.2, 0), "group must be without gaps"),
        (lambda: split_by_group(np.arange(5), 1.0, 0), r"fraction must be in \(0, 1\)"),
        (lambda: split_by_time(np.zeros(5), 0.2), "time must be of at least 2 values, got 1"),
        (lambda: split_by_time(np.array(["2020-01-01", "NaT"], "datetime64[D]"), 0.2), "time must be without gaps"),
        (lambda: split_by_time(np.array([1, "a"], object), 0.2), r"can be sorted, got \['int', 'str'\]"),
        (lambda: folds(10, 11, 0), r"k must be a whole number in \[2, 10\], got 11"),
        (lambda: folds(3, 5, 0), "the number of rows must be at least 5, got 3"),
        (lambda: folds(10, 3, 0, stratify=True), "y_or_n must be the labels"),
        (lambda: folds(10, 3, 0, groups=np.zeros(10)), "group must be of at least 3 values, got 1"),
        (lambda: folds(3, 3, 0, groups=np.arange(3), times=np.arange(3)), "groups must be None beside times"),
        (lambda: folds(3, 3, 0, groups=np.arange(4)), r"groups must be of shape \(3,\)"),
        (lambda: three_way(numbered(), 0.2, 0.2, 0, group=np.zeros(60), time=np.zeros(60)), "group must be None"),
        (lambda: three_way(numbered(), 0.2, 0.2, 0, time=np.zeros(6)), r"time must be of shape \(60,\)"),
        (lambda: three_way(numbered(), 0.2, 0.2, 0, test=load("iris")), r"test must be of the same columns.*Without"),
        (lambda: three_way(numbered(), 0.2, 0.2, 0, group=np.arange(60) % 2), "group must be of at least 2 values"),
    ],
)
def test_what_cannot_be_divided_is_refused(call, part):
    with pytest.raises(InvalidValueError, match=part):
        call()
