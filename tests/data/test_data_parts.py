"""Why: splits must be disjoint, fair and repeatable, scales exact. In: drawn arrays. Out: passes or messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from chainrule.data import Dataset, Standardizer, check_classes, load, split, three_way
from chainrule.errors import InvalidValueError


@settings(max_examples=150, deadline=None)
@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**64 - 1),
)
def test_stratified_split(labels, fraction, seed):
    y = np.array(labels)
    classes, counts = np.unique(y, return_counts=True)
    if counts.max() < 2:
        with pytest.raises(InvalidValueError, match="a class with at least two rows"):
            split(y, fraction, seed, stratify=True)
        return
    rest, held_out = split(y, fraction, seed, stratify=True)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, held_out])), np.arange(len(y)))
    assert (np.diff(rest) > 0).all()
    assert (np.diff(held_out) > 0).all()
    alone = int((counts == 1).sum())  # the only row of a class stays, so its share is held out of other classes
    for label, count in zip(classes, counts, strict=True):
        held = int((y[held_out] == label).sum())
        assert held == 0 if count == 1 else 1 <= held <= count - 1
        assert count < 2 or abs(held - fraction * count) <= 1 + alone * fraction


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 200), fraction=st.floats(0.001, 0.999))
def test_plain_split_has_the_rounded_size(n, fraction):
    rest, held_out = split(n, fraction, seed=1)
    assert len(held_out) == min(max(round(fraction * n), 1), n - 1)
    assert len(rest) + len(held_out) == n


def test_stratified_split_keeps_the_total_where_classes_are_large():
    y = np.repeat([0, 1, 2], [33, 33, 34])
    assert len(split(y, 0.25, 0, stratify=True)[1]) == 25


def test_split_follows_seed_and_part():
    first = split(100, 0.3, seed=0)[1]
    np.testing.assert_array_equal(first, split(100, 0.3, seed=0)[1])
    np.testing.assert_array_equal(first, split(np.zeros(100), 0.3, seed=0)[1])
    assert not np.array_equal(first, split(100, 0.3, seed=1)[1])
    assert not np.array_equal(first, split(100, 0.3, seed=0, part=1)[1])


def test_split_is_uniform_over_rows():
    times = np.zeros(10)
    for seed in range(2000):
        times[split(10, 0.3, seed)[1]] += 1
    assert abs(times - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_split_refuses(fraction):
    with pytest.raises(InvalidValueError) as caught:
        split(1, fraction, 0, stratify=True)
    assert len(str(caught.value).splitlines()) == 3


def test_three_way():
    parts = three_way(load("iris"), 0.2, 0.25, seed=0)
    assert [len(part.y) for part in (parts.train, parts.validation, parts.test)] == [90, 30, 30]
    assert np.unique(parts.test.y, return_counts=True)[1].tolist() == [10, 10, 10]
    rows = np.concatenate([parts.train.X, parts.validation.X, parts.test.X])
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(load("iris").X, axis=0))


def test_three_way_without_parts_and_with_own_test_rows():
    whole = load("diabetes")
    parts = three_way(whole, 0, 0, seed=0)
    assert parts.validation is None
    assert parts.test is None
    own = Dataset("own", whole.X, whole.y, "regression", whole.feature_names, "y", test=whole)
    parts = three_way(own, 0.2, 0.5, seed=0)
    assert parts.test is whole
    assert parts.train.test is None
    assert len(parts.train.y) == 221


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(2, 30),
    d=st.integers(1, 5),
    offset=st.floats(-1e6, 1e6),
)
def test_standardizer_is_that_of_scikit_learn(seed, n, d, offset):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(n, d)) + offset, rng.uniform(0.1, 2, n)
    for weights in (None, w):
        ours, theirs = Standardizer.fit(X, weights=weights), StandardScaler().fit(X, sample_weight=weights)
        np.testing.assert_allclose(ours.mean, theirs.mean_, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ours.scale, theirs.scale_, rtol=1e-8)
        np.testing.assert_allclose(ours.undo(ours.apply(X)), X, rtol=1e-12, atol=1e-12)


def test_standardizer_over_more_than_one_block():
    X = np.random.default_rng(0).normal(3, 2, size=(10_000, 3)).astype(np.float32)
    fitted, Z = Standardizer.fit(X), Standardizer.fit(X).apply(X, np.float32)
    np.testing.assert_allclose(fitted.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(fitted.scale, X.std(axis=0, dtype=np.float64), rtol=1e-12)
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z.std(axis=0), 1, rtol=1e-5)


def test_shared_scale_is_one_number():
    X = np.random.default_rng(0).integers(0, 256, (50, 4)).astype(np.float32)
    shared = Standardizer.fit(X, shared=True)
    np.testing.assert_allclose(shared.mean, np.full(4, X.mean(dtype=np.float64)), rtol=1e-12)
    np.testing.assert_allclose(shared.scale, np.full(4, X.std(dtype=np.float64)), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9, -1e-300, 1.7e9 + 0.3])
def test_constant_column_keeps_scale_one(value):
    X = np.full((10_001, 1), value)
    fitted = Standardizer.fit(X, weights=np.random.default_rng(0).uniform(size=len(X)))
    assert (fitted.mean[0], fitted.scale[0]) == (value, 1.0)


def test_rounding_noise_is_constant_but_a_small_spread_at_a_large_mean_is_not():
    assert Standardizer.fit(np.array([[0.3], [0.1 + 0.2]])).scale[0] == 1.0
    X = 1.7e9 + np.array([[0.0], [1e-3]])
    np.testing.assert_allclose(Standardizer.fit(X).scale, X.std(axis=0), rtol=1e-6)


def test_weights_count_rows():
    X = np.array([[1.0], [2.0], [4.0]])
    repeated = Standardizer.fit(np.array([[2.0], [2.0], [4.0]]))
    weighted = Standardizer.fit(X, weights=np.array([0, 2, 1]))
    np.testing.assert_allclose([weighted.mean, weighted.scale], [repeated.mean, repeated.scale])


def test_identity_changes_nothing():
    X = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(Standardizer.identity(3).apply(X), X)


BAD = np.array([[1.0, 2.0], [3.0, np.nan], [np.inf, 1.0]])


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: Standardizer.fit(BAD), r"got nan at row 1, column 1 \(counted from 0\) and at 1 more"),
        (lambda: Standardizer.identity(2).apply(BAD), "X must be finite"),
        (lambda: Standardizer.identity(3).apply(BAD), r"shape \(n, 3\), the columns it was fitted to, got \(3, 2\)"),
        (lambda: Standardizer.fit(np.ones(3)), r"X must be of shape \(n, d\)"),
        (lambda: Standardizer.fit(np.array([["a"]])), "X must be numeric"),
        (lambda: Standardizer.fit(np.eye(2), weights=np.ones(3)), r"weights must be of shape \(2,\)"),
        (lambda: Standardizer.fit(np.eye(2), weights=np.zeros(2)), "weights must be >= 0 and not all 0"),
        (lambda: Standardizer.fit(np.eye(2), weights=np.array([2, -1])), "weights must be >= 0"),
    ],
)
def test_standardizer_refuses(call, part):
    with pytest.raises(InvalidValueError, match=part):
        call()


def test_one_class_is_refused():
    with pytest.raises(InvalidValueError, match=r"at least two classes, got \['a'\]"):
        check_classes(np.array(["a", "a"]))
