"""Why: what a network is said to look at must be what its predictions do when the inputs move.

In: random networks of every kind of answer. Out: activations and slopes held against formulas, central differences and
automatic differentiation.
"""

from dataclasses import replace

import numpy as np
import pytest

from chainrule import inspection
from chainrule.data import Standardizer
from chainrule.errors import InvalidValueError
from chainrule.inspection import hidden, importances, input_gradients, permutation_importances
from chainrule.model import Model
from chainrule.nn.layers import Activation, BatchNorm, Context, Dense, Dropout, LayerNorm
from chainrule.nn.losses import (
    BinaryCrossEntropy,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
)
from chainrule.nn.multilayer import mlp
from chainrule.nn.net import Net

D = 3
LETTERS = np.array(["a", "b", "c"])


def numbers(rng, net):
    """Parameters near their first values but no longer zero or one, and running statistics that have passed some batches."""
    w, _ = net.init(int(rng.integers(1000)))
    return 1.5 * w + rng.normal(0, 0.2, net.size), rng.uniform(0.5, 1.5, net.buffers.size)


def model(rng, loss, outputs, classes=None, networks=1, temperature=1.0, scaled=True, net=None, dtype=np.float64):
    net = net or mlp(D, [7, 5], outputs, activation="tanh")
    drawn = [tuple(x.astype(dtype) for x in numbers(rng, net)) for _ in range(networks)]
    inputs = Standardizer(rng.normal(size=D), rng.uniform(0.5, 3.0, D))
    targets = Standardizer(rng.normal(size=outputs), np.repeat(rng.uniform(2, 5), outputs)) if scaled else None
    names = tuple("abc")
    whole = Model(net, loss, *drawn[0], inputs, targets if classes is None else None, classes, names, "y")
    return replace(whole, others=tuple(drawn[1:]), temperature=temperature)


def odds(P, column, block=slice(None)):
    P = P[:, block]
    rest = np.delete(P, column, axis=1).sum(axis=1)
    return np.log(P[:, column]) - np.log(rest)


def amounts(m, X, output):
    return np.reshape(m.predict(X), (len(X), -1))[:, output]


HEADS = (np.array([0, 1]), LETTERS)
KINDS = {
    "amount": ({"loss": MeanSquaredError(), "outputs": 1}, 0, amounts),
    "amounts": ({"loss": MeanSquaredError(), "outputs": 2}, 1, amounts),
    "amount unscaled": ({"loss": MeanSquaredError(), "outputs": 1, "scaled": False}, 0, amounts),
    "tanh link": ({"loss": MeanSquaredError("tanh"), "outputs": 2, "scaled": False}, 1, amounts),
    "counts": ({"loss": Poisson(), "outputs": 2, "scaled": False}, 0, amounts),
    "two classes": (
        {"loss": BinaryCrossEntropy(), "outputs": 1, "classes": np.array(["n", "y"])},
        0,
        lambda m, X, k: odds(m.probabilities(X), k),
    ),
    "classes": (
        {"loss": SoftmaxCrossEntropy(), "outputs": 3, "classes": LETTERS},
        2,
        lambda m, X, k: odds(m.probabilities(X), k),
    ),
    "labels": (
        {"loss": BinaryCrossEntropy(), "outputs": 3, "classes": np.arange(3)},
        1,
        lambda m, X, k: np.log(m.probabilities(X)[:, k] / (1 - m.probabilities(X)[:, k])),
    ),
    "targets of classes": (
        {"loss": MultiSoftmaxCrossEntropy((2, 3)), "outputs": 5, "classes": HEADS},
        3,
        lambda m, X, k: odds(m.probabilities(X), k - 2, slice(2, 5)),
    ),
}


def central(f, X, h=1e-5):
    """Slopes of f in each column; with |f| near 1 to 10, rounding costs 1e-15 / h = 1e-10, curvature some h² = 1e-10."""
    steps = h * np.eye(X.shape[1])
    return np.column_stack([(f(X + step) - f(X - step)) / (2 * h) for step in steps])


@pytest.mark.parametrize("networks", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_what_predictions_do(kind, networks, rng):
    arguments, output, answer = KINDS[kind]
    warm = {"temperature": 1.7} if "classes" in arguments else {}
    m = model(rng, networks=networks, **arguments, **warm)
    X = rng.normal(size=(9, D)) * 2
    expected = central(lambda x: answer(m, x, output), X)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(input_gradients(m, X, output), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("networks", [1, 3])
def test_quantiles_are_followed_where_they_cross(networks, rng):
    m = model(rng, Quantile((0.1, 0.5, 0.9)), 3, networks=networks)
    m = replace(m, targets=Standardizer(np.zeros(3), np.full(3, 4.0)))  # raw columns cross freely
    X = rng.normal(size=(30, D)) * 2
    places = m.logits(X).argsort(axis=1)[:, 1]
    assert len(set(places.tolist())) == 3
    np.testing.assert_allclose(input_gradients(m, X), central(m.predict, X), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["amount", "two classes", "classes"])
def test_none_is_what_is_predicted(kind, rng):
    arguments, _, _ = KINDS[kind]
    m = model(rng, networks=2, **arguments)
    X = rng.normal(size=(40, D)) * 3
    asked = np.zeros(40, int) if m.classes is None else np.searchsorted(m.classes, m.predict(X))
    each = np.stack([input_gradients(m, X, int(k)) for k in range(asked.max() + 1)])
    np.testing.assert_array_equal(input_gradients(m, X), each[asked, np.arange(40)])
    assert m.classes is None or len(set(asked.tolist())) > 1


@pytest.mark.slow
def test_slopes_agree_with_automatic_differentiation(rng, x64):
    import jax
    import jax.numpy as jnp

    front = [Dense(6, bias=False), BatchNorm(), Activation("elu"), Dropout(0.4)]
    net = Net(D, [*front, Dense(4), LayerNorm(), Activation("gelu"), Dense(2)])
    m = model(rng, MeanSquaredError(), 2, net=net)
    X = rng.normal(size=(6, D))

    def amount(x):
        a = (x - m.inputs.mean) / m.inputs.scale
        Z = m.net(m.w, m.buffers, a[None], Context(jnp))
        return (Z * m.targets.scale + m.targets.mean)[0, 1]

    expected = jax.vmap(jax.grad(amount))(jnp.asarray(X))
    np.testing.assert_allclose(input_gradients(m, X, 1), expected, rtol=1e-11, atol=1e-12)


def linear(coefficients, loss, classes=None, scale=1.0):
    coefficients = np.asarray(coefficients, np.float64)
    d, k = coefficients.shape
    w = np.concatenate([coefficients.ravel(), np.zeros(k)])
    inputs = Standardizer(np.ones(d), np.full(d, scale))
    return Model(Net(d, [Dense(k)]), loss, w, np.zeros(0), inputs, None, classes, tuple("abcdef"[:d]), "y")


def test_a_sure_network_still_has_slopes():
    one = linear([[500.0], [-200.0]], BinaryCrossEntropy(), np.array([0, 1]), scale=10.0)
    two = linear([[0.0, 500.0], [0.0, -200.0]], SoftmaxCrossEntropy(), np.array([0, 1]), scale=10.0)
    X = np.array([[900.0, -5.0], [-900.0, -5.0]])
    assert (one.probabilities(X).max(axis=1) == 1.0).all()
    for m in (one, two):
        np.testing.assert_allclose(input_gradients(m, X), [[50.0, -20.0], [-50.0, 20.0]], rtol=1e-12)
        both = replace(m, others=((m.w, m.buffers),))
        np.testing.assert_allclose(input_gradients(both, X), [[50.0, -20.0], [-50.0, 20.0]], rtol=1e-12)


def test_slopes_do_not_change_when_all_logits_gain_the_same():
    W = np.array([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]])
    X = np.array([[0.3, -0.7], [2.0, 1.0]])
    first, second = (linear(v, SoftmaxCrossEntropy(), LETTERS) for v in (W, W + np.array([[40.0], [-7.0]])))
    np.testing.assert_allclose(input_gradients(first, X, 1), input_gradients(second, X, 1), atol=1e-10)


def test_float32_networks_have_the_slopes_of_float64(rng):
    m = model(rng, SoftmaxCrossEntropy(), 3, LETTERS)
    X = rng.normal(size=(20, D))
    single = replace(m, w=m.w.astype(np.float32), buffers=m.buffers.astype(np.float32))
    np.testing.assert_allclose(input_gradients(single, X, 0), input_gradients(m, X, 0), rtol=1e-3, atol=1e-4)


def test_hidden_layers_are_counted_as_users_do(rng):
    net = Net(
        D, [Dense(4, bias=False), BatchNorm(), Activation("relu"), Dropout(0.5), Dense(5), Activation("tanh"), Dense(2)]
    )
    m = model(rng, MeanSquaredError(), 2, net=net)
    X = rng.normal(size=(8, D))
    p, b = net.parameters.views(m.w), net.buffers.views(m.buffers)
    Z = ((X - m.inputs.mean) / m.inputs.scale) @ p["0.W"]
    first = p["1.gamma"] * (Z - b["1.mean"]) / np.sqrt(b["1.variance"] + 1e-5) + p["1.beta"]
    first = np.maximum(first, 0)
    second = np.tanh(first @ p["4.W"] + p["4.b"])
    for layer, expected in ((0, first), (-2, first), (1, second), (-1, second)):
        np.testing.assert_allclose(hidden(m, X, layer), expected, rtol=1e-10, atol=1e-12)
    whole = (hidden(m, X) @ p["6.W"] + p["6.b"]) * m.targets.scale + m.targets.mean
    np.testing.assert_allclose(whole, m.predict(X), rtol=1e-10)


def test_hidden_layers_of_several_networks_stand_side_by_side(rng):
    m = model(rng, MeanSquaredError(), 1, networks=2, dtype=np.float32)
    X = rng.normal(size=(6, D))
    parts = [hidden(member, X, 0) for member in m.members]
    np.testing.assert_array_equal(hidden(m, X, 0), np.hstack(parts))
    assert hidden(m, X, 0).shape == (6, 14)
    assert hidden(m, X, 0).dtype == np.float32


def test_importances_of_a_linear_model_are_its_standardised_coefficients(rng):
    beta = np.array([3.0, -0.5, 0.0, 1.0])
    X = rng.normal(size=(300, 4)) * [1.0, 10.0, 5.0, 0.1]
    X[:, 3] = 2.0
    expected = np.abs(beta) * np.append(X[:, :3].std(axis=0), 0.0)
    for m in (
        linear(beta[:, None], MeanSquaredError(), scale=7.0),
        linear(beta[:, None], BinaryCrossEntropy(), np.array([0, 1])),
    ):
        np.testing.assert_allclose(importances(m, X), expected / expected.sum(), rtol=1e-10, atol=1e-15)


def test_importances_do_not_depend_on_units(rng):
    m = model(rng, SoftmaxCrossEntropy(), 3, LETTERS)
    X, factor = rng.normal(size=(50, D)), np.array([1000.0, 1.0, 0.01])
    other = replace(m, inputs=Standardizer(m.inputs.mean * factor, m.inputs.scale * factor))
    np.testing.assert_allclose(importances(other, X * factor), importances(m, X), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_importances_are_shares_and_a_weight_is_a_number_of_rows(kind, rng, monkeypatch):
    m = model(rng, networks=2, **KINDS[kind][0])
    X, c = rng.normal(size=(30, D)), rng.integers(0, 3, 30)
    shares = importances(m, X, c)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares > 0).all()
    np.testing.assert_allclose(shares, importances(m, np.repeat(X, c, axis=0)), rtol=1e-9)
    monkeypatch.setattr(inspection, "_BLOCK", 7)
    np.testing.assert_allclose(importances(m, X, c), shares, rtol=1e-9)
    np.testing.assert_allclose(
        input_gradients(m, X, 0), np.vstack([input_gradients(m, row[None], 0) for row in X]), rtol=1e-9, atol=1e-12
    )


def test_two_answers_count_alike_whatever_their_unit():
    m = linear([[1000.0, 0.0], [0.0, 0.001]], MeanSquaredError())
    X = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(importances(m, X), [0.5, 0.5], rtol=1e-12)


def test_a_network_that_nothing_moves_has_no_importances():
    m = linear([[0.0], [0.0]], MeanSquaredError())
    np.testing.assert_array_equal(importances(m, np.eye(2)), [0.0, 0.0])


def test_wrong_questions_are_refused(rng):
    several, none = model(rng, MeanSquaredError(), 2), linear([[1.0], [1.0]], MeanSquaredError())
    X = np.ones((2, D))
    for message, ask in {
        r"^hidden: layer must be a whole number in \[-2, 1\], got 2\.": lambda: hidden(several, X, 2),
        r"^hidden: model must be a network with hidden layers": lambda: hidden(none, np.ones((1, 2))),
        r"^input_gradients: output must be a number in 0\.\.1, got None\. The model gives 2 predictions": (
            lambda: input_gradients(several, X)
        ),
        r"^input_gradients: output must be a whole number in \[0, 1\] or None, got 2\.$": (
            lambda: input_gradients(several, X, 2)
        ),
        r"^Model: X must be of shape \(n, 3\), got \(2, 2\)\.$": lambda: importances(several, np.eye(2)),
        r"^Model: X must be of shape \(n, 3\) with n > 0, got \(0, 3\)\.$": lambda: importances(
            several, np.zeros((0, 3))
        ),
        r"^importances: sample_weight must be 2 finite numbers >= 0": lambda: importances(
            several, X, np.array([1, -1])
        ),
    }.items():
        with pytest.raises(InvalidValueError, match=message):
            ask()


def test_a_loss_that_hides_its_link_is_refused(rng):
    class Squared(MeanSquaredError):
        def predict(self, xp, Z):
            return Z**2

    with pytest.raises(InvalidValueError, match="must be one that names its link"):
        input_gradients(linear([[1.0], [2.0]], Squared()), np.eye(2), 0)


def squared(y, predicted):
    return float(((y - predicted) ** 2).mean())


def shuffled_rises(groups=None, **options):
    X = np.random.default_rng(0).normal(size=(3000, 4))
    X[:, 3] = X[:, 0]
    y = 2 * X[:, 0] - X[:, 1]
    return permutation_importances(lambda X: 2 * X[:, 0] - X[:, 1], X, y, squared, groups, **options)


def test_a_shuffled_column_costs_twice_its_share_of_the_variance():
    mean, error = shuffled_rises(repeats=5)
    np.testing.assert_allclose(mean, [8, 2, 0, 0], rtol=0.1)
    assert (error[:2] > 0).all()
    assert (error[2:] == 0).all()


def test_shuffles_follow_the_seed_and_columns_move_in_groups():
    one, other = shuffled_rises([[0, 3], [1], [2]])[0], shuffled_rises([[0, 3], [1], [2]])[0]
    np.testing.assert_array_equal(one, other)
    assert len(one) == 3
    together = shuffled_rises([[0, 1]], seed=1)[0]
    assert together == pytest.approx(10, rel=0.1)
    assert not np.array_equal(together, shuffled_rises([[0, 1]], seed=2)[0])


def test_shuffling_looks_at_few_rows_and_changes_none():
    X = np.arange(20.0).reshape(10, 2)
    seen = []
    predict = lambda rows: seen.append(len(rows)) or rows[:, 0]  # noqa: E731
    _mean, error = permutation_importances(predict, X, X[:, 0], squared, rows=4, repeats=1)
    assert seen == [4, 4, 4]
    assert np.isnan(error).all()
    np.testing.assert_array_equal(X, np.arange(20.0).reshape(10, 2))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"repeats": 0}, "repeats must be a whole number"),
        ({"rows": 1}, "rows must be a whole number"),
        ({"groups": [[4]]}, r"groups must be of columns 0..3, got \[4\]"),
    ],
)
def test_shuffles_that_cannot_be_are_refused(options, part):
    with pytest.raises(InvalidValueError, match=part):
        shuffled_rises(**options)
