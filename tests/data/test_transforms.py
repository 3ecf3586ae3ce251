"""Why: one row in a service must be mapped exactly as it was among all rows in training, whatever it holds.

In: feature matrices with gaps, ties, constants and unknown codes. Out: the rows of a network, cell by cell.
"""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from chainrule.data.transform_plain import transform_from_plain, transform_to_plain
from chainrule.data.transforms import METHODS, FeatureTransform
from chainrule.errors import FormatError, InvalidValueError

SIZES = (0, 0, 4, 20, 0, 3)


def features(n=400, seed=0):
    """Two numbers with ties and gaps, a category of two levels, one of twenty, a constant, and one of three with gaps."""
    rng = np.random.default_rng(seed)
    E = np.empty((n, 6), np.float32)
    E[:, 0] = rng.normal(size=n).round(1)
    E[:, 1] = np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(size=n))
    E[:, 2] = rng.integers(2, 4, n)
    E[:, 3] = rng.integers(0, 20, n)
    E[:, 4] = 7.0
    E[:, 5] = rng.integers(0, 3, n)
    return E


def strange():
    """Rows unlike the training's: far outside, between nodes, gaps, unknown codes."""
    E = features(60, seed=1)
    E[:10, :2] = [[1e30, -1e30]] * 10
    E[10:20, 0] = np.nan
    E[20:30, 4] = np.linspace(-1e6, 1e6, 10)
    E[30:40, 2] = [0, 1, 2, 3, 4, 99, 2, 3, 0, 1]
    E[40:50, 3] = [0, 1, 19, 20, 21, 1e6, 5, 6, 7, 8]
    E[50:60, 4] = np.nan
    return E


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_one_row_at_a_time_equals_all_rows_at_once(method, dtype):
    transform = FeatureTransform.fit(features(), SIZES, method)
    E = np.vstack([features(), strange()])
    together = transform.apply(E, dtype)
    assert together.dtype == dtype
    assert np.isfinite(together).all()
    for size in (1, 3, 8, 9):
        parts = [transform.apply(E[i : i + size], dtype) for i in range(0, len(E), size)]
        np.testing.assert_array_equal(np.vstack(parts), together)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [0, 1, 8, 9, 2**15 - 1, 2**15 + 1])
@pytest.mark.parametrize("method", METHODS)
def test_rows_in_another_order_are_mapped_as_they_are_alone(method, n, order):
    E = np.asarray(features(2**16 if n > 100 else 60), order=order)
    transform = FeatureTransform.fit(E, SIZES, method)
    rows = np.random.default_rng(0).permutation(len(E))[:n]
    found = transform.apply(E, rows=rows)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, transform.apply(E)[rows])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, 1.0, float("nan")]), min_size=1, max_size=60),
    st.lists(st.floats(width=32, allow_infinity=True) | st.just(float("nan")), min_size=9, max_size=20),
    st.sampled_from(METHODS),
)
def test_any_number_is_mapped_alike_and_stays_finite(values, later, method):
    transform = FeatureTransform.fit(np.array(values, np.float32)[:, None], (0,), method)
    E = np.array(later, np.float32)[:, None]
    with np.errstate(all="ignore"):
        together = transform.apply(E, np.float64)
        alone = np.vstack([transform.apply(row[None], np.float64) for row in E])
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(alone, together)
    filled = E[~np.isnan(E[:, 0]), 0]
    order = together[~np.isnan(E[:, 0]), 0][np.argsort(filled, kind="stable")]
    assert (np.diff(order) >= -1e-12).all(), "larger values never come out smaller"


def test_quantiles_make_any_column_normal():
    E = features(2000)
    z = FeatureTransform.fit(E, SIZES).apply(E, np.float64)[:, 1]
    filled = np.sort(z[~np.isnan(E[:, 1])])
    expected = ndtri((np.arange(len(filled)) + 0.5) / len(filled))
    middle = slice(100, -100)
    assert np.abs(filled - expected)[middle].max() < 0.1
    assert (z[np.isnan(E[:, 1])] == 0).all()


def test_ties_become_one_value_the_middle_of_their_share_which_is_a_fiftieth_at_most():
    E = np.array([[float(value)] for value in (*[0] * 91, *range(1, 10))], np.float32)
    z = FeatureTransform.fit(E, (0,)).apply(np.array([[0.0], [1.0], [2.0], [0.5]], np.float32), np.float64)[:, 0]
    np.testing.assert_allclose(z[:3], ndtri(np.array([1.0, 2.5, 3.5]) / 11.0))
    assert z[3] == pytest.approx((z[0] + z[1]) / 2)


def test_values_outside_of_training_are_clamped_by_quantiles_and_level_off_by_robust():
    E = features()
    far = E[:1].repeat(4, axis=0)
    far[:, 0] = [E[:, 0].max(), 1e20, E[:, 0].min(), -1e20]
    high, higher, low, lower = FeatureTransform.fit(E, SIZES).apply(far)[:, 0]
    assert (high, low) == (higher, lower)
    assert high > 2
    assert low < -2
    robust = FeatureTransform.fit(E, SIZES, "robust").apply(far, np.float64)[:, 0]
    assert robust[[1, 3]].tolist() == [3.0, -3.0]
    assert np.abs(robust).max() <= 3.0


def test_robust_is_the_formula():
    E = features()
    low, middle, high = np.quantile(E[:, 0].astype(np.float64), [0.25, 0.5, 0.75])
    u = (E[:, 0].astype(np.float64) - middle) / (high - low)
    z = FeatureTransform.fit(E, SIZES, "robust").apply(E, np.float64)[:, 0]
    np.testing.assert_allclose(z, u / np.sqrt(1 + (u / 3) ** 2), rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_and_a_column_of_gaps_stay_at_zero_wherever_they_move(method):
    E = np.full((50, 2), 7.0, np.float32)
    E[:, 1] = np.nan
    transform = FeatureTransform.fit(E, (0, 0), method)
    later = np.array([[7.0, 1.0], [2030.0, 5.0], [-1e9, -1e9]], np.float32)
    assert transform.apply(later)[:, :2].tolist() == [[0.0, 0.0]] * 3


def test_indicators_only_where_training_had_gaps():
    transform = FeatureTransform.fit(features(), SIZES)
    assert transform.gaps == (1,)
    E = features()[:2].copy()
    E[0, [0, 1]] = np.nan
    E[1, 1] = 1.0
    p, o, _ = transform.widths
    assert transform.apply(E)[:, p + o - 1].tolist() == [1.0, 0.0]


def test_two_codes_share_a_column_and_unknown_codes_are_zero():
    E = np.array([[2], [3], [2], [3]], np.float32)
    transform = FeatureTransform.fit(E, (5,))
    assert transform.widths == (0, 1, 0)
    assert transform.apply(np.array([[2], [3], [0], [1], [4]], np.float32)).ravel().tolist() == [1, -1, 0, 0, 0]


def test_one_code_says_nothing_and_three_get_a_column_each():
    one = FeatureTransform.fit(np.full((4, 1), 2, np.float32), (3,))
    assert one.widths == (0, 0, 0)
    assert one.apply(np.full((3, 1), 2, np.float32)).shape == (3, 0)
    three = FeatureTransform.fit(np.array([[1], [2], [4]], np.float32), (5,))
    assert three.apply(np.array([[1], [2], [4], [3]], np.float32)).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
    ]


def test_many_levels_stay_codes_and_codes_beyond_their_number_are_zero():
    transform = FeatureTransform.fit(features(), SIZES)
    assert transform.codes == ((3, 20),)
    E = features()[:4].copy()
    E[:, 3] = [5, 19, 20, 1e6]
    assert transform.apply(E)[:, -1].tolist() == [5, 19, 0, 0]
    assert FeatureTransform.fit(features(), SIZES, most_one_hot=20).codes == ()


def test_no_rows_and_no_numbers():
    transform = FeatureTransform.fit(features(), SIZES)
    assert transform.apply(features()[:0]).shape == (0, sum(transform.widths))
    codes = FeatureTransform.fit(features()[:, 2:3], (4,))
    assert codes.apply(features()[:20, 2:3]).shape == (20, 1)


@pytest.mark.parametrize("method", METHODS)
def test_copies_pickles_and_plain_data_map_alike(method):
    transform = FeatureTransform.fit(features(), SIZES, method)
    E = strange()
    expected = transform.apply(E), transform.apply(E[:1])
    plain = transform_from_plain(transform_to_plain(transform), transform.nodes, len(SIZES))
    for other in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform), plain):
        np.testing.assert_array_equal(other.apply(E), expected[0])
        np.testing.assert_array_equal(other.apply(E[:1]), expected[1])


def test_what_is_wrong_is_refused():
    with pytest.raises(InvalidValueError, match="method must be quantile or robust, got 'rank'"):
        FeatureTransform.fit(features(), SIZES, "rank")
    transform = FeatureTransform.fit(features(), SIZES)
    with pytest.raises(FormatError, match="must hold a method"):
        transform_from_plain({}, transform.nodes, 6)
    with pytest.raises(FormatError, match="ascend"):
        transform_from_plain(transform_to_plain(transform), transform.nodes[:, :, ::-1], 6)
