"""Why: calibration must find the temperature that the data were made with, and never make honest what is less so.

In: logits whose true temperature is known, separable and hostile rows. Out: temperatures, bins and errors held against
formulas, scikit-learn and SciPy.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from chainrule.calibration import HOTTEST, expected_calibration_error, reliability, temperature
from chainrule.errors import InvalidValueError
from chainrule.nn.losses import BinaryCrossEntropy, MultiSoftmaxCrossEntropy, SoftmaxCrossEntropy


def drawn(rng, Z):
    """Classes drawn with the probabilities of logits Z."""
    P = SoftmaxCrossEntropy().predict(np, Z)
    return (P.cumsum(axis=1) < rng.random((len(Z), 1))).sum(axis=1)


def mean(loss, Z, Y, c, T):
    return float(np.average(loss.rows(np, Z / T, Y), weights=c))


@pytest.mark.parametrize("T", [0.25, 1.0, 3.0, 20.0])
def test_the_true_temperature_is_found(T, rng):
    Z = 2.0 * rng.normal(size=(40_000, 4))
    y = drawn(rng, Z)
    # The standard error of log T is 1 / sqrt(n Var_P(z)), here about 1 / sqrt(40000 * 2) = 0.0035; allowed are four of them.
    assert math.log(temperature(SoftmaxCrossEntropy(), T * Z, y)) == pytest.approx(math.log(T), abs=0.014)


@pytest.mark.parametrize("kind", ["softmax", "binary", "heads"])
def test_no_temperature_is_better(kind, rng):
    n = 400
    Z = 5.0 * rng.normal(size=(n, 5))
    y = drawn(rng, Z[:, :3] / 3)
    loss, Z, Y = {
        "softmax": (SoftmaxCrossEntropy(), Z[:, :3], y),
        "binary": (BinaryCrossEntropy(), Z[:, :1], (y[:, None] == 0).astype(float)),
        "heads": (MultiSoftmaxCrossEntropy((3, 2)), Z, np.hstack([np.eye(3)[y], np.eye(2)[y % 2]])),
    }[kind]
    c = rng.uniform(0.1, 3.0, n)
    T = temperature(loss, Z, Y, c)
    best = minimize_scalar(lambda t: mean(loss, Z, Y, c, math.exp(t)), bounds=(-4, 4), method="bounded")
    assert math.log(T) == pytest.approx(best.x, abs=1e-4)  # the reference searcher's own tolerance is 1e-5
    grid = np.exp(np.linspace(-4, 4, 200))
    assert mean(loss, Z, Y, c, T) <= min(mean(loss, Z, Y, c, each) for each in grid) + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 5), st.floats(-3, 5))
def test_it_is_never_worse_than_leaving_the_logits_alone(seed, n, k, size):
    rng = np.random.default_rng(seed)
    Z, y = math.exp(size) * rng.normal(size=(n, k)), rng.integers(0, k, n)
    T = temperature(SoftmaxCrossEntropy(), Z, y)
    assert 1 / HOTTEST <= T <= HOTTEST * (1 + 1e-12)
    assert mean(SoftmaxCrossEntropy(), Z, y, None, T) <= mean(SoftmaxCrossEntropy(), Z, y, None, 1.0)


def test_rows_that_are_all_right_do_not_show_a_temperature(rng):
    Z = rng.normal(size=(50, 3))
    assert temperature(SoftmaxCrossEntropy(), Z, Z.argmax(axis=1)) == 1.0
    assert temperature(SoftmaxCrossEntropy(), np.zeros((4, 3)), np.zeros(4, int)) == 1.0


def test_logits_worse_than_guessing_are_levelled(rng):
    Z = rng.normal(size=(50, 3))
    assert temperature(SoftmaxCrossEntropy(), Z, Z.argmin(axis=1)) == pytest.approx(HOTTEST)


def test_a_weight_is_a_number_of_rows(rng):
    Z, y, c = 3 * rng.normal(size=(60, 3)), rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    repeated = temperature(SoftmaxCrossEntropy(), np.repeat(Z, c, axis=0), np.repeat(y, c))
    assert temperature(SoftmaxCrossEntropy(), Z, y, c) == pytest.approx(repeated, rel=1e-7)


def test_huge_and_single_precision_logits_do_no_harm(rng):
    Z, y = 1e6 * rng.normal(size=(30, 3)).astype(np.float32), rng.integers(0, 3, 30)
    T = temperature(SoftmaxCrossEntropy(), Z, y)
    assert pytest.approx(HOTTEST) == T
    with pytest.raises(InvalidValueError, match=r"^temperature: Z must be finite logits"):
        temperature(SoftmaxCrossEntropy(), np.array([[np.nan, 0.0]]), np.array([0]))
    with pytest.raises(InvalidValueError, match=r"^temperature: c must be 30 numbers >= 0, some above 0"):
        temperature(SoftmaxCrossEntropy(), Z, y, np.zeros(30))


def test_bins_agree_with_scikit_learn(rng):
    from sklearn.calibration import calibration_curve

    p = rng.random(500)
    right = (rng.random(500) < p**2).astype(int)
    sure = np.maximum(p, 1 - p)
    P, y = np.column_stack([1 - p, p]), right
    confidence, accuracy, share = reliability(P, y, 7)
    true, predicted = calibration_curve((P.argmax(axis=1) == y).astype(int), sure, n_bins=7)
    seen = share > 0
    np.testing.assert_allclose(accuracy[seen], true, rtol=1e-12)
    np.testing.assert_allclose(confidence[seen], predicted, rtol=1e-12)
    assert np.isnan(confidence[~seen]).all()
    assert seen.sum() == len(true) == 4  # of two classes, the larger probability is above one half
    assert share.sum() == pytest.approx(1.0)


def test_bins_hold_their_upper_end_and_weights_count(rng):
    P = np.array([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]])
    confidence, accuracy, share = reliability(P, np.array([0, 0, 1]), 2, np.array([1.0, 1.0, 3.0]))
    np.testing.assert_allclose(share, [0.2, 0.8])
    np.testing.assert_allclose(confidence, [0.5, (1.0 + 3 * 0.75) / 4])
    np.testing.assert_allclose(accuracy, [1.0, 0.25])
    assert expected_calibration_error(P, np.array([0, 0, 1]), 2, np.array([1.0, 1.0, 3.0])) == pytest.approx(
        0.2 * 0.5 + 0.8 * (0.8125 - 0.25)
    )


def test_the_error_shrinks_with_the_right_temperature(rng):
    Z = rng.normal(size=(20_000, 4))
    y = drawn(rng, Z)
    P = SoftmaxCrossEntropy().predict
    assert expected_calibration_error(P(np, 4 * Z), y) > 0.2
    T = temperature(SoftmaxCrossEntropy(), 4 * Z, y)
    # Chance alone leaves some sqrt(p (1 - p) / n_bin) per bin: with ten bins of 2000 rows about 0.01.
    assert expected_calibration_error(P(np, 4 * Z / T), y) < 0.02


def test_wrong_shapes_are_refused():
    P = np.full((2, 2), 0.5)
    with pytest.raises(InvalidValueError, match=r"^reliability: bins must be a whole number"):
        reliability(P, np.zeros(2, int), 0)
    with pytest.raises(InvalidValueError, match=r"^reliability: P must be of shape \(n, K\)"):
        reliability(P[0], np.zeros(2, int))
    with pytest.raises(InvalidValueError, match=r"^reliability: y must be 2 class numbers"):
        reliability(P, np.zeros(3, int))
