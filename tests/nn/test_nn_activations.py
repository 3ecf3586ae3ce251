"""Why: each activation is the published function, and stays finite where networks go wrong.

In: every sample, points near zero and at ±1e4. Out: agreement with formulas written down a second time, from other parts.
"""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from registry import ACTIVATION_SAMPLES, flat, name
from scipy.special import expit

from chainrule.errors import InvalidValueError
from chainrule.nn.activations import ACTIVATIONS, ELU, Exp, LeakyReLU, activation

every_function = pytest.mark.parametrize("g", flat(ACTIVATION_SAMPLES), ids=name)
Z = np.linspace(-6.0, 6.0, 97) + 0.0123  # no point at a kink
FAR = np.array([-1e4, -1e3, -200.0, 200.0, 1e3, 1e4])
KLAMBAUER_SCALE, KLAMBAUER_ALPHA = 1.0507009873554805, 1.6732632423543772


def softplus(z):
    return np.logaddexp(0.0, z)


REFERENCES = {
    "Identity": lambda z, g: z,
    "Sigmoid": lambda z, g: expit(z),
    "Tanh": lambda z, g: 2.0 * expit(2.0 * z) - 1.0,
    "ReLU": lambda z, g: z * (z > 0),
    "LeakyReLU": lambda z, g: z * np.where(z > 0, 1.0, g.a),
    "ELU": lambda z, g: np.where(z > 0, z, g.a * (np.exp(np.minimum(z, 0)) - 1.0)),
    "SELU": lambda z, g: KLAMBAUER_SCALE * np.where(z > 0, z, KLAMBAUER_ALPHA * (np.exp(np.minimum(z, 0)) - 1.0)),
    # (1 + tanh u) / 2 = σ(2u)
    "GELU": lambda z, g: z * expit(2.0 * np.sqrt(2.0 / np.pi) * (z + 0.044715 * z**3)),
    "SiLU": lambda z, g: z * expit(z),
    "Mish": lambda z, g: z * np.tanh(softplus(z)),
    "Softplus": lambda z, g: softplus(z),
    "Exp": lambda z, g: np.exp(z),
}


def kept(g, Z, A):
    """Only what the activation says it needs, as the layer hands it over."""
    return (Z if g.needs == "Z" else None), (A if g.needs == "A" else None)


@every_function
def test_value_is_the_published_function(g):
    # both sides a few roundings from the truth; 1 - 1 cancels in the references for ELU and tanh
    np.testing.assert_allclose(g.value(np, Z), REFERENCES[type(g).__name__](Z, g), rtol=1e-13, atol=1e-15)


@every_function
def test_slope_is_the_derivative_of_the_reference(g):
    f, h = REFERENCES[type(g).__name__], 1e-5
    numeric = (f(Z + h, g) - f(Z - h, g)) / (2 * h)
    slope = g.derivative(np, *kept(g, Z, g.value(np, Z))) * np.ones_like(Z)
    # truncation h²/6 f''' ~ 2e-11 and rounding 1e-16 |f| / h ~ 6e-11, relative to max(1, |f|)
    np.testing.assert_allclose(slope, numeric, rtol=1e-9, atol=2e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("g", [g for g in flat(ACTIVATION_SAMPLES) if not isinstance(g, Exp)], ids=name)
def test_finite_and_right_far_out(g, dtype):
    z = FAR.astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A = g.value(np, z)
        slope = g.derivative(np, *kept(g, z, A)) * np.ones_like(z)
    f, tiny = REFERENCES[type(g).__name__], 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(A, f(FAR, g), rtol=tiny, atol=1e-30)
    # out here every function is straight, so a wide difference is exact but for rounding at 1e4: 1e4 eps = 2e-12
    np.testing.assert_allclose(slope, (f(FAR + 1, g) - f(FAR - 1, g)) / 2, rtol=10 * tiny + 1e-11, atol=1e-30)


def test_exp_is_finite_up_to_its_stated_bounds():
    assert np.isfinite(Exp().value(np, np.float32(88.0)))
    assert np.isfinite(Exp().value(np, np.float64(709.0)))
    assert Exp().value(np, np.float64(-1e4)) == 0.0


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.usefixtures("x64")
@every_function
def test_dtype_is_kept(g, xp):
    for dtype in (np.float32, np.float64):
        z = xp.asarray(Z.astype(dtype))
        A = g.value(xp, z)
        assert A.dtype == dtype
        assert (A * g.derivative(xp, *kept(g, z, A))).dtype == dtype


@pytest.mark.usefixtures("x64")
@every_function
def test_numpy_and_jax_agree(g):
    z, here = jnp.asarray(Z), g.value(np, Z)
    there = g.value(jnp, z)
    np.testing.assert_allclose(here, there, rtol=1e-13, atol=1e-15)
    slopes = [g.derivative(xp, *kept(g, v, A)) for xp, v, A in ((np, Z, here), (jnp, z, there))]
    np.testing.assert_allclose(*slopes, rtol=1e-12, atol=1e-14)


def test_hand_values():
    def at(key, z):
        return float(ACTIVATIONS[key].value(np, np.array([z]))[0])

    assert at("sigmoid", np.log(3.0)) == pytest.approx(0.75)  # 1 / (1 + 1/3)
    assert at("tanh", np.log(2.0)) == pytest.approx(0.6)  # (2 - 1/2) / (2 + 1/2)
    assert at("leaky_relu", -200.0) == pytest.approx(-2.0)
    assert at("elu", -np.log(4.0)) == pytest.approx(-0.75)  # 1/4 - 1
    assert at("silu", -np.log(3.0)) == pytest.approx(-np.log(3.0) / 4)  # σ(-log 3) = 1/4
    assert at("softplus", 0.0) == pytest.approx(np.log(2.0))
    assert at("mish", np.log(np.sqrt(3.0) - 1)) == pytest.approx(np.log(np.sqrt(3.0) - 1) / 2)  # tanh(log √3) = 1/2
    assert at("exp", 0.0) == 1.0
    assert [at(key, 0.0) for key in ("identity", "tanh", "relu", "gelu", "silu", "mish", "selu")] == [0.0] * 7


def test_selu_keeps_mean_0_and_variance_1():
    # Gauss-Hermite quadrature over N(0, 1), on each side of the kink apart, would be exact; a fine grid does too
    z = np.linspace(-12.0, 12.0, 2_000_001)
    weight = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    A = ACTIVATIONS["selu"].value(np, z)
    assert (A * weight).sum() == pytest.approx(0.0, abs=1e-9)
    assert (A * A * weight).sum() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(
    ("key", "value"), [("gelu", -0.171), ("silu", -0.279), ("mish", -0.309), ("elu", -1.0), ("selu", -1.7581)]
)
def test_lowest_value_is_as_documented(key, value):
    z = np.linspace(-50.0, 5.0, 200_001)
    lowest = ACTIVATIONS[key].value(np, z).min()
    assert value <= lowest < value + 1e-3


def test_slope_at_the_kink_is_that_of_the_left():
    zero = np.zeros(1)
    for key, slope in (("relu", 0.0), ("leaky_relu", 0.01)):
        assert ACTIVATIONS[key].derivative(np, None, ACTIVATIONS[key].value(np, zero))[0] == slope


def test_gelu_is_near_the_error_function_form():
    from scipy.special import ndtr

    z = np.linspace(-8, 8, 10_001)
    assert 1e-4 < np.abs(ACTIVATIONS["gelu"].value(np, z) - z * ndtr(z)).max() < 5e-4


def test_lookup():
    assert activation("elu") == ELU()
    assert activation(LeakyReLU(0.2)) == LeakyReLU(0.2)
    with pytest.raises(InvalidValueError, match=r"got 'Softpluss'\. Did you mean 'softplus'\?"):
        activation("Softpluss")
    with pytest.raises(InvalidValueError, match=r"got '\?'\. Known: elu, exp, gelu, identity"):
        activation("?")


@pytest.mark.parametrize("kind", [LeakyReLU, ELU])
def test_wrong_settings(kind):
    with pytest.raises(InvalidValueError, match=rf"^{kind.__name__}: a must be in \[0, inf\), got -0\.1\.$"):
        kind(-0.1)
