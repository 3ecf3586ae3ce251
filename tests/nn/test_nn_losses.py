"""Why: each loss is the published one, is weighted once and stays finite. In: random and hand-picked logits. Out: agreement
with scikit-learn, scipy and tables worked by hand.
"""

import warnings

import numpy as np
import pytest
from registry import LOSS_SAMPLES, flat, name
from scipy.special import huber, softmax, xlogy
from sklearn import metrics

from chainrule.errors import InvalidValueError
from chainrule.nn.losses import (
    LINKS,
    BinaryCrossEntropy,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiSoftmaxCrossEntropy,
    Poisson,
    Quantile,
    SoftmaxCrossEntropy,
    TargetKind,
    best_constant,
    mean_loss,
)

LOSSES_FLAT = flat(LOSS_SAMPLES)
every_loss = pytest.mark.parametrize("sample", LOSSES_FLAT, ids=name)
N, K = 12, 3
LINKED = {
    "identity": lambda Z: Z,
    "sigmoid": lambda Z: 1 / (1 + np.exp(-Z)),
    "tanh": np.tanh,
    "relu": lambda Z: np.maximum(Z, 0),
    "exp": np.exp,
}


def batch(sample, rng, k=K):
    return rng.normal(size=(N, k)), sample.targets(rng, N, k)


def mean(loss, Z, Y, c=None):
    """The mean loss without its gradient."""
    return float(mean_loss(loss, np, Z, Y, np.ones(len(Z)) if c is None else c)[0])


@every_loss
def test_shapes(sample, rng):
    Z, Y = batch(sample, rng)
    assert sample.loss.rows(np, Z, Y).shape == (N,)
    assert sample.loss.gradient(np, Z, Y).shape == (N, K)
    assert sample.loss.predict(np, Z).shape == (N, K)
    assert sample.loss.score(np, Z, Y).shape == (N,)
    assert (sample.loss.targets.are_classes, sample.loss.metric) in {(True, "accuracy"), (False, "rmse")}


@every_loss
def test_float32_stays_float32(sample, rng):
    Z, Y = batch(sample, rng)
    Z, Y = Z.astype(np.float32), Y if Y.dtype.kind == "i" else Y.astype(np.float32)
    J, dZ = mean_loss(sample.loss, np, Z, Y, np.ones(N, np.float32))
    assert {J.dtype, dZ.dtype, sample.loss.predict(np, Z).dtype} == {np.dtype(np.float32)}


@every_loss
def test_no_array_is_changed(sample, rng):
    Z, Y = batch(sample, rng)
    c = rng.random(N)
    for array in (Z, Y, c):
        array.flags.writeable = False
    first, second = (mean_loss(sample.loss, np, Z, Y, c) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])
    assert first[0] == second[0]


@every_loss
def test_weights_repeat_rows(sample, rng):
    Z, Y = batch(sample, rng)
    c = rng.integers(0, 4, N)
    J, dZ = mean_loss(sample.loss, np, Z, Y, c.astype(float))
    J_repeated, dZ_repeated = mean_loss(sample.loss, np, Z.repeat(c, axis=0), Y.repeat(c, axis=0), np.ones(c.sum()))
    np.testing.assert_allclose(J, J_repeated, rtol=1e-13)
    first = np.cumsum(c) - c
    for i in range(N):
        expected = dZ_repeated[first[i] : first[i] + c[i]].sum(axis=0)
        np.testing.assert_allclose(dZ[i], expected, rtol=1e-13, atol=1e-15)


@every_loss
def test_scaled_weights_change_nothing(sample, rng):
    Z, Y = batch(sample, rng)
    c = rng.random(N)
    for one, other in zip(mean_loss(sample.loss, np, Z, Y, c), mean_loss(sample.loss, np, Z, Y, 8.0 * c), strict=True):
        np.testing.assert_array_equal(one, other)  # a power of two changes no digit


@every_loss
def test_no_weight_at_all_gives_zero(sample, rng):
    Z, Y = batch(sample, rng)
    J, dZ = mean_loss(sample.loss, np, Z, Y, np.zeros(N))
    assert J == 0.0
    np.testing.assert_array_equal(dZ, np.zeros_like(Z))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sample", [s for s in LOSSES_FLAT if s.bounded], ids=name)
def test_finite_far_out(sample, dtype, rng):
    Y = sample.targets(rng, N, K)
    Y = Y if Y.dtype.kind == "i" else Y.astype(dtype)
    Z = (rng.choice([-1e4, 1e4], (N, K))).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        J, dZ = mean_loss(sample.loss, np, Z, Y, np.ones(N, dtype))
    assert np.isfinite(J)
    assert np.isfinite(dZ).all()


def test_unbounded_losses_are_those_with_the_exponential_link():
    unbounded = {s.loss for s in LOSSES_FLAT if not s.bounded}
    assert unbounded == {
        Poisson(),
        MeanSquaredError("exp"),
        MeanAbsoluteError("exp"),
        Huber(delta=0.4, link="exp"),
        Quantile(link="exp"),
    }


@pytest.mark.parametrize("k", [1, 4])
def test_binary_cross_entropy_is_log_loss_per_label(k, rng):
    Z, Y = rng.normal(size=(N, k)), rng.integers(0, 2, (N, k))
    c = rng.random(N)
    P = BinaryCrossEntropy().predict(np, Z)
    each = [metrics.log_loss(Y[:, j], P[:, j], sample_weight=c, labels=[0, 1]) for j in range(k)]
    assert mean(BinaryCrossEntropy(), Z, Y, c) == pytest.approx(np.mean(each), rel=1e-12)
    accuracy = BinaryCrossEntropy().score(np, Z, Y).mean()
    assert accuracy == metrics.accuracy_score(Y, (P > 0.5).astype(int))


def test_binary_cross_entropy_by_hand():
    # σ(log 3) = 3/4: loss -log(3/4) for target 1, -log(1/4) for target 0; gradients 3/4 - 1 and 3/4
    Z = np.full((2, 1), np.log(3.0))
    Y = np.array([[1.0], [0.0]])
    np.testing.assert_allclose(BinaryCrossEntropy().rows(np, Z, Y), [np.log(4 / 3), np.log(4.0)], rtol=1e-14)
    np.testing.assert_allclose(BinaryCrossEntropy().gradient(np, Z, Y), [[-0.25], [0.75]], rtol=1e-14)


def test_binary_cross_entropy_keeps_tiny_losses():
    # -log σ(40) = log1p(exp(-40)) = 4.25e-18, which 1 - σ would have lost
    assert mean(BinaryCrossEntropy(), np.array([[-40.0]]), np.array([[0.0]])) == pytest.approx(np.exp(-40.0), rel=1e-12)


def test_softmax_cross_entropy_is_log_loss(rng):
    Z, y, c = rng.normal(size=(N, K)), rng.integers(0, K, N), rng.random(N)
    P = SoftmaxCrossEntropy().predict(np, Z)
    np.testing.assert_allclose(P, softmax(Z, axis=1), rtol=1e-13)
    oracle = metrics.log_loss(y, P, sample_weight=c, labels=range(K))
    assert mean(SoftmaxCrossEntropy(), Z, y, c) == pytest.approx(oracle, rel=1e-12)
    assert SoftmaxCrossEntropy().score(np, Z, y).mean() == metrics.accuracy_score(y, P.argmax(axis=1))


def test_softmax_by_hand_with_smoothing():
    # P = (1, 2, 5) / 8, y = 2, ε = 0.3: T = (.1, .1, .8)
    Z = np.log([[1.0, 2.0, 5.0]])
    loss = SoftmaxCrossEntropy(label_smoothing=0.3)
    expected = 0.1 * np.log(8.0) + 0.1 * np.log(4.0) + 0.8 * np.log(8 / 5)
    assert mean(loss, Z, np.array([2])) == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(loss.gradient(np, Z, np.array([2])), [[0.025, 0.15, -0.175]], rtol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_softmax_gradient_rows_sum_to_zero_and_shifts_change_nothing(smoothing, rng):
    Z, y = rng.normal(size=(N, K)), rng.integers(0, K, N)
    loss = SoftmaxCrossEntropy(label_smoothing=smoothing)
    # P and T each sum to 1 within a few roundings
    np.testing.assert_allclose(loss.gradient(np, Z, y).sum(axis=1), np.zeros(N), atol=4e-16)
    np.testing.assert_allclose(loss.rows(np, Z + 128.0, y), loss.rows(np, Z, y), rtol=1e-12)


def test_two_softmax_columns_are_one_sigmoid_column(rng):
    Z, y = rng.normal(size=(N, 2)), rng.integers(0, 2, N)
    single = BinaryCrossEntropy().rows(np, Z[:, 1:] - Z[:, :1], y[:, None])
    np.testing.assert_allclose(SoftmaxCrossEntropy().rows(np, Z, y), single, rtol=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_regression_losses_against_their_metrics(link, rng):
    Z, Y, c = rng.normal(size=(N, K)), rng.normal(size=(N, K)), rng.random(N)
    A = LINKED[link](Z)
    squared = metrics.mean_squared_error(Y, A, sample_weight=c)
    absolute = metrics.mean_absolute_error(Y, A, sample_weight=c)
    assert mean(MeanSquaredError(link), Z, Y, c) == pytest.approx(squared, rel=1e-12)
    assert mean(MeanAbsoluteError(link), Z, Y, c) == pytest.approx(absolute, rel=1e-12)
    np.testing.assert_allclose(Huber(delta=0.4, link=link).rows(np, Z, Y), huber(0.4, A - Y).mean(axis=1), rtol=1e-12)
    for loss in (MeanSquaredError(link), MeanAbsoluteError(link), Huber(delta=0.4, link=link)):
        np.testing.assert_allclose(loss.predict(np, Z), A, rtol=1e-14)
        score = np.average(loss.score(np, Z, Y), weights=c)
        assert score == pytest.approx(squared, rel=1e-12)


def test_regression_gradients_by_hand():
    Z, Y = np.array([[3.0, -1.0]]), np.array([[1.0, 0.5]])
    # errors 2 and -1.5, k = 2: squared 2·2/2, 2·(-1.5)/2; absolute ±1/2; Huber with δ = 1.75: 1.75/2, -1.5/2
    np.testing.assert_array_equal(MeanSquaredError().gradient(np, Z, Y), [[2.0, -1.5]])
    np.testing.assert_array_equal(MeanAbsoluteError().gradient(np, Z, Y), [[0.5, -0.5]])
    np.testing.assert_array_equal(Huber(delta=1.75).gradient(np, Z, Y), [[0.875, -0.75]])
    # rows: (4 + 2.25) / 2; (2 + 1.5) / 2; (1.75 (2 - .875) + 1.125) / 2
    assert mean(MeanSquaredError(), Z, Y) == 3.125
    assert mean(MeanAbsoluteError(), Z, Y) == 1.75
    assert mean(Huber(delta=1.75), Z, Y) == pytest.approx((1.75 * 1.125 + 1.125) / 2, rel=1e-15)


def test_absolute_error_has_slope_zero_at_zero():
    np.testing.assert_array_equal(MeanAbsoluteError().gradient(np, np.ones((1, 1)), np.ones((1, 1))), [[0.0]])


def test_poisson_is_half_the_deviance_up_to_a_constant(rng):
    Z, Y = rng.normal(size=(N, 1)), rng.poisson(2.0, (N, 1)).astype(float)
    deviance = metrics.mean_poisson_deviance(Y, np.exp(Z))
    # deviance / 2 = mean(y log y - y - y z + exp z)
    assert mean(Poisson(), Z, Y) == pytest.approx(deviance / 2 - (xlogy(Y, Y) - Y).mean(), rel=1e-12)
    np.testing.assert_allclose(Poisson().predict(np, Z), np.exp(Z), rtol=1e-15)
    assert Poisson().score(np, Z, Y).mean() == pytest.approx(metrics.mean_squared_error(Y, np.exp(Z)), rel=1e-12)


def test_multilabel_score_asks_for_every_label():
    Z = np.array([[1.0, -1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(BinaryCrossEntropy().score(np, Z, np.array([[1, 0], [1, 0]])), [True, False])


@pytest.mark.parametrize("link", LINKS)
def test_quantile_is_the_mean_pinball_loss_of_its_columns(link, rng):
    levels = (0.1, 0.5, 0.8)
    Z, Y, c = rng.normal(size=(N, 6)), rng.normal(size=(N, 2)).repeat(3, axis=1), rng.random(N)
    A = LINKED[link](Z)
    each = [metrics.mean_pinball_loss(Y[:, j], A[:, j], sample_weight=c, alpha=levels[j % 3]) for j in range(6)]
    assert mean(Quantile(levels, link=link), Z, Y, c) == pytest.approx(np.mean(each), rel=1e-12)
    np.testing.assert_allclose(Quantile(levels, link=link).predict(np, Z), A, rtol=1e-14)
    # the columns of level ½ are 1 and 4
    np.testing.assert_allclose(
        Quantile(levels, link=link).score(np, Z, Y), ((A - Y)[:, [1, 4]] ** 2).mean(axis=1), rtol=1e-13
    )


def test_quantile_by_hand():
    # errors Y - Z = 2, -2, 0: loss .1·2, .5·2, 0; slopes -.1, .5, 0; all thirds
    Z, Y = np.array([[1.0, 3.0, 4.0]]), np.array([[3.0, 1.0, 4.0]])
    loss = Quantile((0.1, 0.5, 0.9))
    assert mean(loss, Z, Y) == pytest.approx(1.2 / 3, rel=1e-15)
    np.testing.assert_allclose(loss.gradient(np, Z, Y), [[-0.1 / 3, 0.5 / 3, 0.0]], rtol=1e-15)


@pytest.mark.parametrize(("levels", "central"), [((0.5,), 0), ((0.1, 0.2, 0.6), 2), ((0.25, 0.75), 0)])
def test_the_central_level_is_the_one_nearest_to_a_half(levels, central):
    assert Quantile(levels).central == central


@pytest.mark.parametrize("level", [0.1, 0.5, 0.93])
def test_the_best_constant_for_quantile_is_the_quantile(level, rng):
    y = rng.normal(size=101)  # level · 101 is no whole number, so the best constant is one of y
    loss = [mean(Quantile((level,)), np.full((101, 1), z), y[:, None]) for z in y]
    assert y[np.argmin(loss)] == np.quantile(y, level, method="inverted_cdf")


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_heads_are_softmax_cross_entropies_side_by_side(smoothing, rng):
    sizes = (2, 4, 3)
    Z, codes = rng.normal(size=(N, 9)), np.stack([rng.integers(0, size, N) for size in sizes], axis=1)
    hot = np.hstack([np.eye(size)[codes[:, h]] for h, size in enumerate(sizes)])
    heads, one = (
        MultiSoftmaxCrossEntropy(sizes, label_smoothing=smoothing),
        SoftmaxCrossEntropy(label_smoothing=smoothing),
    )
    blocks = [Z[:, :2], Z[:, 2:6], Z[:, 6:]]
    each = [(block, codes[:, h]) for h, block in enumerate(blocks)]
    np.testing.assert_allclose(heads.rows(np, Z, hot), np.mean([one.rows(np, *pair) for pair in each], 0), rtol=1e-12)
    gradient = np.hstack([one.gradient(np, *pair) for pair in each]) / 3
    np.testing.assert_allclose(heads.gradient(np, Z, hot), gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(heads.predict(np, Z), np.hstack([softmax(b, axis=1) for b in blocks]), rtol=1e-13)
    right = np.all([one.score(np, *pair) for pair in each], axis=0)
    np.testing.assert_array_equal(heads.score(np, Z, hot), right)
    assert 0 < right.sum() < N


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Quantile(()), r"Quantile: levels must be rising numbers in \(0, 1\), got \(\)\."),
        (lambda: Quantile(0.5), r"Quantile: levels must be rising"),
        (lambda: Quantile((0.5, 0.5)), r"Quantile: levels must be rising"),
        (lambda: Quantile((0.5, 1.0)), r"Quantile: levels must be rising"),
        (lambda: Quantile(link="square"), r"Quantile: link must be one of"),
        (
            lambda: MultiSoftmaxCrossEntropy(()),
            r"MultiSoftmaxCrossEntropy: sizes must be whole numbers >= 1, one per head, got \(\)\.",
        ),
        (lambda: MultiSoftmaxCrossEntropy(3), r"MultiSoftmaxCrossEntropy: sizes must be"),
        (lambda: MultiSoftmaxCrossEntropy("32"), r"MultiSoftmaxCrossEntropy: sizes must be"),
        (lambda: MultiSoftmaxCrossEntropy((2, 0)), r"MultiSoftmaxCrossEntropy: sizes must be"),
        (
            lambda: MultiSoftmaxCrossEntropy((2,), label_smoothing=1.0),
            r"MultiSoftmaxCrossEntropy: label_smoothing must be in \[0, 1\), got 1\.0\.",
        ),
        (
            lambda: SoftmaxCrossEntropy(label_smoothing=1.0),
            r"SoftmaxCrossEntropy: label_smoothing must be in \[0, 1\), got 1\.0\.",
        ),
        (
            lambda: MeanSquaredError("logistic"),
            r"MeanSquaredError: link must be one of 'identity', .*, got 'logistic'\.",
        ),
        (lambda: MeanAbsoluteError("expo"), r"MeanAbsoluteError: link must be .*, got 'expo'\. Did you mean 'exp'\?"),
        (lambda: Huber(delta=0), r"Huber: delta must be in \(0, inf\), got 0\."),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InvalidValueError, match=message):
        make()


@every_loss
def test_the_inverse_of_the_link_gives_logits_with_the_same_predictions(sample, rng):
    Z, _ = batch(sample, rng)
    A = sample.loss.predict(np, Z)
    np.testing.assert_allclose(sample.loss.predict(np, sample.loss.inverse(np, A)), A, rtol=1e-12)


@every_loss
def test_the_lowest_loss_is_never_above_a_loss(sample, rng):
    Z, Y = batch(sample, rng)
    Y = np.arange(N) % K if sample.loss.targets is TargetKind.CLASSES else Y
    assert (sample.loss.rows(np, Z, Y) >= sample.loss.lowest(Y) - 1e-9).all()


@every_loss
def test_the_best_constant_is_not_beaten_by_another(sample, rng):
    Y = batch(sample, rng)[1]
    Y = np.arange(N) % K if sample.loss.targets is TargetKind.CLASSES else Y
    best = mean(sample.loss, np.tile(best_constant(sample.loss, Y, np.ones(N)), (N, 1)), Y)
    others = [mean(sample.loss, np.tile(z, (N, 1)), Y) for z in rng.normal(size=(50, K))]
    assert best <= min(others) * (1 + 1e-2) + 1e-9


def test_targets_and_links_of_every_loss():
    told = {(type(s.loss).__name__, s.loss.targets.name, bool(s.loss.links)) for s in LOSSES_FLAT}
    assert told == {
        ("BinaryCrossEntropy", "LABELS", False),
        ("SoftmaxCrossEntropy", "CLASSES", False),
        ("MultiSoftmaxCrossEntropy", "CLASS_BLOCKS", False),
        ("MeanSquaredError", "CONTINUOUS", True),
        ("MeanAbsoluteError", "CONTINUOUS", True),
        ("Huber", "CONTINUOUS", True),
        ("Quantile", "CONTINUOUS", True),
        ("Poisson", "COUNTS", False),
    }
