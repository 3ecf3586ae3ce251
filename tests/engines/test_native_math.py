"""Why: the compiled engine has its own exp, tanh and logarithm; their stated error, in ulp, is held here.

In: every number range that a network may meet. Out: values against NumPy in a wider type, under every instruction set.
"""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.engines.base import Rows
from chainrule.engines.native import NativeEngine, extension
from chainrule.nn.activations import ACTIVATIONS
from chainrule.nn.layers import Activation
from chainrule.nn.losses import MeanSquaredError
from chainrule.nn.net import Net
from chainrule.nn.step import Recipe

built = extension()
pytestmark = pytest.mark.skipif(built is None, reason="the compiled extension is not built")
ISAS = built.isas() if built else []

SPREAD = np.concatenate([np.linspace(-30, 30, 40001), np.geomspace(1e-30, 1, 5000), -np.geomspace(1e-30, 1, 5000)])


@pytest.fixture(params=ISAS, autouse=True)
def _isa(request, monkeypatch):
    monkeypatch.setenv("CHAINRULE_ISA", request.param)


def apply(name: str, Z: np.ndarray) -> np.ndarray:
    """The engine's function of every number, through a network that is nothing but the function."""
    recipe = Recipe(Net(1, [Activation(name)]), MeanSquaredError(), dtype=Z.dtype.name)
    session = NativeEngine(1).compile(recipe, Rows.of(recipe, np.zeros((1, 1)), np.zeros((1, 1))))
    return session.logits(Z[:, None])[:, 0]


def error_in_ulp(found: np.ndarray, exact: np.ndarray) -> float:
    """The largest distance, in units in the last place of the exact result in the type of `found`."""
    return float((np.abs(found.astype(np.longdouble) - exact) / np.spacing(np.abs(exact).astype(found.dtype))).max())


WIDER = {"float32": np.float64, "float64": np.longdouble}


# Stated errors: exp 1 ulp, expm1 2 ulp and tanh 3 ulp at the heads of native/kernels/math.hpp, plus ½ ulp for each
# operation that the activation adds; softplus sums two terms, sigmoid divides.
@pytest.mark.parametrize(
    ("name", "ulps"), [("exp", 1.0), ("tanh", 3.0), ("elu", 2.0), ("softplus", 3.0), ("sigmoid", 3.0)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions_are_within_their_stated_error(name, ulps, dtype):
    Z = SPREAD.astype(dtype)
    if name == "softplus":
        Z = Z[np.abs(Z) < 20]  # beyond, the sum is its larger term
    exact = ACTIVATIONS[name].value(np, Z.astype(WIDER[dtype]))
    assert error_in_ulp(apply(name, Z), exact) <= ulps


@pytest.mark.parametrize("name", list(ACTIVATIONS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_follows_its_definition(name, dtype):
    Z = SPREAD.astype(dtype)
    exact = ACTIVATIONS[name].value(np, Z.astype(WIDER[dtype]))
    eps = np.finfo(dtype).eps
    # GELU's own form, Z (1 + tanh) / 2, cancels where tanh is near -1: what is left is a few roundings of Z
    cancels = 4 * eps * np.abs(Z) if name == "gelu" else 0.0
    assert (np.abs(apply(name, Z).astype(exact.dtype) - exact) <= 16 * eps * np.abs(exact) + cancels + 1e-30).all()


@pytest.mark.parametrize(("dtype", "overflows", "vanishes"), [("float32", 89.0, -104.5), ("float64", 710.0, -746.0)])
def test_exp_leaves_the_range_where_it_must(dtype, overflows, vanishes):
    found = apply("exp", np.array([overflows, 1e4, np.inf, vanishes, -1e4, -np.inf, np.nan, 0.0], dtype))
    np.testing.assert_array_equal(found, [np.inf, np.inf, np.inf, 0, 0, 0, np.nan, 1])


@pytest.mark.parametrize(("dtype", "low", "high"), [("float32", -103.0, 88.7), ("float64", -744.0, 709.7)])
def test_exp_is_right_up_to_the_ends_of_the_range(dtype, low, high):
    Z = np.linspace(low, high, 20001).astype(dtype)
    exact = np.exp(Z.astype(np.longdouble))
    smallest = np.finfo(dtype).smallest_subnormal
    assert (
        np.abs(apply("exp", Z).astype(np.longdouble) - exact) <= np.maximum(np.spacing(exact.astype(dtype)), smallest)
    ).all()


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"exp"}))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_arguments_stay_finite_and_nan_stays_nan(name, dtype):
    found = apply(name, np.array([1e4, -1e4, np.nan], dtype))
    exact = ACTIVATIONS[name].value(np, np.array([1e4, -1e4]))
    np.testing.assert_allclose(found[:2], exact, rtol=1e-5, atol=1e-30)
    assert np.isnan(found[2])
