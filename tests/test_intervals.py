"""Confidence intervals must be Student's, for any number of figures, without a table and without SciPy.

In: figures by seed. Out: quantiles and intervals compared with SciPy's; what happens with too few figures.
"""

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from chainrule.intervals import ConfidenceInterval, student_quantile


@pytest.mark.parametrize("degrees", [*range(1, 41), 100, 101, 1000])
def test_quantiles_are_students(degrees):
    # a sum of at most `degrees` terms of size 1, each rounded; the quantile's slope in the probability is below 40 for 1
    assert student_quantile(degrees) == pytest.approx(stdtrit(degrees, 0.975), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 16, 40])
def test_the_interval_is_students(n):
    values = np.random.default_rng(n).normal(size=n)
    half = stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n)
    found = ConfidenceInterval.of(values.tolist())
    assert (found.mean, found.half) == pytest.approx((values.mean(), half), rel=1e-11)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([1.5], 1.5), ([1.5, math.nan], 1.5)])
def test_too_few_figures_have_no_half_width(values, mean):
    found = ConfidenceInterval.of(values)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(found.half)
    assert not found.sure


def test_an_interval_in_words():
    found = ConfidenceInterval(-0.01234, 0.00056)
    assert found.text(3, 100, "%") == "-1.23 ± 0.056 %"
    assert found.size(2, 100) == "1.2 ± 0.056"
    assert str(found) == "-0.0123 ± 0.0006"
    assert found.sure
