"""Why: an embedding that is off by one column or bin still trains, only worse.

In: tiny tables. Out: numbers worked by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from chainrule import Dense, Net
from chainrule.arrays import scatter_add
from chainrule.errors import InvalidValueError
from chainrule.nn.layers import (
    CategoryEmbedding,
    Context,
    CosineEmbedding,
    PBLDEmbedding,
    PiecewiseLinearEmbedding,
)
from chainrule.nn.layers.embeddings import normal_edges
from chainrule.random import Stream

HERE = Context(np)
PI = np.pi


def column(*values):
    return np.array(values, dtype=float)[:, None]


def test_cosine_embedding_by_hand():
    p = {"w": [[0.25]], "b": [[0.25]], "gamma": [[2.0, 3.0]], "beta": [[1.0, -1.0]]}
    p = {name: np.array(value) for name, value in p.items()}
    # U = 2π (x/4 + 1/4): π and 3π/2; cosines -1 and 0
    Y, saved, _ = CosineEmbedding(1).forward(p, {}, column(1.0, 2.0), HERE)
    np.testing.assert_allclose(Y, [[2 + 1, -3 - 1], [4 + 1, 0 - 1]], atol=1e-15)
    dA, g = CosineEmbedding(1).backward(p, saved, np.array([[1.0, 1.0], [1.0, 2.0]]), HERE)
    # dγ: 1·1 + 2·1 and -1·1 + 0·2; dH = (2, 3), (2, 6); sin U = 0, -1, so dU = 0 and 2π·6
    np.testing.assert_allclose(g["gamma"], [[3.0, -1.0]], atol=1e-14)
    np.testing.assert_array_equal(g["beta"], [[2.0, 3.0]])
    np.testing.assert_allclose(g["w"], [[2 * 12 * PI]], rtol=1e-14)
    np.testing.assert_allclose(g["b"], [[12 * PI]], rtol=1e-14)
    np.testing.assert_allclose(dA, [[2.0], [2.0 + 12 * PI / 4]], rtol=1e-14)


def test_cosine_embedding_starts_at_zero_and_learns_gamma_first(rng):
    net = Net(3, [CosineEmbedding(4), Dense(2)])
    w, buffers = net.init(0)
    X, dZ = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    Z, tape, _ = net.forward(w, buffers, X, HERE)
    np.testing.assert_array_equal(Z, np.zeros((6, 2)))
    g = net.parameters.views(net.backward(w, tape, dZ, HERE)[1])
    assert (g["0.gamma"] != 0).all()
    assert not g["0.w"].any()
    assert not g["1.W"].any()


def test_first_frequencies_are_normal_and_cut_off_at_three():
    p = CosineEmbedding(500, 0.2).init(Stream.from_seed(0), 20)[0]
    w = p["w"] / 0.2
    assert np.abs(w).max() < 3.0
    assert np.abs(w).max() > 2.9
    # variance of a normal distribution cut off at ±3: 1 - 6 φ(3) / (Φ(3) - Φ(-3)) = 0.9733; 10 000 draws
    assert w.var() == pytest.approx(0.9733, abs=0.05)
    assert abs(w.mean()) < 0.05
    assert not any(p[letter].any() for letter in ("b", "gamma", "beta"))


def test_pbld_embedding_by_hand():
    p = {"w": np.array([[0.25]]), "b": np.zeros((1, 1)), "V": np.array([[[2.0]]]), "c": np.array([[1.0]])}
    layer = PBLDEmbedding(1, 1)
    # U = π x / 2: π/2 and π; H = 0, -1; E = 2 H + 1 = 1, -1
    Y, saved, _ = layer.forward(p, {}, column(1.0, 2.0), HERE)
    np.testing.assert_allclose(Y, [[1.0, 1.0], [2.0, -1.0]], rtol=1e-15)
    dA, g = layer.backward(p, saved, np.array([[1.0, 3.0], [1.0, 5.0]]), HERE)
    # dV = 0·3 - 1·5; dc = 8; dH = 6, 10; sin U = 1, 0, so dU = -6, 0; dw = 2π (1·(-6) + 2·0)
    np.testing.assert_allclose(g["V"], [[[-5.0]]], rtol=1e-15)
    np.testing.assert_array_equal(g["c"], [[8.0]])
    np.testing.assert_allclose(g["w"], [[-12 * PI]], rtol=1e-14)
    np.testing.assert_allclose(g["b"], [[-6.0]], rtol=1e-14)
    np.testing.assert_allclose(dA, [[1 - 2 * PI * 6 / 4], [1.0]], rtol=1e-14)


def test_pbld_embedding_starts_within_its_bounds():
    p = PBLDEmbedding(16, 3, 0.1).init(Stream.from_seed(0), 200)[0]
    assert p["w"].std() == pytest.approx(0.1, rel=0.05)
    for letter, bound in (("b", PI), ("V", 0.25), ("c", 0.25)):
        assert bound * 0.95 < np.abs(p[letter]).max() <= bound
        assert abs(p[letter].mean()) < bound / 10


BINS = PiecewiseLinearEmbedding((0.0, 1.0, 3.0), units=1)


def test_piecewise_linear_embedding_by_hand_and_outside_its_edges():
    p = {"a": np.array([[2.0]]), "c": np.array([[1.0]]), "P": np.array([[[10.0], [4.0]]])}
    X = column(-1.0, 0.5, 2.0, 5.0)
    # F: (-1, 0), (1/2, 0), (1, 1/2), (1, 2): below the edges the first bin goes on, above them the last one
    Y, saved, _ = BINS.forward(p, {}, X, HERE)
    np.testing.assert_array_equal(saved["F"][0], [[-1.0, 0.0], [0.5, 0.0], [1.0, 0.5], [1.0, 2.0]])
    # 2 x + 1 + 10 F₁ + 4 F₂
    np.testing.assert_array_equal(Y[:, 0], [-2 + 1 - 10, 1 + 1 + 5, 4 + 1 + 10 + 2, 10 + 1 + 10 + 8])
    dA, g = BINS.backward(p, saved, np.ones((4, 1)), HERE)
    np.testing.assert_array_equal(g["P"], [[[1.5], [2.5]]])
    np.testing.assert_array_equal(g["a"], [[6.5]])
    np.testing.assert_array_equal(g["c"], [[4.0]])
    # slopes 2 + 10/1 in the first bin, 2 + 4/2 in the second
    np.testing.assert_array_equal(dA[:, 0], [12.0, 12.0, 4.0, 4.0])


@pytest.mark.parametrize("x", [0.0, 1.0, 3.0])
def test_piecewise_linear_embedding_is_continuous_at_its_edges_and_takes_the_slope_to_the_right(x):
    p = {"a": np.array([[2.0]]), "c": np.array([[1.0]]), "P": np.array([[[10.0], [4.0]]])}
    Y, saved, _ = BINS.forward(p, {}, column(x - 1e-9, x, x + 1e-9), HERE)
    assert np.abs(np.diff(Y[:, 0])).max() < 2e-8
    dA = BINS.backward(p, saved, np.ones((3, 1)), HERE)[0]
    assert dA[1] == dA[2]


def test_one_bin_is_a_straight_line_everywhere():
    layer = PiecewiseLinearEmbedding((0.0, 2.0), units=1)
    p = {"a": np.array([[0.0]]), "c": np.array([[0.0]]), "P": np.array([[[6.0]]])}
    Y, saved, _ = layer.forward(p, {}, column(-4.0, 1.0, 9.0), HERE)
    np.testing.assert_array_equal(Y[:, 0], [-12.0, 3.0, 27.0])
    np.testing.assert_array_equal(layer.backward(p, saved, np.ones((3, 1)), HERE)[0][:, 0], [3.0, 3.0, 3.0])


def test_piecewise_linear_embedding_starts_as_straight_lines(rng):
    layer = PiecewiseLinearEmbedding(units=9)
    p = layer.init(Stream.from_seed(0), 50)[0]
    assert not p["P"].any()
    assert 0.3 < np.abs(p["a"]).max() <= 1 / 3
    assert 0.3 < np.abs(p["c"]).max() <= 1 / 3
    X = rng.normal(size=(8, 50))
    Y = layer.forward(p, {}, X, HERE)[0]
    np.testing.assert_allclose(Y.reshape(8, 50, 9), X[:, :, None] * p["a"] + p["c"], rtol=1e-12)


def test_the_usual_edges_hold_equal_shares_of_normal_values(rng):
    edges = np.array(PiecewiseLinearEmbedding().edges)
    assert edges.shape == (49,)
    np.testing.assert_array_equal(edges, -edges[::-1])
    counts = np.histogram(rng.normal(size=480_000), [-np.inf, *edges[1:-1], np.inf])[0]
    # 10 000 in each bin, standard deviation 99; five of them
    assert np.abs(counts - 10_000).max() < 500
    assert normal_edges(1) == (-0.6745, 0.6745)


def test_a_piecewise_linear_embedding_shows_the_call_without_the_usual_edges():
    assert repr(PiecewiseLinearEmbedding(units=3)) == "PiecewiseLinearEmbedding(units=3)"
    assert repr(BINS) == "PiecewiseLinearEmbedding(edges=(0.0, 1.0, 3.0), units=1)"


TABLES = CategoryEmbedding((2, 3), units=2)
E = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]])
CODES = np.array([[1.0, 2.0], [0.0, 0.0], [5.0, -1.0], [np.nan, 1.0]])


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
@pytest.mark.usefixtures("x64")
def test_category_embedding_by_hand_with_unknown_codes(xp):
    ctx = Context(xp)
    # the second table starts at row 2; 5, -1 and nan are no codes and count as 0
    Y, saved, _ = TABLES.forward({"E": xp.asarray(E)}, {}, xp.asarray(CODES), ctx)
    np.testing.assert_array_equal(saved["R"], [[1, 4], [0, 2], [0, 2], [0, 3]])
    np.testing.assert_array_equal(Y, [[3, 4, 9, 10], [1, 2, 5, 6], [1, 2, 5, 6], [1, 2, 7, 8]])
    dY = xp.asarray([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]])
    dC, g = TABLES.backward({"E": xp.asarray(E)}, saved, dY, ctx)
    np.testing.assert_array_equal(g["E"], [[5 + 1 + 2, 6 + 1 + 2], [1, 2], [7 + 1, 8 + 1], [2, 2], [3, 4]])
    np.testing.assert_array_equal(dC, np.zeros((4, 2)))


def test_first_vectors_of_categories_are_as_long_as_a_one_hot_row():
    vectors = CategoryEmbedding((500, 500), units=8).init(Stream.from_seed(0), 2)[0]["E"]
    assert vectors.shape == (1000, 8)
    # the squared length has mean 1 and variance 2/8; five standard deviations of the mean of 1000
    assert (vectors**2).sum(axis=1).mean() == pytest.approx(1.0, abs=5 * np.sqrt(0.25 / 1000))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scatter_add_sums_the_rows_of_each_number(dtype, rng):
    rows, values = rng.integers(0, 7, 200), rng.normal(size=(200, 3)).astype(dtype)
    wanted = np.zeros((9, 3), dtype)
    np.add.at(wanted, rows, values)
    here, there = scatter_add(np, rows, values, 9), scatter_add(jnp, rows, jnp.asarray(values, jnp.float32), 9)
    assert here.dtype == dtype
    np.testing.assert_allclose(here, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(there, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "k"), [(CosineEmbedding(2), 3), (PBLDEmbedding(2, 2), 3), (PiecewiseLinearEmbedding(units=3), 3)], ids=str
)
def test_columns_of_the_first_feature_come_first(layer, k, rng):
    p = {name: value + rng.normal(size=value.shape) for name, value in layer.init(Stream.from_seed(0), 4)[0].items()}
    X = rng.normal(size=(5, 4))
    Y = layer.forward(p, {}, X, HERE)[0]
    for j in range(4):
        alone = {name: value[j : j + 1] for name, value in p.items()}
        part = layer.forward(alone, {}, X[:, j : j + 1], HERE)[0]
        np.testing.assert_allclose(Y[:, k * j : k * (j + 1)], part, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "layer", [CosineEmbedding(), PBLDEmbedding(), PiecewiseLinearEmbedding(), CategoryEmbedding((3, 3))], ids=str
)
def test_no_rows_give_no_rows(layer):
    p = layer.init(Stream.from_seed(0), 2)[0]
    Y, saved, _ = layer.forward(p, {}, np.zeros((0, 2)), HERE)
    assert Y.shape == (0, layer.shapes(2).outputs)
    dA, g = layer.backward(p, saved, Y, HERE)
    assert dA.shape == (0, 2)
    assert not any(value.any() for value in g.values())


@pytest.mark.usefixtures("x64")
def test_codes_get_no_gradient_in_jax_either():
    slope = jax.grad(lambda C: TABLES.forward({"E": jnp.asarray(E)}, {}, C, Context(jnp))[0].sum())(jnp.asarray(CODES))
    np.testing.assert_array_equal(slope, np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CosineEmbedding(0), r"CosineEmbedding: frequencies must be a whole number in \[1, inf\), got 0\."),
        (lambda: CosineEmbedding(scale=0), r"CosineEmbedding: scale must be in \(0, inf\), got 0\."),
        (lambda: PBLDEmbedding(units=0), r"PBLDEmbedding: units must be a whole number in \[1, inf\), got 0\."),
        (
            lambda: PiecewiseLinearEmbedding((1.0, 1.0)),
            r"PiecewiseLinearEmbedding: edges must be at least two finite numbers in ascending order, got \(1\.0, 1\.0\)",
        ),
        (lambda: PiecewiseLinearEmbedding(3), r"PiecewiseLinearEmbedding: edges must be at least two .*, got 3\."),
        (lambda: CategoryEmbedding((3, 0)), r"CategoryEmbedding: sizes must be a sequence of values, each .*\(3, 0\)"),
        (lambda: CategoryEmbedding(()), r"CategoryEmbedding: sizes must be a sequence of values, each .*got \(\)"),
        (
            lambda: Net(3, [CategoryEmbedding((2, 2))]),
            r"Net: layers\[0\] must fit the 3 columns that it gets\. CategoryEmbedding: sizes must be one for each of the 3",
        ),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()
