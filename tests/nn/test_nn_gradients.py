"""Why: the hand-derived backward is the product, so it is held against two oracles that know nothing of it.

In: every layer x activation x loss x penalty x weighting. Out: agreement with central differences (1e-6) and with JAX's
differentiation of the forward pass alone (1e-11), in float64.
"""

import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import cycle, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from registry import ACTIVATION_SAMPLES, LAYER_SAMPLES, LOSS_SAMPLES, PENALTIES, blocks, fitted, flat, name

from chainrule import Activation, BatchNorm, Dense, Dropout, LayerNorm, Net
from chainrule.errors import InvalidValueError
from chainrule.nn.gradcheck import gradcheck
from chainrule.nn.layers import Context
from chainrule.nn.losses import (
    LOSSES,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Quantile,
    SoftmaxCrossEntropy,
    mean_loss,
)
from chainrule.nn.penalties import Penalty
from chainrule.random import Purpose, Stream

ROWS, INPUTS, OUTPUTS = 5, 3, 3
WEIGHTINGS = {"uniform": np.ones(ROWS), "weights": np.array([1.3, 0.0, 0.4, 2.0, 0.0])}
LOSSES_FLAT = flat(LOSS_SAMPLES)
SEVERAL = SoftmaxCrossEntropy | MultiSoftmaxCrossEntropy
MIXING = ("Dense", "Activation", "BatchNorm", "LayerNorm", "Dropout")
FIRST_LAYERS = [LAYER_SAMPLES[kind][0] for kind in MIXING]
OTHER_LAYERS = [sample for kind in MIXING for sample in LAYER_SAMPLES[kind][1:]]
# what these compute does not depend on the activation beside them, and their other samples are met in inference below
COLUMNWISE = [samples[0] for kind, samples in LAYER_SAMPLES.items() if kind not in MIXING] + [
    LAYER_SAMPLES["Parallel"][1]
]
PAIRS = [
    *product(FIRST_LAYERS, flat(ACTIVATION_SAMPLES)),
    *product(OTHER_LAYERS, ACTIVATION_SAMPLES["tanh"] + ACTIVATION_SAMPLES["relu"]),
    *product(COLUMNWISE, ACTIVATION_SAMPLES["tanh"]),
]
every_pair = pytest.mark.parametrize(("layer", "function"), PAIRS, ids=name)


def build(layer, function):
    """The layer on both sides of the activation: what each of them sees has passed through the other."""
    first = fitted(layer, 4)
    second = fitted(layer, first.shapes(4).outputs)
    return Net(INPUTS, [Dense(4), first, Activation(function), second, Dense(OUTPUTS)])


def data(sample, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(ROWS, INPUTS)), sample.targets(rng, ROWS, OUTPUTS)


def parameters(net, seed=0):
    """Weights away from their special first values (b = 0, γ = 1, β = 0), and running statistics likewise."""
    w, buffers = net.init(seed)
    rng = np.random.default_rng(seed)
    return w + 0.1 * rng.normal(size=w.size), buffers + 0.1 * rng.random(buffers.size)


def context(xp, training=True):
    return Context(xp, training, Stream.from_seed(0).fold(Purpose.DROPOUT))


def by_hand(net, w, buffers, X, dZ, training=True, cache_every=1):
    ctx = context(np, training)
    tape = net.forward(w, buffers, X, ctx, cache_every)[1]
    return net.backward(w, tape, dZ, ctx)


def pullbacks(net, w, buffers, X, many, training=True, jitted=True):
    """Logits, and what JAX's reverse mode makes of many dZ at once: gradients with respect to w and X.

    Not jitted, single operations are compiled once for all networks that have them, which takes less time for layers that
    meet every activation, and more for those that meet one.
    """

    def both(w, X, many):
        Z, pull = jax.vjp(lambda w, X: net.forward(w, buffers, X, context(jnp, training))[0], w, X)
        return Z, jax.vmap(pull)(many)

    return (jax.jit(both) if jitted else both)(w, X, many)


@cache
def loss_gradient(loss):
    return jax.jit(jax.grad(lambda Z, Y, c: mean_loss(loss, jnp, Z, Y, c)[0]))


@cache
def penalty_gradient(penalty):
    return jax.jit(jax.grad(lambda w, d: penalty.value(jnp, w, d)))


def assert_agree(net, hand, oracle, what=""):
    """Each array to 1e-11 of its own length, or of a thousandth of the whole gradient's where it is smaller.

    1e-11 is 1e5 roundings: far above what a dozen sums of a dozen terms lose, far below any wrong factor. Gradients of
    several cases may be stacked in front.
    """
    hand, oracle = np.asarray(hand), np.asarray(oracle)
    floor = 1e-3 * np.linalg.norm(oracle, axis=-1)
    for slot in net.parameters.slots:
        part = slice(slot.offset, slot.offset + slot.size)
        scale = np.maximum(np.linalg.norm(oracle[..., part], axis=-1), floor)
        wrong = np.linalg.norm((hand - oracle)[..., part], axis=-1) > 1e-11 * scale
        assert not wrong.any(), (slot.name, what, np.nonzero(wrong))


def assert_input_agrees(hand, oracle):
    """The gradient with respect to X, to 1e-11 of its length, for the same reason."""
    axes = tuple(range(np.ndim(oracle) - 2, np.ndim(oracle)))
    difference = np.sqrt(((hand - oracle) ** 2).sum(axis=axes))
    assert (difference <= 1e-11 * np.sqrt((oracle**2).sum(axis=axes))).all()


@every_pair
@pytest.mark.usefixtures("x64")
def test_backward_equals_differentiated_forward(layer, function):
    net = build(layer, function)
    w, buffers = parameters(net)
    X = data(LOSSES_FLAT[0])[0]
    cases = [(s.loss, data(s)[1], c) for s in LOSSES_FLAT for c in WEIGHTINGS.values()]
    Z = net.forward(w, buffers, X, context(np))[0]
    seeds = np.stack([np.asarray(loss_gradient(loss)(Z, Y, c)) for loss, Y, c in cases])
    Z_jax, (g_jax, dX_jax) = pullbacks(net, w, buffers, X, seeds, jitted=type(layer).__name__ not in MIXING)
    hand = [by_hand(net, w, buffers, X, mean_loss(loss, np, Z, Y, c)[1]) for loss, Y, c in cases]
    np.testing.assert_allclose(Z, Z_jax, rtol=1e-12, atol=1e-13)
    assert_input_agrees(np.stack([dX for dX, _ in hand]), np.asarray(dX_jax))
    g = np.stack([g for _, g in hand])
    for penalty in PENALTIES:
        added, oracle = penalty.gradient(np, w, net.decay), np.asarray(penalty_gradient(penalty)(w, net.decay))
        assert_agree(net, g + added, np.asarray(g_jax) + oracle, [(loss, penalty) for loss, _, _ in cases])


@every_pair
def test_backward_equals_central_differences(layer, function):
    net = build(layer, function)
    w, buffers = parameters(net)
    settings = cycle(product(PENALTIES, WEIGHTINGS.values()))
    # every third loss, each with a third of the pairs: the test before has every loss with every pair
    for sample, (penalty, c) in list(zip(LOSSES_FLAT, settings, strict=False))[PAIRS.index((layer, function)) % 3 :: 3]:
        X, Y = data(sample)
        report = gradcheck(net, sample.loss, X, Y, c=c, w=w, buffers=buffers, penalty=penalty, entries=2)
        assert report.passed(1e-6), (name(sample), penalty, str(report.worst))


@pytest.mark.parametrize(
    "loss",
    [
        MultiSoftmaxCrossEntropy((2, 4)),
        MultiSoftmaxCrossEntropy((3, 1, 2), label_smoothing=0.2),
        Quantile((0.2, 0.9), link="exp"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("x64")
def test_losses_of_several_targets(loss):
    net = Net(INPUTS, [Dense(4), Activation("tanh"), Dense(6)])
    w, buffers = parameters(net)
    rng = np.random.default_rng(0)
    X, c = rng.normal(size=(ROWS, INPUTS)), WEIGHTINGS["weights"]
    Y = blocks(*loss.sizes)(rng, ROWS, 6) if loss.targets.are_classes else rng.normal(size=(ROWS, 3)).repeat(2, axis=1)
    assert gradcheck(net, loss, X, Y, c=c, w=w).passed(1e-6)
    Z = net(w, buffers, X)
    dZ = mean_loss(loss, np, Z, Y, c)[1]
    np.testing.assert_allclose(dZ, loss_gradient(loss)(Z, Y, c), rtol=1e-11, atol=1e-15)


@pytest.mark.slow
@pytest.mark.parametrize("sample", LOSSES_FLAT, ids=name)
@pytest.mark.usefixtures("x64")
def test_whole_objective_equals_jax_grad_and_every_difference(sample):
    penalty = PENALTIES[-1]
    net = Net(INPUTS, [Dense(3), BatchNorm(), Activation("silu"), Dropout(0.3), LayerNorm(), Dense(OUTPUTS)])
    w, buffers = parameters(net)
    X, Y = data(sample)
    c = WEIGHTINGS["weights"]

    def objective(w, X):
        Z = net.forward(w, buffers, X, context(jnp))[0]
        return mean_loss(sample.loss, jnp, Z, Y, c)[0] + penalty.value(jnp, w, net.decay)

    g_jax, dX_jax = jax.grad(objective, argnums=(0, 1))(jnp.asarray(w), jnp.asarray(X))
    Z = net.forward(w, buffers, X, context(np))[0]
    dX, g = by_hand(net, w, buffers, X, mean_loss(sample.loss, np, Z, Y, c)[1])
    assert_agree(net, g + penalty.gradient(np, w, net.decay), g_jax, name(sample))
    assert_input_agrees(dX, np.asarray(dX_jax))
    assert gradcheck(net, sample.loss, X, Y, c=c, w=w, buffers=buffers, penalty=penalty).passed(1e-6)


@pytest.mark.parametrize("layer", flat(LAYER_SAMPLES), ids=name)
@pytest.mark.usefixtures("x64")
def test_gradient_in_inference(layer):
    net = build(layer, "tanh")
    w, buffers = parameters(net)
    X, Y = data(LOSS_SAMPLES["MeanSquaredError"][0])
    Z = net.forward(w, buffers, X, context(np, False))[0]
    dZ = mean_loss(MeanSquaredError(), np, Z, Y, np.ones(ROWS))[1]
    dX, g = by_hand(net, w, buffers, X, dZ, training=False)
    _, (g_jax, dX_jax) = pullbacks(net, w, buffers, X, dZ[None], training=False)
    assert_agree(net, g, g_jax[0], "w")
    assert_input_agrees(dX, np.asarray(dX_jax[0]))
    assert gradcheck(net, MeanSquaredError(), X, Y, w=w, buffers=buffers, training=False).passed(1e-6)


@pytest.mark.parametrize("sample", [s for s in LOSSES_FLAT if not isinstance(s.loss, SEVERAL)], ids=name)
def test_one_output(sample):
    rng = np.random.default_rng(1)
    net = Net(2, [Dense(3), Activation("tanh"), Dense(1)])
    assert gradcheck(net, sample.loss, rng.normal(size=(4, 2)), sample.targets(rng, 4, 1)).passed(1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("every", [2, 3, 100])
def test_recomputation_changes_no_bit_and_saves_memory(every, training, rng):
    layers = [Dense(16), BatchNorm(), Activation("gelu"), Dropout(0.5), Dense(16), LayerNorm(), Activation("tanh")]
    net = Net(8, [*layers, Dense(2)])
    w, buffers = parameters(net)
    X, dZ, ctx = rng.normal(size=(32, 8)), rng.normal(size=(32, 2)), context(np, training)
    Z, tape, after = net.forward(w, buffers, X, ctx)
    Z_again, short, after_again = net.forward(w, buffers, X, ctx, every)
    np.testing.assert_array_equal(Z, Z_again)
    np.testing.assert_array_equal(after, after_again)
    for full, again in zip(
        net.backward(w, tape, dZ, ctx), by_hand(net, w, buffers, X, dZ, training, every), strict=True
    ):
        np.testing.assert_array_equal(full, again)
    assert short.nbytes < tape.nbytes
    assert short.layers == ()
    assert len(tape.layers) == len(net.layers)


@dataclass(frozen=True)
class DividesAgain(Dense):
    """dW divided by n although the loss has done it."""

    def backward(self, p, saved, dA, ctx):
        dX, g = super().backward(p, saved, dA, ctx)
        return dX, {**g, "W": g["W"] / len(dA)}


@dataclass(frozen=True)
class ForgetsRows(Dense):
    """db of one row instead of the sum."""

    def backward(self, p, saved, dA, ctx):
        dX, g = super().backward(p, saved, dA, ctx)
        return dX, {**g, "b": dA[0]}


@dataclass(frozen=True)
class WrongSide(Dense):
    """A factor missing in what goes further back: all layers before are wrong, this one is right."""

    def backward(self, p, saved, dA, ctx):
        dX, g = super().backward(p, saved, dA, ctx)
        return 0.99 * dX, g


@dataclass(frozen=True)
class MeanGamma(BatchNorm):
    """dγ as a mean where a sum belongs."""

    def backward(self, p, saved, dA, ctx):
        dX, g = super().backward(p, saved, dA, ctx)
        return dX, {**g, "gamma": g["gamma"] / len(dA)}


@dataclass(frozen=True)
class IgnoresStatistics(BatchNorm):
    """The gradient does not pass through the batch's mean and variance."""

    def backward(self, p, saved, dA, ctx):
        return super().backward(p, saved, dA, replace(ctx, training=False))


@dataclass(frozen=True)
class KeepsScale(Dropout):
    """Without the factor 1 / (1 - rate)."""

    def backward(self, p, saved, dA, ctx):
        dX, g = super().backward(p, saved, dA, ctx)
        return dX * (1.0 - self.rate), g


WRONG = {
    "divides again": (2, DividesAgain(4), {"2.W"}),
    "forgets rows": (2, ForgetsRows(4), {"2.b"}),
    "wrong side": (2, WrongSide(4), {"0.W", "1.gamma", "1.beta", "X"}),  # 0.b is 0: batch norm takes every mean away
    "mean gamma": (1, MeanGamma(), {"1.gamma"}),
    "ignores statistics": (1, IgnoresStatistics(), {"0.W", "0.b", "X"}),
    "keeps scale": (3, KeepsScale(0.5), {"0.W", "1.gamma", "1.beta", "2.W", "2.b", "X"}),
}


@pytest.mark.parametrize(("place", "wrong", "names"), WRONG.values(), ids=WRONG)
def test_gradcheck_names_exactly_the_arrays_that_a_wrong_backward_spoils(place, wrong, names, rng):
    layers = [Dense(4), BatchNorm(), Dense(4), Dropout(0.5), Activation("tanh"), Dense(2)]
    X, Y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    assert gradcheck(Net(3, layers), MeanSquaredError(), X, Y).passed(1e-6)
    layers[place] = wrong
    report = gradcheck(Net(3, layers), MeanSquaredError(), X, Y)
    assert not report.passed(1e-3)
    assert {check.name for check in report.checks if check.error > 1e-6} == names
    assert report.worst.name in names
    assert report.error(report.worst.name) == report.worst.error
    assert str(report.worst).startswith(f"{report.worst.name}[")


def test_a_gradient_report_refuses_an_unknown_name():
    report = gradcheck(Net(2, [Dense(1)]), MeanSquaredError(), np.eye(2), np.ones((2, 1)))
    message = "GradientReport: name must be that of a parameter, or 'X', got '0.w'. Did you mean '0.W'?"
    with pytest.raises(InvalidValueError, match=re.escape(message)):
        report.error("0.w")


def test_gradcheck_names_a_wrong_loss(monkeypatch, rng):
    monkeypatch.setattr(MeanSquaredError, "gradient", lambda self, xp, Z, Y: (Z - Y) / Z.shape[1])
    report = gradcheck(Net(3, [Dense(2)]), MeanSquaredError(), rng.normal(size=(4, 3)), rng.normal(size=(4, 2)))
    # half of the true gradient: |g/2 - g| / (g/2 + g) = 1/3 for every array
    assert [check.error for check in report.checks] == pytest.approx([1 / 3] * 3, rel=1e-6)


def test_gradcheck_steps_aside_from_a_kink():
    # Z = 5e-6 < h = 1e-5: the first interval holds the kink of relu, the next (1e-6) does not
    net = Net(1, [Dense(1, bias=False), Activation("relu")])
    report = gradcheck(net, MeanSquaredError(), np.array([[1.0]]), np.array([[-1.0]]), w=np.array([5e-6]))
    assert report.passed(1e-6)


def test_gradcheck_counts_the_penalty(rng):
    X, Y = np.zeros((2, 3)), np.zeros((2, 2))
    report = gradcheck(Net(3, [Dense(2)]), MeanSquaredError(), X, Y, penalty=Penalty(l2=0.5), seed=3)
    w = Net(3, [Dense(2)]).init(3)[0]
    assert report.checks[0].analytic == pytest.approx(0.5 * w[np.ravel_multi_index(report.checks[0].entry, (3, 2))])
    assert report.passed(1e-8)


def test_losses_cover_the_registry():
    assert {type(sample.loss) for sample in LOSSES_FLAT} == set(LOSSES.values())
