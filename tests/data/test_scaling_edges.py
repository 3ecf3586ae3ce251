"""Why: at the edges of the range a scaling once turned a column into NaN, into a constant, or into values of 100.

In: huge and tiny columns, columns that are nearly always 0. Out: unit variance, a bounded size, or the place of the number.
"""

import tracemalloc
import warnings

import numpy as np
import pytest

from chainrule import NetClassifier
from chainrule.data import Standardizer
from chainrule.errors import InvalidValueError


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def column(n=200):
    return np.random.default_rng(0).normal(size=(n, 3))


@pytest.mark.parametrize("value", [1.01e150, -1e151, 1e155, -1.7e308, np.inf, -np.inf, np.nan])
def test_numbers_whose_squares_overflow_are_named(value):
    X = column()
    X[17, 2] = value
    match = r"X must be (at most 1e\+150 in size|finite), got .* at row 17, column 2 \(counted from 0\)"
    for call in (Standardizer.fit, Standardizer.fit(column()).apply):
        with pytest.raises(InvalidValueError, match=match):
            call(X)


@pytest.mark.parametrize("power", [149, 100, 38, 10, 0, -10, -100, -150, -170, -200, -290])
def test_columns_of_any_size_get_unit_variance(power):
    """Below 1e-154 the squares once vanished, and the column counted as constant."""
    X = column() * 10.0**power
    scaling = Standardizer.fit(X)
    np.testing.assert_allclose(scaling.apply(X).std(axis=0), 1.0, rtol=1e-9)
    np.testing.assert_allclose(scaling.apply(X), Standardizer.fit(column()).apply(column()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [149, 100, 10, 0, -10, -150, -200])
def test_a_column_of_ordinary_size_has_the_same_bits_beside_any_other(power):
    X = column()
    wide = np.column_stack([X, X[:, 0] * 10.0**power])
    alone, beside = Standardizer.fit(X), Standardizer.fit(wide)
    np.testing.assert_array_equal(beside.mean[:3], alone.mean)
    np.testing.assert_array_equal(beside.scale[:3], alone.scale)


@pytest.mark.parametrize("value", [0.0, 5.0, -1e-200, 1e149, 1e-300, -7e7])
def test_a_constant_column_stays_constant(value):
    X = np.full((50, 2), value)
    X[:, 1] = np.arange(50)
    assert (Standardizer.fit(X).apply(X)[:, 0] == 0).all()
    assert Standardizer.fit(X).scale[0] == 1.0
    held = Standardizer.fit(X, hold_constant=True)
    assert abs(held.apply(X + 1e6)[:, 0]).max() < 1e-100


@pytest.mark.parametrize("ones", [1, 2, 5, 50, 99])
@pytest.mark.parametrize("n", [1000, 10_000])
def test_a_rare_word_is_not_blown_up(n, ones):
    """A column that is 1 in one of 10,000 rows was 100 there."""
    X = np.zeros((n, 2))
    X[:ones, 0] = 1.0
    X[:, 1] = np.arange(n)
    scaled = Standardizer.fit(X).apply(X)
    assert np.abs(scaled[:, 0]).max() <= 10.0 * (1 + 1e-12)
    assert scaled[0, 0] > 1.0
    np.testing.assert_allclose(scaled[:, 1].std(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("size", [1.0, 0.01, 1e3, -4.0, 1e-160])
def test_counts_and_weights_of_rare_words_are_bounded_in_any_unit(size):
    X = np.zeros((5000, 1))
    X[[3, 8, 400], 0] = size * np.array([1.0, 2.0, 7.0])
    scaled = Standardizer.fit(X).apply(X)[:, 0]
    assert np.abs(scaled).max() == pytest.approx(10.0)
    # what the words say of one another stays
    np.testing.assert_allclose((scaled[[8, 400]] - scaled[0]) / (scaled[3] - scaled[0]), [2.0, 7.0], rtol=1e-9)


@pytest.mark.parametrize("share", [0.011, 0.02, 0.1, 0.5])
def test_columns_that_are_less_rare_keep_unit_variance(share):
    X = (np.arange(2000)[:, None] < 2000 * share).astype(float)
    np.testing.assert_allclose(Standardizer.fit(X).apply(X).std(), 1.0, rtol=1e-12)


def test_the_bound_of_rare_columns_is_reached_without_a_jump():
    scales = []
    for ones in (99, 100, 101):
        X = np.zeros((10_000, 1))
        X[:ones] = 1.0
        scales.append(Standardizer.fit(X).apply(X)[0, 0])
    # 10 at most, √(0.99 / 0.01) at the bound, √(0.9899 / 0.0101) above it
    np.testing.assert_allclose(scales, [10.0, 99**0.5, (9899 / 101) ** 0.5], rtol=1e-12)


@pytest.mark.parametrize("n", [350, 1000, 5000])
def test_rare_columns_are_found_wherever_their_rows_are(n):
    X = np.zeros((n, 1))
    X[: n // 100] = 1.0
    X[0] = 100.0
    scaled = [Standardizer.fit(rows).apply(rows).max() for rows in (X, X[::-1])]
    np.testing.assert_allclose(scaled, 10.0)


def test_a_row_of_weight_two_is_two_rows_for_rare_columns_too():
    X = np.zeros((400, 2))
    X[:2, 0] = 1.0
    X[:, 1] = np.sin(np.arange(400))
    weights = np.where(np.arange(400) < 10, 2.0, 1.0)
    twice = Standardizer.fit(np.vstack([X, X[:10]]))
    weighted = Standardizer.fit(X, weights=weights)
    np.testing.assert_allclose(weighted.scale, twice.scale, rtol=1e-12)
    left_out = Standardizer.fit(X, weights=(np.arange(400) > 0).astype(float))
    np.testing.assert_allclose(left_out.scale, Standardizer.fit(X[1:]).scale, rtol=1e-12)


def test_pixels_with_one_scale_are_left_as_they_were():
    X = np.zeros((1000, 2))
    X[0, 0] = 255.0
    X[:, 1] = np.arange(1000)
    shared = Standardizer.fit(X, shared=True)
    assert len(set(shared.scale)) == 1
    assert shared.scale[0] == pytest.approx(np.sqrt(((X - X.mean()) ** 2).mean()), rel=1e-12)


def edge_columns(n=9000):
    """Columns that take each way through the fit: ordinary, tiny, huge, constant, rare, nearly constant."""
    random = np.random.default_rng(5)
    X = random.normal(size=(n, 7))
    X[:, 1] *= 1e-170
    X[:, 2] *= 1e120
    X[:, 3] = 4.2
    X[:, 4] = random.random(n) < 0.002
    X[:, 5] = 1e9 + 1e-3 * X[:, 5]
    return X


@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_read_where_they_lie_have_the_bits_of_a_copy(order, dtype, shared, weighted):
    X = edge_columns()
    X = X if dtype == "float64" else np.clip(X, -100, 100).astype(dtype)
    X = {"C": np.ascontiguousarray, "F": np.asfortranarray, "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2]}[
        order
    ](X)
    random = np.random.default_rng(6)
    for rows in (np.arange(len(X)), random.permutation(len(X))[:7000], np.array([8999, 3])):
        weights = random.random(len(rows)) if weighted else None
        copied = Standardizer.fit(X[rows], shared=shared, weights=weights)
        found = Standardizer.fit(X, shared=shared, weights=weights, rows=rows)
        np.testing.assert_array_equal(found.mean, copied.mean)
        np.testing.assert_array_equal(found.scale, copied.scale)
        for type_ in ("float32", "float64"):
            if not shared or type_ == "float64":
                np.testing.assert_array_equal(found.apply(X, type_, rows), copied.apply(X[rows], type_))


def test_a_fit_needs_no_copy_of_its_rows():
    X = np.random.default_rng(0).normal(size=(40_000, 50))
    y = (X[:, 0] > 0).astype(int)
    for held_out, most in ((False, 0.75), (True, 0.9)):
        network = NetClassifier(
            (4,), max_iter=1, batch_size=500, dtype="float32", random_state=0, early_stopping=held_out
        )
        network.fit(X[:1000], y[:1000])
        tracemalloc.start()
        network.fit(X, y)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most * X.nbytes  # the rows in float32 are half of it
